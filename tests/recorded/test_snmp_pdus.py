"""Walks of real PDUs, read as from the unit: ``$RACKWRIGHT_RECORDED/librenms`` is a checkout of
LibreNMS (``tests/snmpsim/*.snmprec``, and the vendors' MIBs that it carries in ``mibs``)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.change import Wanted
from rackwright_providers.pdu import units
from rackwright_providers.pdu.outlet_table import Object, OutletTable, enumeration
from rackwright_providers.pdu.resources import Outlet
from tests.pdu.recording import Recording

CHECKOUT = Path(os.environ.get("RACKWRIGHT_RECORDED", "/nonexistent")) / "librenms"
ALL = Wanted(frozenset({Outlet}), {})


def recorded(name: str) -> Any:
    """One of LibreNMS's recordings."""
    path = CHECKOUT / "tests" / "snmpsim" / f"{name}.snmprec"
    if not path.exists():
        pytest.skip(f"RACKWRIGHT_RECORDED names no directory with librenms/tests/snmpsim/{name}")
    return Recording(path)


@pytest.mark.proves(
    "eaton_epdu", "outlet", over="snmp", on="recorded", by="Eaton EMA114-10 (reads)"
)
def test_an_eaton_ema114() -> None:
    recording = recorded("eatonpdu_2")
    provider = units.provider("eaton_epdu")
    found = list(provider.read(recording, ALL).values())
    assert [outlet.name for outlet in found] == [str(number) for number in range(1, 25)]
    epdu = "1.3.6.1.4.1.534.6.6.7"
    for number, outlet in enumerate(found, start=1):
        rows = {column: recording.rows[f"{epdu}.6.6.1.{column}.0.{number}"] for column in (2, 7, 8)}
        name = recording.rows[f"{epdu}.6.1.1.3.0.{number}"].text
        assert outlet == Outlet(
            name=str(number),
            state="on" if rows[2].data == 1 else "off",
            label=name,
            on_delay=rows[7].number,
            reboot_delay=rows[8].number,
        )
    values = provider.discover(recording).values
    assert values["model"] == "EMA114-10"
    assert values["load_amperes"] == 14
    assert values["outlets"] == 24


@pytest.mark.parametrize(
    ("recording", "platform", "expected"),
    [
        ("raritan-pdu_px3", "raritan_pdu2", {"model": "PX3-5493U-K2", "firmware": "4.2.0.5-50274"}),
        ("raritan-pdu_px4", "raritan_pdu2", {"model": "PX4-5730-E8V2"}),
        ("sentry3_switched", "servertech_sentry3", {"model": "CWG-30VDE455/CB"}),
        ("sentry4_switched8i", "servertech_sentry4", {"product": "Sentry Switched PDU"}),
        ("sentry4", "servertech_sentry4", {"load_amperes": 6}),
        ("apc_ap7900b", "apc_rpdu2", {}),
        ("apc_apdu9959eu3", "apc_rpdu2", {}),
    ],
)
def test_facts_of_units_whose_outlets_were_not_recorded(
    recording: str, platform: str, expected: dict[str, object]
) -> None:
    session = recorded(recording)
    provider = units.provider(platform)
    values = provider.discover(session).values
    assert {**values, **expected} == values
    assert str(values["object_id"]).startswith(provider.object_ids)


MIBS = {
    "apc_rpdu": "apc/PowerNet-MIB",
    "apc_rpdu2": "apc/PowerNet-MIB",
    "raritan_pdu2": "raritan/PDU2-MIB",
    "servertech_sentry3": "sentry/Sentry3-MIB",
    "servertech_sentry4": "sentry/Sentry4-MIB",
    "eaton_epdu": "eaton/EATON-EPDU-MIB",
}
ROOTS = {
    "enterprises": "1.3.6.1.4.1",
    "apc": "1.3.6.1.4.1.318",
    "eatonEpdu": "1.3.6.1.4.1.534.6.6.7",  # EATON-OIDS
}


