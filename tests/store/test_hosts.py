"""Hosts and what they converge, on a running store: placing, leases, acting for a node, draining."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner, Result

from rackwright.cli.main import group
from rackwright.client import StoreClient, Watch
from rackwright.model.errors import Permanent
from rackwright.model.facts import Facts
from rackwright.model.lease import Leases
from rackwright.model.report import Outcome, Report
from rackwright.store_http import NotAllowed, WatchRefused
from rackwright_store import hosts as hosts_module

from .rack import Repository, Store, eventually, running
from .test_crash import process

BOTH = [{"network": "oob-a", "hosts": ["admin1", "admin2"]}]
PINNED = [{"at": "admin1", "hosts": ["admin1"]}]
NODES: dict[str, Any] = {
    "admin1": {"service/rackwright-delegates": {}},
    "admin2": {"file/a": {}},
    "web1": {"file/a": {"needs": ["sw1:vlan/1"]}},
    "sw1": {"vlan/1": {}},
    "sw2": {"vlan/1": {}},
}
SITE: dict[str, Any] = {
    "hosts": ["admin1", "admin2"],
    "reach": {"sw1": BOTH, "sw2": BOTH},
    "lease": 60,
}


@dataclass
class Host:
    """The delegates of one host, as far as the store sees them."""

    store: Store
    name: str
    credential: str
    process: str = "p1"
    held: dict[str, int] = field(default_factory=dict)

    def ask(self, *want: str, release: dict[str, int] | None = None) -> Leases:
        epochs = {node: (f"{self.name}-{node}", self.held.get(node, 0)) for node in want}
        found = self.store.client.leases(self.credential, self.process, epochs, release or {})
        self.held.update(found.held)
        return found

    def told(self) -> list[str]:
        """The nodes that its bundle has it converge."""
        found = self.store.client.bundle(self.name, self.credential)
        assert found is not None
        return [item.data["name"] for item in found[0].resources if item.type == "delegate"]

    def run(self, node: str, identity: str, kind: str = "", **more: Any) -> None:
        """Report a run for a node."""
        now = time.time() - more.pop("late", 0)
        done = Outcome(address="vlan/1", state="in_sync", digest=more.pop("digest", "d"))
        report = Report(
            id=identity,
            node=node,
            started=now - 1,
            finished=now,
            kind=kind,  # type: ignore[arg-type]
            error=f"ssh to {node} from {self.name} timed out" if kind else "",
            outcomes=() if kind else (done,),
            asked=more.pop("asked", True),
        )
        epoch = more.pop("epoch", self.held[node])
        self.store.client.post_report(node, self.credential, report, epoch=epoch)


def enrolled(store: Store, *names: str) -> list[Host]:
    agents = store.agent(*names)
    return [Host(store, name, agents[name].credential) for name in names]


def status(store: Store, node: str) -> dict[str, Any]:
    found: dict[str, Any] = next(n for n in store.admin.status()["nodes"] if n["node"] == node)
    return found


def cli(store: Store, *words: str) -> Result:
    where = ["--store", store.url, "--credential", str(store.ready.admin_credential)]
    return CliRunner().invoke(group, [*words, *where], standalone_mode=False)


@pytest.fixture
def store(repo: Repository, tmp_path: Path) -> Iterator[Store]:
    repo.site(NODES, **SITE)
    with running(repo.path, tmp_path / "data") as found:
        yield found


def test_nodes_are_placed_on_whoever_is_alive_and_move_when_they_are_let_go(store: Store) -> None:
    one, two = enrolled(store, "admin1", "admin2")
    before = store.client.bundle("admin2", two.credential)
    assert one.told() == two.told() == []
    assert "admin1 has not been heard" in status(store, "sw1")["error"]
    assert status(store, "sw1")["state"] == "unplaced"
    assert one.ask().held == {}  # a sign of life
    assert one.told() == ["sw1", "sw2"]
    bundle = store.client.bundle("admin1", one.credential)
    assert bundle is not None
    delegate = next(item for item in bundle[0].resources if item.type == "delegate")
    assert (delegate.data, str(delegate.origin)[:11]) == ({"name": "sw1"}, "rack.json:7")
    assert [need.address for need in delegate.needs] == ["service/rackwright-delegates"]
    assert store.client.bundle("admin2", two.credential) == before
    assert status(store, "sw1")["enrolled"]
    assert (status(store, "sw1")["at"], status(store, "sw1")["placed"]) == ("", "admin1")
    assert one.ask("sw1", "sw2").held == {"sw1": 1, "sw2": 1}
    assert status(store, "sw1")["at"] == "admin1"

    two.ask()
    moved = next(node for node in ("sw1", "sw2") if node not in one.told())
    stays = next(node for node in ("sw1", "sw2") if node != moved)
    assert one.told() == [stays]
    assert two.told() == []  # admin1 has not let go of it
    refused = two.ask(moved).refused[moved]
    assert (refused.why, refused.by) == ("admin1 converges it (epoch 1)", "admin1")
    assert 50 < refused.retry <= 61
    assert one.ask(moved).held == {moved: 1}  # to finish what it has in hand
    assert two.ask(stays).refused[stays].why == f"the store places {stays} on admin1"
    one.ask(stays, release={moved: 1})
    assert two.told() == [moved]
    assert one.ask(moved).refused[moved].by == "admin2"
    assert two.ask(moved).held == {moved: 2}
    assert one.ask(stays).held == {stays: 1}


def test_only_the_hosts_concerned_are_woken(store: Store) -> None:
    one, two = enrolled(store, "admin1", "admin2")
    agents = store.agent("web1")
    one.ask()
    one.ask("sw1", "sw2")

    def watch(host: Host) -> Watch:
        found = store.client.bundle(host.name, host.credential)
        gates = store.client.gates(host.name, host.credential)
        assert found is not None
        return Watch(host.name, host.credential, found[1], gates[1])

    items = [watch(one), watch(two), agents["web1"].watch()]
    one.ask("sw1", "sw2")
    assert store.client.wait(items, 0) == frozenset()
    two.ask()
    assert store.client.wait(items, 5) == {"admin1"}
    gone = next(node for node in ("sw1", "sw2") if node not in one.told())
    one.ask(release={gone: 1})
    assert store.client.wait(items, 5) == {"admin1", "admin2"}


ENDPOINTS: dict[str, tuple[str, str, Any]] = {
    "bundle": ("GET", "/v1/nodes/sw1/bundle", None),
    "gates": ("GET", "/v1/nodes/sw1/gates", None),
    "facts": ("PUT", "/v1/nodes/sw1/facts", {"values": {"os": "x"}}),
    "put ledger": ("PUT", "/v1/nodes/sw1/ledger", {"entries": {"vlan/1": {}}}),
    "get ledger": ("GET", "/v1/nodes/sw1/ledger", None),
    "report": ("POST", "/v1/nodes/sw1/reports", {"id": "r", "node": "sw1", "started": 1, "finished": 2}),
}  # fmt: skip


def test_a_host_touches_only_what_it_holds(store: Store) -> None:
    one, two = enrolled(store, "admin1", "admin2")
    one.ask()
    one.ask("sw1", "sw2")
    agents = store.agent("web1", "sw1")
    store.client.put_ledger("sw1", one.credential, b"{}", epoch=1)

    def ask(name: str, credential: str, epoch: Any) -> int:
        method, path, body = ENDPOINTS[name]
        headers = {"Authorization": f"Bearer {credential}"}
        headers |= {} if epoch is None else {"Rackwright-Epoch": str(epoch)}
        with requests.Session() as session:
            data = None if body is None else json.dumps(body)
            return session.request(method, store.url + path, headers=headers, data=data, timeout=20).status_code  # fmt: skip

    def waits(credential: str, epoch: int) -> bool:
        try:
            store.client.wait([Watch("sw1", credential, "", "", epoch)], 0)
        except WatchRefused as refused:
            return refused.nodes != {"sw1"}
        return True

    strangers = {
        "without an epoch": (one.credential, None),
        "of an older epoch": (one.credential, 0),
        "of an epoch to come": (one.credential, 2),
        "another host": (two.credential, 1),
        "a server": (agents["web1"].credential, 1),
        "the admin": (store.admin_credential, 1),
    }
    for name in ENDPOINTS:
        for who, (credential, epoch) in strangers.items():
            # What lies in the state directory of its host from before is kept, as history.
            history = name == "report" and credential == one.credential and not epoch
            assert ask(name, credential, epoch) == (204 if history else 403), (name, who)
        assert ask(name, one.credential, "one") == 400
        assert ask(name, one.credential, 1) in (200, 204), name
        # With its own credential a node is read, and what it reports is history.
        wanted = {"facts": 403, "put ledger": 403, "report": 204}.get(name, 200)
        assert ask(name, agents["sw1"].credential, None) == wanted, name
        assert ask(name, agents["sw1"].credential, 1) == wanted, name
    for credential, epoch in strangers.values():
        assert not waits(credential, epoch or 0)
    assert waits(one.credential, 1)
    assert waits(agents["sw1"].credential, 0)
    with pytest.raises(NotAllowed, match=r"admin2 does not hold the lease of sw1 \(epoch 5\); it is held by admin1 \(epoch 1\)"):  # fmt: skip
        store.client.bundle("sw1", two.credential, epoch=5)
    with pytest.raises(NotAllowed, match="only what belongs to its own node"):
        store.client.bundle("sw1", agents["web1"].credential, epoch=5)
    # The host's own is its own, with any header.
    assert store.client.bundle("admin1", one.credential, epoch=9)

    one.ask(release={"sw1": 1})
    for name in set(ENDPOINTS) - {"report"}:
        assert ask(name, one.credential, 1) == 403, name
    assert not waits(one.credential, 1)
    # Nobody has changed the node since: what it reports of it is the newest there is.
    assert ask("report", one.credential, 1) == 204


def test_a_report_of_an_older_epoch_is_history(repo: Repository, tmp_path: Path) -> None:
    repo.site(NODES, **{**SITE, "reach": {"sw1": BOTH}})
    with running(repo.path, tmp_path / "data") as store:
        one, two = enrolled(store, "admin1", "admin2")
        one.ask()
        one.ask("sw1")
        one.run("sw1", "first")
        assert store.admin.node("sw1")["verified"] == {"vlan/1": "d"}
        store.admin.drain("admin1", "me", drain=True)
        two.ask()
        one.ask(release={"sw1": 1})
        assert two.ask("sw1").held == {"sw1": 2}
        two.run("sw1", "second", digest="e")
        one.run("sw1", "late", digest="x")
        assert store.admin.node("sw1")["verified"] == {"vlan/1": "e"}
        newest = store.admin.runs("sw1")
        assert {run["id"] for run in newest} == {"first", "second", "late"}
        finished = next(run["finished"] for run in newest if run["id"] == "second")
        assert status(store, "sw1")["last_run"] == finished
        one.run("sw1", "late", digest="x")  # twice does no harm
        # What lay in the state directory of whoever has it now, from whichever name or database.
        two.run("sw1", "taken over", epoch=1, digest="x")
        with pytest.raises(NotAllowed):
            two.run("sw1", "never", epoch=3)
        with pytest.raises(NotAllowed):
            one.run("sw1", "never", epoch=7)
        # The node's own delegate, started by hand before hosts had it.
        own = store.agent("sw1")["sw1"].credential
        for epoch in (0, 1, 2):
            with pytest.raises(NotAllowed, match=r"admin2 converges sw1 \(epoch 2\)"):
                store.client.put_ledger("sw1", own, b"{}", epoch=epoch)
        hand = Host(store, "sw1", own, held={"sw1": 0})
        hand.run("sw1", "by hand", digest="x")
        hand.run("sw1", "by hand, too", digest="x", epoch=2)
        two.ask(release={"sw1": 2})
        with pytest.raises(NotAllowed, match="the store places sw1 on its hosts"):
            store.client.put_facts("sw1", own, Facts())
        hand.run("sw1", "by hand, later", digest="x")
        assert store.admin.node("sw1")["verified"] == {"vlan/1": "e"}
    with running(repo.path, tmp_path / "data") as store:
        assert status(store, "sw1")["last_run"] == finished


def test_a_device_under_a_new_name_is_let_go_of_under_the_old_one_first(
    repo: Repository, tmp_path: Path
) -> None:
    """Two names are two leases, and there is one device."""
    options = {"host": "10.0.0.2"}
    here = {"at": "admin1", "hosts": ["admin1"], "options": options}
    there = {"at": "admin2", "hosts": ["admin2"], "options": options}
    repo.site(NODES, **{**SITE, "reach": {"sw1": [here]}})
    with running(repo.path, tmp_path / "data") as store:
        one, two = enrolled(store, "admin1", "admin2")
        one.ask()
        assert one.ask("sw1").held == {"sw1": 1}
        nodes = {name: found for name, found in NODES.items() if name != "sw1"}
        repo.site({**nodes, "new1": {}, "web1": {}}, **{**SITE, "reach": {"new1": [there]}})
        two.ask()
        eventually(lambda: two.told() == ["new1"])
        refused = two.ask("new1").refused["new1"]
        assert refused.why == "admin1 has yet to let go of sw1, which was reached where new1 is"
        assert refused.by == "admin1"
        assert one.ask("sw1").held == {"sw1": 1}  # to finish what it has in hand
    with running(repo.path, tmp_path / "data") as store:
        one.store = two.store = store
        two.ask()
        assert "has yet to let go of sw1" in two.ask("new1").refused["new1"].why
        one.ask(release={"sw1": 1})
        assert two.ask("new1").held == {"new1": 1}


def test_the_clocks_of_two_hosts_need_not_agree(repo: Repository, tmp_path: Path) -> None:
    """The second host's is an hour behind: what it reports is later all the same."""
    repo.site(NODES, **{**SITE, "reach": {"sw1": BOTH}})
    with running(repo.path, tmp_path / "data") as store:
        one, two = enrolled(store, "admin1", "admin2")
        one.ask()
        one.ask("sw1")
        one.run("sw1", "a", digest="one")
        store.admin.drain("admin1", "me", drain=True)
        two.ask()
        one.ask(release={"sw1": 1})
        two.ask("sw1")
        two.run("sw1", "b", digest="two", late=3600)
        two.run("sw1", "c", digest="three", late=3599)
        two.run("sw1", "older", digest="four", late=3700)
        assert store.admin.node("sw1")["verified"] == {"vlan/1": "three"}
        last = status(store, "sw1")["last_run"]
    with running(repo.path, tmp_path / "data") as store:
        assert status(store, "sw1")["last_run"] == last
        two.store = store
        two.ask()
        two.run("sw1", "d", digest="five", late=3500)
        assert store.admin.node("sw1")["verified"] == {"vlan/1": "five"}


