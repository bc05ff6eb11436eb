"""A site in git, a store with TLS that follows it, and the agents that hang on that store.

Every process is the command that users start.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rackwright.client import AdminClient
from rackwright.model.errors import Unreachable
from tests.real import parts
from tests.real.restartable import Restartable

PATIENCE = 40.0
UNBUFFERED = {"PYTHONUNBUFFERED": "1"}
RACKWRIGHT = (sys.executable, "-c", "from rackwright.cli.main import main; main()")


@dataclass(frozen=True)
class Store:
    """A running store."""

    process: subprocess.Popen[bytes]
    port: int


@dataclass(kw_only=True)
class Served:
    """What a test does to a site, and what its store says of it."""

    base: Path
    store: Restartable[Store] = field(init=False)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The store, from outside of the namespaces."""
        return f"https://127.0.0.1:{self.store.running.port}"

    @property
    def clone(self) -> Path:
        """The working tree that people commit in."""
        return self.base / "clone"

    @property
    def authority(self) -> Path:
        """The certificate that agents trust."""
        return self.base / "tls" / "ca.pem"

    @property
    def key(self) -> Path:
        """The file with the admin credential."""
        return self.base / "store" / "admin.credential"

    def admin(self) -> AdminClient:
        """The store, as its admin."""
        return AdminClient(self.url, self.key.read_text().strip(), ca=str(self.authority))

    def push(self, message: str, files: Mapping[str, str | None]) -> str:
        """Commit ``files`` (None: gone) in the clone and push; the commit that is then the newest."""
        for name, text in files.items():
            if text is None:
                (self.clone / name).unlink(missing_ok=True)
            else:
                (self.clone / name).write_text(text)
        git(self.clone, "add", "--all")
        if git(self.clone, "status", "--porcelain"):
            git(self.clone, "commit", "--quiet", "--message", message)
            git(self.clone, "push", "--quiet", "origin", "main")
        return self.head()

    def head(self) -> str:
        """The newest commit."""
        return git(self.clone, "rev-parse", "HEAD").strip()

    def converged(self, commit: str) -> None:
        """Wait until ``commit`` is in force and every node is what it says."""
        seen: dict[str, Any] = {}

        def done() -> bool:
            with contextlib.suppress(Unreachable):
                seen.update(self.admin().status())
            force = (seen["store"]["in_force"] or {}).get("commit") if seen else None
            return force == commit and all(
                not node["pending"] and node["state"] in ("converged", "changed")
                for node in seen["nodes"]
            )

        try:
            parts.until(done, PATIENCE)
        except parts.PartError:
            raise AssertionError(f"{commit} did not come about: {json.dumps(seen, indent=1)}") from None  # fmt: skip

    def node(self, name: str) -> dict[str, Any]:
        """What the store's status says of one node."""
        nodes = self.admin().status()["nodes"]
        return dict(next(node for node in nodes if node["node"] == name))

    def reports(self, name: str, since: float) -> list[dict[str, Any]]:
        """The reports of runs that began after ``since``, oldest first."""
        admin = self.admin()
        runs = [run for run in admin.runs(name) if run["started"] > since]
        return [admin.report(name, run["id"]) for run in reversed(runs)]

    def run_now(self, *names: str) -> dict[str, dict[str, Any]]:
        """Send SIGUSR1 to the agents of these nodes, and wait for the report of each."""
        since = time.time()
        for name in names:
            self.processes[name].send_signal(signal.SIGUSR1)
        found: dict[str, dict[str, Any]] = {}

        def reported() -> bool:
            for name in names:
                for report in self.reports(name, since)[:1]:
                    found[name] = report
            return len(found) == len(names)

        parts.until(reported, PATIENCE, f"reports of {', '.join(names)} after SIGUSR1")
        return found

    def waits(self, name: str) -> list[str]:
        """Wait until a node is held up by others; what it waits for."""
        found: dict[str, Any] = {}

        def blocked() -> bool:
            found.update(self.node(name))
            return bool(found["state"] == "blocked")

        parts.until(blocked, PATIENCE, f"{name} is blocked")
        return list(found["waits_for"])

    def command(self, *words: str) -> str:
        """``rackwright WORDS``, as the admin, to its end."""
        env = {
            "RACKWRIGHT_STORE": self.url,
            "RACKWRIGHT_CA": str(self.authority),
            "RACKWRIGHT_ADMIN": str(self.key),
        }
        return parts.command([*RACKWRIGHT, *words], env=env)


def git(where: Path, *words: str) -> str:
    """git, without the settings of this machine."""
    env = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "operator"),
        **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "operator@example.com"),
    }
    return parts.command(["git", "-C", str(where), *words], env=env)


def repository(site: Served, files: Mapping[str, str]) -> None:
    """A bare repository, and a clone from which ``files`` are pushed to it."""
    bare = site.base / "site.git"
    bare.mkdir()
    git(bare, "init", "--quiet", "--bare", "--initial-branch=main")
    git(site.base, "clone", "--quiet", str(bare), str(site.clone))
    git(site.clone, "checkout", "--quiet", "-B", "main")
    site.push("The rack", files)


def authority(directory: Path, addresses: list[str]) -> None:
    """An authority of our own, and the certificate that it gives the store."""
    directory.mkdir()
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]  # fmt: skip
    new += ["-days", "2"]
    ca = ["-keyout", str(directory / "ca.key"), "-out", str(directory / "ca.pem")]
    parts.command([*new, *ca, "-subj", "/CN=authority of the rack"])
    names = ",".join(f"IP:{address}" for address in ("127.0.0.1", *addresses))
    store = ["-keyout", str(directory / "store.key"), "-out", str(directory / "store.pem")]
    signed = ["-CA", str(directory / "ca.pem"), "-CAkey", str(directory / "ca.key")]
    more = ["-addext", f"subjectAltName={names}", "-addext", "basicConstraints=critical,CA:FALSE"]
    parts.command([*new, *store, *signed, *more, "-subj", "/CN=store"])


@contextlib.contextmanager
def store(base: Path) -> Iterator[Store]:
    """On a port that is free the first time, and on the same one again."""
    log, tls, kept = base / "store.log", base / "tls", base / "store.port"
    log.write_bytes(b"")
    port = kept.read_text() if kept.exists() else "0"
    argv = [*RACKWRIGHT, "store", "--site", str(base / "site.git"), "--listen", f"0.0.0.0:{port}"]
    argv += ["--data", str(base / "store")]
    argv += ["--tls-cert", str(tls / "store.pem"), "--tls-key", str(tls / "store.key")]
    ready = "store at "
    with parts.daemon(argv, log, env=UNBUFFERED, ready=lambda: ready in log.read_text()) as process:
        port = log.read_text().partition(ready)[2].partition(",")[0].rpartition(":")[2]
        kept.write_text(port)
        yield Store(process, int(port))


@contextlib.contextmanager
def daemon(
    site: Served,
    name: str,
    argv: Sequence[str],
    token: str,
    *,
    ns: str = "",
    behind: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """``rackwright ARGV``, behind the words of another command if there are any."""
    own = {**UNBUFFERED, "RACKWRIGHT_TOKEN": token, "RACKWRIGHT_CA": str(site.authority)}
    command = [*behind, *RACKWRIGHT, *argv, "--json"]
    log = site.base / f"{name}.log"
    with parts.daemon(command, log, ns=ns, env={**own, **(env or {})}) as process:
        site.processes[name] = process
        yield process
