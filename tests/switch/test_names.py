"""What may be the name of a VLAN and of an outlet, on any platform."""

from __future__ import annotations

import pytest

from rackwright.model.errors import Permanent
from rackwright_providers.pdu import units
from rackwright_providers.pdu.resources import Outlet
from rackwright_providers.switch.resources import Vlan


@pytest.mark.parametrize("name", ["0", "4095", "x", "10-11", "", "६", "-1", "1.5"])
def test_a_vlan_is_named_by_its_id(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 4094"):
        Vlan(name=name)


@pytest.mark.parametrize("name", ["٣", "", "-1", "web[1-3]", "a,b", "a b", "x" * 65])
def test_an_outlet_has_one_plain_name(name: str) -> None:
    with pytest.raises(ValueError, match="an outlet's name is"):
        Outlet(name=name)


@pytest.mark.parametrize("name", ["0", "one", "1.5", "1.0", "3a"])
def test_an_outlet_of_an_snmp_unit_is_named_by_its_number(name: str) -> None:
    with pytest.raises(Permanent, match="by its number"):
        units.provider("apc_rpdu").canonical(Outlet(name=name))


@pytest.mark.parametrize("name", ["1", "4094", "0666"])
def test_vlans_that_are_right(name: str) -> None:
    assert Vlan(name=name).id == int(name)