@cache
def mib(name: str) -> dict[str, str]:
    """The definition of each name, as text."""
    path = CHECKOUT / "mibs" / name
    if not path.exists():
        pytest.skip(f"RACKWRIGHT_RECORDED names no directory with librenms/mibs/{name}")
    text = re.sub(r"--[^\n]*", "", path.read_text("latin-1").replace("\r", ""))
    kind = r"(?:OBJECT-TYPE|OBJECT\s+IDENTIFIER|MODULE-IDENTITY|TEXTUAL-CONVENTION)"
    found = {}
    for match in re.finditer(rf"(?m)^\s*(\w[\w-]*)\s+(?:::=\s+)?({kind}.*?)(?=^\s*\w[\w-]*\s+(?:::=\s+)?{kind}|\Z)", text, re.DOTALL):  # fmt: skip
        found[match[1]] = match[2]
    return found


def oid(name: str, definitions: dict[str, str]) -> str:
    """The OID of ``name``."""
    if name in ROOTS:
        return ROOTS[name]
    parent = re.search(r"::=\s*\{\s*([\w-]+)\s+(\d+)\s*\}", definitions[name])
    assert parent, name
    return f"{oid(parent[1], definitions)}.{parent[2]}"


def objects(table: OutletTable) -> Iterator[tuple[Object, bool, bool]]:
    """(object, whether it is a column, whether we write it)."""
    yield table.status, True, False
    for setting in (*table.command.values(), *([table.reboot] if table.reboot else [])):
        yield setting.column, True, True
    for pending in table.pending:
        yield pending.column, True, False
    for delay in table.delays.values():
        yield delay.column, True, True
        if delay.own:
            yield delay.own.column, True, True
    if table.label:
        yield table.label.column, True, True
    scalars = [*table.facts.values(), *([table.load.scalar] if table.load else [])]
    for scalar in [*scalars, *([table.all_reboot_delay] if table.all_reboot_delay else [])]:
        yield scalar, False, False


@pytest.mark.parametrize("platform", MIBS)
def test_the_table_against_the_vendors_mib(platform: str) -> None:
    definitions = mib(MIBS[platform])
    table = units.provider(platform).table
    for item, column, written in objects(table):
        definition = definitions[item.name]
        right = oid(item.name, definitions)
        assert item.oid == right if column else item.oid.startswith(f"{right}."), item
        if written:
            assert "read-write" in definition, item
        if item.syntax:
            kind = re.search(r"SYNTAX\s+([\w-]+)", definition)
            assert kind
            stated = definitions.get(kind[1], definition).partition("DESCRIPTION")
            text = "".join(stated) if kind[1] in definitions else definition
            held = enumeration(re.sub(r"\s+", " ", text))
            wanted = enumeration(item.syntax)
            if kind[1] != "TruthValue":  # SNMPv2-TC
                assert wanted.items() <= held.items(), item


@pytest.mark.parametrize("platform", MIBS)
def test_the_ranges_and_the_index_against_the_vendors_mib(platform: str) -> None:
    definitions = mib(MIBS[platform])
    table = units.provider(platform).table
    for delay in table.delays.values():
        definition = definitions[delay.column.name]
        ends = re.search(r"SYNTAX\s+\w+\s*\((-?\d+)\.\.(\d+)\)", definition)
        if ends:
            assert (delay.least, delay.most) == (int(ends[1]), int(ends[2])), delay
            assert delay.unsigned == ("Unsigned32" in definition)
    if table.label:
        size = re.search(r"SIZE\s*\((\d+)\.\.(\d+)\)", definitions[table.label.column.name])
        if size:
            assert (table.label.shortest, table.label.longest) == (int(size[1]), int(size[2]))
    parent = re.search(r"::=\s*\{\s*([\w-]+)", definitions[table.status.name])
    assert parent
    index = re.search(r"INDEX\s*\{([^}]*)\}", definitions[parent[1]])
    assert index
    names = tuple(name.strip() for name in index[1].split(","))
    assert len(names) == len(table.index)
    if len(names) > 1:
        assert names == table.index
