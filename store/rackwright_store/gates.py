"""Gates: what other nodes have verified of what a node needs, and what others still rest on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from rackwright.model import typed
from rackwright.model.address import Address
from rackwright.model.bundle import Bundle, Gates

Rests = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Of one node's ledger: other node → its ``type/name`` → our ``type/name`` that rest on it."""


class Wants(msgspec.Struct, frozen=True, kw_only=True):
    """What the gates of one node depend on in its bundle."""

    needs: Mapping[Address, frozenset[str]]
    """Address on another node → the digests at which it is needed."""
    nodes: frozenset[str]
    """The nodes of ``needs``."""
    present: frozenset[str]
    """Our ``type/name`` that are to be there; nothing else is ever removed."""
    deferred: frozenset[str] = frozenset()
    """Our ``type/name`` (or ``type/?``) that are not rendered yet; these stay as they are."""

    def leaves(self, address: str) -> bool:
        """Whether ``address`` of ours is to go."""
        return (
            address not in self.present
            and address not in self.deferred
            and f"{address.partition('/')[0]}/?" not in self.deferred
        )


class _Entry(msgspec.Struct):
    needs: tuple[str, ...] = ()
    called: str = ""
    intent: str = ""


class _Ledger(msgspec.Struct):
    entries: dict[str, _Entry] = {}


def wants_of(bundle: Bundle) -> Wants:
    """What the gates of ``bundle``'s node depend on."""
    needs: dict[Address, set[str]] = {}
    for item in bundle.resources:
        for need in item.needs:
            address = Address.parse(need.address)
            if address.node not in ("", bundle.node.name):
                needs.setdefault(address, set()).add(need.digest)
    return Wants(
        needs={address: frozenset(digests) for address, digests in needs.items()},
        nodes=frozenset(address.node for address in needs),
        present=frozenset(
            str(item.address)
            for item in bundle.resources
            if item.data.get("ensure", "present") != "absent"
        ),
        deferred=frozenset(item.address for item in bundle.deferred),
    )


def rests_of(node: str, ledger: bytes) -> Rests:
    """What ``node`` rests on by its mirrored ledger (JSON). Raises msgspec.ValidationError or
    ValueError for what is no ledger."""
    found: dict[str, dict[str, list[str]]] = {}
    for ours, entry in typed.decode(ledger, _Ledger).entries.items():
        Address.parse(entry.called or ours)
        for text in entry.needs:
            need = Address.parse(text)
            if need.node not in ("", node):
                found.setdefault(need.node, {}).setdefault(str(need.local), []).append(
                    entry.called or ours
                )
    return {
        other: {address: tuple(sorted(users)) for address, users in uses.items()}
        for other, uses in found.items()
    }


def under_way(ledger: bytes) -> frozenset[str]:
    """The ``type/name`` that a run is about to change, by the mirrored ledger (JSON) that it sends before
    that. Until its report comes, which may be never, nobody knows how these are."""
    entries = typed.decode(ledger, _Ledger).entries
    return frozenset(entry.called or ours for ours, entry in entries.items() if entry.intent)


def rests_here(node: str, ledger: bytes) -> dict[str, tuple[str, ...]]:
    """What of ``node`` rests on what of itself by its mirrored ledger: ``type/name`` → its users."""
    found: dict[str, list[str]] = {}
    for ours, entry in typed.decode(ledger, _Ledger).entries.items():
        for text in entry.needs:
            need = Address.parse(text)
            if need.node in ("", node):
                found.setdefault(str(need.local), []).append(entry.called or ours)
    return {address: tuple(sorted(users)) for address, users in found.items()}


def gates_of(
    node: str,
    wants: Wants,
    verified: Mapping[str, Mapping[str, str]],
    rests: Iterable[tuple[str, Rests]],
    others: Mapping[str, Wants] | None = None,
) -> Gates:
    """The gates of ``node``. ``verified`` is digest by node and ``type/name``; ``rests`` has the
    ledgers of the other nodes; ``others`` what these want now: who is to go holds what stays, too, so that
    a port is not moved away under a mount that is about to be taken off.

    What is verified at a digest that nobody asks for, and what is held but wanted anyway, opens
    and closes nothing; it is left out so that it wakes nobody.
    """
    met: dict[str, str] = {}
    for address, digests in wants.needs.items():
        digest = verified.get(address.node, {}).get(str(address.local))
        if digest is not None and digest in digests:
            met[str(address)] = digest
    held: dict[str, list[str]] = {}
    for other, uses in rests:
        for ours, users in uses.get(node, {}).items():
            if ours in wants.present:
                theirs = None if others is None else others.get(other)
                if others is None or (theirs is not None and not any(map(theirs.leaves, users))):
                    continue
                users = tuple(user for user in users if theirs is None or theirs.leaves(user))
            held.setdefault(ours, []).extend(f"{other}:{user}" for user in users)
    return Gates(
        verified=dict(sorted(met.items())),
        held={ours: tuple(sorted(users)) for ours, users in sorted(held.items())},
    )
