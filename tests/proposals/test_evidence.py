"""Links held against what is seen: a table of cases, and what follows from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rackwright.model.bundle import Bundle, Origin, Value
from rackwright.model.facts import Facts, FoundLink
from rackwright.model.site import Link, Node
from rackwright_proposals.evidence import Found, LinkState, contradicted, judge
from rackwright_proposals.identities import is_uuid, plain_uuid
from tests.tables import table

TABLE = table(Path(__file__).parent / "evidence.yaml")
NOW = 1_000_000.0


def spelling(port: str) -> str:
    """A switch's ports have two spellings: P1 and port1."""
    lower = port.lower()
    return "port" + lower[1:] if lower[:1] == "p" and lower[1:].isdigit() else lower


def rack(declared: dict[str, str], *, trust: bool = False) -> dict[str, Bundle]:
    links: dict[str, list[Link]] = {}
    for one, other in declared.items():
        (node, _, port), (peer, _, peer_port) = one.partition(":"), other.partition(":")
        said: Any = "declared" if trust else ""
        links.setdefault(node, []).append(
            Link(port=port, peer=peer, peer_port=peer_port, trust=said)
        )
        links.setdefault(peer, []).append(
            Link(port=peer_port, peer=node, peer_port=port, trust=said)
        )
    return {
        name: Bundle(
            node=Node(
                name=name,
                type=about["type"],
                platform=about.get("platform", about["type"]),
                links=tuple(links.get(name, ())),
            ),
            revision="r1",
        )
        for name, about in TABLE["rack"].items()
    }


def found(case: dict[str, Any]) -> dict[str, Found]:
    made = {}
    for name in {**TABLE["rack"], **case.get("seen", {})}:
        seen = case.get("seen", {}).get(name, {})
        links = []
        for text in seen.get("links", ()):
            port, how, peer, far = [*(part.strip(' "') for part in text.split(",")), ""][:4]
            links.append(FoundLink(port=port, peer=peer, peer_port=far, how=how))
        for port, count in seen.get("strangers", {}).items():
            links += [
                FoundLink(port=port, peer=f"02:00:00:00:01:{n:02x}", how="mac")
                for n in range(count)
            ]
        values = {**TABLE["rack"].get(name, {}).get("facts", {})}
        values |= case.get("values", {}).get(name, {})
        made[name] = Found(Facts(values=values, links=tuple(links)), NOW - seen.get("ago", 0))
    return made


def judged(case: dict[str, Any]) -> tuple[LinkState, ...]:
    declared = rack(case.get("declared", {}), trust=case.get("trust", False))
    return judge(declared, found(case), spelling)


def told(one: LinkState) -> str:
    text = f"{one.node}:{one.port} {one.peer}:{one.peer_port} {one.state}"
    return f"{text}: {one.wrong[0]}" if one.wrong[0] else text


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["case"])
def test_case(case: dict[str, Any]) -> None:
    states = judged(case)
    assert [told(one) for one in states] == case["expect"]
    if "evidence" in case:
        assert [item.says for item in states[0].evidence] == case["evidence"]
    if "refused" in case:
        assert contradicted(states) == case["refused"]
    for one in states:
        assert one.evidence or one.state == "unseen"


def test_both_ends_of_a_contradicted_link_are_told_why() -> None:
    states = judged(
        {
            "declared": {"sw-a1:e1": "web1:eth0"},
            "seen": {"sw-a1": {"links": ["e1, lldp, web2, eth0"]}},
        }
    )
    assert contradicted(states) == {
        "sw-a1": {"e1": "the link e1 to web1:eth0 is contradicted: web2 eth0 is seen there"},
        "web1": {
            "eth0": "the link eth0 to sw-a1:e1 is contradicted: web2 eth0 is seen at sw-a1 e1"
        },
    }


def test_evidence_has_the_time_of_its_facts() -> None:
    (one,) = judged(
        {
            "declared": {"sw-a1:e1": "web1:eth0"},
            "seen": {
                "sw-a1": {"links": ["e1, lldp, web1, eth0"], "ago": 40},
                "web1": {"links": ["eth0, lldp, sw-a1, e1"], "ago": 70},
            },
        }
    )
    assert [item.at for item in one.evidence] == [NOW - 40, NOW - 70]
    assert one.at == NOW - 40


