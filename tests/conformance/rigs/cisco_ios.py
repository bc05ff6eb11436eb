"""Our simulated IOS switch, over SSH and on its serial console."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rackwright.model.site import Way
from rackwright_providers.transport import cli_driver, serial
from rackwright_sim import ios_accounts
from rackwright_sim.ios_config import DEFAULT_VLANS
from rackwright_sim.ios_device import IosDevice
from rackwright_sim.ios_options import IosOptions
from rackwright_sim.ios_serial import IosSerial
from rackwright_sim.ios_session import load
from rackwright_sim.ios_ssh import IosSsh
from tests.conformance.rig import held

PROVEN = {"sim": "simulator"}
LINES = {
    "vlan": r"^(no )?vlan {0}$",
    "port": r"^interface {0}$",
    "lag": r"^(no )?interface Port-channel{0}$|^channel-group {0} ",
    "hostname": r"^hostname ",
    "ntp_server": r"^(no )?ntp server {0}\b",
    "syslog_server": r"^(no )?logging host {0}\b",
    "snmp_community": r"^(no )?snmp-server community ",
    "local_user": r"^(no )?username {0}\b",
}
"""By noun: the lines that concern ``name``."""


class Switch:
    """A switch with eight ports and what somebody else has configured on it."""

    secrets: Mapping[str, str] = {
        "community": "s3cret-community",
        "odd": "p@ss?word!%^&*()",
        "enable": "s3cret-enable",
        "login": "s3cret-login",
        "ops": "s3cret ops-1",
        "ops2": "s3cret ops-2",
        "view": "s3cret-view",
    }

    def __init__(self, device: IosDevice, ssh: IosSsh, console: Path) -> None:
        self.device = device
        login = {
            "username": "rack",
            "password": self.secrets["login"],
            "enable": self.secrets["enable"],
        }
        address = {"host": "127.0.0.1", "port": ssh.port, "host_key": ssh.host_key}
        self.ways = {
            "ssh": Way(transport="ssh", options={**login, **address}),
            "serial": Way(transport="serial", options={**login, "port": str(console)}),
        }

    def state(self) -> dict[str, Any]:
        config = self.device.running
        found: dict[str, Any] = {"hostname/system": config.hostname, "svis": str(config.svis)}
        for vlan, title in config.vlans.items():
            key = f"vlan/{vlan}" if vlan not in DEFAULT_VLANS else f"own vlan {vlan}"
            found[key] = title
        for name, port in config.ports.items():
            number = name.removeprefix("Port-channel")
            found[f"port/{name}" if number == name else f"lag/{number}"] = held(port)
        for host, more in config.ntp.items():
            found[f"ntp_server/{host.lower()}"] = more
        for host, more in config.logging.items():
            found[f"syslog_server/{host.removeprefix('ipv6 ').lower()}"] = more
        for text, how in config.communities.items():
            ours = COMMUNITIES.get(text)
            found[f"snmp_community/{ours}" if ours else f"community {text}"] = how
        for name, account in config.accounts.items():
            fits = [key for key, text in self.secrets.items() if _fits(account.secret, text)]
            found[f"local_user/{name}"] = (account.privilege, fits or account.secret)
        return found

    def writes(self) -> int:
        return self.device.counters.writes

    def reject(self, address: str) -> None:
        noun, _, name = address.partition("/")
        pattern = LINES[noun].format(re.escape(name)) if noun else ""
        self.device.faults = replace(self.device.faults, reject_only=pattern)

    def lose(self, after: int) -> None:
        self.device.faults = replace(self.device.faults, drop_before=after)


COMMUNITIES = {Switch.secrets["community"]: "monitoring", Switch.secrets["odd"]: "odd"}


def _fits(secret: str, text: str) -> bool:
    return bool(secret) and ios_accounts.fits(secret, text)


FOREIGN = """\
vlan 900
 name foreign
 exit
interface GigabitEthernet1/0/8
 description somebody else's
 channel-group 48 mode on
 exit
ntp server 192.0.2.99 version 3
logging host 192.0.2.98 transport udp port 5514
snmp-server community elsewhere RO 99
username other privilege 3 secret another
"""


@contextlib.contextmanager
def switch(folder: Path) -> Iterator[Switch]:
    options = IosOptions(
        hostname="sw-a1",
        ports=8,
        password=Switch.secrets["login"],
        enable=Switch.secrets["enable"],
        sessions=3,
    )
    device = IosDevice(options)
    load(device, device.running, FOREIGN)
    folder.mkdir(parents=True, exist_ok=True)
    with (
        IosSsh(device) as ssh,
        IosSerial(device, folder / "console"),
        # This console answers at once; logging in to it a hundred times is not what is looked at.
        patch.object(serial, "SLICE", 0.02),
        patch.object(cli_driver, "NUDGE", 0.3),
        patch.object(cli_driver, "SETTLE", 0.05),
    ):
        yield Switch(device, ssh, folder / "console")


RIGS = {"sim": switch}
