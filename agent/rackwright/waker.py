"""Wakes the nodes of a process when the store has news for them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Sequence
from random import random
from typing import NamedTuple

from rackwright.client import StoreClient, Watch
from rackwright.loop import Loop
from rackwright.model.errors import RackwrightError, Temporary
from rackwright.source import StoreSource
from rackwright.store_http import WatchRefused

log = logging.getLogger(__name__)

POLL = 55.0
"""Seconds that one long poll at the store lasts; below what proxies cut at."""
LEASED_POLL = 5.0
"""The same where nodes come and go: one that comes is in the next poll. Also for a host, whose answer may
get lost on a network that fails: what it does not hear of keeps a node from the others."""
STORE_BACK_OFF = 5.0
"""Seconds at most, give or take a half, until a store that is away is asked again: a host that does not
hear of what it is to let go of keeps it from others."""
AGAIN = 30.0
"""Seconds after which a node is woken again that was woken and has not fetched its news."""


class Woken(NamedTuple):
    """A node was woken."""

    item: Watch
    """What it had."""
    fetched: int
    """How often it had heard from the store (`StoreSource.fetched`)."""
    at: float

    def underway(self, item: Watch, fetched: int, now: float) -> bool:
        """Whether it has yet to fetch the news for which it was woken: a poll would return at once. What
        it then fetches may be what it had, when the news was taken back meanwhile."""
        return (item, fetched) == (self.item, self.fetched) and now - self.at < AGAIN


class Waker:
    """One long poll at the store for all nodes of this process; it wakes those that changed."""

    def __init__(
        self,
        client: StoreClient,
        loops: Sequence[Loop],
        stop: threading.Event,
        poll: float = POLL,
    ) -> None:
        """``loops`` may change meanwhile; ``poll`` is how long one long poll lasts, in seconds."""
        self._client, self._stop, self._given, self._poll = client, stop, loops, poll
        self._failures = 0
        self._refused: dict[str, Watch] = {}
        self._woken: dict[str, Woken] = {}
        self.thread = threading.Thread(target=self._go, name="wake", daemon=True)

    def _go(self) -> None:
        while not self._stop.is_set():
            loops = {loop.runner.node: loop for loop in self._given if loop.watched}
            sources = {
                node: loop.runner.source
                for node, loop in loops.items()
                if isinstance(loop.runner.source, StoreSource)
            }
            now = time.monotonic()
            watch = [
                item
                for node, source in sources.items()
                # In its first run a node has its bundle before its gates, and would be woken for these.
                if source.etag and (source.gates_etag or loops[node].resting)
                for item in (_watch(source),)
                if not _same(self._refused.get(node), item)
                and not (
                    node in self._woken and self._woken[node].underway(item, source.fetched, now)
                )
            ]
            if not watch:
                self._stop.wait(0.2)
                continue
            # After a failure a short poll, which tells soon that the store is back.
            whole = len(watch) == len(loops.keys() - self._refused.keys()) and not self._failures
            hosts = any(source.hosts for source in sources.values())
            seconds = min(self._poll, LEASED_POLL if hosts else POLL) if whole else 1.0
            changed = self._ask(watch, seconds, list(loops.values()))
            for item in watch:
                if item.node in changed:
                    # Counted before it is woken: the run that follows counts on.
                    fetched = sources[item.node].fetched
                    self._woken[item.node] = Woken(item, fetched, time.monotonic())
                    loops[item.node].wake()

    def _ask(self, watch: list[Watch], seconds: float, loops: list[Loop]) -> Collection[str]:
        """The nodes for which the store has news; none, after a while, when it gave no answer."""
        try:
            changed = self._client.wait(watch, seconds)
        except WatchRefused as error:
            log.error("%s", error)
            self._refused.update({item.node: item for item in watch if item.node in error.nodes})
            if not any(item.node in error.nodes for item in watch):
                self._stop.wait(30.0)  # it names none that we could leave out
        except Temporary:
            self._failures += 1
            longest = min(STORE_BACK_OFF, 0.5 * 2 ** min(self._failures, 6))
            self._stop.wait(longest * (0.5 + random()))  # noqa: S311 - spreads load, keeps no secret
        except RackwrightError as error:
            log.error("the store refuses to wake us: %s", error)
            self._stop.wait(30.0)
        else:
            if self._failures:
                # What was reported while it was away need not wait for the next run.
                for loop in loops:
                    loop.runner.deliver()
            self._failures = 0
            return changed
        return ()


def _watch(source: StoreSource) -> Watch:
    return Watch(source.node, source.credential, source.etag, source.gates_etag, source.epoch)


def _same(refused: Watch | None, item: Watch) -> bool:
    """Whether ``item`` has the credential, and is of the tenure, with which its node was refused."""
    return refused is not None and (refused.credential, refused.epoch) == (
        item.credential,
        item.epoch,
    )
