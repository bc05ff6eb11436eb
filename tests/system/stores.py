"""A real ``rackwright store`` on a real git repository, which can be killed and comes up again."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rackwright.client import AdminClient
from rackwright.model.errors import RackwrightError

from ..store.rack import Repository
from .forker import Forked, Forker
from .sites import eventually, write_site


class Store:
    """The store's process, its repository, and its admin's view."""

    def __init__(self, forker: Forker, tmp_path: Path) -> None:
        self._forker, self._data = forker, tmp_path / "store"
        self.repo = Repository(tmp_path / "repo")
        self.listen = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.listen}"
        self.process: Forked | None = None
        self._admin: AdminClient | None = None

    @property
    def admin(self) -> AdminClient:
        """Only once it has been up."""
        if self._admin is None:
            key = (self._data / "admin.credential").read_text().strip()
            self._admin = AdminClient(self.url, key)
        return self._admin

    def up(self) -> None:
        """Start it; on return it answers."""
        self.begin()
        assert self.process
        process = self.process
        eventually(lambda: process.out.exists() and "store at" in process.out.read_text())

    def begin(self) -> None:
        """Start it."""
        self.process = self._forker.start(
            "store", "--site", str(self.repo.path), "--listen", self.listen, "--data", str(self._data)
        )  # fmt: skip

    def down(self, number: int = signal.SIGKILL) -> None:
        """End it by a signal."""
        if self.process is not None:
            self.process.signal(number)
            self.process.wait()
            self.process = None

    def commit(self, *documents: Mapping[str, Any], poke: bool = True) -> str:
        """Make ``documents`` the site and have the store look, when it is there."""
        write_site(self.repo.path, *documents)
        self.repo.git("add", "--all")
        self.repo.git("commit", "--quiet", "--allow-empty", "-m", "change")
        if poke:
            with contextlib.suppress(RackwrightError, OSError):
                self.admin.poke()
        return self.repo.git("rev-parse", "HEAD")

    def token(self, *nodes: str) -> str:
        """Enrols each of ``nodes`` once."""
        return str(self.admin.create_token(nodes)["token"])

    def node(self, name: str) -> dict[str, Any]:
        """The node's line of the status."""
        found: dict[str, Any] = next(
            line for line in self.admin.status()["nodes"] if line["node"] == name
        )
        return found

    def reports(self, node: str) -> list[dict[str, Any]]:
        """All whole reports of a node, oldest first."""
        runs = sorted(self.admin.runs(node, 1000), key=lambda run: (run["started"], run["id"]))
        return [self.admin.report(node, run["id"]) for run in runs]


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def store(forker: Forker, tmp_path: Path, *documents: Mapping[str, Any]) -> Iterator[Store]:
    """A store that answers, at ``documents``."""
    made = Store(forker, tmp_path)
    made.commit(*documents, poke=False)
    made.up()
    try:
        yield made
    finally:
        made.down()
