"""SSH on the shared event loop: exec channels, shells, host keys that are always checked.

A host key is pinned by ``host_key``, or else trusted on first use, said loudly and kept in the
node's state directory; another key after that is refused. Only the credentials of the node's own
``reach`` are used: no agent, nothing of ``~/.ssh``.
"""

from __future__ import annotations

import asyncio
import logging
import shlex
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rackwright.model.errors import Permanent, RackwrightError, Unreachable
from rackwright.model.site import Ssh
from rackwright.provider import LeaseLike, Recorder, Surroundings
from rackwright_providers.transport import known_hosts, leased, loop
from rackwright_providers.transport.stream import Stream

if TYPE_CHECKING:
    import asyncssh

    from rackwright_providers.transport import ssh_client

log = logging.getLogger(__name__)

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


def open_ssh(
    options: Ssh, around: Surroundings, *, timeout: float = CONNECT_TIMEOUT
) -> SshConnection:
    """Connect and log in. Any thread may call it, several at once.

    Raises Unreachable (refused, timed out, reset), Temporary (no session free) or Permanent
    (wrong credentials, another host key than the trusted one, no common algorithm).
    """
    if around.replay is not None:
        from rackwright_providers.transport.replay import ReplayedConnection

        return ReplayedConnection(around.replay)
    from rackwright_providers.transport import ssh_client

    host = f"[{options.host}]" if ":" in options.host else options.host
    via = f"ssh {host}:{options.port}"
    store = around.state / known_hosts.FILE_NAME
    pinned = options.host_key or known_hosts.look_up(store, options.host, options.port)
    try:
        trust = ssh_client.Trust(pinned)
        client = ssh_client.Client(options, trust)
        arguments = ssh_client.client_options(options, trust, client, timeout)
    except Permanent as error:
        where = f" (of {store})" if pinned and not options.host_key else ""
        raise Permanent(f"{via}: {error}{where}") from None
    connection = None
    try:
        connected = _connect(options, arguments, timeout, around.lease)
        connection = SshConnection(connected, via, options, around.recorder, around.lease)
    except Unreachable as error:
        raise Unreachable(f"{via}: {error}") from None
    except Exception as error:  # noqa: BLE001  mapped, so that nothing foreign leaks
        if trust.refused and trust.expected:
            text = _changed(options, trust.refused, trust.expected, store)
            raise Permanent(f"{via}: {text}") from None
        raise ssh_client.mapped(error, via, options, client) from None
    finally:
        # Also when the login failed: the password went to whoever holds this key.
        if trust.accepted and pinned is None:
            try:
                _trust_first(options, trust.accepted, store, via)
            except Permanent:  # not kept is not trusted
                if connection is not None:
                    connection.close()
                raise
    return connection


def _connect(
    options: Ssh, arguments: dict[str, Any], timeout: float, lease: LeaseLike | None
) -> asyncssh.SSHClientConnection:
    import asyncssh

    # Here and not on the loop: a slow name server delays this node alone.
    end = time.monotonic() + timeout
    if lease is None:
        plain = socket.create_connection((options.host, options.port), timeout)
    else:
        lease.check()
        shorter = min(timeout, LEASED_TIMEOUT)
        plain = socket.create_connection((options.host, options.port), shorter)
        plain = leased.guarded(plain, lease)
    left = max(end - time.monotonic(), 1.0)

    async def log_in() -> asyncssh.SSHClientConnection:
        try:
            return await asyncssh.connect(options.host, options.port, sock=plain, **arguments)
        except BaseException:
            plain.close()  # on the loop: until now its descriptor may be watched there
            raise

    return loop.call(log_in(), left)


def _trust_first(options: Ssh, key: asyncssh.SSHKey, store: Path, via: str) -> None:
    text = _key_text(key)
    known_hosts.remember(store, options.host, options.port, text)
    log.warning(
        "%s: trusting the host key %s on first use; kept in %s. To pin it write host_key: %s",
        via,
        key.get_fingerprint(),
        store,
        text,
    )


def _key_text(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key().decode("ascii").split()[:2])


def _changed(options: Ssh, shown: asyncssh.SSHKey, expected: asyncssh.SSHKey, store: Path) -> str:
    if options.host_key:
        mend = f"write host_key: {_key_text(shown)}"
    else:
        pattern = known_hosts.host_pattern(options.host, options.port)
        mend = f"remove the line of {pattern} from {store}"
    return (
        f"the host key has changed: expected {expected.get_fingerprint()}, "
        f"got {shown.get_fingerprint()}. Someone may be listening in. "
        f"If the device was replaced or reset on purpose, {mend}"
    )


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

    def shell(self, width: int = 511, height: int = 1000) -> Stream:
        """The device's own command line on a terminal of ``width`` × ``height``; raw bytes.
        Closing it leaves the connection open."""
        return self._shell(width, height, whole=False)

    def _shell(self, width: int, height: int, *, whole: bool) -> Stream:
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


def open_shell(
    options: Ssh, around: Surroundings, *, width: int = 511, height: int = 1000
) -> Stream:
    """Connect, log in and start the device's command line. Closing it closes the connection.
    Raises as `open_ssh` does."""
    connection = open_ssh(options, around)
    try:
        return connection._shell(width, height, whole=True)
    except BaseException:
        connection.close()
        raise
