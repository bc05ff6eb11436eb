"""Carrying: which ports of a switch run through one of its LAGs, or in a VLAN that is to go. Pure.

Told from what is declared and verified, and else from what was applied last. A port of which neither is
known may be in any VLAN, and a LAG of which it is not may have any port.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from rackwright.model.bundle import Declared
from rackwright_proposals.paths import TRANSIT

SHARED = frozenset({"lag", "vlan"})
"""The types of what several ports of a node run through."""
_SHARED = tuple(f"{kind}/" for kind in SHARED)
KINDS = SHARED | {"port"}
CARRYING = TRANSIT
"""The types of the nodes that have such."""


class Shared(NamedTuple):
    """One LAG, or one VLAN that is to go."""

    ports: frozenset[str]
    """Of those asked about the ones that run through it."""
    pending: bool = False
    """It is not verified as it is wanted, or to go and not gone."""
    first: tuple[str, ...] = ()
    """The ``type/name`` at its ports that must have changed before it goes."""


class Seen(NamedTuple):
    """What is known of one node."""

    declared: Mapping[str, Declared]
    """Its resources of `KINDS`, by ``type/name``."""
    ports: frozenset[str]
    """Those that are asked about."""
    verified: Mapping[str, str]
    leaving: Collection[str]
    """What its last run could not take away."""
    removed: Collection[str]
    deferred: Collection[str]
    """``type/name`` or ``type/?`` that are not rendered yet."""
    begun: Collection[str]
    """What its ledger has."""
    applied: Callable[[str], Mapping[str, Any] | None]
    """The fields at which something was applied and verified last; None where that is not known."""
    spelling: Callable[[str], str] = str
    """The one name of a port."""

    def data(self, key: str) -> Mapping[str, Any] | None:
        """The fields of ``key`` as they are; None where nobody knows."""
        item = self.declared.get(key)
        if item is not None and self.verified.get(key) == item.digest:
            return item.data
        return self.applied(key)

    def pending(self, key: str) -> bool:
        """Whether ``key`` is not as it is wanted."""
        item = self.declared.get(key)
        if item is None:
            return any(key in known for known in (self.verified, self.leaving, self.begun))
        gone = _absent(item) and key in self.removed
        return self.verified.get(key) != item.digest and not gone

    def goes(self, key: str) -> bool:
        """Whether ``key`` is not to be there."""
        item = self.declared.get(key)
        return item is None or _absent(item)


def shared(seen: Seen, earlier: Mapping[str, Shared]) -> dict[str, Shared]:
    """What several ports of a node run through and may be cut, by ``type/name``: its LAGs, and the
    VLANs that are to go or to stay away. ``earlier`` is what was found when less was applied."""
    undeclared = {
        key
        for keys in (seen.leaving, seen.verified, seen.begun)
        for key in keys
        if key.startswith(_SHARED) and key not in seen.declared
    }
    keys = undeclared.union(key for key in seen.declared if key.startswith(_SHARED))
    keys -= {key for key in undeclared if _deferred(key, seen.deferred)}
    joined = _joined(seen)
    lags = {
        key: _members_of(key, seen, joined, earlier.get(key))
        for key in sorted(keys)
        if key.startswith("lag/")
    }
    found = {
        key: Shared(ports, seen.pending(key), _at_members(ports, seen) if seen.goes(key) else ())
        for key, ports in lags.items()
    }
    for key in sorted(key for key in keys - lags.keys() if seen.goes(key)):
        carried = _carriers(key, lags, seen)
        # A port that is declared no more is only let go of, and stays as it is.
        users = {one for users in carried.values() for one in users}
        users &= seen.declared.keys() | lags.keys()
        first = {one for one in users if seen.pending(one)}
        found[key] = Shared(frozenset(carried), seen.pending(key), tuple(sorted(first)))
    return found


def lag_of(data: Mapping[str, Any], declared: Mapping[str, Declared]) -> str:
    """The LAG, of those that are declared to be there, that a port with these fields is to join; empty
    when there is none."""
    wanted = data.get("lag")
    for key, item in declared.items() if wanted not in (None, "none") else ():
        if item.type == "lag" and not _absent(item) and _same_lag(str(wanted), item.data["name"]):
            return key
    return ""


def _members_of(
    key: str, seen: Seen, joined: Mapping[str, Collection[str]], earlier: Shared | None
) -> frozenset[str]:
    name, item = key.partition("/")[2], seen.declared.get(key)
    found = {port for port, lags in joined.items() for lag in lags if _same_lag(lag, name)}
    found |= _members(item.data if item else {}, seen)
    if seen.pending(key):
        before = seen.applied(key)
        if before is not None:
            found |= _members(before, seen)
        elif earlier is not None and earlier.pending:
            found |= earlier.ports  # it is being changed
        elif item is None or key in seen.begun:
            return seen.ports
    return frozenset(found) & seen.ports


def _members(data: Mapping[str, Any], seen: Seen) -> set[str]:
    return {seen.spelling(str(port)) for port in data.get("members") or ()}


def _joined(seen: Seen) -> dict[str, set[str]]:
    """The LAGs that ports are to join by their own word, or had joined."""
    found: dict[str, set[str]] = {}
    for port in seen.ports:
        key = f"port/{port}"
        said = [seen.declared[key].data] if key in seen.declared else []
        for data in (*said, seen.data(key) or {}):
            if data.get("lag") not in (None, "none"):
                found.setdefault(port, set()).add(str(data["lag"]))
    return found


def _same_lag(one: str, other: str) -> bool:
    """``Port-channel10`` is ``10``."""
    numbers = [re.search(r"\d+$", text) for text in (one, other)]
    return one == other or (all(numbers) and len({found[0] for found in numbers if found}) == 1)


def _at_members(ports: Collection[str], seen: Seen) -> tuple[str, ...]:
    keys = (f"port/{port}" for port in ports)
    return tuple(sorted(key for key in keys if key in seen.declared and seen.pending(key)))


def _carriers(
    vlan: str, lags: Mapping[str, frozenset[str]], seen: Seen
) -> dict[str, tuple[str, ...]]:
    """The ports that may be in ``vlan``, each with what of itself says so: the port, or its LAG."""
    name = vlan.partition("/")[2]
    runs = {key: _may_run_in(name, seen.data(key)) for key in lags}
    found = {}
    for port in seen.ports:
        key = f"port/{port}"
        through = [lag for lag, ports in lags.items() if port in ports]
        users = tuple(lag for lag in through if runs[lag])
        if users or (not through and _may_run_in(name, seen.data(key))):
            found[port] = (key, *users)
    return found


def _may_run_in(vlan: str, data: Mapping[str, Any] | None) -> bool:
    mode = data.get("mode") if data else None
    if data is None or mode not in ("access", "trunk"):
        return True  # what is not declared may be anything on the device
    if mode == "access":
        return data.get("access_vlan") is None or str(data["access_vlan"]) == vlan
    allowed = data.get("allowed_vlans")
    return allowed is None or str(data.get("native_vlan")) == vlan or _lists(allowed, vlan)


def _lists(allowed: Any, vlan: str) -> bool:
    """Whether a list of VLANs as users and devices write it (``10,20-29``) has ``vlan``."""
    texts = allowed if isinstance(allowed, list | tuple) else [allowed]
    for part in ",".join(map(str, texts)).replace(" ", "").lower().split(","):
        low, _, high = part.partition("-")
        if part in ("", "none"):
            continue
        if not (low + high + vlan).isdecimal() or int(low) <= int(vlan) <= int(high or low):
            return True
    return False


def _absent(item: Declared) -> bool:
    return item.data.get("ensure") == "absent"


def _deferred(key: str, deferred: Collection[str]) -> bool:
    return key in deferred or f"{key.partition('/')[0]}/?" in deferred
