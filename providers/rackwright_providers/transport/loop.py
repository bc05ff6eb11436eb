"""The one event loop thread of this process: all SSH and SNMP lives on it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from rackwright.model.errors import Unreachable

T = TypeVar("T")

log = logging.getLogger(__name__)

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_waiting: deque[Callable[[], object]] = deque()
_woken = False


def running() -> asyncio.AbstractEventLoop:
    """The loop, started when first asked for."""
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="io-loop", daemon=True).start()
        return _loop


def soon(callback: Callable[[], object]) -> None:
    """Have ``callback`` called on the loop, from a thread that is not the loop's.

    Many at once wake the loop once: each waking is a system call, and hands the interpreter over.
    """
    global _woken
    _waiting.append(callback)
    if not _woken:
        _woken = True
        running().call_soon_threadsafe(_call_waiting)


def _call_waiting() -> None:
    global _woken
    _woken = False  # before looking: who comes from now on wakes the loop again
    while _waiting:
        try:
            _waiting.popleft()()
        except Exception:
            log.exception("a callback of the event loop failed")


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
        raise Unreachable(f"no answer within {round(timeout, 1):g} s") from None
    except concurrent.futures.CancelledError:
        raise Unreachable("the exchange was cancelled") from None
