"""What the tests of PDUs share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.address import Address
from rackwright.model.change import Change, Wanted
from rackwright.model.report import FieldChange
from rackwright.model.resource import declared_fields
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.pdu.resources import Outlet
from rackwright_providers.pdu.snmp_pdu import SnmpPdu
from rackwright_providers.transport.snmp import SnmpReader

ALL = Wanted(frozenset({Outlet}), {})
Opener = Callable[..., Any]


@pytest.fixture
def opener(tmp_path: Path) -> Iterator[Opener]:
    """``opener(provider, port, writable=True, **options)`` opens a session, closed after the test."""
    opened: list[SnmpReader] = []

    def open_(provider: SnmpPdu, port: int, writable: bool = True, **options: Any) -> SnmpReader:
        given = {"host": "127.0.0.1", "port": port, "timeout": 3.0, "retries": 1} | options
        if "username" not in given:
            given.setdefault("community", "private")
        way = Way(transport="snmp", options=given)
        opened.append(provider.open(way, Surroundings(state=tmp_path, writable=writable)))
        return opened[-1]

    yield open_
    for session in opened:
        session.close()


def plan(provider: SnmpPdu, session: SnmpReader, *declared: Outlet) -> list[Change]:
    """The changes that would make the unit's outlets what is ``declared``."""
    observed = provider.read(session, ALL)
    changes = []
    for wanted in map(provider.canonical, declared):
        before = observed.get(wanted.address)
        if before is None:
            changes.append(Change("create", wanted.address, None, wanted))
            continue
        fields = tuple(
            FieldChange(field=name, old=getattr(before, name), new=value)
            for name, value in declared_fields(wanted).items()
            if getattr(before, name) != value
        )
        if fields:
            changes.append(Change("update", wanted.address, before, wanted, fields))
    return changes


def converge(provider: SnmpPdu, session: Any, *declared: Outlet) -> None:
    """Plan and commit, step by step as the engine does."""
    changes = plan(provider, session, *declared)
    for step in provider.render(changes, provider.read(session, ALL)):
        provider.commit(session, [step])


def outlet(number: int) -> Address:
    return Address("outlet", str(number))
