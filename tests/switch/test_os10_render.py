"""Changes as lines of OS10: the table in cases/, and what must hold for every list of VLANs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rackwright.model.errors import Permanent
from rackwright_providers.switch import os10_render, vlanset
from rackwright_providers.switch.cli_lines import LineStep
from rackwright_providers.switch.dell_os10 import DellOs10
from rackwright_providers.switch.resources import Lag, LocalUser, Port, SnmpCommunity, Vlan
from rackwright_providers.transport.cli_screen import PROMPT

from .line_cases import change, load, planned

CASES = load("os10_render.yaml")
UNTOUCHED = {
    "mode": "access",
    "access_vlan": 1,
    "native_vlan": 1,
    "allowed_vlans": "none",
    "admin": "up",
    "description": "",
    "lag": "none",
    "mtu": 1532,
}
IDS = st.frozensets(st.integers(2, 4093), min_size=1, max_size=400)


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_lines(case: dict[str, Any]) -> None:
    (step,) = DellOs10().render([planned(DellOs10(), case, UNTOUCHED)], {})
    assert step.text == case["lines"].rstrip("\n")
    assert isinstance(step, LineStep)
    assert step.lines == tuple(step.text.splitlines())


@given(IDS, st.booleans())
def test_vlans_share_lines_and_their_prompt_is_a_prompt(ids: frozenset[int], removal: bool) -> None:
    vlans = [Vlan(name=str(number)) for number in sorted(ids)]
    changes = [change(vlan, None) if removal else change(None, vlan) for vlan in vlans]
    named: list[int] = []
    for step in os10_render.steps(changes, {}):
        (line,) = step.lines
        numbers = line.rpartition(" ")[2]
        assert PROMPT.fullmatch(f"sw1(conf-range-vl-{numbers})# ".encode())
        assert ("range" in line) == (len(step.addresses) > 1)
        assert [int(address.name) for address in step.addresses] == sorted(vlanset.parse(numbers))
        named += vlanset.parse(numbers)
    assert sorted(named) == sorted(ids)


@given(IDS, IDS)
def test_a_list_becomes_what_is_declared_by_adding_first(
    before: frozenset[int], after: frozenset[int]
) -> None:
    seen = Port(name="ethernet1/1/1", **{**UNTOUCHED, "mode": "trunk"})
    seen = Port(
        **{name: getattr(seen, name) for name in seen.__struct_fields__ if name != "allowed_vlans"},
        allowed_vlans=vlanset.show(before),
    )
    wanted = Port(name="ethernet1/1/1", allowed_vlans=vlanset.show(after))
    held, least = before, before & after
    for step in os10_render.steps([change(seen, wanted)], {}):
        for line in step.lines[1:]:
            assert len(line) <= os10_render.LINE + 1
            ids = vlanset.parse(line.rpartition(" ")[2])
            held = held - ids if line.startswith(" no ") else held | ids
            assert held >= least  # what stays is never interrupted
    assert held == after


@pytest.mark.parametrize(
    ("resource", "why"),
    [
        (Vlan(name="1"), "switch's own"),
        (Vlan(name="4094"), "switch's own"),
        (Vlan(name="5", title=" "), "cannot be empty"),
        (Vlan(name="5", title='a "quoted" one'), "cannot hold"),
        (Port(name="Gi1/0/1"), "not a port's name"),
        (Port(name="vlan10"), "no physical port"),
        (Port(name="port-channel10"), "as a lag"),
        (Port(name="eth1/1/1", mode="dynamic"), "cannot be declared"),
        (Port(name="eth1/1/1", mtu=1000), "1280 to 65535"),
        (Port(name="eth1/1/1", description="what?"), "cannot hold"),
        (Port(name="eth1/1/1", allowed_vlans="all"), "end at 4093"),
        (Port(name="eth1/1/1", mode="access", allowed_vlans="10"), "only a trunk"),
        (Port(name="eth1/1/1", access_vlan=1, native_vlan=2), "one setting"),
        (Port(name="mgmt1/1/1", access_vlan=10), "does not switch"),
        (Lag(name="1025"), "1 to 1024"),
        (Lag(name="uplink"), "its number"),
        (SnmpCommunity(name="x", ensure="absent"), "say which text"),
        (SnmpCommunity(name="x", community="two words"), "one word"),
        (LocalUser(name="x", password="$6$salt$hash"), "for a hash"),
        (LocalUser(name="x", password="what-is-it?"), "one word"),
        (LocalUser(name="x", role="two words"), "one word"),
    ],
)  # fmt: skip
def test_what_os10_cannot_hold_is_refused(resource: Any, why: str) -> None:
    with pytest.raises(Permanent, match=why) as refusal:
        DellOs10().canonical(resource)
    secrets = [getattr(resource, name, None) for name in ("password", "community")]
    assert not any(secret and secret in str(refusal.value) for secret in secrets)


@pytest.mark.parametrize(
    ("user", "why"),
    [
        (LocalUser(name="ops", role="sysadmin"), "password must be declared"),
        (LocalUser(name="ops", password="long-enough"), "role must be declared"),
    ],
)
def test_an_account_is_declared_whole(user: LocalUser, why: str) -> None:
    with pytest.raises(Permanent, match=why):
        DellOs10().render([change(None, user)], {})


def test_a_password_that_the_switch_hides_is_not_set_again_and_again() -> None:
    wanted = LocalUser(name="ops", password="long-enough")
    hidden = change(LocalUser(name="ops", password="****", role="sysadmin"), wanted)
    shown = change(LocalUser(name="ops", password="$6$s$h", role="sysadmin"), wanted)
    assert "obscure-password" in DellOs10().refuse([hidden], {})[wanted.address]
    assert not DellOs10().refuse([shown], {})
