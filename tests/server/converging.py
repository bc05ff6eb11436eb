"""One converge without the engine: read, compare, render, commit."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from rackwright.model.change import Change, Wanted
from rackwright.model.report import FieldChange
from rackwright.model.resource import Resource, declared_fields
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.server.linux import Linux

LOCAL = Way(transport="local", options={})


def plan(linux: Linux, session: object, wanted: Sequence[Resource]) -> list[Change]:
    """The changes from what is there to ``wanted``, in the order given."""
    for resource in wanted:
        linux.canonical(resource)
    asked = Wanted(frozenset(map(type, wanted)), {one.address: one for one in wanted})
    observed = linux.read(session, asked)  # type: ignore[arg-type]
    changes = []
    for one in wanted:
        seen = observed.get(one.address)
        if one.ensure == "absent":
            if seen is not None:
                changes.append(Change("remove", one.address, seen))
        elif seen is None:
            assert not one.fixture, f"{one.address} is a fixture and was left out"
            changes.append(Change("create", one.address, None, one))
        else:
            fields = tuple(
                FieldChange(field=name, old=getattr(seen, name), new=value)
                for name, value in declared_fields(one).items()
                if getattr(seen, name) != value
            )
            if fields:
                changes.append(Change("update", one.address, seen, one, fields))
    return changes


def look(root: Path, *wanted: Resource) -> list[Change]:
    """What a converge would do, by a session that cannot write."""
    linux = Linux()
    with closing(linux.open(LOCAL, Surroundings(state=root / "nowhere", root=root))) as session:
        return plan(linux, session, wanted)


def converge(root: Path, *wanted: Resource, state: Path | None = None) -> list[str]:
    """Make ``wanted`` so under ``root``. The texts of the steps taken."""
    linux = Linux()
    around = Surroundings(state=state or root.parent / "state", root=root, writable=True)
    with closing(linux.open(LOCAL, around)) as session:
        changes = plan(linux, session, wanted)
        steps = linux.render(changes, {})
        for step in steps:
            linux.commit(session, [step])
        return [step.text for step in steps]
