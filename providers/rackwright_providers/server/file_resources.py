"""The nouns of files: what is at a path."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from rackwright.model.address import Address
from rackwright.model.resource import Resource
from rackwright_providers.server.resource_words import (
    ABSOLUTE,
    ACCOUNT,
    OCTAL,
    ONE_LINE,
    above,
    octal,
    owned_by,
    require,
    require_path,
)


class File(Resource, frozen=True, kw_only=True):
    """A regular file. Its name is its absolute path: ``file//etc/motd``."""

    kind: ClassVar[str] = "file"
    directives: ClassVar[frozenset[str]] = frozenset({"backup"})

    content: str | None = None
    """The whole text, as UTF-8. Undeclared: left alone, and empty when the file is made."""
    owner: Annotated[str, ACCOUNT] | None = None
    """A user's name, or its number. Undeclared: left alone; who runs the agent when it is made."""
    group: Annotated[str, ACCOUNT] | None = None
    """A group's name, or its number."""
    mode: Annotated[str, OCTAL] | None = None
    """Octal permissions: ``'0644'``. Undeclared: left alone, and 0644 when the file is made."""
    backup: bool = True
    """Keep what is overwritten or removed in the state directory (the last five)."""

    def __post_init__(self) -> None:
        require_path(self.name)
        octal(self)

    def implied_needs(self) -> tuple[Address, ...]:
        return (*above(self.name), *owned_by(self.owner, self.group))


class Directory(Resource, frozen=True, kw_only=True):
    """A directory. Its name is its absolute path: ``directory//srv/www``."""

    kind: ClassVar[str] = "directory"
    directives: ClassVar[frozenset[str]] = frozenset({"holds"})

    owner: Annotated[str, ACCOUNT] | None = None
    """A user's name, or its number."""
    group: Annotated[str, ACCOUNT] | None = None
    """A group's name, or its number."""
    mode: Annotated[str, OCTAL] | None = None
    """Octal permissions: ``'0755'``. Undeclared: left alone, and 0755 when it is made."""
    holds: int | None = None
    """Observed only: how many entries are in it that are not declared themselves."""

    def __post_init__(self) -> None:
        require_path(self.name)
        octal(self)

    def implied_needs(self) -> tuple[Address, ...]:
        return (*above(self.name), *owned_by(self.owner, self.group))

    def loses(self, before: Resource) -> str:
        held = before.holds if isinstance(before, Directory) else None
        if self.ensure == "present" or not held:
            return ""
        return f"{held} {'entry' if held == 1 else 'entries'} in {self.name}"


class Symlink(Resource, frozen=True, kw_only=True):
    """A symbolic link. Its name is its absolute path."""

    kind: ClassVar[str] = "symlink"

    target: Annotated[str, ONE_LINE] | None = None
    """Where it points, as it is to be stored: absolute, or relative to the link's directory."""

    def __post_init__(self) -> None:
        require_path(self.name)
        require(self.target or self.ensure == "absent", "a symlink needs a target")

    def implied_needs(self) -> tuple[Address, ...]:
        return tuple(above(self.name))


class LineInFile(Resource, frozen=True, kw_only=True):
    """One line of a file that others write too. Its name is any identifier."""

    kind: ClassVar[str] = "line_in_file"
    directives: ClassVar[frozenset[str]] = frozenset({"match"})

    path: Annotated[str, ABSOLUTE] | None = None
    """The file; it is made when it is missing. Always needed."""
    line: Annotated[str, ONE_LINE] | None = None
    """The line, without its end. Always needed."""
    match: str | None = None
    """A regular expression. The lines it finds become this one line; with ``ensure: absent`` they
    go. When it finds none, or there is none, the line is appended unless it is there already."""

    def __post_init__(self) -> None:
        require(self.path and self.line is not None, "a line in a file needs path and line")
        require_path(self.path or "")
        if self.match is not None:
            try:
                re.compile(self.match)
            except re.error as error:
                raise ValueError(
                    f"match {self.match!r} is no regular expression: {error}"
                ) from None

    def implied_needs(self) -> tuple[Address, ...]:
        path = self.path or ""
        return (Address("file", path), Address("symlink", path), *above(path))
