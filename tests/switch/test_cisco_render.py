"""Changes as lines: the table in cases/, and what must hold for every list of VLANs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.report import FieldChange
from rackwright.model.resource import Resource, declared_fields
from rackwright_providers.switch import ios_parse, ios_render, vlanset
from rackwright_providers.switch.cisco_ios import CiscoIos
from rackwright_providers.switch.resources import Port, Vlan, vlan_in_use

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "cisco_render.yaml").read_text())
DEFAULTS = {
    "mode": "dynamic",
    "access_vlan": 1,
    "native_vlan": 1,
    "allowed_vlans": "all",
    "admin": "up",
    "description": "",
}


def change(before: Resource | None, after: Resource | None) -> Change:
    """As the engine would plan it."""
    some = after or before
    assert some
    if after is None:
        return Change("remove", some.address, before)
    fields = tuple(
        FieldChange(field=name)
        for name, value in declared_fields(after).items()
        if value != getattr(before, name, None)
    )
    return Change("update" if before else "create", after.address, before, after, fields)


def planned(case: dict[str, Any]) -> Change:
    kind = case.get("remove") or ("vlan" if "vlan" in case else "port")
    noun: type[Vlan | Port] = {"vlan": Vlan, "port": Port}[kind]
    seen = case.get("observed")
    before = noun(**({**DEFAULTS, **seen} if seen and noun is Port else seen)) if seen else None
    after = CiscoIos().canonical(noun(**case[kind])) if kind in case else None
    return change(before, after)


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_lines(case: dict[str, Any]) -> None:
    (step,) = CiscoIos().render([planned(case)], {})
    assert step.text == case["lines"].rstrip("\n")
    assert isinstance(step, ios_render.IosStep)
    assert step.lines == tuple(step.text.splitlines())


@pytest.mark.parametrize("action", ["release", "notify"])
def test_what_changes_nothing_sends_nothing(action: Any) -> None:
    vlan = Vlan(name="10", title="x")
    assert CiscoIos().render([Change(action, vlan.address, vlan, vlan)], {}) == []


SETS = st.frozensets(st.integers(1, 4094), max_size=600) | st.just(frozenset(range(1, 4095)))


@given(before=SETS, after=SETS)
def test_any_list_of_vlans_is_reached_in_short_lines(
    before: frozenset[int], after: frozenset[int]
) -> None:
    gained, lost = ios_render.allowed(before, after)
    held = before
    for line in [*gained, *lost]:
        assert len(line) <= ios_render.LINE
        held = ios_parse._allowed(held, line.removeprefix("switchport trunk allowed vlan ").split())
        assert before & after <= held  # nothing that stays is shut out on the way
    assert held == after


def vlan_gone(number: int) -> Change:
    return Change("remove", Address("vlan", str(number)), Vlan(name=str(number)))


def port(name: str, **fields: Any) -> Port:
    return Port(name=name, **{**DEFAULTS, **fields})


@pytest.mark.parametrize(
    ("seen", "after", "refused"),
    [
        ({"mode": "access", "access_vlan": 666}, None, True),
        ({"mode": "dynamic", "access_vlan": 666}, None, True),
        ({"mode": None, "access_vlan": 666}, None, True),
        ({"mode": "trunk", "access_vlan": 666}, None, False),
        ({"mode": "trunk", "native_vlan": 666}, None, True),
        ({"mode": "access", "native_vlan": 666}, None, False),
        ({"mode": "trunk", "allowed_vlans": "666"}, None, False),
        ({"mode": "access", "access_vlan": 666}, {"access_vlan": 10}, False),
        ({"mode": "access", "access_vlan": 666}, {"mode": "trunk"}, False),
        ({"mode": "access", "access_vlan": 666}, {"description": "x"}, True),
        ({"mode": "access", "access_vlan": 10}, {"access_vlan": 666}, True),
        ({"mode": "routed", "access_vlan": None}, None, False),
        ({"mode": "access", "access_vlan": 66}, None, False),
    ],
)
def test_a_vlan_that_a_port_still_carries_is_not_removed(
    seen: dict[str, Any], after: dict[str, Any] | None, refused: bool
) -> None:
    before = port("Gi1/0/1", **seen)
    changes = [vlan_gone(666)]
    if after:
        changes.append(change(before, Port(name="Gi1/0/1", **after)))
    why = vlan_in_use(changes, {before.address: before})
    assert (Address("vlan", "666") in why) is refused
    assert CiscoIos().refuse(changes, {before.address: before}) == why


def test_the_reason_names_the_ports() -> None:
    ports = [port(f"Gi1/0/{n}", mode="access", access_vlan=666) for n in range(1, 6)]
    why = vlan_in_use([vlan_gone(666)], {one.address: one for one in ports})
    assert why[Address("vlan", "666")] == (
        "still carried untagged by Gi1/0/1, Gi1/0/2, Gi1/0/3 and 2 more"
    )


def test_sets_of_vlans_are_shown_in_one_spelling() -> None:
    assert vlanset.show(vlanset.parse("12,10,11,1")) == "1,10-12"
