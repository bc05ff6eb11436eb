"""The store: unchanged bundles a second, and how soon a commit or a verified need reaches who waits.

The store is a process of its own, as ``rackwright store`` starts it; the agents are threads of this one.
"""

from __future__ import annotations

import os
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from bench.measure import Progress
from rackwright.client import AdminClient, StoreClient
from rackwright.loop import Loop, Pace
from rackwright.model.report import Outcome, Report
from rackwright.provider import Registry
from rackwright.run import NodeRunner
from rackwright.source import StoreSource, credential
from rackwright.waker import Waker

CONNECTIONS = 8
SECONDS = 5.0
WAITING = (1, 50)
ROUNDS = 9


@dataclass
class Rig:
    """A store on a repository."""

    base: Path
    repository: Path
    url: str
    admin: AdminClient
    process: psutil.Process
    switches: int
    vlan: int = 100

    def commit(self) -> int:
        """Another VLAN in the place of the last, on every switch; a file on h1 needs that of sw1."""
        self.vlan += 1
        _write_site(self.repository, self.vlan, self.switches)
        _git(self.repository, "commit", "--quiet", "--all", "--message", f"VLAN {self.vlan}")
        return self.vlan

    def enrol(self, client: StoreClient, nodes: list[str]) -> dict[str, str]:
        """Credentials by node."""
        token = str(self.admin.create_token(nodes)["token"])
        return {node: credential(self.base / "state", client, node, token) for node in nodes}


def _write_site(folder: Path, vlan: int, switches: int) -> None:
    nodes = "".join(
        f"---\nnode: sw{n}\ntype: switch\nplatform: cisco_ios\nreach:\n"
        f"  - ssh: {{host: 192.0.2.{n}, username: rack, password: {{secret: sw}}}}\n"
        for n in range(1, switches + 1)
    )
    (folder / "site.yaml").write_text(
        f"site: bench\n{nodes}---\nnode: h1\ntype: server\n---\nrole: waits\nfor: [server]\n"
        "attributes: {last: {type: integer}}\nresources:\n  - file: '/waits-{{ last }}'\n"
        '    content: "after {{ last }}"\n    needs: ["sw1:vlan/{{ last }}"]\n'
        f"---\nproposal: bench\nattributes: {{vlans: {{{vlan}: {{name: bench}}}}, last: {vlan}}}\n"
        "deploy: {vlans: [type=switch], waits: [h1]}\n"
    )


def _git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True)


