"""What a new revision of a site must render again: the nodes for which something that their rendering read
is not what it was. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from rackwright.model.facts import Facts
from rackwright_proposals.documents import Documents
from rackwright_proposals.render import RenderedNode
from rackwright_proposals.resolve import Resolved

Files = Mapping[str, bytes]


def facts_changed(old: Mapping[str, Facts], new: Mapping[str, Facts]) -> set[str]:
    """The nodes whose facts say something else."""
    nothing = Facts()
    return {
        name
        for name in old.keys() | new.keys()
        if old.get(name, nothing).values != new.get(name, nothing).values
    }


def roles_changed(old: Documents, new: Documents, before: Files, now: Files) -> set[str]:
    """The roles that are not what they were: by their documents, or by a template beside them."""
    templates = {path for path in before.keys() | now.keys() if before.get(path) != now.get(path)}
    return {
        name
        for name, role in new.roles.items()
        if old.roles.get(name) is not role
        or any(_beside(path, role.directory) for path in templates)
    }


def _beside(path: str, directory: str) -> bool:
    return directory in ("", ".") or path.startswith(f"{directory}/")


def stale(
    old: Resolved,
    new: Resolved,
    rendered: Mapping[str, RenderedNode],
    roles: Collection[str],
    facts: Collection[str],
) -> set[str]:
    """The nodes of ``new`` to render again. ``rendered`` is what came of ``old``; ``roles`` and ``facts``
    are the roles, and the nodes' facts, that have changed since."""
    names = old.nodes.keys() | new.nodes.keys()
    attributes = {
        name for name in names if old.attributes.get(name) is not new.attributes.get(name)
    }
    kinds = {name for name in names if _kind(old, name) != _kind(new, name)}
    changed_roles, changed_facts = set(roles), set(facts)
    return {
        name
        for name in new.nodes
        if name in attributes
        or name in kinds
        or new.nodes[name] is not old.nodes[name]
        or _place(old, name) != _place(new, name)
        or _roles(old, name) != _roles(new, name)
        or not changed_roles.isdisjoint(new.roles_on[name])
        or not rendered[name].reads.attributes.isdisjoint(attributes)
        or not rendered[name].reads.kinds.isdisjoint(kinds)
        or not rendered[name].reads.facts.isdisjoint(changed_facts)
    }


def _kind(site: Resolved, name: str) -> object:
    node = site.nodes.get(name)
    return node and (node.type, node.platform, site.documents.nodes[name].labels)


def _place(site: Resolved, name: str) -> object:
    parents, children = site.containment.parents, site.containment.children
    inside = children.get(name, ())
    outside = parents.get(name)
    return (
        outside and (outside.node, outside.slot),
        [(child, parents[child].slot) for child in inside],
    )


def _roles(site: Resolved, name: str) -> object:
    return [(role, site.deployed_by[name, role]) for role in site.roles_on[name]]
