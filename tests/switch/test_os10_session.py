"""The OS10 provider over a session with our simulator: what the conformance suite does not ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.address import Address
from rackwright.model.change import Wanted
from rackwright.model.errors import Permanent, Rejected
from rackwright.model.facts import FoundLink
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.switch.dell_os10 import DellOs10
from rackwright_providers.switch.resources import Vlan
from rackwright_sim.faults import Faults
from rackwright_sim.ios_options import ArpEntry, LldpNeighbour, MacEntry
from rackwright_sim.modal_access import ModalConsole, ModalSsh
from rackwright_sim.modal_device import ModalOptions
from rackwright_sim.os10_device import Os10Device
from rackwright_sim.os10_session import make

from .line_cases import change

OPTIONS = ModalOptions(
    hostname="sw-d1",
    ports=("ethernet1/1/1", "ethernet1/1/2", "mgmt1/1/1"),
    arp=(ArpEntry("127.0.0.1", "00:00:15:c6:ca:49", "vlan10, ethernet1/1/1"),),
    macs=(MacEntry(10, "00:00:15:c6:ca:49", "ethernet1/1/1"),),
    lldp=(LldpNeighbour("ethernet1/1/2", "00:01:e8:05:db:05", "eth0", system_name="web1"),),
)
LOGIN = {"username": "rack", "password": "rack"}
PROVIDER = DellOs10()


class Bench:
    """A switch with both of its ways."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.device = Os10Device(OPTIONS, place / "kept.json")
        self.ssh = ModalSsh(self.device, make)
        self.console = ModalConsole(self.device, make, place / "console")

    def open(self, transport: str = "ssh", *, writable: bool = True) -> Any:
        where = {"host": self.ssh.host, "port": self.ssh.port, "host_key": self.ssh.host_key}
        place = {"ssh": where, "serial": {"port": str(self.console.link)}}[transport]
        way = Way(transport=transport, options={**place, **LOGIN})
        return PROVIDER.open(way, Surroundings(state=self.place, writable=writable))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    with made.ssh, made.console:
        yield made


def test_what_is_sent_and_saved(bench: Bench) -> None:
    changes = [change(None, Vlan(name=str(number))) for number in (10, 11, 12, 20)]
    changes.append(change(None, Vlan(name="30", title="storage net")))
    with closing(bench.open()) as session:
        PROVIDER.commit(session, PROVIDER.render(changes, {}))
        assert PROVIDER.save(session)
    assert [text for kind, text in bench.device.log if kind in ("config", "save")] == [
        "configure terminal",
        "interface range vlan 10-12,20",
        "interface vlan 30",
        'description "storage net"',
        "write memory",
    ]
    again = Os10Device(OPTIONS, bench.place / "kept.json")
    assert again.running.text() == bench.device.running.text()
    assert again.running.vlans == {10: "", 11: "", 12: "", 20: "", 30: "storage net"}
    assert again.admits("rack", "rack")


def test_a_refusal_is_said_in_the_devices_words(bench: Bench) -> None:
    with closing(bench.open()) as session:
        with pytest.raises(Rejected, match="VLAN 77 does not exist"):
            session.configure(["interface ethernet1/1/1", "switchport access vlan 77"])
        bench.device.faults = Faults(reject_only="^write memory$")
        with pytest.raises(Rejected, match="write memory"):
            PROVIDER.save(session)


def test_the_language_of_os9_is_not_spoken(bench: Bench) -> None:
    bench.device.running.more.append("feature config-os9-style")
    with (
        closing(bench.open(writable=False)) as session,
        pytest.raises(Permanent, match="config-os9-style"),
    ):
        PROVIDER.read(session, Wanted(frozenset({Vlan}), {}))


def test_carriers(bench: Bench) -> None:
    with closing(bench.open(writable=False)) as session:
        assert set(PROVIDER.carriers(session, {})) == {
            Address("local_user", "rack"),
            Address("vlan", "10"),
            Address("port", "ethernet1/1/1"),
        }
    with closing(bench.open("serial", writable=False)) as session:
        assert set(PROVIDER.carriers(session, {})) == {Address("local_user", "rack")}


def test_discovery(bench: Bench) -> None:
    bench.device.running.vlans[10] = "storage"
    with closing(bench.open(writable=False)) as session:
        found = PROVIDER.discover(session)
    assert found.values["hostname"] == "sw-d1"
    assert found.values["version"] == "10.5.4.1"
    assert found.values["vlans"] == {"10": {"title": "storage"}}
    assert set(found.values["ports"]) == {"ethernet1/1/1", "ethernet1/1/2"}
    assert found.links == (
        FoundLink(port="ethernet1/1/1", peer="00:00:15:c6:ca:49", how="mac"),
        FoundLink(port="ethernet1/1/2", peer="web1", peer_port="eth0", how="lldp"),
    )


def test_a_wrong_password_on_the_console(bench: Bench) -> None:
    bench.device.running.users["rack"].secret = "$6$none"
    with pytest.raises(Permanent, match="wrong username or password"):
        bench.open("serial")
