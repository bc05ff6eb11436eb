"""A byte stream to a device's screen: an SSH shell channel or a serial line."""

from __future__ import annotations

from typing import Protocol


class Stream(Protocol):
    """Blocking, used by one thread at a time."""

    via: str

    def read(self, timeout: float) -> bytes:
        """What has arrived, waiting up to ``timeout`` seconds for the first byte; ``b""`` when
        nothing came. Raises Unreachable when the far end is gone."""

    def write(self, data: bytes) -> None:
        """Send all of ``data``. Raises Unreachable when the far end is gone."""

    def alive(self) -> bool:
        """Whether the far end is still there, as far as can be told without writing."""

    def close(self) -> None:
        """Never raises."""
