"""PDUs whose outlets are on or off and have nothing else: one engine, and a session a platform."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from rackwright.model.address import Address
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import Permanent, Rejected, Temporary
from rackwright.model.facts import Facts
from rackwright.model.resource import Resource, declared_fields
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.pdu.resources import Outlet

Power = Literal["on", "off"]

PATIENCE = 30.0
"""Seconds that an outlet may take to reach the commanded state: what is behind may be an SNMP unit,
whose state lags its command by 5 to 20 s."""


class PlainReader(Protocol):
    """A session that has no way to write."""

    via: str
    stop: threading.Event

    def alive(self) -> bool:
        """See `Session.alive`."""

    def close(self) -> None:
        """See `Session.close`."""

    def states(self) -> Mapping[str, Power | None]:
        """All outlets by name; None where the unit does not know."""

    def state(self, name: str) -> Power | None:
        """One outlet. Raises Rejected when there is none of that name."""

    def facts(self) -> dict[str, Any]:
        """What the unit says of itself."""


class PlainWriter(PlainReader, Protocol):
    """A session that can also write."""

    def switch(self, name: str, power: Power) -> None:
        """Command it. Raises Rejected when the unit refuses."""

    def cycle(self, name: str) -> None:
        """Off and on again, once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchStep(Step):
    """What is sent for one outlet."""

    name: str
    power: Power | None = None
    """None: the unit has no such outlet."""


class PlainPdu:
    """What such platforms share. A subclass opens sessions, and knows names and commands."""

    platform: str
    resources: frozenset[type[Resource]] = frozenset({Outlet})
    transports: frozenset[str]
    atomic = False
    undoes = False

    def open(self, way: Way, around: Surroundings) -> PlainReader:
        """I/O: a session; without ``around.writable`` one that cannot write."""
        raise NotImplementedError

    def spell(self, name: str) -> str:
        """Pure: the unit's own spelling of an outlet's name. Raises Permanent."""
        raise NotImplementedError

    def command(self, name: str, power: Power) -> str:
        """Pure: what is sent, as people see it."""
        raise NotImplementedError

    def canonical(self, resource: Resource) -> Outlet:
        """Pure: nothing but a state can be declared."""
        if not isinstance(resource, Outlet):
            raise Permanent(f"{self.platform} has no {resource.kind}")
        if resource.ensure == "absent":
            raise Permanent(f"outlet {resource.name} cannot be absent: say `state: off`")
        for field in declared_fields(resource):
            if field != "state":
                raise Permanent(f"outlets of {self.platform} have no {field}")
        return Outlet(name=self.spell(resource.name), state=resource.state)

    def read(self, session: PlainReader, wanted: Wanted) -> Mapping[Address, Resource]:
        """I/O: all outlets, in one exchange."""
        if Outlet not in wanted.types:
            return {}
        found = [Outlet(name=name, state=state) for name, state in session.states().items()]
        return {outlet.address: outlet for outlet in found}

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        """Nothing: each outlet stands for itself."""
        return {}

    def render(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Sequence[SwitchStep]:
        """Pure: one step an outlet."""
        steps = []
        for change in changes:
            after = change.after
            if not isinstance(after, Outlet) or change.action not in ("create", "update"):
                continue
            if change.action == "create" or after.state is None:
                text, power = f"outlet {after.name} is not there", None
            else:
                text, power = self.command(after.name, after.state), after.state
            steps.append(
                SwitchStep(addresses=(change.address,), text=text, name=after.name, power=power)
            )
        return steps

    def commit(self, session: PlainWriter, steps: Sequence[SwitchStep]) -> None:
        """I/O: command, and wait for each outlet until the unit itself says that it is so."""
        for step in steps:
            if step.power is None:
                raise Rejected(f"the unit has no outlet {step.name}")
            session.switch(step.name, step.power)
            _settle(session, step.name, step.power)

    def reboot(self, session: PlainWriter, name: str) -> None:
        """I/O: take the outlet's power away and give it back, once; it is on when this returns.
        Raises Rejected when the unit has no such outlet or refuses."""
        name = self.spell(name)
        session.cycle(name)
        _settle(session, name, "on")

    def save(self, session: PlainWriter) -> bool:
        """There is nothing to save."""
        return False

    def carriers(
        self, session: PlainReader, observed: Mapping[Address, Resource]
    ) -> Collection[Address]:
        """The unit cannot tell which outlet feeds the way to it."""
        return ()

    def discover(self, session: PlainReader) -> Facts:
        """I/O: what the unit says of itself, and its outlets' number."""
        return Facts(values={**session.facts(), "outlets": len(session.states())})


def _settle(session: PlainReader, name: str, power: Power) -> None:
    began, pause = time.monotonic(), 0.05
    while (state := session.state(name)) != power:
        waited = time.monotonic() - began
        if waited > PATIENCE:
            raise Rejected(
                f"outlet {name}: the unit took the command {power}, and {waited:.0f} s later the "
                f"outlet is {state or 'in no known state'}",
                output=state or "",
            )
        if session.stop.wait(pause):
            raise Temporary(f"told to stop while outlet {name} was going {power}")
        pause = min(1.0, pause * 1.5)
