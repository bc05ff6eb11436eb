"""Waiting for what other threads do."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(condition: Callable[[], object], timeout: float = 10.0, what: str = "") -> None:
    """Wait for ``condition``; fail, naming ``what``, when it does not come."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"did not happen within {timeout:g} s: {what or condition}"
        time.sleep(0.01)
