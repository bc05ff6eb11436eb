"""Paths, turns and last feeds: cases as data, and turns under anything that may be reported."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
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
from rackwright_proposals.redundancy import Cut, End, Groups, groups_of
from rackwright_proposals.turns import Turns
from tests.tables import table

HERE = Path(__file__).parent / "cases"
PATHS, FEEDS, REDUNDANCY = (
    table(HERE / f"{name}.yaml") for name in ("paths", "feeds", "redundancy")
)
NOW = 10_000.0
DEEP = 2000 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 0
WORLD = ("failed", "away", "held", "once", "rested", "stays")


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
    silent: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    """What waits for its wave of a rollout."""
    once: set[str] = field(default_factory=set)
    """What was verified once."""
    rested: set[str] = field(default_factory=set)
    """What others rest on."""
    stays: set[str] = field(default_factory=set)
    """What a run was to take away and did not."""
    gone: set[str] = field(default_factory=set)
    fields: dict[str, dict[str, Any]] = field(default_factory=dict)
    """At which something was applied last."""

    def verified(self, node: str) -> Mapping[str, str]:
        return {
            key.partition(":")[2]: d for key, d in self.has.items() if key.startswith(f"{node}:")
        }

    def failed(self, node: str, key: str) -> bool:
        return f"{node}:{key}" in self.ill

    def removed(self, node: str) -> Collection[str]:
        return local(node, self.gone)

    def away(self, node: str) -> bool:
        return node in self.silent

    def gates(self, node: str) -> Gates:
        later = {key.partition(":")[2]: "" for key in self.held if key.startswith(f"{node}:")}
        held = {
            key.partition(":")[2]: ("x:y/z",) for key in self.rested if key.startswith(f"{node}:")
        }
        return Gates(later=later, held=held, verified=self.has)

    def leaving(self, node: str) -> Collection[str]:
        return local(node, self.stays)

    def applied(self, node: str, key: str) -> Mapping[str, Any] | None:
        return self.fields.get(f"{node}:{key}")

    def begun(self, node: str) -> Collection[str]:
        return local(node, self.once)


def local(node: str, keys: Collection[str]) -> set[str]:
    return {key.partition(":")[2] for key in keys if key.startswith(f"{node}:")}


def bundles_of(
    nodes: Mapping[str, Node],
    wants: Mapping[str, str],
    needs: Mapping[str, Any],
    fields: Mapping[str, Any] = MappingProxyType({}),
    purge: Collection[str] = (),
) -> dict[str, Bundle]:
    made: dict[str, list[Declared]] = {name: [] for name in nodes}
    for text, digest in wants.items():
        address = Address.parse(text)
        made[address.node].append(
            Declared(
                type=address.type,
                data={"name": address.name, **fields.get(text, {})},
                digest=digest,
                origin=Origin(file="f", line=1),
                needs=tuple(
                    Need(address=need, digest=wants.get(need, "")) for need in needs.get(text, ())
                ),
            )
        )
    return {
        name: Bundle(node=node, revision="r", resources=tuple(made[name]), purge=tuple(purge))
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

    def cuts(texts: Collection[str]) -> set[Cut]:
        return {ends.get(text) or frozenset([End(*text.split(":"))]) for text in texts}

    world = World(case.get("has", {}), *(set(case.get(key, ())) for key in WORLD))
    world.fields = case.get("applied", {})
    turns = Turns(world, cuts(case.get("turn", ())), spelling=lambda port: port.removeprefix("Gi"))
    more = (case.get("fields", {}), case.get("purge", ()))
    bundles = bundles_of(nodes, case.get("wants", {}), case.get("needs", {}), *more)
    turns.use(bundles, indexed)
    turns.update(nodes)
    told = {
        f"{node}:{port}": list(waits) for node in nodes for port, waits in turns.of(node).items()
    }
    assert {port: waits for port, waits in told.items() if waits} == case.get("waits", {})
    assert turns.holders == cuts(case.get("takes", ()))
    assert not told.keys() & {*case.get("free", ()), *case.get("takes", ())} - case.get("waits", {}).keys()  # fmt: skip
    assert {key for key in case.get("verified", ()) if told.get(key) != []} == set()


VLAN = "vlan/20"


@dataclass
class Rack:
    """Servers with two or three uplinks on four switches; whoever has the turn may be cutting."""

    nodes: dict[str, Node]
    wants: dict[str, str]
    world: World = field(default_factory=World)
    cutting: dict[str, dict[str, str]] = field(default_factory=dict)
    """Switch → what it may cut in the run that it is in, and what that is to be then; empty: gone."""
    needs: dict[str, list[str]] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)
    """Of each switch's LAG."""

    def __post_init__(self) -> None:
        self.wants |= {f"{switch}:lag/1": "d0" for switch in self.members}
        self.wants |= {f"{switch}:{VLAN}": "v" for switch in SWITCHES}
        self.world.has |= {f"{switch}:{VLAN}": "v" for switch in SWITCHES}
        self.turns = Turns(self.world)
        self.turns.install(self.bundles(), Groups(groups_of(self.nodes)))

    def bundles(self) -> dict[str, Bundle]:
        fields = {
            f"{switch}:lag/1": {"members": members} for switch, members in self.members.items()
        }
        return bundles_of(self.nodes, self.wants, self.needs, fields)

    def mine(self, switch: str) -> dict[str, str]:
        """What of ``switch`` may be cut, by what its gates call it: its whole address."""
        return {
            **{link.port: f"{switch}:port/{link.port}" for link in self.nodes[switch].links},
            **{key: f"{switch}:{key}" for key in (VLAN, "lag/1")},
        }

    def links(self, switch: str, key: str) -> set[str]:
        """The ports of ``switch`` that are cut with ``key``, each as its own."""
        every = {link.port for link in self.nodes[switch].links}
        if key == VLAN:
            return every
        return every.intersection(self.members[switch]) if key == "lag/1" else {key}

    def begin(self, switch: str) -> None:
        """A run begins: it reads its gates, and is bound to nothing that is said later."""
        told, world = self.turns.of(switch), self.world
        going = self.cutting[switch] = {
            name: self.wants.get(key, "")
            for name, key in self.mine(switch).items()
            if name not in told
            and key not in world.held
            and (key in self.wants) != (name == VLAN)
            and all(world.has.get(need) == self.wants[need] for need in self.needs.get(key, ()))
        }
        if VLAN in going and not self.left(switch):
            del going[VLAN]

    def left(self, switch: str) -> bool:
        key = f"{switch}:{VLAN}"
        return key not in self.wants and (key in self.world.has or key in self.world.stays)

    def end(self, switch: str, outcome: str) -> None:
        """Its report comes."""
        world, mine = self.world, self.mine(switch)
        key = f"{switch}:{VLAN}"
        if key in self.wants and outcome == "good":  # to be made again cuts nothing
            world.has[key] = "v"
            world.stays.discard(key)
            world.ill.discard(key)
        for name, digest in self.cutting.pop(switch, {}).items():
            key = mine[name]
            if key in self.needs and outcome != "good":
                continue  # what is ill and needs its own other side is left to people
            world.ill.discard(key)
            world.has.pop(key, None)
            world.stays.discard(key)
            if outcome == "good" and digest:
                world.has[key] = digest
                world.once.add(key)
            elif outcome == "failed" or not (digest or outcome == "good"):
                world.ill |= {key} if outcome == "failed" else set()
                world.stays |= {key} if not digest else set()
        if outcome == "failed":  # what cuts nothing is tried without a turn, and may fail too
            for key in {f"{switch}:port/{link.port}" for link in self.nodes[switch].links[:1]}:
                if key in self.needs:
                    continue
                world.has.pop(key, None)
                world.ill.add(key)
        world.silent.discard(switch)
        if outcome == "unreachable":
            world.silent.add(switch)
        self.turns.reported(switch)
        self.turns.update(self.nodes)  # a need may be met, or not any more

    def drift(self, switch: str) -> None:
        """A run finds that nothing is as it was, and may not touch what counts as verified."""
        for port in self.turns.of(switch):
            if port != VLAN and (key := self.mine(switch)[port]) not in self.needs:
                self.world.has.pop(key, None)
        self.turns.reported(switch)
        self.turns.update(self.nodes)

    def commit(self, addresses: Collection[str], digest: str) -> None:
        for key in addresses:
            self.wants[key] = "v" if key.endswith(VLAN) else digest
        self.turns.install(self.bundles(), self.turns.groups)

    def drop(self, switches: Collection[str]) -> None:
        """The VLAN is declared on these no more."""
        for switch in switches:
            self.wants.pop(f"{switch}:{VLAN}", None)
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
        gone = {f"{switch}:{VLAN}" for switch in SWITCHES if self.left(switch)}
        return gone | {key for key, want in self.wants.items() if self.world.has.get(key) != want}

    def stuck(self) -> set[str]:
        """What cannot go while something is held: that, what needs it, and what must not be cut while
        something else is ill or lost. (Of what needs each other across that, all of it.)"""
        found: set[str] = set()
        more = self.world.held & self.behind()
        while more - found:
            found |= more
            more = {key for key, first in self.needs.items() if found.intersection(first)}
            more |= {f"{key.partition(':')[0]}:{VLAN}" for key in found}
            lost = (found & self.world.once) - self.world.has.keys() | found & self.world.ill
            for group in self.turns.groups.by_link.values():
                for about, _ in group:
                    keys = {
                        f"{side.far.node}:{key}"
                        for side in about.sides
                        for key in (f"port/{side.far.port}", "lag/1", VLAN)
                    }
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
        cuts = [
            {(switch, port) for port in self.links(switch, key)}
            for switch, going in self.cutting.items()
            for key in going
        ]
        for server, node in self.nodes.items():
            if node.type == "server":
                sides = {(link.peer, link.peer_port) for link in node.links}
                cut = [sides & one for one in cuts]
                both = set().union(*cut)
                assert both in (set(), *cut), f"{server} may lose {both} at once"


