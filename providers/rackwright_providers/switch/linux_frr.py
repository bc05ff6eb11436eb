"""Linux routers that run FRR, at the command line of vtysh, over SSH or a serial console."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from msgspec import structs

from rackwright.model.address import Address
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import Permanent, Temporary
from rackwright.model.facts import Facts
from rackwright.model.resource import Resource, declared_fields
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.switch import frr_parse
from rackwright_providers.switch.resources import Hostname, Port, canonical_hostname
from rackwright_providers.transport.cli_dialect import Dialect

if TYPE_CHECKING:
    from rackwright_providers.transport.cli import CliReader, CliSession

T = TypeVar("T")

DIALECT = Dialect(
    netmiko="cisco_ios",
    read_verbs=frozenset({"show", "terminal"}),
    # `% Unknown command: …`, `% Command incomplete`, `% Ambiguous command`, `% Configuration failed.`,
    # `% Unknown action 'x'` (after a |), and what the northbound layer says of a value.
    errors=re.compile(r"^[ \t]*(?:% ?\S|Error type: |Error description: )", re.MULTILINE),
    login_refused=re.compile(r"Login incorrect|Access denied"),
    config_enter="configure terminal",
    config_leave="end",
    config_prompt=re.compile(r"\(config[^()]*\)#$"),
    privileged="#",
    save="write memory",
    # `[OK]` of an integrated frr.conf; otherwise each daemon says where it wrote its own file.
    save_done=re.compile(
        r"\A(?![\s\S]*(?:[Cc]an't|[Cc]annot|Error|failed to|Failed))"
        r"[\s\S]*(?:\[OK\]|^Configuration saved to )",
        re.MULTILINE,
    ),
)

SHOW_RUNNING = "show running-config"
SHOW_INTERFACES = "show interface vrf all"
SHOW_VERSION = "show version"

SETTLE = 3.0
"""Seconds that a port may take to show its new state."""
PORT_NAME = re.compile(r"[A-Za-z0-9][\w.:@-]{0,14}")
"""A Linux interface's name: IFNAMSIZ is 16 with its end (linux/if.h)."""
PORT_FIELDS = frozenset({"admin", "description"})
PRINTABLE = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrrStep(Step):
    """Configuration lines for one resource."""

    lines: tuple[str, ...]


