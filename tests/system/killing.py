"""Commands that are killed at random instants, and run to their end in between."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .forker import Forked, Forker
from .sites import ledger, left_behind

FINE = {"in_sync", "changed", "removed", "released"}


class Killing:
    """One node's converges: ``argv`` is the command that converges it once."""

    def __init__(
        self, forker: Forker, chance: random.Random, state: Path, node: str, argv: tuple[str, ...]
    ) -> None:
        self._forker, self._chance, self._argv = forker, chance, argv
        self.state, self.node = state, node
        self.took = 0.0
        """Seconds of the last run that was left alone."""
        self.killed = 0

    def complete(self) -> dict[str, Any]:
        """Let a run come to its end, which must be a good one."""
        began = time.monotonic()
        run = self._forker.run(*self._argv, "--json")
        self.took = time.monotonic() - began
        report: dict[str, Any] = json.loads(run.out.read_text())[0]
        bad = [found for found in report.get("outcomes", []) if found["state"] not in FINE]
        assert run.status == 0, f"{report.get('error', '')} {bad}"
        assert all(not entry.intent for entry in ledger(self.state, self.node).entries.values())
        assert not ledger(self.state, self.node).unsaved
        assert [one for one in left_behind(self.state) if "/backups/" not in one] == []
        return report

    def interrupt(
        self, number: int = signal.SIGKILL, watch: Callable[[], None] = lambda: None
    ) -> Forked:
        """Begin a run and send it a signal at a random instant; ``watch`` is called until then."""
        run = self._forker.start(*self._argv)
        instant = time.monotonic() + self._chance.uniform(0, self.took)
        while (left := instant - time.monotonic()) > 0:
            watch()
            time.sleep(min(left, 0.003))
        run.signal(number)
        ended = run.wait()
        assert ended in (0, -number) or number != signal.SIGKILL, run.said()
        self.killed += ended == -signal.SIGKILL
        watch()
        ledger(self.state, self.node)
        return run
