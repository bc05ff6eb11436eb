"""Links that are judged on from an earlier judgement are what they are when judged alone, whatever changed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rackwright.model.bundle import Bundle, Declared, Origin, Value
from rackwright.model.facts import Facts, FoundLink
from rackwright.model.site import Link, Node
from rackwright_proposals import evidence
from rackwright_proposals.evidence import Found, Judgement, judge, judged, renewed
from tests.proposals.test_evidence import NOW, spelling
from tests.tables import table

DEEP = 3000 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 0
RACK = table(Path(__file__).parent / "evidence.yaml")["rack"]
ORIGIN = Origin(file="f", line=1)
UUID = "11223344-5566-7788-99aa-bbccddeeff00"
Edit = tuple[Any, ...]

LINKS: Mapping[str, tuple[str, ...]] = {
    "sw-a1:port1": ("web1:eth0", "web2:eth0", "sw-a2:port1", "bond1:eth0"),
    "sw-a1:port2": ("web2:eth0", "new1:eth0", "sw-a2:port2"),
    "sw-a2:port3": ("web1:eth1", "web2:eth1", "bond1:eth1"),
    "ch-a1:3": ("web1:slot", "web2:slot"),
    "ch-a2:3": ("web2:slot", "new1:slot", "web1:blade"),
    "bmc1:1": ("web1:bmc",),
    "san-a1:iqn.t:a": ("web1:iscsi", "new1:iqn.x:new"),
    "san-a2:iqn.t:b": ("web2:iscsi",),
    "pdu-a1:3": ("web1:psu1", "web2:psu1"),
}
"""Where each end may lead."""

SEEN: Mapping[str, tuple[str, ...]] = {
    "sw-a1": tuple(
        f"{port}, {what}"
        for port in ("P1", "port2")
        for what in (
            "lldp, web1, eth0",
            "lldp, web2, eth0",
            "lldp, web2, to the left",
            "lldp, sw-a2, p1",
            "lldp, golden, eth0",
            "lldp, phone7, 1",
            "lldp, 52:54:00:00:02:00, 5254.0000.0201",
            "mac, 52:54:00:00:01:00",
            "mac, 52:54:00:00:02:00",
            "mac, 52:54:00:00:03:00",
            "mac, 02:00:00:00:00:99",
        )
    ),
    "sw-a2": tuple(
        f"{port}, {what}"
        for port in ("port1", "p3")
        for what in (
            "lldp, sw-a1, port1",
            "lldp, web1, eth1",
            "mac, 52:54:00:00:01:00",
            "mac, 52:54:00:00:02:00",
            "mac, 52:54:00:00:03:00",
        )
    ),
    "ch-a1": ("3, slot, SVCTAG1", "3, slot, SVCTAG2", "4, slot, SVCTAG1", "5, slot, ?"),
    "ch-a2": ("3, slot, SVCTAG1", "3, slot, SVCTAG2"),
    "bmc1": ("1, slot, SVCTAG1", "1, slot, SVCTAG2"),
    "san-a1": (
        "iqn.t:a, iqn, iqn.2026-11.example:web1",
        "iqn.t:a, iqn, iqn.2026-11.example:web2",
        "iqn.t:a, iqn, iqn.x:new",
        "iqn.t:b, iqn, iqn.2026-11.example:web1",
    ),
    "web1": (
        "eth0, lldp, sw-a1, P1",
        "eth0, lldp, sw-a2, port3",
        "iqn.2026-11.example:web1, iqn, iqn.t:a, 10.0.0.5:3260",
        "iqn.2026-11.example:web1, iqn, iqn.t:b, 10.0.0.5:3260",
    ),
    "web2": ("eth0, lldp, sw-a1, P1", "iqn.x, iqn, iqn.t:a, 10.0.0.5:3260"),
    "new1": ("eth0, lldp, sw-a1, port2",),
}

VALUES: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "web1": ({}, {"hostname": "golden"}, {"nics": {"eth9": {"mac": "52:54:00:00:01:00"}}}),
    "web2": (
        {"hostname": "golden"},
        {"nics": {"eth0": {"mac": "52:54:00:00:01:00"}}, "dmi": {"serial": "SVCTAG1"}},
        {"dmi": {"serial": "SVCTAG2", "uuid": UUID}, "hostname": "web2.lab.example"},
    ),
    "new1": ({"iscsi": {"initiator": "iqn.x:new"}}, {"nics": {"eth0": {}}}),
    "sw-a2": ({"ports": {"P1": {}, "P3": {}}}, {"mac": "52:54:00:00:03:00"}),
    "ch-a1": ({"systems": {5: {"uuid": UUID}}},),
    "san-a1": ({"targets": {"iqn.t:A": {}, "iqn.t:b": {}}},),
    "san-a2": ({"targets": {"iqn.t:a": {}}}, {"targets": {"iqn.t:B": {}}}),
}
"""What its facts may tell of a node, in place of what the table of the rack has."""

KINDS: Mapping[str, Mapping[str, str]] = {
    "bmc1": {"type": "chassis", "platform": "chassis"},
    "ch-a2": {"type": "chassis", "platform": "other"},
    "sw-a2": {"type": "server", "platform": "linux"},
    "new1": {"type": "switch", "platform": "switch"},
}
SITE: Mapping[str, Mapping[str, Any]] = {
    "new1": {"attributes": {"initiator": Value(value="iqn.2026-11.example:web1", origin=ORIGIN)}},
    "san-a2": {
        "resources": (Declared(type="target", data={"name": "iqn.t:a"}, digest="d", origin=ORIGIN),)
    },
}
"""What the site may say of a node beside what it is."""

PUTS: tuple[Edit, ...] = (
    *(("link", near, far, trust) for near in LINKS for far in LINKS[near] for trust in ("", "declared")),
    *(("link", near, None, "") for near in LINKS),
    *(("values", node, number) for node in VALUES for number in range(-1, len(VALUES[node]))),
    *(("ago", node, ago) for node, ago in product(SEEN, (0.0, 60.0, 5000.0))),
    *(("kind", node, other) for node in KINDS for other in (True, False)),
    *(("site", node, other) for node in SITE for other in (True, False)),
    *(("gone", node, gone) for node in RACK for gone in (True, False)),
    *(("silent", node, gone) for node in SEEN for gone in (True, False)),
)  # fmt: skip
LOOKS: tuple[Edit, ...] = (
    *(("seen", node, ()) for node in SEEN),
    *(("seen", node, (text,)) for node in SEEN for text in SEEN[node]),
)
edits = st.lists(
    st.one_of(
        st.sampled_from(PUTS),
        st.sampled_from(sorted(SEEN)).flatmap(
            lambda node: st.tuples(
                st.just("seen"),
                st.just(node),
                st.lists(st.sampled_from(SEEN[node]), max_size=4).map(tuple),
            )
        ),
    ),
    min_size=1,
    max_size=25,
)


class World:
    """A site and what it sees, as a store has them: what is as it was stays the same object."""

    def __init__(self, put: Iterable[Edit] = ()) -> None:
        self.put: dict[tuple[str, str], tuple[Any, ...]] = {}
        self._bundles: dict[str, Bundle] = {}
        self._facts: dict[str, Facts] = {}
        for edit in put:
            self.edit(edit)

    def edit(self, edit: Edit) -> None:
        what, where, *said = edit
        self.put[what, where] = tuple(said)

    def _said(self, what: str, where: str, otherwise: Any) -> Any:
        return self.put.get((what, where), (otherwise,))[0]

    def bundles(self) -> dict[str, Bundle]:
        names = [name for name in RACK if not self._said("gone", name, False)]
        links: dict[str, list[Link]] = {name: [] for name in names}
        used = set()
        for near in LINKS:
            far, trust = self.put.get(("link", near), (None, ""))
            (node, _, port), (peer, _, peer_port) = near.partition(":"), (far or "").partition(":")
            if far and node in links and peer in links and not {near, far} & used:
                used |= {near, far}
                links[node].append(Link(port=port, peer=peer, peer_port=peer_port, trust=trust))
                links[peer].append(Link(port=peer_port, peer=node, peer_port=port, trust=trust))
        made = {}
        for name in names:
            plain = {
                "type": RACK[name]["type"],
                "platform": RACK[name].get("platform", RACK[name]["type"]),
            }
            kind = KINDS[name] if self._said("kind", name, False) else plain
            more = SITE[name] if self._said("site", name, False) else {}
            bundle = Bundle(
                node=Node(name=name, **kind, links=tuple(links[name])), revision="r1", **more
            )
            made[name] = self._bundles[name] if self._bundles.get(name) == bundle else bundle
        self._bundles = made
        return made

    def found(self) -> dict[str, Found]:
        made = {}
        for name in RACK:
            if self._said("silent", name, False):
                continue
            number = self._said("values", name, -1)
            values = RACK[name]["facts"] if number < 0 else VALUES[name][number]
            facts = Facts(values=dict(values), links=tuple(map(link, self._said("seen", name, ()))))
            facts = self._facts[name] = (
                self._facts[name] if self._facts.get(name) == facts else facts
            )
            made[name] = Found(facts, NOW - self._said("ago", name, 0.0))
        return made


def link(text: str) -> FoundLink:
    port, how, peer, far = [*(part.strip() for part in text.split(",")), ""][:4]
    return FoundLink(port=port, peer=peer, peer_port=far, how=how)


def holds(world: World, before: Judgement | None) -> Judgement:
    """What comes of ``world`` after ``before``: the same as alone."""
    bundles, found = world.bundles(), world.found()
    after = judged(bundles, found, spelling, before)
    alone = judge(bundles, found, spelling)
    at = {name: item.at for name, item in found.items()}
    assert [renewed(one, at) for one in after.links] == list(alone)
    return after


@settings(max_examples=DEEP or 60)
@given(edits)
def test_whatever_changes_the_judgement_is_that_of_the_whole(steps: list[Edit]) -> None:
    world = World(BASES["all as it should be"])
    before = holds(world, None)
    for edit in steps:
        world.edit(edit)
        before = holds(world, before)


BASES: Mapping[str, tuple[Edit, ...]] = {
    "nothing": (),
    "all as it should be": (
        *(("link", near, LINKS[near][0], "") for near in LINKS),
        ("seen", "sw-a1", ("P1, lldp, web1, eth0",)),
        ("seen", "web1", ("eth0, lldp, sw-a1, P1", SEEN["web1"][2])),
        ("seen", "ch-a1", ("3, slot, SVCTAG1",)),
        ("seen", "san-a1", (SEEN["san-a1"][0],)),
    ),
    "by MAC addresses through two switches": (
        ("link", "sw-a1:port1", "web1:eth0", ""),
        ("link", "sw-a1:port2", "sw-a2:port2", ""),
        ("link", "sw-a2:port3", "bond1:eth1", ""),
        ("seen", "sw-a1", ("P1, mac, 52:54:00:00:01:00", "port2, mac, 52:54:00:00:03:00")),
        ("seen", "sw-a2", ("port1, mac, 52:54:00:00:01:00", "p3, mac, 52:54:00:00:03:00")),
    ),
    "what is at its place is not missed elsewhere": (
        ("link", "sw-a1:port1", "bond1:eth0", ""),
        ("link", "sw-a2:port3", "bond1:eth1", ""),
        ("link", "ch-a1:3", "web1:slot", ""),
        ("link", "ch-a2:3", "web1:blade", ""),
        ("seen", "sw-a1", ("P1, mac, 52:54:00:00:03:00",)),
        ("seen", "ch-a1", ("3, slot, SVCTAG1",)),
    ),
    "several disagree, and not at one time": (
        ("link", "sw-a1:port1", "web1:eth0", ""),
        ("link", "ch-a1:3", "web1:slot", ""),
        ("link", "ch-a2:3", "web2:slot", ""),
        ("link", "san-a1:iqn.t:a", "web1:iscsi", ""),
        ("seen", "sw-a1", ("P1, lldp, web1, eth0",)),
        ("seen", "web1", ("eth0, lldp, sw-a2, port3", SEEN["web1"][3])),
        ("ago", "sw-a1", 60.0),
        ("seen", "ch-a1", ("3, slot, SVCTAG2",)),
        ("seen", "ch-a2", ("3, slot, SVCTAG1",)),
        ("seen", "san-a1", SEEN["san-a1"][:2]),
    ),
    "names that two have": (
        ("link", "sw-a1:port1", "web1:eth0", ""),
        ("values", "web1", 1),
        ("values", "web2", 0),
        ("seen", "sw-a1", ("P1, lldp, golden, eth0", "port2, lldp, phone7, 1")),
        ("seen", "ch-a1", ("5, slot, ?",)),
        ("values", "ch-a1", 0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BASES)
def test_each_single_edit(name: str) -> None:
    base = holds(World(BASES[name]), None)
    for edit in (*PUTS, *LOOKS):
        world = World(BASES[name])
        world.bundles(), world.found()
        world.edit(edit)
        holds(world, base)


def large(racks: int) -> tuple[dict[str, Bundle], dict[str, Found]]:
    """Racks of a switch and ten servers, all cabled and seen."""
    bundles, found = {}, {}
    for rack in range(racks):
        switch, servers = f"sw{rack}", [f"h{rack}-{n}" for n in range(10)]
        ends = [
            Link(port=f"port{n}", peer=server, peer_port="eth0") for n, server in enumerate(servers)
        ]
        kinds = {switch: ("switch", tuple(ends))} | {
            server: ("server", (Link(port="eth0", peer=switch, peer_port=f"port{n}"),))
            for n, server in enumerate(servers)
        }
        for name, (kind, links) in kinds.items():
            bundles[name] = Bundle(
                node=Node(name=name, type=kind, platform=kind, links=links), revision="r1"
            )
        seen = tuple(FoundLink(port=end.port, peer=end.peer, peer_port="eth0") for end in ends)
        found[switch] = Found(Facts(links=seen), NOW)
        for end in ends[5:]:
            back = FoundLink(port="eth0", peer=switch, peer_port=end.port)
            found[end.peer] = Found(Facts(links=(back,)), NOW)
    return bundles, found


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The near ends' nodes of the links that are judged."""
    noted: list[str] = []
    state = evidence._state

    def noting(case: Any, *more: Any) -> Any:
        noted.append(case.wire.near[0])
        return state(case, *more)

    monkeypatch.setattr(evidence, "_state", noting)
    return noted


