"""Which host is to converge what: the choice as cases, the spread against all that there could be."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rackwright.model.site import Way
from rackwright_store.placement import Choice, Managed, Trouble, choose, spread
from rackwright_store.whereabouts import Host, ranks, why_nowhere, why_there, why_unreached
from tests.tables import table

CASES = table(Path(__file__).parent / "cases" / "placement.yaml")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_case(case: dict[str, Any]) -> None:
    troubles = {host: Trouble(*times) for host, times in case.get("troubles", {}).items()}
    usable = frozenset(case.get("usable", case["ranks"]))
    current = case.get("current", "")
    found = choose(Managed("m", case["ranks"]), usable, troubles, current, 1000.0)
    wanted = Choice(frozenset(case["may"]), case.get("unreached", False), case.get("again"))
    assert found == wanted


Choices = dict[str, frozenset[str]]
HOSTS = "abcd"
choices = st.dictionaries(
    st.sampled_from([f"n{i}" for i in range(6)]),
    st.frozensets(st.sampled_from(HOSTS), max_size=4),
    max_size=6,
)
currents = st.dictionaries(
    st.sampled_from([f"n{i}" for i in range(6)]), st.sampled_from(HOSTS), max_size=6
)


def cost(found: Mapping[str, str], choices: Choices, current: Mapping[str, str]) -> tuple[int, int]:
    """How uneven it is, then how many nodes were moved that could have stayed."""
    load = Counter(found.values())
    moved = sum(
        current.get(node) in choices[node] and current[node] != host for node, host in found.items()
    )
    return sum(count * count for count in load.values()), moved


@given(choices, currents)
def test_as_even_as_can_be_with_as_few_moves_as_that_takes(
    choices: Choices, current: dict[str, str]
) -> None:
    found = spread(choices, current)
    placed = {node: hosts for node, hosts in choices.items() if hosts}
    assert found.keys() == placed.keys()
    assert all(host in placed[node] for node, host in found.items())
    every = itertools.product(*(sorted(hosts) for hosts in placed.values()))
    best = min(cost(dict(zip(placed, one, strict=True)), choices, current) for one in every)
    assert cost(found, choices, current) == best
    assert spread(choices, found) == found


@given(choices, currents, st.randoms(use_true_random=False))
def test_the_order_of_the_input_makes_no_difference(
    choices: Choices, current: dict[str, str], random: Any
) -> None:
    shuffled = list(choices.items())
    random.shuffle(shuffled)
    assert spread(dict(shuffled), current) == spread(choices, current)


@given(st.integers(0, 60), st.integers(1, 8))
def test_a_new_host_takes_only_its_share_and_a_lost_one_moves_only_its_own(
    count: int, hosts: int
) -> None:
    names = [f"h{i}" for i in range(hosts)]
    nodes = [f"n{i}" for i in range(count)]
    before = spread(dict.fromkeys(nodes, frozenset(names)), {})
    after = spread(dict.fromkeys(nodes, frozenset([*names, "new"])), before)
    moved = [node for node in nodes if after[node] != before[node]]
    assert len(moved) == count // (hosts + 1)
    assert {after[node] for node in moved} <= {"new"}
    if hosts > 1:
        left = spread(dict.fromkeys(nodes, frozenset(names[1:])), before)
        assert all(left[node] == before[node] for node in nodes if before[node] != "h0")
        load = Counter(left.values())
        assert not nodes or max(load.values()) - min(load[name] for name in names[1:]) <= 1


def test_what_is_even_to_one_is_left_alone() -> None:
    both = frozenset("ab")
    here = {"n1": "a", "n2": "a", "n3": "b"}
    assert spread(dict.fromkeys(here, both), here) == here
    moved = spread(dict.fromkeys(["n1", "n2"], both), here)
    assert sorted(moved.values()) == ["a", "b"]


@given(choices, currents, st.frozensets(st.sampled_from([f"n{i}" for i in range(6)])))
def test_nobody_moves_for_those_aside(
    choices: Choices, current: dict[str, str], aside: frozenset[str]
) -> None:
    found = spread(choices, current, aside)
    rest = {node: hosts for node, hosts in choices.items() if node not in aside}
    assert {node: host for node, host in found.items() if node in rest} == spread(rest, current)
    assert found.keys() == {node for node, hosts in choices.items() if hosts}
    assert all(found[node] in choices[node] for node in found)
    stay = {node for node in aside if current.get(node) in choices.get(node, ())}
    assert all(found[node] == current[node] for node in stay)


def test_a_thousand_nodes_on_twenty_hosts() -> None:
    names = [f"h{i}" for i in range(20)]
    choices = {f"n{i}": frozenset(names[i % 20 : i % 20 + 4] or names) for i in range(1000)}
    found = spread(choices, {})
    load = Counter(found.values())
    assert max(load.values()) <= 60
    assert len(found) == 1000


def way(transport: str = "ssh", **more: Any) -> Way:
    return msgspec.convert({"transport": transport, "options": {}, **more}, Way)


LINE = "/dev/ttyUSB0"
NETWORK = way(network="oob-a", hosts=["a", "b"])
SERIAL = way("serial", options={"port": LINE}, at="a", hosts=["a"])


def test_who_can_reach_what() -> None:
    hosts = ("a", "b", "c")
    assert ranks([NETWORK, SERIAL], hosts) == {"a": 0, "b": 0}
    assert ranks([SERIAL, NETWORK], hosts) == {"a": 0, "b": 1}
    assert ranks([SERIAL, way()], hosts) == {"a": 0, "b": 1, "c": 1}
    assert ranks([way(at="x", hosts=["x"])], hosts) == {}
    # Nobody offers it: that is nobody, not anybody.
    assert ranks([way(network="oob-b")], hosts) == {}
    assert ranks([way("serial", options={"port": LINE})], hosts) == {}
    assert ranks([way("serial", options={"port": "socket://10.0.0.1:7"})], hosts) == {"a": 0, "b": 0, "c": 0}  # fmt: skip
    assert ranks([], hosts) == {}


WELL = Host(alive=True, silent=1.0)
SILENT = Host(alive=False, silent=40.0)
DRAINING = Host(alive=True, silent=1.0, draining=True)


@pytest.mark.parametrize(
    ("reach", "hosts", "said"),
    [
        ([NETWORK], {"a": SILENT, "b": SILENT}, "no host that offers oob-a is alive: a has not been heard for 40 s; b has not been heard for 40 s"),
        ([NETWORK], {"a": SILENT, "b": DRAINING}, "no host that offers oob-a is alive and not draining: a has not been heard for 40 s; b is draining"),
        ([SERIAL], {"a": DRAINING}, "its only host a is draining and it is pinned there by serial /dev/ttyUSB0"),
        ([SERIAL], {"a": SILENT}, "its only host a has not been heard for 40 s and it is pinned there by serial /dev/ttyUSB0"),
        ([way(at="a", hosts=["a"])], {"a": SILENT}, "its only host a has not been heard for 40 s and it is pinned there by ssh at a"),
        ([way()], {"a": DRAINING}, "its only host a is draining"),
        ([way()], {"a": SILENT}, "no host that can reach it is alive: a has not been heard for 40 s"),
    ],
)  # fmt: skip
def test_why_it_is_nowhere(reach: list[Way], hosts: dict[str, Host], said: str) -> None:
    assert why_nowhere(reach, ranks(reach, tuple(hosts)), hosts) == said


def test_why_it_is_there() -> None:
    able = ranks([NETWORK, SERIAL], ("a", "b"))
    assert why_there([NETWORK], able, "a") == "one of 2 hosts that can reach it by ssh over oob-a"
    assert why_there([SERIAL], {"a": 0}, "a") == "pinned there by serial /dev/ttyUSB0"
    found = why_there([SERIAL, NETWORK], {"a": 0, "b": 1}, "b")
    assert found == "the only host that can reach it by ssh over oob-a, its way number 2"
    assert "no way leads" in why_there([NETWORK], {}, "c")


def test_what_each_host_said() -> None:
    hosts = {"a": WELL, "b": SILENT, "c": WELL}
    troubles = {"a": Trouble(0, 1, "ssh 10.0.0.2: timed out"), "b": Trouble(0, 1, "old")}
    assert why_unreached({"a": 0, "b": 0, "c": 1}, hosts, troubles) == (
        "no host can reach it: a: ssh 10.0.0.2: timed out; b has not been heard for 40 s; c has not tried"
    )
