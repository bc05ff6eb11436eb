"""What a site's documents say, as frozen values with marks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rackwright.model.lease import LEASE_SECONDS
from rackwright.model.site import Way
from rackwright_proposals.entries import Entry
from rackwright_proposals.marks import Map, Mark
from rackwright_proposals.merge import Branch

HANDOFF_DEADLINE = 900.0
"""Of a site that says nothing of it, in seconds."""
KINDS = ("site", "node", "role", "proposal")


@dataclass(frozen=True, slots=True)
class Document:
    """What every document has."""

    name: str
    mark: Mark
    attributes: Branch
    """Of a role: its defaults."""


@dataclass(frozen=True, slots=True)
class SiteDocument(Document):
    """The site: its name, the attributes of all nodes, and the platform of each node type."""

    platforms: Mapping[str, str]
    handoff_deadline: float = HANDOFF_DEADLINE
    """Seconds after which a wait for another node is overdue."""
    lease: float = LEASE_SECONDS
    """Seconds for which a host may converge a managed node before it must renew that."""


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """A link as one node writes it."""

    port: str
    peer: str
    peer_port: str
    mark: Mark
    peer_mark: Mark
    trust: Literal["", "declared"] = ""


@dataclass(frozen=True, slots=True)
class Place:
    """The node that another is in, and its slot there; empty when it is not known."""

    node: str
    slot: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class NodeDocument(Document):
    """A node."""

    type: str
    platform: str
    platform_mark: Mark
    reach: tuple[Way, ...] = ()
    reach_marks: tuple[Mark, ...] = ()
    reached: bool = False
    """It has a `reach`, be it a wrong one."""
    links: tuple[LinkEnd, ...] = ()
    within: Place | None = None
    placed: bool = True
    """Its links and its place could be read, as far as it has any."""
    networks: tuple[str, ...] = ()
    serial: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RoleDocument(Document):
    """A role. An empty ``types`` means every type of node."""

    types: tuple[str, ...]
    schema: Mapping[str, Any]
    """Property name → JSON Schema."""
    resources: tuple[Entry, ...]
    directory: str
    """Where its templates are."""
    description: str
    library: bool
    complete: bool = True
    """Every entry of it could be read."""


@dataclass(frozen=True, slots=True)
class Target:
    """One entry of a role's list under ``deploy``."""

    text: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class Deployment:
    """A role and where it goes."""

    role: str
    mark: Mark
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Amount:
    """So many nodes, or so many of a hundred."""

    number: int
    percent: bool = False

    def of(self, total: int) -> int:
        """How many of ``total`` nodes these are: percentages round down, but never to none."""
        if self.percent:
            return max(1, total * self.number // 100)
        return self.number


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """How a proposal goes out, as it is written."""

    canary: Amount
    """The first wave; 0 for none."""
    at_once: Amount
    """Each further wave."""
    stop_on: int
    """Failed nodes at which no further wave goes."""
    mark: Mark


@dataclass(frozen=True, slots=True)
class ProposalDocument(Document):
    """A proposal."""

    deploy: tuple[Deployment, ...]
    rollout: RolloutPlan | None = None
    """None: everywhere at once."""


@dataclass(slots=True)
class Documents:
    """All documents of a site by kind and name."""

    sites: dict[str, SiteDocument] = field(default_factory=dict)
    nodes: dict[str, NodeDocument] = field(default_factory=dict)
    roles: dict[str, RoleDocument] = field(default_factory=dict)
    proposals: dict[str, ProposalDocument] = field(default_factory=dict)
    written: dict[tuple[str, str], Map] = field(default_factory=dict)
    """(kind, name) → what each was read from."""

    def of(self, kind: str) -> dict[str, Any]:
        """The documents of one kind."""
        found: dict[str, Any] = getattr(self, f"{kind}s")
        return found
