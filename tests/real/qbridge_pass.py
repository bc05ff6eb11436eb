"""BRIDGE-MIB and Q-BRIDGE-MIB of an Open vSwitch, for net-snmp's ``pass_persist`` (snmpd.conf(5)).

Run by snmpd: ``pass_persist 1.3.6.1.2.1.17 python qbridge_pass.py DATABASE``. All that it says and does
goes through ovs-vsctl, so a port of Open vSwitch shows the habits that it has: it is untagged in the
VLAN of its PVID and in no other, whatever is written into the lists; and a list is as long as the ports
in it need. A VLAN is a row as long as the bridge notes its name.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

Oid = tuple[int, ...]

BASE_PORT: Oid = (1, 3, 6, 1, 2, 1, 17, 1, 4, 1)
STATIC: Oid = (1, 3, 6, 1, 2, 1, 17, 7, 1, 4, 3, 1)
PVID: Oid = (1, 3, 6, 1, 2, 1, 17, 7, 1, 4, 5, 1, 1)
NAME, EGRESS, FORBIDDEN, UNTAGGED, STATUS = range(1, 6)
OFFSET = 8
"""dot1dBasePort of p1 is 9: it is not ifIndex, and it is in the second octet."""
FRESH = 0.2
"""Seconds for which what was read is good: a walk asks for every object by itself."""


NEW = {(*STATIC, NAME): ("string", ""), (*STATIC, STATUS): ("integer", "3")}
"""What a row that is not there answers to a GET (notReady): snmpd takes a SET for no object that has no
answer, so that without it no row could be made."""


class Refused(Exception):
    """Says to snmpd why."""


def vsctl(*argv: str) -> str:
    return subprocess.run(
        ["ovs-vsctl", f"--db=unix:{sys.argv[1]}", *argv],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def table(name: str) -> dict[str, dict[str, Any]]:
    """Rows by name; sets as lists, maps as dicts."""
    read = json.loads(vsctl("--format=json", "list", name))
    rows = [dict(zip(read["headings"], row, strict=True)) for row in read["data"]]
    return {row["name"]: {key: plain(value) for key, value in row.items()} for row in rows}


def plain(value: Any) -> Any:
    if isinstance(value, list) and value[0] == "set":
        return value[1]
    return dict(value[1]) if isinstance(value, list) and value[0] == "map" else value


class Switch:
    def __init__(self) -> None:
        self.ports: dict[int, tuple[str, int, frozenset[int]]] = {}
        """(name, PVID, VLANs) by dot1dBasePort."""
        for name, row in table("Port").items():
            if name.startswith("p") and name[1:].isdecimal():
                tag = row["tag"] or 1
                trunks = row["trunks"] if isinstance(row["trunks"], list) else [row["trunks"]]
                self.ports[int(name[1:]) + OFFSET] = (name, tag, frozenset({tag, *trunks}))
        notes = table("Bridge")["br0"]["external_ids"]
        self.names = {int(key[5:]): text for key, text in notes.items() if key.startswith("vlan-")}

    def objects(self) -> dict[Oid, tuple[str, str]]:
        found: dict[Oid, tuple[str, str]] = {}
        for number, (name, pvid, _) in self.ports.items():
            index = Path(f"/sys/class/net/{name}/ifindex").read_text().strip()
            found[(*BASE_PORT, 2, number)] = ("integer", index)
            found[(*PVID, number)] = ("gauge", str(pvid))
        for vlan, name in {1: "default", **self.names}.items():
            egress = {number for number, (_, _, vlans) in self.ports.items() if vlan in vlans}
            untagged = {number for number, (_, pvid, _) in self.ports.items() if vlan == pvid}
            found[(*STATIC, NAME, vlan)] = ("string", name)
            found[(*STATIC, EGRESS, vlan)] = ("octet", encoded(egress))
            found[(*STATIC, FORBIDDEN, vlan)] = ("octet", encoded(set()))
            found[(*STATIC, UNTAGGED, vlan)] = ("octet", encoded(untagged))
            found[(*STATIC, STATUS, vlan)] = ("integer", "1")
        return found

    def set(self, oid: Oid, value: str) -> None:
        kind, _, text = value.partition(" ")
        if oid[:-1] == PVID:
            self.put(oid[-1], int(text), self.ports[oid[-1]][2] | {int(text)})
        elif oid[:-1] == (*STATIC, STATUS):
            self.status(oid[-1], int(text))
        elif oid[-1] not in {1, *self.names}:
            raise Refused("no-creation")
        elif oid[:-1] == (*STATIC, NAME):
            vsctl("set", "Bridge", "br0", f"external_ids:vlan-{oid[-1]}={text}")
        elif oid[:-1] == (*STATIC, EGRESS):
            wanted = decoded(kind, text)
            for number, (_, pvid, vlans) in self.ports.items():
                if (oid[-1] in vlans) != (number in wanted):
                    self.put(number, pvid, vlans ^ {oid[-1]})
        elif oid[:-1] != (*STATIC, UNTAGGED):  # which is the PVID's, whatever is said
            raise Refused("not-writable")

    def status(self, vlan: int, value: int) -> None:
        if value == 4 and vlan not in self.names:
            vsctl("set", "Bridge", "br0", f'external_ids:vlan-{vlan}=""')
        elif value == 6 and not any(pvid == vlan for _, pvid, _ in self.ports.values()):
            vsctl("remove", "Bridge", "br0", "external_ids", f"vlan-{vlan}")
        else:
            raise Refused("inconsistent-value")

    def put(self, number: int, pvid: int, vlans: frozenset[int]) -> None:
        if pvid not in vlans:
            raise Refused("inconsistent-value")
        alone = vlans == {pvid}
        mode = "access" if alone else "native-untagged"
        trunks = "[]" if alone else f"[{','.join(map(str, sorted(vlans)))}]"
        row = self.ports[number][0]
        vsctl("set", "Port", row, f"tag={pvid}", f"trunks={trunks}", f"vlan_mode={mode}")


def encoded(ports: set[int]) -> str:
    octets = bytearray((max(ports, default=0) + 7) // 8)
    for port in ports:
        octets[(port - 1) // 8] |= 0x80 >> (port - 1) % 8
    return octets.hex(" ")


def decoded(kind: str, text: str) -> set[int]:
    """snmpd gives octets that happen to be printable as a string."""
    data = bytes.fromhex(text.strip('" ')) if kind == "octet" else text.strip('"').encode()
    bits = "".join(f"{octet:08b}" for octet in data)
    return {place for place, bit in enumerate(bits, start=1) if bit == "1"}


def main() -> None:
    held: dict[Oid, tuple[str, str]] = {}
    until = 0.0
    for line in sys.stdin:
        word = line.strip()
        if word == "PING":
            print("PONG", flush=True)
            continue
        if not word:  # one follows every SET
            continue
        oid = tuple(int(part) for part in sys.stdin.readline().strip(".\n").split("."))
        if word == "set":
            value = sys.stdin.readline().rstrip("\n")
            try:
                Switch().set(oid, value)
            except Refused as refusal:
                print(refusal, flush=True)
            except KeyError:
                print("no-creation", flush=True)
            else:
                print("DONE", flush=True)
            until = 0.0
            continue
        if time.monotonic() > until:
            held = Switch().objects()
            until = time.monotonic() + FRESH
        found = oid if word == "get" else min((key for key in held if key > oid), default=())
        if word == "get" and oid not in held and oid[:-1] in NEW:
            held[oid] = NEW[oid[:-1]]  # until the next walk
            until = 0.0
        if found not in held:
            print("NONE", flush=True)
            continue
        kind, value = held[found]
        print("." + ".".join(map(str, found)), kind, value, sep="\n", flush=True)


main()
