"""Attributes against the JSON Schemas (2020-12) of the roles that read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry

from rackwright_proposals.marks import Map, Mark, Problems, mark_within
from rackwright_proposals.merge import Branch, Leaf, value_of
from rackwright_proposals.names import suggest
from rackwright_proposals.shape import typename

_SHOWN = 200


@cache
def _of_schemas() -> Draft202012Validator:
    meta = Draft202012Validator
    return meta(meta.META_SCHEMA, format_checker=meta.FORMAT_CHECKER)  # formats: regex


def check_schemas(role: str, schema: Map, problems: Problems) -> dict[str, Any]:
    """The attributes' schemas by name, True in place of those that are none."""
    found: dict[str, Any] = {}
    for name, written in schema.items():
        mark = schema.at(name)
        if not isinstance(written, (Map, bool)):
            problems.add(
                f"the schema of attribute {name!r} of role {role!r} must be a map, "
                f"not {typename(written)}",
                mark,
                "e.g. {type: string}",
            )
            found[name] = True
            continue
        found[name] = written
        for error in _of_schemas().iter_errors(plain_schema(written)):
            problems.add(
                f"the schema of attribute {name!r} of role {role!r} is wrong: {_short(error)}",
                mark_within(written, mark, error.absolute_path),
            )
            found[name] = True
    return found


def plain_schema(written: Any) -> Any:
    """A schema as plain data; ``{secret: …}`` in it is a property's name like any other."""
    if isinstance(written, dict):
        return {key: plain_schema(item) for key, item in written.items()}
    if isinstance(written, list):
        return [plain_schema(item) for item in written]
    return written


class AttributeChecker:
    """Checks merged attributes; what many nodes share is checked once."""

    def __init__(self) -> None:
        self._validators: dict[tuple[str, str], Draft202012Validator] = {}
        self._seen: dict[tuple[str, str, int], tuple[Any, bool]] = {}

    def check(
        self, role: str, schema: Mapping[str, Any], merged: Branch, problems: Problems
    ) -> bool:
        """Whether ``merged`` is right for ``role``; what is not goes to ``problems``."""
        right = True
        for name, written in schema.items():
            kid = merged.kids.get(name)
            if kid is None:
                continue
            value = value_of(kid)
            key = (role, name, id(value))
            if key not in self._seen:
                # The value is kept too: an id is only good while its object lives.
                self._seen[key] = (value, self._check(role, name, written, kid, problems))
            right = right and self._seen[key][1]
        return right

    def _check(
        self, role: str, name: str, written: Any, kid: Branch | Leaf, problems: Problems
    ) -> bool:
        validator = self._validators.get((role, name))
        if validator is None:
            validator = Draft202012Validator(plain_schema(written), registry=Registry())
            self._validators[role, name] = validator
        right = True
        try:
            for error in validator.iter_errors(value_of(kid)):
                right = False
                path = [name, *map(str, error.absolute_path)]
                message = f"attribute {'.'.join(path)} of role {role!r}: {_short(error)}"
                problems.add(message, _mark_of(kid, error), _hint(error, path))
        except Exception as error:  # noqa: BLE001 - a schema's references and patterns are users' input
            reason = " ".join(str(error).split())[:_SHOWN]
            problems.add(f"the schema of attribute {name!r} of role {role!r}: {reason}", kid.mark)
            right = False
        return right


def _mark_of(kid: Branch | Leaf, error: ValidationError) -> Mark:
    path = list(error.absolute_path)
    extra = _unexpected(error)
    if extra:
        path.append(extra[0])
    while isinstance(kid, Branch) and path and str(path[0]) in kid.kids:
        kid = kid.kids[str(path.pop(0))]
    return mark_within(kid.written, kid.mark, path) if isinstance(kid, Leaf) else kid.mark


def _unexpected(error: ValidationError) -> list[str]:
    if error.validator != "additionalProperties" or not isinstance(error.instance, dict):
        return []
    known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
    return [key for key in error.instance if key not in known]


def _hint(error: ValidationError, path: Sequence[str]) -> str:
    extra = _unexpected(error)
    if extra and isinstance(error.schema, dict):
        return suggest(extra[0], list(error.schema.get("properties", {})), "it has")
    if error.validator == "type" and error.validator_value == "string":
        return "write it in quotes" if isinstance(error.instance, (int, float)) else ""
    if error.validator == "enum" and isinstance(error.instance, str):
        return suggest(
            error.instance,
            [str(item) for item in cast("list[Any]", error.validator_value)],
            "one of",
        )
    if error.validator == "required" and isinstance(error.instance, dict):
        required = cast("list[str]", error.validator_value)
        missing = [key for key in required if key not in error.instance]
        # Where it stands may be the role's defaults, which is not the place to write it.
        return f"set {'.'.join([*path, *missing[:1]])} in a proposal, the site or the node"
    if error.validator == "pattern" and isinstance(error.schema, dict):
        return str(error.schema.get("description", ""))
    return ""


def _short(error: ValidationError) -> str:
    text = " ".join(error.message.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
