"""The graph of needs: every need names something, none goes in a circle."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from rackwright.model.address import Address
from rackwright.model.bundle import Need
from rackwright_proposals.marks import Mark, Problems
from rackwright_proposals.names import suggest
from rackwright_proposals.render import Rendered, RenderedNode

Nodes = Mapping[str, RenderedNode]
_Key = tuple[str, str]


def resolve(node: str, item: Rendered, nodes: Nodes, problems: Problems) -> tuple[Need, ...]:
    """The needs of one resource with the digests of what is needed on other nodes."""
    found = []
    for text, mark in item.needs:
        address = Address.parse(text)
        where, key = address.node or node, str(address.local)
        if where not in nodes:
            hint = suggest(where, list(nodes))
            problems.add(f"it needs {text}, but there is no node {where!r}", mark, hint, node)
            continue
        # Its own node's name in front of it makes no difference.
        named = key if where == node else text
        needed = nodes[where].resources.get(key)
        if needed is None:
            if not _may_come(nodes[where], address):
                _note_missing(f"it needs {text}", node, where, address, nodes, mark, problems)
                continue
            found.append(Need(address=named))
        elif needed is item:
            problems.add(f"{key} needs itself", mark, "leave this need out", node)
        else:
            found.append(Need(address=named, digest="" if where == node else needed.digest))
    return tuple(sorted(found, key=lambda need: need.address))


def check_notifies(node: str, item: Rendered, nodes: Nodes, problems: Problems) -> tuple[str, ...]:
    """The addresses that one resource notifies, all of its own node."""
    found = []
    for text, mark in item.notifies:
        address = Address.parse(text)
        if address.node:
            problems.add(
                f"it notifies {text}, which is on another node",
                mark,
                "only resources of the same node can be notified; use needs",
                node,
            )
        elif text in nodes[node].resources or _may_come(nodes[node], address):
            found.append(text)
        else:
            _note_missing(f"it notifies {text}", node, node, address, nodes, mark, problems)
    return tuple(sorted(found))


def _may_come(there: RenderedNode, address: Address) -> bool:
    if there.broken:
        return True
    waiting = {deferred.address for deferred in there.deferred}
    return str(address.local) in waiting or f"{address.type}/?" in waiting


def _note_missing(
    what: str,
    node: str,
    where: str,
    address: Address,
    nodes: Nodes,
    mark: Mark,
    problems: Problems,
) -> None:
    there = nodes[where].resources
    same = [key for key in there if key.startswith(f"{address.type}/")]
    known: Collection[str] = same or list(there)
    hint = suggest(str(address.local), known, f"{where} has")
    problems.add(
        f"{what}, which is not declared on {where}", mark, hint or f"{where} has none", node
    )


def alike(one: RenderedNode, other: RenderedNode) -> bool:
    """Whether two renderings of a node make the same part of the graph."""
    return one.resources.keys() == other.resources.keys() and all(
        item.needs == other.resources[key].needs
        and item.implied == other.resources[key].implied
        and item.present == other.resources[key].present
        for key, item in one.resources.items()
    )


def check_cycles(nodes: Nodes, problems: Problems, changed: Collection[str] | None = None) -> None:
    """Every circle of needs, with its path and lines. Where only what ``changed`` nodes need, or have,
    is new to a graph without circles, a circle goes through one of these: the walk starts there."""
    roots = (
        (name, key)
        for name in (nodes if changed is None else changed)
        if name in nodes
        for key in nodes[name].resources
    )
    for cycle in cycles(roots, lambda step: edges(step, nodes)):
        start = cycle.index(min(cycle))
        path = [*cycle[start:], *cycle[: start + 1]]
        marks = [nodes[name].resources[key].mark for name, key in path[:-1]]
        problems.add(
            f"needs go in a circle: {' → '.join(f'{name}:{key}' for name, key in path)}",
            marks[0],
            f"declared at {', '.join(dict.fromkeys(map(str, marks)))}",
        )


def edges(step: _Key, nodes: Nodes) -> Iterator[_Key]:
    """What a resource, (node, address), needs of what is declared."""
    name = step[0]
    item = nodes[name].resources[step[1]]
    for text, _ in item.needs:
        address = Address.parse(text)
        where, key = address.node or name, str(address.local)
        if (
            where in nodes
            and key in nodes[where].resources
            and nodes[where].resources[key] is not item
        ):
            yield where, key
    if item.implied and item.present:
        mine = nodes[name].resources
        for key in item.implied:
            if key in mine and mine[key].present:
                yield name, key


def cycles(roots: Iterable[_Key], first: Callable[[_Key], Iterable[_Key]]) -> Iterator[list[_Key]]:
    """One circle of each knot that can be reached from ``roots``, found by a depth-first walk without
    recursion; ``first`` tells what comes before a step."""
    state: dict[_Key, int] = {}
    for root in roots:
        if root in state:
            continue
        path: list[_Key] = [root]
        ahead = [iter(first(root))]
        state[root] = 1
        while path:
            following = next(ahead[-1], None)
            if following is None:
                state[path.pop()] = 2
                ahead.pop()
            elif state.get(following) == 1:
                yield path[path.index(following) :]
            elif following not in state:
                state[following] = 1
                path.append(following)
                ahead.append(iter(first(following)))
