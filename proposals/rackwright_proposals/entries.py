"""Entries of a role's ``resources``: one noun, its properties, and what steers it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rackwright.model.address import NODE_NAME
from rackwright.model.resource import Resource
from rackwright_proposals.marks import Map, Mark, Problems, Seq
from rackwright_proposals.names import nearest, suggest
from rackwright_proposals.properties import alias_of, build, convert, fields_of, wrong_field
from rackwright_proposals.shape import typename
from rackwright_proposals.values import Value, constant, read_expression, read_value

META = ("each", "when", "on", "needs", "notifies", "destroy", "purge")
ALL = "*"
_EACH = re.compile(r"\s*([A-Za-z]\w*(?:\s*,\s*[A-Za-z]\w*)*)\s+in\s+(.+)", re.DOTALL)

BUILT_IN = frozenset(("node", "facts", "links", "peer", "parent", "children", "template", "secret"))
"""Names that every expression sees; no attribute and no loop may take them."""

Nouns = Mapping[str, type[Resource]]


@dataclass(frozen=True, slots=True)
class Each:
    """``each: TARGETS in EXPRESSION``."""

    targets: tuple[str, ...]
    items: Value
    text: str
    """The expression as written."""


@dataclass(frozen=True, slots=True)
class On:
    """``on: NODE`` or ``on: EXPRESSION``. Which of the two it is depends on what is in scope."""

    text: str
    value: Value


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, compiled. With ``purge`` it declares no resource but that the type's rest is ours."""

    kind: str
    mark: Mark
    name: Value
    properties: Mapping[str, Value] = field(default_factory=dict)
    each: Each | None = None
    when: Value | None = None
    on: On | None = None
    """The node that it goes on, when that is not the one that has the role."""
    alone: bool = False
    """``needs: []`` stands on it: it follows nothing that the role puts on other nodes."""
    needs: tuple[Value, ...] = ()
    notifies: tuple[Value, ...] = ()
    destroy: Value | None = None
    purge: bool = False


def read_entry(
    role: str, written: Any, mark: Mark, nouns: Nouns, problems: Problems
) -> Entry | None:
    """One entry of role ``role``; None when it has no type that is known."""
    if not isinstance(written, Map):
        problems.add(
            f"a resource of role {role!r} must be a map, not {typename(written)}",
            mark,
            "e.g. - file: /etc/motd",
        )
        return None
    kind = next((key for key in written if key not in META), "")
    if kind not in nouns:
        _note_unknown(role, written, kind, nouns, problems)
        return None
    noun = nouns[kind]
    given = _read_properties(written, kind, noun, problems)
    name_mark = written.at(kind)
    entry = Entry(
        kind=kind,
        mark=written.key_at(kind),
        name=read_value(written[kind], name_mark, problems),
        properties=given,
        each=_read_each(written, problems),
        when=_read_when(written, problems),
        on=_read_on(written, problems),
        alone=written.get("needs") == [],
        needs=_read_addresses(written, "needs", problems),
        notifies=_read_addresses(written, "notifies", problems),
        destroy=_read_flag(written, "destroy", problems),
        purge=_read_purge(written, noun, problems),
    )
    if entry.name.constant and not entry.purge:
        _check_constant_name(kind, written[kind], name_mark, problems)
    _check_constants(entry, noun, problems)
    return entry


