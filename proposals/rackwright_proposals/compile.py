"""A site to bundles: everything that is wrong with it, or what every node is told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from rackwright.model.bundle import Bundle, Origin
from rackwright.model.errors import Problem
from rackwright.model.facts import Facts
from rackwright.model.lease import LEASE_SECONDS
from rackwright.model.resource import Resource
from rackwright.model.site import Node
from rackwright_proposals import needs, rollout_order
from rackwright_proposals.assemble import Assembler, needed_nodes
from rackwright_proposals.collecting import uncollected
from rackwright_proposals.documents import (
    HANDOFF_DEADLINE,
    Documents,
    RoleDocument,
)
from rackwright_proposals.entries import Nouns
from rackwright_proposals.links import SiteLink, spell_ports
from rackwright_proposals.marks import Problems, origin_of
from rackwright_proposals.placing import givers, place
from rackwright_proposals.readers import read_documents
from rackwright_proposals.render import RenderedNode, render_node
from rackwright_proposals.resolve import Resolved, resolve_site
from rackwright_proposals.rollouts import Rollout, rollouts_of
from rackwright_proposals.scope import World
from rackwright_proposals.site_files import Loaded, add_library_roles, library, load_files, the_site
from rackwright_proposals.stale import facts_changed, roles_changed, stale
from rackwright_proposals.tree import TEMPLATE_SUFFIX, Source, read_library


@dataclass(frozen=True, slots=True)
class Deployed:
    """A proposal: where its roles went, and where it stands."""

    name: str
    deploy: Mapping[str, tuple[str, ...]]
    """Role → nodes."""
    origin: Origin


@dataclass(frozen=True, slots=True)
class _Checked:
    """A site up to rendering, kept for `recompile` and for the next revision."""

    loaded: Mapping[str, Loaded]
    documents: Documents
    """As read; those of ``resolved`` have all ports by one name."""
    resolved: Resolved
    nouns: Nouns
    platforms: Collection[str] | None
    files: Mapping[str, bytes]
    problems: Problems
    world: World


@dataclass(frozen=True, slots=True)
class _Placed:
    """A node with what others put on it, and what is wrong with that."""

    node: RenderedNode
    problems: Problems
    needs: frozenset[str]
    """The other nodes that it needs something of."""


@dataclass(frozen=True, slots=True)
class _RenderedSite:
    nodes: Mapping[str, RenderedNode]
    parts: Mapping[str, RenderedNode]
    """What the roles of each node give, for itself and for others."""
    placed: Mapping[str, _Placed]
    problems: Mapping[str, Problems]
    assembler: Assembler


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled site. With ``problems`` its ``bundles`` must not be used."""

    site: str = ""
    commit: str = ""
    problems: tuple[Problem, ...] = ()
    """All errors, by file, line and column."""
    warnings: tuple[Problem, ...] = ()
    bundles: Mapping[str, Bundle] = field(default_factory=dict)
    nodes: Mapping[str, Node] = field(default_factory=dict)
    proposals: Mapping[str, Deployed] = field(default_factory=dict)
    roles: Mapping[str, RoleDocument] = field(default_factory=dict)
    """Those that the site has, and those of the library that it deploys."""
    rollouts: Mapping[str, Rollout] = field(default_factory=dict)
    """Of the proposals that go out wave by wave."""
    links: tuple[SiteLink, ...] = ()
    facts: Mapping[str, Facts] = field(default_factory=dict)
    handoff_deadline: float = HANDOFF_DEADLINE
    """Seconds after which a wait for another node is overdue."""
    lease: float = LEASE_SECONDS
    """Seconds for which a host may converge a managed node before it must renew that."""
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """Where each node stands."""
    checked: _Checked | None = field(default=None, repr=False)
    rendered: _RenderedSite | None = field(default=None, repr=False)


def compile_site(
    source: Source,
    nouns: Mapping[str, type[Resource]],
    facts: Mapping[str, Facts] | None = None,
    platforms: Collection[str] | None = None,
    before: Compiled | None = None,
) -> Compiled:
    """Compile a whole site. Pure, and never raises for what users wrote: see ``problems``.

    ``platforms`` are the names of all providers; None leaves the platforms unchecked.

    ``before`` is an earlier revision of the site. What it has in common with this one is not done again,
    and what comes of it stays the same objects, with the earlier commit as its origin; but for that it
    makes no difference."""
    made = None
    with uncollected():
        if before is not None and _is_base(before, nouns, platforms):
            made = _compile(source, nouns, facts or {}, platforms, before)
        # Whatever is wrong is told as of a site that was never seen before.
        if made is None or made.problems:
            made = _compile(source, nouns, facts or {}, platforms, None)
    return made


