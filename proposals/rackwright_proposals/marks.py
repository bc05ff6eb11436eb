"""Plain data that remembers where it stands, and the collector of what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from rackwright.model.bundle import Origin
from rackwright.model.errors import Problem


class Mark(NamedTuple):
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Map(dict[str, Any]):
    """A YAML mapping with the marks of itself, its keys and its values."""

    __slots__ = ("key_marks", "mark", "value_marks")

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.mark = mark
        self.key_marks: dict[str, Mark] = {}
        self.value_marks: dict[str, Mark] = {}

    def put(self, key: str, key_mark: Mark, value: Any, value_mark: Mark) -> None:
        """Set ``key`` and remember where it and its value stand."""
        self[key] = value
        self.key_marks[key] = key_mark
        self.value_marks[key] = value_mark

    def at(self, key: str) -> Mark:
        """Where the value of ``key`` stands; without such a key, where the mapping does."""
        return self.value_marks.get(key, self.mark)

    def key_at(self, key: str) -> Mark:
        """Where ``key`` itself stands."""
        return self.key_marks.get(key, self.mark)


class Seq(list[Any]):
    """A YAML sequence with the marks of itself and its items."""

    __slots__ = ("item_marks", "mark")

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.mark = mark
        self.item_marks: list[Mark] = []

    def put(self, value: Any, mark: Mark) -> None:
        """Append ``value`` and remember where it stands."""
        self.append(value)
        self.item_marks.append(mark)

    def at(self, index: int) -> Mark:
        """Where item ``index`` stands."""
        return self.item_marks[index] if 0 <= index < len(self.item_marks) else self.mark


def mark_within(value: Any, mark: Mark, path: Iterable[str | int]) -> Mark:
    """Where the value at ``path`` inside ``value`` stands, as deep as the marks go."""
    for step in path:
        if isinstance(value, Map) and step in value:
            mark, value = value.at(str(step)), value[str(step)]
        elif isinstance(value, Seq) and isinstance(step, int) and step < len(value):
            mark, value = value.at(step), value[step]
        else:
            break
    return mark


class Problems:
    """Collects problems. One that several nodes share is told once, with the nodes' names."""

    def __init__(self) -> None:
        self._found: dict[Problem, list[str]] = {}

    def add(self, message: str, mark: Mark | None = None, hint: str = "", node: str = "") -> None:
        """Note one problem; ``node`` when it was seen while rendering that node."""
        place = mark or Mark("", 0)
        problem = Problem(message, hint, place.file, place.line, place.column)
        nodes = self._found.setdefault(problem, [])
        if node and node not in nodes:
            nodes.append(node)

    def take(self, other: Problems) -> None:
        """Add all that ``other`` has found."""
        for problem, nodes in other._found.items():
            mine = self._found.setdefault(problem, [])
            mine.extend(node for node in nodes if node not in mine)

    def __len__(self) -> int:
        return len(self._found)

    def listed(self) -> tuple[Problem, ...]:
        """All of them by file, line and column."""
        told = [
            problem._replace(message=problem.message + _on(nodes)) if nodes else problem
            for problem, nodes in self._found.items()
        ]
        return tuple(sorted(told, key=lambda item: (item.file, item.line, item.column, item[:2])))


def _on(nodes: list[str]) -> str:
    first = sorted(nodes)[0]
    rest = len(nodes) - 1
    return f", on {first}" + (f" and {rest} more" if rest else "")


def origin_of(
    mark: Mark, commit: str = "", *, role: str = "", proposal: str = "", node: str = ""
) -> Origin:
    """The origin that bundles carry for what stands at ``mark``."""
    return Origin(
        file=mark.file, line=mark.line, commit=commit, role=role, proposal=proposal, node=node
    )
