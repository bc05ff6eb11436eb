"""What is known of nodes by their state directories on this host. Reads, and writes nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from rackwright.cli.last_run import LastRun, last_run
from rackwright.engine.known import Known, of_ledger
from rackwright.engine.ledger import LedgerFile
from rackwright.model import typed
from rackwright.model.bundle import Bundle
from rackwright.model.standing import RUN, Standing
from rackwright_proposals.rolling import Reported


def known_here(state: Path) -> dict[str, Known]:
    """By node. Raises Permanent for a damaged ledger: what else rests on what would be told wrong."""
    return {
        path.parent.name: _with_last_run(
            of_ledger(LedgerFile(path).load(), path.stat().st_mtime), path.parent
        )
        for path in state.glob("*/ledger.json")
    }


def heard_here(known: Mapping[str, Known], bundles: Mapping[str, Bundle]) -> dict[str, Known]:
    """``known``, where no store hears the delegates of managed nodes: how these are, their last run says."""
    now = time.time()
    return {
        node: msgspec.structs.replace(about, heard=now)
        if about.by == "ledger" and node in bundles and bundles[node].node.managed
        else about
        for node, about in known.items()
    }


def _with_last_run(about: Known, state: Path) -> Known:
    """``about`` with what the last run without a store left in ``state``."""
    last = last_run(state)
    if last is None:
        return about
    wrong = {
        *last.failed,
        *(key for key, at in last.drifted.items() if about.verified.get(key) == at),
    }
    return msgspec.structs.replace(
        about,
        verified={key: digest for key, digest in about.verified.items() if key not in wrong},
        standing=_standing(state, last),
        removed=last.removed,
        last_run=last.finished,
        kind=last.kind,
    )


def _standing(state: Path, last: LastRun) -> dict[str, Standing]:
    """What failed, where a rollout has kept why."""
    try:
        reported = typed.decode((state / "reported.json").read_bytes(), Reported)
    except (OSError, msgspec.DecodeError):
        return {}
    at = last.finished
    found = {
        key: Standing(
            state="failed" if key in last.failed else "refused",
            action="" if digest else "remove",
            digest=digest,
            why=why,
            since=at,
            at=at,
        )
        for key, (digest, why) in reported.failed.items()
    }
    if reported.trouble:
        found[RUN] = Standing(
            state="failed", action=last.kind, why=reported.trouble, since=at, at=at
        )
    return found
