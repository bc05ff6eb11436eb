"""How IOS reads a command line: keywords may be abbreviated, parameters are typed.

A grammar is a table of patterns such as ``switchport access vlan <1-4094>``. A pattern's words are
keywords, or one of these parameters: ``<1-4094>`` a number, ``<word>`` or ``<word32>`` one word,
``<line>`` the rest, ``<vlans>`` a VLAN list, ``<iface>`` an interface that exists or can be made,
``<range>`` interfaces as ``gi1/0/1-4,gi1/0/9``, ``<ip>`` a dotted quad, ``<mac>`` an address as ``0011.2233.4455``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from rackwright_sim.ios_config import Config

Action = Callable[..., Any]
Words = list[tuple[str, int]]
"""Each word with its position in the line."""

_WORD = re.compile(r"\S+")
_NUMBER = re.compile(r"<(\d+)-(\d+)>")
_SIZED = re.compile(r"<word(\d+)>")
_MAC = re.compile(r"(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}")
_RANGE_PART = re.compile(r"(?P<kind>[A-Za-z]+\s*)?(?P<path>(?:\d+/)*)(?P<first>\d+)")


@dataclass(frozen=True, slots=True)
class Match:
    """A line that means something: what to do, and its parameters."""

    action: Action
    arguments: tuple[Any, ...]
    verb: str
    """Its first keyword, in full."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A line that means nothing."""

    kind: str
    """``invalid``, ``incomplete`` or ``ambiguous``."""
    position: int = 0
    """Where in the line, for ``invalid``."""
    words: int = 0
    """How many words were understood: the reading that got further tells the truer error."""


@dataclass(slots=True)
class _State:
    keywords: dict[str, _State] = field(default_factory=dict)
    parameters: dict[str, _State] = field(default_factory=dict)
    action: Action | None = None


class Grammar:
    """The commands of one mode."""

    def __init__(
        self, table: Mapping[str, Action], elsewhere: Mapping[str, str] | None = None
    ) -> None:
        """``elsewhere``: keywords that a real device has and this one does not run, by the words
        before them. They make abbreviations as ambiguous here as they are there."""
        self._start = _State()
        for pattern, action in table.items():
            self._add(pattern.split()).action = action
        for before, keywords in (elsewhere or {}).items():
            for keyword in keywords.split():
                self._add([*before.split(), keyword])

    def _add(self, words: Iterable[str]) -> _State:
        state = self._start
        for word in words:
            into = state.parameters if word.startswith("<") else state.keywords
            state = into.setdefault(word, _State())
        return state

    def match(self, line: str, config: Config) -> Match | Mismatch:
        """Read ``line``, which is not blank."""
        words: Words = [(found[0], found.start()) for found in _WORD.finditer(line)]
        state, index, arguments = self._start, 0, []
        while index < len(words):
            word, position = words[index]
            chosen = _keywords(state, word.lower())
            if len(chosen) > 1:
                return Mismatch("ambiguous", position, index)
            if chosen:
                state, index = state.keywords[chosen[0]], index + 1
                continue
            for kind, following in state.parameters.items():
                value, used = _parameter(kind, line, words[index:], config)
                if used:
                    arguments.append(value)
                    state, index = following, index + used
                    break
            else:
                return Mismatch("invalid", position + _agreeing(state, word.lower()), index)
        if state.action is None:
            return Mismatch("incomplete", len(line), index)
        verb = _keywords(self._start, words[0][0].lower())
        return Match(state.action, tuple(arguments), verb[0] if verb else "")

    def following(self, line: str) -> list[str]:
        """The keywords and parameters that can follow ``line``: what ``?`` shows."""
        *done, last = [*line.split(), ""] if line.endswith(" ") or not line else line.split()
        state = self._start
        for word in done:
            chosen = _keywords(state, word.lower())
            if len(chosen) == 1:
                state = state.keywords[chosen[0]]
            elif not chosen and len(state.parameters) == 1:
                state = next(iter(state.parameters.values()))
            else:
                return []
        found = sorted(word for word in state.keywords if word.startswith(last.lower()))
        if not last:
            found += [word.strip("<>").upper() for word in state.parameters]
            found += ["<cr>"] if state.action else []
        return found


def _keywords(state: _State, word: str) -> list[str]:
    if word in state.keywords:
        return [word]
    return [keyword for keyword in state.keywords if keyword.startswith(word)]


def _agreeing(state: _State, word: str) -> int:
    """How many characters of ``word`` begin some keyword: IOS puts its caret behind them."""
    best = 0
    for keyword in state.keywords:
        count = 0
        for ours, theirs in zip(word, keyword, strict=False):
            if ours != theirs:
                break
            count += 1
        best = max(best, count)
    return best


def _parameter(kind: str, line: str, words: Words, config: Config) -> tuple[Any, int]:
    """The value of the parameter that ``words`` begin with, and how many of them it took."""
    word, position = words[0]
    if number := _NUMBER.fullmatch(kind):
        if word.isdecimal() and int(number[1]) <= int(word) <= int(number[2]):
            return int(word), 1
        return None, 0
    if sized := _SIZED.fullmatch(kind):
        return (word, 1) if len(word) <= int(sized[1]) else (None, 0)
    match kind:
        case "<line>":
            return line[position:].rstrip(), len(words)
        case "<word>" | "<vlans>":
            return word, 1
        case "<ip>":
            try:
                return str(IPv4Address(word)), 1
            except AddressValueError:
                return None, 0
        case "<mac>":
            return (word.lower(), 1) if _MAC.fullmatch(word) else (None, 0)
        case "<iface>":
            for count in (1, 2):
                name = config.interface(" ".join(text for text, _ in words[:count]))
                if name:
                    return name, min(count, len(words))
            return None, 0
        case "<range>":
            names = interface_range(line[position:], config)
            return names, len(words) if names else 0
    raise ValueError(f"no parameter is called {kind}")


def interface_range(text: str, config: Config) -> tuple[str, ...]:
    """``gi1/0/1 - 4, gi1/0/9`` as full names; nothing when any of them does not exist."""
    names: list[str] = []
    for part in text.split(","):
        low, _, high = (piece.strip() for piece in part.partition("-"))
        first = _RANGE_PART.fullmatch(low)
        last = _RANGE_PART.fullmatch(high or low)
        if not first or not last or not first["kind"]:
            return ()
        for number in range(int(first["first"]), int(last["first"]) + 1):
            name = config.interface(f"{first['kind'].strip()}{first['path']}{number}")
            if name is None:
                return ()
            names.append(name)
    return tuple(names)
