"""Files, directories and symbolic links."""

from __future__ import annotations

import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Permanent
from rackwright.model.resource import Resource
from rackwright_providers.server.file_resources import Directory, File, Symlink
from rackwright_providers.server.handler import LocalStep
from rackwright_providers.server.names import Names
from rackwright_providers.transport.atomic import is_draft
from rackwright_providers.transport.local import Host, Reader

COUNTED = 1000
"""Undeclared entries of a directory beyond which nobody needs the exact number."""


class FileHandler:
    """Whatever is at a path. What is of another kind than declared counts as not there; making it is
    then refused by the host, since nothing is replaced by something of another kind."""

    nouns: tuple[type[Resource], ...] = (File, Directory, Symlink)
    root_only_files = True

    def read(self, host: Reader, wanted: Sequence[Resource]) -> Mapping[Address, Resource]:
        names = Names(host)
        paths = {resource.name for resource in wanted}
        found: dict[Address, Resource] = {}
        for resource in wanted:
            try:
                seen = _observe(host, names, resource, paths)
            except Permanent:
                continue  # out of reach: making it fails with the reason, and only it
            if seen is not None:
                found[resource.address] = seen
        return found

    def render(self, changes: Sequence[Change]) -> Sequence[LocalStep]:
        return [_step(change) for change in changes]


def _observe(
    host: Reader, names: Names, wanted: Resource, paths: Collection[str]
) -> Resource | None:
    if isinstance(wanted, File):
        found = host.look(wanted.name, content=wanted.content is not None)
        if found is None:
            return None
        return File(
            name=wanted.name,
            content=_text(found.data, wanted.content),
            owner=names.user(found.stat.st_uid, wanted.owner),
            group=names.group(found.stat.st_gid, wanted.group),
            mode=f"{stat.S_IMODE(found.stat.st_mode):04o}",
            backup=wanted.backup,
        )
    if isinstance(wanted, Directory):
        status = host.stat(wanted.name)
        if status is None or not stat.S_ISDIR(status.st_mode):
            return None
        return Directory(
            name=wanted.name,
            owner=names.user(status.st_uid, wanted.owner),
            group=names.group(status.st_gid, wanted.group),
            mode=f"{stat.S_IMODE(status.st_mode):04o}",
            holds=_undeclared(host, wanted.name, paths),
        )
    target = host.readlink(wanted.name)
    return None if target is None else Symlink(name=wanted.name, target=target)


def _text(data: bytes | None, wanted: str | None) -> str | None:
    """``data`` as text; what is not UTF-8 as a line that says so."""
    if data is None:
        return None
    if wanted is not None and data == wanted.encode():
        return wanted
    try:
        return data.decode()
    except UnicodeDecodeError:
        import hashlib  # it loads OpenSSL

        return f"‹{len(data)} bytes that are not UTF-8, SHA-256 {hashlib.sha256(data).hexdigest()}›"


def _undeclared(host: Reader, path: str, paths: Collection[str]) -> int | None:
    try:
        names = host.listdir(path, at_most=COUNTED + len(paths))
    except Permanent:
        return None
    prefix = path.rstrip("/") + "/"
    held = (name for name in names if prefix + name not in paths and not is_draft(name))
    return min(COUNTED, sum(1 for _ in held))


def _step(change: Change) -> LocalStep:
    resource = change.after or change.before
    addresses, name = (change.address,), change.address.name
    if isinstance(resource, File):
        if change.action == "remove":
            return RemoveFile(addresses=addresses, text=f"remove {name}", file=resource)
        content = change.action == "create" or "content" in change.field_names
        verb = f"write {name}" if content else f"change {name}"
        return PutFile(
            addresses=addresses,
            text=f"{verb}{_attributes(resource)}",
            file=resource,
            content=content,
        )
    if isinstance(resource, Directory):
        if change.action == "remove":
            whole = bool(resource.holds)
            what = " and everything in it" if whole else ""
            return RemoveDirectory(
                addresses=addresses, text=f"remove {name}{what}", path=name, whole=whole
            )
        verb = "make directory" if change.action == "create" else "change"
        return PutDirectory(
            addresses=addresses,
            text=f"{verb} {name}{_attributes(resource)}",
            directory=resource,
            make=change.action == "create",
        )
    if not isinstance(resource, Symlink):
        raise Permanent(f"{change.address} is no file, directory or symlink")
    if change.action == "remove":
        return RemoveFile(
            addresses=addresses, text=f"remove {name}", file=File(name=name, backup=False)
        )
    return PutSymlink(addresses=addresses, text=f"link {name} to {resource.target}", link=resource)


def _attributes(resource: File | Directory) -> str:
    said = (("owner", resource.owner), ("group", resource.group), ("mode", resource.mode))
    text = " ".join(f"{name} {value}" for name, value in said if value is not None)
    return f", {text}" if text else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PutFile(LocalStep):
    """Write a file, or only its owner and permissions."""

    file: File
    content: bool

    def apply(self, host: Host) -> None:
        file, names = self.file, Names(host)
        uid, gid = names.owner(file.owner), names.group_owner(file.group)
        mode = None if file.mode is None else int(file.mode, 8)
        if not self.content:
            host.change(file.name, mode=mode, uid=uid, gid=gid)
            return
        if file.backup:
            host.backup(file.name)
        host.write(file.name, (file.content or "").encode(), mode=mode, uid=uid, gid=gid)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveFile(LocalStep):
    """Remove a file or a symbolic link."""

    file: File

    def apply(self, host: Host) -> None:
        if self.file.backup:
            host.backup(self.file.name)
        host.remove(self.file.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class PutDirectory(LocalStep):
    """Make a directory, or change its owner and permissions."""

    directory: Directory
    make: bool

    def apply(self, host: Host) -> None:
        directory, names = self.directory, Names(host)
        uid, gid = names.owner(directory.owner), names.group_owner(directory.group)
        mode = None if directory.mode is None else int(directory.mode, 8)
        if self.make:
            host.mkdir(directory.name, mode=0o755 if mode is None else mode, uid=uid, gid=gid)
        else:
            host.change(directory.name, mode=mode, uid=uid, gid=gid)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveDirectory(LocalStep):
    """Remove a directory; ``whole`` where the guard let its contents go."""

    path: str
    whole: bool

    def apply(self, host: Host) -> None:
        host.rmdir(self.path, whole=self.whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class PutSymlink(LocalStep):
    """Make a symbolic link, or point it elsewhere."""

    link: Symlink

    def apply(self, host: Host) -> None:
        host.symlink(self.link.name, self.link.target or "")
