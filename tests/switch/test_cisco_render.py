"""Changes as lines: the table in cases/, and what must hold for every list of VLANs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.report import FieldChange
from rackwright.model.resource import Resource, declared_fields
from rackwright_providers.switch import ios_parse, ios_ports, ios_render, vlanset
from rackwright_providers.switch.cisco_ios import CiscoIos
from rackwright_providers.switch.resources import Lag, Port, Vlan, vlan_in_use
from tests.tables import table

CASES = table(Path(__file__).parent / "cases" / "cisco_render.yaml")
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


NOUNS: dict[str, type[Vlan | Port | Lag]] = {"vlan": Vlan, "port": Port, "lag": Lag}


def noted(kind: str, fields: dict[str, Any]) -> Resource:
    return NOUNS[kind](**({} if kind == "vlan" else DEFAULTS) | fields)


def planned(case: dict[str, Any]) -> tuple[Change, dict[Address, Resource]]:
    kind = case.get("remove") or next(noun for noun in NOUNS if noun in case)
    seen = case.get("observed")
    before = noted(kind, seen) if seen else None
    after = CiscoIos().canonical(NOUNS[kind](**case[kind])) if kind in case else None
    others = [noted("port", {"name": key, **more}) for key, more in case.get("ports", {}).items()]
    others += [noted("lag", {"name": key, **more}) for key, more in case.get("lags", {}).items()]
    others += [before] if before else []
    return change(before, after), {item.address: item for item in others}


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_lines(case: dict[str, Any]) -> None:
    one, observed = planned(case)
    (step,) = CiscoIos().render([one], observed)
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
    gained, lost = ios_ports.allowed(before, after)
    held = before
    for line in [*gained, *lost]:
        assert len(line) <= ios_ports.LINE
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


def made(vlan: int) -> Change:
    return Change("create", Address("vlan", str(vlan)), None, Vlan(name=str(vlan)))


@given(
    ids=st.lists(st.integers(2, 4094).filter(lambda vlan: not 1002 <= vlan <= 1005), unique=True)
)
def test_vlans_that_change_alike_go_together_in_short_lines(ids: list[int]) -> None:
    for changes, command in (
        ([made(vlan) for vlan in ids], "vlan "),
        ([vlan_gone(v) for v in ids], "no vlan "),
    ):
        steps = ios_render.steps(changes, {})
        sent: list[int] = []
        for step in steps:
            line, *rest = step.lines
            named = vlanset.parse(line.removeprefix(command))
            assert line.startswith(command)
            assert len(line) <= ios_ports.LINE
            assert {int(address.name) for address in step.addresses} == named
            assert len(named) <= ios_render.TOGETHER
            extended = {vlan >= ios_render.EXTENDED for vlan in named}
            assert len(extended) == 1
            assert rest == ([" exit"] if command == "vlan " and extended == {True} else [])
            sent += named
        assert sorted(sent) == sorted(ids)


def test_all_vlans_take_few_lines() -> None:
    ids = [vlan for vlan in range(2, 4095) if not 1002 <= vlan <= 1005]
    steps = ios_render.steps([made(vlan) for vlan in ids], {})
    assert [step.lines[0] for step in steps[:2]] == ["vlan 2-257", "vlan 258-513"]
    assert len(steps) == 4 + 13


def test_a_vlan_with_a_title_stays_in_its_place() -> None:
    titled = Change("create", Address("vlan", "20"), None, Vlan(name="20", title="x"))
    steps = ios_render.steps([made(10), made(11), titled, made(12), vlan_gone(9)], {})
    assert [step.lines for step in steps] == [
        ("vlan 10-11",), ("vlan 20", " name x"), ("vlan 12",), ("no vlan 9",),
    ]  # fmt: skip


MEMBER = {"mode": "trunk", "lag": "10"}


@pytest.mark.parametrize(
    ("port_fields", "lag_fields", "why"),
    [
        ({"mode": "access"}, {}, "lag/10, which has mode 'trunk'"),
        ({"mode": "trunk"}, {}, ""),
        ({"description": "x"}, {}, ""),
        ({"allowed_vlans": "10"}, {"allowed_vlans": "10"}, ""),
        ({"allowed_vlans": "10"}, {"allowed_vlans": "20"}, "allowed_vlans '20'"),
        ({"admin": "up"}, {"admin": "down"}, "admin 'down'"),
        ({"lag": "none", "mode": "access"}, {}, ""),
        ({"lag": "20"}, {}, "there is no lag/20"),
    ],
)
def test_a_member_that_would_not_agree_is_refused(
    port_fields: dict[str, Any], lag_fields: dict[str, Any], why: str
) -> None:
    seen = {**MEMBER, "admin": "down", "allowed_vlans": "all"}
    before = port("GigabitEthernet1/0/1", **seen)
    lag = Lag(name="10", members=(before.name,), **{**DEFAULTS, "mode": "trunk"})
    changes = [change(before, Port(name=before.name, **port_fields))]
    if lag_fields:
        changes.append(change(lag, Lag(name="10", **lag_fields)))
    observed: dict[Address, Resource] = {before.address: before, lag.address: lag}
    refused = CiscoIos().refuse(changes, observed)
    assert (why in refused[before.address]) if why else not refused


@pytest.mark.parametrize(
    ("declared", "refused"),
    [
        ({"mode": "trunk"}, False),  # its members go along
        ({"members": ("GigabitEthernet1/0/1",)}, True),
        (
            {"access_vlan": 10, "members": ("GigabitEthernet1/0/1",)},
            False,
        ),  # one leaves, and is reset
        ({"description": "x"}, True),
        (None, False),
    ],
)
def test_a_vlan_goes_with_the_lag_that_carried_it(
    declared: dict[str, Any] | None, refused: bool
) -> None:
    fields = {**DEFAULTS, "mode": "access", "access_vlan": 666}
    members = [Port(name=f"GigabitEthernet1/0/{n}", lag="10", **fields) for n in (1, 2)]
    lag = Lag(name="10", members=tuple(port.name for port in members), **fields)
    after = None if declared is None else Lag(name="10", **declared)
    observed: dict[Address, Resource] = {item.address: item for item in (lag, *members)}
    assert bool(CiscoIos().refuse([change(lag, after), vlan_gone(666)], observed)) is refused


def test_the_reason_names_the_ports() -> None:
    ports = [port(f"Gi1/0/{n}", mode="access", access_vlan=666) for n in range(1, 6)]
    why = vlan_in_use([vlan_gone(666)], {one.address: one for one in ports})
    assert why[Address("vlan", "666")] == (
        "still carried untagged by Gi1/0/1, Gi1/0/2, Gi1/0/3 and 2 more: "
        "declare those ports in another VLAN (access_vlan, native_vlan)"
    )
    (one,) = vlan_in_use([vlan_gone(666)], {ports[0].address: ports[0]}).values()
    assert one.endswith(": declare that port in another VLAN (access_vlan, native_vlan)")


def test_sets_of_vlans_are_shown_in_one_spelling() -> None:
    assert vlanset.show(vlanset.parse("12,10,11,1")) == "1,10-12"
