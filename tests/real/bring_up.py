"""A rack in which a server can be brought up from nothing: a PDU (powermand and vpcd), a chassis (ipmi_sim)
whose slots have power only from their outlet, a switch (Open vSwitch), an array behind it (tgtd), and
servers that run only while their slot has power. All parts note in one journal what they are told.

The array speaks 802.1Q on its one port of the switch; in its own box another Open vSwitch does what the
kernel of a real one would, which here has no VLAN interfaces.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from tests.chassis import ipmi_sim
from tests.real import machine, parts, power, served
from tests.real.machine import Machine
from tests.real.restartable import Restartable
from tests.real.served import PATIENCE, Served
from tests.san import tgtd

SITE = Path(__file__).parent / "bring_up_site"
MANAGED = ("pdu-a1", "ch-a1", "sw-a1", "san-a1")
SLOTS = {"h0": "0x82", "h1": "0x84"}
PORTS = {"h0": "p0", "h1": "p1"}
PORTALS = {666: "10.66.6.1/24", 667: "10.66.7.1/24"}
"""VLAN → the array's address in it."""
WATCHED = {"Port": "name,tag", "Open_vSwitch": "external_ids"}
"""Tables and columns of the switch's database: what ports are in, and the VLANs that were made."""
SECRETS = {"bmc": "s3cret-of-bmc", "chap-h1": "chap-s3cret-1"}

VPCD = """#!/bin/sh
while IFS= read -r line; do
  case "$line" in
    on*|off*) printf '%s pdu %s\\n' "$(date +%s.%N)" "$line" >> JOURNAL ;;
  esac
  printf '%s\\n' "$line"
done | exec /usr/sbin/vpcd
"""
CONTROL = """#!/bin/sh
where={where}/$1; slot=$1; what=$2; shift 2
mkdir -p "$where"
if [ "$what" = get ]; then
  for name; do
    value=$(cat "$where/$name" 2>/dev/null)
    [ "$name" = boot ] && : "${{value:=none}}"
    echo "$name:${{value:-1}}"
  done
else
  while [ $# -gt 1 ]; do
    fed=unfed
    "{where}/powerman" -x -Q "$(cat "$where/feed")" | grep -q ': *on' && fed=fed
    printf '%s blade %s %s %s %s\\n' "$(date +%s.%N)" "$slot" "$1" "$2" "$fed" >> {where}/journal
    case "$1 $2 $fed" in
      'power 0 '*|'power 1 fed') echo "$2" > "$where/power" ;;
      'shutdown 1 '*) touch "$where/shutdown" ;;
    esac
    shift 2
  done
fi
"""


def unable() -> str:
    """Reason to skip; empty where all parts are there."""
    return (
        tgtd.unable()
        or ipmi_sim.missing()
        or parts.missing(
            *machine.NEEDS, "ovs-vswitchd", "ovsdb-client", "powermand", "vpcd", "git", "openssl"
        )
    )


class Event(NamedTuple):
    """What a part was told, or did."""

    time: float
    what: str


