"""The session to one node: over the first of its ways that works, kept between runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from rackwright.model.errors import Permanent, RackwrightError, Unreachable
from rackwright.model.secret import Masker, reveal
from rackwright.model.site import Node, Way
from rackwright.provider import AnyProvider, LeaseLike, Surroundings

log = logging.getLogger(__name__)

LOCAL = Way(transport="local", options={})
RETRY_BETTER = 60.0
"""Seconds after which a better way than the one in use is tried again."""


class Reach:
    """Opens, keeps and reopens the session to one node. Used by one run at a time."""

    def __init__(self, provider: AnyProvider, here: str = "") -> None:
        self._provider, self._here = provider, here
        self._session: Any = None
        self._way: Way | None = None
        self._lease: LeaseLike | None = None
        """Under which the session was opened."""
        self._better_at = 0.0
        self.note = ""
        """Why a better way was not used, for the report."""

    @property
    def kept(self) -> bool:
        """Whether `session` may answer with one that was opened for an earlier run."""
        return self._session is not None

    def lost(self) -> bool:
        """Whether there is a kept session that is gone, where it can tell that quietly."""
        gone = getattr(self._session, "gone", None)
        return gone is not None and bool(gone())

    def session(self, node: Node, secrets: Mapping[str, str], around: Surroundings) -> Any:
        """An open session. Raises Unreachable or Permanent with what each way said."""
        ways = self._ways(node)
        if self._lease is not around.lease:
            self.close()  # somebody else may have had the device in between
        if self._session is not None and not (self._way in ways and self._session.alive()):
            self.close()
        said: list[RackwrightError] = []
        if self._session is not None and self._way is not None:
            better = ways[: ways.index(self._way)]
            if not better or time.monotonic() < self._better_at:
                return self._session
            if self._way.transport in {way.transport for way in better}:
                self.close()  # it may hold the one line that the device has to give
            else:
                if not self._open(better, node, secrets, around, said):
                    self._noted(said)
                return self._session
        if self._open(ways, node, secrets, around, said):
            return self._session
        text = "; ".join(dict.fromkeys(str(error) for error in said))
        if any(not isinstance(error, Permanent) for error in said):
            raise Unreachable(text)
        raise Permanent(text)

    def _open(
        self,
        ways: Sequence[Way],
        node: Node,
        secrets: Mapping[str, str],
        around: Surroundings,
        said: list[RackwrightError],
    ) -> bool:
        """Put a session over the first of ``ways`` that works in the place of the one that there may
        be; whether one does. ``said`` gets what the others say."""
        for way in ways:
            try:
                opened = msgspec.structs.replace(way, options=reveal(way.options, secrets))
                session = self._provider.open(opened, around)
            except RackwrightError as error:
                said.append(error)
                if len(node.reach) > 1:
                    text = Masker(secrets.values()).text(str(error))
                    log.warning("%s: %s does not work: %s", node.name, way.transport, text)
                if around.stop.is_set():
                    break  # the next way may take a minute, and nothing would be done over it
                continue
            self.close()
            self._session, self._way, self._lease = session, way, around.lease
            self._noted(said)
            return True
        return False

    def _noted(self, said: Sequence[RackwrightError]) -> None:
        self._better_at = time.monotonic() + RETRY_BETTER
        self.note = "; ".join(str(error) for error in said)

    def _ways(self, node: Node) -> list[Way]:
        ways = list(node.reach) or [LOCAL]
        usable = [way for way in ways if not self._here or self._from_here(way)]
        if not usable:
            places = ", ".join(sorted({host for way in ways for host in way.hosts or (way.at,)}))
            raise Permanent(
                f"{node.name} can be reached from {places} only, and this is {self._here}"
            )
        known = [way for way in usable if way.transport in self._provider.transports]
        if not known:
            offered = ", ".join(sorted(self._provider.transports))
            raise Permanent(
                f"{self._provider.platform} is reached over {offered}, and {node.name} offers "
                f"{', '.join(way.transport for way in usable)}"
            )
        return known

    def _from_here(self, way: Way) -> bool:
        """Whether the host that we run on can use ``way``, as far as that is known."""
        return way.at in ("", self._here) and (not way.hosts or self._here in way.hosts)

    def close(self) -> None:
        """Leave the session, if any: in order, or by cutting it off where its lease has ended."""
        if self._session is not None:
            self._session.close()
            self._session = self._way = None
