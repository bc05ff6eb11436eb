"""Values against the types of the nouns' fields, every wrong one told by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, NamedTuple, get_args, get_origin

import msgspec

from rackwright.model import typed
from rackwright.model.resource import Resource, secret_fields, to_data
from rackwright.model.secret import MARKER
from rackwright_proposals.names import nearest

_WHOLE = re.compile(r"-?\d{1,18}")
_ALIASES = ("title", "label")
_SHOWN = 80
QUOTE = "write it in quotes"
_LOCKED = frozenset(("!", "!!", "*"))
"""Of shadow(5): no password at all, so nothing to hide."""


class Converted(NamedTuple):
    """A value in its field's type, or why it is not."""

    value: Any
    error: str = ""


class Wrong(NamedTuple):
    """One field that is wrong; an empty ``field`` means the resource as a whole."""

    field: str
    message: str
    hint: str = ""


@cache
def fields_of(noun: type[Resource]) -> Mapping[str, Any]:
    """The fields that users may set, by name: the type of each, the identity left out."""
    return {
        field.name: field.type for field in msgspec.structs.fields(noun) if field.name != "name"
    }


@cache
def alias_of(noun: type[Resource]) -> str:
    """The field that users mean by ``name:``; empty where the noun has none."""
    return next((name for name in _ALIASES if name in fields_of(noun)), "")


def convert(value: Any, kind: Any) -> Converted:
    """``value`` as ``kind``. Digits are taken for a number where only a number fits."""
    try:
        return Converted(msgspec.to_builtins(typed.convert(value, kind)))
    except (msgspec.ValidationError, ValueError, TypeError, OverflowError) as error:
        if isinstance(value, str) and _WHOLE.fullmatch(value):
            try:
                return Converted(msgspec.to_builtins(typed.convert(int(value), kind)))
            except (msgspec.ValidationError, ValueError, TypeError, OverflowError):
                pass
        return Converted(None, str(error) or type(error).__name__)


def wrong_value(what: str, value: Any, error: str, kind: Any) -> tuple[str, str]:
    """A message and a hint for a value that did not convert."""
    choices = literals(kind)
    shown = repr(value)
    if len(shown) > _SHOWN:
        shown = shown[: _SHOWN - 1] + "…"
    if choices and isinstance(value, str):
        close = nearest(value, [str(choice) for choice in choices])
        hint = f"did you mean {close!r}?" if close else ""
        listed = ", ".join(str(choice) for choice in choices)
        return f"{what} cannot be {shown}: it is one of {listed}", hint
    hint = ""
    if "Expected `str" in error and isinstance(value, (int, float)) and not isinstance(value, bool):
        hint = QUOTE
    reason = error[:1].lower() + error[1:]
    return f"{what} cannot be {shown}: {reason}", hint


def wrong_field(noun: type[Resource], field: str, value: Any, error: str) -> Wrong:
    """What to say of a field's value that did not convert; a secret field's is not shown."""
    if field in secret_fields(noun):
        return Wrong(field, f"{noun.kind}.{field} is wrong: {error[:1].lower()}{error[1:]}")
    kind = fields_of(noun)[field]
    return Wrong(field, *wrong_value(f"{noun.kind}.{field}", value, error, kind))


def literals(kind: Any) -> tuple[Any, ...]:
    """The choices of a Literal, also inside Optional and Annotated."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    for part in get_args(kind):
        if found := literals(part):
            return found
    return ()


def build(noun: type[Resource], name: str, given: Mapping[str, Any]) -> Resource | list[Wrong]:
    """The resource, or everything that is wrong with it. None means "not declared"."""
    data = {key: value for key, value in given.items() if value is not None}
    try:
        made = typed.convert({**data, "name": name}, noun)
    except (msgspec.ValidationError, ValueError, TypeError, OverflowError) as error:
        return _field_by_field(noun, name, data, str(error))
    return _in_clear(noun, to_data(made)) or made


def _field_by_field(
    noun: type[Resource], name: str, data: Mapping[str, Any], whole: str
) -> Resource | list[Wrong]:
    types = fields_of(noun)
    wrong: list[Wrong] = []
    right: dict[str, Any] = {"name": name}
    for key, value in data.items():
        converted = convert(value, types[key])
        if converted.error:
            wrong.append(wrong_field(noun, key, value, converted.error))
        else:
            right[key] = converted.value
    if wrong:
        return wrong
    try:
        made = typed.convert(right, noun)
    except (msgspec.ValidationError, ValueError, TypeError, OverflowError) as error:
        return [Wrong("", f"{noun.kind}/{name}: {str(error) or whole}")]
    return _in_clear(noun, to_data(made)) or made


def _in_clear(noun: type[Resource], data: Mapping[str, Any]) -> list[Wrong]:
    return [
        Wrong(
            field,
            f"{noun.kind}.{field} stands in clear",
            f"a secret is never in the tree: write {field}: {{secret: NAME}}",
        )
        for field in secret_fields(noun)
        if (value := data.get(field)) and value not in _LOCKED and not MARKER.search(str(value))
    ]
