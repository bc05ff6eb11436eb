"""A whole rack of real parts: git, a store with TLS, an Open vSwitch behind OpenSSH with its delegate,
and two hosts with an agent inside each.

Every process is the command that users start. Nothing runs at an interval here: what happens, happens
because the store woke somebody, or a signal did.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.real import parts, served
from tests.real.rack_site import SITE
from tests.real.restartable import Restartable
from tests.real.served import Served

NEEDS = ("ovs-vswitchd", "ovsdb-server", "sshd", "ping", "ethtool", "git", "openssl", "setpriv")
SWITCH = "sw-a1"
HOSTS = {"h1": "p1", "h2": "p2"}
"""Each host, and the port that its eth0 is cabled to."""
ADDRESSES = {"h1": "192.0.2.1", "h2": "192.0.2.2"}
STRANGERS = {"q1": "198.51.100.1", "q2": "198.51.100.2"}
"""Ports in VLAN 777, which nobody told us of, and the addresses of the machines behind them."""


@dataclass(kw_only=True)
class Rack(Served):
    """What a test does to the rack, and what it sees of it."""

    switch: parts.Ovs
    hosts: Mapping[str, parts.Host]
    strangers: tuple[parts.Host, parts.Host]
    door: Restartable[parts.Sshd]
    """The switch's sshd."""

    def become(self, files: Mapping[str, str]) -> None:
        """Have nothing but the base of the site and ``files``, whatever was there before."""
        if self.door.running.process.poll() is not None:
            self.door.start()
        there = {path.name for path in self.clone.glob("*.yaml")} - {"site.yaml"}
        commit = self.push("As it was", {**dict.fromkeys(there), **files})
        if self.node(SWITCH)["state"] not in ("converged", "changed"):
            self.run_now(SWITCH)
        self.converged(commit)
        self.run_now(SWITCH, *HOSTS)  # so that no news is left that would wake anybody

    def pings(self, *, within: float = 4.0) -> bool:
        """Whether h1 reaches h2."""
        return self.hosts["h1"].pings(ADDRESSES["h2"], within=within)

    def strangers_ping(self) -> bool:
        """Whether VLAN 777 still works."""
        near, far = self.strangers
        return near.pings(far.address)

    def foreign(self) -> str:
        """All on the switch that is not ours, as the switch lists it."""
        ask = ["--columns=name,tag,trunks,vlan_mode,external_ids,other_config", "list", "Port"]
        return "".join(
            [
                self.switch.vsctl(*ask, *STRANGERS, "br0"),
                self.switch.vsctl("--columns=external_ids,other_config", "list", "Bridge", "br0"),
                *(
                    self.switch.vsctl("get", "Port", p, "external_ids:owner")
                    for p in HOSTS.values()
                ),
                self.switch.vsctl("get", "Open_vSwitch", ".", "external_ids:rack-owner"),
            ]
        )

    def written(self) -> tuple[str, bytes]:
        """What every write to the switch changes: the count of configurations, and the file of
        transactions, which is only ever added to."""
        count = self.switch.vsctl("get", "Open_vSwitch", ".", "next_cfg")
        return count, (self.switch.run / "conf.db").read_bytes()

    @contextlib.contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """An agent, the delegate or ovs-vswitchd stands still, and goes on where it was.

        Without ovs-vswitchd a transaction gets into the database, and the ovs-vsctl that sent it
        waits for ovs-vswitchd to have done it; what only reads, goes on.
        """
        if name == "ovs-vswitchd":
            process = psutil.Process(int((self.switch.run / f"{name}.pid").read_text()))
        else:
            process = psutil.Process(self.processes[name].pid)
        process.suspend()
        try:
            yield
        finally:
            process.resume()

    def vlan_is_kept(self, vlan: int) -> bool:
        """Whether a port carries the VLAN, or we have a record of it."""
        tags = self.switch.vsctl("--bare", "--columns=tag,trunks", "list", "Port").split()
        return str(vlan) in tags or f"rackwright-vlan-{vlan}=" in self.switch.vsctl(
            "get", "Open_vSwitch", ".", "external_ids"
        )

    @contextlib.contextmanager
    def watching(self, host: str) -> Iterator[Path]:
        """The kernel's own log of what is done to eth0 of a host, each line with its time."""
        log = self.base / f"{host}.monitor"
        log.write_bytes(b"")
        argv = ["ip", "-ts", "-o", "monitor", "link", "address", "dev", "eth0"]
        ns = self.hosts[host].ns

        def mark(address: str) -> None:
            for verb in ("add", "del"):
                words = ["ip", "address", verb, address, "scope", "link", "dev", "eth0"]
                parts.command(words, ns=ns)

        def listens() -> bool:
            mark("169.254.9.1/32")
            return bool(log.read_bytes())

        with parts.daemon(argv, log, ns=ns, ready=listens):
            mark("169.254.9.2/32")  # what is behind this one is not our own
            last = re.compile(r"Deleted .* 169\.254\.9\.2/32 .*\n")
            parts.until(lambda: last.search(log.read_text()), what="the end of our own marks")
            os.truncate(log, 0)
            yield log


