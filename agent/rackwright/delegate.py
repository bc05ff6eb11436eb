"""The delegates of one admin host: one loop for each managed node, all in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rackwright.daemon import Loop, Pace
from rackwright.model.errors import Permanent
from rackwright.model.report import Report
from rackwright.provider import Registry
from rackwright.run import NodeRunner
from rackwright.source import Source

if TYPE_CHECKING:
    from rackwright.client import StoreClient


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
    report: Callable[[Report], None] = lambda _report: None,
) -> list[Loop]:
    """A loop for each of ``nodes``. ``state`` is the directory that holds each node's own."""
    made = []
    for node in dict.fromkeys(nodes):
        runner = NodeRunner(
            node=node,
            source=source(node),
            registry=registry,
            state=state / node,
            secrets=secrets,
            here=here,
            stop=stop,
        )
        made.append(Loop(runner, pace, report))
    return made


def credential(state: Path, client: StoreClient, node: str, token: str) -> str:
    """The node's credential from its state directory, or got with an enrolment token and kept."""
    from rackwright.engine.files import replace

    path = state / node / "credential"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        if not token:
            raise Permanent(
                f"{node} is not enrolled here: make a token with `rackwright token create {node}` "
                "at the store and give it with --token"
            ) from None
    got = client.enrol(token, node)
    replace(path, got.encode() + b"\n")
    return got
