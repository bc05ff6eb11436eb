"""What the agent of an admin host and the daemon of its delegates say to each other.

The agent keeps one file for each managed node in ``STATE/HOST/delegates``; the daemon runs a delegate
for each, and tells on the Unix socket ``STATE/HOST/delegates.sock`` how each is doing. A conversation is
one word and a line break, ``list`` or ``poke`` (look at the files now), and the answer: JSON, a `Told`
by node. What people ask for on the same socket stands in `rackwright.errand`.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from rackwright.model import typed
from rackwright.model.address import NODE_NAME

FOLDER = "delegates"
SOCKET = "delegates.sock"
LARGEST = 16 * 1024 * 1024
"""Bytes of an answer."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """How one delegate is doing."""

    epoch: int = 0
    """Of its lease; 0 while it has none."""
    since: float = 0.0
    """Unix seconds since when it has the lease, or has not."""
    state: Literal["running", "waiting", "stopped"]
    """``waiting`` for the lease; ``stopped``: told to leave, and not done with it yet."""
    why: str = ""
    """Why it waits."""


def declared(state: Path) -> frozenset[str]:
    """Names of the managed nodes that have a file. ``state``: the host's own state directory."""
    try:
        names = os.listdir(state / FOLDER)  # noqa: PTH208 - names are all that is wanted
    except FileNotFoundError:
        return frozenset()
    return frozenset(name for name in names if NODE_NAME.fullmatch(name))


def ask(
    state: Path, word: Literal["list", "poke"], timeout: float = 10.0
) -> dict[str, Told] | None:
    """What the daemon says; None when there is none, or it does not answer in ``timeout`` seconds."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        with connected(state, timeout) as line:
            line.sendall(f"{word}\n".encode())
            said = bytearray()
            while len(said) < LARGEST and (more := line.recv(65536)):
                said += more
        return typed.decode(said, dict[str, Told])
    return None


@contextmanager
def connected(state: Path, timeout: float) -> Iterator[socket.socket]:
    """A conversation with the daemon. Raises OSError when there is none."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(timeout)
        with _place(state) as place:
            line.connect(place)
        yield line


def listen(state: Path) -> socket.socket:
    """The daemon's end, for this user alone. A socket that is left over is replaced: the caller holds
    the daemon's lock. Raises OSError."""
    state.mkdir(parents=True, exist_ok=True)
    line = socket.socket(socket.AF_UNIX)
    try:
        with _place(state) as place:
            Path(place).unlink(missing_ok=True)
            line.bind(place)
            Path(place).chmod(0o600)
        line.listen(16)  # nobody gets in before this
    except OSError:
        line.close()
        raise
    return line


@contextmanager
def _place(state: Path) -> Iterator[str]:
    """The socket's path. An address holds 107 bytes (unix(7)), and state directories may be longer."""
    folder = os.open(state, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET}"
    finally:
        os.close(folder)
