"""What may be the name of a VLAN and of an outlet, on any platform."""

from __future__ import annotations

import pytest

from rackwright_providers.pdu.resources import Outlet
from rackwright_providers.switch.resources import Vlan


@pytest.mark.parametrize("name", ["0", "4095", "x", "10-11", "", "६", "-1", "1.5"])
def test_a_vlan_is_named_by_its_id(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 4094"):
        Vlan(name=name)


@pytest.mark.parametrize("name", ["0", "1000", "one", "1.5", "٣", "", "-1"])
def test_an_outlet_is_named_by_its_number(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 999"):
        Outlet(name=name)


@pytest.mark.parametrize("name", ["1", "4094", "0666"])
def test_vlans_that_are_right(name: str) -> None:
    assert Vlan(name=name).id == int(name)