def _is_base(before: Compiled, nouns: Nouns, platforms: Collection[str] | None) -> bool:
    checked = before.checked
    return (
        checked is not None
        and not before.problems
        and checked.nouns == nouns
        and checked.platforms == platforms
    )


def _compile(
    source: Source,
    nouns: Mapping[str, type[Resource]],
    facts: Mapping[str, Facts],
    platforms: Collection[str] | None,
    before: Compiled | None,
) -> Compiled:
    problems, warnings = Problems(), Problems()
    old = before.checked if before else None
    loaded = load_files(source, problems, warnings, old.loaded if old else {})
    readable = not len(problems)
    as_read = read_documents(
        (document for file in loaded.values() for document in file.documents),
        nouns,
        source.commit,
        problems,
        before=old.documents if old else None,
    )
    documents = as_read
    ports = _port_spelling(nouns)
    spelt = spell_ports(
        documents.nodes,
        ports,
        old.documents.nodes if old else None,
        old.resolved.documents.nodes if old else None,
    )
    documents = replace(documents, nodes=spelt)
    site = the_site(documents, source, readable, problems)
    add_library_roles(documents, nouns, problems, warnings, old.documents if old else None)
    if not readable:
        # What could not be read would be missed everywhere: only what was read is told.
        return Compiled(
            site=site.name,
            commit=source.commit,
            problems=problems.listed(),
            warnings=warnings.listed(),
        )
    names = {*documents.roles, *library()}
    resolved = resolve_site(
        site,
        documents,
        names,
        source.commit,
        platforms,
        problems,
        warnings,
        old.resolved if old else None,
    )
    files = {**read_library().files, **source.files}
    templates = {path: text for path, text in files.items() if path.endswith(TEMPLATE_SUFFIX)}
    checked = _Checked(
        loaded=loaded,
        documents=as_read,
        resolved=resolved,
        nouns=nouns,
        platforms=platforms,
        files=templates,
        problems=problems,
        world=_world(resolved, templates, facts, ports),
    )
    compiled = Compiled(
        site=site.name,
        commit=source.commit,
        warnings=warnings.listed(),
        nodes=resolved.nodes,
        proposals=_deployed(resolved, source.commit),
        roles=documents.roles,
        rollouts=rollouts_of(resolved),
        links=resolved.cabling.links,
        facts=dict(facts),
        handoff_deadline=site.handoff_deadline,
        lease=site.lease,
        origins={
            name: origin_of(node.mark, source.commit) for name, node in documents.nodes.items()
        },
        checked=checked,
    )
    if before is None or old is None or before.rendered is None or len(problems):
        return _render(compiled, checked, set(resolved.nodes))
    concerned = stale(
        old.resolved,
        resolved,
        before.rendered.parts,
        roles_changed(old.documents, as_read, old.files, templates),
        facts_changed(before.facts, facts),
    )
    return _render(
        replace(compiled, bundles=before.bundles, rendered=before.rendered), checked, concerned
    )


def recompile(compiled: Compiled, facts: Mapping[str, Facts]) -> Compiled:
    """``compiled`` with new facts of some nodes; the other nodes' facts stay.

    Only the nodes that read those facts are rendered again, and a bundle that is not concerned
    stays the same object."""
    checked, rendered = compiled.checked, compiled.rendered
    if checked is None or rendered is None:
        return compiled
    merged = {**compiled.facts, **facts}
    changed = facts_changed(compiled.facts, merged)
    concerned = {name for name, node in rendered.parts.items() if node.reads.facts & changed}
    checked = replace(checked, world=replace(checked.world, facts=merged))
    if not concerned:
        return replace(compiled, facts=merged, checked=checked)
    return _render(replace(compiled, facts=merged), checked, concerned)