def test_what_its_host_cannot_reach_goes_to_another(store: Store) -> None:
    one, two = enrolled(store, "admin1", "admin2")
    one.ask()
    two.ask()
    hosts = {host.told()[0]: host for host in (one, two)}
    here, there = hosts["sw1"], hosts["sw2"]
    assert here.ask("sw1").held == {"sw1": 1}
    there.ask("sw2")
    here.run("sw1", "r0", "unreachable", epoch=1, asked=False)  # it was the store
    assert here.told() == ["sw1"]
    here.run("sw1", "r1", "unreachable", epoch=1)
    assert here.told() == []
    here.ask(release={"sw1": 1})
    assert there.told() == ["sw1", "sw2"]
    assert there.ask("sw1").held == {"sw1": 2}
    there.run("sw1", "r2")
    assert status(store, "sw1")["state"] == "converged"
    here.run("sw1", "late", "unreachable", epoch=1)
    there.run("sw1", "r3", "unreachable")
    found = status(store, "sw1")
    assert found["state"] == "unreachable"
    assert f"{here.name}: ssh to sw1 from {here.name} timed out" in found["error"]
    assert f"{there.name}: ssh to sw1 from {there.name} timed out" in found["error"]
    [chain] = store.admin.waiting("sw1")["chains"]
    assert (chain["kind"], chain["root"]) == ("unreachable", "sw1")
    assert "its hosts go on trying in turn" in chain["act"]
    there.run("sw1", "r4")
    assert "no host" not in status(store, "sw1")["error"]
    there.run("sw1", "r5", "unreachable")
    assert "no host" in status(store, "sw1")["error"]
    there.run("sw1", "r6", "device")  # it was reached, though it said no
    assert "no host" not in status(store, "sw1")["error"]
    assert there.told() == ["sw1", "sw2"]


