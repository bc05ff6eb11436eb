"""What the expressions of one node see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context

from rackwright.model.facts import Facts
from rackwright.model.site import Link, Node
from rackwright_proposals import expressions
from rackwright_proposals.containment import Containment
from rackwright_proposals.expressions import ExpressionError, FactsMap, Scope
from rackwright_proposals.merge import Branch
from rackwright_proposals.names import natural, suggest
from rackwright_proposals.tree import TEMPLATE_SUFFIX
from rackwright_proposals.values import secret_marker


@dataclass(frozen=True, slots=True)
class NodeView:
    """``node``: what it is."""

    name: str
    type: str
    platform: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reads:
    """What the rendering of one node has read of which nodes, what it itself is aside."""

    facts: frozenset[str] = frozenset()
    """Its own too."""
    attributes: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    """Type, platform, labels, or whether there is such a node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """Another node. What is asked of it is noted."""

    node: str
    _scope: NodeScope = field(repr=False, compare=False)

    @property
    def type(self) -> str:
        """What kind of node it is."""
        return self._scope.look_at(self.node).type

    @property
    def platform(self) -> str:
        """Its platform."""
        return self._scope.look_at(self.node).platform

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        self._scope.look_at(self.node)
        return self._scope.world.labels[self.node]

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Its merged attributes."""
        return self._scope.attributes_of(self.node)

    @property
    def facts(self) -> FactsMap:
        """What discovery found on that node."""
        return self._scope.facts_of(self.node)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer(Neighbour):
    """The node and port at the other end of a link."""

    port: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative(Neighbour):
    """The node that this one is in, or one that is in this one."""

    slot: str
    """Of the outer one; empty when it is not known."""


@dataclass(frozen=True, slots=True)
class World:
    """What every node's scope is made of."""

    nodes: Mapping[str, Node]
    labels: Mapping[str, Mapping[str, str]]
    attributes: Mapping[str, Branch]
    facts: Mapping[str, Facts]
    files: Mapping[str, bytes]
    """Templates of the site and of the library, by path."""
    port_spelling: Callable[[str], str] = str
    """The one name of a switch's port."""
    cabled: bool = True
    """All links and places are right, so a missing one is a role's mistake."""
    containment: Containment = field(default_factory=Containment)


class NodeScope:
    """The scope of one node; notes what of other nodes was asked for."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self._read_facts: set[str] = set()
        self._read_attributes: set[str] = set()
        self._read_kinds: set[str] = set()
        self._facts: dict[str, FactsMap] = {}
        node = world.nodes[name]
        self._links: dict[str, Link] = {link.port: link for link in node.links}
        self.names: Scope = expressions.new_scope(
            {
                **world.attributes[name].data,
                "node": NodeView(node.name, node.type, node.platform, world.labels[name]),
                "facts": self.facts_of(name),
                "links": {port: self._view(link) for port, link in self._links.items()},
                "peer": self._peer,
                "parent": self._parent,
                "children": self._children,
                "secret": secret_marker,
            }
        )

    def for_role(self, directory: str) -> Scope:
        """The scope of a role whose templates are in ``directory``."""
        files = self.world.files

        @pass_context
        def template(context: Context, name: str, **values: Any) -> str:
            return _render_file(files, directory, name, {**context.get_all(), **values})

        return {**self.names, "template": template}

    def _peer(self, port: str) -> Peer:
        link = self._links.get(str(port)) or self._links.get(self.world.port_spelling(str(port)))
        if link is None:
            if not self.world.cabled:
                raise NoLink(str(port))
            near = suggest(str(port), list(self._links), "linked ports are") or "none is linked yet"
            stop = "" if near.endswith("?") else ";"
            hint = f"{near}{stop} a link is declared under `links` of one of its two nodes"
            raise ExpressionError(f"port {port!r} of {self.name} has no link", hint)
        return self._view(link)

    def neighbours(self) -> tuple[str, ...]:
        """All nodes that a link or a place joins with this one."""
        place = self.world.containment.parents.get(self.name)
        found = [link.peer for link in self._links.values()]
        found += [place.node] if place else []
        found += self.world.containment.children.get(self.name, ())
        return tuple(dict.fromkeys(found))

    def _parent(self) -> Any:
        place = self.world.containment.parents.get(self.name)
        if place is None:
            if not self.world.cabled:
                raise NoLink("in")
            return expressions.nothing(f"{self.name} is in no other node: give it in: NODE")
        return Relative(slot=place.slot, node=place.node, _scope=self)

    def _children(self) -> list[Relative]:
        containment = self.world.containment
        return [
            Relative(slot=containment.parents[name].slot, node=name, _scope=self)
            for name in containment.children.get(self.name, ())
        ]

    def _view(self, link: Link) -> Peer:
        return Peer(port=link.peer_port, node=link.peer, _scope=self)

    @property
    def reads(self) -> Reads:
        """What was asked for until now."""
        return Reads(
            facts=frozenset(self._read_facts),
            attributes=frozenset(self._read_attributes),
            kinds=frozenset(self._read_kinds),
        )

    def look_at(self, name: str) -> Node:
        """What node ``name`` is."""
        self._read_kinds.add(name)
        return self.world.nodes[name]

    def look_for(self, name: str) -> None:
        """Whether there is a node ``name``, and what it is, makes a difference."""
        self._read_kinds.add(name)

    def attributes_of(self, name: str) -> Mapping[str, Any]:
        """The merged attributes of node ``name``."""
        self._read_attributes.add(name)
        return self.world.attributes[name].data

    def facts_of(self, name: str) -> FactsMap:
        """The facts of node ``name``."""
        self._read_facts.add(name)
        if name not in self._facts:
            known = self.world.facts.get(name)
            self._facts[name] = FactsMap(name, known.values if known else {})
        return self._facts[name]


class NoLink(ExpressionError):
    """A link is missing where other links are wrong: not worth a second problem."""

    def __init__(self, port: str) -> None:
        super().__init__(f"port {port!r} has no link")


def _render_file(files: Mapping[str, bytes], directory: str, name: str, scope: Scope) -> str:
    path = f"{directory}/{name}" if directory not in ("", ".") else name
    found = path in files and ".." not in name.split("/") and not name.startswith("/")
    if not found or not name.endswith(TEMPLATE_SUFFIX):
        prefix = path[: len(path) - len(name)]
        known = [
            other.removeprefix(prefix)
            for other in files
            if other.startswith(prefix) and other.endswith(TEMPLATE_SUFFIX)
        ]
        hint = suggest(name, sorted(known, key=natural), "beside the role are")
        raise ExpressionError(
            f"there is no template {name!r} beside the role",
            hint or f"put it at {prefix}NAME{TEMPLATE_SUFFIX}",
        )
    try:
        text = files[path].decode()
    except UnicodeDecodeError as error:
        raise ExpressionError(f"the template {path} is not UTF-8: {error.reason}") from None
    rendered: str = expressions.compile_text(text, path)(scope, nested=True)
    return rendered
