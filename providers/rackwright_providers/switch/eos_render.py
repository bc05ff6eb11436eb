"""Changes as EOS configuration lines. Pure.

The lines go into one configuration session, so nothing of them is seen before all of them are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rackwright.model.address import Address
from rackwright.model.change import Change, Step
from rackwright.model.errors import Permanent
from rackwright.model.resource import Resource
from rackwright_providers.switch import vlanset
from rackwright_providers.switch.eos_parse import SeenCommunity, SeenNtpServer, SeenSyslogServer
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
LACP = {"active": "active", "passive": "passive", "off": "on"}

_ALL = frozenset(range(vlanset.FIRST, vlanset.LAST + 1))
_SWITCHING = frozenset({"mode", "access_vlan", "native_vlan", "allowed_vlans"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EosStep(Step):
    """Configuration lines for one resource, or for VLANs that one line can name."""

    lines: tuple[str, ...]


def steps(changes: Sequence[Change], observed: Mapping[Address, Resource]) -> list[EosStep]:
    """The steps in the order of ``changes``; VLANs that need no line of their own share one. Raises
    Permanent for what cannot be sent."""
    made: list[EosStep] = []
    alike: list[Change] = []

    def flush() -> None:
        made.extend(_vlan_lists(alike))
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
            made.append(EosStep(addresses=(change.address,), text=text, lines=tuple(lines)))
    flush()
    return made


def _plain_vlan(change: Change) -> bool:
    """A VLAN that is made without a title, or removed."""
    return change.address.type == Vlan.kind and (
        change.action == "remove"
        or (change.action == "create" and getattr(change.after, "title", None) is None)
    )


def _vlan_lists(changes: Sequence[Change]) -> list[EosStep]:
    if not changes:
        return []
    verb = "no vlan" if changes[0].action == "remove" else "vlan"
    addresses = {int(change.address.name): change.address for change in changes}
    made = []
    for line in chunks(verb, addresses):
        ids = sorted(vlanset.parse(line.rpartition(" ")[2]))
        of = tuple(addresses[number] for number in ids)
        made.append(EosStep(addresses=of, text=line, lines=(line,)))
    return made


def chunks(command: str, ids: Iterable[int], longest: int = LINE) -> list[str]:
    """``command`` with all of ``ids``, in as many lines as it takes."""
    lines: list[str] = []
    for part in vlanset.ranges(ids):
        if lines and len(lines[-1]) + 1 + len(part) <= longest:
            lines[-1] += f",{part}"
        else:
            lines.append(f"{command} {part}")
    return lines


def _lines(
    change: Change, changes: Sequence[Change], observed: Mapping[Address, Resource]
) -> list[str]:
    before = change.before
    match change.after or before:
        case Vlan() as vlan:  # one with a title; the others come by lists
            return [f"vlan {vlan.name}", f"   name {vlan.title}"]
        case Port() as port:
            return _port(port, before, change.field_names, _lacp_of(port.lag, changes, observed))
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


def _interface(name: str, lines: list[str]) -> list[str]:
    return [f"interface {name}", *(f"   {line}" for line in lines)] if lines else []


def _port(port: Port, before: Resource | None, fields: frozenset[str], lacp: str) -> list[str]:
    seen = before if isinstance(before, Port) else None
    lines = _switching(port, seen, fields)
    if "lag" in fields:
        old = [] if seen is None or seen.lag in (None, "none") else ["no channel-group"]
        new = [] if port.lag == "none" else [f"channel-group {port.lag} mode {LACP[lacp]}"]
        lines = [*old, *new, *lines]
    return _interface(port.name, lines)


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
        return [*lines, f"no interface Port-Channel{lag.name}"]
    fields = change.field_names
    lines = [
        f"interface Port-Channel{lag.name}",
        *(f"   {line}" for line in _switching(lag, before, fields)),
    ]
    now = was if lag.members is None else set(lag.members)
    mode = LACP[lag.lacp or (before.lacp if before else None) or "active"]
    # EOS changes the mode of no LAG that has members ("Cannot change mode; remove all members").
    anew = "lacp" in fields and before is not None and before.lacp != lag.lacp
    for port in sorted(was if anew else was - now):
        lines += _interface(port, ["no channel-group"])
    for port in sorted(now if anew else now - was):
        lines += _interface(port, [f"channel-group {lag.name} mode {mode}"])
    return lines


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
    first, *more = chunks(command, ids)
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
