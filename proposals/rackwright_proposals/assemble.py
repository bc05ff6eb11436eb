"""Bundles out of rendered nodes."""

from __future__ import annotations

from collections.abc import Mapping

from rackwright.model.address import Address
from rackwright.model.bundle import Bundle, Declared, Value
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
        self._resolved = resolved
        self._commit = commit
        self._flat: dict[tuple[str, int], dict[str, Value]] = {}

    def bundle(self, name: str, nodes: Mapping[str, RenderedNode], problems: Problems) -> Bundle:
        """The bundle of ``name``; wrong needs go to ``problems``."""
        node = nodes[name]
        # Where links or deployments are wrong, a need may lack something for that reason alone.
        told = problems if self._resolved.sound else Problems()
        return Bundle(
            node=self._resolved.nodes[name],
            revision=self._commit,
            resources=tuple(_declared(name, item, nodes, told) for item in node.resources.values()),
            purge=tuple(sorted(node.purge)),
            deferred=tuple(node.deferred),
            roles=self._resolved.roles_on[name],
            attributes=self._flatten(self._resolved.attributes[name]),
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
    name: str, item: Rendered, nodes: Mapping[str, RenderedNode], problems: Problems
) -> Declared:
    return Declared(
        type=type(item.resource).kind,
        data=item.data,
        digest=item.digest,
        origin=item.origin,
        needs=needs.resolve(name, item, nodes, problems) if item.needs else (),
        notifies=needs.check_notifies(name, item, nodes, problems) if item.notifies else (),
        destroy=item.destroy,
    )
