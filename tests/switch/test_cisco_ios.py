"""The platform as a whole, against the simulated switch: over SSH, and on its serial console."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.address import Address
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import Permanent, Rejected, Temporary, Unreachable
from rackwright.model.report import FieldChange
from rackwright.model.resource import Resource, declared_fields
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.switch.cisco_ios import DIALECT, CiscoIos
from rackwright_providers.switch.resources import (
    Lag,
    LocalUser,
    NtpServer,
    Port,
    SnmpCommunity,
    Vlan,
)
from rackwright_providers.transport import cli_screen
from rackwright_providers.transport.cli import CliReader, CliSession
from rackwright_providers.transport.cli_screen import Screen
from rackwright_sim.faults import Faults
from rackwright_sim.ios_device import IosDevice
from rackwright_sim.ios_options import IosOptions, LldpNeighbour, MacEntry
from rackwright_sim.ios_serial import IosSerial
from rackwright_sim.ios_ssh import IosSsh
from tests.transport.scripted import Ios, ScriptedStream

OPTIONS = IosOptions(
    hostname="sw-a1",
    enable="sesame",
    ports=8,
    lldp=(
        LldpNeighbour(
            "GigabitEthernet1/0/1", "5254.0000.0001", "5254.0000.0011", "eth0", system_name="web1"
        ),
    ),
    macs=(MacEntry(10, "5254.0000.0002", "GigabitEthernet1/0/2"),),
)
IOS = CiscoIos()
VLANS = Wanted(frozenset({Vlan}), {})
PORTS = Wanted(frozenset({Port}), {})
BOTH = Wanted(frozenset({Vlan, Port}), {})
GI1 = Address("port", "GigabitEthernet1/0/1")


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever, daemon=True)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join()
    made.close()


class Switch:
    """A simulated switch, and ways to it."""

    def __init__(self, device: IosDevice, way: Way, state: Path) -> None:
        self.device = device
        self.way = way
        self.state = state

    def open(self, *, writable: bool = True) -> Any:
        return IOS.open(self.way, Surroundings(self.state, writable=writable))

    def asked(self) -> list[str]:
        """Command lines since the last call."""
        lines = [line for _, line in self.device.log]
        self.device.log.clear()
        return lines


@pytest.fixture(params=["ssh", "serial"])
def switch(
    request: pytest.FixtureRequest, loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> Iterator[Switch]:
    device = IosDevice(OPTIONS)
    options: dict[str, Any] = {"username": "rack", "password": "rack", "enable": "sesame"}

    def run(work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(10)

    server: IosSsh | IosSerial
    if request.param == "ssh":
        server = IosSsh(device)
        run(server.start())
        options |= {"host": "127.0.0.1", "port": server.port, "host_key": server.host_key}
    else:
        server = IosSerial(device, tmp_path / "console")
        run(server.start())
        options |= {"port": str(tmp_path / "console")}
    yield Switch(device, Way(transport=request.param, options=options), tmp_path)
    run(server.stop())


only_ssh = pytest.mark.parametrize("switch", ["ssh"], indirect=True)


def to(after: Resource, observed: Any) -> Change:
    before = observed.get(after.address)
    fields = tuple(
        FieldChange(field=name)
        for name, value in declared_fields(after).items()
        if value != getattr(before, name, None)
    )
    return Change("update" if before else "create", after.address, before, after, fields)


DECLARED: list[Resource] = [
    Vlan(name="10", title="storage"),
    Vlan(name="20"),
    Vlan(name="2000", title="extended"),
    Port(name="Gi1/0/1", mode="access", access_vlan=10, description="web1 eth0, what?"),
    Port(name="Gi1/0/2", mode="trunk", native_vlan=20, allowed_vlans=[10, "20-29"], mtu=9000),  # type: ignore[arg-type]
    Port(name="Gi1/0/3", admin="down"),
]


def differing(declared: list[Resource], observed: Any) -> list[Change]:
    changes = [to(IOS.canonical(item), observed) for item in declared]
    return [change for change in changes if change.fields or change.action == "create"]


def test_what_was_committed_is_what_is_read(switch: Switch) -> None:
    session = switch.open()
    wanted = Wanted(BOTH.types, {item.address: item for item in DECLARED})
    observed = IOS.read(session, wanted)
    changes = differing(DECLARED, observed)
    assert len(changes) == len(DECLARED)
    for step in IOS.render(changes, observed):
        IOS.commit(session, [step])
    observed = IOS.read(session, wanted)
    assert differing(DECLARED, observed) == []
    assert switch.device.unsaved()
    assert IOS.save(session)
    assert not switch.device.unsaved()
    gone = [Change("remove", vlan, observed[vlan]) for vlan in (Address("vlan", "2000"),)]
    IOS.commit(session, IOS.render(gone, observed))
    assert Address("vlan", "2000") not in IOS.read(session, wanted)
    session.close()


def test_a_second_look_sends_one_command_and_none_that_writes(switch: Switch) -> None:
    session = switch.open()
    IOS.read(session, VLANS)
    switch.asked()
    for _ in range(3):
        assert session.alive()
        IOS.read(session, VLANS)
    assert switch.asked() == ["show vlan brief"] * 3
    IOS.read(session, PORTS)
    assert switch.asked() == ["show running-config | section ^interface"]
    IOS.read(session, BOTH)
    assert len(switch.asked()) == 2
    assert switch.device.counters.writes == 0
    session.close()


def test_a_dry_runs_session_writes_nothing(switch: Switch) -> None:
    session = switch.open(writable=False)
    assert type(session) is CliReader
    IOS.read(session, BOTH)
    IOS.discover(session)
    session.close()
    assert switch.device.counters.writes == 0
    assert switch.device.counters.config_lines == 0


def test_reserved_vlans_are_not_read(switch: Switch) -> None:
    session = switch.open()
    found = IOS.read(session, BOTH)
    assert [address for address in found if address.type == "vlan"] == []
    session.close()


def test_ports_in_use_come_with_the_vlans(switch: Switch) -> None:
    session = switch.open()
    session.configure(["vlan 10", "interface Gi1/0/1", " switchport access vlan 10"])
    observed = IOS.read(session, VLANS)
    gone = [Change("remove", Address("vlan", "10"), observed[Address("vlan", "10")])]
    assert Address("vlan", "10") in IOS.refuse(gone, observed)
    session.close()


def test_an_mtu_is_asked_for_only_when_it_is_declared(switch: Switch) -> None:
    session = switch.open()
    assert IOS.read(session, PORTS)[GI1].mtu is None  # type: ignore[attr-defined]
    declared = Port(name=GI1.name, mtu=1500)
    observed = IOS.read(session, Wanted(PORTS.types, {GI1: declared}))
    assert observed[GI1].mtu == 1500  # type: ignore[attr-defined]
    session.close()


def test_discovery(switch: Switch) -> None:
    session = switch.open()
    session.configure(["vlan 10", " name storage"])
    facts = IOS.discover(session)
    assert facts.values["hostname"] == "sw-a1"
    assert facts.values["vlans"] == {"10": {"title": "storage"}}
    assert set(facts.values) >= {"version", "model", "serial", "ports", "mac_table"}
    assert len(facts.values["ports"]) == 8
    assert [(link.port, link.peer, link.peer_port, link.how) for link in facts.links] == [
        ("GigabitEthernet1/0/1", "web1", "eth0", "lldp"),
        ("GigabitEthernet1/0/2", "52:54:00:00:00:02", "", "mac"),
    ]
    assert IOS.discover(session) == facts
    session.close()


def test_our_account_carries_us_and_a_port_where_the_switch_tells(switch: Switch) -> None:
    session = switch.open()
    assert list(IOS.carriers(session, {})) == [Address("local_user", "rack")]
    session.close()


def test_an_account_that_was_made_can_log_in_and_its_hash_fits(switch: Switch) -> None:
    session = switch.open()
    user = LocalUser(name="ops", password="what? a secret", privilege=15)
    wanted = Wanted(frozenset({LocalUser}), {user.address: user})
    IOS.commit(session, IOS.render(differing([user], IOS.read(session, wanted)), {}))
    assert IOS.read(session, wanted)[user.address] == user
    assert switch.device.admits("ops", "what? a secret")
    assert "what? a secret" not in switch.device.running.text()
    other = LocalUser(name="ops", password="another")
    seen = IOS.read(session, Wanted(wanted.types, {other.address: other}))
    assert [change.field_names for change in differing([other], seen)] == [{"password"}]
    gone = [Change("remove", user.address, seen[user.address])]
    IOS.commit(session, IOS.render(gone, seen))
    assert user.address not in IOS.read(session, wanted)
    session.close()


@only_ssh
def test_a_switch_that_knows_no_algorithms_gets_a_plain_secret(switch: Switch) -> None:
    switch.device.faults = Faults(reject_only="algorithm-type")
    session = switch.open()
    user = LocalUser(name="ops", password="s3cret", privilege=15)
    IOS.commit(session, IOS.render([to(user, {})], {}))
    assert switch.device.admits("ops", "s3cret")
    session.close()


@only_ssh
@pytest.mark.parametrize(
    "faults", [Faults(reject_only="^username"), Faults(drop_before=0)], ids=["refused", "lost"]
)
def test_what_goes_wrong_with_a_secret_does_not_tell_it(switch: Switch, faults: Faults) -> None:
    session = switch.open()
    switch.device.faults = faults
    user = LocalUser(name="ops", password='it\'s a \\ "s3cret"')
    with pytest.raises((Rejected, Unreachable), match="local_user/ops") as caught:
        IOS.commit(session, IOS.render([to(user, {})], {}))
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in str(getattr(caught.value, "output", ""))


@only_ssh
def test_one_command_serves_all_but_the_vlans(switch: Switch) -> None:
    session = switch.open()
    switch.asked()
    IOS.read(session, Wanted(IOS.resources, {}))
    assert switch.asked() == [
        "show vlan brief",
        "show running-config | section ^interface|^hostname|^ntp server|^logging"
        "|^snmp-server community|^username",
    ]
    session.close()


def lag_of(switch: Switch, lag: Lag, *ports: Port, session: Any) -> None:
    """Converge a LAG and ports, as the engine would."""
    items: list[Resource] = [lag, *ports]
    wanted = Wanted(frozenset({Lag, Port}), {item.address: item for item in items})
    observed = IOS.read(session, wanted)
    IOS.commit(session, IOS.render(differing(items, observed), observed))
    assert differing(items, IOS.read(session, wanted)) == []


@only_ssh
def test_members_agree_with_their_lag_and_leave_it_clean(switch: Switch) -> None:
    device, session = switch.device, switch.open()
    names = [f"GigabitEthernet1/0/{number}" for number in (1, 2, 3)]
    session.configure(
        ["interface Gi1/0/2", " switchport access vlan 7", "interface Gi1/0/3", " shutdown"]
    )
    lag = Lag(name="10", members=tuple(names[:2]), mode="trunk", allowed_vlans="10,20")
    lag_of(switch, lag, session=session)
    ports = device.running.ports
    for field in ("mode", "allowed", "access", "native"):
        assert {getattr(ports[name], field) for name in names[:2]} == {
            getattr(ports["Port-channel10"], field)
        }, field
    # One joins, one leaves, and another protocol is spoken by all that stay.
    lag = Lag(name="10", members=(names[0], names[2]), lacp="off", allowed_vlans="20,30")
    lag_of(switch, lag, session=session)
    assert [ports[name].channel_mode for name in names] == ["on", "", "on"]
    assert [ports[name].mode for name in names] == ["trunk", "dynamic auto", "trunk"]
    assert [ports[name].allowed for name in (names[0], names[2])] == [{20, 30}] * 2
    assert [ports[name].shutdown for name in names] == [False, False, True]
    # It goes; what the site says of a port stays with it.
    declared = Port(name=names[0], mode="trunk")
    wanted = Wanted(frozenset({Lag, Port}), {declared.address: declared})
    observed = IOS.read(session, wanted)
    gone = Change("remove", lag.address, observed[lag.address])
    IOS.commit(session, IOS.render([gone], observed))
    assert lag.address not in IOS.read(session, wanted)
    assert [ports[name].channel for name in names] == [0, 0, 0]
    assert [ports[name].mode for name in names] == ["trunk", "dynamic auto", "dynamic auto"]
    assert {len(ports[name].allowed) for name in names} == {4094}
    assert [ports[name].shutdown for name in names] == [False, False, True]
    session.close()


@only_ssh
@pytest.mark.parametrize("first", ["10", "20"])
def test_a_port_goes_from_one_lag_to_another(switch: Switch, first: str) -> None:
    session = switch.open()
    members = {"10": ("GigabitEthernet1/0/1", "GigabitEthernet1/0/2"), "20": ()}
    for name, ports in members.items():
        lag_of(switch, Lag(name=name, members=ports, mode="trunk"), session=session)
    after = {"10": ("GigabitEthernet1/0/1",), "20": ("GigabitEthernet1/0/2",)}
    items: list[Resource] = [
        Lag(name=name, members=after[name]) for name in sorted(after, key=lambda n: n != first)
    ]
    wanted = Wanted(frozenset({Lag}), {item.address: item for item in items})
    observed = IOS.read(session, wanted)
    IOS.commit(session, IOS.render(differing(items, observed), observed))
    assert differing(items, IOS.read(session, wanted)) == []
    assert not switch.device.running.ports["GigabitEthernet1/0/2"].shutdown
    session.close()


@only_ssh
def test_options_of_others_on_a_line_stay(switch: Switch) -> None:
    session = switch.open()
    session.configure(["snmp-server community old RO 99", "ntp server 192.0.2.1 version 3 prefer"])
    items: list[Resource] = [
        SnmpCommunity(name="x", community="old", access="rw"),
        NtpServer(name="192.0.2.1", prefer=False),
    ]
    wanted = Wanted(frozenset({SnmpCommunity, NtpServer}), {item.address: item for item in items})
    observed = IOS.read(session, wanted)
    IOS.commit(session, IOS.render(differing(items, observed), observed))
    assert switch.device.running.communities == {"old": "RW 99"}
    assert switch.device.running.ntp == {"192.0.2.1": " version 3"}
    session.close()


def test_a_refused_step_leaves_the_session_usable(switch: Switch) -> None:
    session = switch.open()
    with pytest.raises(Rejected, match="GigabitEthernet9/0/1"):
        IOS.commit(
            session,
            IOS.render([to(Port(name="GigabitEthernet9/0/1", access_vlan=10), {})], {}),
        )
    IOS.commit(session, IOS.render([to(Vlan(name="30"), {})], {}))
    assert Address("vlan", "30") in IOS.read(session, VLANS)
    assert switch.device.running.ports["GigabitEthernet1/0/1"].access == 1
    session.close()


def test_a_session_dropped_in_the_middle_leaves_the_next_one_right(switch: Switch) -> None:
    session = switch.open()
    switch.device.faults = Faults(drop_after=3)

    def converge() -> None:
        for step in IOS.render([to(item, {}) for item in DECLARED[:3]], {}):
            IOS.commit(session, [step])
        IOS.read(session, VLANS)

    with pytest.raises(Temporary):
        converge()
    session.close()
    switch.device.faults = Faults()
    session = switch.open()
    observed = IOS.read(session, VLANS)
    for step in IOS.render(differing(DECLARED[:3], observed), observed):
        IOS.commit(session, [step])
    assert differing(DECLARED[:3], IOS.read(session, VLANS)) == []
    session.close()


def test_a_lying_switch_is_seen_through(switch: Switch) -> None:
    session = switch.open()
    switch.device.faults = Faults(lie=True)
    IOS.commit(session, IOS.render([to(Vlan(name="30"), {})], {}))
    assert Address("vlan", "30") not in IOS.read(session, VLANS)
    session.close()


def test_a_hanging_switch_is_given_up(switch: Switch) -> None:
    session = switch.open()
    switch.device.faults = Faults(hang=True)
    with pytest.raises(Unreachable):
        session.run("show vlan brief", timeout=0.2)
    assert not session.alive()


def test_a_refusing_switch_is_not_reached(switch: Switch, monkeypatch: pytest.MonkeyPatch) -> None:
    from rackwright_providers.transport import cli_driver

    monkeypatch.setattr(cli_driver, "LOGIN_TIMEOUT", 0.5)
    monkeypatch.setattr(cli_driver, "NUDGE", 0.1)
    switch.device.faults = Faults(refuse=True)
    with pytest.raises((Unreachable, Temporary)):
        switch.open()


def test_a_switch_that_answers_garbage_is_never_believed(
    switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = switch.open()
    IOS.commit(session, IOS.render([to(Vlan(name="10", title="storage"), {})], {}))
    right = IOS.read(session, VLANS)
    monkeypatch.setattr("rackwright_providers.transport.cli.READ_TIMEOUT", 0.3)
    read = session.run
    monkeypatch.setattr(session, "run", lambda command: read(command, timeout=0.3))
    switch.device.faults = Faults(garbage=True)
    with contextlib.suppress(Temporary, Rejected):
        assert IOS.read(session, VLANS) == right
    session.close()


@only_ssh
def test_a_wrong_password_is_permanent(switch: Switch) -> None:
    options = {**switch.way.options, "password": "wrong"}
    with pytest.raises(Permanent) as caught:
        IOS.open(Way(transport="ssh", options=options), Surroundings(switch.state, writable=True))
    assert "wrong" not in str(caught.value).replace("wrong username or password", "")


@only_ssh
def test_long_lines_and_pages(switch: Switch) -> None:
    session = switch.open()
    ids = ",".join(str(number) for number in range(10, 600, 2))
    port = Port(name="Gi1/0/1", mode="trunk", allowed_vlans=ids, description="x" * 240)
    observed = IOS.read(session, PORTS)
    (step,) = IOS.render(differing([port], observed), observed)
    IOS.commit(session, [step])
    assert differing([port], IOS.read(session, PORTS)) == []
    session._screen.exchange("terminal length 3", 1.0)
    assert differing([port], IOS.read(session, PORTS)) == []
    session.close()


def scripted(device: Callable[[str], str]) -> CliSession:
    screen = Screen(ScriptedStream(device), threading.Event())
    screen.learn("sw1#")
    return CliSession(screen, DIALECT)


def test_a_switch_that_knows_isl_is_told_the_encapsulation() -> None:
    class Isl(Ios):
        encapsulated = False

        def __call__(self, line: str) -> str:
            if "encapsulation" in line:
                self.encapsulated = True
            if "mode trunk" in line and not self.encapsulated:
                self.says[line.strip()] = (
                    'Command rejected: An interface whose trunk encapsulation is "Auto" can not '
                    'be configured to "trunk" mode.\n'
                )
            elif "mode trunk" in line:
                self.says.pop(line.strip(), None)
            return super().__call__(line)

    device = Isl()
    steps: list[Step] = list(
        IOS.render([to(Port(name="Gi1/0/1", mode="trunk", native_vlan=10), {})], {})
    )
    IOS.commit(scripted(device), steps)
    assert [line.strip() for line in device.seen][-4:] == [
        "interface Gi1/0/1",
        "switchport trunk native vlan 10",
        "switchport trunk encapsulation dot1q",
        "switchport mode trunk",
    ]


def test_an_image_without_section_shows_its_whole_configuration() -> None:
    device = Ios({"show running-config": "hostname x\n!\ninterface GigabitEthernet1/0/1\n!\nend\n"})
    assert list(IOS.read(scripted(device), PORTS)) == [GI1]


def test_an_empty_answer_is_temporary_not_an_empty_switch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cli_screen, "QUIET", 0.03)
    with pytest.raises(Temporary, match="no sense"):
        IOS.read(scripted(Ios({"show vlan brief": "\n"})), VLANS)


def test_our_own_port_is_found_where_the_switch_tells() -> None:
    device = Ios(
        {
            "show users": "    Line       User       Host(s)              Idle       Location\n"
            "   0 con 0                idle                 00:10:00   \n"
            "*  1 vty 0     rack       idle                 00:00:00 10.0.0.9\n",
            "show ip arp 10.0.0.9": "Protocol  Address          Age (min)  Hardware Addr   Type   Interface\n"
            "Internet  10.0.0.9                3   0011.2233.4455  ARPA   Vlan10\n",
            "show mac address-table address 0011.2233.4455": "          Mac Address Table\n"
            "-------------------------------------------\n\n"
            "Vlan    Mac Address       Type        Ports\n"
            "----    -----------       --------    -----\n"
            "  10    0011.2233.4455    DYNAMIC     Gi1/0/24\n"
            "Total Mac Addresses for this criterion: 1\n",
        }
    )
    assert set(IOS.carriers(scripted(device), {})) == {
        Address("local_user", "rack"),
        Address("port", "GigabitEthernet1/0/24"),
        Address("port", "Vlan10"),
        Address("vlan", "10"),
    }


def test_a_lag_that_carries_us_is_found_with_its_members_and_a_cut_name_in_full() -> None:
    device = Ios(
        {
            "show users": "    Line       User       Host(s)              Idle       Location\n"
            "*  1 vty 0     rackwright idle                 00:00:00 10.0.0.9\n",
            "show ip arp 10.0.0.9": "Protocol  Address          Age (min)  Hardware Addr   Type   Interface\n"
            "Internet  10.0.0.9                3   0011.2233.4455  ARPA   Port-channel1\n",
            "show mac address-table address 0011.2233.4455": "",
        }
    )
    lag = Lag(name="1", members=("GigabitEthernet1/0/9",))
    users = [LocalUser(name="rackwright-delegate"), LocalUser(name="other")]
    observed: dict[Address, Resource] = {item.address: item for item in (lag, *users)}
    assert set(IOS.carriers(scripted(device), observed)) == {
        Address("lag", "1"),
        Address("port", "GigabitEthernet1/0/9"),
        Address("local_user", "rackwright"),
        Address("local_user", "rackwright-delegate"),
    }
