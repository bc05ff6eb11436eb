"""Ports and LAGs as IOS configuration lines. Pure.

The order inside a port keeps it out of wrong states: what a mode will use is set before the port
goes into it, a trunk's new VLANs are let in before old ones are shut out, a port is shut first and
opened last.

What is set on a Port-channel goes to its members too, but a port that joins must agree with it
before, or it is suspended (``%EC-5-CANNOT_BUNDLE2``): so it is made to agree first. The first member
makes the Port-channel, which copies its settings; that way it is a switched one on switches, too,
where a Port-channel made by hand is a routed one (4500, 6500). A port that leaves keeps what the
Port-channel gave it, so that is taken back; and it is opened again where the switch shut it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import structs

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.resource import Resource, declared_fields
from rackwright_providers.switch import interfaces, ios_parse, vlanset
from rackwright_providers.switch.resources import Lag, Port, SwitchPort

LINE = 220
"""Characters of a line that every IOS takes whole."""
MODE_LINES = {
    "access": "switchport mode access",
    "trunk": "switchport mode trunk",
    "dynamic": "switchport mode dynamic auto",
}
GROUP_MODES = {"active": "active", "passive": "passive", "off": "on", None: "active"}
"""``channel-group N mode …``, by what is declared; LACP where nothing is."""
SHARED = ("mode", "access_vlan", "native_vlan", "allowed_vlans")
"""Fields in which members agree with their LAG."""
RESETS = {
    "mode": "no switchport mode",
    "access_vlan": "no switchport access vlan",
    "native_vlan": "no switchport trunk native vlan",
    "allowed_vlans": "no switchport trunk allowed vlan",
}

_ALL = frozenset(range(vlanset.FIRST, vlanset.LAST + 1))
_SWITCHING = frozenset(SHARED)
P = TypeVar("P", bound=SwitchPort)


class SeenPort(Port, frozen=True, kw_only=True):
    """A port as observed, with what the site says of it."""

    said: tuple[str, ...] = ()
    """Fields that are declared: the LAG that it leaves does not take these back."""


class Scene:
    """What a change is rendered against: all changes of the run, and what was observed."""

    def __init__(self, changes: Iterable[Change], observed: Mapping[Address, Resource]) -> None:
        self.changes = {change.address: change for change in changes}
        self.observed = observed

    def soon(self, kind: type[P], name: str) -> P | None:
        """What a port or LAG will be when all is done; None when it is not there then, or nothing
        is known of it."""
        address = Address(kind.kind, name)
        seen = self.observed.get(address)
        change = self.changes.get(address)
        if change is None or change.action not in ("create", "update", "remove"):
            return seen if isinstance(seen, kind) else None
        if not isinstance(change.after, kind):
            return None
        base: SwitchPort = seen if isinstance(seen, kind) else kind(name=name)
        if isinstance(change.after, Lag) and base is not seen:
            base = structs.replace(base, **self.first_of(change.after))
        return structs.replace(base, **declared_fields(change.after))  # type: ignore[return-value]

    def first_of(self, lag: Lag) -> Mapping[str, Any]:
        """What a LAG is when it has just been made: what its first member is."""
        first = self.soon(Port, lag.members[0]) if lag.members else None
        if first is None or first.mode == "routed":
            return ios_parse.DEFAULTS
        return {**ios_parse.DEFAULTS, **{name: getattr(first, name) for name in SHARED}}

    def taken(self, name: str, lag: str) -> bool:
        """Whether a change of this run takes the port ``name`` to another LAG than ``lag``."""
        port = self.changes.get(Address(Port.kind, name))
        if port and isinstance(port.after, Port) and port.after.lag not in (None, "none", lag):
            return True
        return any(
            name in (change.after.members or ())
            for change in self.changes.values()
            if isinstance(change.after, Lag) and change.after.name != lag
        )

    def port(self, name: str) -> Port | None:
        """As observed."""
        seen = self.observed.get(Address(Port.kind, name))
        return seen if isinstance(seen, Port) else None

    def lag(self, name: str | None) -> Lag | None:
        """As observed."""
        seen = self.observed.get(Address(Lag.kind, name)) if name else None
        return seen if isinstance(seen, Lag) else None


def port_lines(port: Port, before: Port | None, change: Change, scene: Scene) -> list[str]:
    """The lines of a declared port."""
    fields = change.field_names
    lines = properties(port, before, fields)
    if "lag" in fields and port.lag == "none":
        lag = None if before is None else scene.lag(before.lag)
        lines = [*leaving(port.name, lag, scene), *lines]
    elif "lag" in fields and port.lag is not None:
        lag = scene.soon(Lag, port.lag)
        agreed = [] if lag is None else agreeing(before, lag, fields)
        mode = GROUP_MODES[lag.lacp if lag else None]
        lines = joining(before, port.lag, mode, [*agreed, *lines], scene)
    return [f"interface {port.name}", *(f" {line}" for line in lines)] if lines else []


def lag_lines(lag: Lag, before: Lag | None, change: Change, scene: Scene) -> list[str]:
    """The lines of a declared LAG."""
    target = scene.soon(Lag, lag.name) or lag
    fields = change.field_names
    own = properties(lag, before or Lag(name=lag.name, **scene.first_of(lag)), fields)
    bundle = [f"interface {ios_parse.CHANNEL}{lag.name}", *(f" {line}" for line in own)]
    had = set(before.members or ()) if before else set()
    wanted = list(lag.members or ()) if lag.members is not None else sorted(had)
    mode = GROUP_MODES[target.lacp]
    moded = "lacp" in fields and before is not None
    stay = [name for name in wanted if name in had] if moded else []
    left = _all_leaving(set(had) - set(wanted), before, scene)
    joined: list[str] = []
    if before and (before.lacp is None or "off" in (before.lacp, lag.lacp)):
        # No member of the new protocol is taken while there is one of the old. They leave when what
        # is new on the Port-channel has come to them.
        for name in stay:
            joined += _in(name, ["no channel-group", *_opened(scene.port(name), name, scene)])
    for name in stay:
        joined += _in(name, [f"channel-group {lag.name} mode {mode}"])
    for name in wanted:
        if name not in had:
            port = scene.port(name)
            joined += _in(name, joining(port, lag.name, mode, agreeing(port, target), scene))
    if before is None:
        return [*joined, *bundle]
    return [*left, *(bundle if own or not (left or joined) else []), *joined]


def lag_gone(before: Lag, scene: Scene) -> list[str]:
    """The lines that remove a LAG and leave its members as ports of their own."""
    left = _all_leaving(before.members or (), before, scene)
    return [*left, f"no interface {ios_parse.CHANNEL}{before.name}"]


def _in(name: str, lines: Iterable[str]) -> list[str]:
    return [f"interface {name}", *(f" {line}" for line in lines)]


def _all_leaving(names: Iterable[str], lag: Lag | None, scene: Scene) -> list[str]:
    """Those that go to another LAG of this run leave on their way there, be that before or after."""
    number = lag.name if lag else ""
    gone = sorted((n for n in names if not scene.taken(n, number)), key=interfaces.natural)
    return [line for name in gone for line in _in(name, leaving(name, lag, scene))]


def _opened(port: Port | None, name: str, scene: Scene) -> list[str]:
    """Some switches shut a port that leaves its LAG."""
    soon = scene.soon(Port, name)
    opens = port is not None and port.admin == "up" and (soon is None or soon.admin == "up")
    return ["no shutdown"] if opens else []


def joining(
    port: Port | None, lag: str, mode: str, lines: Sequence[str], scene: Scene
) -> list[str]:
    """``port`` joins, after ``lines``. It cannot go from one LAG to another at once."""
    group = f"channel-group {lag} mode {mode}"
    if port is None or port.lag in (None, "none", lag):
        return [*lines, group]
    return ["no channel-group", *lines, group, *_opened(port, port.name, scene)]


def leaving(name: str, lag: Lag | None, scene: Scene) -> list[str]:
    """A member leaves ``lag`` and loses what it has of it, but for what the site says of the port."""
    lines = ["no channel-group"]
    port = scene.port(name)
    if port is None:
        return lines
    lines += [RESETS[field] for field in _inherited(port, lag, scene)]
    return [*lines, *_opened(port, name, scene)]


def _inherited(port: Port, lag: Lag | None, scene: Scene) -> list[str]:
    """The fields that a port has of its LAG and no one says of the port itself."""
    change = scene.changes.get(port.address)
    said = {*getattr(port, "said", ()), *(change.field_names if change else ())}
    return [
        field
        for field in SHARED
        if lag is not None
        and field not in said
        and getattr(port, field) == getattr(lag, field) != ios_parse.DEFAULTS[field]
    ]


def without_members(
    changes: Iterable[Change], observed: Mapping[Address, Resource]
) -> dict[Address, Resource]:
    """``observed`` but for ports that will be in a LAG, which speaks for them; those that leave one as
    it will leave them."""
    scene = Scene(changes, observed)
    found = dict(observed)
    for address, seen in observed.items():
        if not isinstance(seen, Port) or seen.lag is None:
            continue
        before, soon = scene.lag(seen.lag), scene.soon(Port, seen.name)
        after = scene.soon(Lag, before.name) if before else None
        named = soon.lag if soon and soon.lag != seen.lag else None
        stays = after is not None and seen.name in (after.members or ())
        if scene.taken(seen.name, seen.lag) or (stays and named is None):
            del found[address]
        elif before is not None:
            gone = {field: ios_parse.DEFAULTS[field] for field in _inherited(seen, before, scene)}
            found[address] = structs.replace(seen, lag="none", **gone)
    return found


def agreeing(port: Port | None, lag: Lag, but: Collection[str] = ()) -> list[str]:
    """What makes ``port`` agree with ``lag`` before it joins; ``but`` are fields set anyhow."""
    if port is None:
        return []
    if lag.mode == "routed":
        return [] if port.mode == "routed" else ["no switchport"]
    wanted = {
        field: getattr(lag, field)
        for field in (*SHARED, "mtu")
        if field not in but
        and getattr(lag, field) is not None
        and getattr(lag, field) != getattr(port, field)
    }
    return properties(Port(name=port.name, **wanted), port, frozenset(wanted))


def properties(port: SwitchPort, before: SwitchPort | None, fields: frozenset[str]) -> list[str]:
    """What ports and LAGs have in common, without the line that names the interface."""
    lines: list[str] = []
    if "description" in fields:
        lines.append(f"description {port.description}" if port.description else "no description")
    if "admin" in fields and port.admin == "down":
        lines.append("shutdown")
    if "mtu" in fields:
        lines.append(f"mtu {port.mtu}")
    if before is not None and before.mode == "routed" and fields & _SWITCHING:
        lines.append("switchport")
    trunk = _trunk(port, before, fields)
    access = [f"switchport access vlan {port.access_vlan}"] if "access_vlan" in fields else []
    mode = [MODE_LINES[port.mode]] if "mode" in fields and port.mode in MODE_LINES else []
    trunking = (port.mode or (before.mode if before else None)) == "trunk"
    lines += [*trunk, *mode, *access] if trunking else [*access, *mode, *trunk]
    if "admin" in fields and port.admin == "up":
        lines.append("no shutdown")
    return lines


def _trunk(port: SwitchPort, before: SwitchPort | None, fields: frozenset[str]) -> list[str]:
    gained: list[str] = []
    lost: list[str] = []
    if "allowed_vlans" in fields and port.allowed_vlans is not None:
        old = before.allowed_vlans if before else None
        gained, lost = allowed(
            None if old is None else vlanset.parse(old), vlanset.parse(port.allowed_vlans)
        )
    native = [f"switchport trunk native vlan {port.native_vlan}"] if "native_vlan" in fields else []
    return [*gained, *native, *lost]


def allowed(before: frozenset[int] | None, after: frozenset[int]) -> tuple[list[str], list[str]]:
    """Lines that let VLANs in, and lines that shut VLANs out."""
    command = "switchport trunk allowed vlan"
    if after == _ALL or not after:
        return [f"{command} {vlanset.show(after)}"], []
    whole = f"{command} {vlanset.show(after)}"
    if before is None or before in (_ALL, frozenset()):
        if len(whole) < LINE:
            return [whole], []
        if before == _ALL:  # a set in several lines would shut out for a moment what stays
            return [], chunks(f"{command} remove", before - after)
        first, *more = chunks(command, after)
        return [first, *(line.replace(command, f"{command} add", 1) for line in more)], []
    return chunks(f"{command} add", after - before), chunks(f"{command} remove", before - after)


def chunks(command: str, ids: Iterable[int]) -> list[str]:
    """``command`` with lists of ``ids``, in as many lines as it takes."""
    lines: list[str] = []
    for part in vlanset.ranges(ids):
        # 5 stands for the blank and an " add" that may still be put in.
        if lines and len(lines[-1]) + 1 + len(part) + 5 <= LINE:
            lines[-1] += f",{part}"
        else:
            lines.append(f"{command} {part}")
    return lines


def disagreements(
    changes: Iterable[Change], observed: Mapping[Address, Resource]
) -> dict[Address, str]:
    """Ports of which the site wants something else than of the LAG that they are in, each with the
    reason: IOS would suspend them."""
    scene = Scene(changes, observed)
    found = {}
    for address, change in scene.changes.items():
        if not isinstance(change.after, Port) or change.action not in ("create", "update"):
            continue
        port = scene.soon(Port, address.name)
        if port is None or port.lag is None or port.lag == "none":
            continue
        lag = scene.soon(Lag, port.lag)
        if lag is None and change.after.lag is not None:
            found[address] = f"there is no lag/{port.lag}: declare it too"
        if lag is None:
            continue
        wrong = [
            f"{field} {getattr(lag, field)!r}"
            for field in SHARED
            if getattr(change.after, field) not in (None, getattr(lag, field))
        ]
        if change.after.admin == "up" and lag.admin == "down":
            wrong.append("admin 'down'")
        if wrong:
            found[address] = f"it is a member of lag/{lag.name}, which has {', '.join(wrong)}"
    return found
