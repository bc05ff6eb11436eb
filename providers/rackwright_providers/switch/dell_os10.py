"""Dell SmartFabric OS10 switches, over SSH or a serial console."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import structs

from rackwright.model.address import Address
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import Permanent, Temporary
from rackwright.model.resource import Resource
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.switch import cli_canonical, os10_parse, os10_render
from rackwright_providers.switch.cli_lines import LineStep, host
from rackwright_providers.switch.resources import (
    Hostname,
    Lag,
    LocalUser,
    NtpServer,
    Port,
    SnmpCommunity,
    SwitchPort,
    SyslogServer,
    Vlan,
    canonical_hostname,
    vlan_in_use,
)
from rackwright_providers.transport.cli_dialect import Dialect

if TYPE_CHECKING:
    from rackwright.model.facts import Facts
    from rackwright_providers.transport.cli import CliReader, CliSession

DIALECT = Dialect(
    netmiko="dell_os10",
    read_verbs=frozenset({"show", "terminal"}),
    read_pipes_that_write=frozenset({"save"}),
    # `% Error: Unrecognized command.`, `% Error: Illegal parameter at "^" marker.`, `% Warning: …`
    # is none; Ansible's os10 terminal has the others.
    errors=re.compile(
        r"^[ \t]*(?:% ?(?!Warning|Info)\S|Syntax error:|.*returned error code: ?\d)",
        re.MULTILINE | re.IGNORECASE,
    ),
    login_refused=re.compile(r"Login incorrect|Permission denied|Access denied"),
    config_enter="configure terminal",
    config_leave="end",
    config_prompt=re.compile(r"\(conf[^()]*\)#$"),  # OS10(config)#, OS10(conf-if-eth1/1/1)#
    privileged="#",
    save="write memory",
    save_done=re.compile(r"\A\s*\Z|completed|success", re.IGNORECASE),  # it says nothing
    save_busy=re.compile(r"busy|try again|in progress|lock", re.IGNORECASE),
)

SHOW_RUNNING = "show running-configuration"
MTU = range(1280, 65536)
HASHED = ("$1$", "$5$", "$6$")
"""A password that begins so is taken for a hash."""


class DellOs10:
    """Each line takes effect at once. The configuration of OS9 (``feature config-os9-style``) is
    another language, and refused."""

    platform = "dell_os10"
    resources: frozenset[type[Resource]] = frozenset(
        {Vlan, Port, Lag, Hostname, NtpServer, SyslogServer, SnmpCommunity, LocalUser}
    )
    transports = frozenset({"ssh", "serial"})
    atomic = False
    undoes = False
    object_ids: tuple[str, ...] = ("1.3.6.1.4.1.674.11000.5000.100.2",)  # DELLEMC-OS10-PRODUCTS-MIB
    signs: tuple[str, ...] = (r"OS10 Enterprise", r"SmartFabric OS10", r"Networking OS10")

    def open(self, way: Way, around: Surroundings) -> CliReader:
        """See `cli.open_cli`."""
        from rackwright_providers.transport import cli

        return cli.open_cli(way, around, DIALECT)

    def canonical(self, resource: Resource) -> Resource:
        """Port names as OS10 shows them, plain numbers, sorted lists."""
        match resource:
            case Vlan():
                return _vlan(resource)
            case Port():
                return cli_canonical.port(resource, MANNER)
            case Lag():
                return cli_canonical.lag(resource, MANNER)
            case Hostname():
                return canonical_hostname(resource)
            case NtpServer() | SyslogServer():
                return structs.replace(resource, name=host(resource.name))
            case SnmpCommunity():
                return cli_canonical.community(resource, MANNER)
            case LocalUser():
                return _user(resource)
        raise Permanent(f"{self.platform} has no {resource.kind!r}")

    def read(self, session: CliReader, wanted: Wanted) -> Mapping[Address, Resource]:
        """One command for everything: what is not wanted of it comes along where it says what a
        VLAN is used for."""
        text = session.run(SHOW_RUNNING)
        if os10_parse.os9_style(text):
            raise Permanent(f"{session.via}: {os10_parse.OS9_STYLE!r} is on, which is not managed")
        kinds = {kind.kind for kind in wanted.types}
        if Vlan.kind in kinds:
            kinds |= {Port.kind, Lag.kind}
        try:
            found = os10_parse.configuration(text, wanted.resources)
        except ValueError as error:
            raise Temporary(f"{session.via}: an answer that makes no sense: {error}") from None
        return {address: seen for address, seen in found.items() if address.type in kinds}

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        """VLANs that are to go while a port still carries them untagged, and passwords that cannot
        be held against what the switch shows."""
        hidden = {
            change.address: "`service obscure-password` hides what its password is"
            for change in changes
            if "password" in change.field_names
            and isinstance(change.before, LocalUser)
            and not (change.before.password or "").strip(os10_parse.OBSCURED)
        }
        return {**vlan_in_use(changes, observed), **hidden}

    def render(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Sequence[Step]:
        """See `os10_render`."""
        return os10_render.steps(changes, observed)

    def commit(self, session: CliSession, steps: Sequence[Step]) -> None:
        """Line by line; the first line that is refused ends it."""
        for step in steps:
            if not isinstance(step, LineStep):
                raise Permanent(f"not a step of {self.platform}: {step.text}")
            session.configure(step.lines)

    def save(self, session: CliSession) -> bool:
        """``write memory``."""
        session.save()
        return True

    def carriers(
        self, session: CliReader, observed: Mapping[Address, Resource]
    ) -> Collection[Address]:
        """Our own account, and the port and VLAN behind which sessions of it come from, when that
        is in a network of the switch's own."""
        from rackwright_providers.switch import os10_discover

        return os10_discover.carriers(session)

    def discover(self, session: CliReader) -> Facts:
        """Version, ports, VLANs, MAC table, LLDP neighbours; what the device does not know is
        left out."""
        from rackwright_providers.switch import os10_discover

        return os10_discover.facts(session)