SWITCHES = ("sw1", "sw2", "sw3", "sw4")


def test_whoever_takes_over_has_every_side_woken_to_report() -> None:
    links = ["sw1:1 - web1:eth0", "sw2:1 - web1:eth1"]
    types = {**dict.fromkeys(SWITCHES, "switch"), "web1": "server"}
    nodes = nodes_of({"nodes": types, "links": links})
    rack = Rack(nodes, {"sw1:port/1": "d", "sw2:port/1": "d"})
    rack.finish()
    told = []
    for _ in range(2):  # nothing changed in between
        rack.restart()
        told.append((rack.turns.given("sw1"), rack.turns.given("sw2")))
    assert all(given["1"] for both in told for given in both)


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
    members = {
        switch: draw(st.lists(st.sampled_from([link.port for link in nodes[switch].links])))
        for switch in SWITCHES
        if nodes[switch].links and draw(st.booleans())
    }
    return Rack(nodes, wants, needs=needs, members=members)


steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["begin", "begin", "end", "end", "drift", "commit", "hold", "restart", "drop"]
        ),
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
        elif what == "drop":
            if pick == 3:
                rack.commit([f"{one}:{VLAN}" for one in SWITCHES], "v")
            else:
                rack.drop(SWITCHES[pick:])
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