def name_of(kind: str, value: Any) -> str:
    """A resource's name out of what its expression gave. Raises ValueError that says why not."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        raise ValueError(f"the name of a {kind} is the number {value}: quote it to keep its digits")
    if not isinstance(value, str) or not value:
        what = "an empty text" if value == "" else typename(value)
        raise ValueError(f"the name of a {kind} must be a text, not {what}")
    if not value.isprintable() or value != value.strip() or len(value) > 1024:
        raise ValueError(
            f"{value[:80]!r} cannot be the name of a {kind}: "
            "it is one line without spaces around it, of at most 1024 characters"
        )
    return value


def _note_unknown(role: str, written: Map, kind: str, nouns: Nouns, problems: Problems) -> None:
    if not kind:
        problems.add(
            f"a resource of role {role!r} has no type", written.mark, "e.g. - file: /etc/motd"
        )
        return
    later = next((key for key in written if key in nouns), "")
    close = nearest(kind, nouns)
    if later and not close:
        hint = f"the type comes first: put {later!r} before {kind!r}"
    else:
        hint = suggest(kind, list(nouns))
    problems.add(f"there is no resource type {kind!r}", written.key_at(kind), hint)


def _read_properties(
    written: Map, kind: str, noun: type[Resource], problems: Problems
) -> dict[str, Value]:
    types = fields_of(noun)
    alias = alias_of(noun)
    given: dict[str, Value] = {}
    for key, value in written.items():
        if key == kind or key in META:
            continue
        target = alias if key == "name" and alias else key
        if key == "name" and not alias:
            problems.add(
                f"{kind} has no property 'name'",
                written.key_at(key),
                f"its name is what stands after '{kind}:'",
            )
        elif target not in types:
            hint = suggest(key, [*types, *META], "it has")
            problems.add(f"{kind} has no property {key!r}", written.key_at(key), hint)
        elif target in given:
            problems.add(
                f"'name' of a {kind} means {alias!r}, which stands here too", written.key_at(key)
            )
        else:
            given[target] = read_value(value, written.at(key), problems)
    return given


def _read_each(written: Map, problems: Problems) -> Each | None:
    if "each" not in written:
        return None
    value, mark = written["each"], written.at("each")
    found = _EACH.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        problems.add(
            "each is not of the form NAME in EXPRESSION", mark, "e.g. id, spec in vlans.items()"
        )
        return None
    targets = tuple(name.strip() for name in found[1].split(","))
    for name in targets:
        if name in BUILT_IN:
            problems.add(f"each cannot use the name {name!r}, which is built in", mark)
    if len(set(targets)) != len(targets):
        problems.add("each uses one name twice", mark)
    return Each(targets, read_expression(found[2], mark, problems), found[2].strip())


def _read_when(written: Map, problems: Problems) -> Value | None:
    if "when" not in written:
        return None
    value, mark = written["when"], written.at("when")
    if isinstance(value, bool):
        return read_value(value, mark, problems)
    if not isinstance(value, str) or not value.strip():
        problems.add(f"when must be an expression, not {typename(value)}", mark)
        return None
    return read_expression(value, mark, problems)


def _read_on(written: Map, problems: Problems) -> On | None:
    if "on" not in written:
        return None
    value, mark = written["on"], written.at("on")
    if not isinstance(value, str) or not value.strip():
        what = "an empty text" if isinstance(value, str) else typename(value)
        problems.add(
            f"on must be a node's name or an expression, not {what}", mark, "e.g. on: peer('eth0')"
        )
        return On("", constant(None, mark))
    text = value.strip()
    if NODE_NAME.fullmatch(text):
        # A name such as sw-a1 need not be an expression, and whether it is one is seen in scope.
        return On(text, read_expression(text, mark, Problems()))
    return On(text, read_expression(text, mark, problems))


def _read_addresses(written: Map, key: str, problems: Problems) -> tuple[Value, ...]:
    if key not in written:
        return ()
    value, mark = written[key], written.at(key)
    if not isinstance(value, Seq):
        problems.add(
            f"{key} must be a list of addresses, not {typename(value)}",
            mark,
            f'write {key}: ["{value}"]' if isinstance(value, str) else "",
        )
        return ()
    return tuple(read_value(item, value.at(i), problems) for i, item in enumerate(value))


def _read_flag(written: Map, key: str, problems: Problems) -> Value | None:
    if key not in written:
        return None
    value = read_value(written[key], written.at(key), problems)
    if value.constant and not isinstance(value.run({}), bool):
        problems.add(f"{key} must be true or false, not {typename(written[key])}", value.mark)
        return None
    return value


def _read_purge(written: Map, noun: type[Resource], problems: Problems) -> bool:
    kind = noun.kind
    value: Any = written.get("purge", False)
    everything = bool(written[kind] == ALL)
    if not isinstance(value, bool):
        problems.add(f"purge must be true or false, not {typename(value)}", written.at("purge"))
        return everything
    if value and not everything:
        problems.add("purge concerns a whole type", written.key_at("purge"), f"write - {kind}: '*'")
    elif everything and not value:
        problems.add(
            f"'*' is no name of a {kind}", written.at(kind), "for the type's rest add purge: true"
        )
    elif value and not noun.listed:
        problems.add(
            f"a {kind} cannot be purged: no node can list all that it has", written.key_at("purge")
        )
    elif value:
        for key in written:
            if key not in (kind, "purge", "when"):
                problems.add(f"an entry with purge cannot have {key!r}", written.key_at(key))
    return value or everything


def _check_constant_name(kind: str, value: Any, mark: Mark, problems: Problems) -> None:
    try:
        name_of(kind, value)
    except ValueError as error:
        problems.add(str(error), mark)


def _check_constants(entry: Entry, noun: type[Resource], problems: Problems) -> None:
    """What has no expression in it is wrong or right before any node is rendered."""
    types = fields_of(noun)
    constants = {key: item for key, item in entry.properties.items() if item.constant}
    good = True
    for key, item in constants.items():
        value = item.run({})
        if value is None:
            continue
        converted = convert(value, types[key])
        if converted.error:
            wrong = wrong_field(noun, key, value, converted.error)
            problems.add(wrong.message, item.mark, wrong.hint)
            good = False
    if not good or entry.purge or not entry.name.constant or len(constants) < len(entry.properties):
        return
    try:
        name = name_of(entry.kind, entry.name.run({}))
    except ValueError:
        return
    made = build(noun, name, {key: item.run({}) for key, item in constants.items()})
    if isinstance(made, list):
        for wrong in made:
            mark = constants[wrong.field].mark if wrong.field else entry.mark
            problems.add(wrong.message, mark, wrong.hint)
