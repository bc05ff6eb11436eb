"""Secrets travel as references; the value is put in at the last moment and masked everywhere else.

Wherever a site says ``{secret: NAME}``, rendered values hold the marker ``⟦secret:NAME⟧``, also in
the middle of a template's text. Only `reveal` turns markers into values, and what it returns must
never be stored, logged or reported.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from rackwright.model.errors import Permanent

MARKER = re.compile(r"⟦secret:([A-Za-z0-9][A-Za-z0-9._-]*)⟧")
MASK = "‹secret›"
SHORT = 4
"""Characters. A shorter secret is masked only where it stands by itself: within words its letters stand by
chance, and a mask there would tell it (``e‹secret›ample.org``)."""

Secret = msgspec.Meta(extra={"secret": True})
"""Annotates a resource's field that is never shown, whatever it holds: ``Annotated[str, Secret]``."""


def marker(name: str) -> str:
    """The reference to secret ``name`` as it stands in rendered values."""
    return f"⟦secret:{name}⟧"


def names_in(value: Any) -> frozenset[str]:
    """Names of the secrets that ``value`` (plain data) refers to."""
    if isinstance(value, str):
        return frozenset(MARKER.findall(value)) if "⟦" in value else frozenset()
    if isinstance(value, Mapping):
        return frozenset().union(*(names_in(item) for item in value.values()))
    if isinstance(value, (list, tuple)):
        return frozenset().union(*(names_in(item) for item in value))
    return frozenset()


def reveal(value: Any, secrets: Mapping[str, str]) -> Any:
    """``value`` (plain data) with every marker replaced. Raises Permanent for a secret we lack."""
    if isinstance(value, str):
        return (
            MARKER.sub(lambda found: _look_up(found[1], secrets), value) if "⟦" in value else value
        )
    if isinstance(value, Mapping):
        return {key: reveal(item, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [reveal(item, secrets) for item in value]
    return value


def _look_up(name: str, secrets: Mapping[str, str]) -> str:
    try:
        return secrets[name]
    except KeyError:
        raise Permanent(
            f"secret {name!r} is not among this host's secrets: add it to the file or directory "
            "that --secrets names (STATE/secrets without it)"
        ) from None


class Masker:
    """Replaces known secret values in any text that leaves the process."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._pattern = _any_of(frozenset(values))

    @property
    def idle(self) -> bool:
        """Whether there is nothing to mask."""
        return self._pattern is None

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where known secrets stand in ``text``."""
        return [found.span() for found in self._pattern.finditer(text)] if self._pattern else []

    def text(self, text: str) -> str:
        """``text`` with every known secret masked."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def data(self, value: Any) -> Any:
        """Plain data with every known secret masked."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.data(key): self.data(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.data(item) for item in value]
        return value


@functools.lru_cache(maxsize=16)
def _any_of(values: frozenset[str]) -> re.Pattern[str] | None:
    """Kept for the many nodes of a delegate, which share their secrets."""
    # Longest first, so that a secret that contains another is masked whole. Multi-line secrets
    # (keys) are masked line by line too, since devices and logs fold them; and the line break that
    # a file or a YAML block leaves at the end is not on the wire.
    parts = {part for value in values for part in (value, value.strip()) if part.strip()}
    parts |= {line for value in parts for line in value.splitlines() if len(line) >= 8}
    parts |= {spelt for part in parts for spelt in _spellings(part)}
    ordered = sorted(parts, key=len, reverse=True)
    return re.compile("|".join(map(_pattern, ordered))) if ordered else None


def _pattern(part: str) -> str:
    if len(part) >= SHORT:
        return re.escape(part)
    # What stands before it may be a line break as messages quote it.
    return rf"(?:(?<!\w)|(?<=\\[abfnrtv])){re.escape(part)}(?!\w)"


def _spellings(text: str) -> Iterator[str]:
    """How messages quote ``text``: as Python, as JSON, for a shell."""
    yield repr(text)[1:-1]
    # Python takes double quotes where only single ones stand in the text.
    yield repr('"' + text)[2:-1]
    yield msgspec.json.encode(text).decode(errors="replace")[1:-1]
    yield text.replace("'", "'\"'\"'")
    if not text.isascii():
        import json  # few secrets need it

        yield ascii(text)[1:-1]
        yield json.dumps(text)[1:-1]
