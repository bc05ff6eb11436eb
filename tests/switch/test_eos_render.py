"""Changes as lines of EOS: the table in cases/, and what must hold for every list of VLANs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rackwright.model.errors import Permanent
from rackwright_providers.switch import eos_render, vlanset
from rackwright_providers.switch.arista_eos import AristaEos
from rackwright_providers.switch.cli_lines import LineStep
from rackwright_providers.switch.resources import Lag, LocalUser, Port, SnmpCommunity, Vlan

from .line_cases import change, load, planned

CASES = load("eos_render.yaml")
UNTOUCHED = {
    "mode": "access",
    "access_vlan": 1,
    "native_vlan": 1,
    "allowed_vlans": "all",
    "admin": "up",
    "description": "",
    "lag": "none",
}
IDS = st.frozensets(st.integers(2, 4094), min_size=1, max_size=400)


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_lines(case: dict[str, Any]) -> None:
    (step,) = AristaEos().render([planned(AristaEos(), case, UNTOUCHED)], {})
    assert step.text == case["lines"].rstrip("\n")
    assert isinstance(step, LineStep)
    assert step.lines == tuple(step.text.splitlines())


@given(IDS, st.booleans())
def test_vlans_share_lines_and_each_is_named_once(ids: frozenset[int], removal: bool) -> None:
    vlans = [Vlan(name=str(number)) for number in sorted(ids)]
    changes = [change(vlan, None) if removal else change(None, vlan) for vlan in vlans]
    steps = eos_render.steps(changes, {})
    named: list[int] = []
    for step in steps:
        (line,) = step.lines
        head, _, numbers = line.rpartition(" ")
        assert head == ("no vlan" if removal else "vlan")
        assert len(line) <= eos_render.LINE
        assert [int(address.name) for address in step.addresses] == sorted(vlanset.parse(numbers))
        named += vlanset.parse(numbers)
    assert sorted(named) == sorted(ids)


def test_what_stands_between_vlans_keeps_its_place() -> None:
    two, three, four = (Vlan(name=str(number)) for number in (2, 3, 4))
    named = Vlan(name="5", title="storage")
    port = change(Port(name="Ethernet1", access_vlan=1), Port(name="Ethernet1", access_vlan=2))
    changes = [change(None, two), change(None, three), port, change(None, named)]
    changes += [change(None, four), change(Vlan(name="6"), None)]
    assert [step.lines[0] for step in eos_render.steps(changes, {})] == [
        "vlan 2-3",
        "interface Ethernet1",
        "vlan 5",
        "vlan 4",
        "no vlan 6",
    ]


@given(st.frozensets(st.integers(1, 4094), max_size=900))
def test_a_list_in_lines_is_the_list(ids: frozenset[int]) -> None:
    lines = eos_render.allowed(ids)
    assert all(len(line) <= eos_render.LINE + 4 for line in lines)
    held: frozenset[int] = frozenset()
    for line in lines:
        words = line.removeprefix("switchport trunk allowed vlan ").split()
        held = held | vlanset.parse(words[1]) if words[0] == "add" else vlanset.parse(words[0])
    assert held == ids


def test_a_port_joins_in_the_mode_of_its_lag() -> None:
    join = change(Port(name="Ethernet1", lag="none"), Port(name="Ethernet1", lag="10"))
    passive, static = Lag(name="10", lacp="passive"), Lag(name="10", lacp="off")
    seen = {static.address: static}
    (step,) = eos_render.steps([join], seen)
    assert step.lines[1] == "   channel-group 10 mode on"
    *_, step = eos_render.steps([change(static, passive), join], seen)
    assert step.lines[1] == "   channel-group 10 mode passive"


@pytest.mark.parametrize(
    ("resource", "why"),
    [
        (Vlan(name="1"), "switch's own"),
        (Vlan(name="5", title=""), "one word"),
        (Vlan(name="5", title="two words"), "one word"),
        (Vlan(name="5", title="what?"), "one word"),
        (Port(name="Gi1/0/1"), "not a port's name"),
        (Port(name="Vlan10"), "no physical port"),
        (Port(name="Et1", mode="routed"), "cannot be declared"),
        (Port(name="Et1", description="a\nreload"), "cannot hold"),
        (Port(name="Et1", allowed_vlans="5000"), "not within"),
        (Port(name="Et1", lag="bond0"), "its number"),
        (Port(name="Ma1", lag="10"), "does not switch"),
        (Lag(name="10", members=("Po20",)), "no physical port"),
        (Lag(name="10", mtu=9000), "of routing"),
        (SnmpCommunity(name="x", community="two words"), "one word"),
        (SnmpCommunity(name="x", ensure="absent"), "say which text"),
        (LocalUser(name="x", password="what is it?"), "one word"),
        (LocalUser(name="x", role="two words"), "one word"),
    ],
)  # fmt: skip
def test_what_eos_cannot_hold_is_refused(resource: Any, why: str) -> None:
    with pytest.raises(Permanent, match=why) as refusal:
        AristaEos().canonical(resource)
    secrets = [getattr(resource, name, None) for name in ("password", "community")]
    assert not any(secret and secret in str(refusal.value) for secret in secrets)


def test_an_account_needs_a_password() -> None:
    with pytest.raises(Permanent, match="without a password"):
        AristaEos().render([change(None, LocalUser(name="ops", privilege=1))], {})
