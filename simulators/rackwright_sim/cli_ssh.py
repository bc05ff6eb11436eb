"""The SSH server of a device with a plain command line, or of a host that runs single commands."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Self

import asyncssh

from rackwright_sim.cli_box import Box, Reply
from rackwright_sim.cli_terminal import Terminal
from rackwright_sim.loop import on_thread


class BoxSsh:
    """One device's server. `start` and `stop` it on a loop, or use ``with``."""

    def __init__(
        self, box: Box, host: str = "127.0.0.1", port: int = 0, *, shell: bool = True
    ) -> None:
        """``port`` 0: any free one. Without ``shell`` it runs commands and shows no prompt."""
        self.box = box
        self.host = host
        self.port = port
        """The real one, once it is started."""
        self.shell = shell
        self.open: set[asyncssh.SSHServerConnection] = set()
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
            compression_algs=["none"],
            encoding=None,
            line_editor=False,
            allow_scp=False,
            agent_forwarding=False,
            gss_host=None,
            backlog=128,
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
        if self.box.host_key is None:
            key = asyncssh.generate_private_key("ssh-ed25519")
            self.box.keep_host_key(key.export_private_key().decode())
            return key
        return asyncssh.import_private_key(self.box.host_key)


class _Server(asyncssh.SSHServer):
    def __init__(self, ssh: BoxSsh) -> None:
        self._ssh = ssh
        self._connection: asyncssh.SSHServerConnection

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        if self._ssh.box.faults.refuse:
            self._ssh.box.counters.refused += 1
            conn.abort()
        else:
            self._ssh.open.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ssh.open.discard(self._connection)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        access = self._ssh.box.access
        return (username, password) == (access.username, access.password)

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        return _Session(self._ssh, self._connection)


class _Session(asyncssh.SSHServerSession[bytes]):
    def __init__(self, ssh: BoxSsh, connection: asyncssh.SSHServerConnection) -> None:
        self._ssh = ssh
        self._connection = connection
        self._command = ""
        self._input = bytearray()
        self._terminal: Terminal | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    def pty_requested(
        self,
        term_type: str,
        term_size: tuple[int, int, int, int],
        term_modes: Mapping[int, int],
    ) -> bool:
        return self._ssh.shell

    def shell_requested(self) -> bool:
        return self._ssh.shell

    def exec_requested(self, command: str) -> bool:
        self._command = command
        return True

    def session_started(self) -> None:
        box, loop = self._ssh.box, asyncio.get_running_loop()
        if not self._command:
            self._terminal = Terminal(
                box, self._channel.write, loop.call_later, self._close, logged_in=True
            )
            self._terminal.start()
        elif not box.faults.hang and not box.takes_input:
            loop.call_later(box.access.latency, self._run)

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if self._terminal:
            self._terminal.receive(data)
        else:
            self._input += data

    def eof_received(self) -> bool:
        box = self._ssh.box
        if self._terminal is None and box.takes_input and not box.faults.hang:
            asyncio.get_running_loop().call_later(box.access.latency, self._run)
        return self._terminal is None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._terminal:
            self._terminal.stop()

    def _run(self) -> None:
        self._ssh.box.counters.sessions += 1
        reply: Reply = self._ssh.box.run(self._command, bytes(self._input))
        if reply.cut:
            self._connection.abort()
            return
        self._channel.write(reply.text.encode())
        self._channel.write_stderr(reply.error.encode())
        self._channel.exit(reply.status)

    def _close(self, cut: bool) -> None:
        if cut:
            self._connection.abort()
        else:
            self._connection.close()
