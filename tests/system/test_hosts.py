"""Two admin hosts, one switch, one store: real agents, real delegates' daemons, a process each. The device's
own log of commands says who was there when."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rackwright import hosted
from rackwright.hosted import Told
from rackwright_sim.ios_device import IosDevice
from rackwright_sim.ios_session import IosSession
from rackwright_sim.run import SimNode, SimWay, start_for_site

from .forker import Forked, Forker
from .simulators import PASSWORD
from .sites import deployed, eventually, write_secrets
from .stores import Store, store

HOSTS = ("admin1", "admin2")
TTL = 2.0


@dataclass
class Rack:
    """What runs."""

    forker: Forker
    made: Store
    device: IosDevice
    port: int
    tmp_path: Path
    agents: dict[str, Forked] = field(default_factory=dict)
    daemons: dict[str, Forked] = field(default_factory=dict)

    def state(self, host: str) -> Path:
        """The state directory of a host's agent and daemon, as on a machine of its own."""
        return self.tmp_path / host

    def begin(self, host: str) -> None:
        """Start the agent and the daemon of ``host``, enrolled if it is not yet."""
        self.begin_agent(host)
        self.begin_daemon(host)

    def begin_agent(self, host: str) -> None:
        state, root = self.state(host), self.tmp_path / "root" / host
        root.mkdir(parents=True, exist_ok=True)
        write_secrets(state)
        known = (state / host / "credential").exists()
        token = () if known else ("--token", self.made.token(host))
        self.agents[host] = self.forker.start(
            "agent", "--node", host, "--root", str(root), *self.where(host), *token
        )

    def begin_daemon(self, host: str) -> None:
        self.daemons[host] = self.forker.start("delegates", "--node", host, *self.where(host))

    def where(self, host: str) -> tuple[str, ...]:
        rare = ("--interval", "7200", "--splay", "0", "--json")
        return ("--store", self.made.url, "--state", str(self.state(host)), *rare)

    def told(self, host: str) -> dict[str, Told]:
        return hosted.ask(self.state(host) / host, "list", 1.0) or {}

    def holder(self) -> str:
        """The host whose daemon has the lease; empty when none has."""
        found = [
            host
            for host in HOSTS
            if host in self.daemons and self.told(host).get("sw1", _NONE).state == "running"
        ]
        assert len(found) <= 1
        return "".join(found)

    def begin_vlan(self, vlan: int) -> None:
        """Wait until it is there and saved."""
        eventually(lambda: f"name net-{vlan}" in (self.device.startup or ""))

    def converged(self, commit: str) -> bool:
        node = self.made.node("sw1")
        return bool(node["revision"] == commit and node["state"] in ("converged", "changed"))

    def commit(self, vlan: int) -> str:
        return self.made.commit(*documents(self.port, vlan))


_NONE = Told(state="waiting")


def documents(port: int, vlan: int) -> list[dict[str, Any]]:
    ssh = {"host": "127.0.0.1", "port": port, "username": "rack", "password": {"secret": "device"}}
    hosts = [
        {"node": host, "type": "server", "offers": {"networks": ["oob"]},
         "attributes": {"delegate_host": {"store": "http://unused", "manager": "none"}}}
        for host in HOSTS
    ]  # fmt: skip
    reach = [{"ssh": ssh, "network": "oob"}]
    return [
        {"site": "test", "lease": TTL},
        *hosts,
        {"proposal": "hosts", "deploy": {"delegate-host": list(HOSTS)}},
        {"node": "sw1", "type": "switch", "platform": "cisco_ios", "reach": reach},
        *deployed("net", "switch", "sw1", [{"vlan": str(vlan), "title": f"net-{vlan}"}]),
    ]


@contextmanager
def rack(tmp_path: Path, forker: Forker) -> Iterator[Rack]:
    options = {"host": "127.0.0.1", "port": 0, "username": "rack", "password": PASSWORD}
    node = SimNode(name="sw1", platform="cisco_ios", ways=(SimWay("ssh", options),), latency=0.05)
    with start_for_site([node], state=tmp_path / "devices") as farm:
        device, port = farm.devices["sw1"], farm.port("sw1", "ssh")
        assert isinstance(device, IosDevice)
        with store(forker, tmp_path, *documents(port, 10)) as made:
            yield Rack(forker, made, device, port, tmp_path)


