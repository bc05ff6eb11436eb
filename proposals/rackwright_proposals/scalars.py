"""Plain scalars by the core schema of YAML 1.2 (section 10.3.2 of its specification).

PyYAML's own rules are those of YAML 1.1, where ``on``, ``no``, ``12:30`` and ``2024-01-01`` are
no strings; here they are.
"""

from __future__ import annotations

import re

Scalar = str | int | float | bool | None

_INT = re.compile(r"[-+]?[0-9]+")
_OCT = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_FIRST = frozenset("-+.0123456789")
_LEAST, _MOST = -(2**63), 2**64 - 1


def resolve(text: str) -> Scalar:
    """The value of a plain scalar. Raises ValueError for numbers that JSON cannot carry."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _FIRST:
        return text
    if _INT.fullmatch(text):
        return _bounded(text, 10)
    if _OCT.fullmatch(text):
        return _bounded(text[2:], 8)
    if _HEX.fullmatch(text):
        return _bounded(text[2:], 16)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise ValueError(f"the number {text[:40]} is too large")
        return number
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is a number that no resource can hold; quote it to mean the text")
    return text


def _bounded(digits: str, base: int) -> int:
    number = int(digits, base) if len(digits) <= 40 else _MOST + 1
    if not _LEAST <= number <= _MOST:
        raise ValueError(f"the number {digits[:40]} does not fit in 64 bits; quote it to mean text")
    return number


_TAG = "tag:yaml.org,2002:"


def tagged(tag: str, text: str) -> Scalar:
    """The value of a scalar with an explicit core tag. Raises ValueError for any other tag."""
    kind = tag.removeprefix(_TAG)
    if tag == "!" or kind == "str":
        return text
    wanted: dict[str, tuple[type, ...]] = {
        "int": (int,),
        "float": (float, int),
        "bool": (bool,),
        "null": (type(None),),
    }
    if not tag.startswith(_TAG) or kind not in wanted:
        raise ValueError(f"the tag {tag} is not known here; only YAML's core tags are")
    value = resolve(text)
    if not isinstance(value, wanted[kind]) or (kind == "int" and isinstance(value, bool)):
        raise ValueError(f"{text!r} is not of the type that its tag !!{kind} says")
    return float(value) if kind == "float" and isinstance(value, int) else value
