"""What is known of nodes without asking them, and the gates that follow from it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

import msgspec

from rackwright.engine.ledger import Ledger
from rackwright.model.address import Address
from rackwright.model.bundle import Bundle, Gates
from rackwright.model.facts import Facts

Rests = Mapping[str, Mapping[str, tuple[tuple[str, str], ...]]]
"""Node → its ``type/name`` → the other nodes that rest on it, each with its own ``type/name``."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one node: by the store, or from its ledger on this host."""

    by: Literal["report", "ledger"] = "report"
    bundle: Bundle | None = None
    """The one in force; None when it is not in the site in force, or that is not known."""
    verified: dict[str, str] = {}
    """``type/name`` as the site writes it → digest at which it was verified last."""
    ledger: Ledger | None = None
    facts: Facts | None = None
    facts_at: float | None = None
    last_run: float | None = None
    """When its last run ended, in Unix seconds."""
    kind: str = ""
    """Why that run as a whole could not be done: ``unreachable``, …"""

    @property
    def seen(self) -> bool:
        """Whether the node has ever said a word of its resources."""
        return bool(self.verified or (self.ledger and self.ledger.entries) or self.last_run)


def of_ledger(ledger: Ledger, at: float) -> Known:
    """What the ledger says that was written ``at``."""
    entries = ledger.entries.values()
    verified = {
        entry.called or str(entry.address): entry.digest for entry in entries if not entry.intent
    }
    return Known(by="ledger", verified=verified, ledger=ledger, last_run=at)


def rests_of(known: Mapping[str, Known]) -> Rests:
    """What of each node others rest on, by their ledgers."""
    found: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for other, about in known.items():
        for key, entry in about.ledger.entries.items() if about.ledger else ():
            for text in entry.needs:
                need = Address.parse(text)
                if need.node not in ("", other):
                    users = found.setdefault(need.node, {}).setdefault(str(need.local), [])
                    users.append((other, entry.called or key))
    return {
        node: {ours: tuple(sorted(users)) for ours, users in of.items()}
        for node, of in found.items()
    }


def staying(bundle: Bundle) -> frozenset[str]:
    """The ``type/name`` (or ``type/?``) that are declared to be there, or are not rendered yet."""
    return frozenset(
        str(item.address) for item in bundle.resources if item.data.get("ensure") != "absent"
    ) | frozenset(item.address for item in bundle.deferred)


def leaves(address: str, stays: Collection[str]) -> bool:
    """Whether ``address`` (``type/name``) is to go from the node of which that `staying` is."""
    return address not in stays and f"{address.partition('/')[0]}/?" not in stays


def gates_of(
    bundle: Bundle, stays: Mapping[str, Collection[str]], known: Mapping[str, Known], rests: Rests
) -> Gates:
    """The gates of one node of a site that is not in force yet. ``stays`` is `staying` by node.

    A node that is not in the site any more holds what is to go. One that is in it holds, by what it is
    about to let go of itself, also what stays."""
    verified = {
        need.address: need.digest
        for item in bundle.resources
        for need in item.needs
        if need.digest and _verified(Address.parse(need.address), known) == need.digest
    }
    held: dict[str, tuple[str, ...]] = {}
    for ours, users in rests.get(bundle.node.name, {}).items():
        goes = leaves(ours, stays[bundle.node.name])
        still = tuple(
            f"{other}:{user}"
            for other, user in users
            if goes or (other in stays and leaves(user, stays[other]))
        )
        if still:
            held[ours] = still
    return Gates(verified=verified, held=held)


def _verified(need: Address, known: Mapping[str, Known]) -> str | None:
    about = known.get(need.node)
    return about.verified.get(str(need.local)) if about else None