def test_a_silent_host_loses_everything_to_those_who_can_reach_it(
    repo: Repository, tmp_path: Path
) -> None:
    reach = {"sw1": BOTH, "sw2": PINNED}
    repo.site(NODES, **{**SITE, "reach": reach, "lease": 2})
    with running(repo.path, tmp_path / "data") as store:
        one, two = enrolled(store, "admin1", "admin2")
        one.ask()
        assert one.told() == ["sw1", "sw2"]
        asked = time.monotonic()
        given = one.ask("sw1", "sw2")
        assert given.ttl == 2.0
        two.ask()

        def taken() -> bool:
            two.ask()
            return two.told() == ["sw1"]

        eventually(taken)
        assert time.monotonic() - asked > 3.0  # the lease, and the second of grace
        assert two.ask("sw1").held == {"sw1": 2}
        assert status(store, "sw2")["state"] == "unplaced"
        assert re.fullmatch(
            r"its only host admin1 has not been heard for \d+ s and it is pinned there by ssh at admin1",
            status(store, "sw2")["error"],
        )
        [chain] = store.admin.waiting("sw2")["chains"]
        assert (chain["kind"], chain["root"]) == ("unplaced", "sw2")
        with pytest.raises(NotAllowed, match="nobody holds it"):
            store.client.bundle("sw2", one.credential, epoch=1)
        # It comes back: what nobody else could have is its own at once, with a new epoch.
        found = one.ask("sw1", "sw2")
        assert found.held == {"sw2": 2}
        assert found.refused["sw1"].by == "admin2"


