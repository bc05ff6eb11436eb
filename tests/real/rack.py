"""A whole rack of real parts: git, a store with TLS, an Open vSwitch behind OpenSSH with its delegate,
and two hosts with an agent inside each.

Every process is the command that users start. Nothing runs at an interval here: what happens, happens
because the store woke somebody, or a signal did.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from rackwright.client import AdminClient
from rackwright.model.errors import Unreachable
from tests.real import parts
from tests.real.rack_site import SITE
from tests.real.restartable import Restartable

NEEDS = ("ovs-vswitchd", "ovsdb-server", "sshd", "ping", "ethtool", "git", "openssl", "setpriv")
PATIENCE = 40.0
SWITCH = "sw-a1"
HOSTS = {"h1": "p1", "h2": "p2"}
"""Each host, and the port that its eth0 is cabled to."""
ADDRESSES = {"h1": "192.0.2.1", "h2": "192.0.2.2"}
STRANGERS = {"q1": "198.51.100.1", "q2": "198.51.100.2"}
"""Ports in VLAN 777, which nobody told us of, and the addresses of the machines behind them."""


@dataclass(frozen=True)
class Store:
    """A running store."""

    process: subprocess.Popen[bytes]
    port: int


@dataclass
class Rack:
    """What a test does to the rack, and what it sees of it."""

    base: Path
    switch: parts.Ovs
    hosts: Mapping[str, parts.Host]
    strangers: tuple[parts.Host, parts.Host]
    door: Restartable[parts.Sshd]
    """The switch's sshd."""
    store: Restartable[Store] = field(init=False)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The store, from outside of the namespaces."""
        return f"https://127.0.0.1:{self.store.running.port}"

    @property
    def clone(self) -> Path:
        """The working tree that people commit in."""
        return self.base / "clone"

    @property
    def authority(self) -> Path:
        """The certificate that agents trust."""
        return self.base / "tls" / "ca.pem"

    @property
    def key(self) -> Path:
        """The file with the admin credential."""
        return self.base / "store" / "admin.credential"

    def admin(self) -> AdminClient:
        """The store, as its admin."""
        return AdminClient(self.url, self.key.read_text().strip(), ca=str(self.authority))

    def push(self, message: str, files: Mapping[str, str | None]) -> str:
        """Commit ``files`` (None: gone) in the clone and push; the commit that is then the newest."""
        for name, text in files.items():
            if text is None:
                (self.clone / name).unlink(missing_ok=True)
            else:
                (self.clone / name).write_text(text)
        git(self.clone, "add", "--all")
        if git(self.clone, "status", "--porcelain"):
            git(self.clone, "commit", "--quiet", "--message", message)
            git(self.clone, "push", "--quiet", "origin", "main")
        return self.head()

    def head(self) -> str:
        """The newest commit."""
        return git(self.clone, "rev-parse", "HEAD").strip()

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

    def converged(self, commit: str) -> None:
        """Wait until ``commit`` is in force and every node is what it says."""
        seen: dict[str, Any] = {}

        def done() -> bool:
            with contextlib.suppress(Unreachable):
                seen.update(self.admin().status())
            force = (seen["store"]["in_force"] or {}).get("commit") if seen else None
            return force == commit and all(
                not node["pending"] and node["state"] in ("converged", "changed")
                for node in seen["nodes"]
            )

        try:
            parts.until(done, PATIENCE)
        except parts.PartError:
            raise AssertionError(f"{commit} did not come about: {json.dumps(seen, indent=1)}") from None  # fmt: skip

    def node(self, name: str) -> dict[str, Any]:
        """What the store's status says of one node."""
        nodes = self.admin().status()["nodes"]
        return dict(next(node for node in nodes if node["node"] == name))

    def reports(self, name: str, since: float) -> list[dict[str, Any]]:
        """The reports of runs that began after ``since``, oldest first."""
        admin = self.admin()
        runs = [run for run in admin.runs(name) if run["started"] > since]
        return [admin.report(name, run["id"]) for run in reversed(runs)]

    def run_now(self, *names: str) -> dict[str, dict[str, Any]]:
        """Send SIGUSR1 to the agents of these nodes, and wait for the report of each."""
        since = time.time()
        for name in names:
            self.processes[name].send_signal(signal.SIGUSR1)
        found: dict[str, dict[str, Any]] = {}

        def reported() -> bool:
            for name in names:
                for report in self.reports(name, since)[:1]:
                    found[name] = report
            return len(found) == len(names)

        parts.until(reported, PATIENCE, f"reports of {', '.join(names)} after SIGUSR1")
        return found

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

    def waits(self, name: str) -> list[str]:
        """Wait until a node is held up by others; what it waits for."""
        found: dict[str, Any] = {}

        def blocked() -> bool:
            found.update(self.node(name))
            return bool(found["state"] == "blocked")

        parts.until(blocked, PATIENCE, f"{name} is blocked")
        return list(found["waits_for"])

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

    def command(self, *words: str) -> str:
        """``rackwright WORDS``, as the admin, to its end."""
        env = {
            "RACKWRIGHT_STORE": self.url,
            "RACKWRIGHT_CA": str(self.authority),
            "RACKWRIGHT_ADMIN": str(self.key),
        }
        return parts.command([*RACKWRIGHT, *words], env=env)


