"""Tables of changes and their lines (`cases/*_render.yaml`), for platforms that are told in lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rackwright.model.change import Change
from rackwright.model.report import FieldChange
from rackwright.model.resource import Resource, declared_fields
from rackwright.provider import AnyProvider
from rackwright_providers.switch.cli_lines import SeenCommunity, SeenNtpServer, SeenSyslogServer
from rackwright_providers.switch.resources import NOUNS
from tests.tables import table

KINDS: Mapping[str, type[Resource]] = {noun.kind: noun for noun in NOUNS}
SEEN: Mapping[str, type[Resource]] = {
    seen.kind: seen for seen in (SeenCommunity, SeenNtpServer, SeenSyslogServer)
}


def load(name: str) -> list[dict[str, Any]]:
    """The cases of one table."""
    found: list[dict[str, Any]] = table(Path(__file__).parent / "cases" / name)
    return found


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


def planned(provider: AnyProvider, case: dict[str, Any], untouched: dict[str, Any]) -> Change:
    """The change of one case; ``untouched`` is what a port has that nobody has configured."""
    kind = case.get("remove") or next(name for name in KINDS if name in case)
    before = None
    if seen := case.get("observed"):
        values = {key: _frozen(value) for key, value in seen.items()}
        values = {**untouched, **values} if kind == "port" else values
        before = SEEN.get(kind, KINDS[kind])(**values)
    after = None
    if kind in case:
        declared = {key: _frozen(value) for key, value in case[kind].items()}
        after = provider.canonical(KINDS[kind](**declared))
    return change(before, after)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
