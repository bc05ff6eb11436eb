"""Wakes the nodes of a process when the store has news for them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Mapping, Sequence
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
AGAIN, RARELY = 30.0, 900.0
"""Seconds after which a node is woken again that was woken and has not fetched its news; doubled up to the
second."""
REFUSED = 60.0
"""Seconds for which a node is left out of the polls whose credential was refused: a store that was put
back may know it again."""
LARGEST = 1000
"""Nodes of one long poll, of which a store takes 1 MiB at most; of more there are several in turn."""


class Woken(NamedTuple):
    """A node was woken."""

    item: Watch
    """What it had."""
    fetched: int
    """How often it had heard from the store (`StoreSource.fetched`)."""
    at: float
    times: int = 0
    """How often it was woken for the same news before."""

    def same(self, item: Watch, fetched: int) -> bool:
        """Whether it has not fetched its news since. What it then fetches may be what it had, when the
        news was taken back meanwhile."""
        return (item, fetched) == (self.item, self.fetched)

    def underway(self, item: Watch, fetched: int, now: float) -> bool:
        """Whether it has yet to fetch the news for which it was woken: a poll would return at once."""
        again = min(AGAIN * 2 ** min(self.times, 8), RARELY)
        return self.same(item, fetched) and now - self.at < again


class Refused(NamedTuple):
    """A node's credential was refused."""

    item: Watch
    at: float

    def stands(self, item: Watch, now: float) -> bool:
        """Whether it would be refused again: for this credential, of this tenure."""
        same = (item.credential, item.epoch) == (self.item.credential, self.item.epoch)
        return same and now - self.at < REFUSED


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
        self._failures = self._polls = 0
        self._refused: dict[str, Refused] = {}
        self._woken: dict[str, Woken] = {}
        self.thread = threading.Thread(target=self._go, name="wake", daemon=True)

    def _go(self) -> None:
        while not self._stop.is_set():
            try:
                self._turn()
            except Exception:
                # Nobody would be woken any more, so it goes on, whatever bug this is.
                log.exception("the store's news are not heard")
                self._stop.wait(STORE_BACK_OFF)

    def _turn(self) -> None:
        """One poll; those that it names are woken."""
        loops: dict[str, Loop] = {}
        sources: dict[str, StoreSource] = {}
        for loop in list(self._given):
            if loop.watched and isinstance(loop.runner.source, StoreSource):
                loops[loop.runner.node] = loop
                sources[loop.runner.node] = loop.runner.source
        fetched = {node: source.fetched for node, source in sources.items()}
        items = {node: _watch(source) for node, source in sources.items()}
        now = time.monotonic()
        self._refused = {
            node: refused
            for node, refused in self._refused.items()
            if node in items and refused.stands(items[node], now)
        }
        watch = [
            item
            for node, item in items.items()
            # In its first run a node has its bundle before its gates, and would be woken for these.
            if (loops[node].resting or (item.bundle and item.gates))
            and node not in self._refused
            and not (node in self._woken and self._woken[node].underway(item, fetched[node], now))
        ]
        if not watch:
            self._stop.wait(0.2)
            return
        # After a failure a short poll, which tells soon that the store is back.
        whole = len(watch) + len(self._refused) == len(loops) and not self._failures
        polls = -(-len(watch) // LARGEST)
        self._polls += 1
        watch = watch[self._polls % polls :: polls]
        hosts = any(source.hosts for source in sources.values())
        seconds = min(self._poll, LEASED_POLL if hosts else POLL) if whole and polls == 1 else 1.0
        changed = self._ask(watch, seconds, sources, loops.values())
        for item in watch:
            if item.node in changed:
                # Counted before it is woken: the run that follows counts on.
                before, count = self._woken.get(item.node), sources[item.node].fetched
                times = before.times + 1 if before and before.same(item, count) else 0
                self._woken[item.node] = Woken(item, count, time.monotonic(), times)
                loops[item.node].wake()

    def _ask(
        self,
        watch: list[Watch],
        seconds: float,
        sources: Mapping[str, StoreSource],
        loops: Collection[Loop],
    ) -> Collection[str]:
        """The nodes for which the store has news; none, after a while, when it gave no answer."""
        try:
            changed = self._client.wait(watch, seconds)
        except WatchRefused as error:
            log.error("%s", error)
            refused = {item.node: item for item in watch if item.node in error.nodes}
            for node, item in refused.items():
                self._refused[node] = Refused(item, time.monotonic())
                sources[node].renew()
            if not refused:
                self._stop.wait(30.0)  # it names none that we could leave out
        except Temporary:
            self._failures += 1
            longest = min(STORE_BACK_OFF, 0.5 * 2 ** min(self._failures, 6))
            self._stop.wait(longest * (0.5 + random()))  # noqa: S311 - spreads load, keeps no secret
        except RackwrightError as error:
            self._failures += 1
            log.error("the store refuses to wake us: %s", error)
            self._stop.wait(30.0)
        else:
            if self._failures:
                # What could not be told while it was away need not wait.
                for loop in loops:
                    loop.store_is_back()
            self._failures = 0
            return changed
        return ()


def _watch(source: StoreSource) -> Watch:
    return Watch(source.node, source.credential, source.etag, source.gates_etag, source.epoch)
