"""Kernel parameters: the live value in /proc/sys, and a file that sets it at boot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Rejected
from rackwright.model.resource import Resource
from rackwright_providers.server.handler import LocalStep
from rackwright_providers.server.kernel_resources import Sysctl

if TYPE_CHECKING:
    from rackwright_providers.transport.local import Host, Reader

FOLDER = "/etc/sysctl.d"
LIVE = Path("/proc/sys")


class SysctlHandler:
    """``sysctl``: there when our file in /etc/sysctl.d says it, and in sync when the kernel does too.

    One that is removed loses its file; the kernel keeps the value until it boots. A file that sorts
    after ours and says otherwise wins at boot (Debian's 99-sysctl.conf, which is /etc/sysctl.conf),
    until the agent's first run. Under ``--root`` it is the file alone.
    """

    nouns: ClassVar[tuple[type[Resource], ...]] = (Sysctl,)
    root_only_files = True

    def read(self, host: Reader, wanted: Sequence[Resource]) -> Mapping[Address, Resource]:
        """I/O: one small file and one of /proc/sys each."""
        found: dict[Address, Resource] = {}
        for resource in wanted:
            if not isinstance(resource, Sysctl):
                continue
            saved = host.read_bytes(file_of(resource.name))
            if saved is None:
                continue
            values = [value_in(saved.decode(errors="replace"), resource.name)]
            if host.live:
                values += _live_values(resource.name)
            value = furthest(values, "" if resource.value is None else str(resource.value))
            found[resource.address] = Sysctl(name=resource.name, value=value)
        return found

    def render(self, changes: Sequence[Change]) -> Sequence[LocalStep]:
        """Pure."""
        steps: list[LocalStep] = []
        for change in changes:
            after = change.after
            name = change.address.name
            if change.action == "remove":
                text = f"rm {file_of(name)}"
                steps.append(ForgetSysctl(addresses=(change.address,), text=text, name=name))
            elif change.action in ("create", "update") and isinstance(after, Sysctl):
                value = str(after.value)
                text = f"sysctl -w '{name}={value}'\necho '{name} = {value}' > {file_of(name)}"
                steps.append(
                    SetSysctl(addresses=(change.address,), text=text, name=name, value=value)
                )
        return steps


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSysctl(LocalStep):
    """The kernel first: what it refuses must not be tried again at every boot."""

    name: str
    value: str

    def apply(self, host: Host) -> None:
        if host.live:
            paths = _live_paths(self.name)
            if not paths:
                raise Rejected(
                    f"this kernel has no parameter {self.name} (perhaps its module is not loaded)"
                )
            for path in paths:
                try:
                    path.write_text(self.value)
                except OSError as error:
                    why = f"{path}: {error.strerror}"
                    raise Rejected(
                        f"the kernel refuses {self.name} = {self.value}: {why}", output=why
                    ) from error
        if host.lstat(FOLDER) is None:
            host.mkdir(FOLDER)
        host.write(file_of(self.name), file_text(self.name, self.value).encode(), mode=0o644)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetSysctl(LocalStep):
    """The file goes, the value stays."""

    name: str

    def apply(self, host: Host) -> None:
        host.remove(file_of(self.name))


def parts(name: str) -> tuple[str, ...]:
    """The path below /proc/sys. As in sysctl.d(5): where a slash is the first separator dots are
    plain letters (``net/ipv4/conf/eth0.1/forwarding``), where a dot is, the two trade places
    (``net.ipv4.conf.eth0/1.forwarding``). What would lead out of it is left out."""
    dot, slash = name.find("."), name.find("/")
    if slash < 0 or 0 <= dot < slash:
        name = name.translate(str.maketrans("./", "/."))
    return tuple(part for part in name.split("/") if part not in ("", ".", ".."))


def file_of(name: str) -> str:
    """The file that sets ``name`` at boot: one a parameter, the same however it is spelled."""
    plain = ".".join(part.replace(".", "%2e").replace("*", "%2a") for part in parts(name))
    return f"{FOLDER}/90-rackwright-{plain}.conf"


def file_text(name: str, value: str) -> str:
    """What that file holds."""
    dotted = ".".join(part.replace(".", "/") for part in parts(name))
    return f"# Written by Rackwright, which also takes it away again.\n{dotted} = {value}\n"


def value_in(text: str, name: str) -> str:
    """The value that a file of sysctl.d(5) gives ``name``; empty when it gives none."""
    value = ""
    for line in text.splitlines():
        key, equals, right = line.partition("=")
        if equals and parts(key.strip().removeprefix("-")) == parts(name):
            value = " ".join(right.split())
    return value


def furthest(values: Iterable[str], wanted: str) -> str:
    """Of what several places say, the first that is not what is wanted; that, when all say it."""
    for value in values:
        if value != wanted:
            return value
    return wanted


def _live_paths(name: str) -> list[Path]:
    pattern = "/".join(parts(name))
    paths = LIVE.glob(pattern) if "*" in pattern else [LIVE / pattern]
    return sorted(path for path in paths if path.is_file())


def _live_values(name: str) -> list[str]:
    """What the kernel says; empty where it says nothing or has no such parameter."""
    found = []
    for path in _live_paths(name):
        try:
            found.append(" ".join(path.read_text().split()))
        except OSError:  # write-only ones: what cannot be read back cannot be verified
            found.append("")
    return found or [""]
