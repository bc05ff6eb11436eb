"""Changes as EOS configuration lines. Pure.

The lines go into one configuration session, so nothing of them is seen before all of them are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Permanent
from rackwright.model.resource import Resource
from rackwright_providers.switch import cli_lines, vlanset
from rackwright_providers.switch.cli_lines import (
    LineStep,
    SeenCommunity,
    SeenNtpServer,
    SeenSyslogServer,
    chunks,
    lacp_of,
    section,
)
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
)

LINE = 220
"""Characters of a line that every EOS takes whole."""
INDENT = "   "

_ALL = frozenset(range(vlanset.FIRST, vlanset.LAST + 1))
_SWITCHING = frozenset({"mode", "access_vlan", "native_vlan", "allowed_vlans"})


def steps(changes: Sequence[Change], observed: Mapping[Address, Resource]) -> list[LineStep]:
    """The steps in the order of ``changes``. Raises Permanent for what cannot be sent."""

    def vlans(removal: bool, ids: Iterable[int]) -> list[str]:
        return chunks("no vlan" if removal else "vlan", ids, LINE)

    return cli_lines.steps(changes, lambda change: _lines(change, changes, observed), vlans)


def _lines(
    change: Change, changes: Sequence[Change], observed: Mapping[Address, Resource]
) -> list[str]:
    before = change.before
    match change.after or before:
        case Vlan() as vlan:  # one with a title; the others come by lists
            return [f"vlan {vlan.name}", f"{INDENT}name {vlan.title}"]
        case Port() as port:
            return _port(port, before, change.field_names, lacp_of(port.lag, changes, observed))
        case Lag() as lag:
            return _lag(lag, before if isinstance(before, Lag) else None, change)
        case Hostname() as hostname:
            return [f"hostname {hostname.value}"]
        case NtpServer() as server:
            return _ntp(server, before, change.action)
        case SyslogServer() as server:
            if change.action == "remove":
                kept = before.lines if isinstance(before, SeenSyslogServer) else ()
                return [f"no {line}" for line in kept or (f"logging host {server.name}",)]
            return [f"logging host {server.name}"]
        case SnmpCommunity() as community:
            return _community(community, before, change.action)
        case LocalUser() as user:
            return _user(user, change)
    return []


def _port(port: Port, before: Resource | None, fields: frozenset[str], lacp: str) -> list[str]:
    seen = before if isinstance(before, Port) else None
    lag = cli_lines.regrouping(seen.lag if seen else None, port.lag, lacp)
    lines = [*(lag if "lag" in fields else ()), *_switching(port, seen, fields)]
    return section(f"interface {port.name}", lines, INDENT)


def _lag(lag: Lag, before: Lag | None, change: Change) -> list[str]:
    head = f"interface Port-Channel{lag.name}"
    if change.action == "remove":
        was = before.members if before else None
        return [*cli_lines.parting(was or (), INDENT), f"no {head}"]
    lines = _switching(lag, before, change.field_names)
    return [
        head,
        *(f"{INDENT}{line}" for line in lines),
        *cli_lines.members(lag, before, change.field_names, INDENT),
    ]


def _switching(port: SwitchPort, before: SwitchPort | None, fields: frozenset[str]) -> list[str]:
    lines: list[str] = []
    if "description" in fields:
        lines.append(f"description {port.description}" if port.description else "no description")
    if "admin" in fields and port.admin == "down":
        lines.append("shutdown")
    if before is not None and before.mode == "routed" and fields & _SWITCHING:
        lines.append("switchport")
    if "access_vlan" in fields:
        lines.append(f"switchport access vlan {port.access_vlan}")
    if "native_vlan" in fields:
        lines.append(f"switchport trunk native vlan {port.native_vlan}")
    if "allowed_vlans" in fields and port.allowed_vlans is not None:
        lines += allowed(vlanset.parse(port.allowed_vlans))
    if "mode" in fields:
        lines.append(f"switchport mode {port.mode}")
    if "admin" in fields and port.admin == "up":
        lines.append("no shutdown")
    return lines


def allowed(ids: frozenset[int]) -> list[str]:
    """The whole list anew. That its lines shut VLANs out in between is seen by nobody: it is in a
    configuration session."""
    command = "switchport trunk allowed vlan"
    if ids == _ALL or not ids:
        return [f"{command} {vlanset.show(ids)}"]
    first, *more = chunks(command, ids, LINE)
    return [first, *(line.replace(command, f"{command} add", 1) for line in more)]


def _ntp(server: NtpServer, before: Resource | None, action: str) -> list[str]:
    clear = [] if before is None else [f"no ntp server {server.name}"]
    if action == "remove":
        return clear
    options = before.options if isinstance(before, SeenNtpServer) else ()
    words = ["ntp server", server.name, *(["prefer"] if server.prefer else []), *options]
    return [*clear, " ".join(words)]


def _community(community: SnmpCommunity, before: Resource | None, action: str) -> list[str]:
    head = f"snmp-server community {community.community}"
    if action == "remove":
        return [f"no {head}"]
    kept = before if isinstance(before, SeenCommunity) else SeenCommunity(name="#")
    return [" ".join([head, *kept.before, community.access or "ro", *kept.after])]


def _user(user: LocalUser, change: Change) -> list[str]:
    head = f"username {user.name}"
    if change.action == "remove":
        return [f"no {head}"]
    fields = change.field_names
    secret = f"secret 0 {user.password}"
    if change.action == "create":
        if user.password is None:
            raise Permanent(f"{change.address}: EOS makes no account without a password")
        words = [head]
        words += [f"privilege {user.privilege}"] if user.privilege is not None else []
        words += [f"role {user.role}"] if user.role is not None else []
        return [" ".join([*words, secret])]
    lines = [f"{head} {secret}"] if "password" in fields else []
    if "privilege" in fields:
        lines.append(f"{head} privilege {user.privilege}")
    if "role" in fields:
        lines.append(f"{head} role {user.role}")
    return lines
