"""Who waits for which node. Lives in the event loop; a wake-up carries names, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


class Waiters:
    """Long polls by the nodes that they watch."""

    def __init__(self) -> None:
        self._by_node: dict[str, set[Waiter]] = {}
        self._closed = False

    @property
    def closed(self) -> bool:
        """The store is leaving: nobody is to wait any more."""
        return self._closed

    def watch(self, nodes: Iterable[str]) -> Waiter:
        """Begin to watch. Nothing is missed between this call and `Waiter.wait`. Close it."""
        waiter = Waiter(self, frozenset(nodes))
        for node in waiter.nodes:
            self._by_node.setdefault(node, set()).add(waiter)
        if self._closed:
            waiter.event.set()
        return waiter

    def wake(self, nodes: Iterable[str]) -> None:
        """Something changed for ``nodes``."""
        for node in nodes:
            for waiter in self._by_node.get(node, ()):
                waiter.changed.add(node)
                waiter.event.set()

    def close(self) -> None:
        """Let everybody go, now and from now on."""
        self._closed = True
        for waiters in self._by_node.values():
            for waiter in waiters:
                waiter.event.set()

    def forget(self, waiter: Waiter) -> None:
        """Called by `Waiter.close`."""
        for node in waiter.nodes:
            waiters = self._by_node.get(node)
            if waiters is not None:
                waiters.discard(waiter)
                if not waiters:
                    del self._by_node[node]

    def __len__(self) -> int:
        return len(set().union(*self._by_node.values()))


class Waiter:
    """One long poll."""

    def __init__(self, waiters: Waiters, nodes: frozenset[str]) -> None:
        self.nodes = nodes
        self.changed: set[str] = set()
        self.event = asyncio.Event()
        self._waiters = waiters

    async def wait(self, seconds: float) -> frozenset[str]:
        """The watched nodes for which something changed; empty after ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                await self.event.wait()
        except TimeoutError:
            pass
        return frozenset(self.changed)

    def close(self) -> None:
        """Stop watching."""
        self._waiters.forget(self)