def _render(compiled: Compiled, checked: _Checked, concerned: set[str]) -> Compiled:
    """``compiled`` with the ``concerned`` nodes rendered, and whatever follows from that."""
    resolved = checked.resolved
    old = compiled.rendered
    parts = dict(old.parts) if old else {}
    found = dict(old.problems) if old else {}
    for name in resolved.nodes:
        if name not in concerned:
            continue
        found[name] = Problems()
        parts[name] = _render_node(name, checked, compiled.commit, found[name])
    parts = {name: parts[name] for name in resolved.nodes}
    found = {name: found[name] for name in resolved.nodes}
    placed = _place(parts, old, concerned, resolved)
    ordered = {name: one.node for name, one in placed.items()}
    problems = Problems()
    problems.take(checked.problems)
    for name in resolved.nodes:
        problems.take(found[name])
        problems.take(placed[name].problems)
    known = old.placed if old else {}
    changed = {name for name, one in placed.items() if known.get(name) is not one}
    gone = known.keys() - placed.keys()
    if old and old.assembler.resolved is resolved:
        assembler = old.assembler
    else:
        assembler = Assembler(resolved, compiled.commit)
    bundles = {name: compiled.bundles[name] for name in ordered if name in compiled.bundles}
    # Who decided about a resource stands in the bundle that has it, also when another node gives it.
    decided = {*concerned, *(_decided_anew(old.assembler.resolved, resolved) if old else ())}
    changed_for = changed | decided | {to for name in decided for to in parts[name].elsewhere}
    for name, one in placed.items():
        touched = name in changed_for or not one.needs.isdisjoint(changed | gone)
        if touched or compiled.problems:
            made = assembler.bundle(name, ordered, problems)
            if name not in bundles or not _alike(bundles[name], made):
                bundles[name] = made
    bundles = {name: bundles[name] for name in ordered}
    if not old or compiled.problems:
        fresh = True
        needs.check_cycles(ordered, problems)
    else:
        fresh = not all(n in old.nodes and needs.alike(old.nodes[n], ordered[n]) for n in changed)
        if fresh:
            needs.check_cycles(ordered, problems, changed)
    if compiled.rollouts and (fresh or gone or not old or old.assembler is not assembler):
        rollout_order.check(ordered, resolved, compiled.rollouts, problems)
    return replace(
        compiled,
        problems=problems.listed(),
        bundles=bundles,
        checked=checked,
        rendered=_RenderedSite(ordered, parts, placed, found, assembler),
    )


def _decided_anew(old: Resolved, new: Resolved) -> set[str]:
    """The nodes about whose roles other proposals decide than before."""
    if old is new:
        return set()
    known = old.decided_by
    return {node for (node, role), by in new.decided_by.items() if known.get((node, role)) != by}


def _alike(old: Bundle, new: Bundle) -> bool:
    """Whether the two say the same; from which commit makes no difference."""
    return msgspec.structs.replace(old, revision=new.revision) == new


def _place(
    parts: Mapping[str, RenderedNode],
    old: _RenderedSite | None,
    concerned: set[str],
    resolved: Resolved,
) -> dict[str, _Placed]:
    """Each node with what others put on it; the same object where nothing of that has changed."""
    now = givers(parts)
    moved = set(concerned)
    for name in concerned:
        moved.update(parts[name].elsewhere)
    if old:
        for name in concerned | (old.parts.keys() - parts.keys()):
            if name in old.parts:
                moved.update(old.parts[name].elsewhere)
    placed = dict(old.placed) if old else {}
    for name in resolved.nodes:
        if name not in moved:
            continue
        problems = Problems()
        given = now.get(name, ())
        node = parts[name]
        if given:
            node = place(name, node, given, resolved.attributes, problems)
        before = placed.get(name)
        same = before is not None and name not in concerned and before.node == node
        if before is None or not same or len(problems) or len(before.problems):
            placed[name] = _Placed(node, problems, frozenset(needed_nodes(node)))
    return {name: placed[name] for name in resolved.nodes}


def _render_node(name: str, checked: _Checked, commit: str, problems: Problems) -> RenderedNode:
    resolved = checked.resolved
    roles = [
        (resolved.documents.roles[role], resolved.deployed_by[name, role])
        for role in resolved.roles_on[name]
        if (name, role) not in resolved.wrong
    ]
    whole = len(roles) == len(resolved.roles_on[name])
    return render_node(checked.world, name, roles, checked.nouns, commit, problems, whole)


def _port_spelling(nouns: Nouns) -> Callable[[str], str]:
    return nouns.get("port", Resource).spelling


def _world(
    resolved: Resolved,
    files: Mapping[str, bytes],
    facts: Mapping[str, Facts],
    ports: Callable[[str], str],
) -> World:
    return World(
        nodes=resolved.nodes,
        labels={name: resolved.documents.nodes[name].labels for name in resolved.nodes},
        attributes=resolved.attributes,
        facts=facts,
        files=files,
        port_spelling=ports,
        cabled=resolved.sound,
        containment=resolved.containment,
    )


def _deployed(resolved: Resolved, commit: str) -> dict[str, Deployed]:
    return {
        name: Deployed(
            name, resolved.deploys[name], origin_of(proposal.mark, commit, proposal=name)
        )
        for name, proposal in sorted(resolved.documents.proposals.items())
    }
