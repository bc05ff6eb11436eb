"""Paths under a root that no symlink leads out of, and that no other user can bend.

Every directory on the way is opened by itself, relative to the one before, never through a link
that the kernel follows for us. Links are resolved here as chroot(2) would: an absolute one starts at
the root, ``..`` stops there. What a link of an ordinary user leads to must be that user's own (the
rule of the kernel's protected_symlinks, without its limit to sticky directories); otherwise whoever
owns a directory could make us read or write what belongs to somebody else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from types import TracebackType

LINKS = 40
"""Links followed on one path before it counts as a loop; the kernel's own limit (path_resolution(7))."""

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Entry:
    """A name in an open directory. A context manager: the directory is closed at its end."""

    __slots__ = ("_open", "fd", "name")

    def __init__(self, fds: list[int], name: str) -> None:
        self._open = fds
        self.fd = fds[-1]
        self.name = name

    def lstat(self) -> os.stat_result:
        """Of the entry itself. Raises OSError."""
        return os.stat(self.name, dir_fd=self.fd, follow_symlinks=False)

    def open(self, flags: int, mode: int = 0o600) -> int:
        """A descriptor of the entry, never through a link. Raises OSError."""
        return os.open(self.name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=self.fd)

    def __enter__(self) -> Entry:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for fd in self._open:
            os.close(fd)


class Rooted:
    """A directory as the root of all paths. Raises OSError when it is none."""

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Give the root back. Nothing can be found afterwards."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def find(self, path: str, *, follow: bool) -> Entry:
        """The last name of absolute ``path`` in its open directory; with ``follow``, of what it
        points at when it is a link. The name itself need not exist. Raises OSError."""
        fds = [os.dup(self._root)]
        try:
            name, strangers, linked = self._walk(fds, path, follow)
            if strangers:
                _check_strangers(fds[-1], name if linked else ".", strangers, path)
        except BaseException:
            for fd in fds:
                os.close(fd)
            raise
        return Entry(fds, name)

    def _walk(self, fds: list[int], path: str, follow: bool) -> tuple[str, set[int], bool]:
        """Leaves the open directories of the way in ``fds``. The last name, the users (not root, not
        ourselves) whose links were followed, and whether the last name was a link."""
        todo = path.split("/")[::-1]
        strangers: set[int] = set()
        links, linked = 0, False
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if len(fds) > 1:
                    os.close(fds.pop())
                continue
            last = not any(rest not in ("", ".") for rest in todo)
            if last:
                target = _link(fds[-1], part, strangers) if follow else ""
                if not target:
                    return part, strangers, linked
                linked = True
            else:
                try:
                    fds.append(os.open(part, _DIRECTORY, dir_fd=fds[-1]))
                    continue
                except NotADirectoryError:
                    target = _link(fds[-1], part, strangers)
                    if not target:
                        raise
            links += 1
            if links > LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if target.startswith("/"):
                while len(fds) > 1:
                    os.close(fds.pop())
            todo.extend(target.split("/")[::-1])
        return ".", strangers, linked


def _link(directory: int, name: str, strangers: set[int]) -> str:
    """Where link ``name`` points, empty when it is no link or not there; notes whose it is."""
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return ""
    if not stat.S_ISLNK(found.st_mode):
        return ""
    if found.st_uid not in (0, os.geteuid()):
        strangers.add(found.st_uid)
    return os.readlink(name, dir_fd=directory)


def _check_strangers(directory: int, name: str, strangers: set[int], path: str) -> None:
    owners = {os.fstat(directory).st_uid}
    with contextlib.suppress(FileNotFoundError):
        owners.add(os.stat(name, dir_fd=directory, follow_symlinks=False).st_uid)
    if owners != strangers:
        message = "a symbolic link of another user leads to what is not that user's"
        raise PermissionError(errno.EACCES, message, path)