@dataclass(kw_only=True)
class BringUp(Served):
    """The rack and what its parts say."""

    journal: Path
    pdu: power.Host
    chassis: ipmi_sim.Chassis
    switch: parts.Ovs
    array: tgtd.TgtHost
    machines: Mapping[str, Machine]

    def events(self) -> list[Event]:
        """The journal: what the PDU, the chassis and the array were told, who logged in and out, and
        what became of the switch's database; oldest first."""
        found = []
        for line in self.journal.read_text().splitlines():
            time, _, what = line.partition(" ")
            found.append(Event(float(time), what))
        for table in WATCHED:
            at = 0.0
            for line in (self.base / f"{table}.monitor").read_text().splitlines():
                if re.fullmatch(r"\d{4}-\S+ \S+", line):
                    stamp = datetime.datetime.fromisoformat(line).replace(tzinfo=datetime.UTC)
                    at = stamp.timestamp()
                elif line and not line.startswith("row,"):
                    found.append(Event(at, f"switch {line}"))
        return sorted(found)

    def when(self, pattern: str, since: float) -> float:
        """When the first thing after ``since`` happened that ``pattern`` is found in."""
        for event in self.events():
            if event.time > since and re.search(pattern, event.what):
                return event.time
        raise AssertionError(f"no {pattern!r} since {since}: {self.events()}")

    def report(self, node: str, address: str, state: str, since: float) -> dict[str, Any]:
        """The one report since then in which ``address`` came to be in ``state``."""
        found = [
            report
            for report in self.reports(node, since)
            for outcome in report.get("outcomes", ())
            if (outcome["address"], outcome["state"]) == (address, state)
        ]
        assert len(found) == 1, (node, address, state, self.reports(node, since))
        return found[0]

    def settled(self, commit: str, *, refused: str = "") -> None:
        """Wait until ``commit`` is in force and everything is as it says, on ``refused`` but for what is
        refused."""
        if not refused:
            self.converged(commit)
            return

        status: dict[str, Any] = {}

        def done() -> bool:
            for one in self.machines.values():
                one.check()
            status.update(self.admin().status())
            return (status["store"]["in_force"] or {}).get("commit") == commit and all(
                node["state"] == "refused"
                if node["node"] == refused
                else not node["pending"] and node["state"] in ("converged", "changed")
                for node in status["nodes"]
            )

        try:
            parts.until(done, PATIENCE)
        except parts.PartError:
            raise AssertionError(f"{commit} did not come about: {json.dumps(status, indent=1)}") from None  # fmt: skip

    def untouched(self) -> dict[str, str]:
        """All that the parts hold and that is not h1's, each as it shows it."""
        columns = "--columns=name,tag,trunks,vlan_mode,external_ids,other_config"
        shown = self.array.adm("show", "--mode", "target")
        return {
            "outlets": str(self.pdu.nodes()),
            "power": str({name: self.chassis.power(int(slot, 16)) for name, slot in SLOTS.items()}),
            "ports": self.switch.vsctl(columns, "list", "Port", "p0", "a1", "br0"),
            "bridge": self.switch.vsctl("--columns=external_ids", "list", "Bridge"),
            "root": self.switch.vsctl("get", "Open_vSwitch", ".", "external_ids"),
            "array": shown,
            "configuration": "".join(
                f"{path}\n{path.read_text()}"
                for path in sorted(self.array.etc.rglob("*"))
                if path.is_file()
            ),
            "volumes": str(sorted(path.name for path in self.array.srv.rglob("*.img"))),
        }


@contextlib.contextmanager
def bring_up() -> Iterator[BringUp]:
    """The rack with h0 running, and with h1 in its slot, without power and unknown to the site."""
    with ExitStack() as stack:
        # A socket's path is short, and pytest's own directories are not.
        base = Path(tempfile.mkdtemp(prefix="rwt-up-"))
        stack.callback(shutil.rmtree, base, ignore_errors=True)
        journal = base / "journal"
        journal.touch()
        pdu = stack.enter_context(_pdu(base / "pdu", journal))
        chassis = stack.enter_context(_chassis(base / "chassis", journal, pdu))
        switch = stack.enter_context(parts.open_vswitch(base / "switch"))
        address = stack.enter_context(parts.management(switch.ns))
        door = stack.enter_context(
            parts.sshd(base / "sshd", ns=switch.ns, host=address, env=switch.env)
        )
        array = stack.enter_context(_array(base / "array", journal, switch))
        made = BringUp(
            base=base,
            journal=journal,
            pdu=pdu,
            chassis=chassis,
            switch=switch,
            array=array,
            machines={},
        )
        ways = {name: stack.enter_context(_box(name, switch)) for name in SLOTS}
        served.authority(base / "tls", [parts.across(way) for _, way in ways.values()])
        values = _values({"pdu": pdu.options, "array": array.way.options, "switch": door.options()})
        rack = Template((SITE / "rack.yaml").read_text()).substitute(
            values, switch=address, user=door.username, bmc_port=str(chassis.port)
        )
        served.repository(made, {"rack.yaml": rack})
        made.store = Restartable(lambda: served.store(base))
        stack.callback(lambda: made.store.close())
        keys = {
            "pdu-key": pdu.options,
            "array-key": array.way.options,
            "switch-key": door.options(),
        }
        secrets = _secrets(base, {name: str(of["key"]) for name, of in keys.items()} | SECRETS)
        stack.enter_context(_monitor(base, switch))
        made.machines = {
            name: stack.enter_context(
                machine.machine(
                    name,
                    base / name,
                    ns,
                    chassis.where / SLOTS[name],
                    journal,
                    functools.partial(_agent, made, secrets, way),
                )
            )
            for name, (ns, way) in ways.items()
        }
        words = ["delegate", *MANAGED, "--store", made.url, "--secrets", str(secrets)]
        words += ["--state", str(base / "state" / "admin")]
        token = made.admin().create_token(MANAGED)["token"]
        stack.enter_context(served.daemon(made, "delegates", words, token))
        made.settled(made.head())
        yield made


