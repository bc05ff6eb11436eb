"""How a simulated FRR router is reached: its SSH server, and its console behind a getty on a pty."""

from __future__ import annotations

import asyncio
import os
import select
import tty
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Self

import asyncssh

from rackwright_sim.linux_frr import HELLO, Cut, FrrDevice, FrrSession
from rackwright_sim.loop import on_thread

BREAK = "\x03"
QUOTE = "\x16"
REOPEN_POLL = 0.05
"""Seconds between looks for a client: a pty does not tell when one opens it."""


class Line:
    """What stands between a client's bytes and a session: echo, and a console's login."""

    def __init__(
        self,
        device: FrrDevice,
        write: Callable[[bytes], None],
        close: Callable[[bool], None],
        *,
        console: bool,
    ) -> None:
        """``close`` ends the line, without a word when its argument is true."""
        self._device, self._write, self._close, self._console = device, write, close, console
        self._session: FrrSession | None = None
        self._asking = "login"
        self._username = self._typed = ""
        self._quoted = self._returned = False

    def start(self) -> None:
        """Greet."""
        if self._console:
            self._ask("login")
        else:
            self._log_in()

    def receive(self, data: bytes) -> None:
        """What the client typed."""
        if self._device.faults.hang:
            return
        for char in data.decode("utf-8", "replace"):
            self._take(char)

    def _take(self, char: str) -> None:
        again, self._returned = char == "\n" and self._returned, char == "\r"
        if self._quoted:
            self._quoted = False
            self._type(char)
        elif char == QUOTE:
            self._quoted = True
        elif char == BREAK:
            self._typed = ""
            if self._session:
                self._session.node = ""
                self._say("^C\n" + self._session.prompt)
        elif char in "\r\n":
            if not again:
                line, self._typed = self._typed, ""
                self._say("\n")
                self._enter(line)
        elif char >= " ":
            self._type(char)

    def _type(self, char: str) -> None:
        self._typed += char
        if self._session or self._asking != "password":
            self._say(char)

    def _say(self, text: str) -> None:
        self._write(text.replace("\n", "\r\n").encode())

    def _ask(self, what: str) -> None:
        self._asking = what
        name = self._device.options.hostname
        self._say(f"\n{name} login: " if what == "login" else "Password: ")

    def _enter(self, line: str) -> None:
        if self._session:
            self._answer(self._session, line)
        elif self._asking == "login":
            self._username = line
            self._ask("password" if line else "login")
        elif (self._username, line) == (
            self._device.options.username,
            self._device.options.password,
        ):
            self._log_in()
        else:
            self._say("\nLogin incorrect\n")
            self._ask("login")

    def _log_in(self) -> None:
        self._device.counters.sessions += 1
        self._session = FrrSession(self._device)
        self._say(HELLO + self._session.prompt)

    def _answer(self, session: FrrSession, line: str) -> None:
        try:
            self._say(session.run(line))
        except Cut:
            self._end(cut=True)
            return
        if session.ended:
            self._end(cut=False)
        else:
            self._say(session.prompt)

    def _end(self, *, cut: bool) -> None:
        self._session = None
        self._close(cut)
        if self._console:
            self._ask("login")


class FrrSsh:
    """The SSH server of one router. `start` and `stop` it on a loop, or use ``with``."""

    def __init__(self, device: FrrDevice, host: str = "127.0.0.1", port: int = 0) -> None:
        """``port`` 0: any free one."""
        self.device, self.host, self.port = device, host, port
        self.open: set[asyncssh.SSHServerConnection] = set()
        self._server: asyncssh.SSHAcceptor | None = None

    @property
    def host_key(self) -> str:
        """The public key, as a site pins it: ``ssh-ed25519 AAAA…``."""
        return " ".join(self._key().export_public_key().decode().split()[:2])

    def _key(self) -> asyncssh.SSHKey:
        if not self.device.host_key:
            key = asyncssh.generate_private_key("ssh-ed25519")
            self.device.keep("host_key", key.export_private_key().decode())
        return asyncssh.import_private_key(self.device.host_key)

    async def start(self) -> None:
        """Listen. Raises OSError when the address cannot be had."""
        self._server = await asyncssh.listen(
            self.host,
            self.port,
            server_factory=partial(_Server, self),
            server_host_keys=[self._key()],
            encoding=None,
            line_editor=False,
            allow_scp=False,
            agent_forwarding=False,
            gss_host=None,
        )
        self.port = self._server.get_port()

    async def stop(self) -> None:
        """Stop listening and cut all sessions."""
        if self._server:
            self._server.close()
            for connection in tuple(self.open):
                connection.abort()
            await self._server.wait_closed()
            self._server = None

    def __enter__(self) -> Self:
        on_thread(self.start())
        return self

    def __exit__(self, *_: object) -> None:
        on_thread(self.stop())


