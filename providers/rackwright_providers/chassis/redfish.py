"""Redfish services: the management controller of one server, or of a chassis full of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from rackwright.model import typed
from rackwright.model.address import Address
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import Permanent, Rejected, Temporary
from rackwright.model.facts import Facts, FoundLink
from rackwright.model.resource import Resource
from rackwright.model.site import Http, Way
from rackwright.provider import Surroundings
from rackwright_providers.chassis import redfish_model as model
from rackwright_providers.chassis.redfish_session import (
    RedfishReader,
    RedfishWriter,
    open_redfish,
)
from rackwright_providers.chassis.resources import Blade, canonical_power

SETTLE = 20.0
"""Seconds that a property may take to show what was written."""
POWER_PATIENCE = 120.0
"""Seconds from a reset to the power state: a server's own firmware may hold it up."""
LONGEST_PAUSE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RedfishStep(Step):
    """What is sent for one system. None: nothing of that."""

    name: str
    missing: bool = False
    """The service has no such system."""
    label: str | None = None
    boot: model.Boot | None = None
    power: Literal["on", "off"] | None = None
    grace: int | None = None
    """Seconds that it may take to shut down by itself; None: its power is cut."""


class Redfish:
    """Systems by their Id, or by their Name where that tells one of them."""

    platform = "redfish"
    object_ids: tuple[str, ...] = ()
    signs: tuple[str, ...] = (r'"RedfishVersion"',)
    resources: frozenset[type[Resource]] = frozenset({Blade})
    transports: frozenset[str] = frozenset({"http"})
    atomic = False
    undoes = False

    def open(self, way: Way, around: Surroundings) -> RedfishReader:
        """I/O: a session; without ``around.writable`` one that cannot write."""
        try:
            options = typed.convert(way.options, Http)
        except msgspec.ValidationError as error:
            raise Permanent(f"http: {error}") from None
        return open_redfish(options, around)

    def canonical(self, resource: Resource) -> Blade:
        """Pure: what every service takes; what this one allows shows only when it is asked."""
        if not isinstance(resource, Blade):
            raise Permanent(f"{self.platform} has no {resource.kind}")
        if resource.ensure == "absent":
            raise Permanent(f"blade {resource.name} cannot be absent: say `power: off`")
        if resource.priority is not None:
            raise Permanent("Redfish has no priority of a system's power")
        label = resource.label
        if label is not None and (label != label.strip() or not label.isprintable()):
            raise Permanent(f"label {label!r}: an AssetTag is printable, without spaces around it")
        return canonical_power(resource)

    def read(self, session: RedfishReader, wanted: Wanted) -> Mapping[Address, Resource]:
        """I/O: all systems."""
        if Blade not in wanted.types:
            return {}
        asked = [address.name for address in wanted.resources if address.type == Blade.kind]
        found = named(session.systems(), asked)
        session.paths = {name: system.path for name, system in found.items()}
        blades = (system.blade(name) for name, system in found.items())
        return {blade.address: blade for blade in blades}

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        """Pure: labels for systems that have none."""
        return {
            change.address: "the system has no AssetTag that a label could be written to"
            for change in changes
            if isinstance(change.before, Blade)
            and change.before.label is None
            and "label" in change.field_names
        }

    def render(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Sequence[RedfishStep]:
        """Pure: one step a system."""
        return [
            step(change, change.after)
            for change in changes
            if isinstance(change.after, Blade) and change.action in ("create", "update")
        ]

    def commit(self, session: RedfishWriter, steps: Sequence[RedfishStep]) -> None:
        """I/O: write, and wait for each system until the service itself says that it is so."""
        for one in steps:
            path = session.paths.get(one.name, "")
            if one.missing or not path:
                raise Rejected(f"the service has no system {one.name}")
            if one.label is not None or one.boot is not None:
                _set(session, path, one)
            if one.power:
                _switch(session, path, one, one.power)

    def save(self, session: RedfishWriter) -> bool:
        """A service keeps what it is told by itself."""
        return False

    def carriers(
        self, session: RedfishReader, observed: Mapping[Address, Resource]
    ) -> Collection[Address]:
        """A management controller has power and a port of its own, whatever its systems do."""
        return ()

    def discover(self, session: RedfishReader) -> Facts:
        """I/O: chassis and systems as the service describes them."""
        systems = session.systems()
        values = {
            "name": model.text(session.root, "Name"),
            "redfish": model.text(session.root, "RedfishVersion"),
            "uuid": model.text(session.root, "UUID"),
            "chassis": {
                model.text(data, "Id"): _described(data)
                for data in session.members(model.link(session.root, "Chassis"))
            },
            "systems": {
                system.id: {
                    **_described(system.data),
                    **_uuid(system.data),
                    "macs": _macs(session, system),
                }
                for system in systems
            },
        }
        links = [
            FoundLink(port=system.id, peer=peer, how="slot")
            for system in systems
            if (peer := _described(system.data).get("serial") or system.data.get("UUID"))
        ]
        return Facts(values={k: v for k, v in values.items() if v}, links=tuple(sorted(links)))


def named(systems: Sequence[model.System], asked: Iterable[str]) -> dict[str, model.System]:
    """Pure: every system by its Id, and by its Name where that was ``asked`` for, tells it from all
    others, and its Id was not asked for too: two resources must not hold one system."""
    found = {system.id: system for system in systems}
    names = set(asked)
    for name in names - set(found):
        same = [system for system in systems if system.name == name]
        if len(same) == 1 and same[0].id not in names:
            found[name] = same[0]
    return {name: system for name, system in found.items() if _is_name(name)}


def _is_name(name: str) -> bool:
    try:
        Blade(name=name)
    except ValueError:
        return False
    return True


def step(change: Change, after: Blade) -> RedfishStep:
    """Pure: what is sent for one change."""
    name, names = after.name, change.field_names
    if change.action == "create":
        text = f"system {name} is not there"
        return RedfishStep(addresses=(change.address,), text=text, name=name, missing=True)
    lines = []
    label = after.label if "label" in names else None
    boot = after.boot if "boot" in names else None
    power: Literal["on", "off"] | None = None
    if "power" in names and after.power:
        power = "on" if after.power == "on" else "off"
    if label is not None:
        lines.append(f"AssetTag = {label!r}")
    if boot == "none":
        lines.append("BootSourceOverrideEnabled = Disabled")
    elif boot:
        lines.append(f"BootSourceOverrideTarget = {model.BOOT[boot][0]}, Continuous")
    if power == "off" and after.grace is not None:
        lines.append(f"ComputerSystem.Reset GracefulShutdown, ForceOff after {after.grace} s")
    elif power:
        lines.append(f"ComputerSystem.Reset {model.RESETS[power][0]}")
    return RedfishStep(
        addresses=(change.address,),
        text="\n".join(f"system {name}: {line}" for line in lines),
        name=name,
        label=label,
        boot=boot,
        power=power,
        grace=after.grace,
    )


def _set(session: RedfishWriter, path: str, wanted: RedfishStep) -> None:
    """In one request. That it does not show in time is for the read-back to say."""
    system = session.system(path)
    body: dict[str, Any] = {}
    if wanted.label is not None:
        body["AssetTag"] = wanted.label
    if wanted.boot is not None:
        body |= model.boot_change(wanted.boot, system)
    session.change(system, body)

    def shows(now: model.System) -> bool:
        return (wanted.label is None or now.label == wanted.label) and (
            wanted.boot is None or now.boot == wanted.boot
        )

    _wait(session, path, shows, SETTLE)


def _switch(
    session: RedfishWriter, path: str, wanted: RedfishStep, power: Literal["on", "off"]
) -> None:
    """Reset, then wait: the state lags, which is no failure."""
    system = session.resets(session.system(path))
    if model.POWER.get(system.power) == power:
        return

    def shows(now: model.System) -> bool:
        return model.POWER.get(now.power) == power

    if power == "off" and wanted.grace:
        if system.power != "PoweringOff":
            _reset(session, system, "graceful")
        if _wait(session, path, shows, wanted.grace):
            return
        system = session.resets(session.system(path))
    if not (power == "on" and system.power == "PoweringOn"):
        _reset(session, system, power)
    if not _wait(session, path, shows, POWER_PATIENCE):
        now = session.system(path).power
        raise Rejected(
            f"system {wanted.name}: the service took the reset, and {POWER_PATIENCE:.0f} s later "
            f"its power is {now or 'unknown'}",
            output=now,
        )


def _reset(session: RedfishWriter, system: model.System, what: str) -> None:
    kind = system.resets_for(what)
    if not system.reset or not kind:
        allowed = ", ".join(system.resets) or "none"
        wish = model.RESETS[what][0]
        hint = "; say `power: off` to cut its power" if what == "graceful" else ""
        raise Rejected(f"system {system.id} has no reset {wish}; it allows: {allowed}{hint}")
    session.act(system.reset, {"ResetType": kind})


def _wait(
    session: RedfishReader, path: str, shows: Callable[[model.System], bool], seconds: float
) -> bool:
    """Whether the system came to be so within ``seconds``."""
    end, pause = time.monotonic() + seconds, 0.1
    while not shows(session.system(path)):
        left = end - time.monotonic()
        if left <= 0:
            return False
        if session.stop.wait(min(pause, left)):
            raise Temporary("told to stop while a system was changing")
        pause = min(LONGEST_PAUSE, pause * 1.5)
    return True


FACTS = {
    "name": "Name",
    "manufacturer": "Manufacturer",
    "model": "Model",
    "serial": "SerialNumber",
    "sku": "SKU",
    "uuid": "UUID",
    "bios": "BiosVersion",
    "host_name": "HostName",
}
"""Facts of a ComputerSystem or a Chassis and the properties that they are."""


def _described(data: Mapping[str, Any]) -> dict[str, Any]:
    found = {fact: model.text(data, name).strip() for fact, name in FACTS.items()}
    found["health"] = model.text(model.entry(data.get("Status")), "Health")
    return {fact: value for fact, value in found.items() if value}


def _uuid(data: Mapping[str, Any]) -> dict[str, str]:
    """The system's UUID, which its SMBIOS table has too (Redfish ComputerSystem, ``UUID``)."""
    uuid = model.text(data, "UUID").lower()
    return {"uuid": uuid} if uuid else {}


def _macs(session: RedfishReader, system: model.System) -> list[str]:
    ports = session.members(model.link(system.data, "EthernetInterfaces"))
    return sorted({mac for port in ports if (mac := model.text(port, "MACAddress").lower())})