def test_an_outlet_says_why_it_is_unseen() -> None:
    states = judged({"declared": {"pdu-a1:3": "web1:psu1", "sw-a1:e1": "web1:eth0"}})
    assert {one.node: (one.state, one.reason) for one in states} == {
        "pdu-a1": ("unseen", "an outlet cannot be seen"),
        "sw-a1": ("unseen", ""),
    }


@pytest.mark.parametrize("text", ["not-a-uuid", "0" * 36, "00000000-0000-0000-0000-000000000000"])
def test_what_is_no_machines_uuid(text: str) -> None:
    assert not is_uuid(text)


@given(st.uuids())
def test_a_uuid_in_either_order_is_one(uuid: Any) -> None:
    assert plain_uuid(str(uuid)) == plain_uuid(str(UUID(bytes_le=uuid.bytes)).upper())


def test_the_site_says_who_has_an_initiator() -> None:
    bundles = rack({"san-a1:iqn.t:a": "new1:iscsi"})
    value = Value(value="iqn.x:new", origin=Origin(file="f", line=1))
    bundles["new1"] = Bundle(
        node=bundles["new1"].node, revision="r1", attributes={"initiator": value}
    )
    seen = Facts(links=(FoundLink(port="iqn.t:a", peer="iqn.x:new", how="iqn"),))
    (one,) = judge(bundles, {"san-a1": Found(seen, NOW)}, spelling)
    assert one.state == "proven"


ENDS = st.tuples(st.sampled_from(["sw-a1", "sw-a2", "ch-a1"]), st.sampled_from(["1", "2", "3"]))
FAR = st.tuples(st.sampled_from(["web1", "web2", "new1"]), st.sampled_from(["eth0", "eth1"]))
SIGHTINGS = st.lists(
    st.tuples(ENDS, FAR, st.sampled_from(["lldp", "mac", "slot"]), st.integers(0, 9000)),
    max_size=8,
)


@given(st.dictionaries(ENDS, FAR, max_size=5), SIGHTINGS, st.randoms())
def test_whatever_is_seen(declared: dict[Any, Any], sightings: list[Any], chance: Any) -> None:
    """Every declared link has one state, none is proven or contradicted by nothing, and the order in
    which things are told does not matter."""
    taken: set[Any] = set()
    links = {}
    for near, far in declared.items():
        if far not in taken:
            taken.add(far)
            links[":".join(near)] = ":".join(far)
    macs = {
        (node, port): about["mac"]
        for node in ("web1", "web2")
        for port, about in TABLE["rack"][node]["facts"]["nics"].items()
    }
    serials = {"web1": "SVCTAG1", "web2": "SVCTAG2"}
    by_node: dict[str, list[str]] = {}
    for (node, port), (peer, far), how, _ in sightings:
        name = {"mac": macs.get((peer, far), "02:00:00:00:00:01"), "slot": serials.get(peer, "?")}
        by_node.setdefault(node, []).append(f"{port}, {how}, {name.get(how, peer)}, {far if how == 'lldp' else ''}")  # fmt: skip
    ages = {node: age for (node, _), _, _, age in sightings}
    case = {
        "declared": links,
        "seen": {node: {"links": said, "ago": ages[node]} for node, said in by_node.items()},
    }
    states = judged(case)
    ours = [(f"{one.node}:{one.port}", f"{one.peer}:{one.peer_port}") for one in states if one.state != "found"]  # fmt: skip
    assert sorted(ours) == sorted(links.items())
    for one in states:
        assert (one.state == "unseen") or one.evidence
        assert (one.state == "contradicted") == all(one.wrong)
    shuffled = list(links.items())
    chance.shuffle(shuffled)
    for said in by_node.values():
        chance.shuffle(said)
    again = judged({**case, "declared": dict(shuffled)})
    plain = {(told(one).partition(": ")[0]) for one in states}
    assert {(told(one).partition(": ")[0]) for one in again} == plain
