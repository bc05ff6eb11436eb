"""Cisco IOS and IOS-XE switches, over SSH or a serial console."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import structs

from rackwright.model.address import Address
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import Permanent, Rejected, Temporary
from rackwright.model.resource import Resource
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.switch import interfaces, ios_parse, ios_render, vlanset
from rackwright_providers.switch.resources import Port, Vlan, vlan_in_use
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
SHOW_PORTS = "show running-config | section ^interface"
SHOW_ALL = "show running-config"
"""For images without ``section`` (before 12.3)."""
SHOW_MTU = "show interfaces | include line protocol|MTU"
NO_ENCAPSULATION = re.compile(r"trunk encapsulation is", re.IGNORECASE)
"""How switches that know ISL too (3550, 3560, 3750, 4500) refuse ``switchport mode trunk``."""
ENCAPSULATION = " switchport trunk encapsulation dot1q"
PRINTABLE = re.compile(r"[\x20-\x7e]*")


class CiscoIos:
    """VLANs and ports. What IOS hides from the configuration counts as state; see `ios_parse`."""

    platform = "cisco_ios"
    resources: frozenset[type[Resource]] = frozenset({Vlan, Port})
    transports = frozenset({"ssh", "serial"})
    atomic = False
    undoes = False

    def open(self, way: Way, around: Surroundings) -> CliReader:
        """See `cli.open_cli`."""
        from rackwright_providers.transport import cli

        return cli.open_cli(way, around, DIALECT)

    def canonical(self, resource: Resource) -> Resource:
        """Full port names, plain VLAN ids, sorted VLAN lists."""
        if isinstance(resource, Vlan):
            return _vlan(resource)
        if isinstance(resource, Port):
            return _port(resource)
        raise Permanent(f"{self.platform} has no {resource.kind!r}")

    def read(self, session: CliReader, wanted: Wanted) -> Mapping[Address, Resource]:
        """One command for all VLANs, one for all ports, and one more when an MTU is declared.

        Where ports are not asked for, those that ``show vlan brief`` lists come along with their
        access VLAN, so that `refuse` knows which VLANs are in use.
        """
        found: dict[Address, Resource] = {}
        try:
            if Vlan in wanted.types:
                vlans, carrying = ios_parse.vlans(session.run(SHOW_VLANS))
                found.update((vlan.address, vlan) for vlan in vlans.values())
                if Port not in wanted.types:
                    for name, vlan_id in carrying.items():
                        found[Address(Port.kind, name)] = Port(name=name, access_vlan=vlan_id)
            if Port in wanted.types:
                ports = ios_parse.ports(self._sections(session))
                if any(getattr(item, "mtu", None) for item in wanted.resources.values()):
                    for name, mtu in ios_parse.mtus(session.run(SHOW_MTU)).items():
                        if name in ports:
                            ports[name] = structs.replace(ports[name], mtu=mtu)
                found.update((port.address, port) for port in ports.values())
        except ValueError as error:
            raise Temporary(f"{session.via}: an answer that makes no sense: {error}") from None
        return found

    def _sections(self, session: CliReader) -> str:
        try:
            return session.run(SHOW_PORTS)
        except Rejected:
            return session.run(SHOW_ALL)

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        """VLANs that are to go while a port still carries them untagged."""
        return vlan_in_use(changes, observed)

    def render(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Sequence[Step]:
        """One step a change; see `ios_render`."""
        return ios_render.steps(changes, observed)

    def commit(self, session: CliSession, steps: Sequence[Step]) -> None:
        """Line by line; the first line that is refused ends it."""
        for step in steps:
            if not isinstance(step, ios_render.IosStep):
                raise Permanent(f"not a step of {self.platform}: {step.text}")
            try:
                session.configure(step.lines)
            except Rejected as refusal:
                if not NO_ENCAPSULATION.search(refusal.output):
                    raise
                session.configure(_with_encapsulation(step.lines))

    def save(self, session: CliSession) -> bool:
        """``write memory``."""
        session.save()
        return True

    def carriers(
        self, session: CliReader, observed: Mapping[Address, Resource]
    ) -> Collection[Address]:
        """The port and VLAN behind which our own address is, when it is in a network of the
        switch's own. Empty on a console, and where the way leads over a router."""
        if not session.via.startswith("ssh "):
            return ()
        from rackwright_providers.switch import ios_discover

        return ios_discover.carriers(session)

    def discover(self, session: CliReader) -> Facts:
        """Version, ports, VLANs, MAC table, LLDP neighbours; what the device does not know is
        left out."""
        from rackwright_providers.switch import ios_discover

        return ios_discover.facts(session)


def _with_encapsulation(lines: Sequence[str]) -> list[str]:
    mode = lines.index(" switchport mode trunk")
    return [*lines[:mode], ENCAPSULATION, *lines[mode:]]


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
    try:
        name = interfaces.canonical(port.name)
        allowed = None if port.allowed_vlans is None else vlanset.parse(port.allowed_vlans)
    except ValueError as error:
        raise Permanent(str(error)) from None
    if port.mode == "routed":
        raise Permanent(f"{name}: mode 'routed' cannot be declared")
    if port.description is not None:
        _check_text("description", port.description)
    return structs.replace(
        port,
        name=name,
        allowed_vlans=None if allowed is None else vlanset.show(allowed),
        description=None if port.description is None else port.description.strip(),
    )


def _check_text(field: str, text: str, forbidden: str = "") -> None:
    """A line break in it would be one more command, and the command line is ASCII."""
    if not PRINTABLE.fullmatch(text) or any(char in text for char in forbidden):
        raise Permanent(f"{field} {text!r} has characters that IOS cannot hold")
