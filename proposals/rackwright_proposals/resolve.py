"""From documents to nodes with roles and merged attributes: who is what, and with which values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from rackwright.model.bundle import Origin
from rackwright.model.site import Node
from rackwright_proposals.addresses import check_addresses
from rackwright_proposals.containment import Containment, contain
from rackwright_proposals.documents import (
    Documents,
    NodeDocument,
    ProposalDocument,
    RoleDocument,
    SiteDocument,
)
from rackwright_proposals.hosts import check_hosts, reach_with_hosts
from rackwright_proposals.links import Cabling, connect
from rackwright_proposals.marks import Problems
from rackwright_proposals.merge import Branch, United, empty, identical, overlay, unite, value_of
from rackwright_proposals.names import natural, suggest
from rackwright_proposals.schemas import AttributeChecker
from rackwright_proposals.selectors import choose

AUTO = "auto"
"""The platform that is found when the device is first reached."""
DEFAULT_PLATFORM = {"server": "linux"}
"""Of a node without `reach`: the agent that runs on it."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """All nodes of a site with what they are."""

    site: SiteDocument
    documents: Documents
    linked: Mapping[str, NodeDocument]
    """The nodes with the links that their places make."""
    cabling: Cabling
    containment: Containment
    nodes: Mapping[str, Node]
    deploys: Mapping[str, Mapping[str, tuple[str, ...]]]
    """Proposal → role → nodes."""
    roles_on: Mapping[str, tuple[str, ...]]
    """Node → its roles, by name."""
    proposals_on: Mapping[str, tuple[str, ...]]
    deployed_by: Mapping[tuple[str, str], str]
    """(node, role) → the first proposal that puts the role there."""
    decided_by: Mapping[tuple[str, str], tuple[str, ...]]
    """(node, role) → the proposals that put the role there or set an attribute that it reads."""
    attributes: Mapping[str, Branch]
    """Node → merged attributes."""
    sound: bool
    """All links and deployments are right, so what is missing is missing for no such reason."""
    wrong: frozenset[tuple[str, str]]
    """(node, role) whose attributes do not fit the role's schema."""


@dataclass(slots=True)
class _Deploys:
    by_proposal: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    roles: dict[str, set[str]] = field(default_factory=dict)
    proposals: dict[str, set[str]] = field(default_factory=dict)
    first: dict[tuple[str, str], str] = field(default_factory=dict)
    on: dict[str, dict[str, frozenset[str]]] = field(default_factory=dict)
    """Proposal → role → nodes, to be asked for one."""


def resolve_site(
    site: SiteDocument,
    documents: Documents,
    roles: Collection[str],
    commit: str,
    platforms: Collection[str] | None,
    problems: Problems,
    warnings: Problems,
    old: Resolved | None = None,
) -> Resolved:
    """Everything about a site that needs no rendering. ``roles`` are all role names there are.

    ``old`` is an earlier revision of it without a problem: a node, its attributes and the links that
    are as they were stay the same objects and are not checked again."""
    nodes = {name: documents.nodes[name] for name in sorted(documents.nodes, key=natural)}
    before = len(problems)
    linked, containment = contain(nodes, problems)
    if old and _same_links(linked, old.linked):
        cabling = old.cabling
    else:
        cabling = connect(linked, commit, problems)
    cabled = len(problems) == before and all(node.placed for node in nodes.values())
    reach = reach_with_hosts(nodes)
    made = {
        name: Node(
            name=name,
            type=node.type,
            platform=_platform(node, site, platforms, problems),
            reach=reach[name],
            links=cabling.by_node[name],
        )
        for name, node in nodes.items()
    }
    if old:
        made |= {name: node for name, node in old.nodes.items() if made.get(name) == node}
    _check_places(nodes, problems, warnings)
    before = len(problems)
    deploys = _deploy(site, documents, nodes, roles, problems)
    sound = cabled and len(problems) == before
    for name, node in nodes.items():
        if deploys.roles[name] and not made[name].platform and not node.reached:
            warnings.add(
                f"nobody converges node {name!r}: it has neither a reach nor a platform", node.mark
            )
    check_hosts(nodes, reach, deploys.roles, warnings)
    check_addresses(nodes, reach, containment.parents, problems, warnings)
    attributes = _Merger(site, documents, deploys, problems).merge_all(nodes)
    if old:
        attributes |= {
            name: tree
            for name, tree in old.attributes.items()
            if name in attributes and identical(attributes[name], tree)
        }
    unchecked = [
        name
        for name in nodes
        if not (old and _fits_as_before(name, old, documents, deploys, attributes))
    ]
    wrong = _check_attributes(unchecked, documents, deploys, attributes, problems)
    _check_known(documents, deploys, problems)
    return Resolved(
        site=site,
        documents=documents,
        linked=linked,
        cabling=cabling,
        containment=containment,
        nodes=made,
        deploys=deploys.by_proposal,
        roles_on={name: tuple(sorted(found)) for name, found in deploys.roles.items()},
        proposals_on={name: tuple(sorted(found)) for name, found in deploys.proposals.items()},
        deployed_by=deploys.first,
        decided_by=_decided(documents, deploys),
        attributes=attributes,
        sound=sound,
        wrong=wrong,
    )


