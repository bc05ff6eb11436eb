"""Rollouts without a store: told from what lies in the nodes' state directories."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import msgspec

from rackwright.engine.files import replace
from rackwright.engine.ledger import Ledger, encode
from rackwright.model import typed
from rackwright.model.address import Address
from rackwright.model.bundle import Bundle
from rackwright.model.report import Outcome, Report
from rackwright_proposals.rolling import (
    Host,
    Owned,
    Reported,
    Rolling,
    Staging,
    host_of,
    owned_of,
    staging_of,
)
from rackwright_proposals.rollouts import Rollout

log = logging.getLogger(__name__)

LOOKED = 1.0
"""Seconds for which one look at other processes' files serves all nodes of this one."""
_NONE = (0, 0, 0)
_Stat = tuple[int, int, int]


def fold(report: Report, known: Reported) -> Reported:
    """What is known of a host after ``report``, a run that was no dry one."""
    verified, failed = dict(known.verified), dict(known.failed)
    waits, removed, seen = [], [], set()
    for outcome in report.outcomes:
        address = str(Address.parse(outcome.address).local)
        seen.add(address)
        failed.pop(address, None)
        if outcome.state in ("in_sync", "changed") and outcome.digest:
            verified[address] = outcome.digest
        elif outcome.state in ("removed", "released", "failed") or _drifted(
            outcome, verified.get(address, "")
        ):
            verified.pop(address, None)
        if outcome.state == "removed":
            removed.append(address)
        elif outcome.state in ("failed", "refused"):
            at = "" if outcome.action == "remove" else outcome.digest
            failed[address] = (at, outcome.why)
        elif outcome.state == "blocked" and outcome.waits_for:
            waits.append(address)
    if not report.error:
        verified = {address: digest for address, digest in verified.items() if address in seen}
        failed = {address: why for address, why in failed.items() if address in seen}
    return Reported(
        verified=verified,
        removed=removed,
        failed=failed,
        waits=waits,
        trouble=report.error if report.kind != "interrupted" else "",
    )


def _drifted(outcome: Outcome, known: str) -> bool:
    """Whether what was verified is not so any more, and was not mended."""
    held = outcome.state in ("blocked", "refused")
    return held and outcome.action in ("create", "update") and known == outcome.digest


class Turns:
    """The rollouts of one site by the files under one state directory: each node's ``ledger.json``, and
    ``reported.json``, which is kept here. Any thread may ask."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._rolling = Rolling()
        self._bundles: Mapping[str, Bundle] = {}
        self._staging: dict[str, Staging] = {}
        self._reported: dict[str, tuple[_Stat, Reported]] = {}
        self._owned: dict[str, tuple[_Stat, Owned]] = {}
        self._uses: dict[str, dict[str, set[str]]] = {}
        """Node → another → what of that its resources rest on."""
        self._users: dict[str, set[str]] = {}
        """The other way round: node → who rests on something of it."""
        self._stale: set[str] = set()
        self._looked = float("-inf")

    def note_report(self, report: Report) -> None:
        """A run of this process came to its end."""
        with self._lock:
            node = report.node
            known = self._read_reported(node)
            now = fold(report, known)
            path = self._state / node / "reported.json"
            if now != known:
                try:
                    replace(path, msgspec.json.encode(now), durable=False)
                except OSError as error:
                    log.error("%s: what it reported cannot be kept: %s", node, error)
            self._reported[node] = (_stat(path), now)
            self._stale.add(node)

    def note_ledger(self, node: str, ledger: Ledger) -> None:
        """``node`` has this ledger now."""
        with self._lock:
            owned = owned_of(encode(ledger))
            self._set_owned(node, _stat(self._state / node / "ledger.json"), owned)

    def settled(self, node: str, bundle: Bundle, proposals: Iterable[str]) -> bool:
        """Whether nothing is left to do on ``node`` in which the rollouts of ``proposals`` have a say: a
        look at its own files alone."""
        names = frozenset(proposals)
        if not names:
            return True
        with self._lock:
            host = self._host(node, staging_of(bundle, names), names)
        return host is None or host.settled

    def later(
        self, node: str, bundles: Mapping[str, Bundle], rollouts: Mapping[str, Rollout]
    ) -> dict[str, str]:
        """What of ``node`` must wait for its turn, as in `Gates.later`."""
        with self._lock:
            self._look(bundles, rollouts)
            return self._rolling.later(node)

    def rolling(self, bundles: Mapping[str, Bundle], rollouts: Mapping[str, Rollout]) -> Rolling:
        """Where all rollouts stand."""
        with self._lock:
            self._look(bundles, rollouts)
            return self._rolling

    def _look(self, bundles: Mapping[str, Bundle], rollouts: Mapping[str, Rollout]) -> None:
        if rollouts != self._rolling.rollouts:
            self._rolling.begin(rollouts)
            self._bundles, self._staging = {}, {}
        if bundles is not self._bundles:
            self._stale.update(self._bundles.keys() - bundles.keys())
            for node, bundle in bundles.items():
                if self._bundles.get(node) is not bundle:
                    self._staging[node] = staging_of(bundle, rollouts)
                    self._stale.add(node)
            self._bundles = bundles
        if time.monotonic() - self._looked >= LOOKED:
            self._looked = time.monotonic()
            for node in bundles:
                self._read_owned(node)
                self._read_reported(node)
        for node in list(self._stale):
            staging = self._staging.get(node) if node in bundles else None
            host = None if staging is None else self._host(node, staging, rollouts)
            self._rolling.note(node, host)
        self._stale.clear()
        self._rolling.settle(time.time())

    def _host(self, node: str, staging: Staging, names: Collection[str]) -> Host | None:
        owned, reported = self._read_owned(node), self._read_reported(node)
        users = self._users.get(node, ())
        rested = {ours for user in users for ours in self._uses[user].get(node, ())}
        return host_of(node, staging, owned, reported, rested, names)

    def _read_owned(self, node: str) -> Owned:
        path = self._state / node / "ledger.json"
        now, kept = _stat(path), self._owned.get(node)
        if kept is not None and kept[0] == now:
            return kept[1]
        try:
            owned = owned_of(path.read_bytes())
        except (OSError, msgspec.DecodeError):
            owned = Owned()
        self._set_owned(node, now, owned)
        return owned

    def _set_owned(self, node: str, at: _Stat, owned: Owned) -> None:
        self._owned[node] = (at, owned)
        uses: dict[str, set[str]] = {}
        for entry in owned.entries.values():
            for need in entry.needs:
                other, colon, local = need.partition(":")
                if colon and "/" not in other and other != node:
                    uses.setdefault(other, set()).add(local)
        before = self._uses.get(node, {})
        for other in before:
            self._users[other].discard(node)
        for other in uses:
            self._users.setdefault(other, set()).add(node)
        self._uses[node] = uses
        self._stale.update((node, *before, *uses))

    def _read_reported(self, node: str) -> Reported:
        path = self._state / node / "reported.json"
        now, kept = _stat(path), self._reported.get(node)
        if kept is not None and kept[0] == now:
            return kept[1]
        try:
            reported = typed.decode(path.read_bytes(), Reported)
        except (OSError, msgspec.DecodeError):
            reported = Reported()
        self._reported[node] = (now, reported)
        self._stale.add(node)
        return reported


def _stat(path: Path) -> _Stat:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return _NONE
    return status.st_mtime_ns, status.st_size, status.st_ino
