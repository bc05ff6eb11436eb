"""Changes as OS10 configuration lines. Pure.

Each line takes effect at once, so their order inside a port keeps it out of wrong states: a port is
shut first and opened last, a trunk's new VLANs are let in before old ones are shut out.
``switchport trunk allowed vlan LIST`` adds to the list; ``no switchport trunk allowed vlan LIST``
takes from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rackwright.model.address import Address
from rackwright.model.change import Change, Step
from rackwright.model.errors import Permanent
from rackwright.model.resource import Resource
from rackwright_providers.switch import vlanset
from rackwright_providers.switch.eos_render import chunks
from rackwright_providers.switch.os10_parse import (
    PRIVILEGES,
    SeenCommunity,
    SeenNtpServer,
    SeenSyslogServer,
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
"""Characters of a line that OS10 takes whole."""
RANGE = len("no interface range vlan ") + 40
"""Of one that names VLANs to configure: the prompt repeats them, and must stay a prompt."""
LACP = {"active": "active", "passive": "passive", "off": "on"}

_SWITCHING = frozenset({"mode", "access_vlan", "native_vlan", "allowed_vlans"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Os10Step(Step):
    """Configuration lines for one resource, or for VLANs that one line can name."""

    lines: tuple[str, ...]


def steps(changes: Sequence[Change], observed: Mapping[Address, Resource]) -> list[Os10Step]:
    """The steps in the order of ``changes``; VLANs that need no line of their own share one. Raises
    Permanent for what cannot be sent."""
    made: list[Os10Step] = []
    alike: list[Change] = []

    def flush() -> None:
        made.extend(_vlan_ranges(alike))
        alike.clear()

    for change in changes:
        if change.action not in ("create", "update", "remove"):
            continue
        if alike and not (_plain_vlan(change) and change.action == alike[0].action):
            flush()
        if _plain_vlan(change):
            alike.append(change)
            continue
        lines = _lines(change, changes, observed)
        if lines:
            text = "\n".join(lines)
            made.append(Os10Step(addresses=(change.address,), text=text, lines=tuple(lines)))
    flush()
    return made


def _plain_vlan(change: Change) -> bool:
    """A VLAN that is made without a title, or removed."""
    return change.address.type == Vlan.kind and (
        change.action == "remove"
        or (change.action == "create" and getattr(change.after, "title", None) is None)
    )


def _vlan_ranges(changes: Sequence[Change]) -> list[Os10Step]:
    if not changes:
        return []
    verb = "no interface range vlan" if changes[0].action == "remove" else "interface range vlan"
    addresses = {int(change.address.name): change.address for change in changes}
    made = []
    for line in chunks(verb, addresses, RANGE):
        ids = sorted(vlanset.parse(line.rpartition(" ")[2]))
        if len(ids) == 1:
            line = line.replace(" range", "")
        of = tuple(addresses[number] for number in ids)
        made.append(Os10Step(addresses=of, text=line, lines=(line,)))
    return made


def _lines(
    change: Change, changes: Sequence[Change], observed: Mapping[Address, Resource]
) -> list[str]:
    before = change.before
    match change.after or before:
        case Vlan() as vlan:  # one with a title; the others come by ranges
            return [f"interface vlan {vlan.name}", f" description {_text(vlan.title or '')}"]
        case Port() as port:
            seen = before if isinstance(before, Port) else None
            return _port(port, seen, change.field_names, _lacp_of(port.lag, changes, observed))
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


def _interface(name: str, lines: list[str]) -> list[str]:
    return [f"interface {name}", *(f" {line}" for line in lines)] if lines else []


def _port(port: Port, before: Port | None, fields: frozenset[str], lacp: str) -> list[str]:
    lines: list[str] = []
    if "lag" in fields:
        lines += [] if before is None or before.lag in (None, "none") else ["no channel-group"]
        lines += [] if port.lag == "none" else [f"channel-group {port.lag} mode {LACP[lacp]}"]
    return _interface(port.name, _around(port, before, fields, lines))


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


def _lacp_of(
    lag: str | None, changes: Sequence[Change], observed: Mapping[Address, Resource]
) -> str:
    """The mode in which a port joins ``lag``: what is declared of it now, or what it has."""
    address = Address(Lag.kind, lag or "")
    declared = next((change.after for change in changes if change.address == address), None)
    for found in (declared, observed.get(address)):
        if isinstance(found, Lag) and found.lacp is not None:
            return found.lacp
    return "active"


def _lag(lag: Lag, before: Lag | None, change: Change) -> list[str]:
    was = set(before.members or ()) if before else set()
    if change.action == "remove":
        lines = [line for port in sorted(was) for line in _interface(port, ["no channel-group"])]
        return [*lines, f"no interface port-channel {lag.name}"]
    fields = change.field_names
    lines = [
        f"interface port-channel {lag.name}",
        *(f" {line}" for line in _around(lag, before, fields, [])),
    ]
    now = was if lag.members is None else set(lag.members)
    mode = LACP[lag.lacp or (before.lacp if before else None) or "active"]
    anew = "lacp" in fields and before is not None and before.lacp != lag.lacp
    for port in sorted(was if anew else was - now):
        lines += _interface(port, ["no channel-group"])
    for port in sorted(now if anew else now - was):
        lines += _interface(port, [f"channel-group {lag.name} mode {mode}"])
    return lines


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
