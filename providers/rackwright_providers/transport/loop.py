"""The one event loop thread of this process: all SSH and SNMP lives on it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from rackwright.model.errors import Unreachable

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def running() -> asyncio.AbstractEventLoop:
    """The loop, started when first asked for."""
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="io-loop", daemon=True).start()
        return _loop


def call(work: Coroutine[Any, Any, T], timeout: float) -> T:
    """Run ``work`` on the loop and wait for it from a thread that is not the loop's.

    Raises Unreachable after ``timeout`` seconds (and cancels the work), else what ``work`` raises.
    """
    future = asyncio.run_coroutine_threadsafe(work, running())
    try:
        return future.result(timeout)
    except concurrent.futures.TimeoutError:
        if future.done():  # the work's own TimeoutError, not ours
            raise
        future.cancel()
        raise Unreachable(f"no answer within {timeout:g} s") from None
    except concurrent.futures.CancelledError:
        raise Unreachable("the exchange was cancelled") from None
