"""Attributes in layers: maps merge deep, lists replace, every leaf remembers its line.

Trees are immutable and shared: overlaying copies only the maps on the way to what differs, so many
nodes with the same site and proposals share one tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rackwright.model import secret
from rackwright.model.bundle import Origin
from rackwright_proposals.marks import Map, Mark, Problems, Seq
from rackwright_proposals.names import natural


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value that is replaced whole: a scalar or a list."""

    value: Any
    mark: Mark
    origin: Origin
    written: Any = None
    """As loaded, with marks: for errors inside a list."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A map. ``data`` is the same as plain data, keys in natural order; never change it."""

    kids: Mapping[str, Branch | Leaf]
    data: dict[str, Any]
    mark: Mark
    origin: Origin

    def at(self, path: Sequence[str]) -> Branch | Leaf | None:
        """What stands at ``path``."""
        here: Branch | Leaf | None = self
        for step in path:
            if not isinstance(here, Branch):
                return None
            here = here.kids.get(step)
        return here


def layer(written: Map, origin: Origin, problems: Problems) -> Branch:
    """A tree of what one document says; ``{secret: NAME}`` becomes its marker."""
    kids: dict[str, Branch | Leaf] = {}
    for key, value in written.items():
        mark = written.at(key)
        at = msgspec.structs.replace(origin, file=mark.file, line=mark.line)
        if isinstance(value, Map) and not is_secret(value):
            # A map's line is its key's: the value itself begins on the line below.
            kids[key] = layer(value, at, problems)
        else:
            kids[key] = Leaf(plain(value, problems), mark, at, value)
    return _branch(kids, written.mark, origin)


def is_secret(value: Any) -> bool:
    """Whether ``value`` is ``{secret: NAME}``."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("secret"), str)


def plain(value: Any, problems: Problems) -> Any:
    """Loaded data without marks, map keys in natural order, secrets as markers."""
    if isinstance(value, Map):
        if is_secret(value):
            return secret_marker(value, problems)
        return {key: plain(value[key], problems) for key in sorted(value, key=natural)}
    if isinstance(value, Seq):
        return [plain(item, problems) for item in value]
    return value


def secret_marker(value: Map, problems: Problems) -> str:
    """The marker of ``{secret: NAME}``."""
    name = value["secret"]
    marker = secret.marker(name)
    if not secret.MARKER.fullmatch(marker):
        problems.add(
            f"{name!r} cannot be a secret's name",
            value.at("secret"),
            "use letters, digits, dots, dashes and underscores",
        )
    return marker


def empty(origin: Origin) -> Branch:
    """A tree without anything."""
    return Branch({}, {}, Mark(origin.file, origin.line), origin)


def overlay(low: Branch, high: Branch) -> Branch:
    """``high`` over ``low``."""
    if not high.kids:
        return low
    if not low.kids:
        return high
    kids = dict(low.kids)
    for key, above in high.kids.items():
        below = kids.get(key)
        if isinstance(below, Branch) and isinstance(above, Branch):
            kids[key] = overlay(below, above)
        else:
            kids[key] = above
    return _branch(kids, high.mark, high.origin)


def identical(one: Branch | Leaf, other: Branch | Leaf) -> bool:
    """Whether both are the same leaves of the same documents."""
    if one is other:
        return True
    return (
        isinstance(one, Branch)
        and isinstance(other, Branch)
        and (one.mark, one.origin) == (other.mark, other.origin)
        and one.kids.keys() == other.kids.keys()
        and all(identical(kid, other.kids[key]) for key, kid in one.kids.items())
    )


@dataclass(slots=True)
class Clash:
    """Two things of one level that set one leaf to different values."""

    path: str
    first: Branch | Leaf
    second: Branch | Leaf


@dataclass(slots=True)
class United:
    """Trees of one level put together, none above another."""

    tree: Branch
    clashes: list[Clash] = field(default_factory=list)


def unite(trees: Sequence[Branch], nothing: Origin) -> United:
    """Put trees of one level together. ``trees`` come in an order that does not depend on files."""
    if not trees:
        return United(empty(nothing))
    united = United(trees[0])
    for tree in trees[1:]:
        united.tree = _unite(united.tree, tree, "", united.clashes)
    return united


def _unite(one: Branch, other: Branch, path: str, clashes: list[Clash]) -> Branch:
    if not other.kids:
        return one
    if not one.kids:
        return other
    kids = dict(one.kids)
    for key, theirs in other.kids.items():
        ours = kids.get(key)
        where = f"{path}.{key}" if path else key
        if ours is None:
            kids[key] = theirs
        elif isinstance(ours, Branch) and isinstance(theirs, Branch):
            kids[key] = _unite(ours, theirs, where, clashes)
        elif isinstance(ours, Branch) or isinstance(theirs, Branch) or not same(ours, theirs):
            clashes.append(Clash(where, ours, theirs))
    return _branch(kids, one.mark, one.origin)


def same(one: Leaf, other: Leaf) -> bool:
    """Whether two leaves hold the same, types included (1, 1.0 and true differ)."""
    encode = msgspec.json.encode
    return encode(one.value, order="sorted") == encode(other.value, order="sorted")


def leaves(tree: Branch, prefix: str = "") -> Iterator[tuple[str, Leaf | Branch]]:
    """Every leaf by dotted path; an empty map counts as one."""
    for key, kid in tree.kids.items():
        path = f"{prefix}.{key}" if prefix else key
        if isinstance(kid, Branch) and kid.kids:
            yield from leaves(kid, path)
        else:
            yield path, kid


def value_of(kid: Branch | Leaf) -> Any:
    """The plain data of either."""
    return kid.data if isinstance(kid, Branch) else kid.value


def _branch(kids: dict[str, Branch | Leaf], mark: Mark, origin: Origin) -> Branch:
    ordered = {key: kids[key] for key in sorted(kids, key=natural)}
    return Branch(ordered, {key: value_of(kid) for key, kid in ordered.items()}, mark, origin)
