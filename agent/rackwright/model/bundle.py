"""What the store (or ``--site``) hands one agent, and what gates its changes."""

from __future__ import annotations

from typing import Any

import msgspec

from rackwright.model.address import Address
from rackwright.model.site import Node


class Origin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where something comes from: a line of the site or of the role library."""

    file: str
    line: int
    commit: str = ""
    role: str = ""
    proposal: str = ""
    node: str = ""
    """The node whose role put it here, when that is another."""

    def __str__(self) -> str:
        at = f"@{self.commit[:10]}" if self.commit else ""
        return f"{self.file}:{self.line}{at}"


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """Who asks for something: a role on a node, and the proposals that decide what it says there."""

    node: str
    """Empty: the node that it is on."""
    proposals: tuple[str, ...]
    """Those that put the role there or set an attribute that it reads, by name."""


class Need(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A resource that must come first. Met, on another node, when that node has verified it at
    ``digest``; on the same node (no ``node:`` in the address) it orders the plan."""

    address: str
    digest: str = ""


class Declared(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One resource as rendered, with all that the engine must know of it."""

    type: str
    data: dict[str, Any]
    """The resource's fields, ``name`` among them; secrets are markers."""
    digest: str
    origin: Origin
    needs: tuple[Need, ...] = ()
    notifies: tuple[str, ...] = ()
    destroy: bool = False
    """``destroy: true`` stands on it: what holds data may be shrunk or deleted."""
    asked: tuple[Asked, ...] = ()
    """Who asks for it, where that is more than `origin` says; see `askers`."""

    @property
    def address(self) -> Address:
        """Its address, without a node."""
        return Address(self.type, self.data["name"])


class Deferred(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A resource that reads a fact which nobody has found yet; it renders when the fact arrives."""

    address: str
    """As far as it is known: ``file//etc/motd``, or ``file/?`` when even its name waits."""
    fact: str
    """``node:path.of.fact``"""
    origin: Origin
    asked: tuple[Asked, ...] = ()
    """As of `Declared`."""


def askers(item: Declared | Deferred) -> tuple[Asked, ...]:
    """All who ask for ``item``."""
    origin = item.origin
    proposals = (origin.proposal,) if origin.proposal else ()
    return item.asked or (Asked(origin.node, proposals),)


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One merged attribute leaf: its value and where it came from."""

    value: Any
    origin: Origin


class Bundle(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that one agent is told: what its node is."""

    node: Node
    revision: str
    """The commit that this was rendered from. A later one that changes nothing of it leaves it alone."""
    resources: tuple[Declared, ...] = ()
    purge: tuple[str, ...] = ()
    """Resource types whose undeclared rest is ours too."""
    purge_asked: dict[str, tuple[Asked, ...]] = {}
    """Who asks for that, by type."""
    deferred: tuple[Deferred, ...] = ()
    roles: tuple[str, ...] = ()
    attributes: dict[str, Value] = {}
    """Merged attributes by dotted path, leaves only."""

    @property
    def etag(self) -> str:
        """Changes exactly when something that the agent acts on changes, so a new revision that
        wants the same wakes nobody."""
        acted_on = [
            self.node,
            [
                (item.type, item.digest, item.needs, item.notifies, item.destroy)
                for item in self.resources
            ],
            self.purge,
            self.deferred,
        ]
        return _digest(acted_on)


class Gates(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What other nodes have verified, as far as this node's needs go, and what must not go yet."""

    verified: dict[str, str] = {}
    """``node:type/name`` → digest last verified there."""
    held: dict[str, tuple[str, ...]] = {}
    """Our ``type/name`` → addresses on other nodes that still rest on it: do not remove it
    yet, nor cut what runs through it."""
    contradicted: dict[str, str] = {}
    """Our port, slot or outlet → why what is on it must not be changed: somebody else is seen at the
    far end than the site says."""
    later: dict[str, str] = {}
    """Our ``type/name`` (``type/*`` for what `Bundle.purge` takes away) → why it is not its turn yet
    to become what it is declared: see `rollout_of`. What was as declared before may be mended."""
    paths: dict[str, tuple[str, ...]] = {}
    """Host → our ports, as the site spells them, through which it reaches us; a VLAN is ``vlan/10``.
    A host that is known and to which no port of ours is known to lead has none."""
    turns: dict[str, tuple[str, ...]] = {}
    """Our port, slot or outlet that something makes redundant, or a LAG (``lag/10``) or a VLAN (``vlan/20``)
    in which such run → whole addresses of what must be verified
    before what runs through it is cut. None: it counts as verified, so what has drifted is reported
    first; so is what `Bundle.purge` takes away (``vlan/*``) and is not in `given`. Where it is our turn there
    is no entry."""
    given: dict[str, int] = {}
    """The same → a number that is another when it has got the turn, or is to report. As long
    as nobody can be asked, it has not."""
    last_feeds: dict[str, str] = {}
    """Our outlet or slot → why its power must not be cut: a node that answers has no other."""
    stale: bool = False
    """Told earlier, by a store that does not answer now: what it verified may have gone since, and others
    may rest on what nobody did."""

    @property
    def etag(self) -> str:
        """Changes when a gate opens or closes. Whose turn it is changes it when a turn is given, so
        that nobody is woken to learn that he has to wait. The words of `later` open nothing."""
        later = dict.fromkeys(self.later, "")
        return _digest(msgspec.structs.replace(self, turns={}, later=later))

    @property
    def unasked(self) -> Gates:
        """These, for as long as nobody can be asked whose turn it is now."""
        closed = {port: () for port in self.given if port not in self.turns}
        return msgspec.structs.replace(self, turns={**self.turns, **closed}) if closed else self


ROLLOUT = "rollout of "
"""How every reason of `Gates.later` begins; then comes the proposal."""


def rollout_of(why: str) -> str:
    """The proposal whose rollout ``why`` says is waited for; empty when it is another reason."""
    return why.removeprefix(ROLLOUT).split()[0].rstrip(":") if why.startswith(ROLLOUT) else ""


def _digest(value: Any) -> str:
    import hashlib  # agents are told ETags, and this loads OpenSSL

    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:32]
