"""Lines of files that others write too: ``line_in_file`` and ``host_entry``.

What is not ours stays as it was, byte by byte: other lines, line ends, a missing last line end, and
bytes that are not UTF-8.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Permanent
from rackwright.model.resource import Resource
from rackwright_providers.server.file_resources import LineInFile
from rackwright_providers.server.handler import LocalStep
from rackwright_providers.server.network_resources import HostEntry
from rackwright_providers.transport.local import Host, Reader

HOSTS = "/etc/hosts"

Lines = tuple[tuple[str, str], ...]
"""Each line and its end: ``\\n``, ``\\r\\n``, or nothing after the last."""


def split(data: bytes) -> Lines:
    """The lines of ``data``."""
    parts = data.decode(errors="surrogateescape").split("\n")
    last = ((parts[-1], ""),) if parts[-1] else ()
    ended = ((p[:-1], "\r\n") if p.endswith("\r") else (p, "\n") for p in parts[:-1])
    return (*ended, *last)


def join(lines: Lines) -> bytes:
    """The bytes that `split` took apart."""
    return "".join(body + end for body, end in lines).encode(errors="surrogateescape")


def put(lines: Lines, line: str, ours: Callable[[str], bool]) -> Lines:
    """``lines`` with the first of ``ours`` as ``line`` and without the others; appended when there is
    none, with the line end that the file uses."""
    kept: list[tuple[str, str]] = []
    placed = False
    for body, end in lines:
        if not ours(body):
            kept.append((body, end))
        elif not placed:
            kept.append((line, end))
            placed = True
    if not placed:
        ending = lines[0][1] if lines and lines[0][1] else "\n"
        if kept and not kept[-1][1]:
            kept[-1] = (kept[-1][0], ending)
        kept.append((line, ending))
    return tuple(kept)


def take(lines: Lines, ours: Callable[[str], bool]) -> Lines:
    """``lines`` without ``ours``."""
    return tuple((body, end) for body, end in lines if not ours(body))


def _ours(line: str, match: str | None) -> Callable[[str], bool]:
    if match is None:
        return lambda body: body == line
    pattern = re.compile(match)
    return lambda body: body == line or pattern.search(body) is not None


def _for_people(line: str) -> str:
    return line.encode(errors="surrogateescape").decode(errors="replace")


@dataclass(frozen=True, slots=True)
class HostLine:
    """A line of hosts(5)."""

    address: str
    names: tuple[str, ...]
    comment: str

    @classmethod
    def parse(cls, line: str) -> HostLine | None:
        """None for a comment, an empty line and what is no address."""
        text, hash_sign, comment = line.partition("#")
        fields = text.split()
        if not fields:
            return None
        try:
            address = str(ipaddress.ip_address(fields[0]))
        except ValueError:
            return None
        return cls(address, tuple(fields[1:]), f" {hash_sign}{comment}" if hash_sign else "")


def _of_address(address: str) -> Callable[[str], bool]:
    def ours(line: str) -> bool:
        found = HostLine.parse(line)
        return found is not None and found.address == address

    return ours


class LineHandler:
    """`LineInFile` and `HostEntry`."""

    nouns: tuple[type[Resource], ...] = (LineInFile, HostEntry)
    root_only_files = True

    def read(self, host: Reader, wanted: Sequence[Resource]) -> Mapping[Address, Resource]:
        files: dict[str, Lines] = {}
        found: dict[Address, Resource] = {}
        for resource in wanted:
            path = _path(resource)
            if path not in files:
                try:
                    files[path] = split(host.read_bytes(path) or b"")
                except Permanent:
                    files[path] = ()  # writing it fails with the reason, and only it
            if isinstance(resource, LineInFile):
                line = _seen_line(files[path], resource)
                if line is not None:
                    found[resource.address] = LineInFile(
                        name=resource.name, path=path, line=line, match=resource.match
                    )
            else:
                parsed = [HostLine.parse(body) for body, _ in files[path]]
                ours = [line for line in parsed if line and line.address == resource.name]
                names = tuple(dict.fromkeys(name for line in ours for name in line.names))
                if names:
                    found[resource.address] = HostEntry(name=resource.name, hostnames=names)
        return found

    def render(self, changes: Sequence[Change]) -> Sequence[LocalStep]:
        return [_step(change) for change in changes]


def _path(resource: Resource) -> str:
    return (resource.path or "") if isinstance(resource, LineInFile) else HOSTS


def _seen_line(lines: Lines, wanted: LineInFile) -> str | None:
    """What stands for ``wanted``; None when nothing does."""
    ours = _ours(wanted.line or "", wanted.match)
    seen = [body for body, _ in lines if ours(body)]
    if not seen:
        return None
    if wanted.match is None:
        return wanted.line  # once is enough, and twice does no harm
    return _for_people("\n".join(seen))


def _step(change: Change) -> LocalStep:
    resource = change.after or change.before
    if resource is None:
        raise Permanent(f"{change.address} has neither a before nor an after")
    path = _path(resource)
    if change.action == "remove":
        text = f"take {change.address.name} out of {path}"
        return EditLines(
            addresses=(change.address,), text=text, path=path, resource=resource, remove=True
        )
    line = resource.line if isinstance(resource, LineInFile) else _host_line(resource, "")
    return EditLines(
        addresses=(change.address,),
        text=f"put into {path}: {line}",
        path=path,
        resource=resource,
        remove=False,
    )


def _host_line(resource: Resource, comment: str) -> str:
    names = resource.hostnames or () if isinstance(resource, HostEntry) else ()
    return f"{resource.name}\t{' '.join(names)}{comment}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EditLines(LocalStep):
    """Put one line into a file, or take it out."""

    path: str
    resource: Resource
    remove: bool

    def apply(self, host: Host) -> None:
        old = host.read_bytes(self.path)
        lines = split(old or b"")
        if isinstance(self.resource, LineInFile):
            line = self.resource.line or ""
            ours = _ours(line, self.resource.match)
        else:
            ours = _of_address(self.resource.name)
            parsed = (HostLine.parse(body) for body, _ in lines if ours(body))
            comment = next((found.comment for found in parsed if found), "")
            line = _host_line(self.resource, comment)
        new = join(take(lines, ours) if self.remove else put(lines, line, ours))
        if new != (old or b""):
            host.backup(self.path)
            host.write(self.path, new)
