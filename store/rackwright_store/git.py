"""Follow one branch of a git repository, by the git command line.

What is followed is kept in a bare mirror in the store's data directory, so that the last good
revision can be read again when the repository is away or its history was rewritten.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from rackwright.model.errors import Permanent, Temporary

FETCHED = "refs/rackwright/head"
IN_FORCE = "refs/rackwright/in-force"
MAX_TREE = 64 * 1024 * 1024
"""Bytes of all files of one revision together."""
MAX_FILES = 100_000

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|[^/\s]+:(?!\\)")
_REPOSITORY_OF_CALLER = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY",
                         "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PREFIX")  # fmt: skip


def masked(text: str) -> str:
    """``text`` with the credentials in every URL replaced."""
    return _CREDENTIALS.sub("***@", text)


class Follower:
    """One branch and its mirror. All methods do I/O and block; use it from one thread at a time.

    ``site`` is a local path (a repository, a bare one, or a directory inside one: then only that
    directory is the site) or anything that ``git fetch`` takes. Without ``branch`` the
    repository's HEAD is followed. Raises Permanent for what cannot be a repository.
    """

    def __init__(self, site: str, mirror: Path, *, branch: str = "", timeout: float = 120) -> None:
        self._timeout = timeout
        self._mirror = mirror
        self._branch = branch
        self._prefix = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._interrupted = threading.Event()
        self._content: Mapping[str, bytes] = {}
        """The blobs of the tree that was read last: most commits change few of them."""
        self.local = not _is_url(site)
        if branch and self._run("check-ref-format", "--branch", branch, check=False) is None:
            raise Permanent(f"{branch!r} cannot be a branch's name")
        self._shown = str(Path(site).expanduser().absolute()) if self.local else masked(site)
        self._url = self._locate(Path(site)) if self.local else site
        self._prepare_mirror()

    @property
    def shown(self) -> str:
        """What is followed, fit to be shown."""
        return f"{self._shown} (branch {self._branch})" if self._branch else self._shown

    def interrupt(self) -> None:
        """End the git command that is at work, and start no other. May be called from any thread."""
        self._interrupted.set()
        process = self._process
        if process is not None:
            _end(process)

    def head(self) -> str:
        """The commit that the branch is at now, without fetching it.

        Raises Temporary when the repository is away or has no such branch (it may come back).
        """
        ref = f"refs/heads/{self._branch}" if self._branch else "HEAD"
        if self.local:
            # A rev-parse costs a third of an ls-remote, and is asked every second.
            found = self._run("-C", self._url, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", check=False)  # fmt: skip
            line = (found or b"").decode().strip()
        else:
            output = self._remote("ls-remote", "--quiet", "origin", ref).decode()
            lines = [line.split("\t") for line in output.splitlines()]
            line = next((oid for oid, name in lines if name == ref), "")
        if not _COMMIT.fullmatch(line):
            if self.local and not Path(self._url).exists():
                raise Temporary(f"{self.shown}: the repository is not there any more")
            raise Temporary(f"{self.shown}: no such branch, or no commit on it yet")
        return line

    def fetch(self) -> str:
        """Bring what the branch is at into the mirror, whatever its history was. Returns the commit."""
        ref = f"refs/heads/{self._branch}" if self._branch else "HEAD"
        self._remote("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "origin", f"+{ref}:{FETCHED}")  # fmt: skip
        return self._own("rev-parse", "--verify", f"{FETCHED}^{{commit}}").decode().strip()

    def keep(self, commit: str) -> None:
        """Hold ``commit`` in the mirror, also when the branch forgets it."""
        self._own("update-ref", IN_FORCE, commit)

    def tree(self, commit: str, belongs: Callable[[str], bool]) -> Mapping[str, bytes]:
        """The files of ``commit`` whose path, relative to the site's root, ``belongs`` to a site.
        A symbolic link to a file of the site is that file; any other is left out, as submodules
        are. Raises Permanent when the commit is not in the mirror or is too large."""
        listing = self._own("ls-tree", "-r", "-z", "--long", "--full-tree", commit)
        blobs: dict[str, str] = {}
        links: dict[str, str] = {}
        total = 0
        for record in filter(None, listing.split(b"\0")):
            meta, _, raw = record.partition(b"\t")
            mode, _, oid, size = meta.decode().split()
            path = raw.decode(errors="replace").removeprefix(self._prefix)
            if not raw.decode(errors="replace").startswith(self._prefix) or not belongs(path):
                continue
            if mode == "120000":
                links[path] = oid
            elif mode.startswith("100"):
                blobs[path] = oid
            total += int(size) if size != "-" else 0
        if total > MAX_TREE or len(blobs) + len(links) > MAX_FILES:
            raise Permanent(
                f"commit {commit[:10]} is too large for a site: {len(blobs)} files, {total} bytes "
                f"(at most {MAX_FILES} files, {MAX_TREE} bytes)"
            )
        wanted = {*blobs.values(), *links.values()}
        content = {oid: body for oid, body in self._content.items() if oid in wanted}
        content |= self._blobs(wanted - content.keys())
        self._content = content
        files = {path: content[oid] for path, oid in blobs.items()}
        targets = {path: content[oid].decode(errors="replace") for path, oid in links.items()}
        for path in links:
            target = _resolve(path, targets)
            if target in blobs:
                files[path] = files[target]
        return dict(sorted(files.items()))

    def _blobs(self, oids: Collection[str]) -> Mapping[str, bytes]:
        if not oids:
            return {}
        order = sorted(oids)
        output = self._own("cat-file", "--batch", stdin="".join(f"{oid}\n" for oid in order).encode())  # fmt: skip
        found: dict[str, bytes] = {}
        at = 0
        for oid in order:
            end = output.find(b"\n", at)
            header = output[at:end].decode().split()
            if len(header) != 3 or header[:2] != [oid, "blob"]:
                raise Permanent(f"{self._mirror.name}: object {oid} cannot be read")
            at = end + 1 + int(header[2]) + 1
            found[oid] = output[end + 1 : at - 1]
        return found

    def _locate(self, path: Path) -> str:
        path = path.expanduser().resolve()
        if not path.is_dir():
            raise Permanent(f"{path}: no such directory")
        found = self._run("-C", str(path), "rev-parse", "--show-prefix", "--absolute-git-dir", check=False)  # fmt: skip
        if found is None:
            raise Permanent(
                f"{path} is not a git repository that we may read; a store follows commits: "
                "`git init` it and commit, or add it to safe.directory if another user owns it"
            )
        prefix, git_dir = found.decode().split("\n")[:2]
        self._prefix = prefix
        return git_dir

    def _prepare_mirror(self) -> None:
        if not (self._mirror / "HEAD").exists():
            self._mirror.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._run("init", "--quiet", "--bare", str(self._mirror))
        # Left by a git that was killed. Nobody else writes here: the data directory is locked.
        for lock in [*self._mirror.glob("*.lock"), *(self._mirror / "refs").rglob("*.lock")]:
            lock.unlink(missing_ok=True)

    def _own(self, *args: str, stdin: bytes | None = None) -> bytes:
        return self._must("--git-dir", str(self._mirror), *args, stdin=stdin)

    def _remote(self, *args: str) -> bytes:
        # The URL goes in by the environment: arguments are seen by every user of the machine.
        remote = {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "remote.origin.url",
            "GIT_CONFIG_VALUE_0": self._url,
        }
        return self._must("--git-dir", str(self._mirror), *args, environment=remote, temporary=True)

    def _must(
        self,
        *args: str,
        stdin: bytes | None = None,
        environment: Mapping[str, str] | None = None,
        temporary: bool = False,
    ) -> bytes:
        output = self._run(*args, stdin=stdin, environment=environment, temporary=temporary)
        if output is None:
            raise Permanent("git failed")
        return output

    def _run(
        self,
        *args: str,
        stdin: bytes | None = None,
        environment: Mapping[str, str] | None = None,
        check: bool = True,
        temporary: bool = False,
    ) -> bytes | None:
        """Output of one git command; None when it failed and ``check`` is off."""
        env = {
            name: value for name, value in os.environ.items() if name not in _REPOSITORY_OF_CALLER
        }
        env |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
        env.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=15")
        env |= environment or {}
        try:
            process = subprocess.Popen(
                ["git", *args],
                stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                start_new_session=True,
            )
        except OSError as error:
            raise Permanent(f"git cannot be started: {error.strerror}; install git") from error
        self._process = process
        if self._interrupted.is_set():
            _end(process)
        try:
            output, complaint = process.communicate(stdin, timeout=self._timeout)
        except subprocess.TimeoutExpired:
            _end(process)
            process.communicate()
            raise Temporary(f"{self.shown}: git did not answer in {self._timeout:g} s") from None
        finally:
            self._process = None
        if process.returncode == 0:
            return output
        if not check:
            return None
        what = masked(" ".join(complaint.decode(errors="replace").split())) or "git failed"
        if temporary:
            raise Temporary(f"{self.shown}: {what}")
        raise Permanent(f"{self._mirror.name}: {what}")


def _end(process: subprocess.Popen[bytes]) -> None:
    # Its helpers (ssh, remote-https) are in its session: all of them must go.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _is_url(site: str) -> bool:
    return bool(_URL.match(site)) and not Path(site).exists()


def _resolve(path: str, links: Mapping[str, str]) -> str:
    """Where the link at ``path`` ends, by path in the site; empty when it leads out or in circles."""
    for _ in range(len(links) + 1):
        if path not in links:
            return path
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), links[path]))
        if path.startswith(("../", "/")):
            return ""
    return ""
