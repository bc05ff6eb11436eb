"""Our simulated Arista switch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from rackwright.model.site import Way
from rackwright_sim.eos_device import EosDevice
from rackwright_sim.eos_session import make
from rackwright_sim.modal_access import ModalSsh
from rackwright_sim.modal_device import ModalOptions
from rackwright_sim.modal_making import port_names

from .modal import PASSWORD, Switch

REFUSED = {
    "vlan": r"^(no )?vlan {}$",
    "port": r"^(interface {}|interface {} / .*)$".replace("{}", "{0}"),
    "lag": r"^interface Port-Channel{}$",
    "hostname": r"^hostname ",
    "ntp_server": r"^(no )?ntp server {}( |$)",
    "local_user": r"^(no )?username {}( |$)",
}


@contextlib.contextmanager
def switch(_: Path) -> Iterator[Switch]:
    ports = port_names("Ethernet", ["Ethernet49/1"], "Management1")
    options = ModalOptions(hostname="localhost", password=PASSWORD, ports=ports)
    device = EosDevice(options)
    running = device.running
    running.vlans[40] = "parked"
    running.ports["Ethernet8"].description = "not ours"
    running.ports["Management1"].more.append("ip address 10.0.2.15/24")
    running.svis["Vlan40"] = ["ip address 10.40.0.1/24"]
    running.ntp["10.9.9.9"] = " iburst"
    running.logging.append("logging host 10.9.9.8 514 protocol tcp")
    running.communities["public"] = "view all ro list1"
    with ModalSsh(device, make) as ssh:
        way = Way(
            transport="ssh",
            options={
                "host": ssh.host,
                "port": ssh.port,
                "username": "rack",
                "password": PASSWORD,
                "host_key": ssh.host_key,
            },
        )
        yield Switch(device, lambda: device.running, {"ssh": way}, REFUSED)


RIGS = {"sim": switch}
PROVEN = {"sim": "simulator"}
