"""Real software as parts of a test rack: a context manager a part.

Everything lives in network namespaces of our own and in a temporary directory. A daemon runs in the
foreground with its streams redirected, is ended by its pid, and dies with the test process even if
that is killed. Namespaces that a killed run left behind are swept when the next one starts.
"""

from __future__ import annotations

import contextlib
import functools
import getpass
import itertools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PREFIX = "rwt"
_numbers = itertools.count()


class PartError(Exception):
    """A part did not start, or not do what it was told; the message holds what it said."""


def until(condition: Callable[[], object], timeout: float = 10.0, what: str = "") -> None:
    """Wait for ``condition``. Raises PartError that names ``what`` when it does not come."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise PartError(f"did not happen within {timeout:g} s: {what or condition}")
        time.sleep(0.02)


def missing(*programs: str) -> str:
    """Reason to skip: the programs of ``programs`` that are not installed; empty when all are."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/lib/frr"
    absent = [name for name in programs if shutil.which(name, path=path) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


def no_namespaces() -> str:
    """Reason to skip where network namespaces cannot be made; empty where they can."""
    if os.geteuid() != 0:
        return "needs root"
    if missing("ip", "setpriv"):
        return missing("ip", "setpriv")
    name = f"{PREFIX}-{os.getpid()}-probe"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if tried.returncode:
        return f"cannot make a network namespace: {tried.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], check=True)
    return ""


def command(
    argv: Sequence[str], *, ns: str = "", env: Mapping[str, str] | None = None, timeout: float = 20
) -> str:
    """Run to its end, in namespace ``ns`` if one is named; its output. Raises PartError."""
    done = subprocess.run(
        [*(("ip", "netns", "exec", ns) if ns else ()), *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        env={**os.environ, **(env or {})},
    )
    if done.returncode:
        raise PartError(f"{' '.join(argv)}: status {done.returncode}: {done.stdout.strip()}")
    return done.stdout


@contextlib.contextmanager
def daemon(
    argv: Sequence[str],
    log: Path,
    *,
    ns: str = "",
    env: Mapping[str, str] | None = None,
    ready: Callable[[], object] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that stays in the foreground, ready when ``ready`` says so. Must not fork away."""
    inside = ["ip", "netns", "exec", ns] if ns else []
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [*inside, "setpriv", "--pdeathsig", "KILL", *argv],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            env={**os.environ, **(env or {})},
        )

    def is_up() -> bool:
        if process.poll() is not None:
            raise PartError(f"{argv[0]} ended at once: {log.read_text(errors='replace')[-2000:]}")
        return ready is None or bool(ready())

    try:
        until(is_up, what=f"{argv[0]} ready; see {log}")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(3)


def sweep() -> None:
    """Remove namespaces of test processes that are gone."""
    for line in command(["ip", "netns", "list"]).splitlines():
        name = line.split()[0] if line.split() else ""
        parts = name.split("-")
        if parts[0] == PREFIX and parts[1].isdecimal() and not Path(f"/proc/{parts[1]}").exists():
            _remove(name)


def _remove(name: str) -> None:
    listed = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
    for pid in listed.stdout.split():  # only what we started can be in a namespace that we made
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), 9)
    subprocess.run(["ip", "netns", "del", name], capture_output=True)


@contextlib.contextmanager
def namespace(role: str) -> Iterator[str]:
    """A network namespace with its loopback up; its name is unique to this process."""
    name = f"{PREFIX}-{os.getpid()}-{next(_numbers)}-{role}"
    command(["ip", "netns", "add", name])
    try:
        command(["ip", "link", "set", "lo", "up"], ns=name)
        yield name
    finally:
        _remove(name)


def cable(ns_a: str, port_a: str, ns_b: str, port_b: str) -> None:
    """A veth pair with both ends up; it goes when one of its namespaces goes."""
    command(["ip", "link", "add", port_a, "netns", ns_a, "type", "veth", "peer", "name", port_b, "netns", ns_b])  # fmt: skip
    command(["ip", "link", "set", port_a, "up"], ns=ns_a)
    command(["ip", "link", "set", port_b, "up"], ns=ns_b)


@dataclass(frozen=True)
class Host:
    """A machine with one NIC, ``eth0``."""

    ns: str
    address: str

    def pings(self, address: str, *, within: float = 4.0) -> bool:
        """Whether an answer comes within ``within`` seconds (a change of VLAN takes ARP about one
        second to notice, so one lost packet says nothing)."""
        end = time.monotonic() + within
        while True:
            probe = subprocess.run(
                ["ip", "netns", "exec", self.ns, "ping", "-n", "-c1", "-W1", address],
                capture_output=True,
            )
            if probe.returncode == 0:
                return True
            if time.monotonic() > end:
                return False


@contextlib.contextmanager
def host(switch_ns: str, port: str, address: str) -> Iterator[Host]:
    """A host with ``address`` (a.b.c.d/len) on eth0, cabled to ``port`` in the switch's namespace."""
    with namespace(f"host-{port}") as name:
        cable(switch_ns, port, name, "eth0")
        command(["ip", "address", "add", address, "dev", "eth0"], ns=name)
        own_checksums("eth0", ns=name)
        yield Host(name, address.partition("/")[0])


def own_checksums(interface: str, ns: str = "") -> None:
    """Let the sender complete its checksums: the userspace datapath does not, and TCP stands still."""
    command(["ethtool", "-K", interface, "tx", "off"], ns=ns)


@contextlib.contextmanager
def management(ns: str, *, through: str = "mgmt0") -> Iterator[str]:
    """A cable between the test and ``ns``, where its end is ``mgmt0``; the address that ``ns``
    answers on (a /30 of our own), which is on the interface ``through``."""
    for number in range(256):
        outside = f"{PREFIX}m{number}"  # making the interface is what reserves the number
        made = subprocess.run(
            ["ip", "link", "add", outside, "type", "veth", "peer", "name", "mgmt0", "netns", ns],
            capture_output=True,
        )
        if made.returncode == 0:
            break
    else:
        raise PartError("no management network is free")
    try:
        command(["ip", "address", "add", f"10.99.{number}.1/30", "dev", outside])
        command(["ip", "link", "set", outside, "up"])
        command(["ip", "address", "add", f"10.99.{number}.2/30", "dev", through], ns=ns)
        for interface in {"mgmt0", through}:
            command(["ip", "link", "set", interface, "up"], ns=ns)
        if through != "mgmt0":
            own_checksums(outside)
            own_checksums(through, ns=ns)
        yield f"10.99.{number}.2"
    finally:
        subprocess.run(["ip", "link", "del", outside], capture_output=True)


def across(address: str) -> str:
    """Our own end of the management cable to ``address``: where a store can be reached from there."""
    network, _, _ = address.rpartition(".")
    return f"{network}.1"


@dataclass(frozen=True)
class Ovs:
    """An Open vSwitch with bridge ``br0`` on the userspace datapath."""

    ns: str
    run: Path
    env: Mapping[str, str] = field(default_factory=dict)

    def vsctl(self, *argv: str) -> str:
        """``ovs-vsctl`` against its database, around the provider."""
        return command(["ovs-vsctl", f"--db=unix:{self.run}/db.sock", *argv])

    def plug(self, port: str, *settings: str) -> None:
        """Put an interface of its namespace on br0."""
        self.vsctl("add-port", "br0", port, *settings)


@contextlib.contextmanager
def open_vswitch(run: Path) -> Iterator[Ovs]:
    """ovsdb-server and ovs-vswitchd in a namespace; ``run`` holds their sockets and database."""
    run.mkdir(parents=True, exist_ok=True)
    env = {"OVS_RUNDIR": str(run), "OVS_LOGDIR": str(run), "OVS_DBDIR": str(run)}
    schema = "/usr/share/openvswitch/vswitch.ovsschema"
    command(["ovsdb-tool", "create", str(run / "conf.db"), schema], env=env)
    server = ["ovsdb-server", str(run / "conf.db"), f"--remote=punix:{run}/db.sock"]
    server += [f"--unixctl={run}/ovsdb.ctl", f"--pidfile={run}/ovsdb-server.pid", "--no-chdir"]
    switchd = ["ovs-vswitchd", f"unix:{run}/db.sock"]
    # ovs-appctl looks for the socket by the pid in the pidfile, so its name is left to the daemon.
    switchd += [f"--pidfile={run}/ovs-vswitchd.pid", "--no-chdir"]
    with contextlib.ExitStack() as stack:
        ns = stack.enter_context(namespace("sw"))
        ovs = Ovs(ns, run, env)
        init = functools.partial(_works, ovs.vsctl, "--timeout=2", "--no-wait", "init")
        stack.enter_context(daemon(server, run / "ovsdb.out", ns=ns, env=env, ready=init))
        up = functools.partial(_holds, run, "ovs-vswitchd.*.ctl")
        stack.enter_context(daemon(switchd, run / "vswitchd.out", ns=ns, env=env, ready=up))
        ovs.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev")
        yield ovs


def _works(act: Callable[..., object], *words: str) -> bool:
    """Whether ``act`` goes well: a socket that is there need not be listened to yet."""
    try:
        act(*words)
    except PartError:
        return False
    return True


def _holds(directory: Path, pattern: str) -> bool:
    return any(directory.glob(pattern))


@dataclass(frozen=True)
class Sshd:
    """OpenSSH's server, for the user who runs the test, with one accepted key."""

    host: str
    port: int
    username: str
    key: str
    """Private key text."""
    host_key: str
    """Public key text."""
    process: subprocess.Popen[bytes]

    def options(self, **changes: object) -> dict[str, object]:
        """Options of the ``ssh`` transport that log in."""
        options: dict[str, object] = {
            "host": self.host,
            "port": self.port,
            "username": self.username,
            "key": self.key,
            "host_key": self.host_key,
        }
        return {**options, **changes}


def ssh_key(path: Path, kind: str = "ed25519") -> tuple[str, str]:
    """A new key pair at ``path``: private text, public text without comment."""
    if not path.exists():
        command(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", str(path)])
    return path.read_text(), path.with_name(f"{path.name}.pub").read_text().strip()


@contextlib.contextmanager
def sshd(
    run: Path,
    *,
    ns: str = "",
    host: str = "127.0.0.1",
    port: int = 2222,
    env: Mapping[str, str] | None = None,
    lines: Sequence[str] = (),
    seen_from: str = "",
) -> Iterator[Sshd]:
    """``env`` is set in every session; ``lines`` are put first in its configuration. The home
    directory of its sessions is ``run``, so that no dotfile of the machine plays a part. It is ready
    when it listens, as ``seen_from`` (a namespace) can tell."""
    run.mkdir(parents=True, exist_ok=True)
    key, public = ssh_key(run / "user_key")
    _, host_key = ssh_key(run / "host_key")
    (run / "authorized_keys").write_text(f"{public}\n")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    setenv = {"HOME": str(run), **(env or {})}
    config = [
        *lines,
        f"ListenAddress {host}:{port}",
        f"HostKey {run}/host_key",
        f"AuthorizedKeysFile {run}/authorized_keys",
        f"PidFile {run}/sshd.pid",
        "UsePAM no",
        "StrictModes no",
        "PermitRootLogin yes",
        "MaxStartups 50:30:100",
        "SetEnv " + " ".join(f'{name}="{value}"' for name, value in setenv.items()),
    ]
    (run / "sshd_config").write_text("".join(f"{line}\n" for line in config))

    def listens() -> bool:
        if seen_from:
            return f"{host}:{port}" in command(["ss", "-Hltn"], ns=seen_from)
        try:
            socket.create_connection((host, port), 1).close()
        except OSError:
            return False
        return True

    argv = ["/usr/sbin/sshd", "-D", "-e", "-f", str(run / "sshd_config")]
    with daemon(argv, run / "sshd.out", ns=ns, ready=listens) as process:
        yield Sshd(host, port, getpass.getuser(), key, host_key, process)
