"""Bounds on what one expression may cost: the sandbox keeps it from reaching out, this from growing.

Jinja's sandbox limits `range` alone. Here loops are counted, and every way to make text or a list
much larger than its parts (operators, paddings, joins) is checked before it is done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_OUTPUT = 2**20
"""Characters that one template may give, and items that one list may have."""
MAX_STEPS = 250_000
"""Loop turns that one evaluation may take."""
_MAX_BITS = 4096
TICK = "rackwright_tick"
_CONCAT = "rackwright_concat"
_PADDING = frozenset(("center", "expandtabs", "ljust", "rjust", "zfill"))
_WIDTH = re.compile(r"\d{6}|%[-+ 0#]*\*|\{[^}]*\{")


class Budget:
    """Counts the loop turns of one evaluation."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_STEPS

    def tick(self) -> str:
        """One turn. Raises SecurityError when they are used up."""
        self.left -= 1
        if self.left < 0:
            raise SecurityError(f"it takes more than {MAX_STEPS} loop turns")
        return ""


def bound(size: int) -> None:
    """Raise SecurityError for a size that nothing may have."""
    if size > MAX_OUTPUT:
        raise SecurityError(f"it grows above {MAX_OUTPUT} characters or items")


def join(parts: Iterable[str]) -> str:
    """The parts as one text, bounded."""
    kept, size = [], 0
    for part in parts:
        size += len(part)
        bound(size)
        kept.append(part)
    return "".join(kept)


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox without a way to run or grow without end."""

    intercepted_binops = frozenset(("+", "*", "**", "%"))
    concat = staticmethod(join)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        del self.globals["lipsum"]
        self.globals[_CONCAT] = lambda *parts: join(map(str, parts))
        for name in ("batch", "center", "indent", "slice", "tojson"):
            self.filters[name] = _sized(self.filters[name])
        self.filters["format"] = _bounded_format
        self.filters["join"] = _bounded_join
        self.filters["replace"] = _bounded_replace

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """An operator, its result's size checked first."""
        if operator in ("*", "**") and isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * right if operator == "**" else _bits(left) + _bits(right)
            if bits > _MAX_BITS:
                raise SecurityError(f"a number of more than {_MAX_BITS} bits")
        elif operator == "*":
            for sized, times in ((left, right), (right, left)):
                if isinstance(sized, (str, bytes, list, tuple)) and isinstance(times, int):
                    bound(len(sized) * times)
        elif operator == "%" and isinstance(left, str):
            _check_widths(left)
        elif operator == "+" and hasattr(left, "__len__") and hasattr(right, "__len__"):
            bound(len(left) + len(right))
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """A call, the sizes that a string's method would make checked first."""
        text = getattr(obj, "__self__", None)
        if isinstance(text, str):
            name = getattr(obj, "__name__", "")
            if name in _PADDING:
                bound(max((arg for arg in args if isinstance(arg, int)), default=0))
            elif name == "join" and args:
                return _bounded_join(args[0], text)
            elif name == "replace" and len(args) >= 2:
                return _bounded_replace(text, *args)
        return super().call(context, obj, *args, **kwargs)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An item. Keys of maps are text, as in JSON: vlans[666] is the same as vlans['666']."""
        if isinstance(obj, dict) and isinstance(argument, int) and not isinstance(argument, bool):
            argument = str(argument)
        return super().getitem(obj, argument)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """The sandbox's own str.format, the widths in the text checked first."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None

        def checked(*args: Any, **kwargs: Any) -> str:
            _check_widths(value.__self__)
            return wrapped(*args, **kwargs)

        return checked

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return _metered(super()._parse(source, name, filename))


def _metered(tree: nodes.Template) -> nodes.Template:
    """``tree`` with a tick in the body of every loop and macro, and with a bounded ``~``."""
    for node in tree.find_all((nodes.For, nodes.Macro, nodes.CallBlock)):
        if isinstance(node, (nodes.For, nodes.Macro, nodes.CallBlock)):
            node.body.insert(0, nodes.ExprStmt(_call(TICK, [], node.lineno), lineno=node.lineno))
    _replace_concat(tree)
    return tree


def _replace_concat(node: nodes.Node) -> None:
    for name, value in node.iter_fields():
        if isinstance(value, nodes.Node):
            _replace_concat(value)
            if isinstance(value, nodes.Concat):
                setattr(node, name, _call(_CONCAT, value.nodes, value.lineno))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, nodes.Node):
                    _replace_concat(item)
                    if isinstance(item, nodes.Concat):
                        value[index] = _call(_CONCAT, item.nodes, item.lineno)


def _call(function: str, args: list[nodes.Expr], line: int) -> nodes.Call:
    return nodes.Call(nodes.Name(function, "load", lineno=line), args, [], None, None, lineno=line)


def _bits(number: int) -> int:
    return number.bit_length()


def _check_widths(pattern: str) -> None:
    if _WIDTH.search(pattern):
        raise SecurityError("a width of six digits, or one that is computed")


def _sized(function: Callable[..., Any]) -> Callable[..., Any]:
    def bounded(*args: Any, **kwargs: Any) -> Any:
        for arg in (*args, *kwargs.values()):
            if isinstance(arg, int):
                bound(arg)
        return function(*args, **kwargs)

    bounded.__dict__.update(function.__dict__)  # Jinja's note of what it passes first
    return bounded


def _bounded_format(pattern: str, *args: Any, **kwargs: Any) -> str:
    _check_widths(str(pattern))
    return str(pattern) % (kwargs or args)


def _bounded_join(items: Iterable[Any], separator: str = "", attribute: str | None = None) -> str:
    parts = []
    for item in items:
        if attribute is not None:
            item = item[attribute] if isinstance(item, dict) else getattr(item, attribute)
        parts.append(str(item))
        parts.append(separator)
        bound(len(parts))
    return join(parts[:-1])


def _bounded_replace(text: str, old: str, new: str, count: int = -1) -> str:
    text, old, new = str(text), str(old), str(new)
    bound(len(text) + text.count(old) * len(new))
    return text.replace(old, new, -1 if count is None else count)
