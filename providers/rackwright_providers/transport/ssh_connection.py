"""What can be done on an SSH connection: commands on exec channels, and the device's own command line."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rackwright.model.errors import Permanent, RackwrightError, Unreachable
from rackwright.model.site import Ssh
from rackwright.provider import LeaseLike, Recorder
from rackwright_providers.transport import loop
from rackwright_providers.transport.stream import Stream

if TYPE_CHECKING:
    import asyncssh

    from rackwright_providers.transport import ssh_client

CONNECT_TIMEOUT = 15.0
"""Seconds from the first packet to a logged-in session."""
ALIVE_TIMEOUT = 5.0
"""Seconds that a kept session has to answer before it counts as dead."""
CLOSE_TIMEOUT = 2.0
LEASED_TIMEOUT = 4.0
"""Seconds that a device has to take a connection, or to answer on a kept one, under a lease: another
host may reach it when this one does not."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that has ended. Death by a signal is 128 plus its number, as in a shell."""

    status: int
    stdout: bytes
    stderr: bytes


class SshConnection:
    """A logged-in connection. Any thread may use it."""

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        via: str,
        options: Ssh,
        recorder: Recorder | None = None,
        lease: LeaseLike | None = None,
    ) -> None:
        self.via = via
        self.lease = lease
        """Nothing is sent after its end."""
        self._connection = connection
        self._options = options
        self._recorder = recorder

    def run(self, argv: Sequence[str], stdin: bytes = b"", timeout: float = 30.0) -> Completed:
        """Run a command with each argument quoted for the device's shell.

        A status other than 0 is not an error here. Raises Unreachable when the connection is lost
        or the command has not ended after ``timeout`` seconds (it is then told to end), Temporary
        when the device gives no further session.
        """
        self.permit()
        try:
            done = loop.call(self._run(shlex.join(argv), stdin), timeout)
        except Exception as error:  # noqa: BLE001  mapped, so that nothing foreign leaks
            raise self._mapped(error, f"{argv[0]}: ") from None
        if self._recorder is not None:
            answer = {"status": done.status, "stdout": done.stdout, "stderr": done.stderr}
            self._recorder.exchange("exec", {"argv": list(argv), "stdin": stdin}, answer)
        return done

    async def _run(self, command: str, stdin: bytes) -> Completed:
        from rackwright_providers.transport import ssh_client

        session = ssh_client.ExecSession(asyncio.get_running_loop().create_future())
        channel, _ = await self._connection.create_session(
            lambda: session,
            command,
            encoding=None,
            request_pty=False,
            window=ssh_client.WINDOW,
            max_pktsize=ssh_client.PACKET,
        )
        try:
            if stdin:
                channel.write(stdin)
            channel.write_eof()
            status = await session.ended
        except asyncio.CancelledError:
            channel.abort()
            raise
        return Completed(status, b"".join(session.out), b"".join(session.err))

    def shell(self, width: int = 511, height: int = 1000, *, whole: bool = False) -> Stream:
        """The device's own command line on a terminal of ``width`` × ``height``; raw bytes. Closing it
        leaves the connection open, unless it is the ``whole`` of it."""
        from rackwright_providers.transport import ssh_client

        self.permit()
        session = ssh_client.ShellSession()

        async def start() -> Any:
            channel, _ = await self._connection.create_session(
                lambda: session,
                encoding=None,
                request_pty="force",
                term_type="vt100",
                term_size=(width, height),
                window=ssh_client.WINDOW,
                max_pktsize=ssh_client.PACKET,
            )
            return channel

        try:
            channel = loop.call(start(), CONNECT_TIMEOUT)
        except Exception as error:  # noqa: BLE001  mapped, so that nothing foreign leaks
            raise self._mapped(error) from None
        stream: Stream = ShellStream(self, channel, session, whole=whole)
        return self._recorder.stream("ssh", stream) if self._recorder is not None else stream

    def alive(self) -> bool:
        """Whether the device answers now: one round trip inside the SSH protocol. Never raises."""
        if self._connection.is_closed() or (self.lease is not None and self.lease.left() <= 0):
            return False
        try:
            loop.call(self._echo(), ALIVE_TIMEOUT if self.lease is None else LEASED_TIMEOUT)
        except Exception:  # noqa: BLE001  whatever it is, the session is of no use
            return False
        return not self._connection.is_closed()

    def gone(self) -> bool:
        """Whether the far end has left, as far as it is known without asking."""
        return bool(self._connection.is_closed())

    async def _echo(self) -> None:
        # RFC 4254 §4: a global request that asks for a reply gets one, failure if it is unknown.
        # asyncssh has this as its keepalive only, which tells nobody when the answer came.
        await self._connection._make_global_request(b"keepalive@openssh.com")

    def permit(self) -> None:
        """Raises Unreachable when the lease has ended. The socket looks too, right before it sends;
        this says it in its own words."""
        if self.lease is not None:
            self.lease.check()

    def close(self) -> None:
        """Never raises."""
        if self.lease is not None and self.lease.left() <= 0:
            loop.running().call_soon_threadsafe(self._connection.abort)
            return
        try:
            loop.call(self._close(), CLOSE_TIMEOUT)
        except Exception:  # noqa: BLE001  it is gone either way
            loop.running().call_soon_threadsafe(self._connection.abort)

    async def _close(self) -> None:
        self._connection.close()
        await self._connection.wait_closed()

    def _mapped(self, error: Exception, what: str = "") -> RackwrightError:
        from rackwright_providers.transport import ssh_client

        if self.lease is not None and self.lease.left() <= 0:
            return self._ended()
        if self._connection.is_closed() and not isinstance(error, RackwrightError):
            return Unreachable(f"{self.via}: {what}the connection is lost")
        if isinstance(error, Unreachable):  # the time limit of `loop.call`
            return Unreachable(f"{self.via}: {what}{error}")
        if isinstance(error, RackwrightError):
            return Permanent(f"{self.via}: {what}{error}")
        return ssh_client.mapped(error, f"{self.via}: {what}".removesuffix(": "), self._options)

    def _ended(self) -> Unreachable:
        try:
            self.permit()
        except Unreachable as error:
            return error
        return Unreachable(f"{self.via}: the lease was short of its end")


