"""The guard: what must not be done, whatever is declared. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.resource import Resource


def refusals(
    changes: Iterable[Change],
    *,
    observed: Mapping[Address, Resource],
    carriers: Mapping[Address, str],
    undoes: bool,
    destroy: Collection[Address],
) -> dict[Address, str]:
    """The changes that are refused, each with its reason.

    ``carriers`` are the resources through which we reach this device, each with the host whose path it
    carries (empty: the session that we have); what they rest on (a port's VLAN) carries us too. ``undoes`` says that the platform takes back what is not confirmed.
    ``destroy`` are the resources on which the site says ``destroy: true``.
    """
    path = with_foundations(carriers, observed)
    found: dict[Address, str] = {}
    for change in changes:
        after = _aim(change)
        if after is None:
            continue
        if change.before is not None and change.address not in destroy:
            lost = after.loses(change.before)
            if lost:
                found[change.address] = f"{lost}; say `destroy: true` on it to allow this"
                continue
        if change.address in path and not undoes and after.severs(change.before):
            found[change.address] = (
                f"{_carried(change.address, path[change.address])}, and the platform cannot "
                "undo by itself; move the path first, or change it by hand on the console"
            )
    return found


def _carried(address: Address, host: str) -> str:
    if host:
        return f"{address} carries the path from {host} by which the device is reached"
    return "this carries the path by which the device is reached"


def last_feeds(
    changes: Iterable[Change], feeds: Mapping[Address, str], forced: Collection[Address]
) -> dict[Address, str]:
    """The changes that are refused because they take the last power of a node that answers. ``feeds``
    are the outlets and slots that give it, each with what would be lost; on those in ``forced`` the
    site says that it is meant."""
    return {
        change.address: (
            f"{feeds[change.address]}; say `power: force_off` on it to switch it off all the same"
        )
        for change in changes
        if change.address in feeds and change.address not in forced and severs(change)
    }


def severs(change: Change) -> bool:
    """Whether ``change`` cuts what runs through its resource, whatever that is."""
    after = _aim(change)
    return after is not None and after.severs(change.before)


def _aim(change: Change) -> Resource | None:
    """What the resource is to be; None for what is only let go or notified."""
    if change.action in ("create", "update"):
        return change.after
    if change.action == "remove" and change.before is not None:
        return msgspec.structs.replace(change.before, ensure="absent")
    return None


def with_foundations(
    carriers: Mapping[Address, str], observed: Mapping[Address, Resource]
) -> dict[Address, str]:
    """``carriers`` and all that they rest on, as observed, each with its host."""
    found: dict[Address, str] = {}
    look = list(carriers.items())
    while look:
        address, host = look.pop(0)
        if address not in found:
            found[address] = host
            if address in observed:
                look.extend((need, host) for need in observed[address].implied_needs())
    return found
