"""Blade chassis that are managed on a command line: one engine; a platform brings dialect, commands
and parsers."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rackwright.model.address import Address
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import Permanent, Rejected, Temporary
from rackwright.model.resource import Resource
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.chassis.resources import Blade, canonical_power
from rackwright_providers.transport.cli_dialect import Dialect

if TYPE_CHECKING:
    from rackwright.model.facts import Facts
    from rackwright_providers.transport.cli import CliReader, CliSession

Power = Literal["on", "off", "going_on", "going_off"]
Action = Literal["on", "off", "shutdown"]

COMMAND_TIMEOUT = 60.0
"""Seconds without a byte; a controller is slow while it talks to a blade's own."""
PATIENCE = 120.0
"""Seconds that a blade may take to the commanded state: before it goes on, the chassis looks for the
power that it needs."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between looks at a blade that is on its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """What the chassis says of a slot."""

    name: str
    present: bool
    """Whether a blade is in it."""
    power: Power | None = None
    """None: there is no blade, or the chassis does not know."""
    serial: str = ""
    health: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BladeStep(Step):
    """What is sent for one slot."""

    slot: str
    missing: bool = False
    """The chassis has no such slot."""
    settings: tuple[str, ...] = ()
    """Commands."""
    power: Literal["on", "off"] | None = None
    grace: int = 0
    """Seconds in which the system may shut down by itself before its power is cut."""


class CliChassis:
    """What such platforms share. A subclass parses, and knows the commands."""

    platform: str
    dialect: Dialect
    actions: Mapping[Action, str]
    """Commands by what they do, with ``{}`` for the slot."""
    fields: frozenset[str]
    """What of a blade can be declared, beside its power."""
    resources: frozenset[type[Resource]] = frozenset({Blade})
    transports: frozenset[str]
    atomic = False
    undoes = False

    def open(self, way: Way, around: Surroundings) -> CliReader:
        """I/O: see `cli.open_cli`."""
        from rackwright_providers.transport import cli

        return cli.open_cli(way, around, self.dialect)

    def spell(self, name: str) -> str:
        """Pure: the slot as the chassis writes it. Raises Permanent."""
        raise NotImplementedError

    def check(self, blade: Blade) -> None:
        """Pure: raises Permanent for what this chassis can never hold."""

    def slots(self, session: CliReader) -> Mapping[str, Slot]:
        """I/O: all slots by name, in one exchange."""
        raise NotImplementedError

    def settings(self, session: CliReader, slot: Slot) -> Mapping[str, object]:
        """I/O: the boot device and priority of one slot, which take an exchange of their own."""
        raise NotImplementedError

    def labels(self, session: CliReader) -> Mapping[str, str]:
        """I/O: the slots' names; empty where they have none."""
        return {}

    def setting(self, slot: str, field: str, value: object) -> Sequence[str]:
        """Pure: the commands that write one field."""
        raise NotImplementedError

    def discover(self, session: CliReader) -> Facts:
        """I/O: the chassis, and what is in its slots."""
        raise NotImplementedError

    def canonical(self, resource: Resource) -> Blade:
        """Pure: the slot's plain name, ``graceful_off`` as ``off`` with a grace."""
        if not isinstance(resource, Blade):
            raise Permanent(f"{self.platform} has no {resource.kind}")
        if resource.ensure == "absent":
            raise Permanent(f"blade {resource.name} cannot be absent: say `power: off`")
        for field in ("label", "boot", "priority"):
            if getattr(resource, field) is not None and field not in self.fields:
                raise Permanent(f"blades of {self.platform} have no {field} that can be set")
        self.check(resource)
        blade = canonical_power(resource)
        return Blade(
            name=self.spell(blade.name),
            power=blade.power,
            grace=blade.grace,
            label=blade.label,
            boot=blade.boot,
            priority=blade.priority,
        )

    def read(self, session: CliReader, wanted: Wanted) -> Mapping[Address, Resource]:
        """I/O: all slots in one exchange, their names in another, and one more for each blade whose
        boot device or priority is declared."""
        if Blade not in wanted.types:
            return {}
        slots, labels = self.slots(session), self.labels(session)
        found: dict[Address, Resource] = {}
        for name, slot in slots.items():
            address = Address(Blade.kind, name)
            declared = wanted.resources.get(address)
            asked = isinstance(declared, Blade) and (declared.boot or declared.priority)
            data = {"label": labels.get(name), **(self.settings(session, slot) if asked else {})}
            power = slot.power if slot.power in ("on", "off") else None
            found[address] = Blade(name=name, power=power, **data)  # type: ignore[arg-type]
        return found

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        """Nothing: each slot stands for itself."""
        return {}

    def render(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Sequence[BladeStep]:
        """Pure: one step a slot."""
        return [
            self._step(change, change.after)
            for change in changes
            if isinstance(change.after, Blade) and change.action in ("create", "update")
        ]

    def _step(self, change: Change, after: Blade) -> BladeStep:
        addresses, slot, names = (change.address,), after.name, change.field_names
        if change.action == "create":
            return BladeStep(
                addresses=addresses, text=f"slot {slot} is not there", slot=slot, missing=True
            )
        settings = [
            command
            for field in ("label", "priority", "boot")
            if field in names
            for command in self.setting(slot, field, getattr(after, field))
        ]
        power: Literal["on", "off"] | None = None
        lines = list(settings)
        grace = 0
        if "power" in names and after.power:
            power = "on" if after.power == "on" else "off"
            grace = (after.grace or 0) if power == "off" else 0
            if grace:
                lines.append(self.actions["shutdown"].format(slot))
                lines.append(f"{self.actions['off'].format(slot)}  (after {grace} s)")
            else:
                lines.append(self.actions[power].format(slot))
        return BladeStep(
            addresses=addresses,
            text="\n".join(lines),
            slot=slot,
            settings=tuple(settings),
            power=power,
            grace=grace,
        )

    def commit(self, session: CliSession, steps: Sequence[BladeStep]) -> None:
        """I/O: the settings, then the power, and wait until the chassis itself says that it is so."""
        for step in steps:
            if step.missing:
                raise Rejected(f"the chassis has no slot {step.slot}")
            for command in step.settings:
                self.tell(session, command)
            if step.power:
                self._switch(session, step, step.power)

    def tell(self, session: CliSession, command: str) -> None:
        """I/O: give a command that writes. Raises Rejected when the chassis refuses it."""
        raise NotImplementedError

    def _switch(self, session: CliSession, step: BladeStep, power: Literal["on", "off"]) -> None:
        """A blade that is on its way there already is only waited for. One that is to shut down by
        itself is asked once, and its power is cut when its grace has passed."""
        slot = self._slot(session, step.slot)
        if not slot.present:
            raise Rejected(f"slot {step.slot} is empty")
        if slot.power == power:
            return
        under_way = slot.power == f"going_{power}"
        if step.grace and not under_way:
            self.tell(session, self.actions["shutdown"].format(step.slot))
        if (step.grace or under_way) and self._reaches(
            session, step.slot, power, step.grace or PATIENCE
        ):
            return
        self.tell(session, self.actions[power].format(step.slot))
        if not self._reaches(session, step.slot, power, PATIENCE):
            now = (self._slot(session, step.slot).power or "unknown").replace("_", " ")
            raise Rejected(
                f"slot {step.slot}: the chassis took the command {power}, and {PATIENCE:g} s later "
                f"the blade's power is {now}",
                output=now,
            )

    def _slot(self, session: CliReader, name: str) -> Slot:
        slot = self.slots(session).get(name)
        if slot is None:
            raise Rejected(f"the chassis has no slot {name}")
        return slot

    def _reaches(self, session: CliReader, name: str, power: Power, seconds: float) -> bool:
        end, pause = time.monotonic() + seconds, FIRST_PAUSE
        while self._slot(session, name).power != power:
            left = end - time.monotonic()
            if left <= 0:
                return False
            if session.stop.wait(min(pause, left)):
                raise Temporary(f"told to stop while slot {name} was going {power}")
            pause = min(LONGEST_PAUSE, pause * 1.5)
        return True

    def save(self, session: CliSession) -> bool:
        """A chassis keeps what it is told by itself."""
        return False

    def carriers(
        self, session: CliReader, observed: Mapping[Address, Resource]
    ) -> Collection[Address]:
        """The chassis' controller has power and a port of its own, whatever its blades do."""
        return ()
