"""Sessions with powerman's client over SSH exec channels: one that reads, one that also writes."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from rackwright.model.errors import Rejected
from rackwright_providers.pdu import powerman_parse as pm
from rackwright_providers.pdu.plain_pdu import Power
from rackwright_providers.transport.ssh_connection import SshConnection

TIMEOUT = 120.0
"""Seconds. powermand asks its units one after the other where they share a line, and waits tens of
seconds for those that are away."""


class PowermanReader:
    """Has no way to write: its commands are fixed, and none of them changes anything."""

    def __init__(self, connection: SshConnection, stop: threading.Event) -> None:
        self.via = connection.via
        self.stop = stop
        self._connection = connection

    def alive(self) -> bool:
        """See `Session.alive`."""
        return self._connection.alive()

    def gone(self) -> bool:
        """See `Session`."""
        return self._connection.gone()

    def close(self) -> None:
        """See `Session.close`."""
        self._connection.close()

    def states(self) -> Mapping[str, Power | None]:
        """All nodes. powermand asks its units anew at each query."""
        return pm.states(self._run(pm.QUERY_ALL, partly=pm.QUERY_WITH_ERRORS))

    def state(self, name: str) -> Power | None:
        """One node. Raises Rejected when there is none of that name."""
        found = pm.states(self._run(pm.query_argv(name), partly=pm.QUERY_WITH_ERRORS))
        if name not in found:  # an alias answers by the names that it stands for
            raise Rejected(f"powerman has no node {name}")
        return found[name]

    def facts(self) -> dict[str, Any]:
        """The client's version."""
        done = self._connection.run(pm.VERSION)
        told = pm.version(done.stdout.decode("utf-8", "replace"))
        return {"version": told} if told else {}

    def _run(self, argv: Sequence[str], partly: int = 0) -> str:
        done = self._connection.run(argv, timeout=TIMEOUT)
        out = done.stdout.decode("utf-8", "replace")
        if done.status not in (0, partly):
            said = out + done.stderr.decode("utf-8", "replace")
            raise pm.failure(self.via, done.status, said)
        return out


class PowermanWriter(PowermanReader):
    """Can also write."""

    def switch(self, name: str, power: Power) -> None:
        """Raises Rejected when powermand or the unit refuses."""
        self._run(pm.switch_argv(name, power))

    def cycle(self, name: str) -> None:
        """Off and on, as the unit's own script has it. An alias could stand for several nodes."""
        self.state(name)
        self._run(pm.cycle_argv(name))
