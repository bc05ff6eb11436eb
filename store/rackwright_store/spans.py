"""Lengths of time in texts for people."""

from __future__ import annotations


def span(seconds: float) -> str:
    """A length of time as people say it."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
