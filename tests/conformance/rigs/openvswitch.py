"""Open vSwitch itself behind OpenSSH. Its commands go through a gate that counts those that write,
and that refuses or hangs up when the suite says so."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.site import Way
from tests.real import parts

NEEDED = ("ovs-vswitchd", "ovsdb-server", "sshd", "ip", "setpriv")
GATE = r"""#!/bin/sh
# Counts what writes; refuses what the file `refuse` names; hangs up when `lose` has run down.
case "$*" in
  *' add '*|*' set '*|*' remove '*|*' clear '*|*'link set'*) ;;
  *) exec REAL "$@" ;;
esac
cd DIR || exit 1
echo x >> writes
if [ -s lose ]; then
  left=$(cat lose)
  if [ "$left" = 0 ]; then : > lose; kill -9 "$PPID"; exit 1; fi
  echo $((left - 1)) > lose
fi
if [ -s refuse ] && printf ' %s ' "$*" | grep -Eq "$(cat refuse)"; then
  echo 'ovs-vsctl: constraint violation: the gate is shut' >&2; exit 1
fi
exec REAL "$@"
"""


class Switch:
    """Bridge br0 with ports p1 to p3 and somebody else's settings."""

    secrets: Mapping[str, str]

    def __init__(self, ovs: parts.Ovs, way: Way, gate: Path) -> None:
        self.ovs, self.gate = ovs, gate
        self.ways = {"ssh": way}
        self.secrets = {"key": str(way.options["key"])}

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        admin = self._admin()
        for row in self._rows("port", "name,tag,trunks,vlan_mode,external_ids,other_config"):
            name = str(row["name"])
            found[f"port/{name}"] = {**row, "admin": admin.get(name)}
        (own,) = self._rows("open_vswitch", "external_ids,other_config")
        for key, value in dict(own.pop("external_ids")[1]).items():
            vlan = re.fullmatch(r"rackwright-vlan-(\d+)", key)
            found[f"vlan/{vlan[1]}" if vlan else f"external_ids {key}"] = value
        for vlan_id in {row for port in found.values() for row in _carried(port)}:
            found.setdefault(f"vlan/{vlan_id}", "carried")
        return found | {"other_config": own}

    def _rows(self, table: str, columns: str) -> list[dict[str, Any]]:
        said = json.loads(self.ovs.vsctl("--format=json", f"--columns={columns}", "list", table))
        return [dict(zip(said["headings"], row, strict=True)) for row in said["data"]]

    def _admin(self) -> dict[str, str]:
        links = json.loads(parts.command(["ip", "-j", "link"], ns=self.ovs.ns))
        return {link["ifname"]: "up" if "UP" in link["flags"] else "down" for link in links}

    def writes(self) -> int:
        return len((self.gate / "writes").read_text().split())

    def reject(self, address: str) -> None:
        kind, _, name = address.partition("/")
        pattern = {"vlan": rf"rackwright-vlan-{name}[ =]", "port": rf" {name} ", "": ""}[kind]
        (self.gate / "refuse").write_text(pattern)

    def lose(self, after: int) -> None:
        (self.gate / "lose").write_text(str(after))


def _carried(port: Any) -> set[int]:
    if not isinstance(port, dict):
        return set()
    tag, trunks = port["tag"], port["trunks"]
    tags = {tag} if isinstance(tag, int) else set()
    return tags | ({trunks} if isinstance(trunks, int) else set(trunks[1]))


@contextlib.contextmanager
def switch(tmp_path: Path) -> Iterator[Switch]:
    reason = parts.no_namespaces() or parts.missing(*NEEDED)
    if reason:
        pytest.skip(reason)
    gate = tmp_path / "gate"
    gate.mkdir(parents=True)
    for name in ("writes", "refuse", "lose"):
        (gate / name).touch()
    for program in ("ovs-vsctl", "ip"):
        real = parts.command(["sh", "-c", f"command -v {program}"]).strip()
        path = gate / program
        path.write_text(GATE.replace("REAL", real).replace("DIR", str(gate)))
        path.chmod(0o755)
    with contextlib.ExitStack() as stack:
        ovs = stack.enter_context(parts.open_vswitch(tmp_path / "ovs"))
        far = stack.enter_context(parts.namespace("far"))
        for number in (1, 2, 3):
            parts.cable(ovs.ns, f"p{number}", far, f"eth{number}")
        parts.command(["ip", "link", "set", "p1", "down"], ns=ovs.ns)
        for number in (1, 2, 3):
            ovs.plug(f"p{number}", *(["tag=30"] if number == 3 else []))
        ovs.vsctl("set", "open_vswitch", ".", "external_ids:owner=somebody-else")
        address = stack.enter_context(parts.management(ovs.ns))
        env = {**ovs.env, "PATH": f"{gate}:{os.environ['PATH']}"}
        door = stack.enter_context(parts.sshd(tmp_path / "sshd", ns=ovs.ns, host=address, env=env))
        yield Switch(ovs, Way(transport="ssh", options=door.options()), gate)


RIGS = {"real": switch}
PROVEN = {"real": "real: Open vSwitch behind OpenSSH"}
