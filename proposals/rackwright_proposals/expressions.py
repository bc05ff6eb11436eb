"""Jinja2 expressions and templates: sandboxed, bounded, with native types and located errors.

``"{{ x }}"`` alone gives x itself, whatever its type; anything around it makes text. Nothing is
ever guessed from text: ``'0644'`` stays a string.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from itertools import islice
from math import isfinite
from types import TracebackType
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, StrictUndefined, Undefined
from jinja2.utils import missing

from rackwright_proposals.bounds import MAX_STEPS, TICK, BoundedEnvironment, Budget, bound, join
from rackwright_proposals.marks import Mark
from rackwright_proposals.names import natural, suggest

MAX_ITEMS = 20_000
"""Items of one ``each``."""


class ExpressionError(Exception):
    """An expression or template is wrong. ``mark`` is set when it is a line of a template file."""

    def __init__(
        self, message: str, hint: str = "", mark: Mark | None = None, undefined: str = ""
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.mark = mark
        self.undefined = undefined
        """The name that nothing in scope has, if that is what is wrong."""


class NotYet(Exception):
    """A fact was read that nobody has found yet."""

    def __init__(self, node: str, path: str) -> None:
        super().__init__(f"{node}:{path}")
        self.node = node
        self.path = path


class _UndefinedName(jinja2.UndefinedError):
    def __init__(self, message: str | None = None, *, obj: Any = missing, name: Any = None) -> None:
        super().__init__(message)
        self.obj = obj
        self.name = name


class FactsMap(dict[str, Any]):
    """Facts, or a part of them, that know whose they are and where in them they stand."""

    __slots__ = ("node", "path")

    def __init__(self, node: str, values: Mapping[str, Any], path: str = "") -> None:
        self.node = node
        self.path = path
        super().__init__(
            (_no_marker(key), _fact(node, values[key], f"{path}.{key}" if path else key))
            for key in sorted(values, key=natural)
        )


def _fact(node: str, value: Any, path: str) -> Any:
    if isinstance(value, Mapping):
        return FactsMap(node, value, path)
    if isinstance(value, list):
        return [_fact(node, item, f"{path}.{index}") for index, item in enumerate(value)]
    return _no_marker(value) if isinstance(value, str) else value


def _no_marker(text: str) -> str:
    """A fact is what a device, or its neighbour, says of itself: it must not be able to name a secret
    that whoever renders it would then put in."""
    return text.replace("⟦", "[") if "⟦" in text else text


class _Missing(StrictUndefined):
    """Undefined: an error when used, except that what is missing from facts means "not yet", and
    that a key which a map lacks may be compared (it equals nothing)."""

    __slots__ = ()

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,
        name: str | None = None,
        exc: Any = _UndefinedName,
    ) -> None:
        if isinstance(obj, FactsMap):
            path = f"{obj.path}.{name}" if obj.path else str(name)
            exc = partial(_not_yet, obj.node, path)
        elif exc is _UndefinedName:
            exc = partial(_UndefinedName, obj=obj, name=name)
        super().__init__(hint, obj, name, exc)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._deeper(name)

    def __getitem__(self, key: Any) -> Any:
        return self._deeper(str(key))

    def _deeper(self, name: str) -> _Missing:
        # Asking on is no use yet: `a.b.c | default(1)` may stand where a has no b.
        facts = self._undefined_obj
        if not isinstance(facts, FactsMap):
            return self
        path = f"{facts.path}.{self._undefined_name}" if facts.path else str(self._undefined_name)
        return _Missing(obj=FactsMap(facts.node, {}, path), name=name)

    def __eq__(self, other: object) -> Any:
        if type(self._undefined_obj) is dict:
            return isinstance(other, Undefined)
        return self._fail_with_undefined_error()

    def __ne__(self, other: object) -> Any:
        if type(self._undefined_obj) is dict:
            return not isinstance(other, Undefined)
        return self._fail_with_undefined_error()

    __hash__ = StrictUndefined.__hash__  # type: ignore[assignment]


def nothing(message: str) -> Undefined:
    """What is not there: ``is defined`` and ``default`` can be asked of it, and any use says
    ``message``."""
    return _Missing(message)


def _not_yet(node: str, path: str, message: str | None = None) -> NotYet:
    return NotYet(node, path)


def _finalize(value: Any) -> Any:
    return "" if value is None else value


_ENVIRONMENT = BoundedEnvironment(
    undefined=_Missing,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,
    finalize=_finalize,
    cache_size=0,
)


_ITERABLE: tuple[Any, ...] = (
    tuple,
    range,
    Iterator,
    type({}.items()),
    type({}.keys()),
    type({}.values()),
)
_SEQUENCES: tuple[Any, ...] = (list, *_ITERABLE)

Scope = dict[str, Any]
"""What an expression sees, by name; made by `new_scope`."""


def new_scope(names: Mapping[str, Any]) -> Scope:
    """A scope of ``names`` and of what Jinja offers everywhere (range, namespace …)."""
    budget = Budget()
    return {**_ENVIRONMENT.globals, **names, TICK: budget.tick}


def is_expression(text: str) -> bool:
    """Whether ``text`` has anything for Jinja in it."""
    return "{{" in text or "{%" in text or "{#" in text


@lru_cache(maxsize=8192)
def compile_text(text: str, file: str = "") -> Callable[..., Any]:
    """A value's text (or, with ``file``, a template file's) as a function of a scope.

    Raises ExpressionError for wrong syntax; what it returns raises ExpressionError and NotYet."""
    try:
        tree = _ENVIRONMENT.parse(text, file or None, file or None)
        single = None if file else _single_expression(tree)
        if single is not None:
            return partial(_run_native, _native(single, tree))
        template = _template(tree, file)
    except jinja2.TemplateSyntaxError as error:
        mark = Mark(file, error.lineno) if file else None
        raise ExpressionError(f"template: {error.message}", mark=mark) from None
    except Exception as error:  # noqa: BLE001 - Jinja hands what it makes to Python's own compiler
        raise ExpressionError(f"template: {error or type(error).__name__}") from None
    return partial(_run_text, template)


@lru_cache(maxsize=4096)
def compile_expression(text: str) -> Callable[..., Any]:
    """A bare expression (of ``when`` and ``each``) as a function of a scope; errors as above.

    What it gives is not made plain: it may be, or hold, anything in scope."""
    if "{{" in text or "{%" in text:
        raise ExpressionError(
            "an expression stands here as it is", hint="write it without {{ and }}"
        )
    native = compile_text("{{ " + text.strip() + " }}")
    return partial(native, raw=True)


def _single_expression(tree: nodes.Template) -> nodes.Expr | None:
    if len(tree.body) != 1 or not isinstance(tree.body[0], nodes.Output):
        return None
    parts = tree.body[0].nodes
    if len(parts) != 1 or isinstance(parts[0], nodes.TemplateData):
        return None
    return parts[0]


def _native(expression: nodes.Expr, tree: nodes.Template) -> jinja2.Template:
    body = [nodes.Assign(nodes.Name("result", "store"), expression, lineno=1)]
    return _template(nodes.Template(body, lineno=1), "")


def _template(tree: nodes.Template, file: str) -> jinja2.Template:
    tree.set_environment(_ENVIRONMENT)
    code = _ENVIRONMENT.compile(tree, file or None, file or None)
    return _ENVIRONMENT.template_class.from_code(_ENVIRONMENT, code, _ENVIRONMENT.globals)


def _run_native(template: jinja2.Template, scope: Scope, *, raw: bool = False) -> Any:
    context = template.new_context(scope, shared=True)
    scope[TICK].__self__.left = MAX_STEPS
    try:
        for _ in template.root_render_func(context):
            pass
        result = context.vars["result"]
        return _listed(result) if raw else _checked(result)
    except NotYet:
        raise
    except Exception as error:  # noqa: BLE001 - what users write may raise anything
        raise _explained(error, scope) from None


def _run_text(template: jinja2.Template, scope: Scope, *, nested: bool = False) -> str:
    if not nested:  # a template inside an expression spends that one's turns
        scope[TICK].__self__.left = MAX_STEPS
    try:
        return render_text(template, template.new_context(scope, shared=True))
    except NotYet:
        raise
    except Exception as error:  # noqa: BLE001 - what users write may raise anything
        raise _explained(error, scope) from None


def render_text(template: jinja2.Template, context: Context) -> str:
    """The text that ``template`` gives, bounded."""
    return join(template.root_render_func(context))


def _listed(value: Any) -> Any:
    """``value`` with what is only gone through once made a list."""
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    if isinstance(value, _ITERABLE):
        return list(islice(value, MAX_ITEMS + 1))
    return value


def _checked(value: Any) -> Any:
    """``value`` as plain data; undefined inside it is an error too."""
    if isinstance(value, float) and not isfinite(value):
        raise ExpressionError(f"this gives {value}, which no resource can hold")
    if isinstance(value, (int, float)) or value is None or type(value) is str:
        return value
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _checked(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=lambda item: natural(str(item)))
    if isinstance(value, _SEQUENCES):
        items = []
        for item in value:
            items.append(_checked(item))
            bound(len(items))
        return items
    raise ExpressionError(
        f"this gives a {type(value).__name__}, which is not a value",
        "name one of its parts, e.g. .node" if hasattr(value, "node") else "",
    )


def _explained(error: Exception, scope: Scope) -> ExpressionError:
    mark = _template_line(error.__traceback__)
    if isinstance(error, ExpressionError):
        error.mark = error.mark or mark
        return error
    if isinstance(error, _UndefinedName):
        return _explain_undefined(error, scope, mark)
    if isinstance(error, SecurityError):
        return ExpressionError(f"not allowed: {error}", mark=mark)
    if isinstance(error, RecursionError):
        return ExpressionError("it calls itself without end", mark=mark)
    if isinstance(error, jinja2.TemplateError):
        return ExpressionError(str(error.message or error), mark=mark)
    text = " ".join(str(error).split())[:300]
    if "no loader for this environment" in text:
        text = "include, import and extends are not available; use template()"
    return ExpressionError(text or type(error).__name__, mark=mark)


def _explain_undefined(error: _UndefinedName, scope: Scope, mark: Mark | None) -> ExpressionError:
    if error.obj is missing and error.name is not None:
        known = [name for name in scope if name not in _ENVIRONMENT.globals and name != TICK]
        hint = suggest(error.name, known)
        return ExpressionError(f"{error.name!r} is undefined", hint, mark, error.name)
    if isinstance(error.obj, dict):
        known = [str(key) for key in error.obj]
        what = "this map" if known else "this empty map"
        hint = suggest(str(error.name), known, "it has")
        return ExpressionError(f"{what} has no {error.name!r}", hint, mark)
    return ExpressionError(str(error.message), mark=mark)


def _template_line(trace: TracebackType | None) -> Mark | None:
    """The innermost line of a template file in ``trace``."""
    found = None
    while trace is not None:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, jinja2.Template) and template.name:
            found = Mark(template.name, template.get_corresponding_lineno(trace.tb_lineno))
        trace = trace.tb_next
    return found
