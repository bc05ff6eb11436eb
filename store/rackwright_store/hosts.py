"""What hosts ask: to have a node, and to act for one that they have. Lives in the event loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from rackwright.model import lease as model
from rackwright.model.bundle import Origin
from rackwright_store.host_views import HostViews
from rackwright_store.leases import Ask, Lease
from rackwright_store.live import Live
from rackwright_store.places import Later, Places
from rackwright_store.records import Drain

HANDOVER = 120.0
"""Seconds for which a host that is to let go of a node may still renew its lease: to finish what it has in
hand. It is told so with each renewal."""


class Want(NamedTuple):
    """One node that a process asks for."""

    instance: str
    epoch: int


class Hosts:
    """The hosts of one store that converge managed nodes."""

    def __init__(
        self,
        live: Live,
        leases: Iterable[Lease],
        draining: Mapping[str, Drain],
        retired: Collection[str],
        *,
        ttl: Callable[[], float],
        origin: Callable[[str], Origin | None],
        later: Later,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """As `Places` takes them."""
        self.places = Places(
            live, leases, draining, retired, ttl=ttl, origin=origin, later=later, clock=clock
        )
        self.leases = self.places.leases
        self.views = HostViews(self.places)

    def ask(
        self, subject: str, process: str, want: Mapping[str, Want], release: Mapping[str, int]
    ) -> model.Leases:
        """The answer to one request for leases. What is new in it must be saved before it is told
        (`Leases.unsaved`)."""
        now, at = self.places.clock(), time.time()
        freed = [
            node for node, epoch in release.items()
            if self.leases.release(node, subject, process, epoch)
        ]  # fmt: skip
        if self.places.hear(subject, now, at) or freed:
            self.places.refresh()
        gone = [
            lease for lease in self.leases.all()
            if lease.node not in self.places.managed and not lease.free(now)
        ]  # fmt: skip
        held: dict[str, int] = {}
        refused: dict[str, model.Refused] = {}
        for node, (instance, epoch) in want.items():
            found = self._denied(subject, node, now) or self._renamed(node, gone, now)
            if found is None:
                devices = self.places.devices.get(node, ())
                asking = Ask(node, subject, instance, process, epoch, devices)
                given = self.leases.ask(asking, now, self.places.ttl(), at)
                if isinstance(given, Lease):
                    held[node] = given.epoch
                    continue
                found = given
            refused[node] = found
        self.places.note_asked(subject, want, now)
        leaving = {} if subject not in self.places.names else {
            node: self._placed(node) for node in held if self.places.targets.get(node) != subject
        }  # fmt: skip
        return model.Leases(ttl=self.places.ttl(), held=held, refused=refused, leaving=leaving)

    def _denied(self, subject: str, node: str, now: float) -> model.Refused | None:
        """Why ``subject`` may not have ``node``, whoever holds it."""
        target, retry = self.places.targets.get(node, ""), self.places.ttl() / 3
        if subject == node:
            managed = self.places.managed.get(node)
            if managed is None:
                return model.Refused(why=f"{node} is no managed node of the site", retry=retry)
            if not managed.ranks:
                return None
            what = f"{target} converges it" if target else self.views.whereabouts(node).unplaced
            return model.Refused(why=f"the store places {node}: {what}", by=target, retry=retry)
        if target and target == subject:
            return None
        if (
            self.leases.holder(node, now) == subject
            and now - self.places.moved.get(node, now) < HANDOVER
        ):
            return None  # to finish what it has in hand
        if subject not in self.places.names:
            what = f"{subject} is no host that converges others: it has not the role {model.DELEGATE_HOST}"
            return model.Refused(why=what, retry=retry)
        if not self._may_know(subject, node):
            return model.Refused(why=f"{subject} is not to converge {node}", retry=retry)
        return model.Refused(why=self._placed(node), by=target, retry=retry)

    def _placed(self, node: str) -> str:
        target = self.places.targets.get(node)
        return f"the store places {node} on {target}" if target else f"{node} is placed nowhere"

    def _renamed(self, node: str, gone: Iterable[Lease], now: float) -> model.Refused | None:
        """Why nobody may have ``node`` yet: its device had another name, one of those that are ``gone``,
        under which somebody may still be writing to it."""
        devices = self.places.devices.get(node, ())
        for lease in gone:
            if not {*devices}.isdisjoint(lease.devices):
                why = f"{lease.subject} has yet to let go of {lease.node}, which was reached where {node} is"
                retry = round(max(0.0, lease.ends + model.GRACE - now), 3)
                return model.Refused(why=why, by=lease.subject, retry=retry)
        return None

    def _may_know(self, subject: str, node: str) -> bool:
        return node in self.places.managed and subject in self.places.managed[node].ranks

    def acts(self, subject: str, node: str, epoch: int) -> bool:
        """Whether ``subject`` holds the lease of ``node`` under this epoch, and so may act for it."""
        lease = self.leases.get(node)
        return (
            lease is not None
            and node not in self.places.retired
            and (lease.subject, lease.epoch) == (subject, epoch)
            and lease.held(self.places.clock())
        )

    def last(self, subject: str, node: str, epoch: int) -> bool:
        """Whether ``subject`` was the last who could change ``node``, under this epoch or a later one."""
        lease = self.leases.get(node)
        return lease is not None and lease.subject == subject and epoch <= lease.epoch

    def counts(self, subject: str, node: str, epoch: int) -> bool:
        """Whether nobody else could change ``node`` since ``subject`` had it under this epoch (0: without
        a lease, as a server's own agent has it)."""
        lease, managed = self.leases.get(node), self.places.managed.get(node)
        if lease is not None and (managed is not None or subject != node):
            return (lease.subject, lease.epoch) == (subject, epoch)
        return subject == node and not (managed is not None and managed.ranks)

    def manages(self, node: str) -> bool:
        """Whether ``node`` is one that delegates converge."""
        return node in self.places.managed

    def why_not_itself(self, node: str) -> str:
        """Why ``node`` may not act with its own credential: the store places it, or another holds its
        lease. Empty when it may."""
        lease, managed = self.leases.get(node), self.places.managed.get(node)
        if managed is None:
            return ""
        if lease is not None and not lease.free(self.places.clock()):
            if lease.subject == node:
                return ""
            return f"{lease.subject} converges {node} (epoch {lease.epoch})"
        return f"the store places {node} on its hosts" if managed.ranks else ""

    def why_not(self, subject: str, node: str, epoch: int) -> str:
        """Why ``subject`` may not act for ``node``, where it could have held it."""
        if not self._may_know(subject, node):
            return ""
        if not epoch:
            return self._placed(node)
        lease = self.leases.get(node)
        text = f"{subject} does not hold the lease of {node} (epoch {epoch})"
        if lease is None or not lease.held(self.places.clock()):
            return f"{text}; nobody holds it"
        return f"{text}; it is held by {lease.subject} (epoch {lease.epoch})"
