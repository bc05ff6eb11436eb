"""What hangs off a change: cases as data, and what holds for any rack."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rackwright.model.bundle import Bundle
from rackwright.model.site import Link, Node
from rackwright.provider import Registry
from rackwright_proposals.blast import Hit, Radius, radius
from rackwright_proposals.compile import compile_site
from rackwright_proposals.rack import Rack
from rackwright_proposals.sequence import Graph, graph_of, implied_of
from rackwright_proposals.tree import Source
from tests.proposals.sites import cases

PLATFORMS = {"switch": "cisco_ios", "pdu": "apc_rpdu", "chassis": "dell_cmc", "san": "tgt"}
CASES: dict[str, dict[str, Any]] = {str(case["name"]): case for case in cases("blast.yaml")}
CABLED = {"port", "outlet", "blade", "interface"}


def whole(case: Mapping[str, Any]) -> dict[str, Any]:
    """A case with what it takes from another one."""
    base = CASES[case["same"]] if "same" in case else {}
    found = {key: case.get(key, base.get(key, {})) for key in ("nodes", "resources")}
    more = case.get("more", {})
    found["resources"] = {
        node: [*found["resources"].get(node, ()), *more.get(node, ())]
        for node in {*found["resources"], *more}
    }
    return {**case, **found}


def rack_of(case: Mapping[str, Any]) -> Rack:
    documents: list[dict[str, Any]] = [{"site": "test"}]
    for name, node in case["nodes"].items():
        platform = PLATFORMS.get(node["type"], "linux")
        documents.append({"node": name, "platform": platform, **node})
    for name, resources in case["resources"].items():
        documents.append({"role": f"on-{name}", "resources": resources})
        documents.append({"proposal": f"on-{name}", "deploy": {f"on-{name}": [name]}})
    text = "\n---\n".join(map(json.dumps, documents))
    registry = Registry.installed()
    site = compile_site(Source({"site.yaml": text.encode()}), registry.nouns())
    assert not site.problems, "\n".join(map(str, site.problems))
    assert site.checked
    inside = site.checked.resolved.containment.parents
    return Rack(
        site.bundles,
        graph_of(site.bundles, implied_of(site)),
        {name: place.node for name, place in inside.items()},
        CABLED,
    )


def said(hit: Hit) -> str:
    return f"{hit.what} ({hit.how})" if hit.how else hit.what


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    case = whole(CASES[name])
    found = radius(rack_of(case), case["change"], cuts=case.get("cuts", True))
    assert sorted(said(hit) for hit in found.hits if hit.cut) == case.get("cut", [])
    assert sorted(said(hit) for hit in found.hits if not hit.cut) == case.get("touched", [])
    assert all(hit.path[0] in case["change"] for hit in found.hits)
    for what, path in case.get("path", {}).items():
        assert next(hit.path for hit in found.hits if hit.what == what) == tuple(path)


def test_hits_are_sorted_by_what_they_are() -> None:
    case = whole(CASES["an array that is cut off takes its LUNs along"])
    found = radius(rack_of(case), case["change"], cuts=True)
    assert [hit.what for hit in found.servers] == ["web1"]
    assert [hit.what for hit in found.others] == ["san1"]
    assert [hit.what.partition("/")[0] for hit in found.luns] == ["san1:export", "san1:volume"]
    assert found.cut == ("web1", "san1")
    outlets = radius(rack_of(whole(CASES["a PDU without power"])), ["pdu0:outlet/1"], cuts=True)
    assert [hit.what for hit in outlets.outlets] == ["pdu1:outlet/2"]


def test_the_whole_path_over_a_switch() -> None:
    case = whole(CASES["the outlet of a switch takes along what hangs off the switch"])
    found = radius(rack_of(case), case["change"], cuts=True)
    web1 = next(hit for hit in found.servers if hit.what == "web1")
    assert web1.path == ("pdu1:outlet/3", "sw1:psu1", "web1:eth0")


@given(
    wires=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=16),
    homes=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3)), max_size=10),
    lost=st.integers(0, 15),
)
@settings(max_examples=60, deadline=None)
def test_who_is_cut_is_who_cannot_reach_the_largest_part_any_more(
    wires: list[tuple[int, int]], homes: list[tuple[int, int]], lost: int
) -> None:
    """Against a count of reachable switches, the obvious way."""
    links: dict[str, list[Link]] = {f"s{i}": [] for i in range(8)}
    links |= {f"web{i}": [] for i in range(4)}

    def cable(one: str, other: str) -> tuple[str, str]:
        ends = (f"p{len(links[one])}", f"p{len(links[other])}")
        links[one].append(Link(port=ends[0], peer=other, peer_port=ends[1]))
        links[other].append(Link(port=ends[1], peer=one, peer_port=ends[0]))
        return one, other

    trunks = [cable(f"s{a}", f"s{b}") for a, b in wires if a != b]
    access = [cable(f"s{a}", f"web{b}") for a, b in homes]
    if lost >= len(trunks):
        return
    near, far = trunks[lost]
    port = [link.port for link in links[near] if link.peer[0] == "s"]
    which = [pair for pair in trunks[: lost + 1] if near in pair]
    step = f"{near}:port/{port[len(which) - 1]}"
    nodes = {
        name: Bundle(
            node=Node(
                name=name,
                type="switch" if name[0] == "s" else "server",
                platform="x",
                links=tuple(of),
            ),
            revision="r",
        )
        for name, of in links.items()
    }
    found: Radius = radius(Rack(nodes, Graph({step: ()}), {}, CABLED), [step], cuts=True)
    rest = [pair for i, pair in enumerate(trunks) if i != lost]
    sides = reachable(near, rest), reachable(far, rest)
    apart = sides[0] != sides[1]
    gone = {hit.what for hit in found.switches if hit.cut}
    if not apart:
        assert gone == set()
    else:
        assert gone in sides
        assert len(gone) <= min(map(len, sides))
    homes_of: dict[str, set[str]] = {}
    for switch, web in access:
        homes_of.setdefault(web, set()).add(switch)
    assert {hit.what for hit in found.servers if hit.cut} == {
        web for web, switches in homes_of.items() if switches <= gone
    }


def reachable(start: str, trunks: list[tuple[str, str]]) -> set[str]:
    found, look = {start}, [start]
    while look:
        here = look.pop()
        for pair in trunks:
            if here in pair:
                other = pair[0] if pair[1] == here else pair[1]
                if other not in found:
                    found.add(other)
                    look.append(other)
    return found
