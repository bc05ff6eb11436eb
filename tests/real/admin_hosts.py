"""Two admin hosts in namespaces of their own, a store, and what they can reach: two Open vSwitches behind
OpenSSH on a network that both are on, and a PDU (vpcd) on a serial line of the first.

Every switch keeps a journal of who wrote what and when, beside whatever we think that happened.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.real import parts, power, served
from tests.real.restartable import Restartable

NEEDS = ("ovs-vswitchd", "ovsdb-server", "sshd", "git", "openssl", "setpriv", "vpcd", "socat")
LEASE = 3.0
"""Seconds."""
HOSTS = {"admin1": "198.18.0.11", "admin2": "198.18.0.12"}
"""Each admin host, and its address on the network of the devices."""
SWITCHES = {"sw-a1": "198.18.0.21", "sw-b1": "198.18.0.22"}
PDU = "pdu-a1"
"""On the serial line of admin1 alone."""
SITE = """\
site: hosts
lease: {lease}
---
node: admin1
type: server
offers: {{networks: [oob], serial: [{line}]}}
---
node: admin2
type: server
offers: {{networks: [oob]}}
{switches}---
node: pdu-a1
type: pdu
platform: vpcd
reach:
  - serial: {{port: {line}}}
---
proposal: hosts
attributes:
  delegate_host: {{store: "https://store.example", manager: none}}
deploy:
  delegate-host: [admin1, admin2]
---
role: drifting-port
for: [switch]
resources:
  - port: p1
    mode: access
    access_vlan: 10
---
proposal: base
attributes:
  vlans: {{10: {{name: ten}}}}
  outlets: {{1: {{state: on}}}}
deploy:
  vlans: [sw-a1, sw-b1]
  drifting-port: [sw-a1, sw-b1]
  outlets: [pdu-a1]
"""
SWITCH = """\
---
node: {name}
type: switch
platform: openvswitch
reach:
  - ssh: {{host: {host}, port: 2222, username: {user}, key: {{secret: {name}}}, host_key: {pin}}}
    network: oob
"""
JOURNAL = """#!/bin/sh
# Tells who wrote what, from when to when; what only reads is nobody's business.
case "$SSH_ORIGINAL_COMMAND" in
  *' add '*|*' set '*|*' remove '*|*' clear '*|*'link set'*) ;;
  *) exec sh -c "$SSH_ORIGINAL_COMMAND" ;;
