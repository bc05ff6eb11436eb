"""The nouns of who may be on a server: users, groups, keys."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated, ClassVar

from msgspec.structs import force_setattr

from rackwright.model.address import Address
from rackwright.model.resource import Resource
from rackwright.model.secret import MARKER, Secret
from rackwright_providers.server.resource_words import (
    ACCOUNT,
    NO_COLON,
    PASSWD_PATH,
    UNIX_ID,
    above,
    require,
)

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.-]{0,30}\$?")
_KEY_TYPE = re.compile(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[A-Za-z0-9@.-]+")
_KEY_TOKEN = re.compile(r'(?:[^\s"]|"(?:\\.|[^"\\])*")+')


class Group(Resource, frozen=True, kw_only=True):
    """A local group."""

    kind: ClassVar[str] = "group"
    directives: ClassVar[frozenset[str]] = frozenset({"system"})

    gid: Annotated[int, UNIX_ID] | None = None
    system: bool = False
    """Made with a gid of the system's range when ``gid`` is not declared."""

    def __post_init__(self) -> None:
        require(_NAME.fullmatch(self.name), f"{self.name!r} cannot be a group's name")


class User(Resource, frozen=True, kw_only=True):
    """A local user. Removing one keeps its home directory."""

    kind: ClassVar[str] = "user"
    directives: ClassVar[frozenset[str]] = frozenset({"system"})

    uid: Annotated[int, UNIX_ID] | None = None
    group: Annotated[str, ACCOUNT] | None = None
    """The primary group's name, or its number."""
    groups: tuple[Annotated[str, ACCOUNT], ...] | None = None
    """All supplementary groups: the user leaves those that are not listed."""
    home: Annotated[str, PASSWD_PATH] | None = None
    """The home directory; moved with its contents when it changes."""
    shell: Annotated[str, PASSWD_PATH] | None = None
    comment: Annotated[str, NO_COLON] | None = None
    """The GECOS field: a person's name."""
    password_hash: Annotated[str, NO_COLON, Secret] | None = None
    """As it stands in shadow(5), or ``!`` or ``*`` for none."""
    system: bool = False
    """Made with a uid of the system's range and without a home directory."""

    def __post_init__(self) -> None:
        require(_NAME.fullmatch(self.name), f"{self.name!r} cannot be a user's name")
        if self.groups is not None:
            force_setattr(self, "groups", tuple(sorted(set(self.groups))))

    def implied_needs(self) -> tuple[Address, ...]:
        names = ([self.group] if self.group else []) + list(self.groups or ())
        # Directories above the home may belong to the user itself: only what is mounted comes first.
        mounts = (one for one in above(self.home or "") if one.type == "mount")
        return (*(Address("group", name) for name in names), *mounts)


class AuthorizedKey(Resource, frozen=True, kw_only=True):
    """A key that may log in as a user by SSH. Its name is ``user:id``; the id becomes the key's
    comment in the file, so a new key for the same id replaces the old one."""

    kind: ClassVar[str] = "authorized_key"

    user: Annotated[str, ACCOUNT] | None = None
    """The user, when it is not the part of the name before the colon."""
    key: str | None = None
    """An OpenSSH public key line, options included; its comment is replaced by the id."""

    def __post_init__(self) -> None:
        _, colon, label = self.name.partition(":")
        require(colon and label, f"{self.name!r} is not of the form user:id")
        require(not re.search(r"[\s\0]", label), f"the id {label!r} holds white space")
        if self.key is None:
            require(self.ensure == "absent", "an authorized key needs a key")
        elif not MARKER.search(self.key):
            force_setattr(self, "key", public_key(self.key))

    @property
    def login(self) -> str:
        """The user's name."""
        return self.user or self.name.partition(":")[0]

    @property
    def label(self) -> str:
        """The key's comment in the file."""
        return self.name.partition(":")[2]

    def implied_needs(self) -> tuple[Address, ...]:
        return (Address("user", self.login),)


def public_key(line: str) -> str:
    """``line`` of authorized_keys as options, type and key, without its comment. Raises ValueError."""
    parts = _KEY_TOKEN.findall(line.strip())
    at = 0 if parts and _KEY_TYPE.fullmatch(parts[0]) else 1
    wrong = "not an OpenSSH public key: write [options] type base64 [comment]"
    if len(parts) < at + 2 or not _KEY_TYPE.fullmatch(parts[at]) or "\n" in line.strip():
        raise ValueError(wrong)
    try:
        blob = base64.b64decode(parts[at + 1], validate=True)
    except binascii.Error:
        raise ValueError(wrong) from None
    name = parts[at].encode()
    if blob[: 4 + len(name)] != len(name).to_bytes(4, "big") + name:  # RFC 4253, 6.6
        raise ValueError(f"the key's data is not of type {parts[at]}")
    return " ".join(parts[: at + 2])
