"""The delegates of one admin host: one loop for each managed node, all in this process.

An agent is the same with one node, the host that it runs on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from rackwright.keeper import Claim
from rackwright.loop import Loop, Pace
from rackwright.model.report import Report
from rackwright.provider import Registry
from rackwright.run import NodeRunner
from rackwright.source import Source


def loops(
    nodes: Iterable[str],
    source: Callable[[str], Source],
    *,
    registry: Registry,
    state: Path,
    secrets: Path | None,
    here: str,
    pace: Pace,
    stop: threading.Event,
    root: Path = Path("/"),
    why_run: bool = False,
    claim: Callable[[str], Claim | None] = lambda _node: None,
    report: Callable[[Report], None] = lambda _report: None,
    progress: Callable[[str, int, int, str], None] | None = None,
) -> list[Loop]:
    """A loop for each of ``nodes``. ``state`` is the directory that holds each node's own; ``claim``
    gives the claim on a node's lease, where one is needed."""
    made = []
    for node in dict.fromkeys(nodes):
        runner = NodeRunner(
            node=node,
            source=source(node),
            registry=registry,
            state=state / node,
            secrets=secrets,
            here=here,
            root=root,
            stop=stop,
            claim=claim(node),
        )
        if progress is not None:
            runner.progress = progress
        made.append(Loop(runner, pace, report, why_run=why_run))
    return made