@contextmanager
def rig(switches: int) -> Iterator[Rig]:
    """A store that serves a site of ``switches`` switches and a server."""
    with tempfile.TemporaryDirectory(prefix="rw-bench-") as name:
        base = Path(name)
        repository = base / "site"
        repository.mkdir()
        _git(repository, "init", "--quiet", "--initial-branch=main")
        _write_site(repository, 100, switches)
        _git(repository, "add", "site.yaml")
        _git(repository, "commit", "--quiet", "--message", "bench")
        process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("rackwright")), "store",
                "--site", str(repository), "--listen", "127.0.0.1:0", "--data", str(base / "store"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            url, _, path = (
                said.strip().removeprefix("store at ").partition(", admin credential in ")
            )
            if not path:
                raise RuntimeError("the store did not start")
            admin = AdminClient(url, Path(path).read_text().strip())
            yield Rig(base, repository, url, admin, psutil.Process(process.pid), switches)
        finally:
            process.terminate()
            process.wait()


def unchanged(store: Rig, seconds: float) -> dict[str, float]:
    """Requests a second for a bundle that has not changed, over kept connections."""
    client = StoreClient(store.url)
    key = store.enrol(client, ["sw1"])["sw1"]
    got = client.bundle("sw1", key)
    assert got is not None
    parts = urlsplit(store.url)
    request = (
        f"GET /v1/nodes/sw1/bundle HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f'Authorization: Bearer {key}\r\nIf-None-Match: "{got[1]}"\r\n\r\n'
    ).encode()
    connections = []
    for _ in range(CONNECTIONS):
        connection = socket.create_connection((parts.hostname, parts.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connections.append(connection)
    answered = 0
    used = sum(store.process.cpu_times()[:2])
    began = time.perf_counter()
    for connection in connections:
        connection.sendall(request)
    while (took := time.perf_counter() - began) < seconds:
        for connection in select.select(connections, [], [], 1.0)[0]:
            answer = connection.recv(65536)
            if not answer.startswith(b"HTTP/1.1 304") or not answer.endswith(b"\r\n\r\n"):
                raise RuntimeError(f"not the answer that was asked for: {answer[:200]!r}")
            answered += 1
            connection.sendall(request)
    used = sum(store.process.cpu_times()[:2]) - used
    for connection in connections:
        connection.close()
    return {
        "per_second": round(answered / took),
        "per_cpu_second": round(answered / used),
    }


def woken(store: Rig, waiting: int, rounds: int, *, hook: bool) -> dict[str, float]:
    """Seconds from a commit to the new bundle in the hands of each of ``waiting`` agents."""
    clients = [StoreClient(store.url) for _ in range(waiting)]
    nodes = [f"sw{n}" for n in range(1, waiting + 1)]
    keys = store.enrol(clients[0], nodes)
    medians, slowest = [], []
    for _ in range(rounds):
        ready = threading.Barrier(waiting + 1, timeout=60.0)
        arrived: list[float] = []

        def agent(client: StoreClient, node: str) -> None:
            got = client.bundle(node, keys[node])
            assert got is not None
            _, gates = client.gates(node, keys[node])
            ready.wait()  # noqa: B023 - the threads end within the round
            changed = client.wait([(node, keys[node], got[1], gates)], 30.0)
            if changed and client.bundle(node, keys[node], got[1]):
                arrived.append(time.perf_counter())  # noqa: B023

        threads = [
            threading.Thread(target=agent, args=pair) for pair in zip(clients, nodes, strict=True)
        ]
        for thread in threads:
            thread.start()
        ready.wait()
        time.sleep(1.2)  # until the polls lie at the store, and a poke counts again
        store.commit()
        began = time.perf_counter()
        if hook:
            store.admin.poke()
        for thread in threads:
            thread.join()
        if len(arrived) < waiting:
            raise RuntimeError(f"{len(arrived)} of {waiting} agents heard of the commit")
        taken = sorted(end - began for end in arrived)
        medians.append(statistics.median(taken))
        slowest.append(taken[-1])
    return {
        "median": round(statistics.median(medians), 4),
        "slowest": round(statistics.median(slowest), 4),
    }


def handed_off(store: Rig, rounds: int) -> dict[str, float]:
    """Seconds from a switch's verified report to the start of the waiting server's next run."""
    client = StoreClient(store.url)
    keys = store.enrol(client, ["h1", "sw1"])
    state, root = store.base / "state" / "h1", store.base / "root"
    root.mkdir(exist_ok=True)
    reports: list[Report] = []
    heard = threading.Condition()

    def report(made: Report) -> None:
        with heard:
            reports.append(made)
            heard.notify()

    def until(state: str, address: str) -> Report:
        def found() -> Report | None:
            for made in reports:
                for outcome in made.outcomes:
                    if (outcome.address, outcome.state) == (address, state):
                        return made
            return None

        with heard:
            if not heard.wait_for(found, 30.0):
                raise RuntimeError(f"{address} did not become {state}: {reports[-1:]}")
            made = found()
        assert made is not None
        return made

    stop = threading.Event()
    runner = NodeRunner(
        node="h1",
        source=StoreSource(client, "h1", keys["h1"], state),
        registry=Registry.installed(),
        state=state,
        here="h1",
        root=root,
        stop=stop,
    )
    loop = Loop(runner, Pace(3600.0, 0.0), report)
    loop.start()
    Waker(StoreClient(store.url), [loop], stop).thread.start()
    taken = []
    try:
        for _ in range(rounds):
            vlan = store.commit()
            store.admin.poke()
            until("blocked", f"file//waits-{vlan}")
            got = client.bundle("sw1", keys["sw1"])
            assert got is not None
            now = time.time()
            verified = Report(
                id=f"{now:.6f}",
                node="sw1",
                revision=got[0].revision,
                started=now,
                finished=now,
                outcomes=tuple(
                    Outcome(address=str(item.address), state="changed", digest=item.digest)
                    for item in got[0].resources
                ),
            )
            sent = time.time()
            client.post_report("sw1", keys["sw1"], verified)
            taken.append(until("changed", f"file//waits-{vlan}").started - sent)
    finally:
        stop.set()
        loop.wake()
        loop.thread.join(10.0)
    return {
        "median": round(statistics.median(taken), 4),
        "slowest": round(max(taken), 4),
    }


def run(progress: Progress, *, quick: bool = False) -> dict[str, Any]:
    """All of it. ``quick``: fewer rounds and agents."""
    seconds, rounds = (1.0, 2) if quick else (SECONDS, ROUNDS)
    waiting = (1, 4) if quick else WAITING
    switches = max(waiting)
    rows: list[dict[str, Any]] = []
    with rig(switches) as store:
        served = unchanged(store, seconds)
        progress(f"unchanged bundles: {served['per_second']} a second")
        for hook in (True, False):
            for count in waiting:
                row = woken(store, count, rounds if hook else max(2, rounds // 3), hook=hook)
                rows.append({"agents": count, "hook": hook, **row})
                how = "with a git hook" if hook else "polled"
                progress(f"commit to bundle, {count:2} agents, {how}: {row['median']:.3f} s")
        handed = handed_off(store, rounds)
        progress(f"verified need to the next run's start: {handed['median']:.3f} s")
    return {
        "name": "store",
        "what": f"a store with {switches} switches and a server",
        "unchanged": served,
        "woken": rows,
        "handed_off": handed,
    }
