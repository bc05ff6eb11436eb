"""What a real OS10 switch said, through the parsers: ``$RACKWRIGHT_RECORDED/dellemc.os10`` is a
checkout of github.com/ansible-collections/dellemc.os10, whose unit tests hold the configuration of
an S6000 with OS10 10.4."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rackwright_providers.switch import os10_discover, os10_parse
from rackwright_providers.switch.resources import Hostname, Lag, LocalUser, Port, Vlan

HERE = Path(os.environ.get("RACKWRIGHT_RECORDED", "/nonexistent"))
FIXTURES = HERE / "dellemc.os10" / "tests" / "unit" / "modules" / "network" / "os10" / "fixtures"
ROUTED = {"ethernet1/1/2", "ethernet1/1/8", "mgmt1/1/1"}


def recorded(name: str) -> str:
    if not FIXTURES.is_dir():
        pytest.skip("RACKWRIGHT_RECORDED names no directory with dellemc.os10")
    return (FIXTURES / name).read_text()


@pytest.mark.proves(
    "dell_os10", "vlan", "port", "lag", "hostname", "local_user",
    over="ssh", on="recorded", by="the collection dellemc.os10",
)  # fmt: skip
@pytest.mark.proves(
    "dell_os10", "vlan", "port", "lag", "hostname", "local_user",
    over="serial", on="recorded", by="the collection dellemc.os10",
)  # fmt: skip
def test_the_configuration_of_a_switch() -> None:
    found = os10_parse.configuration(recorded("show_running-config").lstrip(), {}).values()
    assert [seen.name for seen in found if isinstance(seen, Vlan)] == ["100"]
    assert [seen.value for seen in found if isinstance(seen, Hostname)] == ["os10"]
    (lag,) = (seen for seen in found if isinstance(seen, Lag))
    assert (lag.name, lag.mode, lag.access_vlan, lag.members) == ("12", "access", 1, ())
    ports = {seen.name: seen for seen in found if isinstance(seen, Port)}
    assert set(ports) == {f"ethernet1/1/{number}" for number in range(1, 33)} | {"mgmt1/1/1"}
    routed = {name for name, port in ports.items() if port.mode == "routed"}
    assert routed >= ROUTED
    assert {port.access_vlan for name, port in ports.items() if name not in routed} == {1}
    assert {port.admin for port in ports.values()} == {"up"}
    (user,) = (seen for seen in found if isinstance(seen, LocalUser))
    assert (user.name, user.role, user.privilege) == ("admin", "sysadmin", 15)
    assert str(user.password).startswith("$6$")


def test_its_factory_password() -> None:
    """``admin`` is the password with which OS10 comes; its hash is that of a real switch."""
    from rackwright.model.address import Address

    wanted = LocalUser(name="admin", password="admin")
    text = recorded("show_running-config").lstrip()
    found = os10_parse.configuration(text, {wanted.address: wanted})
    user = found[Address("local_user", "admin")]
    assert isinstance(user, LocalUser)
    assert user.password == "admin"


def test_its_version() -> None:
    assert os10_discover.version_facts(recorded("show_version")) == {
        "vendor": "dell",
        "version": "10.4.0E(R1)",
        "model": "S6000-VM",
    }
