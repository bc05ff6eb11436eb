"""What cuts our own path, through the engine: on trial, confirmed by a new login, or taken back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from rackwright.engine.converge import Job, converge
from rackwright.engine.ledger import LedgerFile
from rackwright.model.bundle import Bundle, Declared, Gates, Origin
from rackwright.model.change import Change
from rackwright.model.errors import RackwrightError, Temporary
from rackwright.model.report import Report
from rackwright.model.resource import digest
from rackwright.model.site import Node, Way
from rackwright.provider import Registry, Surroundings
from rackwright_providers.switch import ios_trial
from rackwright_providers.switch.resources import Port
from rackwright_sim.eos_device import EosDevice
from rackwright_sim.eos_session import load as eos_load
from rackwright_sim.eos_session import make
from rackwright_sim.faults import Faults
from rackwright_sim.ios_device import IosDevice
from rackwright_sim.ios_options import ArpEntry, IosOptions, MacEntry
from rackwright_sim.ios_session import load
from rackwright_sim.ios_ssh import IosSsh
from rackwright_sim.modal_access import ModalSsh
from rackwright_sim.modal_device import ModalOptions

HERE = "0011.2233.4455"
"""The MAC address of the host that the delegate runs on."""
ARCHIVE = "archive\n path flash:archive\n exit\n"
GI1, GI2 = "GigabitEthernet1/0/1", "GigabitEthernet1/0/2"
IN_VLAN_10 = """\
vlan 10
 exit
vlan 20
 exit
interface {port}
 switchport mode access
 switchport access vlan 10
 exit
