"""What the nodes of one site are to each other, for runs without a store: whose turn a cut is, and what
the last live feeds are, told from the state directories beside each other."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from rackwright.cli.last_run import LastRun, last_run
from rackwright.engine.files import replace
from rackwright.engine.ledger import Ledger, decode
from rackwright.model import typed
from rackwright.model.bundle import Bundle, Gates
from rackwright_proposals.carrying import SHARED
from rackwright_proposals.feeds import feeders_of, last_feeds
from rackwright_proposals.redundancy import End, Group, Groups
from rackwright_proposals.sides import LINKED
from rackwright_proposals.turns import Turns

ANSWERS_FOR = 180.0
"""Seconds after a run that reached it for which a node counts as one that answers: there is nobody here
who would hear it."""


class Beside(msgspec.Struct, frozen=True):
    """What a site says of a node and those beside it."""

    groups: tuple[Group, ...] = ()
    bundles: tuple[Bundle, ...] = ()
    """Of their resources, those at ports, outlets and slots, and what several ports run through; members
    of a LAG by the one name of each port."""


def beside(
    node: str, bundles: Mapping[str, Bundle], groups: Groups, spelling: Callable[[str], str]
) -> Beside:
    """What of a site ``node`` must know of those beside it. ``spelling`` gives the one name of a
    switch's port."""
    nodes = {name: bundle.node for name, bundle in bundles.items()}
    near = groups.around([node])
    kept = dict.fromkeys(group for link in near for group, _ in groups.by_link[link])
    concerned = {end.node for group in kept for side in group.sides for end in side}
    if nodes[node].type in ("pdu", "chassis"):
        for link in nodes[node].links:
            concerned |= {link.peer} | feeders_of(link.peer, nodes)
    if not concerned:
        return Beside()
    return Beside(
        tuple(kept),
        tuple(
            _linked(bundles[name], spelling)
            for name in sorted(concerned | {node})
            if name in bundles
        ),
    )


def _linked(bundle: Bundle, spelling: Callable[[str], str]) -> Bundle:
    resources = []
    for item in bundle.resources:
        if members := item.data.get("members") if item.type == "lag" else None:
            data = {**item.data, "members": [spelling(str(port)) for port in members]}
            item = msgspec.structs.replace(item, data=data)
        if item.type in LINKED or item.type in SHARED:
            resources.append(item)
    return Bundle(
        node=bundle.node,
        revision=bundle.revision,
        resources=tuple(resources),
        purge=bundle.purge,
        deferred=tuple(item for item in bundle.deferred if item.address.startswith(_SHARED)),
    )


_SHARED = tuple(f"{kind}/" for kind in SHARED)


class Directories:
    """What the state directories say of the nodes now: `rackwright_proposals.turns.Known`."""

    def __init__(self, state: Path, gates: Mapping[str, Gates] = MappingProxyType({})) -> None:
        self._state, self._gates = state, gates
        self._last: dict[str, LastRun | None] = {}
        self._verified: dict[str, Mapping[str, str]] = {}
        self._ledgers: dict[str, Ledger] = {}

    def verified(self, node: str) -> Mapping[str, str]:
        """By its ledger, without what the last run found to be otherwise."""
        if node not in self._verified:
            ledger = self._ledger(node)
            last = self._last_run(node)
            self._verified[node] = {
                key: entry.digest
                for canonical, entry in ledger.entries.items()
                for key in (entry.called or canonical,)
                if not entry.intent
                and not (last and (key in last.failed or last.drifted.get(key) == entry.digest))
            }
        return self._verified[node]

    def failed(self, node: str, key: str) -> bool:
        """Whether its last run says so."""
        last = self._last_run(node)
        return last is not None and key in last.failed

    def removed(self, node: str) -> Collection[str]:
        """By its last run."""
        last = self._last_run(node)
        return last.removed if last else ()

    def away(self, node: str) -> bool:
        """Whether it was not reached, or never converged from here."""
        last = self._last_run(node)
        return last is None or last.kind != ""

    def gates(self, node: str) -> Gates:
        """Of those beside the node nobody asks here what they wait for."""
        return self._gates.get(node, Gates())

    def begun(self, node: str) -> Collection[str]:
        """By its ledger."""
        entries = self._ledger(node).entries
        return {entry.called or key for key, entry in entries.items()}

    def leaving(self, node: str) -> Collection[str]:
        """By its last run."""
        last = self._last_run(node)
        return last.leaving if last else ()

    def applied(self, node: str, key: str) -> Mapping[str, Any] | None:
        """By its ledger."""
        if key not in self.verified(node):
            return None
        entries = self._ledger(node).entries.items()
        return next((entry.data for ours, entry in entries if key == (entry.called or ours)), None)

    def answers(self, node: str) -> bool:
        """Whether it did lately."""
        last = self._last_run(node)
        return (
            last is not None
            and last.kind != "unreachable"
            and time.time() - last.finished <= ANSWERS_FOR
        )

    def reached(self, node: str) -> bool:
        """Whether its last run did not fail to reach it."""
        last = self._last_run(node)
        return last is None or last.kind != "unreachable"

    def _ledger(self, node: str) -> Ledger:
        if node not in self._ledgers:
            try:
                found = decode((self._state / node / "ledger.json").read_bytes())
            except (OSError, msgspec.DecodeError):
                found = Ledger()
            self._ledgers[node] = found
        return self._ledgers[node]

    def _last_run(self, node: str) -> LastRun | None:
        if node not in self._last:
            self._last[node] = last_run(self._state / node)
        return self._last[node]


def gates_beside(node: str, about: Beside, state: Path, gates: Gates) -> Gates:
    """``gates`` with whose turn it is and what the last live feeds of ``node`` are. Who has the turn is
    kept under ``state``, for all processes that use it."""
    if not about.bundles:
        return gates
    known = Directories(state, {node: gates})
    bundles = {bundle.node.name: bundle for bundle in about.bundles}
    nodes = {name: bundle.node for name, bundle in bundles.items()}

    def live(pdu: str, outlet: str) -> bool:
        return known.reached(pdu) and any(
            str(item.data["name"]) == outlet
            and item.data.get("state") == "on"
            and known.verified(pdu).get(str(item.address)) == item.digest
            for item in bundles[pdu].resources
        )

    feeds = last_feeds(node, nodes, live, known.answers)
    turns: dict[str, tuple[str, ...]] = {}
    if about.groups:
        with _holders(state) as holders:
            taking = Turns(known, holders, alone=node)
            taking.use(bundles, Groups(about.groups))
            # Of those further away not all is here that their turns depend on.
            taking.update([node])
            holders[:] = taking.holders
            turns = taking.of(node)
    return msgspec.structs.replace(gates, turns=turns, last_feeds=feeds)


@contextmanager
def _holders(state: Path) -> Iterator[list[frozenset[End]]]:
    """Who has the turn, to read and to change, one process at a time."""
    state.mkdir(parents=True, exist_ok=True)
    path = state / "turns.json"
    with (state / "turns.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            before = typed.decode(path.read_bytes(), list[list[End]])
        except FileNotFoundError:
            before = []
        holders = [frozenset(link) for link in before]
        yield holders
        after = sorted(sorted(link) for link in holders)
        if after != before:
            replace(path, msgspec.json.encode(after))
