"""Files of a node's state directory: replaced atomically, locked by one run at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rackwright.model.errors import Temporary


def replace(path: Path, body: bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Write ``path`` so that at any instant it is whole, old or new; with ``durable``, also after a
    power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(body)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)


def sweep(directory: Path) -> None:
    """Remove what `replace` had begun in ``directory`` when its process was killed.

    To be called when no thread of this process is writing there.
    """
    for draft in directory.glob(".*.new"):
        pid = draft.name.split(".")[-2]
        if pid.isdecimal() and (int(pid) == os.getpid() or not _lives(int(pid))):
            draft.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def sync_directory(path: Path) -> None:
    """Make renames in ``path`` last."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Busy(Temporary):
    """Another run has the node: nothing is known of the node itself."""


@contextmanager
def run_lock(path: Path) -> Iterator[None]:
    """Hold the run lock of a node. Raises Busy that names the holder when another run has it.

    The kernel lets go of it when the holder dies, however it dies.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, flags, 0o600)
    # Of one length, so that a new pid covers an old one whole.
    ours = f"{os.getpid():<10}\n".encode()
    try:
        _take(fd, fcntl.LOCK_EX)
        if os.pread(fd, 32, 0) != ours:
            os.pwrite(fd, ours, 0)
        yield
    finally:
        os.close(fd)


@contextmanager
def looking_lock(path: Path) -> Iterator[None]:
    """Keep runs of a node out while somebody only looks, as far as there has ever been one here. Writes
    nothing. Raises Busy when a run is under way; others may look too."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    try:
        _take(fd, fcntl.LOCK_SH)
        yield
    finally:
        os.close(fd)


def _take(fd: int, how: int) -> None:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
        # Who only looks does not write its pid.
        looks = pid.isdecimal() and (int(pid) == os.getpid() or not _lives(int(pid)))
        holder = "a dry run" if looks else f"pid {pid}"
        raise Busy(f"another run of this node is under way ({holder}); one writer a node") from None
