"""The event loop thread that simulators of one process share when they are started from plain code."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
PATIENCE = 60
"""Seconds for a simulator to start or stop."""

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def on_thread(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` on that thread and wait for it. Raises what it raises."""
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="simulators", daemon=True).start()
    return asyncio.run_coroutine_threadsafe(work, _loop).result(PATIENCE)
