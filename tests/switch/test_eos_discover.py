"""What EOS is and where it is plugged in, by a session with our simulator."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from rackwright.model.facts import FoundLink
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.switch import eos_discover
from rackwright_providers.switch.arista_eos import AristaEos
from rackwright_sim.eos_device import EosDevice
from rackwright_sim.eos_session import make
from rackwright_sim.ios_options import LldpNeighbour, MacEntry
from rackwright_sim.modal_access import ModalSsh
from rackwright_sim.modal_device import ModalOptions

OPTIONS = ModalOptions(
    hostname="sw-a1",
    ports=("Ethernet1", "Ethernet2", "Ethernet3", "Management1"),
    macs=(
        MacEntry(10, "0011.2233.4455", "Ethernet1"),
        MacEntry(10, "0011.2233.4466", "Ethernet3", "STATIC"),
    ),
    lldp=(LldpNeighbour("Ethernet2", "2cc2.6081.eaf9", "eth0", system_name="web1"),),
)


def test_discovery(tmp_path: Path) -> None:
    device = EosDevice(OPTIONS)
    device.running.vlans |= {10: "storage", 20: ""}
    device.running.ports["Ethernet2"].shutdown = True
    with ModalSsh(device, make) as ssh:
        where = {"host": ssh.host, "port": ssh.port, "host_key": ssh.host_key}
        way = Way(transport="ssh", options={**where, "username": "rack", "password": "rack"})
        with closing(AristaEos().open(way, Surroundings(state=tmp_path))) as session:
            found = AristaEos().discover(session)
            assert AristaEos().discover(session) == found
    values = found.values
    assert (values["vendor"], values["model"], values["hostname"]) == ("arista", "vEOS", "sw-a1")
    assert values["vlans"] == {"10": {"title": "storage"}, "20": {"title": "VLAN0020"}}
    assert values["ports"]["Ethernet2"]["state"] == "disabled"
    assert values["mac_table"] == {"Ethernet1": [{"mac": "00:11:22:33:44:55", "vlan": 10}]}
    assert found.links == (
        FoundLink(port="Ethernet1", peer="00:11:22:33:44:55", how="mac"),
        FoundLink(port="Ethernet2", peer="web1", peer_port="eth0", how="lldp"),
    )
    assert device.counters.writes == 0


def test_what_linux_and_a_nameless_neighbour_say() -> None:
    shown = {
        "lldpNeighbors": {
            "Ethernet8": {
                "lldpNeighborInfo": [
                    {
                        "chassisId": "2c60.0cad.30de",
                        "systemName": "web1",
                        "neighborInterfaceInfo": {
                            "interfaceIdType": "macAddress",
                            "interfaceId": "000f.532e.ced1",
                            "interfaceDescription": "eth3",
                        },
                    },
                    {
                        "chassisId": "2c60.0cad.30df",
                        "systemName": "",
                        "neighborInterfaceInfo": {
                            "interfaceIdType": "macAddress",
                            "interfaceId": "000f.532e.ced2",
                        },
                    },
                ]
            },
            "Ethernet9": {"lldpNeighborInfo": []},
        }
    }
    assert eos_discover.neighbour_links(shown) == [
        FoundLink(port="Ethernet8", peer="web1", peer_port="eth3"),
        FoundLink(port="Ethernet8", peer="2c:60:0c:ad:30:df", peer_port="00:0f:53:2e:ce:d2"),
    ]


def test_vlans_that_eos_made_for_itself_are_no_facts() -> None:
    vlans = {
        "1": {"name": "default", "dynamic": False},
        "10": {"name": "storage", "dynamic": False},
        "1006": {"name": "VLAN1006", "dynamic": True},
    }
    assert eos_discover.vlan_facts({"vlans": vlans}) == {"10": {"title": "storage"}}