RACKWRIGHT = (sys.executable, "-c", "from rackwright.cli.main import main; main()")


def git(where: Path, *words: str) -> str:
    """git, without the settings of this machine."""
    env = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "operator"),
        **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "operator@example.com"),
    }
    return parts.command(["git", "-C", str(where), *words], env=env)


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
        made = Rack(base, switch, hosts, (strangers[0], strangers[1]), door)
        _repository(made, address)
        _authority(base / "tls", [parts.across(way) for way in ways.values()])
        made.store = Restartable(lambda: _store(base))
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
    bare = rack.base / "site.git"
    bare.mkdir()
    git(bare, "init", "--quiet", "--bare", "--initial-branch=main")
    git(rack.base, "clone", "--quiet", str(bare), str(rack.clone))
    git(rack.clone, "checkout", "--quiet", "-B", "main")
    running = rack.door.running
    text = SITE.replace("HOST,", f"{address},").replace("USER", running.username)
    rack.push("The rack", {"site.yaml": text.replace("PINNED", running.host_key)})


def _authority(directory: Path, addresses: list[str]) -> None:
    """An authority of our own, and the certificate that it gives the store."""
    directory.mkdir()
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]  # fmt: skip
    new += ["-days", "2"]
    ca = ["-keyout", str(directory / "ca.key"), "-out", str(directory / "ca.pem")]
    parts.command([*new, *ca, "-subj", "/CN=authority of the rack"])
    names = ",".join(f"IP:{address}" for address in ("127.0.0.1", *addresses))
    store = ["-keyout", str(directory / "store.key"), "-out", str(directory / "store.pem")]
    signed = ["-CA", str(directory / "ca.pem"), "-CAkey", str(directory / "ca.key")]
    more = ["-addext", f"subjectAltName={names}", "-addext", "basicConstraints=critical,CA:FALSE"]
    parts.command([*new, *store, *signed, *more, "-subj", "/CN=store"])


@contextlib.contextmanager
def _store(base: Path) -> Iterator[Store]:
    """On a port that is free the first time, and on the same one again."""
    log, tls, kept = base / "store.log", base / "tls", base / "store.port"
    log.write_bytes(b"")
    port = kept.read_text() if kept.exists() else "0"
    argv = [*RACKWRIGHT, "store", "--site", str(base / "site.git"), "--listen", f"0.0.0.0:{port}"]
    argv += ["--data", str(base / "store")]
    argv += ["--tls-cert", str(tls / "store.pem"), "--tls-key", str(tls / "store.key")]
    ready = "store at "
    with parts.daemon(argv, log, env=UNBUFFERED, ready=lambda: ready in log.read_text()) as process:
        port = log.read_text().partition(ready)[2].partition(",")[0].rpartition(":")[2]
        kept.write_text(port)
        yield Store(process, int(port))


@contextlib.contextmanager
def _delegate(rack: Rack, token: str) -> Iterator[None]:
    state = rack.base / "state" / "admin"
    secrets = rack.base / "secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "sw-a1-key").touch(mode=0o600)
    (secrets / "sw-a1-key").write_text(rack.door.running.key)
    argv = ["delegate", SWITCH, "--store", rack.url, "--secrets", str(secrets)]
    with _daemon(rack, SWITCH, [*argv, "--state", str(state)], token):
        yield


@contextlib.contextmanager
def _agent(rack: Rack, name: str, gateway: str, token: str) -> Iterator[None]:
    """Inside the host's namespace, with the store behind its management interface."""
    state = rack.base / "state" / name
    url = f"https://{gateway}:{rack.store.running.port}"
    argv = ["agent", "--node", name, "--store", url, "--state", str(state)]
    with _daemon(rack, name, argv, token, ns=rack.hosts[name].ns):
        yield


@contextlib.contextmanager
def _daemon(rack: Rack, name: str, argv: list[str], token: str, ns: str = "") -> Iterator[None]:
    env = {**UNBUFFERED, "RACKWRIGHT_TOKEN": token, "RACKWRIGHT_CA": str(rack.authority)}
    command = [*RACKWRIGHT, *argv, "--json"]
    with parts.daemon(command, rack.base / f"{name}.log", ns=ns, env=env) as process:
        rack.processes[name] = process
        yield


UNBUFFERED = {"PYTHONUNBUFFERED": "1"}
