"""What every platform must do, over each of its ways, on each of its rigs.

A platform takes part by ``cases/PLATFORM.yaml`` and ``rigs/PLATFORM.py``; see `rig`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from rackwright.model.address import Address
from rackwright.model.change import Wanted
from rackwright.model.resource import Resource
from rackwright.provider import Registry
from rackwright_providers.switch import vlanset

from .converging import Delegate, states, told
from .platforms import cases, over, rigs
from .rig import Case, RealRig, Rig, fields

CASES = cases()
DONE = {"in_sync", "changed", "removed", "released"}
EVERY = [
    pytest.param((platform, kind, transport), id=f"{platform}-{kind}-{transport}")
    for platform in CASES
    for kind in rigs(platform)
    for transport in over(platform, kind, Registry.installed().provider(platform).transports)
]
LOSSES = (0, 1, 3)
"""Writes after which the session is lost, each in its turn: nothing is done yet, something is begun,
something is done."""


class Bench:
    """One device under test."""

    def __init__(self, case: Case, rig: RealRig, transport: str, state: Path) -> None:
        self.case, self.rig = case, rig
        self.delegate = Delegate(case, rig, transport, state)

    @property
    def sim(self) -> Rig:
        """The rig, which must be one that can be told what to do."""
        if not hasattr(self.rig, "lose"):
            pytest.skip("real software cannot be told to refuse or to hang up")
        return cast(Rig, self.rig)

    def writes(self) -> int:
        return self.rig.writes() if hasattr(self.rig, "writes") else 0

    def read(self) -> dict[Address, Resource]:
        """All that the provider sees."""
        wanted = Wanted(frozenset(self.delegate.provider.resources), {})
        with closing(self.delegate.session(writable=False)) as session:
            return dict(self.delegate.provider.read(session, wanted))

    def ours(self) -> set[str]:
        """Canonical addresses of all that the case declares, anywhere."""
        kinds = {kind.kind: kind for kind in self.delegate.provider.resources}
        found = set()
        for noun, given in fields([*self.case.declare, *self.case.then]):
            plain = {
                key: self.rig.secrets[value["secret"]] if isinstance(value, dict) else value
                for key, value in given.items()
                if key != "destroy"
            }
            resource = self.delegate.provider.canonical(msgspec.convert(plain, kinds[noun]))
            found.add(str(resource.address))
        return found

    def rest(self) -> dict[str, Any]:
        """What the device holds beside that."""
        ours = self.ours()
        return {key: value for key, value in self.rig.state().items() if key not in ours}


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    platform, kind, transport = request.param
    with rigs(platform)[kind](tmp_path / "device") as rig:
        if transport not in rig.ways:
            pytest.skip(f"this rig is not reached over {transport}")
        yield Bench(CASES[platform], rig, transport, tmp_path / "state")


every = pytest.mark.parametrize("bench", EVERY, indirect=True)


def test_every_platform_takes_part() -> None:
    assert {*CASES, "auto", "linux"} == set(Registry.installed().platforms)


@every
def test_what_must_not_write_writes_nothing(bench: Bench) -> None:
    before, writes = bench.rig.state(), bench.writes()
    assert bench.read() == bench.read()
    _dry_run(bench)
    for impossible in bench.case.impossible:
        report = bench.delegate.run([impossible.declare])
        (outcome,) = report.outcomes
        assert outcome.state in ("failed", "refused"), (impossible, outcome)
        assert impossible.why in outcome.why
        assert (bench.rig.state(), bench.writes()) == (before, writes)
    assert (bench.rig.state(), bench.writes()) == (before, writes)


def _dry_run(bench: Bench) -> None:
    before, writes = bench.rig.state(), bench.writes()
    report = bench.delegate.run(bench.case.declare, why_run=True)
    assert {outcome.action for outcome in report.outcomes} <= {"create", "update"}
    assert all(outcome.commands for outcome in report.outcomes), told(report)
    assert (bench.rig.state(), bench.writes()) == (before, writes)
    assert not bench.delegate.ledger.exists()
    with closing(bench.delegate.session(writable=False)) as session:
        for name in ("set", "configure", "execute", "write", "save", "post", "patch", "delete"):
            assert not hasattr(session, name), name


@every
def test_converges_and_then_does_nothing(bench: Bench) -> None:
    before = bench.rest()
    first = bench.delegate.run(bench.case.declare)
    assert set(states(first).values()) == {"changed"}, told(first) or states(first)
    assert bench.rest() == before
    held, writes = bench.rig.state(), bench.writes()
    second = bench.delegate.run(bench.case.declare)
    assert set(states(second).values()) == {"in_sync"}, told(second) or states(second)
    assert bench.read() == bench.read()
    assert (bench.rig.state(), bench.writes()) == (held, writes)


@every
def test_what_is_declared_next_replaces_it_and_the_rest_survives(bench: Bench) -> None:
    before = bench.rest()
    assert bench.delegate.run(bench.case.declare).exit_code == 0
    for wanted in (bench.case.then, bench.case.declare, bench.case.then):
        report = bench.delegate.run(wanted)
        assert set(states(report).values()) <= DONE, told(report)
        assert "changed" in states(report).values()
        again = bench.delegate.run(wanted)
        assert set(states(again).values()) == {"in_sync"}, told(again) or states(again)
    assert bench.rest() == before


@every
def test_what_we_made_goes_and_nothing_else_does(bench: Bench) -> None:
    before = bench.rig.state()
    kinds = {kind.kind: kind for kind in bench.delegate.provider.resources}
    assert bench.delegate.run(bench.case.declare).exit_code == 0
    # Fixtures stay as they are; what holds data goes only when it is said.
    fixtures = [item for item in bench.case.declare if kinds[next(iter(item))].fixture]
    others = [item for item in bench.case.declare if not kinds[next(iter(item))].fixture]
    # A secret is kept: it may be all by which the device knows the thing (an SNMP community).
    gone = [
        {
            **dict([next(iter(item.items()))]),
            **{key: value for key, value in item.items() if isinstance(value, dict)},
            "ensure": "absent",
            "destroy": True,
        }
        for item in others
    ]
    kept = [item for item in bench.case.then if kinds[next(iter(item))].fixture] or fixtures
    report = bench.delegate.persist([*kept, *gone])
    assert set(states(report).values()) <= DONE, told(report)
    after = bench.rig.state()
    made = {key for key in bench.ours() if not kinds[key.partition("/")[0]].fixture}
    assert not made & {key for key in after if key not in before}
    assert bench.rest() == {key: value for key, value in before.items() if key not in bench.ours()}


@every
def test_a_refused_resource_fails_and_only_that(bench: Bench) -> None:
    rig = bench.sim
    for address in bench.case.reject:
        rig.reject(address)
        report = bench.delegate.persist(bench.case.declare)
        found = states(report)
        said = {outcome.address: outcome for outcome in report.outcomes}
        failing = {key for key, state in found.items() if state not in DONE}
        names = {_canonical(bench, key): key for key in found}
        assert names.get(address, address) in failing, (address, found)
        for key in failing - {names.get(address, address)}:
            assert address in said[key].why or said[key].state == "blocked", told(report)
        assert said[names.get(address, address)].why
        rig.reject("")
        mended = bench.delegate.persist(bench.case.declare)
        assert set(states(mended).values()) <= DONE, told(mended)
        back = bench.delegate.persist(bench.case.then)
        assert set(states(back).values()) <= DONE, told(back)


@every
@pytest.mark.parametrize("after", LOSSES)
def test_a_session_lost_in_the_middle_leaves_the_next_run_right(bench: Bench, after: int) -> None:
    rig = bench.sim
    before = bench.rest()
    rig.lose(after)
    lost = bench.delegate.run(bench.case.declare)
    assert lost.exit_code in (0, 4), told(lost)
    report = bench.delegate.persist(bench.case.declare)
    assert set(states(report).values()) <= {"changed", "in_sync"}, told(report)
    assert bench.rest() == before
    # What was made before the loss is ours still, and goes when it is not declared any more.
    last = bench.delegate.persist(bench.case.then)
    assert set(states(last).values()) <= DONE, told(last)
    assert bench.rest() == before


@every
def test_the_ends_of_every_range(bench: Bench) -> None:
    for declared in bench.case.ends:
        report = bench.delegate.persist(declared)
        assert set(states(report).values()) <= DONE, (declared, told(report))
        again = bench.delegate.run(declared)
        assert set(states(again).values()) == {"in_sync"}, (declared, told(again))


@every
def test_long_names_and_unicode_are_held_or_refused(bench: Bench) -> None:
    before = bench.rest()
    for item in bench.case.names:
        report = bench.delegate.persist([item])
        assert not report.error, (item, told(report))
        # The one before is no longer declared and may be removed in the same run.
        address = "/".join(map(str, next(iter(item.items()))))
        (found,) = [outcome for outcome in report.outcomes if outcome.address == address]
        state, why = found.state, found.why
        assert state in DONE or why, (item, state)
        if state in DONE:
            again = bench.delegate.run([item])
            assert set(states(again).values()) == {"in_sync"}, (item, told(again))
    named = {
        _canonical(bench, "/".join(map(str, next(iter(item.items()))))) for item in bench.case.names
    }
    rest = {key: value for key, value in bench.rest().items() if key not in named}
    assert rest == {key: value for key, value in before.items() if key not in named}


@every
def test_no_secret_is_shown(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    seen = []
    for wanted in (bench.case.declare, bench.case.then):
        seen.append(msgspec.json.encode(bench.delegate.run(wanted, why_run=True)).decode())
        seen.append(msgspec.json.encode(bench.delegate.run(wanted)).decode())
    if hasattr(bench.rig, "reject"):
        for address in bench.case.reject:
            bench.sim.reject(address)
            seen.append(msgspec.json.encode(bench.delegate.persist(bench.case.declare)).decode())
            bench.sim.reject("")
    seen.append((bench.delegate.state / "ledger.json").read_text())
    seen.append(caplog.text)
    for name, secret in bench.rig.secrets.items():
        assert not any(secret in text for text in seen), name


@every
def test_all_vlans(bench: Bench) -> None:
    if not bench.case.vlans:
        pytest.skip("there are no VLANs here")
    wanted = [{"vlan": str(number)} for number in sorted(vlanset.parse(bench.case.vlans))]
    before = bench.rest()
    report = bench.delegate.persist(wanted)
    assert set(states(report).values()) <= DONE, told(report)[:2000]
    again = bench.delegate.run(wanted)
    assert set(states(again).values()) == {"in_sync"}, told(again)[:2000]
    gone = bench.delegate.persist([])
    assert set(states(gone).values()) <= DONE, told(gone)[:2000]
    assert bench.rest() == before


def _canonical(bench: Bench, address: str) -> str:
    """The address in the platform's spelling, as far as it can be told from the name alone."""
    noun, _, name = address.partition("/")
    kinds = {kind.kind: kind for kind in bench.delegate.provider.resources}
    try:
        resource = kinds[noun](name=name, ensure="absent")
        return str(bench.delegate.provider.canonical(resource).address)
    except Exception:  # noqa: BLE001  a fixture cannot be absent: then without
        try:
            return str(bench.delegate.provider.canonical(kinds[noun](name=name)).address)
        except Exception:  # noqa: BLE001
            return address