def _same_links(now: Mapping[str, NodeDocument], before: Mapping[str, NodeDocument]) -> bool:
    return now.keys() == before.keys() and all(
        node.links == before[name].links for name, node in now.items()
    )


def _fits_as_before(
    name: str,
    old: Resolved,
    documents: Documents,
    deploys: _Deploys,
    attributes: Mapping[str, Branch],
) -> bool:
    """Whether nothing has changed by which the attributes of ``name`` could not fit its roles any more."""
    roles = deploys.roles[name]
    return (
        old.attributes.get(name) is attributes[name]
        and old.roles_on[name] == tuple(sorted(roles))
        and all(old.documents.roles.get(role) is documents.roles[role] for role in roles)
    )


def _platform(
    node: NodeDocument,
    site: SiteDocument,
    platforms: Collection[str] | None,
    problems: Problems,
) -> str:
    platform = node.platform or site.platforms.get(node.type, "")
    if not platform:
        if node.reached:
            hint = f"one of {', '.join(sorted(platforms))}" if platforms else ""
            problems.add(f"node {node.name!r} has a reach, so it needs a platform", node.mark, hint)
            return ""
        return DEFAULT_PLATFORM.get(node.type, "")
    if platforms is not None and platform not in platforms:
        hint = suggest(platform, platforms)
        problems.add(f"there is no platform {platform!r}", node.platform_mark, hint)
    elif platform == AUTO and not node.reached:
        hint = "give it a reach, or leave the platform out of a server with an agent of its own"
        problems.add("platform auto is found over a reach", node.platform_mark, hint)
    return platform


def _check_places(
    nodes: Mapping[str, NodeDocument], problems: Problems, warnings: Problems
) -> None:
    offered = {network for node in nodes.values() for network in node.networks}
    for node in nodes.values():
        for way, mark in zip(node.reach, node.reach_marks, strict=True):
            if way.at and way.at not in nodes:
                hint = suggest(way.at, list(nodes))
                problems.add(f"there is no node {way.at!r} to reach it from", mark, hint)
            elif way.network and way.network not in offered:
                hint = suggest(way.network, offered, "offered are")
                warnings.add(f"no node offers the network {way.network!r}", mark, hint)


def _deploy(
    site: SiteDocument,
    documents: Documents,
    nodes: Mapping[str, NodeDocument],
    roles: Collection[str],
    problems: Problems,
) -> _Deploys:
    own = {name: overlay(site.attributes, node.attributes) for name, node in nodes.items()}
    deploys = _Deploys(roles={n: set() for n in nodes}, proposals={n: set() for n in nodes})
    for name in sorted(documents.proposals):
        of: dict[str, tuple[str, ...]] = {}
        for deployment in documents.proposals[name].deploy:
            role = documents.roles.get(deployment.role)
            if role is None:
                hint = suggest(deployment.role, roles)
                problems.add(f"there is no role {deployment.role!r}", deployment.mark, hint)
                continue
            found: set[str] = set()
            for target in deployment.targets:
                found.update(choose(target, role, nodes, own, problems))
            of[role.name] = tuple(sorted(found, key=natural))
            for node in found:
                deploys.roles[node].add(role.name)
                deploys.proposals[node].add(name)
                deploys.first.setdefault((node, role.name), name)
        deploys.by_proposal[name] = dict(sorted(of.items()))
        deploys.on[name] = {role: frozenset(found) for role, found in of.items()}
    return deploys


