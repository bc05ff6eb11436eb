"""TCP connections that send nothing once a lease has ended: not what waits in a buffer of ours, and
not what waits in the kernel's.

The check is in the socket itself, below all that a library does by itself (key exchanges, keepalives,
goodbyes). What the kernel has taken and cannot deliver, because the path is cut or this process is
paused, it gives up at the lease's end: TCP_USER_TIMEOUT (tcp(7)) is set to what is left of the lease
whenever something is sent. On closing, what has not arrived is thrown away (SO_LINGER with 0 s,
socket(7)): the next holder must not meet it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import socket
import ssl
import struct
import termios
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rackwright.provider import LeaseLike

STEP = 250
"""Milliseconds to which the kernel's limit is rounded down, so that a busy connection sets it four
times a second at most."""
KEEPALIVE = ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 2), (socket.TCP_KEEPCNT, 3))
"""Seconds of silence until the kernel asks the far end's, seconds between, how often: a path that is
cut shows within the time of a lease, and no device logs it."""
LEAST = 50
"""Milliseconds; 0 would mean no limit."""
_ABORT = struct.pack("ii", 1, 0)  # struct linger: on, 0 seconds


class _Leased:
    """What `LeasedSocket` and TLS sockets have in common."""

    lease: LeaseLike
    _limit = 0

    def _permit(self: Any) -> None:
        left = self.lease.left()
        if left <= 0:
            raise ConnectionAbortedError(errno.ECONNABORTED, "the lease has ended")
        limit = max(int(left * 1000) // STEP * STEP, LEAST)
        if limit != self._limit:
            # Unix sockets, which tests and tunnels use, have no such option.
            with contextlib.suppress(OSError):
                self.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit)
            self._limit = limit

    def send(self: Any, *arguments: Any) -> int:
        self._permit()
        sent: int = super().send(*arguments)  # type: ignore[misc]
        return sent

    def sendall(self: Any, *arguments: Any) -> None:
        self._permit()
        super().sendall(*arguments)  # type: ignore[misc]

    def shutdown(self: Any, how: int) -> None:
        # A FIN would follow what waits; reading is ended all the same, for who is blocked in it.
        super().shutdown(how if self._arrived() else socket.SHUT_RD)  # type: ignore[misc]

    def close(self: Any) -> None:
        with contextlib.suppress(OSError):
            if not self._arrived():
                self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        super().close()  # type: ignore[misc]

    def _arrived(self: Any) -> bool:
        """Whether the far end has all that was sent, and the lease has not ended."""
        if self.lease.left() <= 0:
            return False
        waiting = bytearray(4)
        fcntl.ioctl(self.fileno(), termios.TIOCOUTQ, waiting)  # SIOCOUTQ, tcp(7)
        return not any(waiting)


class LeasedSocket(_Leased, socket.socket):
    """A TCP connection under a lease: sending raises ConnectionAbortedError after its end."""

    def sendmsg(self, *arguments: Any) -> int:
        self._permit()
        return super().sendmsg(*arguments)


def guarded(plain: socket.socket, lease: LeaseLike) -> LeasedSocket:
    """``plain``, connected, as a `LeasedSocket`; ``plain`` itself is of no use any more."""
    timeout = plain.gettimeout()
    made = LeasedSocket(plain.family, plain.type, plain.proto, fileno=plain.detach())
    made.lease = lease
    made.settimeout(timeout)
    with contextlib.suppress(OSError):
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE:
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


def tls_context(context: ssl.SSLContext, lease: LeaseLike) -> ssl.SSLContext:
    """Have ``context`` make TLS connections under ``lease``."""

    class LeasedTls(_Leased, ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            self._permit()
            super().do_handshake(block)

    LeasedTls.lease = lease
    context.sslsocket_class = LeasedTls
    return context
