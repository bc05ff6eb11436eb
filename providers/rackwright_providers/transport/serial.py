"""Serial lines: a device, a pty, ``socket://host:port`` or ``rfc2217://host:port`` (ser2net)."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any
from urllib.parse import urlsplit

from rackwright.model.errors import Permanent, RackwrightError, Temporary, Unreachable
from rackwright.model.site import Serial
from rackwright.provider import LeaseLike, Surroundings
from rackwright_providers.transport import leased
from rackwright_providers.transport.stream import Stream

SLICE = 0.1
"""Seconds of one blocking read inside pyserial. Fixed: changing it makes pyserial set the whole
line up again, over the network too for rfc2217."""
WRITE_TIMEOUT = 10.0
AT_ONCE = 65536
"""Bytes, about, that one read returns at most, however fast more arrive."""
PIECE = 128
"""Bytes between two looks at the lease: what the kernel has taken goes out whatever happens here."""
BITS = 10
"""Of one byte on the line: 8, a start bit and a stop bit."""


def open_serial(options: Serial, around: Surroundings) -> Stream:
    """Take the line for ourselves alone.

    Raises Unreachable (not there now), Temporary (another process has it) or Permanent (no
    permission, not a line, a URL that makes no sense).
    """
    if around.replay is not None:
        replayed: Stream = around.replay.stream("serial")
        return replayed
    import serial

    via = f"serial {options.port}"
    url = options.port
    _check(url, via)
    limit: float | None = WRITE_TIMEOUT
    if url.startswith("rfc2217://"):
        # It has no write timeout to set: its socket has one of 5 s.
        url, limit = _without_control(url), None
    if around.lease is not None:
        around.lease.check()
    try:
        port = serial.serial_for_url(
            url,
            baudrate=options.baud,
            timeout=SLICE,
            write_timeout=limit,
            exclusive=True,
            do_not_open=True,
        )
        if around.lease is not None and "://" in url:
            _guard(port, around.lease)
        port.open()
    except Exception as error:  # noqa: BLE001  mapped, so that nothing foreign leaks
        raise _mapped(error, via) from None
    speed = 0 if "://" in url else options.baud
    stream: Stream = SerialStream(port, via, around.lease, speed)
    return around.recorder.stream("serial", stream) if around.recorder is not None else stream


def _guard(port: Any, lease: LeaseLike) -> None:
    """Have the connection of ``port`` (of a network protocol) send nothing after ``lease``, not even
    what sets the line up."""

    class Leased(type(port)):  # type: ignore[misc]
        @property
        def _socket(self) -> Any:
            return self.__dict__["_leased"]

        @_socket.setter
        def _socket(self, plain: Any) -> None:
            self.__dict__["_leased"] = plain and leased.guarded(plain, lease)

    opened = port.__dict__.pop("_socket", None)
    port.__class__ = Leased
    port._socket = opened


def _check(url: str, via: str) -> None:
    """Raises Permanent for a line over the network that does not say where it is."""
    parts = urlsplit(url)
    if parts.scheme not in ("rfc2217", "socket"):
        return
    try:
        known = parts.hostname and parts.port
    except ValueError:
        known = None
    if not known:
        raise Permanent(f"{via}: not a serial line: {parts.scheme}://HOST:PORT is one")


def _without_control(url: str) -> str:
    """``url`` so that pyserial does not insist on answers to what it sets of modem lines and flow
    control: ser2net gives none where the line has none (a pty, an adapter with three wires)."""
    option = "ign_set_control"
    return url if option in url else f"{url}{'&' if '?' in url else '?'}{option}"


def _mapped(error: Exception, via: str) -> RackwrightError:
    text = str(error)
    code = getattr(error, "errno", None)
    if "exclusively lock" in text:
        return Temporary(f"{via}: another process has the line", delay=10.0)
    if code == 13 or "Permission denied" in text:
        return Permanent(f"{via}: no permission to open it")
    if "waiting for option" in text:  # of RFC 2217, and pyserial's ValueError
        return Unreachable(f"{via}: the terminal server does not answer: {text}")
    wrong_url = isinstance(error, (ValueError, TypeError)) or "expected a string in the" in text
    if wrong_url or code == 25 or "Inappropriate ioctl" in text:
        return Permanent(f"{via}: not a serial line: {text}")
    # pyserial says the system's own words twice over.
    return Unreachable(f"{via}: {os.strerror(code) if isinstance(code, int) else text}")


class SerialStream:
    """A `Stream` over a serial line."""

    def __init__(self, port: Any, via: str, lease: LeaseLike | None = None, speed: int = 0) -> None:
        """``speed``: of a line of this host, in baud; 0 over a network."""
        self.via = via
        self._port = port
        self._lease, self._speed = lease, speed

    def read(self, timeout: float) -> bytes:
        """See `Stream.read`."""
        end = time.monotonic() + timeout
        try:
            while not (arrived := self._arrived()):
                if timeout <= 0 or time.monotonic() >= end:
                    return b""
                first = self._port.read(1)
                if first:
                    return bytes(first) + self._arrived()
            return arrived
        except Exception as error:  # noqa: BLE001  SerialException, OSError, termios.error
            raise Unreachable(f"{self.via}: the line is gone: {error}") from None

    def _arrived(self) -> bytes:
        """All that is there by now. Asked again and again, because a ``socket://`` says of any
        number of bytes that it is one."""
        data = bytearray()
        try:
            while len(data) < AT_ONCE and (waiting := self._port.in_waiting):
                data += self._port.read(waiting)
        except Exception:
            if not data:  # what came before the line broke is still of use
                raise
        return bytes(data)

    def write(self, data: bytes) -> None:
        """See `Stream.write`."""
        if self._lease is None:
            self._write(data)
            return
        for at in range(0, len(data), PIECE):
            piece = data[at : at + PIECE]
            # It must have left the line, not this process, before the lease ends.
            self._lease.check(len(piece) * BITS / self._speed if self._speed else 0.0)
            self._write(piece)

    def _write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except Exception as error:  # noqa: BLE001
            raise Unreachable(f"{self.via}: the line is gone: {error}") from None

    def alive(self) -> bool:
        """Whether the line is there; a line cannot tell whether a device is at its end."""
        try:
            # Over rfc2217 a thread of pyserial's reads, and ends when the connection does.
            reader = getattr(self._port, "_thread", None)
            gone = reader is not None and not reader.is_alive()
            return not gone and bool(self._port.is_open) and self._port.in_waiting >= 0
        except Exception:  # noqa: BLE001
            return False

    def close(self) -> None:
        """Never raises. What was written is sent first, unless the lease has ended."""
        # What was written last may be lost with the line; there is nothing left to do about it.
        with contextlib.suppress(Exception):
            if self._lease is not None and self._lease.left() <= 0:
                self._port.reset_output_buffer()
            elif self._port.is_open:
                self._port.flush()
        with contextlib.suppress(Exception):
            self._port.close()
