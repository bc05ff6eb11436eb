"""Values of a role as written, ready to be evaluated: constants, expressions, lists and maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rackwright.model import secret
from rackwright_proposals import expressions
from rackwright_proposals.expressions import ExpressionError, Scope
from rackwright_proposals.marks import Map, Mark, Problems, Seq
from rackwright_proposals.merge import is_secret


@dataclass(frozen=True, slots=True)
class Value:
    """Something that a scope turns into plain data. ``run`` raises ExpressionError and NotYet."""

    mark: Mark
    run: Callable[[Scope], Any]
    constant: bool = False
    """It is the same in every scope."""


def read_value(written: Any, mark: Mark, problems: Problems) -> Value:
    """A value of a role; wrong syntax goes to ``problems``."""
    if isinstance(written, str):
        if not expressions.is_expression(written):
            return constant(written, mark)
        return _compiled(expressions.compile_text, written, mark, problems)
    if isinstance(written, Map):
        if is_secret(written):
            return _secret(read_value(written["secret"], written.at("secret"), problems))
        kids = {key: read_value(item, written.at(key), problems) for key, item in written.items()}
        if all(kid.constant for kid in kids.values()):
            return constant({key: kid.run({}) for key, kid in kids.items()}, mark)
        return Value(mark, lambda scope: {key: kid.run(scope) for key, kid in kids.items()})
    if isinstance(written, Seq):
        items = [read_value(item, written.at(i), problems) for i, item in enumerate(written)]
        if all(item.constant for item in items):
            return constant([item.run({}) for item in items], mark)
        return Value(mark, lambda scope: [item.run(scope) for item in items])
    return constant(written, mark)


def read_expression(written: str, mark: Mark, problems: Problems) -> Value:
    """A bare expression, as ``when`` and ``each`` hold it."""
    return _compiled(expressions.compile_expression, written, mark, problems)


def constant(data: Any, mark: Mark) -> Value:
    """A value that is ``data`` in every scope."""
    return Value(mark, lambda scope: data, constant=True)


def _compiled(
    compiler: Callable[[str], Callable[[Scope], Any]], text: str, mark: Mark, problems: Problems
) -> Value:
    try:
        return Value(mark, compiler(text))
    except ExpressionError as error:
        problems.add(str(error), mark, error.hint)
        return constant(None, mark)


def _secret(name: Value) -> Value:
    def run(scope: Scope) -> str:
        return secret_marker(name.run(scope))

    made = Value(name.mark, run)
    return constant(secret.marker(name.run({})), name.mark) if name.constant else made


def secret_marker(name: Any) -> str:
    """What ``secret('NAME')`` gives. Raises ExpressionError for what cannot be a name."""
    marker = secret.marker(str(name))
    if not secret.MARKER.fullmatch(marker):
        raise ExpressionError(
            f"{name!r} cannot be a secret's name",
            "use letters, digits, dots, dashes and underscores",
        )
    return marker
