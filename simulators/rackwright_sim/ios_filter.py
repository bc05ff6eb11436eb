"""What stands behind a ``|`` on IOS and those like it: ``include``, ``exclude``, ``begin``, ``section``."""

from __future__ import annotations

import re

_FILTERS = ("begin", "exclude", "include", "section")


def apply_filter(filter_: str, text: str) -> str | None:
    """The lines of ``text`` that ``include RE`` and its like let through; None when it is none."""
    word, _, pattern = filter_.strip().partition(" ")
    names = [name for name in _FILTERS if word and name.startswith(word.lower())]
    if len(names) != 1 or not pattern:
        return None
    try:
        wanted = re.compile(pattern.strip())
    except re.error:
        wanted = re.compile(re.escape(pattern.strip()))
    lines = text.splitlines()
    match names[0]:
        case "include":
            kept = [line for line in lines if wanted.search(line)]
        case "exclude":
            kept = [line for line in lines if not wanted.search(line)]
        case "begin":
            first = next((n for n, line in enumerate(lines) if wanted.search(line)), len(lines))
            kept = lines[first:]
        case _:
            kept = _sections(lines, wanted)
    return "".join(f"{line}\n" for line in kept)


def _sections(lines: list[str], wanted: re.Pattern[str]) -> list[str]:
    kept: list[str] = []
    inside = -1
    for line in lines:
        depth = len(line) - len(line.lstrip())
        if inside >= 0 and depth > inside:
            kept.append(line)
            continue
        inside = depth if wanted.search(line) else -1
        if inside >= 0:
            kept.append(line)
    return kept