class LinuxFrr:
    """Ports: their description and administrative state. The host name is compared and never set:
    vtysh keeps one that it is told only as long as its own session (see `refuse`)."""

    platform = "linux_frr"
    resources: frozenset[type[Resource]] = frozenset({Hostname, Port})
    transports = frozenset({"ssh", "serial"})
    atomic = False
    undoes = False
    object_ids: tuple[str, ...] = ()
    """None: the SNMP agent of such a host is net-snmp's, with or without FRR."""
    signs: tuple[str, ...] = (r"Hello, this is FRRouting", r"FRRouting \d")

    def open(self, way: Way, around: Surroundings) -> CliReader:
        """See `cli.open_cli`."""
        from rackwright_providers.transport import cli

        return cli.open_cli(way, around, DIALECT)

    def canonical(self, resource: Resource) -> Resource:
        """One blank where several stand together in a description, as vtysh has it."""
        if isinstance(resource, Hostname):
            return canonical_hostname(resource)
        if isinstance(resource, Port):
            return _port(resource)
        raise Permanent(f"{self.platform} has no {resource.kind!r}")

    def read(self, session: CliReader, wanted: Wanted) -> Mapping[Address, Resource]:
        """Two commands at most: the configuration, and what the kernel has."""
        if not wanted.types & self.resources:
            return {}
        found: dict[Address, Resource] = {}
        running = _ask(session, SHOW_RUNNING, frr_parse.configuration)
        if Hostname in wanted.types and running.hostname:
            hostname = Hostname(name="system", value=running.hostname)
            found[hostname.address] = hostname
        if Port in wanted.types:
            seen = _ask(session, SHOW_INTERFACES, frr_parse.interfaces)
            for port in frr_parse.ports(running, seen).values():
                found[port.address] = port
        return found

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        """The host name: ``hostname`` in vtysh changes that vtysh alone (lib/command.c, as of FRR
        10), and ``write memory`` writes it where no later one reads it."""
        return {
            change.address: "what vtysh is told of its host name ends with its session: "
            "set it on the host itself (hostnamectl, or /etc/frr/vtysh.conf)"
            for change in changes
            if change.address.type == Hostname.kind
        }

    def render(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Sequence[Step]:
        """One step a port."""
        steps = []
        for change in changes:
            after = change.after
            if isinstance(after, Port) and (lines := _lines(after, change.field_names)):
                step = FrrStep(
                    addresses=(change.address,), text="\n".join(lines), lines=tuple(lines)
                )
                steps.append(step)
        return steps

    def commit(self, session: CliSession, steps: Sequence[Step]) -> None:
        """Line by line; the first line that is refused ends it."""
        for step in steps:
            if not isinstance(step, FrrStep):
                raise Permanent(f"not a step of {self.platform}: {step.text}")
            session.configure(step.lines)
            self._settle(session, step)

    def _settle(self, session: CliSession, step: FrrStep) -> None:
        """Wait for the kernel: newer zebras set an interface's state in a thread of their own. That
        it does not come is for the read-back to find."""
        words = {line.strip() for line in step.lines} & {"shutdown", "no shutdown"}
        if not words:
            return
        name = step.addresses[0].name
        end = time.monotonic() + SETTLE
        while time.monotonic() < end:
            seen = _ask(session, f"show interface {name}", frr_parse.interfaces).get(name)
            if seen is None or seen.up == (words == {"no shutdown"}):
                return

    def save(self, session: CliSession) -> bool:
        """``write memory``."""
        session.save()
        return True

    def carriers(
        self, session: CliReader, observed: Mapping[Address, Resource]
    ) -> Collection[Address]:
        """The port that has the address at which we reach the router."""
        transport, _, where = session.via.partition(" ")
        if transport != "ssh":
            return ()
        host = where.rpartition(":")[0].strip("[]")
        try:
            known = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError:
            return ()
        seen = _ask(session, SHOW_INTERFACES, frr_parse.interfaces)
        names = {frr_parse.owner(str(address[0]), seen) for *_, address in known}
        return frozenset(Address(Port.kind, name) for name in names if name)

    def discover(self, session: CliReader) -> Facts:
        """Version, host name, interfaces. FRR speaks no LLDP, so there are no links."""
        running = _ask(session, SHOW_RUNNING, frr_parse.configuration)
        seen = _ask(session, SHOW_INTERFACES, frr_parse.interfaces)
        return Facts(
            values={
                "vendor": "frr",
                "version": frr_parse.version(session.run(SHOW_VERSION)),
                "hostname": running.hostname,
                "ports": {name: dict(interface.facts) for name, interface in seen.items()},
            }
        )


def _ask(session: CliReader, command: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(session.run(command))
    except ValueError as error:
        raise Temporary(f"{session.via}: an answer that makes no sense: {error}") from None


def _lines(port: Port, fields: frozenset[str]) -> list[str]:
    lines = []
    if "description" in fields:
        lines.append(f" description {port.description}" if port.description else " no description")
    if "admin" in fields:
        lines.append(" shutdown" if port.admin == "down" else " no shutdown")
    return [f"interface {port.name}", *lines] if lines else []


def _port(port: Port) -> Port:
    if not PORT_NAME.fullmatch(port.name):
        raise Permanent(f"{port.name!r} is not the name of a Linux interface")
    if port.ensure == "absent":
        raise Permanent(f"port {port.name} cannot be absent: say `admin: down`")
    foreign = sorted(declared_fields(port).keys() - PORT_FIELDS)
    if foreign:
        raise Permanent(f"port {port.name}: vtysh does not set {', '.join(foreign)}")
    text = port.description
    if text is None:
        return port
    # What follows a | is a filter to vtysh, and its line editor takes ASCII.
    if not PRINTABLE.fullmatch(text) or "|" in text:
        raise Permanent(f"description {text!r} has characters that vtysh cannot hold")
    return structs.replace(port, description=" ".join(text.split()))