def test_only_what_is_seen_anew_is_judged_again(looked_at: list[str]) -> None:
    bundles, found = large(30)
    base = judged(bundles, found, spelling)
    assert len(looked_at) == 300
    looked_at.clear()
    facts = found["sw7"].facts
    moved = (FoundLink(port="port0", peer="h7-1", peer_port="eth0"), *facts.links[1:])
    after = judged(bundles, {**found, "sw7": Found(Facts(links=moved), NOW + 60)}, spelling, base)
    assert [one.port for one in after.links if one.state == "contradicted"] == ["port0", "port1"]
    assert looked_at == ["sw7", "sw7"]


def test_only_what_is_declared_anew_is_judged_again(looked_at: list[str]) -> None:
    bundles, found = large(30)
    base = judged(bundles, found, spelling)
    looked_at.clear()
    without = {
        name: Bundle(
            node=Node(
                name=name,
                type=bundles[name].node.type,
                platform=bundles[name].node.platform,
                links=tuple(
                    link
                    for link in bundles[name].node.links
                    if {name, link.peer} != {"sw3", "h3-4"}
                ),
            ),
            revision="r2",
        )
        for name in ("sw3", "h3-4")
    }
    after = judged({**bundles, **without}, found, spelling, base)
    assert len(after.links) == 300
    assert [one.state for one in after.links].count("found") == 1
    assert looked_at == []
    again = judged(bundles, found, spelling, after)
    assert again.links == base.links
    assert looked_at == ["sw3"]


def test_who_looked_again_and_saw_the_same_has_nothing_judged_again(looked_at: list[str]) -> None:
    bundles, found = large(3)
    base = judged(bundles, found, spelling)
    looked_at.clear()
    later = {
        name: Found(item.facts, NOW + 900 + number)
        for number, (name, item) in enumerate(found.items())
    }
    after = judged(bundles, later, spelling, base)
    assert after.links is base.links
    assert looked_at == []
    assert min(renewed(one, after.at).at or 0.0 for one in after.links) >= NOW + 900
