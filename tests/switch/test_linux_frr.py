"""linux_frr: what FRR shows as values, changes as lines; the table in cases/linux_frr.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Permanent
from rackwright.model.report import FieldChange
from rackwright.model.resource import declared_fields
from rackwright_providers.switch import frr_parse
from rackwright_providers.switch.linux_frr import DIALECT, LinuxFrr
from rackwright_providers.switch.resources import Hostname, Port, Vlan
from tests.tables import table

CASES = table(Path(__file__).parent / "cases" / "linux_frr.yaml")
PROVIDER = LinuxFrr()


def running(lines: str) -> str:
    return f"Building configuration...\n\nCurrent configuration:\n!\n{lines}"


@pytest.mark.parametrize("case", CASES["read"], ids=lambda case: case["name"])
def test_what_is_shown_as_values(case: dict[str, Any]) -> None:
    configuration = frr_parse.configuration(running(case["running"]))
    seen = frr_parse.interfaces(case["interfaces"])
    assert configuration.hostname == case["hostname"]
    wanted = {name: Port(name=name, **fields) for name, fields in case["ports"].items()}
    assert frr_parse.ports(configuration, seen) == wanted
    assert {name: dict(one.facts) for name, one in seen.items()} == case["facts"]


@pytest.mark.parametrize("case", CASES["read"], ids=lambda case: case["name"])
def test_what_is_cut_off_is_not_taken_for_all(case: dict[str, Any]) -> None:
    text = running(case["running"])
    for cut in range(len(text.rstrip())):
        with pytest.raises(ValueError):
            frr_parse.configuration(text[:cut])


def test_no_interface_is_no_answer() -> None:
    with pytest.raises(ValueError, match="without an interface"):
        frr_parse.interfaces("")
    with pytest.raises(ValueError, match="not an interface"):
        frr_parse.interfaces("Interface lan1 is up, line protocol is up\n")


@pytest.mark.parametrize("case", CASES["render"], ids=str)
def test_changes_as_lines(case: dict[str, Any]) -> None:
    before = Port(name="lan1", **case["before"])
    after = PROVIDER.canonical(Port(name="lan1", **case["after"]))
    fields = tuple(
        FieldChange(field=name)
        for name, value in declared_fields(after).items()
        if getattr(before, name) != value
    )
    change = Change("update", after.address, before, after, fields)
    steps = PROVIDER.render([change], {before.address: before})
    assert [line for step in steps for line in step.lines] == case["lines"]


@pytest.mark.parametrize("case", CASES["save"], ids=lambda case: case["said"][-40:])
def test_what_counts_as_saved(case: dict[str, Any]) -> None:
    assert bool(DIALECT.save_done.search(case["said"])) == case["saved"]


@pytest.mark.parametrize(
    ("resource", "why"),
    [
        (Vlan(name="7"), "no 'vlan'"),
        (Port(name="eth0", mtu=1500), "does not set mtu"),
        (Port(name="eth0", mode="access", access_vlan=7), "does not set access_vlan, mode"),
        (Port(name="eth0/1"), "not the name"),
        (Port(name="a-name-that-is-too-long"), "not the name"),
        (Port(name="eth0", description="a\nshutdown"), "cannot hold"),
        (Port(name="eth0", description="a | b"), "cannot hold"),
        (Port(name="eth0", description="ü"), "cannot hold"),
        (Port(name="eth0", ensure="absent"), "admin: down"),
        (Hostname(name="a b"), "host name"),
    ],
    ids=str,
)
def test_what_it_cannot_hold(resource: Any, why: str) -> None:
    with pytest.raises(Permanent, match=why):
        PROVIDER.canonical(resource)


def test_the_host_name_is_never_changed() -> None:
    wanted = PROVIDER.canonical(Hostname(name="r2"))
    before = Hostname(name="system", value="r1")
    change = Change("update", wanted.address, before, wanted, (FieldChange(field="value"),))
    assert "ends with its session" in PROVIDER.refuse([change], {})[Address("hostname", "system")]
    assert not PROVIDER.render([change], {})


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=240))
def test_a_description_that_is_taken_is_one_line_and_stays_as_it_is(text: str) -> None:
    port = Port(name="lan1", description=text)
    if "|" in text:
        with pytest.raises(Permanent):
            PROVIDER.canonical(port)
        return
    taken = PROVIDER.canonical(port)
    assert PROVIDER.canonical(taken) == taken
    assert isinstance(taken, Port)
    assert taken.description is not None
    assert taken.description == " ".join(text.split())
    shown = running(f"interface lan1\n description {taken.description}\nexit\n!\nend\n")
    if taken.description:
        assert frr_parse.configuration(shown).descriptions["lan1"] == taken.description


@pytest.mark.parametrize(
    ("host", "port"),
    [("10.0.0.1", "lan1"), ("fe80::1", "lan1"), ("10.0.0.9", ""), ("r1.example", "")],
)
def test_whose_address_it_is(host: str, port: str) -> None:
    assert frr_parse.owner(host, frr_parse.interfaces(CASES["read"][0]["interfaces"])) == port
