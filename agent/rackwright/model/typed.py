"""JSON and plain data as values of a type, by any number of threads.

msgspec looks a type over when it is first used, and keeps what it found in the type. A second thread that
uses the type in the middle of that makes the process crash (msgspec 0.22.0, with the GIL: looking over runs
Python code). So types are looked over here, one at a time, and used by others once that is done.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_ready: set[Any] = set()
_looking = threading.Lock()


def decode(body: bytes | bytearray | msgspec.Raw | str, kind: type[T]) -> T:
    """What ``body`` (JSON) says, as ``kind``. Raises msgspec.DecodeError."""
    _make_ready(kind)
    return msgspec.json.decode(body, type=kind)


def convert(data: Any, kind: type[T], *, from_attributes: bool = False) -> T:
    """Plain ``data`` as ``kind``; with ``from_attributes`` also an object that has the fields. Raises
    msgspec.ValidationError."""
    _make_ready(kind)
    return msgspec.convert(data, kind, from_attributes=from_attributes)


def _make_ready(kind: Any) -> None:
    if kind in _ready:
        return
    with _looking:
        msgspec.json.Decoder(kind)
        _ready.add(kind)
