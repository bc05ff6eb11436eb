"""What the nodes of one state directory have verified and rest on, told from their ledgers."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from rackwright.engine.ledger import Ledger, decode
from rackwright.model.bundle import Bundle, Gates

LOOKED = 1.0
"""Seconds for which one look at other processes' ledgers serves all nodes of this one."""


class _Standing(NamedTuple):
    """What of one ledger concerns other nodes."""

    digests: frozenset[str]
    """Of what it has verified."""
    rests_on: tuple[tuple[str, str, str], ...]
    """Another node, a resource there, and ours that rests on it."""


class Neighbours:
    """The ledgers under a state directory, read again when they change. Any thread may ask."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._files: dict[str, tuple[int, int, int]] = {}
        self._standing: dict[str, _Standing] = {}
        self._resting: dict[str, dict[str, list[str]]] | None = None
        """Node → its resource → what of other nodes rests on it; None when a ledger has changed."""

    def note(self, node: str, ledger: Ledger) -> None:
        """``node`` has this ledger now."""
        with self._lock:
            self._files.setdefault(node, (0, 0, 0))
            self._standing[node] = _standing(ledger)
            self._resting = None

    def gates(self, node: str, bundle: Bundle) -> Gates:
        """What of other nodes ``node``'s needs may count on, and what of its own they rest on."""
        verified: dict[str, str] = {}
        with self._lock:
            self._look()
            for declared in bundle.resources:
                for need in declared.needs:
                    owner, colon, _ = need.address.partition("/")[0].partition(":")
                    if colon and owner in self._files and need.digest in self._read(owner).digests:
                        verified[need.address] = need.digest
            if self._resting is None:
                self._resting = self._rest()
            held = self._resting.get(node, {})
            stays = _staying(bundle) if held else frozenset()
            # Whether who rests on what stays is itself to go, no ledger says.
            left = {key: tuple(sorted(who)) for key, who in held.items() if key not in stays}
        return Gates(verified=verified, held=left)

    def _rest(self) -> dict[str, dict[str, list[str]]]:
        found: dict[str, dict[str, list[str]]] = {}
        for other in self._files:
            for owner, local, ours in self._read(other).rests_on:
                if owner != other:
                    found.setdefault(owner, {}).setdefault(local, []).append(f"{other}:{ours}")
        return found

    def _look(self) -> None:
        if time.monotonic() - self._looked < LOOKED:
            return
        found: dict[str, tuple[int, int, int]] = {}
        for node in os.listdir(self._state) if self._state.is_dir() else ():  # noqa: PTH208
            try:
                status = os.stat(f"{self._state}/{node}/ledger.json")  # noqa: PTH116
            except OSError:
                continue
            found[node] = (status.st_mtime_ns, status.st_size, status.st_ino)
            if found[node] != self._files.get(node):
                self._standing.pop(node, None)
        if found != self._files:
            self._files, self._resting = found, None
        self._looked = time.monotonic()

    def _read(self, node: str) -> _Standing:
        standing = self._standing.get(node)
        if standing is None:
            try:
                ledger = decode((self._state / node / "ledger.json").read_bytes())
            except (OSError, msgspec.DecodeError):
                ledger = Ledger()
            standing = self._standing[node] = _standing(ledger)
        return standing


def _staying(bundle: Bundle) -> frozenset[str]:
    return frozenset(
        str(declared.address)
        for declared in bundle.resources
        if declared.data.get("ensure") != "absent"
    )


def _standing(ledger: Ledger) -> _Standing:
    rests_on = []
    for address, entry in ledger.entries.items():
        for need in entry.needs:
            owner, colon, local = need.partition(":")
            if colon and "/" not in owner:
                rests_on.append((owner, local, entry.called or address))
    return _Standing(
        frozenset(entry.digest for entry in ledger.entries.values() if not entry.intent),
        tuple(rests_on),
    )
