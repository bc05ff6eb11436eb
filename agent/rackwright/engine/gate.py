"""The gate: a change with unmet needs on another node waits, a removal waits the other way. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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
        elif change.action == "remove":
            unmet = gates.held.get(names.get(change.address, str(change.address)), ())
        else:
            continue
        if unmet:
            found[change.address] = unmet
    return found
