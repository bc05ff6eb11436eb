"""The store's process is killed, or told to leave."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rackwright.client import AdminClient, StoreClient
from rackwright.model.errors import Unreachable
from rackwright.model.facts import Facts
from rackwright.model.report import Outcome, Report

from .rack import Repository

PROCESS = """
import sys
from pathlib import Path
from rackwright_store.server import serve
from tests.store.rack import FakeCompiler
serve(sys.argv[1], sys.argv[3], Path(sys.argv[2]), compiler=FakeCompiler(),
      on_ready=lambda ready: print("ready", ready.url, flush=True))
print("left", flush=True)
"""


ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)])),
}


@contextmanager
def process(site: Path, data: Path, listen: str = "127.0.0.1:0") -> Iterator[tuple[subprocess.Popen[str], str]]:  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(site), str(data), listen],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as running:
        try:
            assert running.stdout
            said = running.stdout.readline()
            found = re.fullmatch(r"ready (\S+)\n", said)
            assert found, said
            yield running, found[1]
        finally:
            running.kill()


class Poster:
    """One node's agent, which posts until the store is gone and remembers what was acknowledged."""

    def __init__(self, node: str, credential: str) -> None:
        self.node, self.credential = node, credential
        self.reports: list[str] = []
        self.ledgers = (0, 0)
        """(acknowledged last, sent last): the one or the other is there."""
        self.facts = (0, 0)
        self._numbers = itertools.count(1)

    def post(self, url: str, killed: threading.Event) -> None:
        client = StoreClient(url)
        with contextlib.suppress(Unreachable):
            while not killed.is_set():
                number, now = next(self._numbers), time.time()
                done = Outcome(address="file/a", state="in_sync", digest=f"d{number}")
                report = Report(
                    id=f"r{number}", node=self.node, started=now, finished=now, outcomes=(done,)
                )
                client.post_report(self.node, self.credential, report)
                self.reports.append(report.id)
                self.ledgers = (self.ledgers[0], number)
                client.put_ledger(self.node, self.credential, b'{"n": %d}' % number)
                self.ledgers = (number, number)
                self.facts = (self.facts[0], number)
                facts = Facts(values={"n": number})
                client.put_facts(self.node, self.credential, facts)
                self.facts = (number, number)
        client.close()

    def check(self, url: str, admin: AdminClient) -> None:
        kept = {run["id"] for run in admin.runs(self.node, 1000)}
        assert set(self.reports[-100:]) <= kept
        ledger = StoreClient(url).get_ledger(self.node, self.credential)
        assert ledger in [b'{"n": %d}' % number for number in self.ledgers]
        said = admin.node(self.node)
        assert said["facts"]["values"]["n"] in self.facts
        assert said["bundle"]["resources"][0]["data"]["value"] in self.facts
        newest = admin.report(self.node, admin.runs(self.node, 1)[0]["id"])
        assert said["verified"] == {"file/a": newest["outcomes"][0]["digest"]}


def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    repo = Repository(tmp_path / "site")
    nodes = [f"n{i}" for i in range(4)]
    repo.site({node: {"file/a": {"fact": f"{node}.n"}} for node in nodes})
    data = tmp_path / "data"
    posters: list[Poster] = []
    for _ in range(4):
        with process(repo.path, data) as (store, url):
            admin = AdminClient(url, (data / "admin.credential").read_text().strip())
            for poster in posters:
                poster.check(url, admin)
            if not posters:
                token = admin.create_token(nodes)["token"]
                posters = [Poster(node, StoreClient(url).enrol(token, node)) for node in nodes]
            killed = threading.Event()
            threads = [
                threading.Thread(target=poster.post, args=(url, killed)) for poster in posters
            ]
            before = [len(poster.reports) for poster in posters]
            for thread in threads:
                thread.start()
            while any(len(p.reports) < n + 2 for p, n in zip(posters, before, strict=True)):
                time.sleep(random.uniform(0, 0.2))
            store.send_signal(signal.SIGKILL)
            killed.set()
            for thread in threads:
                thread.join(30)
    with process(repo.path, data) as (_, url):
        admin = AdminClient(url, (data / "admin.credential").read_text().strip())
        for poster in posters:
            poster.check(url, admin)


def test_told_to_leave_it_answers_what_waits_and_goes(tmp_path: Path) -> None:
    repo = Repository(tmp_path / "site")
    repo.site({"n": {"file/a": {}}})
    data = tmp_path / "data"
    with process(repo.path, data) as (store, url):
        admin = AdminClient(url, (data / "admin.credential").read_text().strip())
        client = StoreClient(url)
        credential = client.enrol(admin.create_token(["n"])["token"], "n")
        found = client.bundle("n", credential)
        assert found
        watch = ("n", credential, found[1], client.gates("n", credential)[1])
        answers: list[frozenset[str]] = []
        poll = threading.Thread(target=lambda: answers.append(client.wait([watch], 60)))
        poll.start()
        while admin.status()["store"]["waiting"] != 1:
            pass
        store.send_signal(signal.SIGTERM)
        poll.join(20)
        assert answers == [frozenset()]
        assert store.wait(20) == 0
        assert store.stdout
        assert store.stdout.read() == "left\n"
    # At the same port again at once, with the same credentials.
    with process(repo.path, data, url.removeprefix("http://")):
        assert client.bundle("n", credential, found[1]) is None


def test_told_to_leave_while_the_repository_hangs(tmp_path: Path) -> None:
    """The first fetch from a remote that accepts and says nothing must not hold the process."""
    import socket

    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, f"git://127.0.0.1:{mute.getsockname()[1]}/x",
             str(tmp_path / "data"), "127.0.0.1:0"],
            cwd=ROOT, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT,
        ) as store,
    ):  # fmt: skip
        line, _ = mute.accept()
        with line:
            store.send_signal(signal.SIGTERM)
            assert store.wait(20) == 0
