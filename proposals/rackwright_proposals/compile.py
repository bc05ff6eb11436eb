"""A site to bundles: everything that is wrong with it, or what every node is told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from rackwright.model.bundle import Bundle, Origin
from rackwright.model.errors import Problem
from rackwright.model.facts import Facts
from rackwright.model.resource import Resource
from rackwright.model.site import Node
from rackwright_proposals import needs
from rackwright_proposals.assemble import Assembler, needed_nodes
from rackwright_proposals.documents import (
    HANDOFF_DEADLINE,
    Documents,
    RoleDocument,
    SiteDocument,
)
from rackwright_proposals.entries import Nouns
from rackwright_proposals.links import SiteLink, spell_ports
from rackwright_proposals.load import load
from rackwright_proposals.marks import Map, Mark, Problems, origin_of
from rackwright_proposals.merge import Branch
from rackwright_proposals.names import natural
from rackwright_proposals.placing import givers, place
from rackwright_proposals.readers import read_documents
from rackwright_proposals.render import RenderedNode, render_node
from rackwright_proposals.resolve import Resolved, resolve_site
from rackwright_proposals.scope import World
from rackwright_proposals.tree import TEMPLATE_SUFFIX, YAML_SUFFIX, Source, read_library


@dataclass(frozen=True, slots=True)
class Deployed:
    """A proposal: where its roles went, and where it stands."""

    name: str
    deploy: Mapping[str, tuple[str, ...]]
    """Role → nodes."""
    origin: Origin


@dataclass(frozen=True, slots=True)
class _Checked:
    """A site up to rendering, kept for `recompile`."""

    resolved: Resolved
    nouns: Nouns
    files: Mapping[str, bytes]
    problems: Problems
    world: World


@dataclass(frozen=True, slots=True)
class _Placed:
    """A node with what others put on it, and what is wrong with that."""

    node: RenderedNode
    problems: Problems


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
    links: tuple[SiteLink, ...] = ()
    facts: Mapping[str, Facts] = field(default_factory=dict)
    handoff_deadline: float = HANDOFF_DEADLINE
    """Seconds after which a wait for another node is overdue."""
    checked: _Checked | None = field(default=None, repr=False)
    rendered: _RenderedSite | None = field(default=None, repr=False)


def compile_site(
    source: Source,
    nouns: Mapping[str, type[Resource]],
    facts: Mapping[str, Facts] | None = None,
    platforms: Collection[str] | None = None,
) -> Compiled:
    """Compile a whole site. Pure, and never raises for what users wrote: see ``problems``.

    ``platforms`` are the names of all providers; None leaves the platforms unchecked."""
    problems, warnings = Problems(), Problems()
    loaded = _load(source, problems, warnings)
    readable = not len(problems)
    documents = read_documents(loaded, nouns, source.commit, problems)
    ports = _port_spelling(nouns)
    documents = replace(documents, nodes=spell_ports(documents.nodes, ports))
    site = _the_site(documents, source, readable, problems)
    library = _library()
    _add_library_roles(documents, library, nouns, problems, warnings)
    if not readable:
        # What could not be read would be missed everywhere: only what was read is told.
        return Compiled(
            site=site.name,
            commit=source.commit,
            problems=problems.listed(),
            warnings=warnings.listed(),
        )
    names = {*documents.roles, *library}
    resolved = resolve_site(site, documents, names, source.commit, platforms, problems, warnings)
    files = {**read_library().files, **source.files}
    templates = {path: text for path, text in files.items() if path.endswith(TEMPLATE_SUFFIX)}
    checked = _Checked(
        resolved=resolved,
        nouns=nouns,
        files=templates,
        problems=problems,
        world=_world(resolved, templates, facts or {}, ports),
    )
    compiled = Compiled(
        site=site.name,
        commit=source.commit,
        warnings=warnings.listed(),
        nodes=resolved.nodes,
        proposals=_deployed(resolved, source.commit),
        roles=documents.roles,
        links=resolved.cabling.links,
        facts=dict(facts or {}),
        handoff_deadline=site.handoff_deadline,
        checked=checked,
    )
    return _render(compiled, checked, set(resolved.nodes))


def recompile(compiled: Compiled, facts: Mapping[str, Facts]) -> Compiled:
    """``compiled`` with new facts of some nodes; the other nodes' facts stay.

    Only the nodes that read those facts are rendered again, and a bundle that is not concerned
    stays the same object."""
    checked, rendered = compiled.checked, compiled.rendered
    if checked is None or rendered is None:
        return compiled
    known = compiled.facts
    changed = {name for name, new in facts.items() if known.get(name, Facts()).values != new.values}
    merged = {**known, **facts}
    stale = {name for name, node in rendered.parts.items() if node.read_facts_of & changed}
    checked = replace(checked, world=replace(checked.world, facts=merged))
    if not stale:
        return replace(compiled, facts=merged, checked=checked)
    return _render(replace(compiled, facts=merged), checked, stale)


def _render(compiled: Compiled, checked: _Checked, stale: set[str]) -> Compiled:
    resolved = checked.resolved
    old = compiled.rendered
    parts = dict(old.parts) if old else {}
    found = dict(old.problems) if old else {}
    for name in resolved.nodes:
        if name not in stale:
            continue
        found[name] = Problems()
        parts[name] = _render_node(name, checked, compiled.commit, found[name])
    parts = {name: parts[name] for name in resolved.nodes}
    placed = _place(parts, old, stale, resolved)
    ordered = {name: one.node for name, one in placed.items()}
    problems = Problems()
    problems.take(checked.problems)
    for name in resolved.nodes:
        problems.take(found[name])
        problems.take(placed[name].problems)
    changed = {name for name, one in placed.items() if not old or old.placed[name] is not one}
    assembler = old.assembler if old else Assembler(resolved, compiled.commit)
    bundles = dict(compiled.bundles)
    for name, node in ordered.items():
        concerned = name in changed or not needed_nodes(node).isdisjoint(changed)
        if concerned or compiled.problems:
            made = assembler.bundle(name, ordered, problems)
            if bundles.get(name) != made:
                bundles[name] = made
    if (
        not old
        or compiled.problems
        or not all(needs.alike(old.nodes[name], ordered[name]) for name in changed)
    ):
        needs.check_cycles(ordered, problems)
    return replace(
        compiled,
        problems=problems.listed(),
        bundles=bundles,
        checked=checked,
        rendered=_RenderedSite(ordered, parts, placed, found, assembler),
    )


def _place(
    parts: Mapping[str, RenderedNode],
    old: _RenderedSite | None,
    stale: set[str],
    resolved: Resolved,
) -> dict[str, _Placed]:
    """Each node with what others put on it; the same object where nothing of that has changed."""
    now = givers(parts)
    moved = set(stale)
    if old:
        for name in stale:
            moved |= {*parts[name].elsewhere, *old.parts[name].elsewhere}
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
        same = before is not None and name not in stale and before.node == node
        if before is None or not same or len(problems) or len(before.problems):
            placed[name] = _Placed(node, problems)
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


def _load(source: Source, problems: Problems, warnings: Problems) -> list[Map]:
    loaded: list[Map] = []
    for file in sorted(source.files):
        if file.endswith(YAML_SUFFIX):
            loaded += load(file, source.files[file], problems)
        elif file.endswith(".yml"):
            warnings.add("only .yaml files are read", Mark(file, 0), "rename it to .yaml")
    return loaded


def _the_site(
    documents: Documents, source: Source, readable: bool, problems: Problems
) -> SiteDocument:
    sites = sorted(documents.sites.values(), key=lambda site: site.mark)
    for other in sites[1:]:
        problems.add(
            f"a site has one site document, and the first is at {sites[0].mark}", other.mark
        )
    if sites:
        return sites[0]
    if readable:
        empty = not any(file.endswith(YAML_SUFFIX) for file in source.files)
        what = "the site has no .yaml file" if empty else "the site has no site document"
        problems.add(what, Mark("site.yaml", 0), "write site: NAME in one of its files")
    mark = Mark("site.yaml", 0)
    return SiteDocument("", mark, Branch({}, {}, mark, origin_of(mark)), {})


@cache
def _library() -> Mapping[str, Map]:
    """The library's roles by name, as loaded."""
    problems = Problems()
    loaded = _load(read_library(), problems, problems)
    if len(problems):
        raise AssertionError(f"the role library is broken: {problems.listed()}")
    return {str(document["role"]): document for document in loaded}


def library_roles() -> Mapping[str, str]:
    """The roles of the library by name, each with its description."""
    return {name: str(role.get("description", "")) for name, role in sorted(_library().items())}


def _add_library_roles(
    documents: Documents,
    library: Mapping[str, Map],
    nouns: Nouns,
    problems: Problems,
    warnings: Problems,
) -> None:
    for name, role in sorted(documents.roles.items()):
        if name in library:
            warnings.add(
                f"role {name!r} takes the place of the library's role of that name", role.mark
            )
    wanted = {
        deployment.role
        for proposal in documents.proposals.values()
        for deployment in proposal.deploy
    }
    missing = sorted((wanted & set(library)) - set(documents.roles), key=natural)
    read = read_documents([library[name] for name in missing], nouns, "", problems, library=True)
    documents.roles.update(read.roles)


def _deployed(resolved: Resolved, commit: str) -> dict[str, Deployed]:
    return {
        name: Deployed(
            name, resolved.deploys[name], origin_of(proposal.mark, commit, proposal=name)
        )
        for name, proposal in sorted(resolved.documents.proposals.items())
    }
