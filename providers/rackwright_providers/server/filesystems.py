"""File systems, made where there is nothing, and nowhere else."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Permanent, Rejected, Temporary
from rackwright.model.resource import Resource
from rackwright_providers.server.handler import LocalStep
from rackwright_providers.server.storage_resources import Filesystem

if TYPE_CHECKING:
    from rackwright_providers.transport.local import Host, Reader

NOTHING = "none"
UNKNOWN = "unknown data"
APPEARS = 30.0
"""Seconds for a device node to appear after its session was logged in to."""
LOOK = 0.1
"""Seconds between two looks for it."""
HEAD, TAIL = 4 * 2**20, 2**20
"""Bytes that must read as zeros: where partition tables, file systems, LVM, RAID and GPT's second
table begin."""
SYSFS = Path("/sys")

AMBIVALENT = 8
"""blkid(8): signatures of several things."""
MAKE: Mapping[str, tuple[str, ...]] = {
    "ext2": ("mkfs.ext2", "-q"),
    "ext3": ("mkfs.ext3", "-q"),
    "ext4": ("mkfs.ext4", "-q"),
    "xfs": ("mkfs.xfs", "-q"),
}
"""Without any option that forces: each looks for itself too, and ends when it finds something."""


class FilesystemHandler:
    """``filesystem``. A device that is not there (yet) reads as having none."""

    nouns: ClassVar[tuple[type[Resource], ...]] = (Filesystem,)
    root_only_files = False

    def read(self, host: Reader, wanted: Sequence[Resource]) -> Mapping[Address, Resource]:
        """I/O: what blkid finds on each."""
        found: dict[Address, Resource] = {}
        for one in wanted:
            if isinstance(one, Filesystem):
                fstype, label = _look(host, one.name) if host.stat(one.name) else (NOTHING, "")
                found[one.address] = Filesystem(
                    name=one.name,
                    fstype=fstype,
                    label=label or None,
                )
        return found

    def render(self, changes: Sequence[Change]) -> Sequence[LocalStep]:
        """Pure: one step a change. Raises Permanent where anything is that is not what is declared."""
        return [step for change in changes if (step := _step(change)) is not None]


def probed(output: str) -> tuple[str, str]:
    """Type and label from ``blkid -p -o export``."""
    held = dict(line.partition("=")[::2] for line in output.splitlines())
    kind = held.get("TYPE", "")
    table = held.get("PTTYPE", "")
    return kind or (f"partition table {table}" if table else NOTHING), held.get("LABEL", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeFilesystem(LocalStep):
    """Wait for the device, see that there is nothing, make the file system."""

    path: str
    command: tuple[str, ...]

    def apply(self, host: Host) -> None:
        wait_for(host, self.path)
        why = occupied(self.path) or signatures(host, self.path)
        if why:
            raise Rejected(f"no file system is made on {self.path}: {why}")
        host.run(self.command, timeout=3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLabel(LocalStep):
    """The file system is there, and is called something else."""

    command: tuple[str, ...]

    def apply(self, host: Host) -> None:
        host.run(self.command)


def _step(change: Change) -> LocalStep | None:
    before, after = change.before, change.after
    if change.action != "update" or not isinstance(after, Filesystem) or after.fstype is None:
        return None
    if not isinstance(before, Filesystem):
        return None
    addresses = (change.address,)
    if before.fstype == NOTHING:
        called = ("-L", after.label) if after.label else ()
        command = (*MAKE[after.fstype], *called, after.name)
        return MakeFilesystem(
            addresses=addresses, text=" ".join(command), path=after.name, command=command
        )
    if "fstype" in change.field_names:
        raise Permanent(
            f"{after.name} holds {before.fstype}: nothing is ever overwritten, not with "
            "`destroy: true` either; wipe it by hand when it is of no use (wipefs --all)"
        )
    name = after.label or ""
    command = ("e2label", after.name, name)
    if after.fstype == "xfs":
        command = ("xfs_admin", "-L", name, after.name)
    return SetLabel(addresses=addresses, text=" ".join(command), command=command)


def wait_for(host: Host, path: str) -> None:
    """Until udev has made ``path``. Raises Temporary when it does not come."""
    end = time.monotonic() + APPEARS
    while host.stat(path) is None:
        if time.monotonic() > end or host.stop.wait(LOOK):
            raise Temporary(f"there is no {path}")


def occupied(path: str) -> str:
    """What is on ``path``, or uses it, as far as the kernel and its bytes tell; empty when nothing."""
    real = os.path.realpath(path)
    try:
        descriptor = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise Permanent(f"{path}: {error.strerror}") from error
    try:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISBLK(kind):
            why = ("it is in use" if claimed(real) else "") or _parts(real)
        elif stat.S_ISREG(kind):
            why = _looped(real)
        else:
            why = "it is neither a block device nor a regular file"
        return why or _written(descriptor)
    except OSError as error:
        raise Permanent(f"{path}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def signatures(host: Host, path: str) -> str:
    """What wipefs finds; empty when nothing."""
    found = host.run(["wipefs", "--no-act", "--parsable", path]).out
    names = [line.split(",")[-1] for line in found.splitlines() if not line.startswith("#")]
    return f"it holds {', '.join(names)}" if names else ""


def claimed(device: str) -> bool:
    """Whether a block device or a part of it is mounted, swap, or part of RAID, LVM or multipath:
    then it cannot be opened with O_EXCL (open(2)). Raises OSError."""
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.EBUSY:
            return True
        raise
    return False


def _parts(device: str) -> str:
    name = os.path.basename(device)  # noqa: PTH119  beside realpath
    parts = sorted(
        found.parent.name for found in (SYSFS / "class/block" / name).glob("*/partition")
    )
    return f"it has partitions: {', '.join(parts)}" if parts else ""


def _looped(image: str) -> str:
    for backing in (SYSFS / "block").glob("loop*/loop/backing_file"):
        if backing.read_text(errors="replace").strip() == image:
            return f"it is in use as {backing.parents[1].name}"
    return ""


def _written(descriptor: int) -> str:
    """Whether the beginning or the end is anything but zeros."""
    size = os.lseek(descriptor, 0, os.SEEK_END)
    if not size:
        return "it has no size"
    for start, length in ((0, min(HEAD, size)), (max(0, size - TAIL), min(TAIL, size))):
        if os.pread(descriptor, length, start).strip(b"\0"):
            return f"it holds {UNKNOWN}"
    return ""


def _look(host: Reader, path: str) -> tuple[str, str]:
    """Type and label of what is on ``path``."""
    found = host.probe(["blkid", "-p", "-o", "export", path])
    if found.code == AMBIVALENT:
        return "several signatures", ""
    kind, label = probed(found.out)
    if kind == NOTHING and _has_data(path):
        return UNKNOWN, ""
    return kind, label


def _has_data(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return UNKNOWN in _written(descriptor)
    except OSError:
        return False
    finally:
        os.close(descriptor)
