"""What the roles of one node put on another, added to what that one has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rackwright_proposals.marks import Mark, Problems
from rackwright_proposals.merge import Branch, Leaf
from rackwright_proposals.render import Put, Rendered, RenderedNode, joined

Given = Sequence[tuple[str, Put]]
"""Who puts what on one node, in natural order of who."""


def givers(nodes: Mapping[str, RenderedNode]) -> dict[str, list[tuple[str, Put]]]:
    """What is put on each node that anything is put on."""
    found: dict[str, list[tuple[str, Put]]] = {}
    for name, node in nodes.items():
        for target, put in node.elsewhere.items():
            found.setdefault(target, []).append((name, put))
    return found


def place(
    name: str,
    own: RenderedNode,
    given: Given,
    attributes: Mapping[str, Branch],
    problems: Problems,
) -> RenderedNode:
    """``own`` with what others put on ``name``; what is to be two things goes to ``problems``.

    ``attributes`` are those of all nodes: of two who want one thing in two ways through the same
    line of a role, the lines that differ are theirs."""
    asked: dict[str, list[Rendered]] = {}
    for _, put in given:
        for item in put.resources:
            asked.setdefault(item.key, []).append(item)
    resources = dict(own.resources)
    for key, items in asked.items():
        if key in resources:
            items = [resources[key], *items]
        resources[key] = _united(name, items, attributes, problems)
    return replace(
        own,
        resources=resources,
        deferred=[*own.deferred, *(one for _, put in given for one in put.deferred)],
        broken=own.broken or any(put.broken for _, put in given),
        elsewhere={},
    )


def _united(
    name: str, items: list[Rendered], attributes: Mapping[str, Branch], problems: Problems
) -> Rendered:
    """One resource that all of them need: who says less is content with who says more."""
    kept = max(items, key=lambda item: len(item.data))
    for other in items:
        if other is kept:
            continue
        if not _content(other, kept):
            _note_clash(name, kept, other, attributes, problems)
            continue
        kept = joined(kept, other)
    return kept


def _content(less: Rendered, more: Rendered) -> bool:
    if less.digest == more.digest:
        return True
    return less.present and more.present and less.data.items() <= more.data.items()


def _note_clash(
    name: str,
    one: Rendered,
    other: Rendered,
    attributes: Mapping[str, Branch],
    problems: Problems,
) -> None:
    field = next(
        key
        for key in sorted({*one.data, *other.data})
        if one.data.get(key) != other.data.get(key) or (key in one.data) != (key in other.data)
    )
    places = [(item, _line(item, field, attributes)) for item in (one, other)]
    first, second = sorted(places, key=lambda place: place[1])
    problems.add(
        f"{one.key} of {name} is to be two things: {_wish(first[0], field, name)} at {first[1]}, "
        f"and {_wish(second[0], field, name)}",
        second[1],
        "say it in one place" if first[1] == second[1] else "make them say the same",
    )


def _wish(item: Rendered, field: str, name: str) -> str:
    origin = item.origin
    who = f"{origin.node} wants" if origin.node else f"{name} itself has"
    what = f"{field} {_brief(item.data[field])}" if field in item.data else f"no {field}"
    return f"{who} {what} (role {origin.role!r})"


def _line(item: Rendered, field: str, attributes: Mapping[str, Branch]) -> Mark:
    """Where a node that puts ``item`` elsewhere says ``field``: the attribute that `each` took it
    from and in it, if any, the leaf of that value; otherwise the line of the role."""
    tree = attributes.get(item.origin.node)
    found = None
    for step in range(len(item.item), 0, -1):
        found = found or (tree.at(item.item[:step]) if tree else None)
    if found is None:
        return item.mark
    if field in item.data:
        for leaf in _leaves(found):
            if str(leaf.value) == str(item.data[field]):
                return leaf.mark
    return found.mark


def _leaves(tree: Branch | Leaf) -> Iterator[Leaf]:
    if isinstance(tree, Leaf):
        yield tree
        return
    for kid in tree.kids.values():
        yield from _leaves(kid)


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
