"""Cisco IOS and IOS-XE switches, over SSH or a serial console."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from msgspec import structs

from rackwright.model.address import Address
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import (
    Permanent,
    RackwrightError,
    Rejected,
    Temporary,
    Unreachable,
)
from rackwright.model.resource import Resource, declared_fields
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.switch import (
    interfaces,
    ios_management,
    ios_parse,
    ios_ports,
    ios_render,
    vlanset,
)
from rackwright_providers.switch.resources import (
    Hostname,
    Lag,
    LocalUser,
    Port,
    SnmpCommunity,
    SwitchPort,
    Vlan,
    canonical_hostname,
    vlan_in_use,
)
from rackwright_providers.transport.cli_dialect import Dialect

if TYPE_CHECKING:
    from rackwright.model.facts import Facts
    from rackwright_providers.transport.cli import CliReader, CliSession

DIALECT = Dialect(
    netmiko="cisco_ios",
    read_verbs=frozenset({"show", "dir", "terminal"}),
    read_pipes_that_write=frozenset({"redirect", "tee", "append"}),
    # `% Invalid input detected`, `% Incomplete command.`, `%Default VLAN 1 may not be deleted.`,
    # `Command rejected: …`; but not log messages (`%LINK-3-UPDOWN: …`), warnings, and the notice
    # that an access VLAN was made on the way.
    errors=re.compile(
        r"^[ \t]*(?:"
        r"% ?(?![A-Z0-9_]+-(?:[A-Z0-9_]+-)*[0-7]-)(?!Warning|Access VLAN does not exist)\S"
        r"|Command rejected|Command authorization failed|Bad VLAN (?:ID|list)"
        r"|ERROR: |Error: )",
        re.MULTILINE,
    ),
    login_refused=re.compile(
        r"% ?(?:Login invalid|Bad passwords|Authentication failed|Access denied)"
        r"|Login incorrect|Access denied"
    ),
    config_enter="configure terminal",
    config_leave="end",
    config_prompt=re.compile(r"\((?:config|vlan)[^()]*\)#$"),
    privileged="#",
    save="write memory",
    save_done=re.compile(r"\[OK\]"),
    save_busy=re.compile(r"busy|try again later|in progress|locked", re.IGNORECASE),
    save_answers=(
        (re.compile(r"Destination filename \[[^\]]*\]\? *\Z"), "\r"),
        (re.compile(r"\[confirm\] *\Z"), "\r"),
        (re.compile(r"\[(?:yes/no|y/n)\]:? *\Z", re.IGNORECASE), "yes\r"),
    ),
)

SHOW_VLANS = "show vlan brief"
SHOW_ALL = "show running-config"
SHOW_PART = "show running-config | section {}"
"""With expressions of lines that begin a section; images before 12.3 have no ``section``."""
INTERFACES = "^interface"
SHOW_MTU = "show interfaces | include line protocol|MTU"
NO_ENCAPSULATION = re.compile(r"trunk encapsulation is", re.IGNORECASE)
"""How switches that know ISL too (3550, 3560, 3750, 4500) refuse ``switchport mode trunk``."""
ENCAPSULATION = " switchport trunk encapsulation dot1q"
TRUNK_MODE = " switchport mode trunk"
PRINTABLE = re.compile(r"[\x20-\x7e]*")
SECRETIVE = frozenset({LocalUser.kind, SnmpCommunity.kind})
"""Nouns whose lines hold secrets."""
CONFIRM = ((re.compile(r"\[confirm\] *\Z"), "\r"),)
"""``no username`` asks whether it is to take all that belongs to the account."""


class CiscoIos:
    """What IOS hides from the configuration counts as state; see `ios_parse`."""

    platform = "cisco_ios"
    resources: frozenset[type[Resource]] = frozenset({Vlan, Port, Lag, *ios_management.SECTIONS})
    transports = frozenset({"ssh", "serial"})
    object_ids = ("1.3.6.1.4.1.9.1",)
    """ciscoProducts; Nexus switches are under 1.3.6.1.4.1.9.12."""
    signs = (r"Cisco IOS(?:[ -]XE)? Software", r"Cisco Internetwork Operating System Software")
    """In ``show version``."""
    atomic = False
    undoes = False
    """By itself; what cuts our path goes on trial (`rackwright.provider.Trials`)."""

    def open(self, way: Way, around: Surroundings) -> CliReader:
        """See `cli.open_cli`. What a killed run has left on trial is taken back first; while
        somebody else's change is on trial, Temporary is raised."""
        from rackwright_providers.switch import ios_trial
        from rackwright_providers.transport import cli

        session = cli.open_cli(way, around, DIALECT)
        try:
            ios_trial.clear(session)
        except BaseException:
            session.close()
            raise
        return session

    def canonical(self, resource: Resource) -> Resource:
        """Full port names, plain VLAN ids and LAG numbers, sorted VLAN lists."""
        if isinstance(resource, Vlan):
            return _vlan(resource)
        try:
            if isinstance(resource, Port):
                return _port(resource)
            if isinstance(resource, Lag):
                return _lag(resource)
        except ValueError as error:
            raise Permanent(str(error)) from None
        if isinstance(resource, Hostname):
            return canonical_hostname(resource)
        found = ios_management.canonical(resource)
        if found is None:
            raise Permanent(f"{self.platform} has no {resource.kind!r}")
        return found

    def read(self, session: CliReader, wanted: Wanted) -> Mapping[Address, Resource]:
        """One command for all VLANs, one for all else, and one more when an MTU is declared.

        Ports and LAGs come together, since each says something of the other. Where they are not
        asked for, those that ``show vlan brief`` lists come along with their access VLAN, so that
        `refuse` knows which VLANs are in use.
        """
        found: dict[Address, Resource] = {}
        switched = bool({Port, Lag} & wanted.types)
        try:
            if Vlan in wanted.types:
                vlans, carrying = ios_parse.vlans(session.run(SHOW_VLANS))
                found.update((vlan.address, vlan) for vlan in vlans.values())
                if not switched:
                    for name, vlan_id in carrying.items():
                        port = ios_parse.carrying_port(name, vlan_id)
                        found[port.address] = port
            sections = [INTERFACES] if switched else []
            sections += [
                section for kind, section in ios_management.SECTIONS.items() if kind in wanted.types
            ]
            if not sections:
                return found
            text = self._configuration(session, "|".join(sections))
            if switched:
                mtu = any(getattr(item, "mtu", None) for item in wanted.resources.values())
                mtus = ios_parse.mtus(session.run(SHOW_MTU)) if mtu else {}
                found.update(_switched(text, mtus, wanted))
        except ValueError as error:
            raise Temporary(f"{session.via}: an answer that makes no sense: {error}") from None
        managed = ios_management.parse(text, wanted.resources.values())
        kinds = tuple(wanted.types)
        return found | {key: item for key, item in managed.items() if isinstance(item, kinds)}

    def _configuration(self, session: CliReader, sections: str) -> str:
        try:
            return session.run(SHOW_PART.format(sections))
        except Rejected:
            return session.run(SHOW_ALL)

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        """VLANs that are to go while a port still carries them untagged, and ports that would not
        agree with the LAG that they are in."""
        alone = ios_ports.without_members(changes, observed)
        return {**vlan_in_use(changes, alone), **ios_ports.disagreements(changes, observed)}

    def render(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Sequence[Step]:
        """One step a change, or for many VLANs; see `ios_render`."""
        return ios_render.steps(changes, observed)

    def commit(self, session: CliSession, steps: Sequence[Step]) -> None:
        """Line by line; the first line that is refused ends it."""
        for step in steps:
            if not isinstance(step, ios_render.IosStep):
                raise Permanent(f"not a step of {self.platform}: {step.text}")
            try:
                _configure(session, step.lines)
            except RackwrightError as error:
                if not SECRETIVE & {address.type for address in step.addresses}:
                    raise
                raise _discreet(error, session.via, step) from None

    def irrevocable(self, session: CliReader, changes: Sequence[Change]) -> Mapping[Address, str]:
        """See `ios_trial.irrevocable`."""
        from rackwright_providers.switch import ios_trial

        return ios_trial.irrevocable(session, changes)

    def commit_on_trial(self, session: CliSession, steps: Sequence[Step]) -> None:
        """See `ios_trial.commit`."""
        from rackwright_providers.switch import ios_trial

        ios_trial.commit(session, lambda: self.commit(session, steps))

    def save(self, session: CliSession) -> bool:
        """``write memory``."""
        session.save()
        return True

    def carriers(
        self, session: CliReader, observed: Mapping[Address, Resource]
    ) -> Collection[Address]:
        """Our own account; and over SSH the port, LAG and VLAN behind which our own address is,
        when it is in a network of the switch's own. Where the way leads over a router the switch
        does not know the port."""
        from rackwright_providers.switch import ios_discover

        return ios_discover.carriers(session, observed)

    def discover(self, session: CliReader) -> Facts:
        """Version, ports, VLANs, MAC table, LLDP neighbours; what the device does not know is
        left out."""
        from rackwright_providers.switch import ios_discover

        return ios_discover.facts(session)


def _configure(session: CliSession, lines: Sequence[str]) -> None:
    try:
        session.configure(lines, answers=CONFIRM)
    except Rejected as refusal:
        others = _otherwise(lines, refusal.output)
        if others is None:
            raise
        session.configure(others)


def _discreet(error: RackwrightError, via: str, step: Step) -> RackwrightError:
    """``error`` without the line that it is about, and what the device repeats of it: a secret that
    is quoted there may be spelled so that nobody knows it for one."""
    what = step.addresses[0]
    if isinstance(error, Rejected):
        found = DIALECT.errors.search(error.output)
        said = error.output[found.start() :].strip().split("\n")[0] if found else ""
        kept = said.split('"')[0].strip()
        return Rejected(f"the device refuses the line of {what}: {kept}")
    if isinstance(error, Unreachable):
        return Unreachable(f"{via}: it was lost when the line of {what} was sent")
    if isinstance(error, Temporary):
        return Temporary(f"{via}: the line of {what} could not be sent now", delay=error.delay)
    return Permanent(f"{via}: the line of {what} cannot be sent")


def _otherwise(lines: Sequence[str], refusal: str) -> list[str] | None:
    """What to say to a switch that has refused ``lines`` because it is another than most; None when
    that is not why."""
    if NO_ENCAPSULATION.search(refusal):
        return [
            more
            for line in lines
            for more in ([ENCAPSULATION, line] if line == TRUNK_MODE else [line])
        ]
    if lines[0].startswith("username ") and ios_management.NO_ALGORITHM.search(refusal):
        plain = ios_management.without_algorithm(lines)
        return plain if plain != list(lines) else None
    return None


def _switched(text: str, mtus: Mapping[str, int], wanted: Wanted) -> dict[Address, Port | Lag]:
    ports, lags = ios_parse.interfaces_of(text)
    found: dict[Address, Port | Lag] = {}
    for name, port in ports.items():
        declared = wanted.resources.get(port.address)
        said = tuple(declared_fields(declared)) if isinstance(declared, Port) else ()
        mtu = mtus.get(name, port.mtu)
        found[port.address] = ios_ports.SeenPort(
            **{**structs.asdict(port), "mtu": mtu, "said": said}
        )
    for lag in lags.values():
        declared = wanted.resources.get(lag.address)
        if not lag.members and isinstance(declared, Lag):
            # The mode is the members': where there is none, nothing contradicts what is declared.
            lag = structs.replace(lag, lacp=declared.lacp)
        mtu = mtus.get(f"{ios_parse.CHANNEL}{lag.name}", lag.mtu)
        found[lag.address] = structs.replace(lag, mtu=mtu)
    return found


def _vlan(vlan: Vlan) -> Vlan:
    number = vlan.id
    if number in ios_parse.RESERVED_VLANS:
        raise Permanent(f"VLAN {number} is the switch's own: it cannot be made, named or removed")
    if vlan.title is not None:
        _check_text("title", vlan.title, forbidden='"')
        if not vlan.title.strip():
            raise Permanent(f"VLAN {number}: a title cannot be empty")
        return structs.replace(vlan, name=str(number), title=vlan.title.strip())
    return structs.replace(vlan, name=str(number))


def _port(port: Port) -> Port:
    name = interfaces.canonical(port.name)
    if name.startswith(ios_parse.CHANNEL):
        number = name.removeprefix(ios_parse.CHANNEL)
        raise Permanent(f"{name} is not a port but a LAG: say `lag: {number}`")
    lag = port.lag if port.lag in (None, "none") else str(Lag(name=port.lag).number)
    return _shared(structs.replace(port, name=name, lag=lag))


def _lag(lag: Lag) -> Lag:
    members = lag.members
    if members is not None:
        full = {interfaces.canonical(member) for member in members}
        members = tuple(sorted(full, key=interfaces.natural))
        if any(member.startswith(ios_parse.CHANNEL) for member in members):
            raise Permanent("a LAG cannot be a member of a LAG")
    return _shared(structs.replace(lag, name=str(lag.number), members=members))


S = TypeVar("S", bound=SwitchPort)


def _shared(port: S) -> S:
    """What ports and LAGs have in common. Raises ValueError for a list that is none."""
    allowed = None if port.allowed_vlans is None else vlanset.parse(port.allowed_vlans)
    if port.mode == "routed":
        raise Permanent(f"{port.address}: mode 'routed' cannot be declared")
    if port.description is not None:
        _check_text("description", port.description)
    return structs.replace(
        port,
        allowed_vlans=None if allowed is None else vlanset.show(allowed),
        description=None if port.description is None else port.description.strip(),
    )


def _check_text(field: str, text: str, forbidden: str = "") -> None:
    """A line break in it would be one more command, and the command line is ASCII."""
    if not PRINTABLE.fullmatch(text) or any(char in text for char in forbidden):
        raise Permanent(f"{field} {text!r} has characters that IOS cannot hold")