@contextlib.contextmanager
def _pdu(run: Path, journal: Path) -> Iterator[power.Host]:
    run.mkdir()
    unit = run / "vpcd"
    unit.write_text(VPCD.replace("JOURNAL", str(journal)))
    unit.chmod(0o755)
    with power.powermand(run / "powerman", tuple(SLOTS), unit=str(unit)) as pdu:
        yield pdu


@contextlib.contextmanager
def _chassis(where: Path, journal: Path, pdu: power.Host) -> Iterator[ipmi_sim.Chassis]:
    for name, slot in SLOTS.items():
        (where / slot).mkdir(parents=True)
        (where / slot / "power").write_text("0\n")
        (where / slot / "feed").write_text(name)
    (where / "journal").symlink_to(journal)
    client = where / "powerman"
    client.write_text(f'#!/bin/sh\nexec /usr/bin/powerman -h {pdu.server} "$@"\n')
    client.chmod(0o755)
    with ipmi_sim.chassis(where, SECRETS["bmc"], script=CONTROL) as chassis:
        yield chassis


@contextlib.contextmanager
def _array(run: Path, journal: Path, switch: parts.Ovs) -> Iterator[tgtd.TgtHost]:
    with parts.open_vswitch(run) as inside:
        parts.cable(switch.ns, "a1", inside.ns, "trunk")
        switch.plug("a1", "external_ids:owner=someone")
        inside.plug("trunk")
        for vlan, address in PORTALS.items():
            port = f"vlan{vlan}"
            inside.plug(port, f"tag={vlan}", "--", "set", "Interface", port, "type=internal")
            parts.command(["ip", "address", "add", address, "dev", port], ns=inside.ns)
            parts.command(["ip", "link", "set", port, "up"], ns=inside.ns)
            parts.own_checksums(port, ns=inside.ns)
        with tgtd.tgt_host(ns=inside.ns, journal=journal) as array:
            yield array


@contextlib.contextmanager
def _box(name: str, switch: parts.Ovs) -> Iterator[tuple[str, str]]:
    """A namespace whose eth0 is cabled, and its address on the management network."""
    with parts.namespace(name) as ns:
        port = PORTS[name]
        parts.cable(switch.ns, port, ns, "eth0")
        parts.own_checksums("eth0", ns=ns)
        switch.plug(port, "tag=998", "external_ids:owner=someone")
        with parts.management(ns) as way:
            yield ns, way


@contextlib.contextmanager
def _agent(
    site: BringUp, secrets: Path, way: str, it: Machine, words: list[str]
) -> Iterator[subprocess.Popen[bytes]]:
    url = f"https://{parts.across(way)}:{site.store.running.port}"
    argv = ["agent", "--node", it.name, "--store", url, "--secrets", str(secrets)]
    argv += ["--state", str(site.base / "state" / it.name)]
    token = site.admin().create_token([it.name])["token"]
    env = {"PATH": it.path}
    with served.daemon(site, it.name, argv, token, ns=it.ns, behind=words, env=env) as process:
        yield process


@contextlib.contextmanager
def _monitor(base: Path, switch: parts.Ovs) -> Iterator[None]:
    """What becomes of the switch's database, with its time."""
    argv = ["ovsdb-client", "monitor", "--timestamp", "--format=csv", f"unix:{switch.run}/db.sock"]
    with ExitStack() as stack:
        for table, columns in WATCHED.items():
            log = base / f"{table}.monitor"
            more = ["Open_vSwitch", table, columns]
            ready = functools.partial(_has_text, log)
            stack.enter_context(parts.daemon([*argv, *more], log, env={"TZ": "UTC"}, ready=ready))
        yield


def _has_text(path: Path) -> bool:
    return bool(path.read_text())


def _values(options: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {
        f"{name}_{key}": str(of[key])
        for name, of in options.items()
        for key in ("port", "host_key")
    }


def _secrets(base: Path, values: Mapping[str, str]) -> Path:
    folder = base / "secrets"
    folder.mkdir(mode=0o700)
    for name, value in values.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(value)
    return folder
