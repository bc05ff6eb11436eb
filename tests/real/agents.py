"""SNMP and LLDP as other people's software speaks them: net-snmp's snmpd and lldpd."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.real import parts


@dataclass(frozen=True)
class Snmpd:
    """An agent with one community and one v3 user, both of whom may read and write everything."""

    host: str
    port: int
    community: str = "rack-rw"
    username: str = "rackv3"
    auth: str = "auth-passphrase"
    priv: str = "priv-passphrase"

    def v2c(self, **changes: object) -> dict[str, object]:
        """Options of the ``snmp`` transport."""
        way: dict[str, object] = {"host": self.host, "port": self.port, "community": self.community}
        return {**way, **changes}

    def v3(self, **changes: object) -> dict[str, object]:
        """Options of the ``snmp`` transport: authPriv with SHA and AES."""
        way: dict[str, object] = {
            "host": self.host,
            "port": self.port,
            "version": "3",
            "username": self.username,
            "auth": self.auth,
            "auth_protocol": "SHA",
            "priv": self.priv,
            "priv_protocol": "AES",
        }
        return {**way, **changes}


@contextlib.contextmanager
def snmpd(
    run: Path, *, ns: str = "", host: str = "127.0.0.1", port: int = 161, lines: Sequence[str] = ()
) -> Iterator[Snmpd]:
    """``lines`` are added to its configuration (``pass …``, ``master agentx``). In a namespace with
    `parts.management` its ports are really set: ifAdminStatus downs them."""
    run.mkdir(parents=True, exist_ok=True)
    agent = Snmpd(host, port)
    config = [
        f"createUser {agent.username} SHA {agent.auth} AES {agent.priv}",
        f"rwuser {agent.username} authPriv",
        f"rwcommunity {agent.community}",
        "sysName rack-snmpd",
        f"agentXSocket {run}/agentx",
        *lines,
    ]
    (run / "snmpd.conf").write_text("".join(f"{line}\n" for line in config))
    argv = ["snmpd", "-f", "-Lo", "-C", "-c", str(run / "snmpd.conf"), f"udp:{host}:{port}"]
    env = {"SNMP_PERSISTENT_DIR": str(run / "state"), "MIBS": ""}

    def answers() -> bool:
        ask = ["snmpget", "-v2c", "-c", agent.community, "-t1", "-r0", f"{host}:{port}", SYS_NAME]
        try:
            return "rack-snmpd" in parts.command(ask, env={"MIBS": ""})
        except parts.PartError:
            return False

    with parts.daemon(argv, run / "snmpd.out", ns=ns, env=env, ready=answers):
        yield agent


SYS_NAME = "1.3.6.1.2.1.1.5.0"


@dataclass(frozen=True)
class Lldpd:
    """lldpd of one machine."""

    socket: Path

    @property
    def env(self) -> Mapping[str, str]:
        """What lets a plain ``lldpctl`` find it: lldpctl knows no variable for its socket."""
        return {"PATH": f"{self.socket.parent}:/usr/sbin:/usr/bin:/sbin:/bin"}

    def neighbours(self) -> str:
        """``lldpctl``'s JSON."""
        return parts.command(["lldpctl", "-u", str(self.socket), "-f", "json0"])


@contextlib.contextmanager
def lldpd(ns: str, hostname: str, *ports: str, agentx: Path | None = None) -> Iterator[Lldpd]:
    """A machine called ``hostname`` that speaks LLDP every second on ``ports`` of ``ns``, and tells
    it in LLDP-MIB to the snmpd whose ``agentx`` socket that is."""
    run = Path(tempfile.mkdtemp(prefix=f"{parts.PREFIX}-lldpd-"))  # short: it is a socket's path
    try:
        run.chmod(0o755)
        Path("/run/lldpd").mkdir(exist_ok=True)  # where it locks itself in
        socket = run / "lldpd.socket"
        pattern = ",".join(ports)
        argv = ["unshare", "-u", "sh", "-c", 'hostname "$0" && exec "$@"', hostname]
        argv += ["lldpd", "-d", "-u", str(socket), "-I", pattern, "-C", pattern, "-O", "/dev/null"]
        argv += ["-x", "-X", str(agentx)] if agentx else []
        lldp = Lldpd(socket)

        def answers() -> bool:
            try:
                return bool(lldp.neighbours())
            except parts.PartError:
                return False

        with parts.daemon(argv, run / "lldpd.out", ns=ns, ready=answers):
            wrapper = run / "lldpctl"
            wrapper.write_text(f'#!/bin/sh\nexec /usr/sbin/lldpctl -u {socket} "$@"\n')
            wrapper.chmod(0o755)
            parts.command(
                ["lldpcli", "-u", str(socket), "configure", "lldp", "tx-interval", "1"],
                env=os.environ,
            )
            yield lldp
    finally:
        shutil.rmtree(run, ignore_errors=True)
