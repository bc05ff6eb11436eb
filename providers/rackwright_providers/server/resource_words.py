"""What the nouns of servers share: types of properties, checks of names, and what a path rests on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Meta
from msgspec.structs import force_setattr

from rackwright.model.address import Address
from rackwright.model.secret import MARKER

END = r"(?![\s\S])"  # `$` would let a newline follow, and JSON Schema's regexes have no \Z

OCTAL = Meta(pattern=rf"^[0-7]{{3,4}}{END}", description="octal permissions, quoted: '0644'")
ACCOUNT = Meta(
    pattern=rf"^[A-Za-z0-9_][A-Za-z0-9_.-]{{0,30}}\$?{END}", description="a name, or a number"
)
ONE_LINE = Meta(pattern=rf"^[^\n\r\0]*{END}", description="one line")
ABSOLUTE = Meta(pattern=rf"^/[^\n\r\0]*{END}", description="an absolute path")
PASSWD_PATH = Meta(pattern=rf"^/[^:\n\r\0]*{END}", description="an absolute path without a colon")
NO_COLON = Meta(
    pattern=rf"^([^:\n\r\0]|{MARKER.pattern})*{END}", description="one line without a colon"
)
UNIX_ID = Meta(ge=0, le=4294967294)
SECONDS = Meta(gt=0, le=86400)


def require(good: object, message: str) -> None:
    """Raise ValueError, which msgspec makes a ValidationError, unless ``good``."""
    if not good:
        raise ValueError(message)


def require_path(path: str) -> None:
    """Raise ValueError unless ``path`` is absolute and in its shortest form."""
    require(path.startswith("/"), f"{path!r} is not an absolute path")
    require("\0" not in path and "\n" not in path, f"{path!r} holds a line break or a NUL")
    parts = path[1:].split("/")
    clean = path == "/" or not any(part in ("", ".", "..") for part in parts)
    require(clean, f"{path!r} is not in its shortest form: no '//', '.', '..' or '/' at the end")


def above(path: str) -> Iterator[Address]:
    """Whatever may provide a directory on the way to ``path``."""
    while path not in ("/", ""):
        path = path.rpartition("/")[0] or "/"
        for kind in ("directory", "mount", "symlink"):
            yield Address(kind, path)


def owned_by(owner: str | None, group: str | None) -> Iterator[Address]:
    """The user and the group that a file may wait for."""
    if owner:
        yield Address("user", owner)
    if group:
        yield Address("group", group)


def octal(resource: Any) -> None:
    """Give ``resource.mode`` four digits."""
    if resource.mode is not None:
        force_setattr(resource, "mode", resource.mode.rjust(4, "0"))
