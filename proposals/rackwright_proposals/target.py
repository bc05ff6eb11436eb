"""The node that an ``on:`` names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from rackwright.model.address import NODE_NAME
from rackwright.model.site import Node
from rackwright_proposals.entries import Entry, On
from rackwright_proposals.expressions import ExpressionError, Scope
from rackwright_proposals.names import suggest
from rackwright_proposals.scope import Neighbour
from rackwright_proposals.values import Value


def target_of(
    on: On, mine: str, scope: Scope, nodes: Mapping[str, Node], run: Callable[[Value, Scope], Any]
) -> str:
    """The node that ``on`` names on node ``mine``, which may be that one itself.

    Where a text could be both, a name in scope comes before a node's. Raises ExpressionError for
    what is no node, or is one that nobody converges; and what ``run`` raises."""
    named = on.text in nodes and on.text not in scope
    said: Any = on.text
    if not named and (head_of(on.text) in scope or not NODE_NAME.fullmatch(on.text)):
        said = run(on.value, scope)
    name = said.node if isinstance(said, Neighbour) else said
    if not isinstance(name, str):
        raise ExpressionError(
            f"on gives {_brief(said)}, which is not a node",
            "write peer('PORT'), parent() or a node's name",
        )
    if name not in nodes:
        hint = suggest(name, list(nodes))
        raise ExpressionError(f"there is no node {name!r} to put a resource on", hint)
    if name != mine and not nodes[name].platform:
        raise ExpressionError(
            f"nobody converges {name!r}, so nothing can be put on it",
            f"give {name!r} a reach or a platform",
        )
    return name


def each_of(entry: Entry) -> str:
    """What ``entry`` goes through, as written; empty without `each`."""
    return entry.each.text if entry.each else ""


def item_of(entry: Entry, scope: Scope) -> tuple[str, ...]:
    """The attribute that ``each`` goes through, and the key or the text in it that this is."""
    if entry.each is None:
        return ()
    key = scope[entry.each.targets[0]]
    return (head_of(entry.each.text), *([str(key)] if isinstance(key, (str, int)) else []))


def head_of(expression: str) -> str:
    """The name that an expression begins with; empty when it begins with something else."""
    found = re.match(r"\w*", expression)
    return found[0] if found else ""


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
