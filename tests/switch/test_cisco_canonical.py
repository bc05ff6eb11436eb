"""One spelling for one thing, and what IOS can never hold."""

from __future__ import annotations

from typing import Any

import pytest

from rackwright.model.errors import Permanent
from rackwright_providers.pdu.resources import Outlet
from rackwright_providers.switch import interfaces
from rackwright_providers.switch.cisco_ios import CiscoIos
from rackwright_providers.switch.resources import Port, Vlan

NAMES = {
    "GigabitEthernet1/0/1": "Gi1/0/1 gi1/0/1 Gig1/0/1 gigabit1/0/1 GIGABITETHERNET1/0/1",
    "FastEthernet0/24": "Fa0/24 fast0/24 FastEth0/24",
    "TenGigabitEthernet1/1/4": "Te1/1/4 ten1/1/4 TenGig1/1/4",
    "TwoGigabitEthernet1/0/5": "Tw1/0/5 twog1/0/5 TwoGigabit1/0/5",
    "TwentyFiveGigE1/0/5": "Twe1/0/5 twenty1/0/5 TwentyFiveGig1/0/5",
    "FiveGigabitEthernet1/0/9": "Fi1/0/9 five1/0/9",
    "FortyGigabitEthernet1/1/1": "Fo1/1/1 forty1/1/1",
    "HundredGigE1/0/49": "Hu1/0/49 hun1/0/49 Hundred1/0/49",
    "AppGigabitEthernet1/0/1": "Ap1/0/1 app1/0/1",
    "Ethernet0/0": "Et0/0 eth0/0 e0/0",
    "Port-channel12": "Po12 port12 port-channel12 PORT-CHANNEL12",
    "Vlan10": "Vl10 vlan10 VLAN10",
    "Loopback0": "Lo0 loop0",
    "GigabitEthernet0/1.100": "Gi0/1.100",
    "Serial0/1/0:23": "Se0/1/0:23",
}


@pytest.mark.parametrize(
    ("short", "full"), [(short, full) for full, all_ in NAMES.items() for short in all_.split()]
)
def test_port_names(short: str, full: str) -> None:
    assert interfaces.canonical(short) == full
    assert interfaces.canonical(full) == full
    assert interfaces.canonical(f" {full} ") == full


def test_a_blank_before_the_number() -> None:
    assert interfaces.canonical("gigabit 1/0/1") == "GigabitEthernet1/0/1"


def test_short_forms_are_unique() -> None:
    shorts = [short.lower() for short in interfaces.CISCO.values()]
    assert len(set(shorts)) == len(shorts)
    assert {interfaces.canonical(f"{short}1") for short in shorts} == {
        f"{full}1" for full in interfaces.CISCO
    }


def test_an_unknown_kind_is_the_devices_own_business() -> None:
    assert interfaces.canonical("StackSub-St1/1") == "StackSub-St1/1"


@pytest.mark.parametrize(
    "name", ["", "Gi", "1/0/1", "T1/0/1", "two1/0/1", "Gi1/0/1 x", "Gi1//1", "Gi1/0/1\rx"]
)
def test_no_port_has_such_a_name(name: str) -> None:
    with pytest.raises(ValueError):
        interfaces.canonical(name)
    with pytest.raises(Permanent):
        CiscoIos().canonical(Port(name=name))


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        (Vlan(name="666"), Vlan(name="666")),
        (Vlan(name="0666", title=" storage "), Vlan(name="666", title="storage")),
        (Port(name="Gi1/0/1"), Port(name="GigabitEthernet1/0/1")),
        (
            Port(name="Vl10", allowed_vlans=(12, "10-11", "1")),
            Port(name="Vlan10", allowed_vlans="1,10-12"),
        ),
        (Port(name="Vl10", allowed_vlans="1-4094"), Port(name="Vlan10", allowed_vlans="all")),
        (Port(name="Vl10", allowed_vlans=10), Port(name="Vlan10", allowed_vlans="10")),
        (Port(name="Vl10", allowed_vlans=""), Port(name="Vlan10", allowed_vlans="none")),
        (Port(name="Vl10", description=" a  b "), Port(name="Vlan10", description="a  b")),
        (Port(name="Vl10", description=""), Port(name="Vlan10", description="")),
    ],
)
def test_canonical(given: Any, canonical: Any) -> None:
    assert CiscoIos().canonical(given) == canonical
    assert CiscoIos().canonical(canonical) == canonical


@pytest.mark.parametrize(
    "wrong",
    [
        *(Vlan(name=name) for name in ("1", "1002", "1005")),
        Vlan(name="10", title="two\nlines"),
        Vlan(name="10", title='say "x"'),
        Vlan(name="10", title="größe"),
        Vlan(name="10", title=" "),
        Port(name="Gi1/0/1", allowed_vlans="5000"),
        Port(name="Gi1/0/1", allowed_vlans="ten"),
        Port(name="Gi1/0/1", description="a\rreload"),
        Port(name="Gi1/0/1", description="größe"),
        Port(name="Gi1/0/1", mode="routed"),
        Outlet(name="1"),
    ],
)
def test_what_this_platform_can_never_hold(wrong: Any) -> None:
    with pytest.raises(Permanent):
        CiscoIos().canonical(wrong)