def test_what_several_run_through_concerns_switches_further_away() -> None:
    kinds = {"web1": "server", "web2": "server", "sw-a": "switch", "sw-b": "switch", "sw-c": "switch"}  # fmt: skip
    cables = ["sw-a:1 - web1:e0", "sw-b:1 - web1:e1", "sw-a:2 - web2:e0", "sw-c:2 - web2:e1"]
    nodes = nodes_of({"nodes": kinds, "links": cables})
    wants = {"sw-b:port/1": "d", "sw-c:port/2": "new"}
    world = World({"sw-a:vlan/20": "x", "sw-b:port/1": "d", "sw-c:port/2": "old"}, silent={"sw-b"})
    turns = Turns(world)
    turns.install(bundles_of(nodes, wants, {}), Groups(groups_of(nodes)))
    assert turns.of("sw-c") == {"2": ("sw-a:vlan/20",)}
    # The VLAN waits for what has failed beside it, and lets others go first.
    world.silent.clear()
    del world.has["sw-b:port/1"]
    world.ill.add("sw-b:port/1")
    assert "sw-c" in turns.reported("sw-b")
    assert turns.of("sw-c") == {}


def test_words() -> None:
    case = REDUNDANCY[0]
    groups = Groups(groups_of(nodes_of(case)))
    assert groups.explain("sw-b", "1", "sw-a", "1") == "the two are web1's uplinks"
    assert groups.explain("sw-b", "1", "sw-b", "1") == ""