class _Server(asyncssh.SSHServer):
    def __init__(self, ssh: FrrSsh) -> None:
        self._ssh = ssh
        self._connection: asyncssh.SSHServerConnection

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        if self._ssh.device.faults.refuse:
            conn.abort()
        else:
            self._ssh.open.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ssh.open.discard(self._connection)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        options = self._ssh.device.options
        return (username, password) == (options.username, options.password)

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        return _Session(self._ssh.device, self._connection)


class _Session(asyncssh.SSHServerSession[bytes]):
    def __init__(self, device: FrrDevice, connection: asyncssh.SSHServerConnection) -> None:
        self._device, self._connection = device, connection
        self._line: Line

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._line = Line(self._device, chan.write, self._close, console=False)

    def pty_requested(
        self, term_type: str, term_size: tuple[int, int, int, int], term_modes: Mapping[int, int]
    ) -> bool:
        return True

    def shell_requested(self) -> bool:
        return True

    def session_started(self) -> None:
        self._line.start()

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        latency = self._device.options.latency
        if latency:
            asyncio.get_running_loop().call_later(latency, self._line.receive, data)
        else:
            self._line.receive(data)

    def eof_received(self) -> bool:
        return False

    def _close(self, cut: bool) -> None:
        if cut:
            self._connection.abort()
        else:
            self._connection.close()


class FrrSerial:
    """The console of one router. `start` and `stop` it on a loop, or use ``with``. There is one
    session, and it stays as it is when the cable is pulled."""

    def __init__(self, device: FrrDevice, link: Path) -> None:
        """``link``: where the symbolic link to the pty is made."""
        self.device, self.link = device, link
        self._pty = ""
        self._master = -1
        self._out = bytearray()
        self._waiting: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Open the console. Raises OSError, FileExistsError when something else is at ``link``."""
        if self.link.is_symlink():
            self.link.unlink()  # of a simulator that was killed
        elif self.link.exists():
            raise FileExistsError(f"{self.link} is there already, and is no link of a simulator")
        self._loop = asyncio.get_running_loop()
        self._open()
        self.link.parent.mkdir(parents=True, exist_ok=True)
        self.link.symlink_to(self._pty)

    async def stop(self) -> None:
        """Close the console and take the link away."""
        if self._master < 0:
            return
        self._let_go()
        os.close(self._master)
        self._master = -1
        if self.link.is_symlink() and str(self.link.readlink()) == self._pty:
            self.link.unlink()

    def __enter__(self) -> Self:
        on_thread(self.start())
        return self

    def __exit__(self, *_: object) -> None:
        on_thread(self.stop())

    def _gone(self, cut: bool) -> None:
        """A console is not closed by the router; one that is cut is hung up on."""
        if cut:
            self._loop.call_soon(self._hang_up)

    def _hang_up(self) -> None:
        """A new pty in place of the old one, as when an adapter is pulled and put back. It is there before
        the client notices."""
        if self._master < 0:
            return
        old = self._master
        self._let_go()
        self._open()
        fresh = self.link.with_name(f"{self.link.name}.new")
        fresh.symlink_to(self._pty)
        fresh.replace(self.link)
        os.close(old)

    def _open(self) -> None:
        self._master, slave = os.openpty()
        self._pty = os.ttyname(slave)
        tty.setraw(slave)  # who echoes is the router
        os.close(slave)
        os.set_blocking(self._master, False)
        self._line = Line(self.device, self._write, self._gone, console=True)
        self._line.start()
        self._await_client()

    def _let_go(self) -> None:
        if self._waiting:
            self._waiting.cancel()
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)
        self._out.clear()

    def _events(self) -> int:
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        return sum(event for _, event in poll.poll(0))

    def _await_client(self) -> None:
        events = self._events()
        if events & select.POLLIN or not events & select.POLLHUP:
            self._waiting = None
            self._loop.add_reader(self._master, self._read)
        else:
            self._waiting = self._loop.call_later(REOPEN_POLL, self._await_client)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except BlockingIOError:
            return
        except OSError:  # EIO: the client has closed it
            data = b""
        if data:
            self._line.receive(data)
            return
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)
        self._out.clear()
        self._await_client()

    def _write(self, data: bytes) -> None:
        """What nobody reads is lost, as on a real line."""
        if self._master < 0 or self._events() & select.POLLHUP:
            return
        self._out += data
        self._flush()

    def _flush(self) -> None:
        try:
            while self._out:
                del self._out[: os.write(self._master, self._out)]
        except BlockingIOError:
            self._loop.add_writer(self._master, self._flush)
            return
        except OSError:
            self._out.clear()
        self._loop.remove_writer(self._master)
