"""Sessions with an Open vSwitch over SSH exec channels: one that reads, one that also writes."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from rackwright.model.errors import Permanent, RackwrightError, Rejected, Temporary
from rackwright_providers.switch import ovs_tables
from rackwright_providers.transport.ssh_connection import Completed, SshConnection

TIMEOUT = 20
"""Seconds that ovs-vsctl may wait for the database and for ovs-vswitchd."""
SETTLE = 5
"""Seconds that an interface may take to show its new state or MTU."""
LONGEST_COMMAND = 100_000
"""Characters. sshd hands a command to the shell as one argument, which Linux limits to 128 KiB."""

NOT_FOUND = 127
ALARM = 142  # killed by SIGALRM, which is how ovs-vsctl's --timeout ends


class OvsReader:
    """Has no way to write: its commands are fixed, and none of them changes anything."""

    def __init__(self, connection: SshConnection) -> None:
        self.via = connection.via
        self._connection = connection

    def alive(self) -> bool:
        """See `Session.alive`."""
        return self._connection.alive()

    def gone(self) -> bool:
        """See `Session`."""
        return self._connection.gone()

    def close(self) -> None:
        """See `Session.close`."""
        self._connection.close()

    def tables(self) -> ovs_tables.Tables:
        """All that is configured, in one exchange."""
        return ovs_tables.parse(self._checked(ovs_tables.read_argv(TIMEOUT)))

    def mac_table(self, bridge: str) -> str:
        """``ovs-appctl fdb/show``; empty where our user may not ask ovs-vswitchd."""
        return self._asked("ovs-appctl", f"--timeout={TIMEOUT}", "fdb/show", bridge)

    def version(self) -> str:
        """``ovs-vswitchd (Open vSwitch) 3.1.0``; empty where our user may not ask it."""
        return self._asked("ovs-appctl", f"--timeout={TIMEOUT}", "version").partition("\n")[0]

    def lldp(self) -> str:
        """lldpd's neighbours as JSON; empty where lldpd does not run."""
        return self._asked("lldpctl", "-f", "json0")

    def path(self) -> tuple[str, str, str]:
        """How this session reaches the switch: ``SSH_CONNECTION``, ``ip -j route get`` of our
        address as the switch sees it, and its neighbour table; each empty when unknown."""
        peers = self._asked("sh", "-c", 'printf %s "$SSH_CONNECTION"')
        client = peers.split()[:1]
        if not client:
            return "", "", ""
        return (
            peers,
            self._asked("ip", "-j", "route", "get", client[0]),
            self._asked("ip", "-j", "neigh", "show"),
        )

    def _asked(self, *argv: str) -> str:
        done = self._connection.run(argv)
        return "" if done.status else done.stdout.decode("utf-8", "replace")

    def _checked(self, argv: Sequence[str], stdin: bytes = b"") -> bytes:
        done = self._connection.run(argv, stdin, timeout=TIMEOUT + 10)
        if done.status:
            raise failure(self.via, done)
        return done.stdout


class OvsWriter(OvsReader):
    """Can also write."""

    def transact(self, commands: Sequence[Sequence[str]]) -> None:
        """All of ``commands`` in one database transaction, and wait until ovs-vswitchd has made it
        so. Raises Rejected when one of them is refused; then none is done."""
        argv = ["ovs-vsctl", f"--timeout={TIMEOUT}"]
        for command in commands:
            argv += ["--", *command]
        line = shlex.join(argv)
        if len(line) > LONGEST_COMMAND:
            self._checked(["sh"], f"exec {line}\n".encode())
        else:
            self._checked(argv)

    def set_admin(self, port: str, state: str) -> None:
        """Administrative state of an interface (``up`` or ``down``): the kernel's, not in the
        database, so it is set by ``ip link`` and has to be set again after a reboot."""
        self._checked(["ip", "link", "set", "dev", port, state])

    def wait_for(self, port: str, column: str, value: str) -> None:
        """Wait until ovs-vswitchd has seen ``column`` of an interface become ``value``. That it
        has not is for the read-back to find."""
        self._connection.run(
            [
                "ovs-vsctl",
                f"--timeout={SETTLE}",
                "wait-until",
                "Interface",
                port,
                f"{column}={value}",
            ],
            timeout=SETTLE + 10,
        )


def failure(via: str, done: Completed) -> RackwrightError:
    """What a command that ended with a status other than 0 means."""
    said = done.stderr.decode("utf-8", "replace").strip() or done.stdout.decode("utf-8", "replace")
    text = said.strip().splitlines()[-1] if said.strip() else f"status {done.status}"
    if done.status == ALARM:
        return Temporary(
            f"{via}: ovs-vsctl was not done within {TIMEOUT} s; does ovs-vswitchd run? "
            "What was sent may be in the database"
        )
    if done.status == NOT_FOUND:
        return Permanent(f"{via}: {text}")
    if "permission denied" in said.lower():
        return Permanent(f"{via}: the user may not manage Open vSwitch: {text}")
    if "connection failed" in said or "connection attempt failed" in said:
        return Temporary(f"{via}: the database does not answer: {text}")
    return Rejected(text.removeprefix("ovs-vsctl: "), output=said)
