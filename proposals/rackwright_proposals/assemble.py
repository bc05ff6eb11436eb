"""Bundles out of rendered nodes."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from rackwright.model.address import Address
from rackwright.model.bundle import Asked, Bundle, Declared, Deferred, Origin, Value
from rackwright_proposals import needs
from rackwright_proposals.marks import Problems
from rackwright_proposals.merge import Branch, Leaf, leaves, value_of
from rackwright_proposals.render import Rendered, RenderedNode
from rackwright_proposals.resolve import Resolved


def needed_nodes(node: RenderedNode) -> set[str]:
    """The other nodes that resources of this one need something of."""
    return {
        address.node
        for item in node.resources.values()
        if item.needs
        for text, _ in item.needs
        if (address := Address.parse(text)).node
    }


class Assembler:
    """Makes bundles; attributes that nodes share are flattened once."""

    def __init__(self, resolved: Resolved, commit: str) -> None:
        self.resolved = resolved
        self._commit = commit
        self._flat: dict[tuple[str, int], dict[str, Value]] = {}

    def bundle(self, name: str, nodes: Mapping[str, RenderedNode], problems: Problems) -> Bundle:
        """The bundle of ``name``; wrong needs go to ``problems``."""
        node = nodes[name]
        # Where links or deployments are wrong, a need may lack something for that reason alone.
        told = problems if self.resolved.sound else Problems()
        return Bundle(
            node=self.resolved.nodes[name],
            revision=self._commit,
            resources=tuple(
                _declared(name, item, nodes, told, self._asked(name, (item.origin, *item.also)))
                for item in node.resources.values()
            ),
            purge=tuple(sorted(node.purge)),
            purge_asked={kind: self._purging(name, kind) for kind in sorted(node.purge)},
            deferred=tuple(self._deferred(name, item) for item in node.deferred),
            roles=self.resolved.roles_on[name],
            attributes=self._flatten(self.resolved.attributes[name]),
        )

    def _asked(self, name: str, origins: tuple[Origin, ...]) -> tuple[Asked, ...]:
        """Who asks for what ``name`` has by ``origins``; empty when the first of them says it."""
        first = origins[0]
        decided_by = self.resolved.decided_by
        if len(origins) == 1:
            decided = decided_by.get((first.node or name, first.role), ())
            if decided == (first.proposal,):
                return ()
        found = (
            Asked(origin.node, decided_by.get((origin.node or name, origin.role), ()))
            for origin in origins
        )
        return tuple(dict.fromkeys(found))

    def _deferred(self, name: str, item: Deferred) -> Deferred:
        asked = self._asked(name, (item.origin,))
        return msgspec.structs.replace(item, asked=asked) if asked else item

    def _purging(self, name: str, kind: str) -> tuple[Asked, ...]:
        roles = self.resolved.documents.roles
        return tuple(
            Asked("", self.resolved.decided_by[name, role])
            for role in self.resolved.roles_on[name]
            if any(entry.purge and entry.kind == kind for entry in roles[role].resources)
        )

    def _flatten(self, merged: Branch) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for key, kid in merged.kids.items():
            known = self._flat.get((key, id(kid)))
            if known is None:
                # Trees live as long as the resolved site, so an id stays good.
                known = self._flat[key, id(kid)] = _values(key, kid)
            found.update(known)
        return found


def _values(key: str, kid: Branch | Leaf) -> dict[str, Value]:
    if isinstance(kid, Branch) and kid.kids:
        return {
            path: Value(value=value_of(leaf), origin=leaf.origin) for path, leaf in leaves(kid, key)
        }
    return {key: Value(value=value_of(kid), origin=kid.origin)}


def _declared(
    name: str,
    item: Rendered,
    nodes: Mapping[str, RenderedNode],
    problems: Problems,
    asked: tuple[Asked, ...],
) -> Declared:
    return Declared(
        type=type(item.resource).kind,
        data=item.data,
        digest=item.digest,
        origin=item.origin,
        needs=needs.resolve(name, item, nodes, problems) if item.needs else (),
        notifies=needs.check_notifies(name, item, nodes, problems) if item.notifies else (),
        destroy=item.destroy,
        asked=asked,
    )