class _Merger:
    """Merges attributes; what nodes with the same roles and proposals share is merged once."""

    def __init__(
        self, site: SiteDocument, documents: Documents, deploys: _Deploys, problems: Problems
    ) -> None:
        self._site = site
        self._documents = documents
        self._deploys = deploys
        self._problems = problems
        self._nothing = Origin(file=site.mark.file, line=site.mark.line)
        self._united: dict[tuple[str, tuple[str, ...]], United] = {}
        self._shared: dict[tuple[tuple[str, ...], tuple[str, ...]], Branch] = {}

    def merge_all(self, nodes: Mapping[str, NodeDocument]) -> dict[str, Branch]:
        return {name: self._merge(node) for name, node in nodes.items()}

    def _merge(self, node: NodeDocument) -> Branch:
        roles = tuple(sorted(self._deploys.roles[node.name]))
        proposals = tuple(sorted(self._deploys.proposals[node.name]))
        defaults = self._unite("role", roles, self._documents.roles, node.name)
        wanted = self._unite("proposal", proposals, self._documents.proposals, node.name)
        shared = self._shared.get((roles, proposals))
        if shared is None:
            base = empty(self._nothing)
            for level in (defaults, self._site.attributes, wanted):
                base = overlay(base, level)
            shared = self._shared[roles, proposals] = base
        return overlay(shared, node.attributes)

    def _unite(
        self,
        kind: str,
        names: tuple[str, ...],
        documents: Mapping[str, RoleDocument] | Mapping[str, ProposalDocument],
        node: str,
    ) -> Branch:
        key = (kind, names)
        if key not in self._united:
            self._united[key] = unite([documents[name].attributes for name in names], self._nothing)
        united = self._united[key]
        for clash in united.clashes:
            one, other = clash.first.origin, clash.second.origin
            who = (one.proposal, other.proposal) if kind == "proposal" else (one.role, other.role)
            both = (
                f"proposals {who[0]!r} and {who[1]!r} set"
                if kind == "proposal"
                else (f"the defaults of roles {who[0]!r} and {who[1]!r} set")
            )
            self._problems.add(
                f"{both} {clash.path} to different values: {_brief(clash.first)} at "
                f"{clash.first.mark}, and {_brief(clash.second)}",
                clash.second.mark,
                "set it in one of them" if kind == "proposal" else "set it on the node or the site",
                node,
            )
        return united.tree


def _brief(kid: object) -> str:
    text = repr(value_of(kid))  # type: ignore[arg-type]
    return text if len(text) <= 60 else text[:59] + "…"


def _decided(documents: Documents, deploys: _Deploys) -> dict[tuple[str, str], tuple[str, ...]]:
    known: dict[tuple[tuple[str, ...], str], tuple[str, ...]] = {}
    found = {}
    for node, roles in deploys.roles.items():
        proposals = tuple(sorted(deploys.proposals[node]))
        for role in roles:
            schema = documents.roles[role].schema
            setting = known.get((proposals, role))
            if setting is None:
                setting = known[proposals, role] = tuple(
                    name
                    for name in proposals
                    if not schema.keys().isdisjoint(documents.proposals[name].attributes.kids)
                )
            putting = {name for name in proposals if node in deploys.on[name].get(role, ())}
            found[node, role] = (
                setting if putting <= {*setting} else tuple(sorted({*setting, *putting}))
            )
    return found


def _check_attributes(
    nodes: Iterable[str],
    documents: Documents,
    deploys: _Deploys,
    attributes: Mapping[str, Branch],
    problems: Problems,
) -> frozenset[tuple[str, str]]:
    checker = AttributeChecker()
    return frozenset(
        (node, role)
        for node in nodes
        for role in sorted(deploys.roles[node])
        if not checker.check(role, documents.roles[role].schema, attributes[node], problems)
    )


def _check_known(documents: Documents, deploys: _Deploys, problems: Problems) -> None:
    """What a proposal sets must be read by a role on a node that the proposal reaches."""
    for name, proposal in documents.proposals.items():
        covered = {node for nodes in deploys.by_proposal[name].values() for node in nodes}
        roles = {role for node in covered for role in deploys.roles[node]}
        known = {key for role in roles for key in documents.roles[role].schema}
        if not roles:
            continue  # nothing of it could be deployed, which has been told
        for key, kid in proposal.attributes.kids.items():
            if key not in known:
                problems.add(
                    f"proposal {name!r} sets {key!r}, which no role on its nodes reads",
                    kid.mark,
                    suggest(key, known, "they read"),
                )
