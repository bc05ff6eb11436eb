"""One configuration session a run: all or nothing, on trial until a new login confirms it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.address import Address
from rackwright.model.change import Change, Wanted
from rackwright.model.errors import Rejected, Temporary, Unreachable
from rackwright.model.resource import Resource
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.switch.arista_eos import AristaEos
from rackwright_providers.switch.resources import LocalUser, Vlan
from rackwright_sim.eos_device import EosDevice
from rackwright_sim.eos_session import make
from rackwright_sim.faults import Faults
from rackwright_sim.ios_options import ArpEntry
from rackwright_sim.modal_access import ModalSsh
from rackwright_sim.modal_device import ModalOptions

from .line_cases import change

MAKE = [change(None, Vlan(name="10", title="storage")), change(None, Vlan(name="20", title="dmz"))]
WRITES_BEFORE_COMMIT = 5
"""``configure session``, two lines for each VLAN."""


class Bench:
    """A switch whose clock is ours, and the way to it."""

    def __init__(self, state: Path, **options: Any) -> None:
        self.now = 0.0
        ports = ("Ethernet1", "Management1")
        self.device = EosDevice(
            ModalOptions(hostname="sw-a1", ports=ports, **options), clock=lambda: self.now
        )
        self.state = state
        self.provider = AristaEos()
        self.ssh = ModalSsh(self.device, make)

    @property
    def way(self) -> Way:
        login = {"username": "rack", "password": "rack", "enable": self.device.options.enable}
        where = {"host": self.ssh.host, "port": self.ssh.port, "host_key": self.ssh.host_key}
        return Way(transport="ssh", options={**where, **login})

    def open(self, *, writable: bool = True) -> Any:
        return self.provider.open(self.way, Surroundings(state=self.state, writable=writable))

    def commit(self, session: Any, changes: list[Change]) -> None:
        self.provider.commit(session, self.provider.render(changes, {}))

    def read(self, session: Any) -> dict[Address, Resource]:
        wanted = Wanted(frozenset({Vlan}), {})
        return {
            address: seen
            for address, seen in self.provider.read(session, wanted).items()
            if isinstance(seen, Vlan)
        }

    def said(self, kind: str = "config") -> list[str]:
        """Commands, with the random part of a session's name taken out."""
        return [
            " ".join("NAME" if word.startswith("rackwright-") else word for word in text.split())
            for found, text in self.device.log
            if found == kind
        ]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    with made.ssh:
        yield made


def test_what_is_sent(bench: Bench) -> None:
    with closing(bench.open()) as session:
        bench.commit(session, MAKE)
        assert bench.said() == [
            "configure session NAME",
            "vlan 10",
            "name storage",
            "vlan 20",
            "name dmz",
            "configure session NAME commit timer 00:02:00",
            "configure session NAME commit",
        ]
        assert set(bench.read(session)) == {Address("vlan", "10"), Address("vlan", "20")}
    bench.now += 3600
    assert bench.device.running.vlans == {10: "storage", 20: "dmz"}
    assert not bench.device.pending
    assert bench.device.counters.sessions == 2  # ours, and the one that confirmed


def test_of_what_is_refused_nothing_is_done(bench: Bench) -> None:
    bench.device.faults = Faults(reject_only="^vlan 20$")
    with closing(bench.open()) as session:
        with pytest.raises(Rejected, match="'vlan 20'"):
            bench.commit(session, MAKE)
        assert not bench.device.running.vlans
        assert not bench.device.pending
        assert bench.device.trial is None
        bench.device.faults = Faults()
        bench.commit(session, MAKE)
    assert set(bench.device.running.vlans) == {10, 20}


def test_no_new_session_no_change(bench: Bench) -> None:
    with closing(bench.open()) as session:
        bench.device.faults = Faults(refuse=True)
        with pytest.raises(Temporary, match=r"not confirmed by a new session.*it is taken back"):
            bench.commit(session, MAKE)
        assert not bench.device.running.vlans
        assert bench.device.trial is None


def test_a_change_of_our_own_password_is_taken_back(bench: Bench) -> None:
    before = LocalUser(name="rack", password="$6$x$y")
    rotate = change(before, LocalUser(name="rack", password="an0ther"))
    with closing(bench.open()) as session:
        with pytest.raises(Temporary, match=r"not confirmed by a new session.*taken back"):
            bench.commit(session, [rotate])
        assert bench.device.admits("rack", "rack")
        assert not bench.device.admits("rack", "an0ther")