"""
REVERTS = 60 * ios_trial.MINUTES
START = f"configure terminal revert timer {ios_trial.MINUTES}"


class Rack:
    """A switch whose clock is ours, and its delegate."""

    def __init__(self, state: Path, platform: str, device: Any, ssh: Any) -> None:
        self.now = 0.0
        device._clock = lambda: self.now
        self.device, self.ssh, self.state = device, ssh, state
        self.provider = Registry.installed().provider(platform)
        self.platform = platform
        self.password = "rack"

    def open(self, *, writable: bool = True) -> Any:
        options = {"host": self.ssh.host, "port": self.ssh.port, "host_key": self.ssh.host_key}
        login = {"username": "rack", "password": self.password}
        way = Way(transport="ssh", options={**options, **login})
        return self.provider.open(way, Surroundings(state=self.state, writable=writable))

    def run(self, *resources: tuple[str, dict[str, Any]], faults: Faults | None = None) -> Report:
        """One converge of what is declared; ``faults`` begin when its session is open."""
        declared = tuple(
            Declared(
                type=kind, data=data, digest=digest(kind, data), origin=Origin(file="f", line=1)
            )
            for kind, data in resources
        )
        node = Node(name="sw-a1", type="switch", platform=self.platform)
        job = Job(
            bundle=Bundle(node=node, revision="r1", resources=declared),
            gates=Gates(),
            secrets={},
            here="admin1",
        )
        with closing(self.open()) as session:
            self.device.log.clear()
            self.device.faults = faults or Faults()
            return converge(job, self.provider, session, LedgerFile(self.state / "ledger.json"))

    @property
    def sent(self) -> list[str]:
        """What was sent that writes."""
        return [text for kind, text in self.device.log if kind in ("config", "save")]


def ios(state: Path, more: str = ARCHIVE) -> tuple[IosDevice, IosSsh]:
    arp = (ArpEntry("127.0.0.1", HERE, "Vlan10"),)
    device = IosDevice(
        IosOptions(hostname="sw-a1", ports=4, arp=arp, macs=(MacEntry(10, HERE, GI1),)),
        state / "kept.json",
    )
    load(device, device.running, more + IN_VLAN_10.format(port=GI1))
    device.save()
    return device, IosSsh(device)


def eos(state: Path) -> tuple[EosDevice, ModalSsh]:
    arp = (ArpEntry("127.0.0.1", HERE, "Vlan10, Ethernet1"),)
    ports = ("Ethernet1", "Ethernet2")
    device = EosDevice(ModalOptions(hostname="sw-a1", ports=ports, arp=arp), state / "kept.json")
    eos_load(device, device.running, IN_VLAN_10.format(port="Ethernet1"))
    device.save()
    return device, ModalSsh(device, make)


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[Rack]:
    device, ssh = ios(tmp_path)
    with ssh:
        yield Rack(tmp_path, "cisco_ios", device, ssh)


@pytest.fixture(params=["cisco_ios", "arista_eos"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rack]:
    device, ssh = ios(tmp_path) if request.param == "cisco_ios" else eos(tmp_path)
    with ssh:
        yield Rack(tmp_path, request.param, device, ssh)


def our_port(rack: Rack, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "port", {"name": GI1 if rack.platform == "cisco_ios" else "Ethernet1", **fields}


def outcome(report: Report) -> tuple[str, str]:
    (found,) = report.outcomes
    return found.state, found.why


def test_what_leaves_the_path_whole_is_confirmed_and_then_saved(either: Rack) -> None:
    report = either.run(our_port(either, mode="trunk", allowed_vlans="10,20"))
    assert outcome(report) == ("changed", "")
    assert report.saved
    assert either.sent[-1] == "write memory"
    assert either.device.trial is None
    either.now += 3600
    assert "allowed vlan 10,20" in either.device.running.text()
    assert either.device.startup == either.device.running.text()


def test_without_a_new_login_it_is_taken_back_at_once(either: Rack) -> None:
    before = either.device.running.text()
    what = our_port(either, mode="trunk", allowed_vlans="10,20")
    report = either.run(what, faults=Faults(refuse=True))
    state, why = outcome(report)
    assert state == "failed"
    assert "not confirmed by a new session" in why
    assert "it is taken back" in why
    assert either.device.trial is None
    assert either.device.running.text() == before == either.device.startup
    assert not report.saved


def test_what_is_sent_on_trial(rack: Rack) -> None:
    rack.run(our_port(rack, mode="trunk", allowed_vlans="10,20"))
    first = rack.sent.index(START)
    assert rack.sent[first + 1] == "configure terminal"
    assert rack.sent[-2:] == ["configure confirm", "write memory"]


def test_a_cut_path_comes_back_by_itself(rack: Rack) -> None:
    before = rack.device.running.text()
    report = rack.run(our_port(rack, access_vlan=20))
    state, why = outcome(report)
    assert (state, report.kind, report.saved) == ("failed", "unreachable", False)
    assert f"IOS takes the change back within {ios_trial.MINUTES} min" in why
    rack.now += REVERTS - 1
    assert rack.device.running.text() != before
    with pytest.raises(Temporary):
        rack.open()
    rack.now += 2
    with closing(rack.open()) as session:
        assert session.alive()
    assert rack.device.running.text() == before == rack.device.startup


@pytest.mark.parametrize("lost_at", [0, 1])
def test_a_session_lost_on_the_way(rack: Rack, lost_at: int) -> None:
    before = rack.device.running.text()
    report = rack.run(our_port(rack, mode="trunk", allowed_vlans="10"), faults=Faults(drop_before=lost_at))  # fmt: skip
    assert outcome(report)[0] == "failed"
    assert rack.device.trial
    with closing(rack.open()):  # the next session does not wait for the timer
        assert rack.device.running.text() == before
        assert rack.device.trial is None


def test_what_a_killed_run_left_is_not_read_as_fact(rack: Rack) -> None:
    before = rack.device.running.text()
    with closing(rack.open()) as killed:
        killed.execute(START)
        killed.configure([f"interface {GI1}", "description trial"])
        assert rack.device.running.text() != before
        with pytest.raises(Temporary, match="by rack waits for `configure confirm`"):
            rack.open(writable=False)
        with closing(rack.open()):
            assert rack.device.running.text() == before


@pytest.mark.parametrize(("user", "minutes"), [("other", ios_trial.MINUTES), ("rack", 10)])
def test_somebody_elses_trial_is_waited_for(rack: Rack, user: str, minutes: int) -> None:
    rack.device.begin_trial(user, minutes)
    with pytest.raises(Temporary, match=f"by {user} waits"):
        rack.open()
    assert rack.device.trial
    rack.now += 60 * minutes
    with closing(rack.open()):
        assert rack.device.trial is None


@pytest.mark.parametrize("more", ["", "archive\n path tftp://10.0.0.9/sw-a1\n exit\n"])
def test_without_an_archive_of_its_own_it_is_refused(tmp_path: Path, more: str) -> None:
    device, ssh = ios(tmp_path, more)
    with ssh:
        rack = Rack(tmp_path, "cisco_ios", device, ssh)
        state, why = outcome(rack.run(our_port(rack, access_vlan=20)))
    assert state == "refused"
    assert "configure `archive` / `path flash:…`" in why
    assert rack.sent == []


def test_a_vlan_is_not_tried(rack: Rack) -> None:
    state, _ = outcome(rack.run(("vlan", {"name": "10", "ensure": "absent"})))
    assert state == "refused"
    assert rack.sent == []


def test_a_port_that_carries_the_vlan_goes_with_its_own_reason(rack: Rack) -> None:
    """Of a VLAN that nothing uses but our path: it is not in what IOS rolls back."""
    rack.device.running.ports[GI1].mode = "trunk"
    rack.device.running.ports[GI1].access = 1
    state, why = outcome(rack.run(("vlan", {"name": "10", "ensure": "absent"})))
    assert (state, "IOS does not take back what becomes of a VLAN" in why) == ("refused", True)


def test_a_console_has_no_second_session() -> None:
    class Console:
        via = "serial /dev/ttyUSB0"

    change = Change("update", Port(name=GI1).address, Port(name=GI1), Port(name=GI1, admin="down"))
    assert "one session only" in ios_trial.irrevocable(Console(), [change])[change.address]  # type: ignore[arg-type]


def test_what_is_not_our_path_goes_as_ever(rack: Rack) -> None:
    report = rack.run(("port", {"name": GI2, "mode": "access", "access_vlan": 20}))
    assert outcome(report)[0] == "changed"
    assert START not in rack.sent
    assert "configure confirm" not in rack.sent


def test_a_refused_line_takes_all_of_it_back(rack: Rack) -> None:
    before = rack.device.running.text()
    refusal = Faults(reject_only="allowed vlan")
    report = rack.run(our_port(rack, mode="trunk", allowed_vlans="10,20"), faults=refusal)
    assert outcome(report)[0] == "failed"
    assert "rejects" in outcome(report)[1]
    assert rack.device.running.text() == before
    assert rack.device.trial is None


def test_our_own_account_is_tried_too(rack: Rack) -> None:
    rotate = ("local_user", {"name": "rack", "password": "an0ther"})
    state, why = outcome(rack.run(rotate))
    assert (state, "it is taken back" in why) == ("failed", True)
    assert rack.device.admits("rack", "rack")


def test_an_unarmed_timer_stops_all_of_it(rack: Rack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that takes the command and arms nothing is sent nothing."""
    monkeypatch.setattr(rack.device, "begin_trial", lambda user, minutes: None)
    before = rack.device.running.text()
    report = rack.run(our_port(rack, access_vlan=20))
    assert (outcome(report)[0], report.kind) == ("failed", "unreachable")
    assert rack.device.running.text() == before
    with suppress(RackwrightError), closing(rack.open()):
        assert rack.device.trial is None
