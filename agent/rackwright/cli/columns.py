"""Tables that fit a terminal: wide columns are wrapped, and what has no room hangs below its row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import click

GAP = "  "
INDENT = "    "
NARROWEST = 24
"""Characters below which no column is narrowed: text in less is no longer read, but spelled."""

_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_INSIDE = re.compile(r"[^/:,]*[/:,]?")
"""Where a word that is too long for a line is broken: behind these."""


class Layout(NamedTuple):
    """How the columns of a table lie."""

    row: tuple[tuple[int, int], ...]
    """Column and width, of what stands side by side."""
    below: tuple[int, ...]
    """Columns that hang below their row, each on lines of its own."""


def layout(widths: Sequence[int], room: int | None) -> Layout:
    """What goes where in a terminal of ``room`` characters; None: anything fits."""
    row, below = list(range(len(widths))), list[int]()
    while True:
        found = _narrowed([widths[column] for column in row], room)
        if found is not None or len(row) == 1:
            kept = found or [room or widths[row[0]]]
            return Layout(tuple(zip(row, kept, strict=True)), tuple(sorted(below)))
        widest = max(row[1:], key=lambda column: (widths[column], column))
        row.remove(widest)
        below.append(widest)


def table_lines(
    head: Sequence[str], rows: Sequence[Sequence[str]], room: int | None
) -> Iterator[str]:
    """The lines of a table; cells may hold colour."""
    names = [name.upper() for name in head]
    widths = [max(map(width, column)) for column in zip(names, *rows, strict=True)]
    how = layout(widths, room)
    yield from _row([click.style(name, bold=True) if name else "" for name in names], how)
    label = max((len(head[column]) for column in how.below), default=0)
    for cells in rows:
        yield from _row(cells, how)
        for column in how.below:
            if not cells[column]:
                continue
            indent = f"{INDENT}{head[column]:<{label}}{GAP}" if label else INDENT
            left = max(NARROWEST // 2, (room or 0) - len(indent))
            for number, piece in enumerate(wrapped(cells[column], left)):
                yield (" " * len(indent) if number else indent) + piece


def _row(cells: Sequence[str], how: Layout) -> Iterator[str]:
    pieces = [wrapped(cells[column], size) for column, size in how.row]
    for number in range(max(map(len, pieces))):
        line = [texts[number] if number < len(texts) else "" for texts in pieces]
        if any(line) or not how.below:
            sizes = [size for _, size in how.row]
            yield GAP.join(
                cell + " " * (size - width(cell)) for cell, size in zip(line, sizes, strict=True)
            ).rstrip()


def _narrowed(widths: Sequence[int], room: int | None) -> list[int] | None:
    """``widths`` with the widest narrowed until all fit; None when they cannot be."""
    found = list(widths)
    over = sum(found) + len(GAP) * (len(found) - 1) - (room or 0)
    if room is None or over <= 0:
        return found
    if sum(max(0, size - NARROWEST) for size in found) < over:
        return None
    for _ in range(over):
        widest = max(range(len(found)), key=lambda column: (found[column], column))
        found[widest] -= 1
    return found


def wrapped(cell: str, size: int) -> list[str]:
    """``cell`` in lines of at most ``size`` characters, each with the colours that it has there."""
    plain = click.unstyle(cell)
    if len(plain) <= size:
        return [cell]
    found, begin, end = [], 0, 0
    for word in re.finditer(r"\S+", plain):
        if word.end() - begin <= size:
            end = word.end()
            continue
        if end > begin:
            found.append((begin, end))
        begin = end = word.start()
        for part in _INSIDE.finditer(plain, word.start(), word.end()):
            if part.end() - begin > size and end > begin:
                found.append((begin, end))
                begin = end
            while part.end() - begin > size:
                found.append((begin, begin + size))
                begin += size
            end = part.end()
    if end > begin:
        found.append((begin, end))
    return [_cut(cell, *piece) for piece in found]


def width(text: str) -> int:
    """How many characters a terminal shows of ``text``."""
    return len(click.unstyle(text))


def _cut(cell: str, begin: int, end: int) -> str:
    """The characters from ``begin`` to ``end`` of what is shown of ``cell``, in their colours."""
    if "\x1b" not in cell:
        return cell[begin:end]
    found, at, style = "", 0, ""
    for number, part in enumerate(re.split(f"({_STYLE.pattern})", cell)):
        if number % 2:
            style = "" if part == "\x1b[0m" else style + part
            continue
        text = part[max(0, begin - at) : max(0, end - at)]
        found += f"{style}{text}\x1b[0m" if style and text else text
        at += len(part)
    return found