@pytest.mark.parametrize(("lost_before", "on_trial"), [(0, False), (1, True)])
def test_a_session_lost_at_the_commit(bench: Bench, lost_before: int, *, on_trial: bool) -> None:
    """Before the commit on trial, and before its confirmation."""
    with closing(bench.open()) as session:
        bench.device.faults = Faults(drop_before=WRITES_BEFORE_COMMIT + lost_before)
        with pytest.raises(Unreachable):
            bench.commit(session, MAKE)
    assert not bench.device.running.vlans
    # The confirming session was lost: the other took the change back. Else the next one does.
    assert bool(bench.device.pending) != on_trial
    with closing(bench.open()) as session:
        assert not bench.read(session)
        bench.commit(session, MAKE)
    assert not bench.device.pending
    assert set(bench.device.running.vlans) == {10, 20}


def test_when_all_sessions_are_lost_the_switch_takes_it_back_by_itself(bench: Bench) -> None:
    with closing(bench.open()) as session:

        def cut_off() -> Any:
            for hang_up in tuple(bench.device.hangups):
                hang_up()
            raise Unreachable("no route to host")

        session.again = cut_off
        with pytest.raises(Unreachable, match="takes it back within 00:02:00"):
            bench.commit(session, MAKE)
    bench.now += 119
    assert set(bench.device.running.vlans) == {10, 20}
    bench.now += 2
    assert not bench.device.running.vlans


def test_what_a_killed_run_left_is_aborted_and_nobody_elses(bench: Bench) -> None:
    device = bench.device
    for name in ("rackwright-0001", "rackwright-0002", "capi-1", "sess-7"):
        device.enter(name)
        device.pending[name].vlans[999] = name
    device.commit("rackwright-0001", 120.0)
    with closing(bench.open(writable=False)):
        assert device.trial  # who cannot write, aborts nothing
    with closing(bench.open()) as session:
        assert not bench.read(session)
        bench.commit(session, MAKE)
    assert set(device.pending) == {"capi-1", "sess-7"}
    assert set(device.running.vlans) == {10, 20}


def test_too_many_pending_sessions_are_a_matter_of_time(bench: Bench) -> None:
    with closing(bench.open()) as session:
        for number in range(5):
            bench.device.enter(f"capi-{number}")
        with pytest.raises(Temporary, match="Maximum number of pending sessions"):
            bench.commit(session, MAKE)
        bench.device.pending.popitem()
        bench.commit(session, MAKE)


def test_what_is_there_already_is_not_committed_again(bench: Bench) -> None:
    with closing(bench.open()) as session:
        bench.commit(session, MAKE)
        before = len(bench.said())
        bench.commit(session, MAKE)
        assert bench.said()[before:] == [
            "configure session NAME",
            "vlan 10",
            "name storage",
            "vlan 20",
            "name dmz",
            "configure session NAME abort",
        ]
    assert not bench.device.pending


def test_a_liar_is_not_believed(bench: Bench) -> None:
    bench.device.faults = Faults(lie=True)
    with closing(bench.open()) as session:
        with pytest.raises(Temporary):
            bench.commit(session, MAKE)
        assert not bench.read(session)


def test_saved_is_what_comes_up_again(bench: Bench, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    options = replace(bench.device.options)
    first = EosDevice(options, kept)
    with ModalSsh(first, make) as ssh:
        bench.ssh = ssh
        with closing(bench.open()) as session:
            bench.commit(session, MAKE)
            assert bench.provider.save(session)
    again = EosDevice(options, kept)
    assert again.running.text() == first.running.text()
    assert set(again.running.vlans) == {10, 20}
    assert again.admits("rack", "rack")


def test_enabling_with_a_secret_to_read_and_to_write(tmp_path: Path) -> None:
    bench = Bench(tmp_path, enable="s3cret-enable")
    with bench.ssh:
        for writable in (False, True):
            with closing(bench.open(writable=writable)) as session:
                assert bench.read(session) == {}


def test_carriers_are_our_account_and_where_we_come_from(tmp_path: Path) -> None:
    arp = (ArpEntry("127.0.0.1", "0011.2233.4455", "Vlan10, Ethernet1"),)
    bench = Bench(tmp_path, arp=arp)
    with bench.ssh, closing(bench.open(writable=False)) as session:
        assert set(bench.provider.carriers(session, {})) == {
            Address("local_user", "rack"),
            Address("vlan", "10"),
            Address("port", "Ethernet1"),
        }
