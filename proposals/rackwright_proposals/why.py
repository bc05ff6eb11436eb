"""Where a value or a resource of a node comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from rackwright.model.bundle import Declared, Deferred, Origin
from rackwright.model.errors import InputError, Problem
from rackwright_proposals.compile import Compiled
from rackwright_proposals.merge import Branch, Leaf, leaves, value_of
from rackwright_proposals.names import natural, suggest
from rackwright_proposals.resolve import Resolved

LEVELS = ("role defaults", "site", "proposal", "node")
"""From the lowest to the highest: what stands above wins."""


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one level says of a path."""

    level: str
    """One of `LEVELS`."""
    by: str
    """The role, site, proposal or node."""
    value: Any
    origin: Origin


class WhyValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An attribute: its value, and what every level says of it, the lowest first."""

    node: str
    path: str
    value: Any
    origin: Origin | None = None
    """Where the value stands; None for a map that several levels make up."""
    said: tuple[Said, ...] = ()
    """The last one that is not a map wins, and what comes before it is overridden."""
    leaves: dict[str, Origin] = {}
    """Of a map: where each of its leaves stands, by dotted path."""


class WhyResource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A resource: what it is, which line declares it and who put it there."""

    node: str
    address: str
    data: dict[str, Any] = {}
    origin: Origin
    role: str
    put_by: str = ""
    """The node whose role put it here, when that is another."""
    also: tuple[Origin, ...] = ()
    """Who else declares the same."""
    proposals: tuple[str, ...] = ()
    """All that deploy that role on that node, or on the one that put it here."""
    needs: tuple[str, ...] = ()
    needed_by: tuple[str, ...] = ()
    """Addresses with their nodes."""
    waits_for: str = ""
    """The fact, ``node:path``, that it is deferred for."""


def why(compiled: Compiled, node: str, path: str) -> WhyValue | WhyResource:
    """Explain an attribute (``vlans.666.name``) or a resource (``vlan/666``, ``file//etc/motd``).

    ``compiled`` must be free of problems. Raises InputError, with the nearest right name, for a
    node or a path that is not there."""
    resolved = compiled.checked.resolved if compiled.checked else None
    if resolved is None or node not in compiled.bundles:
        hint = suggest(node, list(compiled.bundles))
        raise InputError([Problem(f"there is no node {node!r}", hint)])
    bundle = compiled.bundles[node]
    for declared in bundle.resources:
        if str(declared.address) == path:
            return _of_resource(compiled, resolved, node, declared)
    for deferred in bundle.deferred:
        if deferred.address == path:
            return _of_deferred(resolved, node, deferred)
    found = _find(resolved.attributes[node], path)
    if found is None:
        resources = [str(declared.address) for declared in bundle.resources]
        kinds = {declared.type for declared in bundle.resources}
        if "/" in path and path.partition("/")[0] in kinds:
            hint = suggest(path, resources)
            raise InputError([Problem(f"{node} has no resource {path!r}", hint)])
        known = resources if "/" in path else list(_paths(resolved.attributes[node]))
        raise InputError([Problem(f"{node} has no {path!r}", suggest(path, known, "it has"))])
    kid, steps = found
    said = tuple(_levels(compiled, resolved, node, steps))
    if isinstance(kid, Leaf):
        return WhyValue(node=node, path=path, value=kid.value, origin=kid.origin, said=said)
    return WhyValue(
        node=node,
        path=path,
        value=kid.data,
        origin=None if kid.kids else kid.origin,
        said=said,
        leaves={f"{path}.{key}": leaf.origin for key, leaf in leaves(kid)},
    )


def _find(tree: Branch, path: str) -> tuple[Branch | Leaf, tuple[str, ...]] | None:
    """What stands at a dotted path, and its keys, which may have dots in them themselves."""
    for key, kid in tree.kids.items():
        if key == path:
            return kid, (key,)
        if isinstance(kid, Branch) and path.startswith(f"{key}."):
            deeper = _find(kid, path[len(key) + 1 :])
            if deeper:
                return deeper[0], (key, *deeper[1])
    return None


def _paths(tree: Branch, prefix: str = "") -> Iterator[str]:
    for key, kid in tree.kids.items():
        yield f"{prefix}{key}"
        if isinstance(kid, Branch):
            yield from _paths(kid, f"{prefix}{key}.")


def _levels(
    compiled: Compiled, resolved: Resolved, node: str, steps: tuple[str, ...]
) -> Iterator[Said]:
    documents = resolved.documents
    layers = [
        *(("role defaults", name, documents.roles[name]) for name in resolved.roles_on[node]),
        ("site", compiled.site, resolved.site),
        *(("proposal", name, documents.proposals[name]) for name in resolved.proposals_on[node]),
        ("node", node, documents.nodes[node]),
    ]
    for level, by, document in layers:
        kid = document.attributes.at(steps)
        if kid is not None:
            yield Said(level=level, by=by, value=value_of(kid), origin=kid.origin)


def _of_resource(
    compiled: Compiled, resolved: Resolved, node: str, declared: Declared
) -> WhyResource:
    address = str(declared.address)
    origin = declared.origin
    rendered = compiled.rendered.nodes[node].resources.get(address) if compiled.rendered else None
    return WhyResource(
        node=node,
        address=address,
        data=declared.data,
        origin=origin,
        role=origin.role,
        put_by=origin.node,
        also=rendered.also if rendered else (),
        proposals=_proposals(resolved, origin.node or node, origin.role),
        needs=tuple(need.address for need in declared.needs),
        needed_by=tuple(_needed_by(compiled, node, address)),
    )


def _of_deferred(resolved: Resolved, node: str, deferred: Deferred) -> WhyResource:
    return WhyResource(
        node=node,
        address=deferred.address,
        origin=deferred.origin,
        role=deferred.origin.role,
        put_by=deferred.origin.node,
        proposals=_proposals(resolved, deferred.origin.node or node, deferred.origin.role),
        waits_for=deferred.fact,
    )


def _proposals(resolved: Resolved, node: str, role: str) -> tuple[str, ...]:
    return tuple(
        name for name in sorted(resolved.deploys) if node in resolved.deploys[name].get(role, ())
    )


def _needed_by(compiled: Compiled, node: str, address: str) -> list[str]:
    found = []
    for name, bundle in compiled.bundles.items():
        wanted = address if name == node else f"{node}:{address}"
        found += [
            f"{name}:{declared.address}"
            for declared in bundle.resources
            if any(need.address == wanted for need in declared.needs)
        ]
    return sorted(found, key=natural)
