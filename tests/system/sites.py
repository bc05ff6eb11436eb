"""Sites written by tests: documents as data, since JSON is YAML."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from rackwright.engine.files import replace
from rackwright.engine.ledger import Ledger, LedgerFile

from .simulators import PASSWORD

T = TypeVar("T")
DEADLINE = 60.0
"""Seconds after which a condition that is awaited counts as never coming true."""


def write_site(path: Path, *documents: Mapping[str, Any]) -> None:
    """Make ``path`` the site that consists of ``documents``; the first may be that of the site."""
    named = any("site" in document for document in documents[:1])
    whole = documents if named else ({"site": "test"}, *documents)
    body = "\n---\n".join(json.dumps(document, indent=1) for document in whole)
    replace(path / "site.yaml", body.encode(), mode=0o644)


def deployed(role: str, kind: str, node: str, resources: Iterable[Any]) -> list[dict[str, Any]]:
    """A role that is ``resources``, on one node."""
    return [
        {"role": role, "for": [kind], "resources": list(resources)},
        {"proposal": role, "deploy": {role: [node]}},
    ]


def write_secrets(state: Path) -> None:
    """The one secret of all simulated devices."""
    replace(state / "secrets", f"device: {PASSWORD}\n".encode())


def ledger(state: Path, node: str) -> Ledger:
    """The node's ledger; raises when it cannot be read."""
    return LedgerFile(state / node / "ledger.json").load()


def left_behind(directory: Path) -> list[str]:
    """Files that were on their way to another name and never got there."""
    return [str(path) for path in directory.rglob(".*")]


def eventually(condition: Callable[[], T], seconds: float = DEADLINE, pause: float = 0.02) -> T:
    """What ``condition`` gives once it is true; ``pause`` seconds lie between two looks."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"did not come true in {seconds} s: {found!r}"
        time.sleep(pause)
