"""What discovery found of one node the last time, in its state directory."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from rackwright.engine.files import replace
from rackwright.model import typed
from rackwright.model.facts import Facts

FACTS_AGE = 600.0
"""Seconds for which facts are taken for true; what waits for a fact asks again at once."""


class FoundFacts(msgspec.Struct, frozen=True):
    """Facts, and what became of them."""

    at: float
    """Unix seconds: when they were found."""
    encoded: msgspec.Raw = msgspec.field(name="facts")
    """As in the file: most runs need no more of them than their age."""
    sent: bool
    """Whether the store has them."""

    @property
    def facts(self) -> Facts:
        """Raises msgspec.DecodeError when the file holds something else."""
        return typed.decode(self.encoded, Facts)

    @property
    def fresh(self) -> bool:
        """Whether they are taken for true."""
        return 0 <= time.time() - self.at <= FACTS_AGE


def found_now(facts: Facts, known: FoundFacts | None) -> tuple[FoundFacts, bool]:
    """``facts`` to be kept in the place of what was ``known``, and whether they differ."""
    encoded = msgspec.Raw(msgspec.json.encode(facts, order="deterministic"))
    changed = known is None or known.encoded != encoded
    sent = known is not None and known.sent and not changed
    return FoundFacts(time.time(), encoded, sent), changed


class FactsFile:
    """Where they are kept."""

    def __init__(self, state: Path) -> None:
        """``state``: the node's own state directory."""
        self._path = state / "facts.json"

    def load(self) -> FoundFacts | None:
        """None when there are none, or something else is there. Raises OSError when it cannot be read."""
        try:
            found = typed.decode(self._path.read_bytes(), FoundFacts)
            if not found.sent:
                typed.decode(found.encoded, Facts)  # what is to be sent must be facts
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        return found

    def store(self, found: FoundFacts) -> None:
        """Replace them."""
        # The device tells them again, should a power cut lose them.
        replace(self._path, msgspec.json.encode(found), durable=False)

    def forget(self) -> None:
        """Somebody else had the node since: nothing here is fresh."""
        self._path.unlink(missing_ok=True)
