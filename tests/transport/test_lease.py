"""After a lease has ended nothing leaves, over any transport: seen from the far end."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import pty
import select
import socket
import stat
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import serial
import serial.rfc2217

from rackwright.leasing import Lease
from rackwright.model.errors import Unreachable
from rackwright.model.site import Http, Ipmi, Serial, Snmp, Ssh
from rackwright.provider import Surroundings
from rackwright_providers.transport import ipmi, leased, loop, snmp, ssh
from rackwright_providers.transport.http import HttpSession, open_http
from rackwright_providers.transport.serial import open_serial
from tests.real.parts import until

from .http_server import Certificate, Reply, certificate, device
from .ssh_server import PASSWORD, ssh_server

ENDED = "the lease on dev1 ended"


class Held(Lease):
    """A lease that the test ends."""

    def __init__(self, left: float = 10.0) -> None:
        super().__init__("dev1", 7, time.monotonic() + left, time.monotonic)

    def lapse(self) -> None:
        self.ends = time.monotonic()


@pytest.fixture
def lease() -> Held:
    return Held()


@pytest.fixture
def around(tmp_path: Path, lease: Held) -> Surroundings:
    return Surroundings(state=tmp_path / "state", writable=True, lease=lease)


class Wire:
    """Stands between us and a server, and counts what we send."""

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.sent = 0
        self.ended = threading.Event()
        """Our end of a connection is gone."""
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                theirs = socket.create_connection(self._server)
                for one, other in ((ours, theirs), (theirs, ours)):
                    threading.Thread(target=self._carry, args=(one, other, ours), daemon=True).start()  # fmt: skip

    def _carry(self, one: socket.socket, other: socket.socket, ours: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                self.sent += len(data) if one is ours else 0
                other.sendall(data)
        if one is ours:
            self.ended.set()
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def tapped() -> Iterator[Callable[[int], Wire]]:
    wires: list[Wire] = []

    def tap(port: int) -> Wire:
        wires.append(Wire(port))
        return wires[-1]

    yield tap
    for wire in wires:
        wire.close()


Tap = Callable[[int], Wire]


@contextlib.contextmanager
def silence(wire: Wire, lease: Held) -> Iterator[None]:
    """End the lease; nothing of what is done then may reach the wire."""
    lease.lapse()
    sent = wire.sent
    yield
    assert wire.ended.wait(10)  # so all that was sent has been counted
    assert wire.sent == sent


# SSH


def test_ssh(around: Surroundings, lease: Held, tapped: Tap) -> None:
    with ssh_server() as server:
        wire = tapped(server.port)
        options = Ssh(host="127.0.0.1", port=wire.port, username="rack", password=PASSWORD)
        connection = ssh.open_ssh(options, around)
        shell = connection.shell()
        assert connection.alive()
        shell.write(b"show version\r")
        until(lambda: shell.read(0.1))
        with silence(wire, lease):
            with pytest.raises(Unreachable, match=ENDED):
                shell.write(b"reload\r")
            with pytest.raises(Unreachable, match=ENDED):
                connection.run(["reboot"])
            with pytest.raises(Unreachable, match=ENDED):
                connection.shell()
            assert not connection.alive()
            shell.close()
            connection.close()
        with pytest.raises(Unreachable, match=ENDED):
            ssh.open_ssh(options, around)


def test_ssh_below_all_that_looks_before(around: Surroundings, lease: Held, tapped: Tap) -> None:
    """What the SSH library sends by itself, and what was on its way through the loop."""
    with ssh_server() as server:
        wire = tapped(server.port)
        options = Ssh(host="127.0.0.1", port=wire.port, username="rack", password=PASSWORD)
        connection = ssh.open_ssh(options, around)
        with silence(wire, lease):
            with contextlib.suppress(Exception):
                loop.call(connection._echo(), 5.0)
            assert connection.gone()
            with contextlib.suppress(Exception):
                loop.call(connection._close(), 5.0)


# HTTPS


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls") / "device.pem")


@pytest.mark.parametrize("secure", [True, False], ids=["https", "http"])
def test_http(
    around: Surroundings, lease: Held, tapped: Tap, tls: Certificate, secure: bool
) -> None:
    with device(lambda *_: Reply(), tls if secure else None) as found:
        wire = tapped(int(found.url.rpartition(":")[2]))
        url = f"http{'s' if secure else ''}://127.0.0.1:{wire.port}"
        session = open_http(Http(url=url, ca=tls.pem if secure else ""), around)
        assert isinstance(session, HttpSession)
        session.request("POST", "/1", json={})
        with silence(wire, lease):
            with pytest.raises(Unreachable, match=ENDED):
                session.request("POST", "/2", json={})
            session._lease = None  # nor below what looks before
            with pytest.raises(Unreachable):
                session.request("POST", "/3", json={})
            session.close()
    assert found.lines() == ["POST /1"]


# Serial


class Line:
    """A pty that counts what is written to it."""

    def __init__(self) -> None:
        self.master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)

    def came(self) -> bytes:
        found = b""
        while select.select([self.master], [], [], 0.05)[0]:
            found += os.read(self.master, 4096)
        return found


def test_serial(around: Surroundings, lease: Held) -> None:
    line = Line()
    stream = open_serial(Serial(port=line.path, baud=9600), around)
    stream.write(b"show version\r")
    assert line.came() == b"show version\r"
    # What would still be on the line when the lease ends is not begun either.
    lease.ends = time.monotonic() + 0.05
    with pytest.raises(Unreachable, match=r"ends in .*: it is not sent"):
        stream.write(b"x" * 100)
    lease.lapse()
    with pytest.raises(Unreachable, match=ENDED):
        stream.write(b"reload\r")
    stream.close()
    assert line.came() == b""
    with pytest.raises(Unreachable, match=ENDED):
        open_serial(Serial(port=line.path), around)


class TerminalServer:
    """RFC 2217, by pyserial's own server side, or the bytes alone."""

    def __init__(self, *, control: bool) -> None:
        self._control = control
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        line = serial.serial_for_url("loop://", timeout=0)
        who, _ = self._listener.accept()
        self.write = who.sendall
        manager: Any = None
        if self._control:
            manager = serial.rfc2217.PortManager(line, self, logging.getLogger("ignored"))
        with contextlib.suppress(OSError):
            while data := who.recv(4096):
                if manager is not None:
                    data = b"".join(manager.filter(data))
                who.sendall(data)

    def close(self) -> None:
        self._listener.close()