@pytest.mark.proves(
    "linux", "delegate", over="local", on="real", by="a store, two agents, two daemons"
)
def test_a_delegate_is_placed_moved_and_given_back(tmp_path: Path, forker: Forker) -> None:
    with rack(tmp_path, forker) as made:
        made.begin_daemon("admin1")  # it waits for the agent to enrol the host
        made.begin_agent("admin1")
        eventually(lambda: made.holder() == "admin1")
        made.begin_vlan(10)
        assert (made.state("admin1") / "admin1" / "delegates" / "sw1").exists()
        socket = made.state("admin1") / "admin1" / hosted.SOCKET
        assert socket.stat().st_mode & 0o777 == 0o600

        by_hand = made.forker.run(
            "delegate", "sw1", "--once", "--token", made.made.token("sw1"), *made.where("elsewhere")
        )
        assert by_hand.status == 4
        assert "the store places sw1: admin1 converges it" in by_hand.out.read_text()
        assert made.holder() == "admin1"

        repo, state = str(made.made.repo.path), str(made.state("admin1"))
        planned = made.forker.run("plan", "--site", repo, "--state", state, "--at", "admin1")
        assert planned.status == 0, planned.said()
        assert "delegate/sw1" not in planned.out.read_text()

        made.begin("admin2")
        made.made.admin._http.send(
            "POST",
            "/v1/hosts/admin1/drain",
            made.made.admin._credential,
            body=b'{"drain": true, "who": "me"}',
        )
        eventually(lambda: made.holder() == "admin2")
        assert not (made.state("admin1") / "admin1" / "delegates" / "sw1").exists()
        commit = made.commit(20)
        eventually(lambda: made.converged(commit))
        text = made.device.running.text()
        assert "name net-20" in text
        assert "name net-10" not in text  # the ledger came along

        made.daemons["admin2"].signal(signal.SIGTERM)
        assert made.daemons["admin2"].wait() == 0
        assert "Traceback" not in made.daemons["admin2"].said()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[IosSession, str]]:
    """What the switch is told from now on: the session, and the line."""
    found: list[tuple[IosSession, str]] = []
    count = IosSession._count

    def heard(self: IosSession, kind: str, line: str, *, rejected: bool = False) -> None:
        found.append((self, line))
        count(self, kind, line, rejected=rejected)

    monkeypatch.setattr(IosSession, "_count", heard)
    return found


@pytest.mark.timeout(180)
def test_a_paused_holder_sends_nothing_when_it_goes_on(
    tmp_path: Path, forker: Forker, said: list[tuple[IosSession, str]]
) -> None:
    with rack(tmp_path, forker) as made:
        for host in HOSTS:
            made.begin(host)
        first = eventually(made.holder)
        made.begin_vlan(10)
        second = next(host for host in HOSTS if host != first)
        (session,) = {one for one, _ in said}
        # It is paused in the middle of its work, as soon as the switch has been told of a VLAN.
        made.commit(20)
        eventually(lambda: "vlan 20" in [line for _, line in said])
        made.daemons[first].signal(signal.SIGSTOP)
        commit = made.commit(30)
        eventually(lambda: made.told(second).get("sw1", _NONE).state == "running")
        eventually(lambda: made.converged(commit))
        epoch = made.told(second)["sw1"].epoch
        whole = len([line for one, line in said if one is session])
        others = {one for one, _ in said} - {session}
        assert others
        made.daemons[first].signal(signal.SIGCONT)
        eventually(lambda: made.told(first).get("sw1", _NONE).state != "running")
        last = made.commit(40)
        eventually(lambda: made.converged(last))
        made.daemons[first].signal(signal.SIGTERM)
        assert made.daemons[first].wait() == 0
        assert [line for one, line in said if one is session][whole:] == []
        assert {one for one, _ in said} == {session, *others}  # nor did it come anew
        assert made.told(second)["sw1"].epoch == epoch
        text = made.device.running.text()
        assert "name net-40" in text
        # What the first was in the middle of is the second's to take away.
        assert not [vlan for vlan in (10, 20, 30) if f"name net-{vlan}" in text]


def test_a_daemon_that_was_killed_goes_on_at_once(tmp_path: Path, forker: Forker) -> None:
    with rack(tmp_path, forker) as made:
        made.begin("admin1")
        eventually(lambda: made.holder() == "admin1")
        epoch = made.told("admin1")["sw1"].epoch
        made.daemons["admin1"].kill()
        made.begin_daemon("admin1")
        eventually(lambda: made.holder() == "admin1")
        assert made.told("admin1")["sw1"].epoch in (epoch, epoch + 1)
        commit = made.commit(20)
        eventually(lambda: made.converged(commit))
