"""Which platform a device is: decided from what it says, and found over real sessions."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from rackwright.model.change import Wanted
from rackwright.model.errors import Permanent, Unreachable
from rackwright.model.site import Way
from rackwright.provider import Registry, Surroundings
from rackwright_providers.auto import Auto
from rackwright_providers.identify import Candidate, by_object_id, by_text, identify
from rackwright_providers.pdu.resources import Outlet
from rackwright_sim.apc_rpdu import ApcRpdu
from tests.conformance.platforms import rigs

APC = Candidate("apc", frozenset({"snmp"}), object_ids=("1.3.6.1.4.1.318.1.3.4",))
APC2 = Candidate("apc2", frozenset({"snmp"}), object_ids=("1.3.6.1.4.1.318.1.3.4.6",))
IOS = Candidate("ios", frozenset({"ssh"}), signs=(r"Cisco IOS",))
ANY = Candidate("any", frozenset({"ssh"}), signs=(r"IOS Software",))


@pytest.mark.parametrize(
    ("object_id", "platform"),
    [
        ("1.3.6.1.4.1.318.1.3.4.5", "apc"),
        ("1.3.6.1.4.1.318.1.3.4.6", "apc2"),
        ("1.3.6.1.4.1.318.1.3.4.65", "apc"),  # not a part of .6
        ("1.3.6.1.4.1.318.1.3.41", None),
        ("1.3.6.1.4.1.9.1.516", None),
        ("", None),
    ],
)
def test_the_longest_prefix_tells(object_id: str, platform: str | None) -> None:
    found = by_object_id(object_id, (APC, APC2))
    assert (found.platform if found else None) == platform


def test_one_sign_tells_and_two_do_not() -> None:
    assert by_text("sw1>", (IOS, ANY)) is None
    found = by_text("Cisco IOS XE Version 17", (IOS, ANY))
    assert found is not None
    assert found == ("ios", "it shows 'Cisco IOS'")
    assert by_text("Cisco IOS Software, C3750E", (IOS, ANY)) is None


def test_no_two_platforms_have_one_prefix() -> None:
    registry = Registry.installed()
    seen: dict[str, str] = {}
    for name in set(registry.platforms) - {"auto"}:
        for prefix in getattr(registry.provider(name), "object_ids", ()):
            assert prefix not in seen, f"{prefix}: {name} and {seen[prefix]}"
            seen[prefix] = name


TOLD = ("apc_rpdu", "cisco_ios", "arista_eos", "dell_os10", "qbridge", "openvswitch", "tgt",
        "dell_cmc", "hpe_oa", "redfish", "ipmi", "equallogic", "dothill", "linux_frr", "raritan_pdu2",
        "servertech_sentry3", "servertech_sentry4", "eaton_epdu", "vpcd", "powerman")  # fmt: skip


SAME = {"apc_rpdu": "apc_rpdu2"}
"""The simulated unit serves both, as units of today do."""


@pytest.mark.parametrize("platform", TOLD)
def test_every_platform_is_told_over_each_of_its_ways(platform: str, tmp_path: Path) -> None:
    """The rigs of the conformance suite, and nothing is written to find out."""
    kind, maker = next(iter(rigs(platform).items()))
    with maker(tmp_path / "device") as rig:
        before = rig.state()
        for transport, way in rig.ways.items():
            around = Surroundings(state=tmp_path / f"{kind}-{transport}")
            around.state.mkdir()
            found = identify(way, around)
            assert found.platform == SAME.get(platform, platform), (transport, found)
        assert rig.state() == before


def test_auto_is_the_platform_that_it_found(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with ApcRpdu() as unit:
        options = {"host": "127.0.0.1", "port": unit.port, "community": "private"}
        auto = Auto()
        with pytest.raises(Permanent, match="not known before"):
            _ = auto.resources
        around = Surroundings(state=tmp_path, writable=True)
        session = auto.open(Way(transport="snmp", options=options), around)
        assert auto.resources == frozenset({Outlet})
        assert session.via == f"snmp 127.0.0.1:{unit.port}, found to be apc_rpdu2"
        assert len(auto.read(session, Wanted(frozenset({Outlet}), {}))) == 24
        facts = auto.discover(session)
        assert facts.values["platform"] == "apc_rpdu2"
        assert "sysObjectID 1.3.6.1.4.1.318.1.3.4" in facts.values["platform_by"]
        assert "the platform is apc_rpdu2" in caplog.text
        session.close()


def test_a_device_that_is_off_is_unreachable_not_unknown(tmp_path: Path) -> None:
    options = {"host": "127.0.0.1", "port": 1, "community": "x", "timeout": 0.1, "retries": 0}
    with pytest.raises(Unreachable):
        identify(Way(transport="snmp", options=options), Surroundings(state=tmp_path))