class ShellStream:
    """A `Stream` over a shell channel. One thread at a time."""

    def __init__(
        self,
        connection: SshConnection,
        channel: Any,
        session: ssh_client.ShellSession,
        *,
        whole: bool,
    ) -> None:
        self.via = connection.via
        self._connection = connection
        self._channel = channel
        self._session = session
        self._whole = whole

    def read(self, timeout: float) -> bytes:
        """See `Stream.read`. What arrived before the far end went is handed out first."""
        data, resume = self._session.take(timeout)
        if resume:
            loop.soon(self._channel.resume_reading)
        if not data and self._session.closed:
            raise self._gone()
        return data

    def write(self, data: bytes) -> None:
        """See `Stream.write`."""
        self._connection.permit()
        if self._session.closed:
            raise self._gone()
        loop.soon(lambda: self._send(data))

    def _send(self, data: bytes) -> None:
        if not self._session.closed and not self._channel.is_closing():
            self._channel.write(data)

    def alive(self) -> bool:
        """See `Stream.alive`: asks the SSH peer, which writes nothing on the screen."""
        return not self._session.closed and self._connection.alive() and not self._session.closed

    def gone(self) -> bool:
        """Whether the far end has left, as far as it is known without asking."""
        return self._session.closed or self._connection.gone()

    def close(self) -> None:
        """Close the shell, and its connection if it was opened with it. Never raises."""
        if self._whole:
            self._connection.close()
        else:
            loop.running().call_soon_threadsafe(self._channel.close)

    def _gone(self) -> Unreachable:
        return Unreachable(f"{self.via}: the device has closed the session")