def _vlan(vlan: Vlan) -> Vlan:
    if vlan.id in os10_parse.RESERVED_VLANS:
        raise Permanent(f"VLAN {vlan.id} is the switch's own: it cannot be made, named or removed")
    if vlan.title is not None:
        cli_canonical.check_text("title", vlan.title, MANNER)
        if not vlan.title.strip():
            raise Permanent(f"VLAN {vlan.id}: a title cannot be empty")
        return structs.replace(vlan, name=str(vlan.id), title=vlan.title.strip())
    return structs.replace(vlan, name=str(vlan.id))


def _check(port: SwitchPort, ids: frozenset[int]) -> None:
    if port.mtu is not None and port.mtu not in MTU:
        raise Permanent(f"{port.name}: an MTU of OS10 is {MTU.start} to {MTU.stop - 1}")
    if max({port.access_vlan or 0, port.native_vlan or 0, *ids}) > os10_parse.LAST_VLAN:
        last = os10_parse.LAST_VLAN
        raise Permanent(f"{port.name}: VLANs of OS10 end at {last}, and it has no word for all")
    if ids and port.mode == "access":
        raise Permanent(f"{port.name}: on OS10 only a trunk has allowed_vlans")
    if None not in (port.access_vlan, port.native_vlan) and port.access_vlan != port.native_vlan:
        why = "access_vlan and native_vlan are one setting on OS10"
        raise Permanent(f"{port.name}: {why}: the VLAN of untagged frames")


def _user(user: LocalUser) -> LocalUser:
    if user.password is not None and user.password.startswith(HASHED):
        raise Permanent(f"local_user {user.name}: OS10 takes this password for a hash")
    return cli_canonical.user(user, MANNER)


MANNER = cli_canonical.Manner(
    system="OS10",
    interface=os10_parse.interface,
    switching="ethernet",
    management="mgmt",
    channel="port-channel",
    lags=range(1, 1025),
    quotes="",  # they stand around a text that has blanks
    check=_check,
)
