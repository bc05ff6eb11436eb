"""Paths, turns and last feeds: cases as data, and turns under anything that may be reported."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rackwright.model.address import Address
from rackwright.model.bundle import Bundle, Declared, Gates, Need, Origin
from rackwright.model.facts import Facts
from rackwright.model.site import Link, Node, Way
from rackwright_proposals.evidence import Found, LinkState
from rackwright_proposals.feeds import last_feeds
from rackwright_proposals.paths import paths_of
from rackwright_proposals.redundancy import Groups, groups_of
from rackwright_proposals.turns import Turns
from tests.tables import table

HERE = Path(__file__).parent / "cases"
PATHS, FEEDS, REDUNDANCY = (
    table(HERE / f"{name}.yaml") for name in ("paths", "feeds", "redundancy")
)
NOW = 10_000.0
DEEP = 2000 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 0
WORLD = ("failed", "away", "held", "once")


def parsed(text: str) -> tuple[str, str, str, str, str]:
    """``a:1 - b:2 found``"""
    one, _, rest = text.partition(" - ")
    other, _, state = rest.partition(" ")
    return (*one.split(":"), *other.split(":"), state)  # type: ignore[return-value]


def nodes_of(case: Mapping[str, Any]) -> dict[str, Node]:
    links: dict[str, list[Link]] = {}
    for text in case["links"]:
        node, port, peer, peer_port, _ = parsed(text)
        links.setdefault(node, []).append(Link(port=port, peer=peer, peer_port=peer_port))
        links.setdefault(peer, []).append(Link(port=peer_port, peer=node, peer_port=port))
    return {
        name: Node(
            name=name,
            type=kind,
            platform="x",
            reach=() if kind == "server" else (Way(transport="ssh", options={}),),
            links=tuple(links.get(name, ())),
        )
        for name, kind in case["nodes"].items()
    }


@pytest.mark.parametrize("case", PATHS, ids=lambda case: case["case"])
def test_paths(case: dict[str, Any]) -> None:
    types = {**case["nodes"], **dict.fromkeys(case["hosts"], "server")}
    bundles = {
        name: Bundle(
            node=node, revision="r", roles=("delegate-host",) if name in case["hosts"] else ()
        )
        for name, node in nodes_of({**case, "nodes": types}).items()
    }
    states = []
    for text in case["links"]:
        node, port, peer, peer_port, said = parsed(text)
        state = {"trusted": "contradicted", "": "unseen"}.get(said, said)
        trust = "declared" if said == "trusted" else ""
        states.append(
            LinkState(
                node=node, port=port, peer=peer, peer_port=peer_port, state=state, trust=trust
            )  # type: ignore[arg-type]
        )
    found = {
        host: Found(Facts(values={"nics": {"eth0": {"mac": mac(case, host)}}}), NOW)
        for host in case["hosts"]
    }
    for node, learnt in case.get("macs", {}).items():
        rows = {
            port: [{"mac": mac(case, host), "vlan": vlan}] for port, (host, vlan) in learnt.items()
        }
        at = NOW - case.get("ages", {}).get(node, 0)
        found[node] = Found(Facts(values={"mac_table": rows}), at)
    made = paths_of(bundles, states, found, lambda port: port)[case["asks"]]
    assert {host: list(ports) for host, ports in made.items()} == case["then"]


def mac(case: Mapping[str, Any], host: str) -> str:
    return f"52:54:00:00:00:0{case['hosts'].index(host) + 1}"


@pytest.mark.parametrize("case", FEEDS, ids=lambda case: case["case"])
def test_last_feeds(case: dict[str, Any]) -> None:
    found = last_feeds(
        case["asks"],
        nodes_of(case),
        lambda pdu, outlet: f"{pdu}:{outlet}" in case["live"],
        case["answers"].__contains__,
    )
    assert found == case["then"]


@dataclass
class World:
    """What is known, and what is declared."""

    has: dict[str, str] = field(default_factory=dict)
    ill: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    """What waits for its wave of a rollout."""
    once: set[str] = field(default_factory=set)
    """What was verified once."""

    def verified(self, node: str) -> Mapping[str, str]:
        return {
            key.partition(":")[2]: d for key, d in self.has.items() if key.startswith(f"{node}:")
        }

    def failed(self, node: str, key: str) -> bool:
        return f"{node}:{key}" in self.ill

    def removed(self, node: str) -> Collection[str]:
        return ()

    def away(self, node: str) -> bool:
        return node in self.gone

    def gates(self, node: str) -> Gates:
        later = {key.partition(":")[2]: "" for key in self.held if key.startswith(f"{node}:")}
        return Gates(later=later, verified=self.has)

    def begun(self, node: str) -> Collection[str]:
        return {key.partition(":")[2] for key in self.once if key.startswith(f"{node}:")}


def bundles_of(
    nodes: Mapping[str, Node], wants: Mapping[str, str], needs: Mapping[str, Any]
) -> dict[str, Bundle]:
    made: dict[str, list[Declared]] = {name: [] for name in nodes}
    for text, digest in wants.items():
        address = Address.parse(text)
        made[address.node].append(
            Declared(
                type=address.type,
                data={"name": address.name},
                digest=digest,
                origin=Origin(file="f", line=1),
                needs=tuple(
                    Need(address=need, digest=wants.get(need, "")) for need in needs.get(text, ())
                ),
            )
        )
    return {
        name: Bundle(node=node, revision="r", resources=tuple(made[name]))
        for name, node in nodes.items()
    }


@pytest.mark.parametrize("case", REDUNDANCY, ids=lambda case: case["case"])
def test_turns(case: dict[str, Any]) -> None:
    nodes = nodes_of(case)
    groups = groups_of(nodes)
    if "groups" in case:
        found = {
            f"{group.node} {group.kind}": {
                f"{end.node}:{end.port}"
                for side in group.sides
                for end in (side.near if group.node in "abc" else side.far,)
            }
            for group in groups
        }
        assert found == {name: set(sides) for name, sides in case["groups"].items()}
    indexed = Groups(groups)
    ends = {f"{end.node}:{end.port}": link for link in indexed.by_link for end in link}
    world = World(case.get("has", {}), *(set(case.get(key, ())) for key in WORLD))
    turns = Turns(world, [ends[text] for text in case.get("turn", ())])
    bundles = bundles_of(nodes, case.get("wants", {}), case.get("needs", {}))
    turns.use(bundles, indexed)
    turns.update(nodes)
    told = {
        f"{node}:{port}": list(waits) for node in nodes for port, waits in turns.of(node).items()
    }
    assert {port: waits for port, waits in told.items() if waits} == case.get("waits", {})
    assert turns.holders == {ends[text] for text in case.get("takes", ())}


@dataclass
class Rack:
    """Servers with two or three uplinks on four switches; whoever has the turn may be cutting."""

    nodes: dict[str, Node]
    wants: dict[str, str]
    world: World = field(default_factory=World)
    cutting: dict[str, dict[str, str]] = field(default_factory=dict)
    """Switch → its ports that it may cut in the run that it is in, and what they are to be then."""
    needs: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.turns = Turns(self.world)
        self.turns.install(self.bundles(), Groups(groups_of(self.nodes)))

    def bundles(self) -> dict[str, Bundle]:
        return bundles_of(self.nodes, self.wants, self.needs)

    def begin(self, switch: str) -> None:
        """A run begins: it reads its gates, and is bound to nothing that is said later."""
        told, world = self.turns.of(switch), self.world
        self.cutting[switch] = {
            port: self.wants[key]
            for port in (link.port for link in self.nodes[switch].links)
            if port not in told
            and (key := f"{switch}:port/{port}") not in world.held
            and all(world.has.get(need) == self.wants[need] for need in self.needs.get(key, ()))
        }

    def end(self, switch: str, outcome: str) -> None:
        """Its report comes."""
        for port, digest in self.cutting.pop(switch, {}).items():
            key = f"{switch}:port/{port}"
            if key in self.needs and outcome != "good":
                continue  # what is ill and needs its own other side is left to people
            self.world.ill.discard(key)
            self.world.has.pop(key, None)
            if outcome == "good":
                self.world.has[key] = digest
                self.world.once.add(key)
            elif outcome == "failed":
                self.world.ill.add(key)
        if outcome == "failed":  # what cuts nothing is tried without a turn, and may fail too
            for key in {f"{switch}:port/{link.port}" for link in self.nodes[switch].links[:1]}:
                if key in self.needs:
                    continue
                self.world.has.pop(key, None)
                self.world.ill.add(key)
        self.world.gone.discard(switch)
        if outcome == "unreachable":
            self.world.gone.add(switch)
        self.turns.reported(switch)
        self.turns.update(self.nodes)  # a need may be met, or not any more

    def drift(self, switch: str) -> None:
        """A run finds that nothing is as it was, and may not touch what counts as verified."""
        for port in self.turns.of(switch):
            if (key := f"{switch}:port/{port}") not in self.needs:
                self.world.has.pop(key, None)
        self.turns.reported(switch)
        self.turns.update(self.nodes)

    def commit(self, addresses: Collection[str], digest: str) -> None:
        self.wants.update(dict.fromkeys(addresses, digest))
        self.turns.install(self.bundles(), self.turns.groups)

    def hold(self, addresses: Collection[str]) -> None:
        """For these the wave has not come, for all others it has."""
        self.world.held = set(addresses)
        self.turns.update(self.nodes)

    def restart(self) -> None:
        """Who said whose turn it is has forgotten everything."""
        self.turns = Turns(self.world, since=1)
        self.turns.install(self.bundles(), Groups(groups_of(self.nodes)))

    def behind(self) -> set[str]:
        return {key for key, digest in self.wants.items() if self.world.has.get(key) != digest}

    def stuck(self) -> set[str]:
        """What cannot go while something is held: that, what needs it, and what must not be cut while
        something else is ill or lost. (Of what needs each other across that, all of it.)"""
        found: set[str] = set()
        more = self.world.held & self.behind()
        while more - found:
            found |= more
            more = {key for key, first in self.needs.items() if found.intersection(first)}
            lost = (found & self.world.once) - self.world.has.keys() | found & self.world.ill
            for group in self.turns.groups.by_link.values():
                for about, _ in group:
                    keys = {f"{side.far.node}:port/{side.far.port}" for side in about.sides}
                    more |= keys if keys & lost else set()
        return found

    def finish(self) -> None:
        """Everybody runs again and again, and all goes well."""
        calm = 0
        while calm < 3:  # a round may do no more than find out who is well
            before = (dict(self.world.has), self.turns.holders)
            for switch in SWITCHES:
                self.begin(switch)
                self.check()
                self.end(switch, "good")
            calm = calm + 1 if before == (self.world.has, self.turns.holders) else 0

    def check(self) -> None:
        for server, node in self.nodes.items():
            if node.type == "server":
                cut = [x for x in node.links if x.peer_port in self.cutting.get(x.peer, ())]
                assert len(cut) <= 1, f"{server} may lose {cut} at once"


SWITCHES = ("sw1", "sw2", "sw3", "sw4")


@st.composite
def racks(draw: st.DrawFn) -> Rack:
    links = []
    for number in range(draw(st.integers(1, 4))):
        peers = draw(st.lists(st.sampled_from(SWITCHES), min_size=2, max_size=3))
        links += [f"{sw}:{number}.{i} - web{number}:eth{i}" for i, sw in enumerate(peers)]
    kinds = dict.fromkeys(SWITCHES, "switch")
    servers = {parsed(text)[2]: "server" for text in links}
    nodes = nodes_of({"nodes": {**kinds, **servers}, "links": links})
    wants = {f"{parsed(text)[0]}:port/{parsed(text)[1]}": "d0" for text in links}
    keys = sorted(wants)
    needs = {
        key: [first]
        for key in keys
        for first in keys
        if first < key and draw(st.integers(0, 5)) == 0
    }
    if draw(st.booleans()):  # against the names' order
        needs = {first: [key] for key, (first,) in needs.items()}
    return Rack(nodes, wants, needs=needs)


steps = st.lists(
    st.tuples(
        st.sampled_from(["begin", "begin", "end", "end", "drift", "commit", "hold", "restart"]),
        st.sampled_from(SWITCHES),
        st.sampled_from(["good", "good", "failed", "unreachable"]),
        st.integers(0, 3),
    ),
    max_size=30,
)


@settings(max_examples=DEEP or 25)
@given(racks(), steps)
def test_never_two_sides_at_once_and_all_is_done_in_the_end(rack: Rack, said: Any) -> None:
    for number, (what, switch, outcome, pick) in enumerate(said):
        if what == "begin" and switch not in rack.cutting:
            rack.begin(switch)
        elif what == "end" and switch in rack.cutting:
            rack.end(switch, outcome)
        elif what == "drift" and switch not in rack.cutting:
            rack.drift(switch)
        elif what == "commit":
            some = [key for i, key in enumerate(sorted(rack.wants)) if i % 4 == pick]
            rack.commit(some, f"d{number % 3}")
        elif what == "hold":
            rack.hold([key for i, key in enumerate(sorted(rack.wants)) if (i + pick) % 3 == 0])
        elif what == "restart":
            rack.restart()
        rack.check()
    rack.finish()
    assert rack.behind() <= rack.stuck()
    rack.hold(())
    rack.finish()
    assert rack.world.has == rack.wants


def test_a_link_that_has_become_redundant_waits_for_runs_that_know_nothing_of_it() -> None:
    alone = {"nodes": {"web1": "server", "sw-a": "switch", "sw-b": "switch"}, "links": ["sw-a:1 - web1:e0"]}  # fmt: skip
    both = {**alone, "links": ["sw-a:1 - web1:e0", "sw-b:1 - web1:e1"]}
    wants = {"sw-a:port/1": "new", "sw-b:port/1": "new"}
    world = World({"sw-b:port/1": "new"})
    turns = Turns(world)
    turns.install(bundles_of(nodes_of(alone), wants, {}), Groups(groups_of(nodes_of(alone))))
    nodes = nodes_of(both)
    changed = turns.install(bundles_of(nodes, wants, {}), Groups(groups_of(nodes)))
    assert changed == {"sw-a", "sw-b"}
    assert turns.of("sw-a") == {"1": ("sw-b:port/1",)}
    assert turns.reported("sw-b") == {"sw-a"}
    assert turns.of("sw-a") == {}
    assert turns.given("sw-a") == {"1": 1}


def test_words() -> None:
    case = REDUNDANCY[0]
    groups = Groups(groups_of(nodes_of(case)))
    assert groups.explain("sw-b", "1", "sw-a", "1") == "the two are web1's uplinks"
    assert groups.explain("sw-b", "1", "sw-b", "1") == ""
