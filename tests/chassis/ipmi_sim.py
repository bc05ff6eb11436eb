"""OpenIPMI's ipmi_sim: a BMC, and blades whose controllers are behind it on its IPMB."""

from __future__ import annotations

import contextlib
import socket
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.real import parts

BLADES = (0x82, 0x84, 0x86)
USERNAME = "rack"

# chassis_control: what a system does when its controller is told to. Power is a file here.
CONTROL = """#!/bin/sh
where={where}/$1; what=$2; shift 2
mkdir -p "$where"
if [ "$what" = get ]; then
  for name; do
    value=$(cat "$where/$name" 2>/dev/null)
    [ "$name" = boot ] && : "${{value:=none}}"
    echo "$name:${{value:-1}}"
  done
else
  while [ $# -gt 1 ]; do
    echo "$(basename "$where") $1 $2" >>{where}/history
    [ "$1" = shutdown ] && [ ! -e {where}/deaf ] && echo 0 >"$where/power"
    [ "$1" = power ] && echo "$2" >"$where/power"
    [ "$1" = boot ] && echo "$2" >"$where/boot"
    shift 2
  done
fi
"""

LAN = """name "rack"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 {port}
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  user 2 true "{username}" "{password}" admin 10 none md2 md5 straight
"""


def missing() -> str:
    """Reason to skip; empty when it and ipmitool are installed."""
    return parts.missing("ipmi_sim", "ipmitool", "setpriv")


@dataclass(frozen=True)
class Chassis:
    """Where it answers, and the files in which its systems keep their power."""

    port: int
    password: str
    where: Path

    def options(self, **changes: object) -> dict[str, object]:
        """Options of the ``ipmi`` transport."""
        options = {
            "host": "127.0.0.1",
            "port": self.port,
            "username": USERNAME,
            "password": self.password,
            "cipher": 3,  # the only secure one that it knows
        }
        return {**options, **changes}

    def power(self, target: int) -> str:
        """``1`` or ``0``, as its system has it: they are on at first."""
        file = self.where / f"{target:#04x}" / "power"
        return file.read_text().strip() if file.exists() else "1"

    def history(self) -> list[str]:
        """All that the systems were told: ``0x82 power 0``."""
        file = self.where / "history"
        return file.read_text().splitlines() if file.exists() else []


@contextlib.contextmanager
def chassis(
    where: Path, password: str, *, records: Sequence[str] = (), script: str = CONTROL
) -> Iterator[Chassis]:
    """Running. ``records`` are put into the BMC's SDR repository, in hexadecimal; ``script`` is the
    chassis_control, with ``{where}`` in it."""
    where.mkdir(parents=True, exist_ok=True)
    control = where / "control"
    control.write_text(script.format(where=where))
    control.chmod(control.stat().st_mode | stat.S_IXUSR)
    commands = ["mc_setbmc 0x20"]
    lan = ""
    for target in (0x20, *BLADES):
        commands += [
            f"mc_add {target:#04x} 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02",
            f"mc_enable {target:#04x}",
        ]
        lan += f'set_working_mc {target:#04x}\n  chassis_control "{control} {target:#04x}"\n'
    commands += [
        "main_sdr_add 0x20 " + " ".join(f"0x{octet:02x}" for octet in bytes.fromhex(record))
        for record in records
    ]
    (where / "rack.emu").write_text("".join(f"{line}\n" for line in commands))
    (where / "state").mkdir(exist_ok=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    head = LAN.format(port=port, username=USERNAME, password=password)
    (where / "lan.conf").write_text(head + lan)
    argv = ["ipmi_sim", "-c", str(where / "lan.conf"), "-f", str(where / "rack.emu")]
    argv += ["-s", str(where / "state"), "-n"]

    def listens() -> bool:
        wanted = f":{port:04X} "
        return any(wanted in line for line in Path("/proc/net/udp").read_text().splitlines())

    with parts.daemon(argv, where / "ipmi_sim.log", ready=listens):
        yield Chassis(port, password, where)
