"""All rollouts of a site as they go on: who reports is looked at again, the rest is remembered. No I/O.

A *host* here is a node that has resources: of its own, and what the roles of others put on it. Each
counts for the wave of the node whose role asks for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import msgspec

from rackwright.model import typed
from rackwright.model.bundle import Asked, Bundle, askers
from rackwright_proposals.rollouts import Course, Rollout, Share, judge, waves_of

Askers = tuple[Asked, ...]
"""With whole node names, and of their proposals those that go out wave by wave."""


class Staged(NamedTuple):
    """One thing that a rollout has a say in."""

    address: str
    """``type/name``; ``type/*`` stands for what goes by `Bundle.purge`."""
    digest: str
    """Empty: it is not rendered yet."""
    absent: bool
    asked: Askers


class Staging(msgspec.Struct, frozen=True):
    """What rollouts have a say in of one bundle."""

    items: tuple[Staged, ...] = ()
    declared: frozenset[str] = frozenset()
    """All that the bundle declares, to be there or not."""
    deferred: frozenset[str] = frozenset()

    def leaves(self, address: str) -> bool:
        """Whether ``address`` is declared no more."""
        return (
            address not in self.declared
            and address not in self.deferred
            and f"{address.partition('/')[0]}/?" not in self.deferred
        )


class _Entry(msgspec.Struct):
    called: str = ""
    needs: tuple[str, ...] = ()
    asked: Askers = ()


class Owned(msgspec.Struct):
    """What a ledger says that concerns rollouts."""

    entries: dict[str, _Entry] = {}
    purged: tuple[str, ...] = ()


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """What one host's reports come to. Addresses are ``type/name``."""

    verified: Mapping[str, str] = {}
    """Address → digest."""
    removed: Collection[str] = ()
    """What its last run took away."""
    failed: Mapping[str, tuple[str, str]] = {}
    """What failed or is refused → the digest at which it did (empty: to go), and why."""
    waits: Collection[str] = ()
    """What waits for another resource."""
    trouble: str = ""
    """Why its last run could not be done at all."""


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one host at one moment. Addresses are ``type/name``."""

    staging: Staging = Staging()
    reported: Reported = Reported()
    left: Mapping[str, Askers] = {}
    """What its ledger still holds and nothing declares any more, as `asked` last."""
    rested: Collection[str] = ()
    """What others rest on, or what waits for something: it goes after them."""
    purged: Collection[str] = ()
    """Types whose undeclared rest has gone."""

    def done(self, item: Staged) -> bool:
        """Whether ``item`` was seen as it is declared."""
        address, reported = item.address, self.reported
        if address.endswith("/*"):
            return address[:-2] in self.purged
        if item.absent and address in reported.removed:
            return True
        return bool(item.digest) and reported.verified.get(address) == item.digest

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do that a rollout has a say in."""
        return not self.left and all(map(self.done, self.staging.items))


class _Held(NamedTuple):
    """Resources of one host that are not as declared, and who asks for them."""

    asked: Askers
    leaving: bool
    addresses: tuple[str, ...]


class _Places(dict[str, int]):
    """Node → its place in a rollout. Whom it is not deployed on any more comes last."""

    def __missing__(self, node: str) -> int:
        return len(self)


class _Known(NamedTuple):
    shares: Mapping[tuple[str, str], Share]
    """(proposal, node) → what this host has of it."""
    held: tuple[_Held, ...]


_NOTHING = _Known({}, ())


def staging_of(bundle: Bundle, rollouts: Collection[str]) -> Staging:
    """What ``rollouts`` (their proposals) have a say in of ``bundle``. What somebody asks for without a rollout goes at
    once, so it is left out."""
    host = bundle.node.name
    known: dict[Askers, Askers] = {}

    def staged(asked: Askers) -> Askers:
        found = known.get(asked)
        if found is None:
            all_of_them = with_rollouts(host, asked, rollouts)
            found = known[asked] = all_of_them if len(all_of_them) == len(asked) else ()
        return found

    items = []
    for item in bundle.resources:
        asked = staged(askers(item))
        if asked:
            absent = item.data.get("ensure") == "absent"
            address = f"{item.type}/{item.data['name']}"
            items.append(Staged(address, item.digest, absent, asked))
    for one in bundle.deferred:
        asked = staged(askers(one))
        if asked:
            items.append(Staged(one.address, "", False, asked))
    for kind, who in bundle.purge_asked.items():
        asked = staged(who)
        if asked:
            items.append(Staged(f"{kind}/*", "", False, asked))
    return Staging(
        tuple(items),
        frozenset(f"{item.type}/{item.data['name']}" for item in bundle.resources),
        frozenset(item.address for item in bundle.deferred),
    )


def with_rollouts(host: str, asked: Askers, rollouts: Collection[str]) -> Askers:
    """Of ``asked`` on ``host`` those whose proposals go out wave by wave, with the nodes' names."""
    found = []
    for one in asked:
        names = tuple(name for name in one.proposals if name in rollouts)
        if names:
            found.append(Asked(one.node or host, names))
    return tuple(found)


def owned_of(ledger: bytes) -> Owned:
    """Of a ledger (JSON). Raises msgspec.ValidationError or ValueError for what is none."""
    return typed.decode(ledger, Owned)


def host_of(
    name: str,
    staging: Staging,
    owned: Owned,
    reported: Reported,
    rested: Collection[str],
    rollouts: Collection[str],
) -> Host | None:
    """What `Rolling.note` takes; None when no rollout has a say in anything there. ``rested`` are the
    addresses on which other nodes rest."""
    left, users = {}, {*rested, *reported.waits}
    for ours, entry in owned.entries.items():
        address = entry.called or ours
        if entry.asked and staging.leaves(address):
            asked = with_rollouts(name, entry.asked, rollouts)
            if asked:
                left[address] = asked
        for need in entry.needs:
            node, colon, local = need.partition(":")
            if not colon or "/" in node:
                users.add(need)
            elif node == name:
                users.add(local)
    if not staging.items and not left:
        return None
    return Host(staging=staging, reported=reported, left=left, rested=users, purged=owned.purged)


class Rolling:
    """The rollouts of one site. One thread at a time."""

    def __init__(self) -> None:
        self.rollouts: Mapping[str, Rollout] = {}
        self.courses: dict[str, Course] = {}
        self.since: dict[str, float] = {}
        """Proposal → since when its wave in hand is the one in hand, as far as this process knows."""
        self._hosts: dict[str, _Known] = {}
        self._parts: dict[str, dict[str, dict[str, Share]]] = {}
        """Proposal → node → host → share."""
        self._stale: set[str] = set()
        self._order: dict[str, _Places] = {}

    def begin(self, rollouts: Mapping[str, Rollout]) -> None:
        """These are the rollouts from now on; every host has to be noted again."""
        self.rollouts = rollouts
        self.courses = {name: self.courses[name] for name in rollouts if name in self.courses}
        self.since = {name: self.since[name] for name in rollouts if name in self.since}
        self._hosts, self._parts = {}, {name: {} for name in rollouts}
        self._order = {
            name: _Places((node, i) for i, node in enumerate(rollout.nodes))
            for name, rollout in rollouts.items()
        }
        self._stale = set(rollouts)

    def note(self, name: str, host: Host | None) -> None:
        """The host ``name`` is like this; None: there is nothing of any rollout on it, or it is gone
        for good."""
        old = self._hosts.get(name, _NOTHING)
        new = _NOTHING if host is None else self._known(name, host)
        if new == old:
            return
        if new is _NOTHING:
            self._hosts.pop(name, None)
        else:
            self._hosts[name] = new
        for key in old.shares.keys() | new.shares.keys():
            share = new.shares.get(key)
            if share == old.shares.get(key):
                continue
            proposal, node = key
            parts = self._parts[proposal].setdefault(node, {})
            if share is None:
                del parts[name]
                if not parts:
                    del self._parts[proposal][node]
            else:
                parts[name] = share
            self._stale.add(proposal)

    def settle(self, now: float) -> set[str]:
        """Judge what was noted. Returns the hosts for which another thing may be held than before,
        or for another reason; those that were noted are not among them for that alone."""
        concerned: set[str] = set()
        for name in self._stale:
            rollout, parts = self.rollouts[name], self._parts[name]
            shares = {}
            for node, by_host in parts.items():
                found = Share()
                for share in by_host.values():
                    found = found.joined(share) if found.total else share
                shares[node] = found
            member = set(rollout.nodes)
            waves = waves_of(rollout, (node for node in shares if node not in member))
            old, new = self.courses.get(name), judge(rollout, waves, shares)
            if old is None or old.front != new.front:
                self.since[name] = now
            same = old is not None and (old.front, old.rollout) == (new.front, new.rollout)
            if not same or [wave.nodes for wave in new.waves] != [wave.nodes for wave in old.waves]:  # type: ignore[union-attr]
                concerned.update(host for node in shares for host in parts[node])
            self.courses[name] = new
        self._stale = set()
        return concerned

    def later(self, name: str) -> dict[str, str]:
        """What of the host ``name`` must not become what is declared yet, as in `Gates.later`."""
        found: dict[str, str] = {}
        for asked, leaving, addresses in self._hosts.get(name, _NOTHING).held:
            closed = [why for why in map(self._closed, asked) if why]
            if closed and (leaving or len(closed) == len(asked)):
                _, why = max(closed) if leaving else min(closed)
                found.update(dict.fromkeys(addresses, why))
        return found

    def places(self, name: str) -> dict[str, tuple[tuple[str, int], ...]]:
        """What of the host ``name`` is not as declared → the rollouts for which it counts, each with its
        wave there, counted from 0."""
        return {
            address: tuple(
                (proposal, self.courses[proposal].number[node])
                for proposal, node in self._counts_for(asked, leaving)
            )
            for asked, leaving, addresses in self._hosts.get(name, _NOTHING).held
            for address in addresses
        }

    def front(self, proposal: str) -> tuple[str, ...]:
        """What all that is held by the rollout of ``proposal`` waits for: whole addresses, and the names
        of nodes that could not be converged. What failed, where that stopped it; else what is still to
        be done in the wave in hand."""
        course, parts = self.courses[proposal], self._parts[proposal]
        waves = course.waves[: course.opened]
        found: dict[str, None] = {}
        for node in (node for wave in waves for node in wave.failed if course.stopped):
            for share in parts[node].values():
                found.update(dict.fromkeys(what for what, _ in share.failed))
        if waves and not course.stopped:
            settled = {*waves[-1].done, *waves[-1].failed}
            for node in waves[-1].nodes:
                for share in parts.get(node, {}).values() if node not in settled else ():
                    found.update(dict.fromkeys(share.todo))
        return tuple(found)

    def _closed(self, asked: Asked) -> tuple[int, str] | None:
        """The wave of ``asked`` that may not go yet, and why; None when its turn has come."""
        for name in asked.proposals:
            course = self.courses[name]
            if not course.turn(asked.node):
                return course.number[asked.node], course.reason(asked.node)
        return None

    def _known(self, name: str, host: Host) -> _Known:
        total: dict[tuple[str, str], int] = {}
        todo: dict[tuple[str, str], list[str]] = {}
        failed: dict[tuple[str, str], list[tuple[str, str]]] = {}
        held: dict[tuple[Askers, bool], list[str]] = {}

        def note(address: str, asked: Askers, done: bool, why: str | None, leaving: bool) -> None:
            for key in self._counts_for(asked, leaving):
                total[key] = total.get(key, 0) + 1
                if not done:
                    todo.setdefault(key, []).append(f"{name}:{address}")
                if why is not None:
                    failed.setdefault(key, []).append((f"{name}:{address}", why))

        went_wrong = host.reported.failed
        for item in host.staging.items:
            address, done = item.address, host.done(item)
            at, why = went_wrong.get(address, ("", ""))
            wrong = not done and address in went_wrong and at in ("", item.digest)
            note(address, item.asked, done, why if wrong else None, False)
            if not done:
                held.setdefault((item.asked, False), []).append(address)
        for address, asked in host.left.items():
            held.setdefault((asked, True), []).append(address)
            if address not in host.rested:
                gone_wrong = went_wrong.get(address)
                note(address, asked, False, gone_wrong and gone_wrong[1], True)
        if host.reported.trouble:
            for key in total:
                if key in todo or key[1] == name:
                    failed.setdefault(key, []).append((name, host.reported.trouble))
        shares = {
            key: Share(count, tuple(todo.get(key, ())), tuple(failed.get(key, ())))
            for key, count in total.items()
        }
        groups = tuple(_Held(asked, leaving, tuple(found)) for (asked, leaving), found in held.items())  # fmt: skip
        return _Known(shares, groups)

    def _counts_for(self, asked: Askers, leaving: bool) -> Iterable[tuple[str, str]]:
        """The (proposal, node) that something counts for: of those who ask for it the first whose
        turn comes, and of those who asked for it the last."""
        if len(asked) == 1:
            return [(name, asked[0].node) for name in asked[0].proposals]
        nodes: dict[str, list[str]] = {}
        for one in asked:
            for name in one.proposals:
                nodes.setdefault(name, []).append(one.node)
        pick = max if leaving else min
        return [(name, pick(who, key=self._order[name].__getitem__)) for name, who in nodes.items()]
