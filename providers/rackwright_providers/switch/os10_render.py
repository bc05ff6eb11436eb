"""Changes as OS10 configuration lines. Pure.

Each line takes effect at once, so their order inside a port keeps it out of wrong states: a port is
shut first and opened last, a trunk's new VLANs are let in before old ones are shut out.
``switchport trunk allowed vlan LIST`` adds to the list; ``no switchport trunk allowed vlan LIST``
takes from it.
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
from rackwright_providers.switch.os10_parse import PRIVILEGES
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
"""Characters of a line that OS10 takes whole."""
RANGE = len("no interface range vlan ") + 40
"""Of one that names VLANs to configure: the prompt repeats them, and must stay a prompt."""
INDENT = " "

_SWITCHING = frozenset({"mode", "access_vlan", "native_vlan", "allowed_vlans"})


def steps(changes: Sequence[Change], observed: Mapping[Address, Resource]) -> list[LineStep]:
    """The steps in the order of ``changes``. Raises Permanent for what cannot be sent."""
    return cli_lines.steps(changes, lambda change: _lines(change, changes, observed), _vlans)


def _vlans(removal: bool, ids: Iterable[int]) -> list[str]:
    verb = "no interface range vlan" if removal else "interface range vlan"
    lines = chunks(verb, ids, RANGE)
    # One VLAN is no range.
    return [
        line.replace(" range", "") if line.rpartition(" ")[2].isdecimal() else line
        for line in lines
    ]


def _lines(
    change: Change, changes: Sequence[Change], observed: Mapping[Address, Resource]
) -> list[str]:
    before = change.before
    match change.after or before:
        case Vlan() as vlan:  # one with a title; the others come by ranges
            return [f"interface vlan {vlan.name}", f"{INDENT}description {_text(vlan.title or '')}"]
        case Port() as port:
            seen = before if isinstance(before, Port) else None
            return _port(port, seen, change.field_names, lacp_of(port.lag, changes, observed))
        case Lag() as lag:
            return _lag(lag, before if isinstance(before, Lag) else None, change)
        case Hostname() as hostname:
            return [f"hostname {hostname.value}"]
        case NtpServer() as server:
            return _ntp(server, before, change.action)
        case SyslogServer() as server:
            if change.action == "remove":
                kept = before.lines if isinstance(before, SeenSyslogServer) else ()
                return [f"no {line}" for line in kept or (f"logging server {server.name}",)]
            return [f"logging server {server.name}"]
        case SnmpCommunity() as community:
            return _community(community, before, change.action)
        case LocalUser() as user:
            return _user(user, before, change)
    return []


def _text(text: str) -> str:
    return f'"{text}"' if " " in text else text


def _port(port: Port, before: Port | None, fields: frozenset[str], lacp: str) -> list[str]:
    lag = cli_lines.regrouping(before.lag if before else None, port.lag, lacp)
    lines = _around(port, before, fields, lag if "lag" in fields else [])
    return section(f"interface {port.name}", lines, INDENT)


def _around(
    port: SwitchPort, before: SwitchPort | None, fields: frozenset[str], lag: list[str]
) -> list[str]:
    lines: list[str] = []
    if "description" in fields:
        text = _text(port.description or "")
        lines.append(f"description {text}" if text else "no description")
    if "admin" in fields and port.admin == "down":
        lines.append("shutdown")
    if "mtu" in fields:
        lines.append(f"mtu {port.mtu}")
    lines += lag
    lines += _switching(port, before, fields)
    if "admin" in fields and port.admin == "up":
        lines.append("no shutdown")
    return lines


def _switching(port: SwitchPort, before: SwitchPort | None, fields: frozenset[str]) -> list[str]:
    if not fields & _SWITCHING:
        return []
    command = "switchport trunk allowed vlan"
    was = frozenset() if before is None else vlanset.parse(before.allowed_vlans or "none")
    now = was
    if "allowed_vlans" in fields and port.allowed_vlans is not None:
        now = vlanset.parse(port.allowed_vlans)
    gained, lost = chunks(command, now - was, LINE), chunks(f"no {command}", was - now, LINE)
    untagged = port.access_vlan if "access_vlan" in fields else None
    if untagged is None and "native_vlan" in fields:
        untagged = port.native_vlan
    plain = [] if untagged is None else [f"switchport access vlan {untagged}"]
    mode = [f"switchport mode {port.mode}"] if "mode" in fields else []
    if not mode and before is not None and before.mode == "routed":
        mode = ["switchport mode access"]
    trunking = (port.mode or (before.mode if before else None)) == "trunk"
    # The list is a trunk's alone: it is emptied before a port ceases to be one.
    return [*mode, *plain, *gained, *lost] if trunking else [*lost, *mode, *plain, *gained]


def _lag(lag: Lag, before: Lag | None, change: Change) -> list[str]:
    head = f"interface port-channel {lag.name}"
    if change.action == "remove":
        was = before.members if before else None
        return [*cli_lines.parting(was or (), INDENT), f"no {head}"]
    lines = _around(lag, before, change.field_names, [])
    return [
        head,
        *(f"{INDENT}{line}" for line in lines),
        *cli_lines.members(lag, before, change.field_names, INDENT),
    ]


def _ntp(server: NtpServer, before: Resource | None, action: str) -> list[str]:
    clear = [] if before is None else [f"no ntp server {server.name}"]
    if action == "remove":
        return clear
    options = before.options if isinstance(before, SeenNtpServer) else ()
    words = ["ntp server", server.name, *options, *(["prefer"] if server.prefer else [])]
    return [*clear, " ".join(words)]


def _community(community: SnmpCommunity, before: Resource | None, action: str) -> list[str]:
    head = f"snmp-server community {community.community}"
    seen = before if isinstance(before, SeenCommunity) else None
    clear = [f"no {head} {seen.access}"] if seen else []
    if action == "remove":
        return clear
    words = [head, community.access or "ro", *(seen.after if seen else ())]
    return [*clear, " ".join(words)]


def _user(user: LocalUser, before: Resource | None, change: Change) -> list[str]:
    """Always the whole line: OS10 has no other."""
    if change.action == "remove":
        return [f"no username {user.name}"]
    seen = before if isinstance(before, LocalUser) else None
    role = user.role or (seen.role if seen else None)
    if user.password is None or role is None:
        what = "role" if user.password else "password"
        raise Permanent(
            f"{change.address}: OS10 sets a whole account, so its {what} must be declared"
        )
    level = user.privilege
    if level is None and seen and seen.privilege != PRIVILEGES.get(role, 15):
        level = seen.privilege
    words = [f"username {user.name} password {user.password} role {role}"]
    return [" ".join([*words, *([] if level is None else [f"priv-lvl {level}"])])]
