"""Checks of a document's shape: known keys, maps, lists and texts where they belong."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from rackwright_proposals.marks import Map, Mark, Problems, Seq
from rackwright_proposals.names import suggest

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def typename(value: Any) -> str:
    """What YAML calls a value."""
    names = {dict: "a map", list: "a list", str: "a text", bool: "true or false"}
    for kind, name in names.items():
        if isinstance(value, kind):
            return name
    return "nothing" if value is None else "a number"


def check_keys(of: str, found: Map, known: Collection[str], problems: Problems) -> None:
    """Every key of ``found`` must be known."""
    for key in found:
        if key not in known:
            problems.add(f"{of} has no {key!r}", found.key_at(key), suggest(key, known, "it has"))


def name_of(kind: str, document: Map, problems: Problems) -> str:
    """The name that a document gives itself; empty when it is none."""
    value = document[kind]
    mark = document.at(kind)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        problems.add(f"{value} is a number", mark, f"quote it to make it a {kind}'s name")
    elif not isinstance(value, str) or not value:
        problems.add(f"a {kind} needs a name, not {typename(value)}", mark)
    elif not NAME.fullmatch(value):
        problems.add(
            f"{value!r} cannot be a {kind}'s name",
            mark,
            "use at most 63 letters, digits, dots, dashes and underscores, a letter or digit first",
        )
    else:
        return value
    return ""


def as_map(of: str, document: Map, key: str, problems: Problems) -> Map:
    """The map under ``key``; an empty one when there is none or something else."""
    value = document.get(key)
    if isinstance(value, Map):
        return value
    if key in document:
        hint = f"leave {key} out where there is nothing to say" if value is None else ""
        problems.add(f"{key} of {of} must be a map, not {typename(value)}", document.at(key), hint)
    return Map(document.at(key))


def as_list(of: str, document: Map, key: str, problems: Problems) -> Seq:
    """The list under ``key``; an empty one when there is none or something else."""
    value = document.get(key)
    if isinstance(value, Seq):
        return value
    if key in document:
        hint = "write it in [ ]" if isinstance(value, str) else ""
        problems.add(f"{key} of {of} must be a list, not {typename(value)}", document.at(key), hint)
    return Seq(document.at(key))


def as_text(of: str, value: Any, mark: Mark, problems: Problems) -> str:
    """``value`` if it is a text that is not empty; empty otherwise."""
    if isinstance(value, str) and value:
        return value
    hint = "write it in quotes" if isinstance(value, (int, float)) else ""
    what = "an empty text" if value == "" else typename(value)
    problems.add(f"{of} must be a text, not {what}", mark, hint)
    return ""


def as_texts(of: str, document: Map, key: str, problems: Problems) -> tuple[str, ...]:
    """The list of texts under ``key``."""
    items = as_list(of, document, key, problems)
    texts = (as_text(f"{key} of {of}", item, items.at(i), problems) for i, item in enumerate(items))
    return tuple(text for text in texts if text)
