"""The converge loop against a device in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rackwright.engine.converge import Job, converge
from rackwright.engine.ledger import Entry, Ledger, LedgerFile, decode, encode
from rackwright.model.address import Address
from rackwright.model.bundle import Bundle, Deferred, Gates, Origin
from rackwright.model.errors import Permanent, Rejected
from rackwright.model.report import Report
from rackwright.model.resource import to_data
from tests.tables import table

from .memory import Device, Line, Memory, bundle, declare, thing

CASES = table(Path(__file__).parent / "cases" / "plan.yaml")


def run(
    file: LedgerFile,
    device: Device,
    what: Bundle,
    *,
    provider: Memory | None = None,
    **job: Any,
) -> Report:
    job = {"gates": Gates(), "secrets": {}, "here": "admin1", **job}
    return converge(Job(bundle=what, **job), provider or Memory(), Line(device), file)


def states(report: Report) -> dict[str, str]:
    return {outcome.address: outcome.state for outcome in report.outcomes}


def owned(file: LedgerFile) -> dict[str, str]:
    return {
        address: "made" if entry.made else "adopted"
        for address, entry in file.load().entries.items()
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_case(case: dict[str, Any], tmp_path: Path) -> None:
    device = Device(
        state={
            Address.parse(text): thing(text, **fields)
            for text, fields in case.get("observed", {}).items()
        },
        reject=set(case.get("reject", ())),
        lie=set(case.get("lie", ())),
    )
    file = LedgerFile(tmp_path / "ledger.json")
    entries = {
        text: Entry(
            type=Address.parse(text).type,
            data=to_data(device.state.get(Address.parse(text), thing(text))),
            made=who == "made",
            digest=declare(text, **case.get("seen", {}).get(text, {})).digest,
            needs=tuple(case.get("needs_before", {}).get(text, ())),
            destroy=text in case.get("destroy_before", ()),
        )
        for text, who in case.get("ledger_before", {}).items()
    }
    file.store(Ledger(entries=entries, purged=tuple(case.get("purged", ()))))
    links = [
        {"port": port, "peer": "admin1", "peer_port": "eth0"}
        for port in [case.get("link_to_here")]
        if port
    ]
    what = bundle(
        *(declare(text, **fields) for text, fields in case.get("declared", {}).items()),
        purge=tuple(case.get("purge", ())),
        deferred=tuple(
            Deferred(address=text, fact="dev1:x", origin=Origin(file="f", line=1))
            for text in case.get("deferred", ())
        ),
        links=links,
    )
    provider = Memory()
    provider.carried = [Address.parse(text) for text in case.get("carriers", ())]
    provider.undoes = case.get("undoes", False)
    provider.atomic = case.get("atomic", False)
    gates = Gates(
        verified=case.get("verified", {}),
        held={key: tuple(value) for key, value in case.get("held", {}).items()},
        contradicted=case.get("contradicted", {}),
        later=case.get("later", {}),
        paths={host: tuple(ports) for host, ports in case.get("paths", {}).items()},
        turns={port: tuple(waits) for port, waits in case.get("turns", {}).items()},
        given=case.get("given", {}),
        last_feeds=case.get("last_feeds", {}),
        stale=case.get("stale", False),
    )

    here = case.get("here", "admin1")
    report = run(file, device, what, provider=provider, gates=gates, here=here)

    assert report.error == ""
    assert device.writes == case["then"]
    for address, state in case.get("states", {}).items():
        assert states(report)[address] == state
    for address, why in case.get("why", {}).items():
        assert why in {outcome.address: outcome.why for outcome in report.outcomes}[address]
    for address, waits in case.get("waits_for", {}).items():
        found = {outcome.address: outcome.waits_for for outcome in report.outcomes}[address]
        assert found == tuple(waits)
    if "ledger" in case:
        assert owned(file) == case["ledger"]
    for text, fields in case.get("after", {}).items():
        assert device.state[Address.parse(text)] == thing(text, **fields)
    for entry in file.load().entries.values():
        assert entry.intent == ""


def test_what_went_and_is_not_saved_may_come_back_and_is_ours(tmp_path: Path) -> None:
    device, file = Device(), LedgerFile(tmp_path / "ledger.json")
    run(file, device, bundle(declare("thing/a"), declare("thing/b")))
    before = dict(device.startup)

    class Full(Memory):
        def save(self, session: Line) -> bool:
            raise Rejected("no space left")

    report = run(file, device, bundle(declare("thing/b")), provider=Full())
    assert states(report)["thing/a"] == "removed"
    assert owned(file) == {"thing/a": "made", "thing/b": "made"}
    device.state = dict(before)  # it was off for a moment
    assert states(run(file, device, bundle(declare("thing/b"))))["thing/a"] == "removed"
    assert device.startup.keys() == {Address("thing", "b")}
    assert owned(file) == {"thing/b": "made"}
    # Where it did not come back it is let go of with the next save.
    run(file, device, bundle(), provider=Full())
    assert states(run(file, device, bundle())) == {"thing/b": "released"}
    assert (owned(file), device.startup) == ({}, {})


def test_what_failed_to_be_mended_has_still_drifted(tmp_path: Path) -> None:
    device, file = Device(), LedgerFile(tmp_path / "ledger.json")
    what = bundle(declare("thing/a", size=1))
    run(file, device, what)
    device.state = {Address("thing", "a"): thing("thing/a", size=7)}
    device.reject = {"thing/a"}
    later = Gates(later={"thing/a": "rollout of p: wave 2 of 2 waits for web1 (wave 1)"})
    assert states(run(file, device, what, gates=later)) == {"thing/a": "failed"}
    device.reject = set()
    assert states(run(file, device, what, gates=later)) == {"thing/a": "changed"}
    # A new revision has not been seen here, whatever the last attempt was for.
    new = bundle(declare("thing/a", size=2))
    device.lose_before = len(device.writes)
    run(file, device, new)
    device.lose_before = None
    assert states(run(file, device, new, gates=later)) == {"thing/a": "blocked"}


def test_purge_is_noted_when_nothing_of_it_is_left(tmp_path: Path) -> None:
    theirs = thing("thing/theirs")
    device = Device(state={theirs.address: theirs}, reject={"thing/theirs"})
    file = LedgerFile(tmp_path / "ledger.json")
    run(file, device, bundle(purge=("thing",)))
    assert file.load().purged == ()
    device.reject = set()
    run(file, device, bundle(purge=("thing",)))
    assert file.load().purged == ("thing",)
    run(file, device, bundle())
    assert file.load().purged == ()


def test_second_run_writes_nothing_and_saves_nothing(tmp_path: Path) -> None:
    device, file = Device(), LedgerFile(tmp_path / "ledger.json")
    what = bundle(declare("thing/a", size=1), declare("thing/b"))
    assert run(file, device, what).saved
    body = file.path.stat().st_mtime_ns
    again = run(file, device, what)
    assert (device.saves, len(device.writes), again.saved) == (1, 2, False)
    assert set(states(again).values()) == {"in_sync"}
    assert file.path.stat().st_mtime_ns == body
    assert again.exit_code == 0


def test_why_run_writes_neither_device_nor_ledger(tmp_path: Path) -> None:
    device, file = Device(), LedgerFile(tmp_path / "ledger.json")
    report = run(file, device, bundle(declare("thing/a", size=1)), why_run=True)
    assert states(report) == {"thing/a": "changed"}
    assert report.outcomes[0].commands
    assert (device.writes, device.saves, file.exists()) == ([], 0, False)


@pytest.mark.parametrize("when", ["lose_before", "lose_after"])
@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_lost_session_leaves_the_next_run_right(tmp_path: Path, when: str, step: int) -> None:
    device, file = Device(), LedgerFile(tmp_path / "ledger.json")
    what = bundle(*(declare(f"thing/{name}", size=1) for name in "abc"))
    setattr(device, when, step)
    report = run(file, device, what)
    if step < 3 and not (when == "lose_after" and step == 0):
        assert report.exit_code == 4
    device.lose_before = device.lose_after = None
    assert run(file, device, what).exit_code == 0
    assert owned(file) == dict.fromkeys(("thing/a", "thing/b", "thing/c"), "made")
    assert device.startup == device.state
    # Every one of them is ours to take away.
    run(file, device, bundle())
    assert device.state == {}


def test_save_that_was_cut_short_is_done_by_the_next_run(tmp_path: Path) -> None:
    class Unsaving(Memory):
        def save(self, session: Line) -> bool:
            raise Permanent("NVRAM is full")

    device, file = Device(), LedgerFile(tmp_path / "ledger.json")
    what = bundle(declare("thing/a"))
    report = run(file, device, what, provider=Unsaving())
    assert "NVRAM is full" in report.error
    report = run(file, device, what)
    assert report.saved
    assert report.exit_code == 0
    assert device.saves == 1


def test_notification_survives_a_crash(tmp_path: Path) -> None:
    device, file = Device(), LedgerFile(tmp_path / "ledger.json")
    what = bundle(declare("thing/a", notifies=["thing/svc"]), declare("thing/svc"))
    device.state[Address("thing", "svc")] = thing("thing/svc")
    device.lose_after = 1
    run(file, device, what)
    assert device.notified == []
    device.lose_after = None
    run(file, device, what)
    assert device.notified == ["thing/svc"]
    run(file, device, what)
    assert device.notified == ["thing/svc"]


def test_secrets_are_nowhere_but_on_the_device(tmp_path: Path) -> None:
    device, file = Device(), LedgerFile(tmp_path / "ledger.json")
    seen: list[Ledger] = []
    what = bundle(
        declare("thing/a", key="⟦secret:k⟧", note="user=x password=⟦secret:k⟧"),
        declare("thing/b", key="written in clear by mistake"),
    )
    report = run(file, device, what, secrets={"k": "hunter22"}, mirror=seen.append)
    assert device.state[Address("thing", "a")].note == "user=x password=hunter22"  # type: ignore[attr-defined]
    everything = msgspec.json.encode(report) + file.path.read_bytes() + encode(seen[-1])
    assert b"hunter22" not in everything
    device.state[Address("thing", "a")] = thing("thing/a", key="old", note="password=old-one")
    report = run(file, device, what, secrets={"k": "hunter22"})
    assert b"old-one" not in msgspec.json.encode(report)
    assert states(report)["thing/a"] == "changed"


def test_stop_finishes_the_step_in_hand_and_leaves_the_rest(tmp_path: Path) -> None:
    device, file = Device(), LedgerFile(tmp_path / "ledger.json")
    what = bundle(*(declare(f"thing/{name}") for name in "abc"))
    job = Job(bundle=what, gates=Gates(), secrets={})
    stopping = msgspec_job_with_stop_after(job, 1)
    report = converge(stopping, Memory(), Line(device), file)
    assert len(device.writes) == 1
    assert states(report) == {"thing/a": "changed", "thing/b": "blocked", "thing/c": "blocked"}
    run(file, device, what)
    assert owned(file) == dict.fromkeys(("thing/a", "thing/b", "thing/c"), "made")


def msgspec_job_with_stop_after(job: Job, steps: int) -> Job:
    def progress(sent: int, _of: int, _next: str) -> None:
        if sent == steps:
            job.stop.set()

    return msgspec.structs.replace(job, progress=progress)


def test_damaged_ledger_stops_the_run(tmp_path: Path) -> None:
    file = LedgerFile(tmp_path / "ledger.json")
    file.path.write_text("{not json")
    device = Device()
    report = run(file, device, bundle(declare("thing/a")))
    assert "damaged" in report.error
    assert report.exit_code == 2
    assert device.writes == []


names = st.sampled_from([f"n{i}" for i in range(6)])
fields = st.fixed_dictionaries(
    {},
    optional={"size": st.integers(0, 3), "note": st.sampled_from(["", "x", "y"])},
)
things = st.dictionaries(names, fields, max_size=6)


@settings(max_examples=150, deadline=None)
@given(
    start=things,
    wants=st.lists(things, min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 6), max_size=4),
    data=st.data(),
)
def test_plan_commit_plan_is_empty(
    start: dict[str, Any],
    wants: list[dict[str, Any]],
    cuts: list[int],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Whatever is declared one after another, with sessions lost at any step: it ends as declared,
    what was there before us and was never declared is as it was, and what we made goes."""
    file = LedgerFile(tmp_path_factory.mktemp("p") / "ledger.json")
    device = Device(state={Address("thing", n): thing(f"thing/{n}", **f) for n, f in start.items()})
    before = dict(device.state)
    for number, want in enumerate(wants):
        what = bundle(*(declare(f"thing/{name}", **f) for name, f in want.items()))
        if number < len(cuts):
            device.lose_before = len(device.writes) + cuts[number]
            run(file, device, what)
            device.lose_before = None
        report = run(file, device, what)
        assert report.exit_code == 0
        writes = len(device.writes)
        again = run(file, device, what)
        assert len(device.writes) == writes
        assert set(states(again).values()) <= {"in_sync"}
    touched = {name for want in wants for name in want}
    for address, was in before.items():
        if address.name not in touched:
            assert device.state[address] == was
    run(file, device, bundle())
    assert set(device.state) == set(before)
    assert file.load().entries == {}
    assert decode(encode(file.load())) == file.load()
