"""Our simulated Dell OS10 switch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from rackwright.model.site import Way
from rackwright_sim.modal_access import ModalConsole, ModalSsh
from rackwright_sim.modal_device import ModalOptions
from rackwright_sim.modal_making import port_names
from rackwright_sim.os10_device import Os10Device
from rackwright_sim.os10_session import make

from .modal import PASSWORD, Switch

REFUSED = {
    "vlan": r"^(no )?(interface )?vlan {}$",
    "port": r"^interface {}$",
    "lag": r"^interface port-channel {}$",
    "local_user": r"^(no )?username {}( |$)",
}


@contextlib.contextmanager
def switch(place: Path) -> Iterator[Switch]:
    ports = port_names("ethernet1/1/", ["ethernet1/1/25:1"], "mgmt1/1/1")
    device = Os10Device(ModalOptions(hostname="OS10", password=PASSWORD, ports=ports))
    running = device.running
    running.vlans |= {40: "parked", 50: "", 51: "", 52: ""}
    running.ports["ethernet1/1/8"].description = "not ours"
    running.ports["mgmt1/1/1"].more.append("ip address 10.16.148.144/16")
    running.svis["vlan40"] = ["ip address 10.40.0.1/24"]
    running.ntp["10.9.9.9"] = " prefer"
    running.logging.append("logging server 10.9.9.8 udp 514 severity log-notice")
    running.communities["public"] = "ro acl list1"
    console = ModalConsole(device, make, place / "console")
    with ModalSsh(device, make) as ssh, console:
        login = {"username": "rack", "password": PASSWORD}
        where = {"host": ssh.host, "port": ssh.port, "host_key": ssh.host_key}
        ways = {
            "ssh": Way(transport="ssh", options={**where, **login}),
            "serial": Way(transport="serial", options={"port": str(console.link), **login}),
        }
        yield Switch(device, lambda: device.running, ways, REFUSED)


RIGS = {"sim": switch}
PROVEN = {"sim": "simulator"}
