"""One node's resources, rendered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, NoReturn

from rackwright.model.address import NODE_NAME, Address
from rackwright.model.bundle import Deferred, Origin
from rackwright.model.resource import Resource, digest, to_data
from rackwright_proposals.documents import RoleDocument
from rackwright_proposals.entries import Each, Entry, Nouns, On, name_of
from rackwright_proposals.expressions import MAX_ITEMS, ExpressionError, NotYet, Scope
from rackwright_proposals.marks import Mark, Problems, origin_of
from rackwright_proposals.properties import QUOTE, build
from rackwright_proposals.scope import NodeScope, NoLink, Reads, World
from rackwright_proposals.target import each_of, item_of, target_of
from rackwright_proposals.values import Value


@dataclass(frozen=True, slots=True)
class Rendered:
    """One resource before its needs have been looked up."""

    resource: Resource
    data: dict[str, Any]
    digest: str
    mark: Mark
    origin: Origin
    needs: tuple[tuple[str, Mark], ...]
    notifies: tuple[tuple[str, Mark], ...]
    destroy: bool
    implied: tuple[str, ...] = ()
    """Addresses on the same node that come first where they are declared."""
    item: tuple[str, ...] = ()
    """Of what goes on another node: the attribute, and the key in it, that `each` took it from."""
    also: tuple[Origin, ...] = ()
    """Who else declares the same."""

    @property
    def key(self) -> str:
        """Its address, without a node."""
        return f"{type(self.resource).kind}/{self.data['name']}"

    @property
    def present(self) -> bool:
        """It is to be there."""
        return self.resource.ensure == "present"


@dataclass(slots=True)
class Put:
    """What the roles of one node put on another."""

    resources: list[Rendered] = field(default_factory=list)
    deferred: list[Deferred] = field(default_factory=list)
    broken: bool = False


@dataclass(slots=True)
class RenderedNode:
    """All of one node."""

    resources: dict[str, Rendered] = field(default_factory=dict)
    purge: set[str] = field(default_factory=set)
    deferred: list[Deferred] = field(default_factory=list)
    reads: Reads = field(default_factory=Reads)
    broken: bool = False
    """Something could not be rendered, so what is missing says nothing."""
    elsewhere: dict[str, Put] = field(default_factory=dict)
    """What its roles put on other nodes; `placing.place` adds it there."""

    def put(self, node: str) -> Put:
        """What goes on ``node``."""
        return self.elsewhere.setdefault(node, Put())


class _Skip(Exception):
    """This resource cannot be rendered; the problem has been noted."""


def render_node(
    world: World,
    name: str,
    roles: Iterable[tuple[RoleDocument, str]],
    nouns: Nouns,
    commit: str,
    problems: Problems,
    whole: bool,
) -> RenderedNode:
    """The resources of ``name``: ``roles`` come in a fixed order, each with a proposal that
    deploys it. ``whole``: none of its roles is left out because of its attributes."""
    done = RenderedNode()
    scope = NodeScope(world, name)
    for role, proposal in roles:
        whole = whole and role.complete
        _Renderer(scope, role, proposal, nouns, commit, problems, done).render(
            scope.for_role(role.directory)
        )
    if not whole:
        done.broken = True
        for near in scope.neighbours():
            done.put(near).broken = True
    done.reads = scope.reads
    return done


@dataclass(slots=True)
class _First:
    """Something that the role puts on another node, and that its resources here follow."""

    address: str
    each: str
    index: int | None
    """Which item of ``each`` it is for; None when that is not known yet."""
    mark: Mark


@dataclass(slots=True)
class _Renderer:
    around: NodeScope
    role: RoleDocument
    proposal: str
    nouns: Nouns
    commit: str
    problems: Problems
    done: RenderedNode
    first: list[_First] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.around.name

    def render(self, scope: Scope) -> None:
        # What goes on other nodes comes first: what the role has for this one follows it.
        for entry in sorted(self.role.resources, key=lambda entry: entry.on is None):
            try:
                for index, one in self._scopes(entry, scope):
                    self._render_one(entry, one, index)
            except NotYet as missing:
                self._defer(entry, f"{entry.kind}/?", missing, self._may_go(entry, scope), None)
            except _Skip:
                self._break(self._may_go(entry, scope))

    def _scopes(self, entry: Entry, scope: Scope) -> Iterator[tuple[int | None, Scope]]:
        if entry.each is None:
            yield None, scope
            return
        for index, values in enumerate(self._items(entry.each, scope)):
            yield index, {**scope, **values}

    def _items(self, each: Each, scope: Scope) -> list[Mapping[str, Any]]:
        found = self._run(each.items, scope)
        if isinstance(found, dict):
            if len(each.targets) == 2:
                found = list(found.items())
        elif not isinstance(found, list):
            self._note(f"each cannot go through {_brief(found)}", each.items.mark)
        items = list(islice(found, MAX_ITEMS + 1))
        if len(items) > MAX_ITEMS:
            self._note(f"each has more than {MAX_ITEMS} items", each.items.mark)
        if len(each.targets) == 1:
            return [{each.targets[0]: item} for item in items]
        for item in items:
            if not isinstance(item, (list, tuple)) or len(item) != len(each.targets):
                self._note(
                    f"each wants {len(each.targets)} values at a time, not {_brief(item)}",
                    each.items.mark,
                    "go through a map with .items()",
                )
        return [dict(zip(each.targets, item, strict=True)) for item in items]

    def _render_one(self, entry: Entry, scope: Scope, index: int | None) -> None:
        address = f"{entry.kind}/?"
        where: tuple[str, ...] = ()
        try:
            if entry.when is not None and not self._run(entry.when, scope):
                return
            if entry.purge:
                self.done.purge.add(entry.kind)
                return
            node = self.name if entry.on is None else self._on(entry.on, scope)
            where = (node,)
            name = self._name(entry, scope)
            address = f"{entry.kind}/{name}"
            made = self._rendered(entry, name, scope, node)
            if node == self.name:
                self._declare(self._following(made, entry, index))
                return
            self.done.put(node).resources.append(replace(made, item=item_of(entry, scope)))
            if made.present:
                self.first.append(_First(f"{node}:{made.key}", each_of(entry), index, entry.mark))
        except NotYet as missing:
            self._defer(entry, address, missing, where or self._may_go(entry, scope), index)
        except _Skip:
            self._break(where or self._may_go(entry, scope))

    def _on(self, on: On, scope: Scope) -> str:
        if on.value.constant and not NODE_NAME.fullmatch(on.text):
            raise _Skip  # it could not be read, which has been told
        self.around.look_for(on.text)
        try:
            name = target_of(on, self.name, scope, self.around.world.nodes, self._run)
            self.around.look_for(name)
            return name
        except ExpressionError as error:
            self._note(str(error), on.value.mark, error.hint)

    def _may_go(self, entry: Entry, scope: Scope) -> tuple[str, ...]:
        """Where a resource may go that cannot be rendered (yet)."""
        if entry.on is None:
            return (self.name,)
        told, self.problems = self.problems, Problems()
        try:
            return (self._on(entry.on, scope),)
        except (NotYet, _Skip):
            return self.around.neighbours()
        finally:
            self.problems = told

    def _following(self, made: Rendered, entry: Entry, index: int | None) -> Rendered:
        """``made`` with needs of what the role puts elsewhere: for the same item where both go
        through the same ``each``, otherwise all of it."""
        if entry.alone or not self.first or not made.present:
            return made
        derived = {
            one.address: one.mark
            for one in self.first
            if one.index is None or one.each != each_of(entry) or one.index == index
        }
        return replace(made, needs=tuple({**derived, **dict(made.needs)}.items()))

    def _name(self, entry: Entry, scope: Scope) -> str:
        value = self._run(entry.name, scope)
        try:
            return self.nouns[entry.kind].spelling(name_of(entry.kind, value))
        except ValueError as error:
            self._note(str(error), entry.name.mark)

    def _rendered(self, entry: Entry, name: str, scope: Scope, node: str) -> Rendered:
        given: dict[str, Any] = {}
        missing: NotYet | None = None
        failed = False
        for key, value in entry.properties.items():
            try:
                given[key] = self._run(value, scope)
            except NotYet as error:
                missing = missing or error
            except _Skip:
                failed = True
        needs = self._addresses(entry.needs, scope, node)
        notifies = self._addresses(entry.notifies, scope, node)
        destroy = entry.destroy is not None and self._run(entry.destroy, scope)
        if failed:
            raise _Skip
        if missing:
            raise missing
        if not isinstance(destroy, bool):
            self._note(f"destroy must be true or false, not {_brief(destroy)}", entry.mark)
        made = build(self.nouns[entry.kind], name, given)
        if isinstance(made, list):
            for wrong in made:
                given_by = entry.properties.get(wrong.field)
                hint = wrong.hint
                if hint == QUOTE and given_by is not None and not given_by.constant:
                    hint = "add | string to the expression"
                self.problems.add(
                    wrong.message, given_by.mark if given_by else entry.mark, hint, self.name
                )
            raise _Skip
        data = to_data(made)
        return Rendered(
            resource=made,
            data=data,
            digest=self._digest(entry, data),
            mark=entry.mark,
            origin=self._origin(entry.mark, node),
            needs=needs,
            notifies=notifies,
            destroy=destroy,
            implied=self._implied(entry, made),
        )

    def _digest(self, entry: Entry, data: dict[str, Any]) -> str:
        try:
            return digest(entry.kind, data)
        except (ValueError, TypeError, OverflowError) as error:
            self._note(
                f"{entry.kind}/{data['name']} cannot be written as JSON: {error}", entry.mark
            )

    def _implied(self, entry: Entry, made: Resource) -> tuple[str, ...]:
        try:
            return tuple(str(address) for address in made.implied_needs())
        except ValueError as error:
            self._note(f"{entry.kind}/{made.name}: {error}", entry.mark)

    def _addresses(
        self, values: tuple[Value, ...], scope: Scope, node: str
    ) -> tuple[tuple[str, Mark], ...]:
        """Those that name no node are of ``node``, where the resource goes."""
        found = []
        for value in values:
            text = self._run(value, scope)
            if text is None:
                continue
            try:
                if not isinstance(text, str):
                    raise ValueError(f"an address is a text, not {_brief(text)}")
                address = spelled(Address.parse(text), self.nouns)
            except ValueError as error:
                self._note(str(error), value.mark)
            found.append((str(address.local if address.node == node else address), value.mark))
        return tuple(dict(found).items())

    def _declare(self, new: Rendered) -> None:
        key = new.key
        old = self.done.resources.get(key)
        if old is None:
            self.done.resources[key] = new
        elif old.digest != new.digest:
            first, second = sorted((old.mark, new.mark))
            if first == second:
                message = f"{key} is declared twice by one entry, with different properties"
            else:
                message = f"{key} is declared twice with different properties, first at {first}"
            self.problems.add(message, second, "give it in one place", self.name)
        else:
            self.done.resources[key] = joined(old, new)

    def _defer(
        self,
        entry: Entry,
        address: str,
        missing: NotYet,
        where: tuple[str, ...],
        index: int | None,
    ) -> None:
        for node in where:
            deferred = Deferred(
                address=address,
                fact=f"{missing.node}:{missing.path}",
                origin=self._origin(entry.mark, node),
            )
            if node == self.name:
                self.done.deferred.append(deferred)
                continue
            self.done.put(node).deferred.append(deferred)
            self.first.append(_First(f"{node}:{address}", each_of(entry), index, entry.mark))

    def _break(self, where: tuple[str, ...]) -> None:
        for node in where:
            if node == self.name:
                self.done.broken = True
            else:
                self.done.put(node).broken = True

    def _run(self, value: Value, scope: Scope) -> Any:
        try:
            return value.run(scope)
        except NoLink:
            raise _Skip from None
        except ExpressionError as error:
            hint = error.hint
            if error.undefined in self.role.schema:
                hint = "nothing sets this attribute: give it a default in the role"
            self.problems.add(str(error), error.mark or value.mark, hint, self.name)
            raise _Skip from None

    def _note(self, message: str, mark: Mark, hint: str = "") -> NoReturn:
        self.problems.add(message, mark, hint, self.name)
        raise _Skip

    def _origin(self, mark: Mark, node: str) -> Origin:
        commit = "" if self.role.library else self.commit
        giver = "" if node == self.name else self.name
        return origin_of(mark, commit, role=self.role.name, proposal=self.proposal, node=giver)


def spelled(address: Address, nouns: Nouns) -> Address:
    """``address`` with its name as all nodes spell it."""
    noun = nouns.get(address.type)
    return address._replace(name=noun.spelling(address.name)) if noun else address


def joined(old: Rendered, new: Rendered) -> Rendered:
    """One resource of two entries that say the same: what either needs, it needs."""
    also = (*old.also, new.origin, *new.also)
    return replace(
        old,
        also=tuple(dict.fromkeys(one for one in also if one != old.origin)),
        needs=tuple({**dict(new.needs), **dict(old.needs)}.items()),
        notifies=tuple({**dict(new.notifies), **dict(old.notifies)}.items()),
        destroy=old.destroy or new.destroy,
    )


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
