"""What a run without a store leaves in its node's state directory, for those beside the node."""

from __future__ import annotations

from pathlib import Path

import msgspec

from rackwright.engine.files import replace
from rackwright.model import typed
from rackwright.model.address import Address
from rackwright.model.report import Report


class LastRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run leaves for those beside its node."""

    finished: float
    kind: str = ""
    """As in `Report`."""
    failed: tuple[str, ...] = ()
    drifted: dict[str, str] = {}
    """``type/name`` → the digest at which it is not any more, though its ledger has it."""
    removed: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()
    """What was to go and did not."""


def note_run(state: Path, report: Report) -> None:
    """Keep what came of a run, in the state directory ``state`` of its node. Raises OSError."""
    said = [(str(Address.parse(item.address).local), item) for item in report.outcomes]
    last = LastRun(
        report.finished,
        report.kind,
        tuple(key for key, item in said if item.state == "failed"),
        {
            key: item.digest
            for key, item in said
            if item.state in ("blocked", "refused") and item.action in ("create", "update")
        },
        tuple(key for key, item in said if item.state == "removed"),
        tuple(
            key
            for key, item in said
            if item.action == "remove" and item.state in ("blocked", "failed", "refused")
        ),
    )
    # The next run tells it again, should a power cut lose it.
    replace(state / "last-run.json", msgspec.json.encode(last), durable=False)


def last_run(state: Path) -> LastRun | None:
    """What is kept in ``state``; None when there is nothing that can be read."""
    try:
        return typed.decode((state / "last-run.json").read_bytes(), LastRun)
    except (OSError, msgspec.DecodeError):
        return None
