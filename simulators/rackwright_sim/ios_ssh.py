"""An IOS-like switch's SSH server. Many in one process share its event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Self

import asyncssh

from rackwright_sim.ios_device import IosDevice
from rackwright_sim.ios_terminal import Terminal
from rackwright_sim.loop import on_thread

KEX = (
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "diffie-hellman-group14-sha256",
)
OLD_KEX = ("diffie-hellman-group14-sha1",)
OLD_HOST_KEY = "ssh-rsa"
BANNER = "Cisco-1.25"


class IosSsh:
    """The SSH server of one device. `start` and `stop` it on a loop, or use ``with``."""

    def __init__(self, device: IosDevice, host: str = "127.0.0.1", port: int = 0) -> None:
        """``port`` 0: any free one."""
        self.device = device
        self.host = host
        self.port = port
        """The real one, once it is started."""
        self._open: dict[asyncssh.SSHServerConnection, int] = {}
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
            server_version=BANNER,
            kex_algs=OLD_KEX if self.device.options.old_ssh else KEX,
            signature_algs=[OLD_HOST_KEY] if self.device.options.old_ssh else (),
            compression_algs=["none"],
            encoding=None,
            line_editor=False,
            allow_scp=False,
            agent_forwarding=False,
            gss_host=None,
            login_timeout=120,
            backlog=512,
        )
        self.port = self._server.get_port()

    async def stop(self) -> None:
        """Stop listening and cut all sessions."""
        if self._server:
            self._server.close()
            for connection in tuple(self._open):
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
        kind = OLD_HOST_KEY if self.device.options.old_ssh else "ssh-ed25519"
        key = asyncssh.generate_private_key(kind)
        self.device.keep_host_key(key.export_private_key().decode())
        return key

    def admit(self, connection: asyncssh.SSHServerConnection) -> int | None:
        """The line that ``connection`` gets, None when there is none to give."""
        device = self.device
        free = set(range(device.options.sessions)) - set(self._open.values())
        peer = connection.get_extra_info("peername")[0]
        if device.faults.refuse or not free or not device.reaches(peer):
            device.counters.refused += 1
            return None
        self._open[connection] = min(free)
        return self._open[connection]

    def release(self, connection: asyncssh.SSHServerConnection) -> None:
        """``connection`` is gone; its line is free."""
        self._open.pop(connection, None)


class _Server(asyncssh.SSHServer):
    def __init__(self, ssh: IosSsh) -> None:
        self._ssh = ssh
        self._connection: asyncssh.SSHServerConnection
        self._line = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        line = self._ssh.admit(conn)
        if line is None:
            conn.abort()
        else:
            self._line = line

    def connection_lost(self, exc: Exception | None) -> None:
        self._ssh.release(self._connection)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return self._ssh.device.admits(username, password)

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        return _Session(self._ssh.device, self._connection, self._line)


class _Session(asyncssh.SSHServerSession[bytes]):
    def __init__(
        self, device: IosDevice, connection: asyncssh.SSHServerConnection, line: int
    ) -> None:
        self._device = device
        self._connection = connection
        self._line = line
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
        self._terminal = Terminal(
            self._device,
            self._channel.write,
            asyncio.get_running_loop().call_later,
            self._close,
            origin=f"vty{self._line} ({peer})",
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
