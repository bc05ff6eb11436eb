"""The database's two threads: one that writes and one that reads, so that the event loop waits for neither."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from rackwright_store.database import Database

T = TypeVar("T")


class Threads:
    """Work on one database, for the event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="read")
        self._pending: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, work: Callable[[], T]) -> T:
        """Write, together with whatever else waits to be written. On return it is on the disk."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._pending.append((work, future))
        if self._writing is None:
            self._writing = asyncio.create_task(self._flush())
        return await future

    async def read(self, work: Callable[[], T]) -> T:
        """Read, or work out what takes long and writes nothing."""
        return await asyncio.get_running_loop().run_in_executor(self._reader, work)

    async def close(self) -> None:
        """Finish what is being written, and end both."""
        if self._writing is not None:
            await self._writing
        self._writer.shutdown(wait=True)
        self._reader.shutdown(wait=True)

    async def _flush(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            works = [work for work, _ in batch]
            try:
                done = await asyncio.get_running_loop().run_in_executor(
                    self._writer, self._database.together, works
                )
            except Exception as trouble:  # noqa: BLE001 - no thread to be had: whoever waits is told so
                done = [(None, trouble)] * len(works)
            for (_, future), (result, error) in zip(batch, done, strict=True):
                if future.done():
                    continue  # whoever asked has been cancelled
                if error is not None:
                    future.set_exception(error)
                else:
                    future.set_result(result)
        self._writing = None
