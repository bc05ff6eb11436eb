"""The gate: a change with unmet needs on another node waits, a removal waits the other way, and what
rests on a link that is not as declared is refused. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rackwright.engine.guard import severs
from rackwright.model.address import Address
from rackwright.model.bundle import Gates, Need
from rackwright.model.change import Change


def waits(
    changes: Iterable[Change],
    needs: Mapping[Address, Iterable[Need]],
    names: Mapping[Address, str],
    gates: Gates,
) -> dict[Address, tuple[str, ...]]:
    """The changes that must wait, each with the addresses that it waits for.

    ``needs`` are the declared needs of each resource; ``names`` is how other nodes call ours.
    """
    found: dict[Address, tuple[str, ...]] = {}
    for change in changes:
        if change.action in ("create", "update"):
            unmet = tuple(
                need.address
                for need in needs.get(change.address, ())
                if Address.parse(need.address).node
                and not (need.digest and gates.verified.get(need.address) == need.digest)
            )
            if not unmet and severs(change):
                # Those who use it are about to go, and go first.
                unmet = gates.held.get(names.get(change.address, str(change.address)), ())
        elif change.action in ("remove", "release"):
            # What is let go of is not touched, but what it rests on (a port's VLAN) goes next.
            unmet = gates.held.get(names.get(change.address, str(change.address)), ())
        else:
            continue
        if unmet:
            found[change.address] = unmet
    return found


def refusals(changes: Iterable[Change], contradicted: Mapping[Address, str]) -> dict[Address, str]:
    """The changes that are refused because of the link at their port. ``contradicted`` has the
    resources of such ports, each with what is wrong."""
    return {
        change.address: (
            f"{contradicted[change.address]}; mend the site or the cable, or say `trust: declared` "
            "on the link"
        )
        for change in changes
        if change.action in ("create", "update", "remove") and change.address in contradicted
    }
