"""The ways to a simulated command line: an SSH server and a serial console with a getty's login."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self, cast

import asyncssh

from rackwright_sim.cli_line import PtyLine
from rackwright_sim.ios_ssh import KEX
from rackwright_sim.ios_terminal import LOGIN_TRIES, Terminal
from rackwright_sim.loop import on_thread
from rackwright_sim.modal_device import ModalDevice
from rackwright_sim.modal_session import ModalSession

SessionMaker = Callable[[ModalDevice, str, str], ModalSession]
"""Of device, origin and username."""


class ModalTerminal(Terminal):
    """A `Terminal` for any `ModalSession`; its console asks as Linux does."""

    def __init__(self, device: ModalDevice, make: SessionMaker, *args: Any, **options: Any) -> None:
        # What it uses of a device all devices have.
        super().__init__(cast(Any, device), *args, **options)
        self._make = make

    def _open_session(self) -> Any:
        session = self._make(cast(Any, self._device), self._origin, self._username)
        sessions, counters = self._device.sessions, self._device.counters
        sessions.append(cast(Any, session))
        counters.sessions += 1
        counters.open = len(sessions)
        counters.peak = max(counters.peak, counters.open)
        return session

    def _greet(self) -> None:
        self._username = ""
        self._tries = 0
        if self._device.faults.refuse:
            self._state = "idle"
            return
        name = self._device.running.hostname
        self._send(f"\r\n\r\n{name} ttyS0\r\n\r\n")
        self._ask("username", f"{name} login: ")

    def _take(self, chunk: bytes) -> None:
        # Ctrl-C ends a getty, and the next one greets.
        if chunk == b"\x03" and self._state in ("username", "password"):
            self._typed.clear()
            self._greet()
        else:
            super()._take(chunk)

    def _ask_who(self) -> None:
        self._greet()

    def _enter(self) -> None:
        if self._state == "username" and not self._typed:
            self._send("\r\n")
            self._ask("username", f"{self._device.running.hostname} login: ")
        else:
            super()._enter()

    def _check(self, password: str) -> None:
        if self._device.admits(self._username, password):
            self._log_in()
            return
        self._tries += 1
        self._send("\r\nLogin incorrect\r\n")
        if self._tries >= LOGIN_TRIES:
            self._greet()
        else:
            self._ask("username", f"{self._device.running.hostname} login: ")


class ModalConsole(PtyLine):
    """The serial console of one device."""

    def __init__(self, device: ModalDevice, make: SessionMaker, link: Path) -> None:
        """``link``: where the symbolic link to the pty is made."""
        super().__init__(
            link, lambda write, later: ModalTerminal(device, make, write, later, lambda _: None)
        )
        self.device = device


class ModalSsh:
    """The SSH server of one device. `start` and `stop` it on a loop, or use ``with``."""

    def __init__(
        self,
        device: ModalDevice,
        make: SessionMaker,
        host: str = "127.0.0.1",
        port: int = 0,
        banner: str = "OpenSSH_8.4p1",
    ) -> None:
        """``port`` 0: any free one."""
        self.device = device
        self.make = make
        self.host = host
        self.port = port
        """The real one, once it is started."""
        self.open: dict[asyncssh.SSHServerConnection, int] = {}
        """Connections and the line that each has."""
        self._banner = banner
        self._server: asyncssh.SSHAcceptor | None = None

    @property
    def host_key(self) -> str:
        """The public key, as a site pins it: ``ssh-ed25519 AAAA…``."""
        return " ".join(self._key().export_public_key().decode().split()[:2])

    async def start(self) -> None:
        """Listen. Raises OSError when the address cannot be had."""
        self._server = await asyncssh.listen(
            self.host,
            self.port,
            server_factory=partial(_Server, self),
            server_host_keys=[self._key()],
            server_version=self._banner,
            kex_algs=KEX,
            compression_algs=["none"],
            encoding=None,
            line_editor=False,
            allow_scp=False,
            agent_forwarding=False,
            gss_host=None,
            login_timeout=120,
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

    def _key(self) -> asyncssh.SSHKey:
        if self.device.host_key is not None:
            return asyncssh.import_private_key(self.device.host_key)
        key = asyncssh.generate_private_key("ssh-ed25519")
        self.device.keep_host_key(key.export_private_key().decode())
        return key

    def admit(self, connection: asyncssh.SSHServerConnection) -> bool:
        """Whether there is a line for ``connection``; it has it then."""
        free = set(range(self.device.options.sessions)) - set(self.open.values())
        if self.device.faults.refuse or not free:
            self.device.counters.refused += 1
            return False
        self.open[connection] = min(free)
        return True


class _Server(asyncssh.SSHServer):
    def __init__(self, ssh: ModalSsh) -> None:
        self._ssh = ssh
        self._connection: asyncssh.SSHServerConnection

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        if not self._ssh.admit(conn):
            conn.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ssh.open.pop(self._connection, None)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return self._ssh.device.admits(username, password)

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        return _Session(self._ssh, self._connection)


class _Session(asyncssh.SSHServerSession[bytes]):
    def __init__(self, ssh: ModalSsh, connection: asyncssh.SSHServerConnection) -> None:
        self._ssh = ssh
        self._connection = connection
        self._terminal: Terminal | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    def pty_requested(
        self,
        term_type: str,
        term_size: tuple[int, int, int, int],
        term_modes: Mapping[int, int],
    ) -> bool:
        return True

    def shell_requested(self) -> bool:
        return True

    def session_started(self) -> None:
        peer = self._connection.get_extra_info("peername")[0]
        self._terminal = ModalTerminal(
            self._ssh.device,
            self._ssh.make,
            self._channel.write,
            asyncio.get_running_loop().call_later,
            self._close,
            origin=f"vty{self._ssh.open.get(self._connection, 0)} ({peer})",
            username=self._connection.get_extra_info("username"),
        )
        self._terminal.start()

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if self._terminal:
            self._terminal.receive(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._terminal:
            self._terminal.stop()

    def _close(self, cut: bool) -> None:
        if cut:
            self._connection.abort()
        else:
            self._connection.close()
