"""Files that change in one step, and the attributes that go with them."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from rackwright.model.errors import Permanent
from rackwright_providers.transport.rooted import Entry

_KEPT_ATTRIBUTES = ("security.selinux", "system.posix_acl_access", "user.")


def may_own(uid: int | None, gid: int | None) -> None:
    """Raises Permanent when we may not give a file to ``uid`` and ``gid``."""
    if os.geteuid() == 0:
        return
    if uid is not None and uid != os.geteuid():
        raise Permanent(
            f"only root can give a file to user {uid}; the agent runs as {os.geteuid()}"
        )
    if gid is not None and gid != os.getegid() and gid not in os.getgroups():
        raise Permanent(f"the agent's user is not in group {gid}; only root can give a file to it")


def what(found: os.stat_result) -> str:
    """What kind of thing that is, for a person."""
    kinds = {
        stat.S_IFREG: "a regular file",
        stat.S_IFDIR: "a directory",
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFSOCK: "a socket",
        stat.S_IFIFO: "a named pipe",
    }
    return kinds.get(stat.S_IFMT(found.st_mode), "a device")


_DRAFT = ".rackwright-new"


def is_draft(name: str) -> bool:
    """Whether a file of this name is what a crash left of the next version of another one."""
    return name.startswith(".") and name.endswith(_DRAFT)


def temporary(entry: Entry) -> str:
    """The name under which the next version of ``entry`` is made. Always the same one, so that what
    a crash leaves behind is found and replaced; it starts with a dot, so that cron, sudo and the
    like do not read it. What is there of it is removed."""
    name = f".{os.fsdecode(os.fsencode(entry.name)[:200])}{_DRAFT}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=entry.fd)
    return name


def replace(
    entry: Entry,
    data: bytes,
    *,
    mode: int,
    uid: int | None,
    gid: int | None,
    old: os.stat_result | None,
) -> None:
    """Write ``data`` beside ``entry`` and move it there. Raises OSError, or Permanent for an owner
    that we may not give."""
    may_own(uid, gid)
    new = temporary(entry)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(new, flags, 0o600, dir_fd=entry.fd)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fchown(fd, -1 if uid is None else uid, -1 if gid is None else gid)
            if old is not None:
                _copy_attributes(entry, fd)
            os.fchmod(fd, mode)
            os.fsync(fd)
        os.rename(new, entry.name, src_dir_fd=entry.fd, dst_dir_fd=entry.fd)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(new, dir_fd=entry.fd)
        raise
    sync_directory(entry)


def attributes(fd: int, *, mode: int | None, uid: int | None, gid: int | None) -> None:
    """Of what an O_PATH descriptor stands for; the owner first, since giving it away drops set-id."""
    now = os.fstat(fd)
    path = f"/proc/self/fd/{fd}"
    uid = None if uid == now.st_uid else uid
    gid = None if gid == now.st_gid else gid
    may_own(uid, gid)
    if uid is not None or gid is not None:
        os.chown(path, -1 if uid is None else uid, -1 if gid is None else gid)
    if mode is not None:
        Path(path).chmod(mode)


def _copy_attributes(entry: Entry, fd: int) -> None:
    """Capabilities are left out: they were given to the old content."""
    try:
        source = entry.open(os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return
    try:
        for name in os.listxattr(source):
            if name.startswith(_KEPT_ATTRIBUTES):
                with contextlib.suppress(OSError):  # the file system or our rights may not allow it
                    os.setxattr(fd, name, os.getxattr(source, name))
    except OSError:
        return
    finally:
        os.close(source)


def sync_directory(entry: Entry) -> None:
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=entry.fd)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
