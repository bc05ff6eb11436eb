"""Changes as configuration lines, as far as command lines that look like Cisco's agree. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from rackwright.model.address import Address
from rackwright.model.change import Change, Step
from rackwright.model.resource import Resource
from rackwright_providers.switch import vlanset
from rackwright_providers.switch.resources import (
    Lag,
    NtpServer,
    SnmpCommunity,
    SyslogServer,
    Vlan,
)

LACP = {"active": "active", "passive": "passive", "off": "on"}
"""The word behind ``channel-group N mode``."""


class SeenNtpServer(NtpServer, frozen=True, kw_only=True):
    """As observed, with what else its line says (``iburst``, ``key 7``), which an update keeps."""

    options: tuple[str, ...] = ()


class SeenSyslogServer(SyslogServer, frozen=True, kw_only=True):
    """As observed: all its lines, one a port and protocol."""

    lines: tuple[str, ...] = ()


class SeenCommunity(SnmpCommunity, frozen=True, kw_only=True):
    """As observed, with the words around its access (``view V``; an access list), which stay."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LineStep(Step):
    """Configuration lines for one resource, or for VLANs that one line can name."""

    lines: tuple[str, ...]


def steps(
    changes: Sequence[Change],
    lines_of: Callable[[Change], list[str]],
    vlans: Callable[[bool, Iterable[int]], list[str]],
) -> list[LineStep]:
    """The steps in the order of ``changes``: ``lines_of`` each, and for runs of VLANs that are made
    without a title, or removed (True), the lines that ``vlans`` needs to name them all."""
    made: list[LineStep] = []
    alike: dict[int, Address] = {}
    removal = False

    def flush() -> None:
        for line in vlans(removal, alike):
            ids = sorted(vlanset.parse(line.rpartition(" ")[2]))
            made.append(_step([alike[number] for number in ids], [line]))
        alike.clear()

    for change in changes:
        if change.action not in ("create", "update", "remove"):
            continue
        plain = _is_plain_vlan(change)
        if alike and not (plain and removal == (change.action == "remove")):
            flush()
        if plain:
            removal = change.action == "remove"
            alike[int(change.address.name)] = change.address
        elif lines := lines_of(change):
            made.append(_step([change.address], lines))
    if alike:
        flush()
    return made


def _step(addresses: Iterable[Address], lines: Sequence[str]) -> LineStep:
    return LineStep(addresses=tuple(addresses), text="\n".join(lines), lines=tuple(lines))


def _is_plain_vlan(change: Change) -> bool:
    return change.address.type == Vlan.kind and (
        change.action == "remove"
        or (change.action == "create" and getattr(change.after, "title", None) is None)
    )


def chunks(command: str, ids: Iterable[int], longest: int) -> list[str]:
    """``command`` with all of ``ids``, in as many lines as it takes."""
    lines: list[str] = []
    for part in vlanset.ranges(ids):
        if lines and len(lines[-1]) + 1 + len(part) <= longest:
            lines[-1] += f",{part}"
        else:
            lines.append(f"{command} {part}")
    return lines


def host(name: str) -> str:
    """One spelling of an IPv6 address; anything else as it is."""
    try:
        return ipaddress.IPv6Address(name).compressed
    except ValueError:
        return name


def section(head: str, lines: Iterable[str], indent: str) -> list[str]:
    """``lines`` under ``head``; nothing when there are none."""
    under = [f"{indent}{line}" for line in lines]
    return [head, *under] if under else []


def lacp_of(
    lag: str | None, changes: Sequence[Change], observed: Mapping[Address, Resource]
) -> str:
    """The word for the mode in which a port joins ``lag``: what is declared of it now, what it has,
    or active."""
    address = Address(Lag.kind, lag or "")
    declared = next((change.after for change in changes if change.address == address), None)
    for found in (declared, observed.get(address)):
        if isinstance(found, Lag) and found.lacp is not None:
            return LACP[found.lacp]
    return LACP["active"]


def members(lag: Lag, before: Lag | None, fields: frozenset[str], indent: str) -> list[str]:
    """Lines that take ports out of ``lag`` and put ports into it. The mode of a LAG changes only
    when it has no members, so with another mode all of them leave first."""
    was = set(before.members or ()) if before else set()
    now = was if lag.members is None else set(lag.members)
    mode = LACP[lag.lacp or (before.lacp if before else None) or "active"]
    anew = "lacp" in fields and before is not None
    lines = parting(was if anew else was - now, indent)
    for port in sorted(now if anew else now - was):
        join = f"channel-group {lag.name} mode {mode}"
        lines += section(f"interface {port}", [join], indent)
    return lines


def parting(ports: Iterable[str], indent: str) -> list[str]:
    """Lines by which ``ports`` leave their LAG."""
    found = []
    for port in sorted(ports):
        found += section(f"interface {port}", ["no channel-group"], indent)
    return found


def regrouping(before: str | None, after: str | None, lacp: str) -> list[str]:
    """Lines by which one port goes from LAG to LAG; ``none`` and None are none."""
    old = [] if before in (None, "none") else ["no channel-group"]
    return old + ([] if after in (None, "none") else [f"channel-group {after} mode {lacp}"])
