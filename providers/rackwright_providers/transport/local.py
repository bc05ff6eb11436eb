"""The local host: a reader that cannot write, and the host that can.

Paths of file-like resources are resolved under ``--root``; a symlink inside the root never leads
out of it. Commands run with an argument list, a fixed locale, no standard input and a time limit.
Foreign exceptions end here: what goes wrong is `Permanent`, or `Rejected` when a command failed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from rackwright.model.errors import Permanent
from rackwright_providers.transport import backups
from rackwright_providers.transport.atomic import (
    attributes,
    is_draft,
    may_own,
    replace,
    sync_directory,
    temporary,
    what,
)
from rackwright_providers.transport.command import Output, execute
from rackwright_providers.transport.rooted import Entry, Rooted

PROBES: tuple[tuple[str, ...], ...] = (
    ("dpkg-query", "-W"),
    ("rpm", "-q"),
    ("apt-cache", "policy"),
    ("systemctl", "show"),
    ("systemctl", "is-active"),
    ("systemctl", "is-enabled"),
    ("getent",),
    ("findmnt",),
    ("lsblk",),
    ("blkid",),
    ("lldpcli", "-f", "json", "show"),
)
"""The commands that a `Reader` may run, by their first words. None of them changes anything."""

_ABSENT = (errno.ENOENT, errno.ENOTDIR)


class Found(NamedTuple):
    """A regular file that was read."""

    stat: os.stat_result
    data: bytes | None
    """None when it was not asked for, or may not be read."""


@contextlib.contextmanager
def _mapped(path: str) -> Iterator[None]:
    """OSError as Permanent: a full disk or a missing right fails this resource and no other."""
    try:
        yield
    except OSError as error:
        raise Permanent(f"{path}: {error.strerror or error}") from error


class Reader:
    """A session on this host without any way to write."""

    writable = False

    def __init__(
        self,
        root: Path = Path("/"),
        *,
        state: Path | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """``state``: the agent's own directory. Raises Permanent when ``root`` is no directory."""
        self.state = state
        with _mapped(str(root)):
            self.root = root.resolve()
            self._rooted = Rooted(self.root)
        self.stop = stop or threading.Event()
        self.via = "local" if self.live else f"local under {self.root}"

    @property
    def live(self) -> bool:
        """Whether the root is this system's own, so that commands concern it too."""
        return self.root == Path("/")

    def alive(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Give the root back."""
        self._rooted.close()

    def lstat(self, path: str) -> os.stat_result | None:
        """Of ``path`` itself; None when it is not there. Raises Permanent."""
        return self._stat(path, follow=False)

    def stat(self, path: str) -> os.stat_result | None:
        """Of what ``path`` leads to under the root; None when it is not there. Raises Permanent."""
        return self._stat(path, follow=True)

    def _stat(self, path: str, *, follow: bool) -> os.stat_result | None:
        try:
            with self._rooted.find(path, follow=follow) as entry:
                return entry.lstat()
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise Permanent(f"{path}: {error.strerror}") from error

    def look(self, path: str, *, content: bool = True, follow: bool = True) -> Found | None:
        """The regular file that ``path`` is or (with ``follow``) links to; None when there is none.
        Raises Permanent, but not for a content that may not be read."""
        try:
            with self._rooted.find(path, follow=follow) as entry:
                found = entry.lstat()
                if not stat.S_ISREG(found.st_mode):
                    return None
                if not content:
                    return Found(found, None)
                try:
                    return Found(*_read(entry))
                except PermissionError:
                    return Found(found, None)
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise Permanent(f"{path}: {error.strerror}") from error

    def read_bytes(self, path: str) -> bytes | None:
        """The content of the regular file at ``path``; None when there is none. Raises Permanent."""
        try:
            with self._rooted.find(path, follow=True) as entry:
                if not stat.S_ISREG(entry.lstat().st_mode):
                    return None
                return _read(entry)[1]
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise Permanent(f"{path}: {error.strerror}") from error

    def readlink(self, path: str) -> str | None:
        """Where the symbolic link ``path`` points; None when it is not there or no link."""
        try:
            with self._rooted.find(path, follow=False) as entry:
                return os.readlink(entry.name, dir_fd=entry.fd)
        except OSError as error:
            if error.errno in (*_ABSENT, errno.EINVAL):
                return None
            raise Permanent(f"{path}: {error.strerror}") from error

    def listdir(self, path: str, *, at_most: int | None = None) -> tuple[str, ...]:
        """The names in directory ``path``, sorted, or any ``at_most`` of them; none when it is not
        there. Raises Permanent."""
        try:
            with self._rooted.find(path, follow=True) as entry:
                fd = entry.open(os.O_RDONLY | os.O_DIRECTORY)
                try:
                    with os.scandir(fd) as found:
                        return tuple(sorted(one.name for one in islice(found, at_most)))
                finally:
                    os.close(fd)
        except OSError as error:
            if error.errno in _ABSENT:
                return ()
            raise Permanent(f"{path}: {error.strerror}") from error

    def probe(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> Output:
        """Run one of `PROBES`, which only read, whatever its exit status. Raises Permanent."""
        if not any(tuple(argv[: len(known)]) == known for known in PROBES):
            raise Permanent(f"a reader does not run {' '.join(argv)!r}")
        return execute(argv, env=env, timeout=timeout, check=False)


class Host(Reader):
    """A session on this host that can write. Backups go to ``state``."""

    writable = True

    def backup(self, path: str) -> None:
        """Keep the content of the regular file at ``path``, if there is one. Raises Permanent."""
        data = self.read_bytes(path)
        if data is not None and self.state is not None:
            with _mapped(str(self.state)):
                backups.keep(self.state / "backups", path, data)

    def write(
        self,
        path: str,
        data: bytes,
        *,
        mode: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
        follow: bool = True,
    ) -> None:
        """Put ``data`` at ``path`` in one step: at every instant the old or the new file is there,
        whole, on disk. Its directory must exist.

        What is None is taken from the file that was there, else it is 0644 and ourselves. A symbolic
        link is followed to the regular file that it leads to, which is replaced; one that leads to
        nothing or to anything else is refused, and without ``follow`` every link. Extended attributes (SELinux context, ACL) are kept.
        Raises Permanent, before anything is written, for an owner that we may not give.
        """
        with _mapped(path), self._rooted.find(path, follow=follow) as entry:
            old = _lstat(entry)
            if old is None and stat.S_ISLNK(_mode(self.lstat(path))):
                raise Permanent(f"{path} is a symbolic link that leads to nothing")
            if old is not None and not stat.S_ISREG(old.st_mode):
                raise Permanent(f"{path} is {what(old)}, not a regular file")
            if old is not None:
                uid = old.st_uid if uid is None else uid
                gid = old.st_gid if gid is None else gid
                mode = stat.S_IMODE(old.st_mode) if mode is None else mode
            replace(entry, data, mode=0o644 if mode is None else mode, uid=uid, gid=gid, old=old)

    def change(
        self,
        path: str,
        *,
        mode: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
        follow: bool = True,
    ) -> None:
        """Owner, group and permissions of what is at ``path``. Raises Permanent."""
        with _mapped(path), self._rooted.find(path, follow=follow) as entry:
            fd = entry.open(os.O_PATH)
            try:
                attributes(fd, mode=mode, uid=uid, gid=gid)
            finally:
                os.close(fd)

    def mkdir(
        self,
        path: str,
        *,
        mode: int = 0o755,
        uid: int | None = None,
        gid: int | None = None,
    ) -> None:
        """Make one directory. Raises Permanent when something is there or its parent is not."""
        with _mapped(path), self._rooted.find(path, follow=False) as entry:
            may_own(uid, gid)
            os.mkdir(entry.name, 0o700, dir_fd=entry.fd)
            fd = entry.open(os.O_PATH)
            try:
                attributes(fd, mode=mode, uid=uid, gid=gid)
            finally:
                os.close(fd)

    def symlink(self, path: str, target: str) -> None:
        """Make or replace a symbolic link in one step. Raises Permanent when anything else is there."""
        with _mapped(path), self._rooted.find(path, follow=False) as entry:
            old = _lstat(entry)
            if old is not None and not stat.S_ISLNK(old.st_mode):
                raise Permanent(f"{path} is {what(old)}, not a symbolic link")
            new = temporary(entry)
            os.symlink(target, new, dir_fd=entry.fd)
            os.rename(new, entry.name, src_dir_fd=entry.fd, dst_dir_fd=entry.fd)
            sync_directory(entry)

    def remove(self, path: str) -> None:
        """Remove a file or a link, not what it points at; nothing when it is not there."""
        with _mapped(path), self._rooted.find(path, follow=False) as entry:
            temporary(entry)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(entry.name, dir_fd=entry.fd)
            sync_directory(entry)

    def rmdir(self, path: str, *, whole: bool = False) -> None:
        """Remove a directory, and in it what a crash left of files of ours; with ``whole``, and
        everything in it, but not when a file system is mounted there or below. Raises Permanent."""
        with _mapped(path), self._rooted.find(path, follow=False) as entry:
            if whole:
                _check_mounts(entry)
                from shutil import rmtree  # a rare case, and it imports every kind of archive

                rmtree(entry.name, dir_fd=entry.fd)
            else:
                _drop_drafts(entry)
                os.rmdir(entry.name, dir_fd=entry.fd)
            sync_directory(entry)

    def run(
        self,
        argv: Sequence[str],
        *,
        input: str = "",  # as subprocess calls it
        env: Mapping[str, str] | None = None,
        timeout: float = 300.0,
        user: str = "",
        cwd: str = "/",
        check: bool = True,
    ) -> Output:
        """Run a command on the live system, whatever the root is. With ``check``, raises Rejected when it fails; always
        when it does not end in ``timeout`` seconds, and Permanent when it is not there."""
        return execute(argv, input=input, env=env, timeout=timeout, user=user, cwd=cwd, check=check)


def _read(entry: Entry) -> tuple[os.stat_result, bytes]:
    fd = entry.open(os.O_RDONLY | os.O_NONBLOCK)  # a pipe put there meanwhile must not block us
    with os.fdopen(fd, "rb", buffering=0) as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise FileNotFoundError(errno.ENOENT, "it is no regular file any more")
        return found, file.readall()


def _lstat(entry: Entry) -> os.stat_result | None:
    try:
        return entry.lstat()
    except FileNotFoundError:
        return None


def _mode(found: os.stat_result | None) -> int:
    return found.st_mode if found else 0


def _drop_drafts(entry: Entry) -> None:
    fd = entry.open(os.O_RDONLY | os.O_DIRECTORY)
    try:
        with os.scandir(fd) as found:
            drafts = [one.name for one in found if is_draft(one.name)]
        for name in drafts:
            os.unlink(name, dir_fd=fd)
    finally:
        os.close(fd)


def _check_mounts(entry: Entry) -> None:
    real = str(Path(f"/proc/self/fd/{entry.fd}").readlink() / entry.name)
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), line.split()[4])
        if point == real or point.startswith(f"{real}/"):
            raise Permanent(f"a file system is mounted at {point}")
