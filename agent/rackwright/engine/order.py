"""The order of changes: what is needed first comes first, and goes last."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from rackwright.model.address import Address
from rackwright.model.change import Change


def predecessors(
    changes: Sequence[Change],
    needs: Mapping[Address, frozenset[Address]],
    rested: Mapping[Address, frozenset[Address]],
) -> dict[Address, frozenset[Address]]:
    """For each change, the changes that must go well before it.

    ``needs`` gives what each resource rests on: for what is declared as declared, for what goes as
    it stands; ``rested`` what it was last declared to rest on. A create or update follows what it needs; a removal follows every change of what
    rested on it.
    """
    leaving = {change.address for change in changes if change.action == "remove"}
    before: dict[Address, set[Address]] = {change.address: set() for change in changes}
    for change in changes:
        if change.action == "remove":
            continue
        before[change.address] |= {
            need for need in needs.get(change.address, ()) if need in before and need not in leaving
        }
    for change in changes:
        going = change.action in ("remove", "release")
        rested_on = set(needs.get(change.address, ())) if going else set()
        rested_on |= rested.get(change.address, frozenset())
        if change.before is not None:
            rested_on |= set(change.before.implied_needs())
        for need in rested_on & leaving:
            before[need].add(change.address)
    return {address: frozenset(earlier - {address}) for address, earlier in before.items()}


def arrange(
    changes: Sequence[Change], before: Mapping[Address, frozenset[Address]]
) -> tuple[Change, ...]:
    """``changes`` so that each stands after its predecessors, otherwise as given.

    A circle (which lint refuses for what is declared, and which can only come of leftovers) is
    broken at its first member as given.
    """
    index = {change.address: position for position, change in enumerate(changes)}
    waiting = {address: set(before.get(address, ())) & index.keys() for address in index}
    followers: dict[Address, list[Address]] = {address: [] for address in index}
    for address, earlier in waiting.items():
        for item in earlier:
            followers[item].append(address)
    ready = [index[address] for address, earlier in waiting.items() if not earlier]
    heapq.heapify(ready)
    done: list[Change] = []
    placed: set[Address] = set()
    while len(done) < len(changes):
        if not ready:
            ready.append(min(index[address] for address in index if address not in placed))
        change = changes[heapq.heappop(ready)]
        if change.address in placed:
            continue
        placed.add(change.address)
        done.append(change)
        for address in followers[change.address]:
            waiting[address].discard(change.address)
            if not waiting[address] and address not in placed:
                heapq.heappush(ready, index[address])
    return tuple(done)