esac
began=$(date +%s.%N)
sh -c "$SSH_ORIGINAL_COMMAND"
status=$?
echo "$began $(date +%s.%N) ${SSH_CONNECTION%% *}" >> JOURNAL
exit $status
"""


class Write(NamedTuple):
    """One command that changed a switch. Times are Unix seconds."""

    began: float
    ended: float
    host: str


@dataclass(frozen=True)
class Switch:
    """An Open vSwitch and its journal."""

    ovs: parts.Ovs
    journal: Path

    def writes(self) -> list[Write]:
        """All that was written until now, in the order in which it began."""
        by_address = {address: host for host, address in HOSTS.items()}
        lines = [line.split() for line in self.journal.read_text().splitlines()]
        return sorted(Write(float(a), float(b), by_address[c]) for a, b, c in lines)

    def drift(self) -> None:
        """Somebody moves the port to another VLAN."""
        self.ovs.vsctl("set", "Port", "p1", "tag=99")

    def mended(self) -> bool:
        """Whether the port is back in its VLAN."""
        return self.ovs.vsctl("get", "Port", "p1", "tag").strip() == "10"

    def writers(self) -> list[str]:
        """Who wrote, in order, each named once for all that it wrote in a row."""
        return [host for host, _ in itertools.groupby(self.writes(), key=lambda write: write.host)]


@dataclass(kw_only=True)
class AdminHosts(served.Served):
    """What a test does to the two hosts, and what it sees of them."""

    oob: str
    """Namespace with the bridge that the network of the devices is."""
    spaces: Mapping[str, str]
    """Host → its namespace."""
    switches: Mapping[str, Switch]
    line: power.Line
    outsides: Mapping[str, str]
    """Host → the address at which it finds the store."""
    tokens: dict[str, str] = field(default_factory=dict)
    running: dict[str, list[subprocess.Popen[bytes]]] = field(default_factory=dict)
    """Host → its agent, and the daemon of its delegates."""

    def start(self, host: str) -> None:
        """The agent of ``host`` and the service beside it, as its init would start them."""
        state, ns = self.base / "state" / host, self.spaces[host]
        common = ["--node", host, "--state", str(state), "--json"]
        common += ["--store", f"https://{self.outsides[host]}:{self.store.running.port}"]
        env = {**os.environ, **served.UNBUFFERED, "RACKWRIGHT_CA": str(self.authority)}
        env["RACKWRIGHT_TOKEN"] = self.tokens[host]
        self.running[host] = []
        for what in (["agent"], ["delegates", "--interval", "1", "--splay", "0"]):
            with (self.base / f"{host}-{what[0]}.log").open("ab") as log:
                inside = ["ip", "netns", "exec", ns, "setpriv", "--pdeathsig", "KILL"]
                self.running[host].append(
                    subprocess.Popen(
                        [*inside, *served.RACKWRIGHT, *what, *common],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                        env=env,
                    )
                )

    def kill(self, host: str) -> None:
        """The power of ``host`` is gone."""
        for process in self.running[host]:
            process.kill()
            process.wait(5)

    def stop(self, host: str) -> None:
        """Its init ends what it had started."""
        for process in self.running[host]:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.running[host]:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)

    @contextlib.contextmanager
    def paused(self, host: str) -> Iterator[None]:
        """All of ``host`` stands still, and goes on where it was."""
        found = [psutil.Process(process.pid) for process in self.running[host]]
        for process in found:
            process.suspend()
        try:
            yield
        finally:
            for process in found:
                process.resume()

    @contextlib.contextmanager
    def cut_from_store(self, host: str) -> Iterator[None]:
        """Nothing gets from ``host`` to the store, nor back."""
        with self._down("mgmt0", self.spaces[host]):
            yield

    @contextlib.contextmanager
    def cut_from_devices(self, host: str) -> Iterator[None]:
        """The cable of ``host`` to the network of the devices is pulled at the far end."""
        with self._down(host, self.oob):
            yield

    @contextlib.contextmanager
    def _down(self, interface: str, ns: str) -> Iterator[None]:
        parts.command(["ip", "link", "set", interface, "down"], ns=ns)
        try:
            yield
        finally:
            parts.command(["ip", "link", "set", interface, "up"], ns=ns)

    def holders(self) -> dict[str, str]:
        """Managed node → the host that holds its lease now, by the store."""
        return {
            node["node"]: host["host"]
            for host in self.admin().hosts()["hosts"]
            for node in host["nodes"]
            if node["epoch"] is not None
        }

    def tenures(self, name: str) -> list[tuple[float, str]]:
        """When who was given the lease of a node, by the store's own record, in order."""
        database = sqlite3.connect(f"file:{self.base / 'store' / 'store.db'}?mode=ro", uri=True)
        with contextlib.closing(database):
            ask = "SELECT at, subject FROM grants WHERE node = ? ORDER BY epoch"
            return [(float(at), str(host)) for at, host in database.execute(ask, (name,))]

    def mends(self, *names: str) -> float:
        """Have each of ``names`` drift, and wait until all are mended. Returns how many seconds it took."""
        began = time.monotonic()
        for name in names:
            self.switches[name].drift()
        switches = [self.switches[name] for name in names]
        parts.until(
            lambda: all(switch.mended() for switch in switches),
            served.PATIENCE,
            f"{', '.join(names)} mended",
        )
        return time.monotonic() - began


