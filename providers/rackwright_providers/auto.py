"""``platform: auto``: whatever the device turns out to be."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from rackwright.model.address import Address
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import Permanent
from rackwright.model.facts import Facts
from rackwright.model.resource import Resource
from rackwright.model.site import TRANSPORTS, Way
from rackwright.provider import AnyProvider, Registry, Surroundings
from rackwright_providers.identify import AUTO, identify

log = logging.getLogger(__name__)


class Auto:
    """The provider that the device needs, found when the first session is opened, and told: in the
    log, in every report's ``via``, and in the fact ``platform``."""

    platform = AUTO
    transports = frozenset(TRANSPORTS)

    def __init__(self) -> None:
        self._chosen: AnyProvider | None = None
        self._by = ""

    @property
    def chosen(self) -> AnyProvider:
        """Raises Permanent as long as no session was opened."""
        if self._chosen is None:
            raise Permanent("the platform is not known before the device was reached")
        return self._chosen

    def __getattr__(self, name: str) -> Any:
        """What a provider may have besides the contract, where the one that was found has it."""
        chosen = self.__dict__.get("_chosen")
        if chosen is None or name.startswith("_"):
            raise AttributeError(name)
        return getattr(chosen, name)

    @property
    def resources(self) -> frozenset[type[Resource]]:
        return self.chosen.resources

    @property
    def atomic(self) -> bool:
        return self.chosen.atomic

    @property
    def undoes(self) -> bool:
        return self.chosen.undoes

    def open(self, way: Way, around: Surroundings) -> Any:
        """Find the platform if it is not known yet, and open its session."""
        if self._chosen is None or way.transport not in self._chosen.transports:
            found = identify(way, around)
            self._chosen, self._by = Registry.installed().provider(found.platform), found.by
            log.info("the platform is %s: %s", found.platform, found.by)
        try:
            session = self._chosen.open(way, around)
        except Permanent:
            self._chosen = None  # it may be another device by now
            raise
        session.via = f"{session.via}, found to be {self._chosen.platform}"
        return session

    def canonical(self, resource: Resource) -> Resource:
        return self.chosen.canonical(resource)

    def read(self, session: Any, wanted: Wanted) -> Mapping[Address, Resource]:
        return self.chosen.read(session, wanted)

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        return self.chosen.refuse(changes, observed)

    def render(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Sequence[Step]:
        return self.chosen.render(changes, observed)

    def commit(self, session: Any, steps: Sequence[Step]) -> None:
        self.chosen.commit(session, steps)

    def save(self, session: Any) -> bool:
        return self.chosen.save(session)

    def carriers(self, session: Any, observed: Mapping[Address, Resource]) -> Collection[Address]:
        return self.chosen.carriers(session, observed)

    def discover(self, session: Any) -> Facts:
        """The platform's own facts, and which it is."""
        facts = self.chosen.discover(session)
        values = {**facts.values, "platform": self.chosen.platform, "platform_by": self._by}
        return msgspec.structs.replace(facts, values=values)
