"""Looks at the followed branch, at intervals and when poked, and offers what is new."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rackwright.model.errors import RackwrightError
from rackwright_store.git import Follower
from rackwright_store.records import Revision
from rackwright_store.revisions import Compiled, Revisions

log = logging.getLogger(__name__)
LOCAL_POLL = 1.0
REMOTE_POLL = 10.0
"""Seconds between two looks at the branch."""
POKE_SPACING = 0.2
"""Seconds between two looks however often we are poked: anybody may poke."""


class Following:
    """Follows one branch. Lives in the event loop; git runs in a thread of its own."""

    def __init__(self, follower: Follower, belongs: Callable[[str], bool]) -> None:
        self.head = ""
        """The newest commit that was offered."""
        self.error = ""
        """Why the branch could not be looked at the last time, for a person."""
        self.checked = 0.0
        """When the last look that has ended was begun, in Unix seconds."""
        self.shown = follower.shown
        self._follower = follower
        self._belongs = belongs
        self._poked = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="git")

    def poke(self) -> None:
        """Look now."""
        self._poked.set()

    async def restore(self, last: Revision, revisions: Revisions[Any]) -> None:
        """Put the revision that was in force before we started in force again, from the mirror."""
        commit = last.commit
        try:
            files = await self._run(lambda: self._follower.tree(commit, self._belongs))
        except RackwrightError as error:
            log.warning("the last good revision cannot be read again: %s", error)
            return
        await revisions.offer(commit, files, restored=last)
        self.head = commit

    async def keep(self, commit: str) -> None:
        """Hold ``commit`` in the mirror."""
        await self._run(lambda: self._follower.keep(commit))

    async def check(self, revisions: Revisions[Any]) -> None:
        """Look at the branch once, and offer its commit if it is a new one."""
        began = time.time()
        try:
            head = await self._run(self._follower.head)
            if head != self.head:
                commit = await self._run(self._follower.fetch)
                files = await self._run(lambda: self._follower.tree(commit, self._belongs))
                await revisions.offer(commit, files)
                self.head = commit
        except RackwrightError as error:
            if str(error) != self.error:
                log.warning("%s", error)
            self.error = str(error)
        else:
            self.error = ""
        self.checked = began

    async def run(self, revisions: Revisions[Compiled]) -> None:
        """Follow until cancelled."""
        poll = LOCAL_POLL if self._follower.local else REMOTE_POLL
        while True:
            try:
                await self.check(revisions)
            except Exception:
                log.exception("following the branch failed; going on")
            await asyncio.sleep(POKE_SPACING)
            try:
                async with asyncio.timeout(poll - POKE_SPACING):
                    await self._poked.wait()
            except TimeoutError:
                pass
            self._poked.clear()

    def close(self) -> None:
        """Follow no more; a git that is at work is ended."""
        self._follower.interrupt()
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _run(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
