"""What goes wrong in the database's threads is told to whoever waits, and ends nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rackwright_store.threads import Threads


class Database:
    """Fails as a whole, once."""

    fails = True

    def together(self, works: Any) -> Any:
        if self.fails:
            self.fails = False
            raise RuntimeError("can't start new thread")
        return [(work(), None) for work in works]


def test_a_write_that_failed_leaves_nobody_waiting() -> None:
    async def write() -> int:
        database: Any = Database()
        threads = Threads(database)
        with pytest.raises(RuntimeError, match="new thread"):
            await asyncio.wait_for(threads.write(lambda: 1), 10)
        done = await asyncio.wait_for(threads.write(lambda: 2), 10)
        await threads.close()
        return done

    assert asyncio.run(write()) == 2
