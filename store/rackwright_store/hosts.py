"""The hosts that converge managed nodes: who is alive, what each is to converge, and what it holds.

Lives in the event loop. `Live` asks it what a host's bundle has beside what the site says; it tells
`Live` when that changes. Times are of a monotonic clock unless they are said to be Unix seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from rackwright.model import lease as model
from rackwright.model.bundle import Bundle, Declared, Origin
from rackwright.model.report import Report
from rackwright_store.delegates import delegates_of
from rackwright_store.leases import Ask, Lease, Leases
from rackwright_store.live import Live
from rackwright_store.placement import (
    Choice,
    Managed,
    Trouble,
    Whereabouts,
    choose,
    spread,
)
from rackwright_store.records import Drain
from rackwright_store.spans import span
from rackwright_store.unasked import TAKEOVER, Unasked
from rackwright_store.whereabouts import (
    Host,
    devices_of,
    ranks,
    why_nowhere,
    why_there,
    why_unreached,
)

HANDOVER = 120.0
"""Seconds for which a host that is to let go of a node may still renew its lease: to finish what it has in
hand. It is told so with each renewal."""
_LATE = 0.005
"""Seconds after a deadline at which it has surely passed."""


class Timer(Protocol):
    """What `Later` gives."""

    def cancel(self) -> None: ...


Later = Callable[[float, Callable[[], None]], Timer]
"""Call something after so many seconds."""


class Want(NamedTuple):
    """One node that a process asks for."""

    instance: str
    epoch: int


class Hosts:
    """Hosts, placement and leases of one store. ``draining`` and ``leases`` are what the database has;
    ``retired`` may change under it, and then it wants `refresh`."""

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
        now = clock()
        self.leases = Leases(leases, now)
        self.draining = dict(draining)
        self._live, self._retired, self._ttl, self._origin = live, retired, ttl, origin
        self._later, self._clock = later, clock
        self._timer: Timer | None = None
        self._started = now
        self._bundles: dict[str, Bundle] = {}
        self._devices: dict[str, tuple[str, ...]] = {}
        self._hosts: tuple[str, ...] = ()
        self._managed: dict[str, Managed] = {}
        self._choices: dict[str, Choice] = {}
        # Whoever held something is taken to be alive: it may have said so right before we started.
        self._heard = {lease.subject: now for lease in self.leases.all() if not lease.released}
        self._heard_at: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._alive_since: dict[str, float] = {}
        self._counted: frozenset[str] = frozenset()
        """The hosts that were alive when nodes were placed the last time."""
        self._targets = {lease.node: lease.subject for lease in self.leases.all() if not lease.released}  # fmt: skip
        self._moved: dict[str, float] = {}
        """Since when the holder is to let go."""
        self._unasked = Unasked()
        self._withheld: Collection[str] = ()
        """The nodes that their host is not told of, because another still holds them."""
        self._since: dict[str, float] = {}
        self._troubles: dict[str, dict[str, Trouble]] = {}
        live.additions = self._install

    # What is placed where.

    def refresh(self) -> None:
        """Place anew, and tell the hosts whose bundle that changes."""
        self._place()
        self._live.put_extra(self._extra())
        self._arm()

    def _install(self, bundles: Mapping[str, Bundle]) -> Mapping[str, tuple[Declared, ...]]:
        """These are to be in force: what the hosts' have beside them."""
        self._bundles = dict(bundles)
        self._devices = {
            name: devices_of(bundle.node.reach)
            for name, bundle in bundles.items()
            if bundle.node.managed
        }
        self._place()
        extra = self._extra()
        self._arm()
        return extra

    def _place(self) -> None:
        now = self._clock()
        for node, host in self._unasked.late(now):
            if self._targets.get(node) == host:
                error = (
                    f"its delegates have not asked for it for {span(TAKEOVER)}: is its agent well?"
                )
                self._note_trouble(host, node, error)
        self._hosts = tuple(
            sorted(
                name
                for name, bundle in self._bundles.items()
                if model.DELEGATE_HOST in bundle.roles
                and not bundle.node.managed
                and name not in self._retired
            )
        )
        self._managed = {
            name: Managed(name, ranks(bundle.node.reach, self._hosts))
            for name, bundle in self._bundles.items()
            if bundle.node.managed and name not in self._retired
        }
        self._troubles = {
            node: {host: trouble for host, trouble in found.items() if host in self._hosts}
            for node, found in self._troubles.items()
            if node in self._managed
        }
        self._counted = frozenset(host for host in self._hosts if self._alive(host, now))
        for host in self._alive_since.keys() - self._counted:
            del self._alive_since[host]
        usable = frozenset(host for host in self._hosts if self._host(host, now).usable)
        self._choices = {
            name: choose(
                managed, usable, self._troubles.get(name, {}), self._targets.get(name, ""), now
            )
            for name, managed in self._managed.items()
        }
        wanted = spread(
            {name: choice.hosts for name, choice in self._choices.items()},
            self._targets,
            aside=[name for name, found in self._troubles.items() if found],
        )
        for name in self._managed.keys() | self._targets.keys():
            if self._targets.get(name) != wanted.get(name) or name not in self._since:
                self._since[name] = time.time()
            if self._targets.get(name) != wanted.get(name) and (
                # Otherwise the holder was to let go of it before.
                self.leases.holder(name, now) == self._targets.get(name)
            ):
                self._moved[name] = now
        for name in self._since.keys() - self._managed.keys():
            del self._since[name]
        self._targets = wanted

    def _note_trouble(self, host: str, node: str, error: str) -> None:
        found, now = self._troubles.get(node, {}), self._clock()
        before = found.get(host)
        trouble = Trouble(before.since if before else now, now, error)
        self._troubles[node] = {**found, host: trouble}

    def _alive(self, host: str, now: float) -> bool:
        heard = self._heard.get(host)
        return heard is not None and now - heard <= self._sign(host)

    def _sign(self, host: str) -> float:
        """Seconds that a sign of life of ``host`` lasts: a lease as it was told then, should one be
        shorter by now."""
        return max(self._ttl(), self._told.get(host, 0.0))

    def _host(self, name: str, now: float) -> Host:
        silent = now - self._heard.get(name, self._started)
        return Host(self._alive(name, now), silent, name in self.draining)

    def _extra(self) -> dict[str, tuple[Declared, ...]]:
        """Host → the delegates that it is to run. One whose lease another still holds comes when he
        has let go."""
        now = self._clock()
        free = {
            node: host
            for node, host in self._targets.items()
            if self.leases.free_for(node, host, now)
        }
        self._withheld = self._targets.keys() - free.keys()
        return delegates_of(free, self._bundles, self._origin)

    # When something changes by itself.

    def _due(self) -> float | None:
        """The next moment at which the time alone changes something."""
        times = [self._heard[host] + self._sign(host) for host in self._counted]
        times += [choice.again for choice in self._choices.values() if choice.again is not None]
        times += self._unasked.due()
        for node in self._withheld:
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
            self._timer = self._later(max(0.0, due - self._clock()) + _LATE, self.tick)

    def tick(self) -> None:
        """Place anew if the time has come."""
        due = self._due()
        if due is not None and self._clock() > due:
            self.refresh()
        else:
            self._arm()

    def close(self) -> None:
        """No more timers."""
        if self._timer is not None:
            self._timer.cancel()

    # What hosts ask and report.

    def ask(
        self, subject: str, process: str, want: Mapping[str, Want], release: Mapping[str, int]
    ) -> model.Leases:
        """The answer to one request for leases. What is new in it must be saved before it is told
        (`Leases.unsaved`)."""
        now, at = self._clock(), time.time()
        freed = [
            node for node, epoch in release.items()
            if self.leases.release(node, subject, process, epoch)
        ]  # fmt: skip
        if self._hear(subject, now, at) or freed:
            self.refresh()
        gone = [
            lease for lease in self.leases.all()
            if lease.node not in self._managed and not lease.free(now)
        ]  # fmt: skip
        held: dict[str, int] = {}
        refused: dict[str, model.Refused] = {}
        for node, (instance, epoch) in want.items():
            found = self._denied(subject, node, now) or self._renamed(node, gone, now)
            if found is None:
                devices = self._devices.get(node, ())
                asking = Ask(node, subject, instance, process, epoch, devices)
                given = self.leases.ask(asking, now, self._ttl(), at)
                if isinstance(given, Lease):
                    held[node] = given.epoch
                    continue
                found = given
            refused[node] = found
        left_out = {
            node for node, host in self._targets.items()
            if host == subject and node not in want and node not in self._withheld
        }  # fmt: skip
        if self._unasked.note(subject, left_out, now):
            self._arm()
        leaving = {} if subject not in self._hosts else {
            node: self._placed(node) for node in held if self._targets.get(node) != subject
        }  # fmt: skip
        return model.Leases(ttl=self._ttl(), held=held, refused=refused, leaving=leaving)

    def _hear(self, subject: str, now: float, at: float) -> bool:
        """``subject`` gave a sign of life; whether that is news."""
        if subject not in self._hosts:
            return False
        self._heard[subject], self._heard_at[subject] = now, at
        self._told[subject] = self._ttl()
        self._alive_since.setdefault(subject, at)
        return subject not in self._counted

    def _denied(self, subject: str, node: str, now: float) -> model.Refused | None:
        """Why ``subject`` may not have ``node``, whoever holds it."""
        target, retry = self._targets.get(node, ""), self._ttl() / 3
        if subject == node:
            managed = self._managed.get(node)
            if managed is None:
                return model.Refused(why=f"{node} is no managed node of the site", retry=retry)
            if not managed.ranks:
                return None
            what = f"{target} converges it" if target else self.whereabouts(node).unplaced
            return model.Refused(why=f"the store places {node}: {what}", by=target, retry=retry)
        if target and target == subject:
            return None
        if self.leases.holder(node, now) == subject and now - self._moved.get(node, now) < HANDOVER:
            return None  # to finish what it has in hand
        if subject not in self._hosts:
            what = f"{subject} is no host that converges others: it has not the role {model.DELEGATE_HOST}"
            return model.Refused(why=what, retry=retry)
        if not self._may_know(subject, node):
            return model.Refused(why=f"{subject} is not to converge {node}", retry=retry)
        return model.Refused(why=self._placed(node), by=target, retry=retry)

    def _placed(self, node: str) -> str:
        target = self._targets.get(node)
        return f"the store places {node} on {target}" if target else f"{node} is placed nowhere"

    def _renamed(self, node: str, gone: Iterable[Lease], now: float) -> model.Refused | None:
        """Why nobody may have ``node`` yet: its device had another name, one of those that are ``gone``,
        under which somebody may still be writing to it."""
        devices = self._devices.get(node, ())
        for lease in gone:
            if not {*devices}.isdisjoint(lease.devices):
                why = f"{lease.subject} has yet to let go of {lease.node}, which was reached where {node} is"
                retry = round(max(0.0, lease.ends + model.GRACE - now), 3)
                return model.Refused(why=why, by=lease.subject, retry=retry)
        return None

    def _may_know(self, subject: str, node: str) -> bool:
        return node in self._managed and subject in self._managed[node].ranks

    def acts(self, subject: str, node: str, epoch: int) -> bool:
        """Whether ``subject`` holds the lease of ``node`` under this epoch, and so may act for it."""
        lease = self.leases.get(node)
        return (
            lease is not None
            and node not in self._retired
            and (lease.subject, lease.epoch) == (subject, epoch)
            and lease.held(self._clock())
        )

    def last(self, subject: str, node: str, epoch: int) -> bool:
        """Whether ``subject`` was the last who could change ``node``, under this epoch or a later one."""
        lease = self.leases.get(node)
        return lease is not None and lease.subject == subject and epoch <= lease.epoch

    def counts(self, subject: str, node: str, epoch: int) -> bool:
        """Whether nobody else could change ``node`` since ``subject`` had it under this epoch (0: without
        a lease, as a server's own agent has it)."""
        lease, managed = self.leases.get(node), self._managed.get(node)
        if lease is not None and (managed is not None or subject != node):
            return (lease.subject, lease.epoch) == (subject, epoch)
        return subject == node and not (managed is not None and managed.ranks)

    def manages(self, node: str) -> bool:
        """Whether ``node`` is one that delegates converge."""
        return node in self._managed

    def why_not_itself(self, node: str) -> str:
        """Why ``node`` may not act with its own credential: the store places it, or another holds its
        lease. Empty when it may."""
        lease, managed = self.leases.get(node), self._managed.get(node)
        if managed is None:
            return ""
        if lease is not None and not lease.free(self._clock()):
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
        if lease is None or not lease.held(self._clock()):
            return f"{text}; nobody holds it"
        return f"{text}; it is held by {lease.subject} (epoch {lease.epoch})"

    def note_report(self, host: str, report: Report) -> None:
        """``host`` has reported on a run for a node whose lease it had last."""
        node, found = report.node, self._troubles.get(report.node, {})
        if report.why_run or host not in self._hosts or node not in self._managed:
            return
        if report.kind == "unreachable" and report.asked:
            self._note_trouble(host, node, report.error)
            self.refresh()
        elif host in found and report.kind in ("", "device"):
            self._troubles[node] = {name: said for name, said in found.items() if name != host}
            self.refresh()

    def drain(self, host: str, drain: Drain | None) -> None:
        """``host`` is to hold nothing, from now on; or may again."""
        if drain is None:
            self.draining.pop(host, None)
        else:
            self.draining[host] = drain
        self.refresh()

    # What people are told.

    @property
    def names(self) -> tuple[str, ...]:
        """The hosts of the site."""
        return self._hosts

    def target(self, node: str) -> str:
        """The host that is to converge ``node``; empty when none is."""
        return self._targets.get(node, "")

    def why_there(self, node: str) -> str:
        """Why ``node`` is put on the host that is to converge it; empty when none is."""
        target = self._targets.get(node)
        if target is None:
            return ""
        return why_there(self._bundles[node].node.reach, self._managed[node].ranks, target)

    def whereabouts(self, node: str) -> Whereabouts:
        """Where ``node`` is; all empty for one that no host can take."""
        managed, now = self._managed.get(node), self._clock()
        holder = self.leases.holder(node, now)
        if managed is None or not managed.ranks:
            return Whereabouts(holder=holder)
        hosts = {host: self._host(host, now) for host in managed.ranks}
        target, since = self._targets.get(node, ""), self._since.get(node, 0.0)
        reach = self._bundles[node].node.reach
        if not target:
            unplaced = why_nowhere(reach, managed.ranks, hosts)
            return Whereabouts(holder=holder, unplaced=unplaced, since=since)
        unreached = ""
        if self._choices[node].unreached and len(managed.ranks) > 1:
            unreached = why_unreached(managed.ranks, hosts, self._troubles.get(node, {}))
        return Whereabouts(target, holder, unreached=unreached, since=since)

    def data(self) -> dict[str, Any]:
        """All hosts with their nodes, and the nodes that none of them may have."""
        now = self._clock()
        unplaced = [
            {"node": node, "why": found.unplaced, "since": found.since, "hosts": sorted(managed.ranks)}
            for node, managed in sorted(self._managed.items())
            if (found := self.whereabouts(node)).unplaced
        ]  # fmt: skip
        return {
            "lease": self._ttl(),
            "hosts": [self._host_data(host, unplaced, now) for host in self._hosts],
            "unplaced": unplaced,
        }

    def host_data(self, host: str) -> dict[str, Any]:
        """One host of `data`."""
        found: dict[str, Any] = next(item for item in self.data()["hosts"] if item["host"] == host)
        return found

    def _host_data(
        self, host: str, unplaced: Iterable[Mapping[str, Any]], now: float
    ) -> dict[str, Any]:
        mine = {node for node, target in self._targets.items() if target == host}
        mine |= {
            lease.node for lease in self.leases.all() if lease.subject == host and lease.held(now)
        }
        drain = self.draining.get(host)
        return {
            "host": host,
            "state": "alive" if self._alive(host, now) else "silent",
            "since": self._alive_since.get(host),
            "heard": self._heard_at.get(host),
            "draining": msgspec.to_builtins(drain) if drain else None,
            "share": sum(target == host for target in self._targets.values()),
            "nodes": [self._node_data(host, node, now) for node in sorted(mine)],
            "stuck": [
                {"node": item["node"], "why": item["why"]}
                for item in unplaced
                if drain and host in item["hosts"]
            ],
        }

    def _node_data(self, host: str, node: str, now: float) -> dict[str, Any]:
        lease, target = self.leases.get(node), self._targets.get(node, "")
        held = lease is not None and lease.subject == host and lease.held(now)
        epoch = lease.epoch if lease is not None and held else None
        if target == host:
            why = self.why_there(node)
            holder = self.leases.holder(node, now)
            if holder and not held:
                why += f"; {holder} has yet to let go of it"
        elif target:
            why = f"goes to {target}"
        else:
            why = self.whereabouts(node).unplaced or "is not to be converged any more"
        return {
            "node": node,
            "state": ("held" if held else "coming") if target == host else "leaving",
            "epoch": epoch,
            "since": lease.since if lease is not None and held else None,
            "why": why,
        }