@pytest.mark.parametrize("scheme", ["socket", "rfc2217"])
def test_serial_over_the_network(
    around: Surroundings, lease: Held, tapped: Tap, scheme: str
) -> None:
    server = TerminalServer(control=scheme == "rfc2217")
    wire = tapped(server.port)
    stream: Any = open_serial(Serial(port=f"{scheme}://127.0.0.1:{wire.port}"), around)
    stream.write(b"show version\r")
    assert stream.read(5.0)
    with silence(wire, lease):
        with pytest.raises(Unreachable, match=ENDED):
            stream.write(b"reload\r")
        stream._lease = None
        with pytest.raises(Unreachable):
            stream.write(b"reload\r")
        stream._lease = lease
        stream.close()
    server.close()


# SNMP


@pytest.mark.parametrize("version", ["2c", "3"])
def test_snmp_sends_nothing_again(around: Surroundings, lease: Held, version: str) -> None:
    """An agent that never answers; the lease ends with the second datagram."""
    came: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.bind(("127.0.0.1", 0))

        def hear() -> None:
            with contextlib.suppress(OSError):
                while data := agent.recv(4096):
                    came.append(data)
                    if len(came) == 2:
                        lease.lapse()

        threading.Thread(target=hear, daemon=True).start()
        options = Snmp(
            host="127.0.0.1",
            port=agent.getsockname()[1],
            version="2c" if version == "2c" else "3",
            community="public",
            username="rack",
            auth="rack-auth-1",
            timeout=0.2,
            retries=8,
        )
        with pytest.raises(Unreachable, match=ENDED):
            snmp.open_snmp(options, around)
        assert len(came) == 2


# IPMI


@pytest.mark.timeout(30)
def test_ipmitool_ends_with_the_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, around: Surroundings, lease: Held
) -> None:
    tool, pid = tmp_path / "ipmitool", tmp_path / "pid"
    tool.write_text(f"#!/bin/sh\necho $$ > {pid}\nexec sleep 3600\n")
    tool.chmod(0o700 | stat.S_IXOTH)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    # Whatever this process does: it looks at neither its clock nor the child.
    monkeypatch.setattr(ipmi.time, "monotonic", lambda: 0.0)
    lease.ends = time.clock_gettime(time.CLOCK_MONOTONIC) + 1.0
    lease._clock = lambda: time.clock_gettime(time.CLOCK_MONOTONIC)
    with pytest.raises(Unreachable, match=ENDED):
        ipmi.open_ipmi(Ipmi(host="127.0.0.1"), around)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    pid.unlink()
    with pytest.raises(Unreachable, match=ENDED):
        ipmi.open_ipmi(Ipmi(host="127.0.0.1"), around)
    assert not pid.exists()


# What the kernel has taken


def connected(lease: Held) -> tuple[leased.LeasedSocket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    return leased.guarded(plain, lease), theirs


def test_what_the_kernel_holds_is_thrown_away(lease: Held) -> None:
    ours, theirs = connected(lease)
    ours.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            ours.send(b"x" * 65536)
    lease.lapse()
    ours.close()
    theirs.settimeout(10)
    with theirs, pytest.raises(ConnectionResetError):
        _all_of(theirs)


def _all_of(theirs: socket.socket) -> None:
    """Read to the end of what was sent in order."""
    while theirs.recv(65536):
        pass


def test_what_has_arrived_ends_in_order(lease: Held) -> None:
    ours, theirs = connected(lease)
    with theirs:
        ours.sendall(b"exit\r")
        assert theirs.recv(64) == b"exit\r"
        until(lambda: not _waiting(ours))
        ours.close()
        assert theirs.recv(64) == b""


def _waiting(sock: socket.socket) -> int:
    held = bytearray(4)
    fcntl.ioctl(sock.fileno(), leased.termios.TIOCOUTQ, held)
    return int.from_bytes(held, "little")


def test_the_kernel_knows_when_to_give_up(lease: Held) -> None:
    ours, theirs = connected(lease)
    with ours, theirs:
        for left in (10.0, 0.9, 0.01):
            lease.ends = time.monotonic() + left
            with contextlib.suppress(ConnectionAbortedError):
                ours.send(b"x")
                limit = ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                assert leased.LEAST <= limit <= max(left * 1000, leased.LEAST)
        lease.lapse()
        for send in (ours.send, ours.sendall, lambda data: ours.sendmsg([data])):
            with pytest.raises(ConnectionAbortedError):
                send(b"x")


def test_without_a_lease_sockets_are_plain(tmp_path: Path) -> None:
    with ssh_server() as server:
        options = Ssh(host="127.0.0.1", port=server.port, username="rack", password=PASSWORD)
        connection = ssh.open_ssh(options, Surroundings(state=tmp_path))
        made = connection._connection.get_extra_info("socket")
        assert not isinstance(made._sock, leased.LeasedSocket)
        connection.close()
