"""Why something waits: cases as data, and the same over HTTP; sequence, watch and retire on a store."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from rackwright.cli.main import group
from rackwright.cli.watching import verdict
from rackwright.model.address import Address
from rackwright.model.bundle import Bundle, Declared, Deferred, Gates, Need, Origin
from rackwright.model.errors import Permanent, Unreachable
from rackwright.model.report import Outcome, Report
from rackwright.model.site import Node, Way
from rackwright.model.standing import Standing
from rackwright_store.placement import Whereabouts
from rackwright_store.standing import Seen, standings, stands_of
from rackwright_store.waiting import Rack
from tests.tables import table

from .rack import Agent, Repository, Store, eventually, running

CASES = table(Path(__file__).parent / "cases" / "waiting.yaml")
ORIGIN = Origin(file="site.yaml", line=1)
NOW = 10_000.0


def seen(name: str, about: Mapping[str, Any]) -> Seen:
    given = dict(about)
    reach = (Way(transport="ssh", options={}),) if given.pop("managed", False) else ()
    has = given.pop("has", {})
    deferred = given.pop("deferred", {})
    bundle = Bundle(
        node=Node(name=name, type="server", platform="linux", reach=reach),
        revision="r",
        resources=tuple(declared(address, needs) for address, needs in has.items()),
        deferred=tuple(Deferred(address=a, fact=f, origin=ORIGIN) for a, f in deferred.items()),
    )
    stood = {
        address: Standing(**{"since": 9500.0, "at": 9500.0, **said, "waits_for": tuple(said.get("waits_for", ()))})
        for address, said in given.pop("stood", {}).items()
    }  # fmt: skip
    held = {address: tuple(users) for address, users in given.pop("held", {}).items()}
    since = given.pop("since_deferred", 9500.0)
    at = Whereabouts(**given.pop("at", {}))
    return Seen(
        bundle=bundle,
        verified=dict.fromkeys(given.pop("verified", ()), "d"),
        standing=stood,
        gates=Gates(held=held, later=given.pop("later", {})),
        deferred=dict.fromkeys(deferred, since),
        at=at,
        **given,
    )


def declared(address: str, needs: list[str]) -> Declared:
    what = Address.parse(address)
    return Declared(
        type=what.type,
        data={"name": what.name},
        digest="d",
        origin=ORIGIN,
        needs=tuple(Need(address=need, digest="d") for need in needs),
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_case(case: dict[str, Any]) -> None:
    nodes = {name: seen(name, about) for name, about in case["nodes"].items()}
    rack = Rack(nodes, NOW, 900.0, case.get("fronts"))
    found = rack.why(case["asks"])
    assert [chain.kind for chain in found] == [wanted["kind"] for wanted in case["chains"]]
    for chain, wanted in zip(found, case["chains"], strict=True):
        assert wanted.get("root", chain.root) == chain.root
        assert wanted.get("way", [step.what for step in chain.path]) == [step.what for step in chain.path]  # fmt: skip
        assert wanted.get("error", "") in chain.error
        assert wanted.get("act", "") in chain.act
        assert chain.act
        for name in ("since", "overdue", "waiting"):
            assert wanted.get(name, getattr(chain, name)) == getattr(chain, name)


addresses = st.sampled_from([f"{node}:x/{i}" for node in "abc" for i in range(3)] + ["gone:x/1"])
stood = st.builds(
    lambda state, action, waits: {"state": state, "action": action, "waits_for": waits, "why": "w"},
    st.sampled_from(["blocked", "failed", "refused", "changed", "removed"]),
    st.sampled_from(["", "create", "remove", "release"]),
    st.lists(addresses, max_size=3),
)
keys = st.sampled_from(["x/0", "x/1", "x/2"])
nodes = st.fixed_dictionaries(
    {
        "has": st.dictionaries(keys, st.lists(addresses, max_size=2), max_size=3),
        "verified": st.lists(keys, max_size=2),
        "stood": st.dictionaries(keys, stood, max_size=3),
        "held": st.dictionaries(keys, st.lists(addresses, max_size=2), max_size=2),
        "enrolled": st.booleans(),
    }
)


@given(st.fixed_dictionaries(dict.fromkeys("abc", nodes)))
def test_it_ends_on_anything_and_names_a_root_for_all_that_waits(
    about: dict[str, dict[str, Any]],
) -> None:
    rack = Rack({name: seen(name, said) for name, said in about.items()}, NOW, 900.0)
    for node in about:
        chains = rack.why(node)
        undone = [key for key, stand in rack.stands(node).items() if not stand.done]
        assert bool(chains) == bool(undone)
        assert all(chain.path[0].what.startswith(f"{node}:") for chain in chains)
        assert all(1 <= chain.waiting <= len(undone) for chain in chains)


def report(*outcomes: Outcome, **more: Any) -> Report:
    return Report(**{"id": "r", "node": "a", "started": 1.0, "finished": 2.0, "outcomes": outcomes, **more})  # fmt: skip


def blocked(*waits: str) -> Outcome:
    return Outcome(address="x/1", state="blocked", action="create", waits_for=waits)


def test_a_wait_lasts_as_long_as_it_is_for_something_of_the_same() -> None:
    first = standings(report(blocked("b:y/1", "z/2")), {}, None, 10.0)
    assert first is not None
    assert first["x/1"].waits_for == ("b:y/1", "a:z/2")
    second = standings(report(blocked("b:y/1")), first, None, 20.0)
    assert second is not None
    assert (second["x/1"].since, second["x/1"].at) == (10.0, 20.0)
    third = standings(report(blocked("b:y/9")), second, None, 30.0)
    assert third is not None
    assert third["x/1"].since == 30.0
    assert standings(report(Outcome(address="x/1", state="in_sync")), third, None, 40.0) == {}


def test_a_run_that_was_cut_short_leaves_standing_what_it_does_not_mention() -> None:
    first = standings(report(blocked("b:y/1")), {}, None, 10.0)
    assert first is not None
    lost = standings(report(error="gone", kind="unreachable"), first, None, 20.0)
    assert lost is not None
    assert set(lost) == {"x/1", ""}
    again = standings(report(error="gone", kind="unreachable"), lost, None, 30.0)
    assert again is not None
    assert (again[""].since, again[""].at) == (20.0, 30.0)
    assert standings(report(), again, None, 40.0) == {}
    assert standings(report(why_run=True), again, None, 40.0) is None
    assert standings(report(), again, 2.5, 40.0) is None


def test_where_a_resource_stands() -> None:
    about = {
        "has": dict.fromkeys(("x/0", "x/1", "x/2", "x/3"), ()),
        "verified": ["x/0", "x/1", "x/9"],
        "stood": {
            "x/1": {"state": "changed"},
            "x/2": {"state": "failed", "why": "no"},
            "x/8": {"state": "failed", "action": "remove"},
            "x/7": {"state": "failed", "action": "create"},
            "x/6": {"state": "blocked", "action": "release", "waits_for": ["b:y/1"]},
        },
    }
    found = stands_of(seen("a", about))
    assert {key: (stand.state, stand.remove) for key, stand in found.items()} == {
        "x/0": ("verified", False),
        "x/1": ("changed", False),
        "x/2": ("failed", False),
        "x/3": ("unreported", False),
        "x/6": ("waiting", True),
        "x/8": ("failed", True),
        "x/9": ("unreported", True),
    }


def test_what_is_to_be_let_go_of_and_is_held_moves_nothing() -> None:
    stood = {"state": "blocked", "action": "release", "waits_for": ["gone:file/1"]}
    about = {
        "verified": ["port/1"],
        "held": {"port/1": ["gone:file/1"]},
        "stood": {"port/1": stood},
    }
    rack = Rack({"a": seen("a", about)}, NOW, 900.0)
    assert not rack.moving("a")
    assert [chain.kind for chain in rack.why("a")] == ["left"]


RACK = {
    "sw1": {"vlan/1": {}},
    "web1": {"file/a": {"needs": ["sw1:vlan/1"]}, "file/b": {}},
}


def waits(agent: Agent, identity: str) -> None:
    items = {str(item.address): item for item in agent.must().resources}
    now = time.time()
    agent.report(
        Report(
            id=identity,
            node=agent.node,
            started=now,
            finished=now,
            outcomes=(
                Outcome(address="file/a", state="blocked", action="create", digest=items["file/a"].digest, waits_for=("sw1:vlan/1",)),
                Outcome(address="file/b", state="changed", action="create", digest=items["file/b"].digest),
            ),
        )
    )  # fmt: skip


def command(store: Store, *args: str) -> tuple[int, str]:
    done = CliRunner().invoke(
        group,
        [*args, "--store", store.url, "--credential", str(store.ready.admin_credential)],
        standalone_mode=False,
        catch_exceptions=False,
    )
    return (
        done.return_value if isinstance(done.return_value, int) else done.exit_code
    ), done.output


def line(store: Store, node: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        item for item in store.admin.status()["nodes"] if item["node"] == node
    )
    return found


def test_a_revision_is_followed_from_nothing_to_verified(repo: Repository, tmp_path: Path) -> None:
    repo.site(RACK, handoff_deadline=1)
    with running(repo.path, tmp_path / "data") as store:
        agents = store.agent(*RACK)
        assert line(store, "web1")["standing"] == {"unreported": 2}
        assert line(store, "web1")["moving"]
        waits(agents["web1"], "w1")
        found = line(store, "web1")
        assert found["standing"] == {"changed": 1, "waiting": 1}
        assert not found["moving"]
        waves = store.admin.sequence()["waves"]
        assert [{step["address"]: step["state"] for step in wave} for wave in waves] == [
            {"sw1:vlan/1": "unreported", "web1:file/b": "changed"},
            {"web1:file/a": "waiting"},
        ]
        chain = store.admin.waiting("web1")["chains"][0]
        assert (chain["kind"], chain["root"]) == ("pending", "sw1")
        code, said = command(store, "why-waiting", "web1")
        assert code == 0
        assert "└─ sw1:vlan/1" in said
        assert "who can act: sw1's agent" in said
        assert verdict(store.admin.status()) is None  # sw1 is still to come

        # Past the deadline it is overdue, wherever one looks.
        eventually(lambda: line(store, "web1")["overdue"])
        assert store.admin.waiting("web1")["overdue"]
        assert "overdue" in command(store, "status")[1]

        # A failure that nothing can follow ends it.
        now = time.time()
        digest = agents["sw1"].must().resources[0].digest
        bad = Outcome(address="vlan/1", state="failed", digest=digest, why="% Invalid input")
        agents["sw1"].report(
            Report(id="s1", node="sw1", started=now, finished=now, outcomes=(bad,))
        )
        assert verdict(store.admin.status()) == 2
        code, said = command(store, "watch")
        assert code == 2
        assert "1 changed, 1 waiting, 1 failed" in said
        assert "why: rackwright why-waiting sw1" in said
        code, said = command(store, "sequence", "web1:file/a")
        assert "sw1" in said
        assert "1 failed" in said
        assert "file/b" not in said

        # What is mended is followed to its end.
        agents["sw1"].converged("s2", time.time())
        agents["web1"].converged("w2", time.time())
        code, said = command(store, "watch", "--timeout", "20")
        assert code == 0
        assert "all 3 resources of 2 nodes are verified" in said
        assert store.admin.waiting("web1")["chains"] == []

        # The newest commit does not compile: that is what a pipeline is told.
        repo.commit({"rack.json": "{"})
        assert command(store, "watch")[0] == 1


def test_where_it_stands_outlives_the_store(repo: Repository, tmp_path: Path) -> None:
    repo.site(RACK)
    with running(repo.path, tmp_path / "data") as store:
        waits(store.agent(*RACK)["web1"], "w1")
        before = store.admin.waiting("web1")["chains"][0]["path"][0]
        assert before["state"] == "waiting"
    with running(repo.path, tmp_path / "data") as store:
        assert store.admin.waiting("web1")["chains"][0]["path"][0] == before
        # Nobody comes: it gives up when told to.
        code, said = command(store, "watch", "--timeout", "0.5")
        assert code == 3
        assert "gave up after 0.5 s" in said


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("x" * 43)
    args = ["watch", "--store", "http://127.0.0.1:9", "--credential", str(key)]
    with pytest.raises(Unreachable, match="refused"):
        CliRunner().invoke(group, args, standalone_mode=False, catch_exceptions=False)


def test_a_node_is_retired(repo: Repository, tmp_path: Path) -> None:
    repo.site(RACK)
    with running(repo.path, tmp_path / "data") as store:
        agents = store.agent(*RACK)
        agents["sw1"].converged("s1", time.time())
        agents["web1"].converged("w1", time.time())
        agents["web1"].ledger({"file/a": {"needs": ["sw1:vlan/1"]}})
        repo.site({"sw1": {}, "web1": {}})
        eventually(lambda: agents["sw1"].gates()[0].held == {"vlan/1": ("web1:file/a",)})

        with pytest.raises(Permanent, match="nothing is known of a node 'web9'"):
            store.admin.retire("web9", who="me")
        with pytest.raises(Permanent, match="has reported within the last 10 min"):
            store.admin.retire("web1", who="me")
        assert store.admin.retire("web1", who="me", dry_run=True)["released"] == ["sw1:vlan/1"]
        assert agents["sw1"].gates()[0].held

        token = store.admin.create_token(["web1"])["token"]
        code, said = command(store, "node", "retire", "web1", "--yes", "--force", "--why", "burnt")
        assert code == 0
        assert "released: sw1:vlan/1" in said
        assert agents["sw1"].gates()[0].held == {}
        with pytest.raises(Permanent, match="nobody's"):
            agents["web1"].bundle()
        with pytest.raises(Permanent, match="does not enrol"):
            agents["web1"].client.enrol(token, "web1")
        assert line(store, "web1")["state"] == "retired"
        assert not line(store, "web1")["enrolled"]
        retired = store.admin.status()["retired"]
        assert [(gone["node"], gone["why"]) for gone in retired] == [("web1", "burnt")]
        assert retired[0]["who"]
        assert "web1 was retired by" in command(store, "status")[1]
        for more in ("--yes",), ():
            code, said = command(store, "node", "retire", "web1", *more, "--why", "sold")
            assert code == 0
            assert "web1 was retired already, by " in said
            assert said.rstrip().endswith(": burnt")
        assert store.admin.status()["retired"] == retired
    with running(repo.path, tmp_path / "data") as store:
        assert line(store, "web1")["state"] == "retired"
        store.agent("web1")
        assert line(store, "web1")["state"] != "retired"
        assert store.admin.status()["retired"] == []
        # One that has left the site needs no force.
        repo.site({"sw1": {}})
        eventually(lambda: len(store.admin.status()["nodes"]) == 1)
        assert store.admin.retire("web1", who="me")["node"] == "web1"


def test_a_node_is_still_shown_by_its_name(repo: Repository, tmp_path: Path) -> None:
    repo.site(RACK)
    with running(repo.path, tmp_path / "data") as store:
        assert "file/a" in command(store, "node", "web1")[1]
        assert "web1" in command(store, "node")[1]