@contextlib.contextmanager
def admin_hosts(base: Path) -> Iterator[AdminHosts]:
    """Everything started; both hosts enrolled; all that is managed converged once."""
    with contextlib.ExitStack() as stack:
        oob = stack.enter_context(parts.namespace("oob"))
        parts.command(["ip", "link", "add", "br0", "type", "bridge"], ns=oob)
        parts.command(["ip", "link", "set", "br0", "up"], ns=oob)
        spaces = {host: stack.enter_context(parts.namespace(host)) for host in HOSTS}
        for host, ns in spaces.items():
            _plug(oob, host, ns, "eth1", HOSTS[host])
        outsides = {
            host: parts.across(stack.enter_context(parts.management(ns)))
            for host, ns in spaces.items()
        }
        line = stack.enter_context(power.vpcd(base / "line"))
        switches, nodes = {}, []
        for name, address in SWITCHES.items():
            ovs = stack.enter_context(parts.open_vswitch(base / name))
            _plug(oob, name, ovs.ns, "oob0", address)
            parts.cable(ovs.ns, "p1", ovs.ns, "p1-far")
            ovs.plug("p1", "tag=99")
            switches[name] = Switch(ovs, base / name / "journal")
            door = stack.enter_context(_door(base / f"{name}-sshd", switches[name], address))
            for host in HOSTS:
                secrets = base / "state" / host / "secrets"
                secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
                (secrets / name).touch(mode=0o600)
                (secrets / name).write_text(door.key)
            nodes.append(
                SWITCH.format(name=name, host=address, user=door.username, pin=door.host_key)
            )
        made = AdminHosts(
            base=base, oob=oob, spaces=spaces, switches=switches, line=line, outsides=outsides
        )
        text = SITE.format(lease=LEASE, line=line.path, switches="".join(nodes))
        served.repository(made, {"site.yaml": text})
        served.authority(base / "tls", list(outsides.values()))
        made.store = Restartable(lambda: served.store(base))
        stack.callback(made.store.close)
        for host in HOSTS:
            made.tokens[host] = made.admin().create_token([host])["token"]
            made.start(host)
            stack.callback(made.stop, host)
        share(made)
        yield made


def settle(hosts: AdminHosts, shared: Sequence[str]) -> None:
    """Wait until all is converged, nothing is on its way from host to host, and ``shared`` hold something
    each, and everything between them."""

    def done() -> bool:
        states = {node["node"]: node for node in hosts.admin().status()["nodes"]}
        good = ("converged", "changed")
        nodes = [
            (node["node"], host["host"])
            for host in hosts.admin().hosts()["hosts"]
            for node in host["nodes"]
            if node["state"] == "held"
        ]
        return (
            all(
                states[name]["state"] in good and not states[name]["pending"]
                for name in (*SWITCHES, PDU)
            )
            and {name for name, _ in nodes} == {*SWITCHES, PDU}
            and {host for _, host in nodes} == set(shared)
        )

    try:
        parts.until(done, served.PATIENCE)
    except parts.PartError:
        said = hosts.command("status") + hosts.command("host", "list")
        raise AssertionError(f"the hosts did not settle:\n{said}") from None


def _plug(oob: str, port: str, ns: str, interface: str, address: str) -> None:
    parts.cable(oob, port, ns, interface)
    parts.command(["ip", "link", "set", port, "master", "br0"], ns=oob)
    parts.command(["ip", "address", "add", f"{address}/24", "dev", interface], ns=ns)


@contextlib.contextmanager
def _door(run: Path, switch: Switch, address: str) -> Iterator[parts.Sshd]:
    run.mkdir(parents=True)
    switch.journal.touch()
    script = run / "journal.sh"
    script.write_text(JOURNAL.replace("JOURNAL", str(switch.journal)))
    script.chmod(0o755)
    lines = [f"ForceCommand {script}"]
    with parts.sshd(
        run,
        ns=switch.ovs.ns,
        host=address,
        env=switch.ovs.env,
        lines=lines,
        seen_from=switch.ovs.ns,
    ) as door:
        yield door


def share(hosts: AdminHosts) -> None:
    """Have each host hold one of the switches. Three nodes on two hosts are as even the other way, with
    the PDU alone on the first; then that one reaches both switches before it lets go of one."""
    one, other = HOSTS
    settle(hosts, HOSTS)
    if not any(hosts.holders()[name] == one for name in SWITCHES):
        hosts.command("host", "drain", other)
        settle(hosts, [one])
        hosts.command("host", "resume", other)
        settle(hosts, HOSTS)
    assert sorted(hosts.holders()[name] for name in SWITCHES) == [one, other]
