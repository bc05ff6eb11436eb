"""What somebody asks the daemon of an admin host's delegates to do once: the reboot of an outlet.

Asked on the daemon's socket (`rackwright.hosted`) by the line ``reboot NODE OUTLET``. The answer is a
`News` a line, as JSON; the last one has what came of it. Who hangs up before it began has it not done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from rackwright import hosted
from rackwright.model import typed
from rackwright.model.errors import Temporary, Unreachable

LOOK = 0.2
"""Seconds between two looks at whether who waits is to stop."""
CONNECT = 10.0
"""Seconds that the daemon has to take a conversation."""


class Rebooted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of the reboot of an outlet."""

    state: Literal["rebooted", "failed", "unreachable", "stopped"]
    """``unreachable``: the unit, the store or the daemon; or another has the node, or is at it."""
    error: str = ""
    via: str = ""
    """As in `Report`."""


class News(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of an answer."""

    said: str = ""
    """How far it is."""
    ended: Rebooted | None = None


def reboot(
    state: Path, node: str, outlet: str, tell: Callable[[str], None], stop: threading.Event
) -> Rebooted:
    """Have the daemon whose host's state directory is ``state`` reboot an outlet, however long that
    takes; ``tell`` is called with each thing that it says meanwhile. Raises Unreachable when there is
    no daemon, or it ends before; Temporary when told to ``stop``: what has begun goes on."""
    try:
        with hosted.connected(state, CONNECT) as line:
            line.sendall(f"reboot {node} {outlet}\n".encode())
            line.settimeout(LOOK)
            heard = b""
            while not stop.is_set():
                try:
                    more = line.recv(65536)
                except TimeoutError:
                    continue
                if not more:
                    raise Unreachable(
                        "the daemon of delegates ended before it was done: `rackwright outlet list` "
                        "shows how the outlet is"
                    )
                *lines, heard = (heard + more).split(b"\n")
                for one in lines:
                    news = typed.decode(one, News)
                    if news.ended is not None:
                        return news.ended
                    tell(news.said)
    except (OSError, msgspec.DecodeError) as error:
        raise Unreachable(f"the daemon of delegates does not answer: {error}") from error
    raise Temporary("told to stop; the daemon of delegates ends what it has begun")
