"""Which host is to converge each managed node, who of the hosts is alive, and when that changes by itself.

Lives in the event loop. `Live` asks it what a host's bundle has beside what the site says; it tells
`Live` when that changes. Times are of a monotonic clock unless they are said to be Unix seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

from rackwright.model import lease as model
from rackwright.model.bundle import Bundle, Declared, Origin
from rackwright.model.report import Report
from rackwright_store.delegates import delegates_of
from rackwright_store.leases import Lease, Leases
from rackwright_store.live import Live
from rackwright_store.placement import Choice, Managed, Trouble, choose, spread
from rackwright_store.records import Drain
from rackwright_store.spans import span
from rackwright_store.unasked import TAKEOVER, Unasked
from rackwright_store.whereabouts import Host, devices_of, ranks

_LATE = 0.005
"""Seconds after a deadline at which it has surely passed."""


class Timer(Protocol):
    """What `Later` gives."""

    def cancel(self) -> None: ...


Later = Callable[[float, Callable[[], None]], Timer]
"""Call something after so many seconds."""


class Places:
    """Where the managed nodes of one store are to be. Others read its attributes, and change what it
    knows by its methods alone; but for ``retired``, which may change under it: then it wants
    `refresh`."""

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
        clock: Callable[[], float],
    ) -> None:
        """``leases`` and ``draining`` are what the database has; ``ttl`` gives the seconds that a lease
        lasts, ``origin`` where a node stands in the site."""
        now = clock()
        self.leases = Leases(leases, now)
        self.draining = dict(draining)
        self.retired, self.ttl, self.clock = retired, ttl, clock
        self.bundles: dict[str, Bundle] = {}
        """As the site says them."""
        self.devices: dict[str, tuple[str, ...]] = {}
        """Managed node → where it is reached."""
        self.names: tuple[str, ...] = ()
        """The hosts of the site."""
        self.managed: dict[str, Managed] = {}
        self.choices: dict[str, Choice] = {}
        self.targets = {lease.node: lease.subject for lease in self.leases.all() if not lease.released}  # fmt: skip
        """Node → the host that is to converge it."""
        self.since: dict[str, float] = {}
        """Unix seconds: since when the target of a node is what it is."""
        self.moved: dict[str, float] = {}
        """Since when the holder is to let go."""
        self.withheld: Collection[str] = ()
        """The nodes that their host is not told of, because another still holds them."""
        self.troubles: dict[str, dict[str, Trouble]] = {}
        """Node → the hosts that could not reach it."""
        self.alive_since: dict[str, float] = {}
        """Unix seconds, for each host that is alive."""
        self.heard_at: dict[str, float] = {}
        """Unix seconds: the last sign of life of each host."""
        self._live, self._origin, self._later = live, origin, later
        self._timer: Timer | None = None
        self._started = now
        # Whoever held something is taken to be alive: it may have said so right before we started.
        self._heard = {lease.subject: now for lease in self.leases.all() if not lease.released}
        self._told: dict[str, float] = {}
        """How long a lease was when a host was told so last."""
        self._counted: frozenset[str] = frozenset()
        """The hosts that were alive when nodes were placed the last time."""
        self._unasked = Unasked()
        live.additions = self._install

    def refresh(self) -> None:
        """Place anew, and tell the hosts whose bundle that changes."""
        self._place()
        self._live.put_extra(self._extra())
        self._arm()

    def _install(self, bundles: Mapping[str, Bundle]) -> Mapping[str, tuple[Declared, ...]]:
        """These are to be in force: what the hosts' have beside them."""
        self.bundles = dict(bundles)
        self.devices = {
            name: devices_of(bundle.node.reach)
            for name, bundle in bundles.items()
            if bundle.node.managed
        }
        self._place()
        extra = self._extra()
        self._arm()
        return extra

    def _place(self) -> None:
        now = self.clock()
        for node, host in self._unasked.late(now):
            if self.targets.get(node) == host:
                error = (
                    f"its delegates have not asked for it for {span(TAKEOVER)}: is its agent well?"
                )
                self._note_trouble(host, node, error)
        self.names = tuple(
            sorted(
                name
                for name, bundle in self.bundles.items()
                if model.DELEGATE_HOST in bundle.roles
                and not bundle.node.managed
                and name not in self.retired
            )
        )
        self.managed = {
            name: Managed(name, ranks(bundle.node.reach, self.names))
            for name, bundle in self.bundles.items()
            if bundle.node.managed and name not in self.retired
        }
        self.troubles = {
            node: {host: trouble for host, trouble in found.items() if host in self.names}
            for node, found in self.troubles.items()
            if node in self.managed
        }
        self._counted = frozenset(host for host in self.names if self.alive(host, now))
        for host in self.alive_since.keys() - self._counted:
            del self.alive_since[host]
        usable = frozenset(host for host in self.names if self.host(host, now).usable)
        self.choices = {
            name: choose(
                managed, usable, self.troubles.get(name, {}), self.targets.get(name, ""), now
            )
            for name, managed in self.managed.items()
        }
        wanted = spread(
            {name: choice.hosts for name, choice in self.choices.items()},
            self.targets,
            aside=[name for name, found in self.troubles.items() if found],
        )
        for name in self.managed.keys() | self.targets.keys():
            if self.targets.get(name) != wanted.get(name) or name not in self.since:
                self.since[name] = time.time()
            if self.targets.get(name) != wanted.get(name) and (
                # Otherwise the holder was to let go of it before.
                self.leases.holder(name, now) == self.targets.get(name)
            ):
                self.moved[name] = now
        for name in self.since.keys() - self.managed.keys():
            del self.since[name]
        self.targets = wanted

    def _note_trouble(self, host: str, node: str, error: str) -> None:
        found, now = self.troubles.get(node, {}), self.clock()
        before = found.get(host)
        trouble = Trouble(before.since if before else now, now, error)
        self.troubles[node] = {**found, host: trouble}

    def alive(self, host: str, now: float) -> bool:
        """Whether ``host`` has given a sign of life that still counts."""
        heard = self._heard.get(host)
        return heard is not None and now - heard <= self._sign(host)

    def _sign(self, host: str) -> float:
        """Seconds that a sign of life of ``host`` lasts: a lease as it was told then, should one be
        shorter by now."""
        return max(self.ttl(), self._told.get(host, 0.0))

    def host(self, name: str, now: float) -> Host:
        """``name`` as far as it can take a node now."""
        silent = now - self._heard.get(name, self._started)
        return Host(self.alive(name, now), silent, name in self.draining)

    def _extra(self) -> dict[str, tuple[Declared, ...]]:
        """Host → the delegates that it is to run. One whose lease another still holds comes when he
        has let go."""
        now = self.clock()
        free = {
            node: host
            for node, host in self.targets.items()
            if self.leases.free_for(node, host, now)
        }
        self.withheld = self.targets.keys() - free.keys()
        return delegates_of(free, self.bundles, self._origin)

    def target(self, node: str) -> str:
        """The host that is to converge ``node``; empty when none is."""
        return self.targets.get(node, "")

    # When something changes by itself.

    def _due(self) -> float | None:
        """The next moment at which the time alone changes something."""
        times = [self._heard[host] + self._sign(host) for host in self._counted]
        times += [choice.again for choice in self.choices.values() if choice.again is not None]
        times += self._unasked.due()
        for node in self.withheld:
            lease = self.leases.get(node)
            if lease is not None:
                times.append(lease.ends + model.GRACE)
        return min(times, default=None)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._due()
        if due is not None:
            self._timer = self._later(max(0.0, due - self.clock()) + _LATE, self.tick)

    def tick(self) -> None:
        """Place anew if the time has come."""
        due = self._due()
        if due is not None and self.clock() > due:
            self.refresh()
        else:
            self._arm()

    def close(self) -> None:
        """No more timers."""
        if self._timer is not None:
            self._timer.cancel()

    # What hosts do, and what is done with them.

    def hear(self, subject: str, now: float, at: float) -> bool:
        """``subject`` gave a sign of life (``at``: the same moment in Unix seconds); whether that is news, and
        wants `refresh`."""
        if subject not in self.names:
            return False
        self._heard[subject], self.heard_at[subject] = now, at
        self._told[subject] = self.ttl()
        self.alive_since.setdefault(subject, at)
        return subject not in self._counted

    def note_asked(self, host: str, wanted: Collection[str], now: float) -> None:
        """``host`` has asked for ``wanted``: what it leaves out too long goes elsewhere."""
        left_out = {
            node for node, target in self.targets.items()
            if target == host and node not in wanted and node not in self.withheld
        }  # fmt: skip
        if self._unasked.note(host, left_out, now):
            self._arm()

    def note_report(self, host: str, report: Report) -> None:
        """``host`` has reported on a run for a node whose lease it had last."""
        node, found = report.node, self.troubles.get(report.node, {})
        if report.why_run or host not in self.names or node not in self.managed:
            return
        if report.kind == "unreachable" and report.asked:
            self._note_trouble(host, node, report.error)
            self.refresh()
        elif host in found and report.kind in ("", "device"):
            self.troubles[node] = {name: said for name, said in found.items() if name != host}
            self.refresh()

    def drain(self, host: str, drain: Drain | None) -> None:
        """``host`` is to hold nothing, from now on; or may again."""
        if drain is None:
            self.draining.pop(host, None)
        else:
            self.draining[host] = drain
        self.refresh()
