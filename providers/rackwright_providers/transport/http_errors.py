"""What goes wrong over HTTP, beyond what goes wrong everywhere."""

from __future__ import annotations

from rackwright.model.errors import Permanent, Rejected, Unreachable


class HttpRefused(Rejected):
    """The device answered with an error, `status`, and ``output`` is its body."""

    def __init__(self, message: str, *, status: int, output: str = "") -> None:
        super().__init__(message, output=output)
        self.status = status


class Lost(Unreachable):
    """The connection was cut: what was asked on it may never have arrived."""


class Unauthorized(Permanent):
    """401: no credentials, wrong ones, or a session of the device's that has ended."""