@contextlib.contextmanager
def rack(base: Path) -> Iterator[Rack]:
    """The rack with the base of its site in force and converged."""
    with contextlib.ExitStack() as stack:
        switch = stack.enter_context(parts.open_vswitch(base / "ovs"))
        address = stack.enter_context(parts.management(switch.ns))
        door = Restartable(
            lambda: parts.sshd(base / "sshd", ns=switch.ns, host=address, env=switch.env)
        )
        stack.callback(door.close)
        strangers = tuple(
            stack.enter_context(parts.host(switch.ns, port, f"{own}/24"))
            for port, own in STRANGERS.items()
        )
        hosts = {name: stack.enter_context(_host(switch.ns, name, port)) for name, port in HOSTS.items()}  # fmt: skip
        ways = {
            name: stack.enter_context(parts.management(host.ns)) for name, host in hosts.items()
        }
        for port in STRANGERS:
            switch.plug(port, "tag=777", "external_ids:owner=someone")
        for number, port in enumerate(HOSTS.values()):
            switch.plug(port, f"tag={10 + number}", "external_ids:owner=someone")
        switch.vsctl("set", "Bridge", "br0", "external_ids:owner=someone", "other_config:mac-aging-time=77")  # fmt: skip
        switch.vsctl("set", "Open_vSwitch", ".", "external_ids:rack-owner=someone")
        made = Rack(
            base=base,
            switch=switch,
            hosts=hosts,
            strangers=(strangers[0], strangers[1]),
            door=door,
        )
        _repository(made, address)
        served.authority(base / "tls", [parts.across(way) for way in ways.values()])
        made.store = Restartable(lambda: served.store(base))
        stack.callback(lambda: made.store.close())
        tokens = {
            names: made.admin().create_token(names)["token"]
            for names in ((SWITCH,), *((name,) for name in hosts))
        }
        stack.enter_context(_delegate(made, tokens[SWITCH,]))
        for name, way in ways.items():
            stack.enter_context(_agent(made, name, parts.across(way), tokens[name,]))
        made.converged(made.head())
        yield made


@contextlib.contextmanager
def _host(switch_ns: str, name: str, port: str) -> Iterator[parts.Host]:
    """A machine whose eth0 is cabled and no more: the rest is for its agent."""
    with parts.namespace(name) as ns:
        parts.cable(switch_ns, port, ns, "eth0")
        parts.own_checksums("eth0", ns=ns)
        yield parts.Host(ns, ADDRESSES[name])


def _repository(rack: Rack, address: str) -> None:
    """The site, in a bare repository that a clone pushes to."""
    running = rack.door.running
    text = SITE.replace("HOST,", f"{address},").replace("USER", running.username)
    served.repository(rack, {"site.yaml": text.replace("PINNED", running.host_key)})


@contextlib.contextmanager
def _delegate(rack: Rack, token: str) -> Iterator[None]:
    state = rack.base / "state" / "admin"
    secrets = rack.base / "secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "sw-a1-key").touch(mode=0o600)
    (secrets / "sw-a1-key").write_text(rack.door.running.key)
    argv = ["delegate", SWITCH, "--store", rack.url, "--secrets", str(secrets)]
    with served.daemon(rack, SWITCH, [*argv, "--state", str(state)], token):
        yield


@contextlib.contextmanager
def _agent(rack: Rack, name: str, gateway: str, token: str) -> Iterator[None]:
    """Inside the host's namespace, with the store behind its management interface."""
    state = rack.base / "state" / name
    url = f"https://{gateway}:{rack.store.running.port}"
    argv = ["agent", "--node", name, "--store", url, "--state", str(state)]
    with served.daemon(rack, name, argv, token, ns=rack.hosts[name].ns):
        yield