def test_a_node_that_no_host_can_take_is_its_own_delegates(
    repo: Repository, tmp_path: Path
) -> None:
    repo.site(NODES, **{**SITE, "hosts": [], "reach": {"sw1": BOTH}})
    with running(repo.path, tmp_path / "data") as store:
        hand, other = enrolled(store, "sw1", "admin1")
        assert hand.ask("sw1", "sw2").refused.keys() == {"sw2"}
        assert hand.held == {"sw1": 1}
        found = status(store, "sw1")
        assert (found["at"], found["placed"], found["state"]) == ("", "", "never seen")
        refused = other.ask("sw1", "web1").refused
        assert "it has not the role delegate-host" in refused["sw1"].why
        assert other.ask("admin1").refused["admin1"].why == "admin1 is no managed node of the site"
        # Another process of the same directory is what is left of it; one of another directory is not.
        hand.process = "p2"
        assert hand.ask("sw1").held == {"sw1": 1}
        hand.process = "p1"
        assert "another process has taken it over" in hand.ask("sw1").refused["sw1"].why

        repo.site(NODES, **{**SITE, "reach": {"sw1": BOTH}})
        eventually(lambda: len(store.admin.hosts()["hosts"]) == 2)
        hand.process = "p2"
        assert "the store places sw1: no host that offers" in hand.ask("sw1").refused["sw1"].why
        other.ask()
        assert hand.ask("sw1").refused["sw1"].why == "the store places sw1: admin1 converges it"
        assert other.told() == []
        hand.ask(release={"sw1": 1})
        assert other.told() == ["sw1"]
        assert other.ask("sw1").held == {"sw1": 2}


