"""A plan told from what is known, held against the plan of a run that looks."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rackwright.engine.converge import Job, converge
from rackwright.engine.forecast import AnyPlatform, forecast
from rackwright.engine.known import Known, of_ledger
from rackwright.engine.ledger import Ledger, LedgerCopy, LedgerFile
from rackwright.model.address import Address
from rackwright.model.bundle import Bundle, Gates
from rackwright.model.change import Change
from rackwright.model.errors import Permanent
from rackwright.model.report import Outcome, Report
from rackwright.model.resource import Resource
from rackwright.model.secret import MASK, marker

from .memory import NOUNS, Device, Line, Memory, bundle, declare, thing


def converged(
    path: Path, device: Device, what: Bundle, *, why_run: bool = False, gates: Gates | None = None
) -> Report:
    job = Job(bundle=what, gates=gates or Gates(), secrets={"key": "hunter2"}, why_run=why_run)
    return converge(job, Memory(), Line(device), LedgerFile(path / "ledger.json"))


def known_after(path: Path, report: Report, in_force: Bundle | None = None) -> Known:
    verified = {
        outcome.address: outcome.digest
        for outcome in report.outcomes
        if outcome.state in ("in_sync", "changed")
    }
    ledger = LedgerFile(path / "ledger.json").load()
    return Known(verified=verified, ledger=ledger, bundle=in_force, last_run=1.0)


def gist(outcome: Outcome) -> tuple[Any, ...]:
    fields = tuple(change.field for change in outcome.changes)
    return (outcome.address, outcome.state, outcome.action, fields, outcome.severs)


def by_address(found: tuple[Outcome, ...]) -> dict[str, Outcome]:
    return {outcome.address: outcome for outcome in found}


THINGS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "D"]),
    st.fixed_dictionaries(
        {},
        optional={
            "size": st.integers(1, 200),
            "note": st.sampled_from(["x", "y", marker("key")]),
            "ensure": st.sampled_from(["absent", "present"]),
            "needs": st.just(("far:thing/z",)),
        },
    ),
    max_size=4,
)
PLUGS = st.dictionaries(st.sampled_from(["1", "2"]), st.sampled_from(["on", "off"]), max_size=2)


def declared(things: dict[str, dict[str, Any]], plugs: dict[str, str]) -> Bundle:
    return bundle(
        *(declare(f"thing/{name}", **fields) for name, fields in things.items()),
        *(declare(f"plug/{name}", state=state) for name, state in plugs.items()),
    )


@given(THINGS, PLUGS, THINGS, PLUGS, st.booleans())
@settings(max_examples=80, deadline=None)
def test_it_says_what_a_dry_run_says_when_nobody_else_touched_the_device(
    things: dict[str, dict[str, Any]],
    plugs: dict[str, str],
    more: dict[str, dict[str, Any]],
    turned: dict[str, str],
    mirrored: bool,
) -> None:
    first = {name: {**fields, "needs": ()} for name, fields in things.items()}
    before = declared(first, plugs)
    # A plug that was not declared before is read by the one and unknown to the other.
    now = declared(more, {name: turned[name] for name in turned if name in plugs})
    device = Device(
        state={thing(f"plug/{n}").address: thing(f"plug/{n}", state="on") for n in "12"}
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        done = converged(path, device, before)
        told = known_after(path, done, before)
        if not mirrored:
            told = msgspec.structs.replace(told, ledger=None)
        live = converged(path, device, now, why_run=True)
    found = forecast(now, Gates(), Memory(), told)
    assert sorted(map(gist, found)) == sorted(map(gist, live.outcomes))


def test_of_a_node_that_was_never_seen_everything_is_to_be_made() -> None:
    what = bundle(declare("thing/a", size=1), declare("plug/1", state="off"))
    found = forecast(what, Gates(), Memory(), Known())
    assert [gist(outcome) for outcome in found] == [
        ("thing/a", "changed", "create", ("size",), False),
        ("plug/1", "changed", "update", ("state",), False),
    ]
    assert found[1].changes[0].old is None
    absent = bundle(declare("thing/a", ensure="absent"))
    assert [outcome.state for outcome in forecast(absent, Gates(), Memory(), Known())] == [
        "in_sync"
    ]


def test_what_drifted_is_to_be_updated_with_old_values_that_nobody_knows(tmp_path: Path) -> None:
    what = bundle(declare("thing/a", size=1, note="x"))
    told = known_after(tmp_path, converged(tmp_path, Device(), what))
    drifted = msgspec.structs.replace(told, verified={})
    (found,) = forecast(what, Gates(), Memory(), drifted)
    assert (found.state, found.action) == ("changed", "update")
    assert [(change.field, change.old, change.new) for change in found.changes] == [
        ("size", None, 1),
        ("note", None, "x"),
    ]


def test_what_was_begun_and_never_seen_to_be_done_is_to_be_made(tmp_path: Path) -> None:
    what = bundle(declare("thing/a", size=1))
    told = known_after(tmp_path, converged(tmp_path, Device(), what))
    assert told.ledger
    begun = {
        key: msgspec.structs.replace(entry, intent="create")
        for key, entry in told.ledger.entries.items()
    }
    (found,) = forecast(what, Gates(), Memory(), of_ledger(Ledger(entries=begun), 1.0))
    assert found.action == "create"


def test_the_fields_that_differ_come_with_their_old_values(tmp_path: Path) -> None:
    before = bundle(declare("thing/a", size=1, note="x"))
    now = bundle(declare("thing/a", size=2, note="x"))
    told = known_after(tmp_path, converged(tmp_path, Device(), before), before)
    for about in (
        told,
        msgspec.structs.replace(told, bundle=None),
        msgspec.structs.replace(told, ledger=None),
    ):
        (found,) = forecast(now, Gates(), Memory(), about)
        assert [(one.field, one.old, one.new) for one in found.changes] == [("size", 1, 2)]


def test_a_secret_is_neither_needed_nor_shown(tmp_path: Path) -> None:
    before = bundle(declare("thing/a", key=marker("key"), note=f"is {marker('key')}"))
    now = bundle(declare("thing/a", key=marker("other"), note=f"was {marker('key')}"))
    told = known_after(tmp_path, converged(tmp_path, Device(), before))
    (found,) = forecast(now, Gates(), Memory(), told)
    assert [(one.field, one.old, one.new) for one in found.changes] == [
        ("note", MASK, MASK),
        ("key", MASK, MASK),
    ]
    assert forecast(before, Gates(), Memory(), told)[0].state == "in_sync"


class ChapOnly(Memory):
    """A platform that takes CHAP secrets alone for notes (RFC 7143, section 12.1.4)."""

    def canonical(self, resource: Resource) -> Resource:
        note = getattr(resource, "note", None) or "x" * 12
        if not (12 <= len(note) <= 16 and note.isascii() and note.isalnum()):
            raise Permanent(f"not a note: {note}")
        return super().canonical(resource)


def test_a_platform_that_looks_at_its_secrets_takes_one_that_is_not_known(tmp_path: Path) -> None:
    now = bundle(declare("thing/a", note=marker("key")))
    told = known_after(tmp_path, converged(tmp_path, Device(), bundle()))
    (found,) = forecast(now, Gates(), ChapOnly(), told)
    assert (found.state, found.why) == ("changed", "")
    assert [(one.field, one.new) for one in found.changes] == [("note", MASK)]


def test_a_secret_that_goes_is_not_shown(tmp_path: Path) -> None:
    before = bundle(declare("thing/a", note=f"is {marker('key')}"))
    told = known_after(tmp_path, converged(tmp_path, Device(), before))
    (found,) = forecast(bundle(declare("thing/a", note="none")), Gates(), Memory(), told)
    assert [(one.field, one.old, one.new) for one in found.changes] == [("note", MASK, MASK)]


def test_what_holds_data_is_refused_without_looking(tmp_path: Path) -> None:
    before = bundle(declare("thing/a", size=200))
    told = known_after(tmp_path, converged(tmp_path, Device(), before))
    (shrunk,) = forecast(bundle(declare("thing/a", size=1)), Gates(), Memory(), told)
    assert shrunk.state == "refused"
    assert "would shrink from 200 to 1" in shrunk.why
    (gone,) = forecast(bundle(), Gates(), Memory(), told)
    assert (gone.state, gone.action) == ("refused", "remove")


def test_gates_and_contradicted_links_hold(tmp_path: Path) -> None:
    what = bundle(declare("thing/a", needs=[("sw:vlan/1", "abc")]), declare("plug/1", state="off"))
    gates = Gates(contradicted={"1": "web2 is seen there"})
    told = Known(last_run=1.0)
    found = by_address(forecast(what, gates, Memory(), told))
    assert found["thing/a"].waits_for == ("sw:vlan/1",)
    assert found["plug/1"].state == "refused"
    assert "web2 is seen there" in found["plug/1"].why
    met = forecast(what, Gates(verified={"sw:vlan/1": "abc"}), Memory(), told)
    assert by_address(met)["thing/a"].state == "changed"


class Bond(Resource, frozen=True, kw_only=True):
    """Like a LAG: it takes what ran through its members, and so does what comes of nothing."""

    kind: ClassVar[str] = "bond"
    size: int | None = None

    def severs(self, before: Resource | None) -> bool:
        return self.size != getattr(before, "size", None)


class Picky(Memory):
    resources = frozenset({Bond})

    def refuse(self, changes: Sequence[Change], observed: Any) -> dict[Address, str]:
        return {change.address: "no" for change in changes if change.address.name == "never"}


def test_what_is_made_severs_nothing_and_what_changes_does() -> None:
    made = declare("bond/a", size=1)
    told = Known(last_run=1.0)
    (created,) = forecast(bundle(made), Gates(), Picky(), told)
    assert (created.action, created.severs) == ("create", False)
    before = msgspec.structs.replace(told, bundle=bundle(made), verified={"bond/a": made.digest})
    (updated,) = forecast(bundle(declare("bond/a", size=2)), Gates(), Picky(), before)
    assert (updated.action, updated.severs) == ("update", True)


def test_what_the_platform_will_not_have_is_refused() -> None:
    (found,) = forecast(bundle(declare("bond/never")), Gates(), Picky(), Known())
    assert (found.state, found.why) == ("refused", "no")


def test_a_device_that_nobody_has_identified() -> None:
    what = bundle(declare("thing/A", size=1))
    (found,) = forecast(what, Gates(), AnyPlatform(NOUNS.values()), Known())
    assert (found.address, found.state) == ("thing/A", "changed")


def test_a_dry_run_cannot_write_the_ledger_that_it_was_lent() -> None:
    lent = LedgerCopy(Ledger(unsaved=True))
    assert lent.load().unsaved
    with pytest.raises(Permanent, match="dry run"):
        lent.store(Ledger())
