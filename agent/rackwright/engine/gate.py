"""The gate: a change with unmet needs on another node waits, a removal waits the other way, both wait
where nobody can be asked, a rollout has one wave after the other, and what rests on a link that is not as
declared is refused. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from rackwright.engine.guard import severs
from rackwright.engine.ledger import Ledger
from rackwright.engine.ports import ANY, Ports
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


def unheard(
    changes: Iterable[Change],
    needs: Mapping[Address, Iterable[Need]],
    ledger: Ledger,
    gates: Gates,
) -> dict[Address, tuple[str, tuple[str, ...]]]:
    """The changes that must wait because the store does not answer, each with why and with the addresses
    on other nodes that it waits for.

    What we rest on is kept for us as far as the store has our ledger. What would rest on anything else
    might find it gone by now, and what is to go might have got users.
    """
    found: dict[Address, tuple[str, tuple[str, ...]]] = {}
    if not gates.stale:
        return found
    for change in changes:
        if change.action in ("create", "update"):
            entry = ledger.get(change.address)
            known = entry.needs if entry is not None else ()
            new = tuple(
                need.address
                for need in needs.get(change.address, ())
                if Address.parse(need.address).node and need.address not in known
            )
            if new:
                why = f"waits until the store answers: {', '.join(new)} may be about to go"
                found[change.address] = (why, new)
        elif change.action in ("remove", "release"):
            why = "waits until the store answers: others may rest on it by now"
            found[change.address] = (why, ())
    return found


def later(
    changes: Iterable[Change],
    digests: Mapping[Address, str],
    names: Mapping[Address, str],
    ledger: Ledger,
    gates: Gates,
) -> dict[Address, str]:
    """The changes whose turn in a rollout has not come, each with the reason.

    ``digests`` are those of what is declared. What was seen as it is declared now, and is not any more,
    has drifted: no revision brought that change, so it waits for no rollout.
    """
    found: dict[Address, str] = {}
    if not gates.later:
        return found
    for change in changes:
        if change.action == "notify":
            continue
        address, entry = change.address, ledger.get(change.address)
        digest = digests.get(address)
        key = names.get(address, str(address))
        if digest is not None:
            if entry is not None and entry.seen == digest:
                continue
        elif entry is None:  # by `purge`
            if address.type in ledger.purged:
                continue
            key = f"{address.type}/*"
        if key in gates.later:
            found[address] = gates.later[key]
    return found


def out_of_turn(
    changes: Iterable[Change],
    ports: Ports,
    names: Mapping[Address, str],
    node: str,
    owned: Container[Address],
) -> dict[Address, tuple[str, tuple[str, ...]]]:
    """The changes that cut what another side makes redundant, and whose turn it is not: each with why
    and with the addresses that it waits for. What is not in ``owned`` goes by `Bundle.purge`, and nobody
    has heard of it before it is reported."""
    found: dict[Address, tuple[str, tuple[str, ...]]] = {}
    for change in changes:
        address = change.address
        waits = ports.turns.get(address)
        if waits is None and address not in owned and address not in ports.given:
            waits = ports.turns.get(Address(address.type, ANY))
        if waits is None or not severs(change):
            continue
        if waits:
            why = (
                f"waits until {', '.join(waits)} is verified: what is redundant is never cut on two "
                "sides at once"
            )
        else:
            waits = (f"{node}:{names.get(address, address)}",)
            why = (
                "waits for its turn: it is not as it was verified, which is reported first, since what "
                "is redundant is never cut on two sides at once"
            )
        found[address] = (why, waits)
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
