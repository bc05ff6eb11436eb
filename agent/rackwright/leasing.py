"""Leases as one process knows them. Pure, but for the clock that a `Lease` looks at.

A lease lasts ``ttl`` seconds at the store, counted there from when the request arrived. Here it is
counted from *before the request was sent*, and ends a margin earlier, so whatever the network does in
between, we stop first. `Table` says what to ask, what an answer means and by when to stop; the thread
that asks is `rackwright.keeper.Keeper`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import msgspec

from rackwright.model.errors import NotAsked
from rackwright.model.lease import LEASE_SECONDS, Leases

_T = TypeVar("_T")

SOONEST = 0.25
"""Seconds between two requests at least, unless a wish has changed."""


def boot_time() -> float:
    """Seconds on a clock that nobody sets, and that goes on while the machine is suspended where the
    system has such a clock (clock_gettime(2), CLOCK_BOOTTIME)."""
    return time.clock_gettime(_CLOCK)


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def margin(ttl: float) -> float:
    """Seconds by which we stop before the store lets the lease end: for the last bytes on their way,
    and for clocks that run at different rates."""
    return max(0.5, ttl / 10)


class NoLease(NotAsked):
    """Somebody else converges the node, or it is not known who does: nothing was asked of it."""


class Lease:
    """The right to converge one node, for one tenure. Any thread may look at it; the keeper alone
    prolongs it. Once `end` was called it stays ended."""

    __slots__ = ("_clock", "_ended", "_why", "ends", "epoch", "node")

    def __init__(
        self, node: str, epoch: int, ends: float, clock: Callable[[], float] = boot_time
    ) -> None:
        """``ends``: until when something may be sent, by ``clock``."""
        self.node, self.epoch, self.ends = node, epoch, ends
        self._clock, self._ended, self._why = clock, False, "the store was not heard in time"

    def prolong(self, ends: float) -> None:
        """The store has renewed it."""
        self.ends = max(self.ends, ends)

    def end(self, why: str) -> None:
        """For good."""
        if not self._ended:
            self._why, self._ended = why, True

    def left(self) -> float:
        """Seconds for which something may still be sent; 0 or less once nothing may."""
        return 0.0 if self._ended else self.ends - self._clock()

    def check(self, needs: float = 0.0) -> None:
        """Raise NotAsked when there are not more than ``needs`` seconds left."""
        left = self.left()
        if left > needs:
            return
        if left > 0:
            raise NotAsked(
                f"the lease on {self.node} ends in {left:.1f} s (epoch {self.epoch}), and this takes "
                f"{needs:.1f} s: it is not sent"
            )
        raise NotAsked(
            f"the lease on {self.node} ended (epoch {self.epoch}): {self._why}: nothing more is sent"
        )


class Wish(NamedTuple):
    """A node whose lease is wanted."""

    instance: str
    """Random text that is kept in the node's state directory."""
    epoch: int = 0
    """The last that this directory held; 0: none."""


class Tenure(NamedTuple):
    """A lease that is held."""

    epoch: int
    ends: float
    """Until when something may be sent."""


class Denied(NamedTuple):
    """A lease that was refused."""

    why: str
    by: str
    again: float
    """From when on asking again may help; 0: who knows."""


class Asked(NamedTuple):
    """What a request said."""

    want: dict[str, tuple[str, int]]
    release: dict[str, int]


class Table(msgspec.Struct, frozen=True):
    """All leases of one process. Times are of one clock, in seconds."""

    wanted: Mapping[str, Wish] = {}
    held: Mapping[str, Tenure] = {}
    leaving: Mapping[str, int] = {}
    """Node → epoch, given up until the store has confirmed it. Until then the node is not asked for
    again: a request to release that was held up on its way would end what a later one was given."""
    denied: Mapping[str, Denied] = {}
    ttl: float = LEASE_SECONDS
    heard: float = float("-inf")
    """When the last request that was answered was sent."""

    def wishing(self, node: str, wish: Wish) -> Table:
        """With one wish more."""
        return msgspec.structs.replace(self, wanted={**self.wanted, node: wish})

    def giving_up(self, node: str) -> Table:
        """With one wish less; what is held of it ends here and now."""
        leaving = dict(self.leaving)
        if node in self.held:
            leaving[node] = self.held[node].epoch
        return msgspec.structs.replace(
            self,
            wanted=_without(self.wanted, node),
            held=_without(self.held, node),
            denied=_without(self.denied, node),
            leaving=leaving,
        )

    def asking(self) -> Asked:
        """What the next request says."""
        want = {
            node: (
                wish.instance,
                max(wish.epoch, self.held[node].epoch if node in self.held else 0),
            )
            for node, wish in self.wanted.items()
            if node not in self.leaving
        }
        return Asked(want, dict(self.leaving))

    def answered(self, asked: Asked, sent: float, answer: Leases) -> Table:
        """After the ``answer`` to ``asked``, which was sent at ``sent`` or later."""
        ends = sent + answer.ttl - margin(answer.ttl)
        wanted, held, denied = dict(self.wanted), dict(self.held), dict(self.denied)
        leaving = {
            node: epoch for node, epoch in self.leaving.items() if asked.release.get(node) != epoch
        }
        for node, (instance, _) in asked.want.items():
            epoch, refusal = answer.held.get(node), answer.refused.get(node)
            wish = self.wanted.get(node, Wish(""))
            ours = wish.instance == instance and node not in self.leaving
            if epoch is not None and ours:
                held[node] = Tenure(epoch, ends)
                wanted[node] = Wish(instance, max(wish.epoch, epoch))
                denied.pop(node, None)
            elif epoch is not None:
                leaving[node] = epoch  # nobody here wants any more what has just been given
            elif refusal is not None and ours:
                held.pop(node, None)
                again = sent + refusal.retry if refusal.retry > 0 else 0.0
                denied[node] = Denied(refusal.why, refusal.by, again)
        return Table(wanted, held, leaving, denied, answer.ttl, sent)

    def expired(self, now: float) -> frozenset[str]:
        """Nodes whose lease has ended because nobody renewed it."""
        return frozenset(node for node, tenure in self.held.items() if tenure.ends <= now)

    def without(self, nodes: frozenset[str]) -> Table:
        """With the tenures of ``nodes`` forgotten; they are still wanted."""
        held = {node: tenure for node, tenure in self.held.items() if node not in nodes}
        return msgspec.structs.replace(self, held=held)

    def due(self, now: float) -> float:
        """Seconds to the next request when no wish changes: a third of a lease after the last one,
        or when what was refused may be given."""
        moments = [self.heard + self.ttl / 3]
        moments += [denied.again for denied in self.denied.values() if denied.again]
        return max(min(moments), self.heard + SOONEST) - now

    def looks(self, now: float) -> float:
        """Seconds to the first end of a lease; infinite without any."""
        return min((tenure.ends for tenure in self.held.values()), default=float("inf")) - now


def _without(found: Mapping[str, _T], node: str) -> dict[str, _T]:
    return {name: value for name, value in found.items() if name != node}
