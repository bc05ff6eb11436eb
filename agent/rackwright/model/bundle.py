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


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One merged attribute leaf: its value and where it came from."""

    value: Any
    origin: Origin


class Bundle(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that one agent is told: what its node is."""

    node: Node
    revision: str
    """The commit that this was rendered from."""
    resources: tuple[Declared, ...] = ()
    purge: tuple[str, ...] = ()
    """Resource types whose undeclared rest is ours too."""
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

    @property
    def etag(self) -> str:
        """Changes exactly when a gate opens or closes."""
        return _digest(self)


def _digest(value: Any) -> str:
    import hashlib  # agents are told ETags, and this loads OpenSSL

    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:32]