def test_a_host_may_not_finish_for_ever(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = enrolled(store, "admin1", "admin2")
    one.ask()
    one.ask("sw1", "sw2")
    store.admin.drain("admin1", "me", drain=True)
    two.ask()
    assert one.ask("sw1").held == {"sw1": 1}
    monkeypatch.setattr(hosts_module, "HANDOVER", 0.0)
    assert one.ask("sw1").refused["sw1"].why == "the store places sw1 on admin2"


def test_drain_and_resume(repo: Repository, tmp_path: Path) -> None:
    repo.site(NODES, **{**SITE, "reach": {"sw1": BOTH, "sw2": PINNED}})
    with running(repo.path, tmp_path / "data") as store:
        one, two = enrolled(store, "admin1", "admin2")
        one.ask()
        two.ask()
        one.ask("sw1", "sw2")
        two.ask("sw1", "sw2")
        listed = cli(store, "host", "list").output
        assert re.search(r"^admin1 +alive +1 of 1 ", listed, re.M), listed
        assert re.search(r"^admin2 +alive +1 of 1 ", listed, re.M), listed
        shown = cli(store, "host", "show", "admin1").output
        assert re.search(r"^sw2 +held +1 .*pinned there by ssh at admin1$", shown, re.M), shown
        assert cli(store, "host", "show", "web1").exception
        assert [item["only"] for item in store.admin.hosts()["hosts"]] == [["sw2"], []]

        drained = cli(store, "host", "drain", "admin2", "--timeout", "0.1")
        assert drained.return_value == 3
        assert "admin2 still holds sw1" in drained.output
        two.ask(release={"sw1": 1})
        drained = cli(store, "host", "drain", "admin2")
        assert (drained.return_value, drained.output.splitlines()[-1]) == (
            0,
            "admin2 holds nothing",
        )
        assert one.told() == ["sw1", "sw2"]
        one.ask("sw1", "sw2")
        assert [item["only"] for item in store.admin.hosts()["hosts"]] == [["sw1", "sw2"], []]
        assert re.search(r"^admin2 +drained +0 of 0 ", cli(store, "host", "list").output, re.M)

        one.ask(release={"sw2": one.held["sw2"]})
        drained = cli(store, "host", "drain", "admin1", "--timeout", "0.1", "--json")
        assert drained.return_value == 3
        assert json.loads(drained.stdout)["nodes"][0]["state"] == "leaving"
        one.ask(release=one.held)
        drained = cli(store, "host", "drain", "admin1")
        assert drained.return_value == 3
        assert "its only host admin1 is draining and it is pinned there by ssh at admin1" in drained.output  # fmt: skip
        assert "no host that offers oob-a is alive and not draining" in drained.output
        assert cli(store, "host", "resume", "admin1").return_value == 0
        assert one.told() == ["sw1", "sw2"]
        assert cli(store, "host", "drain", "web1").exception
        one.ask("sw1", "sw2")
        shown = json.loads(cli(store, "host", "list", "--json").output)
        assert shown["hosts"][1]["draining"]["who"]
        table = cli(store, "status").output
        assert re.search(r"^sw1 .*at admin1", table, re.M), table


def test_a_retired_host_keeps_its_leases_to_their_end_and_gets_no_more(store: Store) -> None:
    one, two = enrolled(store, "admin1", "admin2")
    one.ask()
    one.ask("sw1")
    two.ask()
    store.admin.retire("admin1", who="me", force=True)
    assert [host["host"] for host in store.admin.hosts()["hosts"]] == ["admin2"]
    assert two.told() == ["sw2"]
    assert two.ask("sw1").refused["sw1"].by == "admin1"
    with pytest.raises(NotAllowed):
        one.ask("sw1")
    assert two.ask("sw2").held == {"sw2": 1}
    store.admin.retire("sw2", who="me")
    assert two.told() == []
    with pytest.raises(NotAllowed):
        store.client.put_ledger("sw2", two.credential, b"{}", epoch=1)
    two.ask(release={"sw2": 1})
    assert "sw2" in two.ask("sw2").refused


def test_a_store_that_was_killed_knows_who_holds_what(repo: Repository, tmp_path: Path) -> None:
    repo.site(NODES, **{**SITE, "reach": {"sw1": BOTH, "sw2": PINNED}})
    data = tmp_path / "data"
    held = {}
    with process(repo.path, data) as (killed, url):
        from rackwright.client import AdminClient

        admin = AdminClient(url, (data / "admin.credential").read_text().strip())
        client = StoreClient(url)
        token = admin.create_token(["admin1", "admin2"])["token"]
        credentials = {name: client.enrol(token, name) for name in ("admin1", "admin2")}
        client.leases(credentials["admin1"], "p", {}, {})
        for epoch in (0, 1, 2):
            held = client.leases(credentials["admin1"], "p", {"sw1": ("i", epoch)}, {}).held
            client.leases(credentials["admin1"], "p", {}, held)
        held = client.leases(
            credentials["admin1"], "p", {"sw1": ("i", 3), "sw2": ("j", 0)}, {}
        ).held
        client.leases(credentials["admin2"], "p", {}, {})
        killed.kill()
        killed.wait()
    assert held == {"sw1": 4, "sw2": 1}
    with running(repo.path, data) as store:
        client = store.client
        bundle = client.bundle("admin1", credentials["admin1"])  # before it has asked anything
        assert bundle is not None
        delegates = [item.data["name"] for item in bundle[0].resources if item.type == "delegate"]
        assert delegates == ["sw1", "sw2"]
        client.leases(credentials["admin2"], "q", {}, {})
        refused = client.leases(credentials["admin2"], "q", {"sw1": ("k", 0)}, {}).refused["sw1"]
        assert (refused.by, "epoch 4" in refused.why or "places sw1" in refused.why) == (
            "admin1",
            True,
        )
        assert client.leases(credentials["admin1"], "p", {"sw1": ("i", 4)}, {}).held == {"sw1": 4}
        client.put_facts("sw1", credentials["admin1"], Facts(), epoch=4)
        with pytest.raises(NotAllowed):
            client.put_facts("sw1", credentials["admin1"], Facts(), epoch=3)


def test_why_a_delegate_is_where_it_is(store: Store) -> None:
    one, two = enrolled(store, "admin1", "admin2")
    hint = cli(store, "why", "admin1:delegate/sw1")
    assert "admin1 has not been heard" in str(hint.exception)
    one.ask()
    one.ask("sw1", "sw2")
    told = cli(store, "why", "admin1:delegate/sw1").output
    assert told.splitlines()[0] == "admin1:delegate/sw1"
    assert "one of 2 hosts that can reach it" in told
    assert "service/rackwright-delegates" in told
    assert cli(store, "why", "admin1", "delegate/sw1").output.split(", ")[0] == told.split(", ")[0]
    two.ask()
    moved = next(name for name in ("sw1", "sw2") if status(store, name)["placed"] == "admin2")
    told = cli(store, "why", f"admin2:delegate/{moved}").output
    assert "; admin1 has yet to let go of it" in told
    elsewhere = str(cli(store, "why", f"admin1:delegate/{moved}").exception)
    assert f"admin1 has no 'delegate/{moved}'" in elsewhere
    assert f"the store places {moved} on admin2: one of 2 hosts" in elsewhere
    for wrong in ("admin1:delegate/nobody", "admin1:delegate/web1", "web1:delegate/sw1"):
        assert isinstance(cli(store, "why", wrong).exception, Permanent)
    assert "NODE:PATH" in str(cli(store, "why", "admin1").exception)


def test_a_host_that_has_not_the_lease_is_told_who_is_to_have_it(store: Store) -> None:
    one, two = enrolled(store, "admin1", "admin2")
    one.ask()
    one.ask("sw1", "sw2")
    with pytest.raises(NotAllowed, match="the store places sw1 on admin1"):
        store.client.bundle("sw1", two.credential)
    with pytest.raises(NotAllowed, match="only what belongs to its own node"):
        store.client.bundle("web1", two.credential)
