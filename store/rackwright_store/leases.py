"""Who may converge a managed node, for how long, and under which epoch. Pure; times are of a monotonic
clock that never runs ahead of real time (a suspended machine's may fall behind: that only makes leases
longer here, and nobody else gets one for it).

What keeps two from writing: a holder counts from before it asked, we count from after; it stops before
its end, we give the node away `GRACE` after ours; and each tenure has a higher epoch than those before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from rackwright.model.lease import GRACE, Refused

FORMER_KEPT = 32
"""Processes that were succeeded on one lease and are remembered."""
HIGHEST_BELIEVED = 2**53
"""An epoch that somebody says he has held counts up to here: nobody is to use them up."""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The newest lease of one node, held or over."""

    node: str
    epoch: int
    subject: str
    """The node whose credential took it."""
    instance: str
    """The state directory that it was taken for."""
    process: str
    former: tuple[str, ...] = ()
    """Processes of this instance that ``process`` has succeeded."""
    since: float
    """Unix seconds: when this tenure began."""
    ttl: float
    """Seconds: the longest for which it was given in this tenure."""
    released: bool = False
    devices: tuple[str, ...] = ()
    """Where the node is reached, or was in this tenure: another node there is the same device."""
    ends: float = 0.0
    """By the monotonic clock of this store's process."""

    def held(self, now: float) -> bool:
        """Whether its holder may believe that it holds it."""
        return not self.released and now <= self.ends

    def free(self, now: float) -> bool:
        """Whether somebody else may have the node."""
        return self.released or now > self.ends + GRACE


class Ask(NamedTuple):
    """One process wants one node."""

    node: str
    subject: str
    instance: str
    process: str
    epoch: int
    """The last that its state directory held; 0: none."""
    devices: tuple[str, ...] = ()
    """Where the node is reached."""


def decide(known: Lease | None, ask: Ask, now: float, ttl: float, at: float) -> Lease | Refused:
    """The node's lease after ``ask``, or why it is not given. ``now`` is no earlier than when ``ask``
    was sent; ``at`` is the same moment in Unix seconds."""
    asked = ask.epoch if ask.epoch <= HIGHEST_BELIEVED else 0
    if known is not None and not known.free(now):
        if (known.subject, known.instance) != (ask.subject, ask.instance):
            return _refused(known, ask, now)
        if ask.process in known.former:
            return _refused(known, ask, now, "another process has taken it over")
        if known.held(now) and asked <= known.epoch:
            former = known.former
            if ask.process != known.process:
                former = (*former, known.process)[-FORMER_KEPT:]
            return msgspec.structs.replace(
                known,
                process=ask.process,
                former=former,
                devices=tuple(sorted({*known.devices, *ask.devices})),
                ttl=max(ttl, known.ttl),
                ends=max(now + ttl, known.ends),
            )
    return Lease(
        node=ask.node,
        epoch=max(known.epoch if known else 0, asked) + 1,
        subject=ask.subject,
        instance=ask.instance,
        process=ask.process,
        devices=ask.devices,
        since=at,
        ttl=ttl,
        ends=now + ttl,
    )


def _refused(known: Lease, ask: Ask, now: float, why: str = "") -> Refused:
    who = "another delegate on " if known.subject == ask.subject else ""
    told = why or f"{who}{known.subject} converges it"
    retry = round(max(0.0, known.ends + GRACE - now), 3)
    return Refused(why=f"{told} (epoch {known.epoch})", by=known.subject, retry=retry)


class Leases:
    """The newest lease of every node. ``known`` is what outlived a store's process: each of these counts
    as renewed at ``now``, since its holder may have been told so right before."""

    def __init__(self, known: Iterable[Lease], now: float) -> None:
        self._by_node = {
            lease.node: msgspec.structs.replace(lease, ends=now + lease.ttl) for lease in known
        }
        self._unsaved: dict[str, Lease] = {}

    def get(self, node: str) -> Lease | None:
        """The newest lease of ``node``."""
        return self._by_node.get(node)

    def all(self) -> Iterable[Lease]:
        """The newest lease of every node that ever had one."""
        return self._by_node.values()

    def holder(self, node: str, now: float) -> str:
        """Who holds ``node``; empty when nobody does."""
        lease = self._by_node.get(node)
        return lease.subject if lease is not None and lease.held(now) else ""

    def free_for(self, node: str, host: str, now: float) -> bool:
        """Whether nobody but ``host`` has a claim on ``node``."""
        lease = self._by_node.get(node)
        return lease is None or lease.subject == host or lease.free(now)

    def ask(self, ask: Ask, now: float, ttl: float, at: float) -> Lease | Refused:
        """`decide`, and remember. What is given must be saved (`unsaved`) before it is told."""
        known = self._by_node.get(ask.node)
        found = decide(known, ask, now, ttl, at)
        if isinstance(found, Lease):
            self._by_node[ask.node] = found
            if known is None or _kept(known) != _kept(found):
                self._unsaved[ask.node] = found
        return found

    def release(self, node: str, subject: str, process: str, epoch: int) -> bool:
        """The holder gives ``node`` up; whether it was his to give."""
        lease = self._by_node.get(node)
        if lease is None or lease.released:
            return False
        if (lease.subject, lease.process, lease.epoch) != (subject, process, epoch):
            return False
        self._by_node[node] = self._unsaved[node] = msgspec.structs.replace(lease, released=True)
        return True

    def unsaved(self, nodes: Iterable[str]) -> list[Lease]:
        """What is to be written of ``nodes`` before anybody is told."""
        return [self._unsaved[node] for node in nodes if node in self._unsaved]

    def saved(self, leases: Iterable[Lease]) -> None:
        """These have been written."""
        for lease in leases:
            if self._unsaved.get(lease.node) is lease:
                del self._unsaved[lease.node]


def _kept(lease: Lease) -> tuple[object, ...]:
    """What of a lease must outlive the store's process: renewals need not."""
    return lease.epoch, lease.process, lease.ttl, lease.released, lease.devices
