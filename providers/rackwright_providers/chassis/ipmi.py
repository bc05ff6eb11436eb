"""IPMI: the management controller (BMC) of a server, and blades whose controllers are behind it."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from rackwright.model import typed
from rackwright.model.address import Address
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import Permanent, Rejected, Temporary
from rackwright.model.facts import Facts, FoundLink
from rackwright.model.resource import Resource
from rackwright.model.site import Ipmi as Options
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.chassis import ipmi_model as model
from rackwright_providers.chassis.resources import Blade, canonical_power
from rackwright_providers.transport.ipmi import (
    ABSENT,
    BMC,
    IpmiReader,
    IpmiSession,
    Refusal,
    Request,
    failed,
    open_ipmi,
)

OWN = "bmc"
"""The name of the system whose controller we talk to."""
HEX = re.compile(r"0[xX]([0-9A-Fa-f]{1,2})")
MOST_RECORDS = 4000
BATCH = 32
"""SDRs asked for at once: their numbers mostly follow each other."""
FRU_SIZE = 512
"""Octets of a FRU that are read: its board and its product stand first."""
POWER_PATIENCE = 60.0
"""Seconds from a command to the power state."""
LONGEST_PAUSE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IpmiStep(Step):
    """What is sent to one controller. None: nothing of that."""

    name: str
    missing: bool = False
    """There is no such controller."""
    boot: model.Boot | None = None
    power: Literal["on", "off"] | None = None
    grace: int | None = None
    """Seconds that the system may take to shut down by itself; None: its power is cut."""


class Ipmi:
    """``bmc``, and each controller behind it by its IPMB address (``0x82``) or by its name in the
    BMC's SDR repository."""

    platform = "ipmi"
    object_ids: tuple[str, ...] = ()
    signs: tuple[str, ...] = ()
    resources: frozenset[type[Resource]] = frozenset({Blade})
    transports: frozenset[str] = frozenset({"ipmi"})
    atomic = False
    undoes = False

    def open(self, way: Way, around: Surroundings) -> IpmiReader:
        """I/O: a session; without ``around.writable`` one that cannot write."""
        try:
            options = typed.convert(way.options, Options)
        except msgspec.ValidationError as error:
            raise Permanent(f"ipmi: {error}") from None
        return open_ipmi(options, around)

    def canonical(self, resource: Resource) -> Blade:
        """Pure: addresses as ``0x82``, the BMC's own as ``bmc``."""
        if not isinstance(resource, Blade):
            raise Permanent(f"{self.platform} has no {resource.kind}")
        if resource.ensure == "absent":
            raise Permanent(f"blade {resource.name} cannot be absent: say `power: off`")
        if resource.priority is not None:
            raise Permanent("IPMI has no priority of a system's power")
        if resource.label is not None:
            raise Permanent("IPMI has no label of a system that could be written")
        name, found = resource.name, HEX.fullmatch(resource.name)
        if found:
            target = int(found[1], 16)
            if target % 2 or not target:
                raise Permanent(f"{name} is no address on an IPMB: those are even, 0x02 to 0xfe")
            name = _named(target)
        return canonical_power(msgspec.structs.replace(resource, name=name))

    def read(self, session: IpmiReader, wanted: Wanted) -> Mapping[Address, Resource]:
        """I/O: the BMC's system, the controllers that it names, and those that are declared; in one
        exchange once the SDR repository is known."""
        if Blade not in wanted.types:
            return {}
        asked = {address.name for address in wanted.resources if address.type == Blade.kind}
        if not session.targets:
            session.targets = names(locators(session))
        session.targets |= {name: int(name, 16) for name in asked if HEX.fullmatch(name)}
        targets = chosen(session.targets, asked)
        requests = [
            request
            for target in targets.values()
            for request in (model.status_request(target), model.boot_request(target))
        ]
        answers = session.ask(*requests)
        found = {}
        for at, name in enumerate(targets):
            status, boot = answers[2 * at : 2 * at + 2]
            if isinstance(status, bytes):
                blade = Blade(
                    name=name,
                    power=model.power(status),
                    boot=model.boot(boot) if isinstance(boot, bytes) else None,
                )
                found[blade.address] = blade
            elif name in asked and status.code not in ABSENT:
                raise failed(requests[2 * at], status)
        return found

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        """Nothing: each system stands for itself."""
        return {}

    def render(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Sequence[IpmiStep]:
        """Pure: one step a system."""
        return [
            step(change, change.after)
            for change in changes
            if isinstance(change.after, Blade) and change.action in ("create", "update")
        ]

    def commit(self, session: IpmiSession, steps: Sequence[IpmiStep]) -> None:
        """I/O: send, and wait for each system's power until its controller says that it is so."""
        for one in steps:
            target = session.targets.get(one.name)
            if one.missing or target is None:
                raise Rejected(f"there is no controller {one.name}")
            if one.boot is not None:
                (before,) = session.ask(model.boot_request(target))
                held = before if isinstance(before, bytes) else b""
                session.send(*model.boot_requests(target, one.boot, held))
            if one.power:
                _switch(session, target, one, one.power)

    def save(self, session: IpmiSession) -> bool:
        """A controller keeps what it is told by itself."""
        return False

    def carriers(
        self, session: IpmiReader, observed: Mapping[Address, Resource]
    ) -> Collection[Address]:
        """A controller runs on standby power, whatever its system does."""
        return ()

    def discover(self, session: IpmiReader) -> Facts:
        """I/O: the controllers, and what their FRUs say of the systems that they are in."""
        session.targets = names(locators(session))
        systems = {}
        links = []
        for name, target in session.targets.items():
            facts = _facts(session, target)
            if facts:
                systems[name] = facts
            if facts.get("serial"):
                links.append(FoundLink(port=name, peer=facts["serial"], how="slot"))
        return Facts(values={"systems": systems}, links=tuple(sorted(links)))


def _named(target: int) -> str:
    return OWN if target == BMC else f"{target:#04x}"


def names(found: Iterable[model.Locator]) -> dict[str, int]:
    """Pure: controllers by their address and, where it tells one from all others, by their name."""
    located = [one for one in found if one.channel == 0 and one.target != BMC]
    targets = {OWN: BMC} | {_named(one.target): one.target for one in located}
    for one in located:
        if [other.name for other in located].count(one.name) == 1 and _is_name(one.name):
            targets.setdefault(one.name, one.target)
    return targets


def chosen(targets: Mapping[str, int], asked: Collection[str]) -> dict[str, int]:
    """Pure: of ``targets`` those to read: all by address, and by name where that was ``asked`` for
    and the address was not: two resources must not hold one system."""
    return {
        name: target
        for name, target in targets.items()
        if name == _named(target) or (name in asked and _named(target) not in asked)
    }


def _is_name(name: str) -> bool:
    try:
        Blade(name=name)
    except ValueError:
        return False
    return True


def locators(session: IpmiReader) -> list[model.Locator]:
    """I/O: the management controllers in the BMC's SDR repository, if it has one."""
    records: dict[int, bytes] = {}
    found, at = [], 0
    while at != model.LAST_RECORD and len(records) < MOST_RECORDS:
        if at not in records:
            ahead = range(at, min(at + BATCH, model.LAST_RECORD))
            answers = session.ask(*(model.record_request(record) for record in ahead))
            records |= {
                record: answer
                for record, answer in zip(ahead, answers, strict=True)
                if isinstance(answer, bytes)
            }
        answer = records.get(at, b"")
        records[at] = b""  # a chain that comes back to a record ends there
        one = model.locator(answer)
        if one:
            found.append(one)
        at = model.next_record(answer)
    return found


def step(change: Change, after: Blade) -> IpmiStep:
    """Pure: what is sent for one change."""
    name, fields = after.name, change.field_names
    if change.action == "create":
        text = f"controller {name} is not there"
        return IpmiStep(addresses=(change.address,), text=text, name=name, missing=True)
    boot = after.boot if "boot" in fields else None
    power: Literal["on", "off"] | None = None
    if "power" in fields and after.power:
        power = "on" if after.power == "on" else "off"
    lines = []
    if boot is not None:
        octets = " ".join(f"{octet:02x}" for octet in model.boot_requests(BMC, boot)[-1].data)
        lines.append(f"Set System Boot Options {octets} ({boot})")
    if power == "off" and after.grace is not None:
        soft, hard = model.CONTROL["graceful"], model.CONTROL["off"]
        lines.append(f"Chassis Control {soft:02x} (soft), {hard:02x} (off) after {after.grace} s")
    elif power:
        lines.append(f"Chassis Control {model.CONTROL[power]:02x} ({power})")
    return IpmiStep(
        addresses=(change.address,),
        text="\n".join(f"{name}: {line}" for line in lines),
        name=name,
        boot=boot,
        power=power,
        grace=after.grace,
    )


def _switch(
    session: IpmiSession, target: int, wanted: IpmiStep, power: Literal["on", "off"]
) -> None:
    """Command, then wait. A system that is on is never switched off on the way to on."""
    if _power(session, target) == power:
        return
    if power == "off" and wanted.grace:
        session.send(model.control_request(target, "graceful"))
        if _wait(session, target, power, wanted.grace):
            return
    session.send(model.control_request(target, power))
    if not _wait(session, target, power, POWER_PATIENCE):
        now = _power(session, target)
        raise Rejected(
            f"{wanted.name}: its controller took the command {power}, and {POWER_PATIENCE:.0f} s "
            f"later its power is {now or 'unknown'}",
            output=now or "",
        )


def _wait(session: IpmiSession, target: int, power: str, seconds: float) -> bool:
    """Whether the power came to be so within ``seconds``."""
    end, pause = time.monotonic() + seconds, 0.1
    while _power(session, target) != power:
        left = end - time.monotonic()
        if left <= 0:
            return False
        if session.stop.wait(min(pause, left)):
            raise Temporary("told to stop while a system was changing its power")
        pause = min(LONGEST_PAUSE, pause * 1.5)
    return True


def _power(session: IpmiReader, target: int) -> Literal["on", "off"] | None:
    request = model.status_request(target)
    (answer,) = session.ask(request)
    if isinstance(answer, Refusal):
        raise failed(request, answer)
    return model.power(answer)


def _facts(session: IpmiReader, target: int) -> dict[str, str]:
    """Of one controller; empty when it does not answer."""
    own, status, size = session.ask(
        Request(target, model.APP, 0x01),
        model.status_request(target),
        Request(target, model.STORAGE, 0x10, b"\0"),
    )
    if isinstance(own, Refusal):
        return {}
    facts = model.device(own)
    if isinstance(status, bytes):
        facts["health"] = model.health(status)
    if isinstance(size, bytes) and len(size) >= 2:
        length = min(int.from_bytes(size[:2], "little"), FRU_SIZE)
        chunks = session.ask(*model.fru_requests(target, length)) if length else []
        data = b""
        for chunk in chunks:
            if isinstance(chunk, Refusal):
                break
            data += chunk[1 : 1 + chunk[0]] if chunk else b""
        facts |= model.fru(data)
    return facts
