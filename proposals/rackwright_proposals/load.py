"""YAML text to marked data: every document of a file, and everything wrong with its YAML.

Built on libyaml's event stream, which neither recurses nor resolves, so that hostile input costs
no more than its size and every value keeps its line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from rackwright_proposals import scalars
from rackwright_proposals.marks import Map, Mark, Problems, Seq

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 50
MAX_VALUES = 500_000
"""Of one document, aliases counted as often as they are used."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"  # YAML 1.2, c-printable
)
_CORE_COLLECTIONS = {None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}


@dataclass(slots=True)
class _Value:
    """A finished value with what bounds its later use."""

    data: Any
    mark: Mark
    size: int = 1
    depth: int = 0


class _Open:
    """A mapping or sequence whose end has not come yet."""

    __slots__ = ("anchor", "data", "depth", "key", "key_mark", "keyed", "size")

    def __init__(self, data: Map | Seq, anchor: str | None) -> None:
        self.data = data
        self.anchor = anchor
        self.size = 1
        self.depth = 0
        self.keyed = False
        self.key: str | None = None
        self.key_mark = data.mark


class _GiveUp(Exception):
    """The rest of the file cannot be used; the problem has been noted."""


def load(file: str, content: bytes, problems: Problems) -> list[Map]:
    """All documents of one file, as far as they are mappings; the rest goes to ``problems``."""
    text = _decode(file, content, problems)
    if text is None:
        return []
    reader = _Reader(file, problems)
    loader = None
    try:
        loader = _Loader(text)
        while not isinstance(event := loader.get_event(), yaml.StreamEndEvent):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        _note_syntax(file, text, error, problems)
    except yaml.YAMLError as error:
        problems.add(f"this is not YAML: {error}", Mark(file, 1, 1))
    except _GiveUp:
        pass
    finally:
        if loader is not None:
            loader.dispose()
    return reader.documents


def _decode(file: str, content: bytes, problems: Problems) -> str | None:
    if len(content) > MAX_BYTES:
        problems.add(f"the file is larger than {MAX_BYTES >> 20} MiB", Mark(file, 1, 1))
        return None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        mark = Mark(file, before.count(b"\n") + 1, column)
        problems.add(f"byte 0x{content[error.start]:02x} is not UTF-8", mark, "save it as UTF-8")
        return None
    if odd := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, odd.start()) + 1
        column = odd.start() - text.rfind("\n", 0, odd.start())
        problems.add(
            f"the character U+{ord(odd[0]):04X} is not allowed in YAML",
            Mark(file, line, column),
            'write it as an escape in double quotes, e.g. "\\x00"',
        )
        return None
    return text


def _note_syntax(file: str, text: str, error: yaml.MarkedYAMLError, problems: Problems) -> None:
    at = error.problem_mark or error.context_mark
    mark = Mark(file, at.line + 1, at.column + 1) if at else Mark(file, 1, 1)
    problem = error.problem or "it cannot be read"
    hint = ""
    lines = text.split("\n", mark.line)
    if mark.line <= len(lines) and "\t" in lines[mark.line - 1][: mark.column]:
        hint = "YAML is indented with spaces, not with tabs"
    elif "mapping values are not allowed" in problem:
        hint = "quote a value that has ': ' in it"
    elif "undefined alias" in problem:
        hint = "an alias needs an anchor (&name) before it, in the same document"
    context = f"{error.context}, " if error.context else ""
    problems.add(f"YAML: {context}{problem}", mark, hint)


class _Reader:
    """Builds documents out of events."""

    def __init__(self, file: str, problems: Problems) -> None:
        self.file = file
        self.problems = problems
        self.documents: list[Map] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, _Value | None] = {}
        self._document = Mark(file, 1, 1)

    def take(self, event: Any) -> None:
        """The next event of the stream."""
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent):
            self._open(event, Map(self._mark(event)))
        elif isinstance(event, yaml.SequenceStartEvent):
            self._open(event, Seq(self._mark(event)))
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._document = self._mark(event)
            self._anchors.clear()

    def _mark(self, event: Any) -> Mark:
        return Mark(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _wants_key(self) -> bool:
        return (
            bool(self._stack)
            and isinstance(self._stack[-1].data, Map)
            and not self._stack[-1].keyed
        )

    def _scalar(self, event: Any) -> None:
        mark = self._mark(event)
        if self._wants_key():
            self._key(event, mark)
            return
        plain = event.implicit[0] and event.style in (None, "")
        try:
            if event.tag is not None and (event.tag == "!" or not any(event.implicit)):
                data = scalars.tagged(event.tag, event.value)
            else:
                data = scalars.resolve(event.value) if plain else event.value
        except ValueError as error:
            self.problems.add(str(error), mark)
            data = event.value
        self._finish(_Value(data, mark), event.anchor)

    def _key(self, event: Any, mark: Mark) -> None:
        top = self._stack[-1]
        top.keyed, top.key, top.key_mark = True, event.value, mark
        plain = event.style in (None, "")
        if event.anchor:
            self._anchors[event.anchor] = _Value(event.value, mark)
        if plain and event.value == "<<":
            self.problems.add(
                "merge keys (<<) are not part of YAML 1.2",
                mark,
                "maps of different levels merge by themselves; within one document write it out",
            )
            top.key = None
        elif plain and event.value in ("", "~", "null", "Null", "NULL"):
            self.problems.add("a key is missing here", mark, "write a name before the ':'")
            top.key = None
        elif isinstance(top.data, Map) and event.value in top.data:
            first = top.data.key_at(event.value)
            message = f"the key {event.value!r} stands twice, first at {first}"
            self.problems.add(message, mark, "leave one of them out, or put both into one")
            top.key = None

    def _open(self, event: Any, data: Map | Seq) -> None:
        if event.tag not in _CORE_COLLECTIONS:
            self.problems.add(f"the tag {event.tag} is not known here", data.mark)
        if len(self._stack) >= MAX_DEPTH:
            self.problems.add(f"nested deeper than {MAX_DEPTH} levels", data.mark)
            raise _GiveUp
        if event.anchor:
            self._anchors[event.anchor] = None
        if self._wants_key():
            self.problems.add("a key must be a plain name, not a list or a map", data.mark)
            top = self._stack[-1]
            # The collection is read to its end, then dropped, and so is the value that follows.
            opened = _Open(data, None)
            opened.key_mark = top.key_mark
            self._stack.append(opened)
            return
        self._stack.append(_Open(data, event.anchor))

    def _close(self) -> None:
        done = self._stack.pop()
        value = _Value(done.data, done.data.mark, done.size, done.depth + 1)
        if self._wants_key():
            self._stack[-1].keyed, self._stack[-1].key = True, None
            return
        self._finish(value, done.anchor)

    def _alias(self, event: Any) -> None:
        mark = self._mark(event)
        if event.anchor not in self._anchors:
            self.problems.add(f"the alias *{event.anchor} has no anchor before it", mark)
            value = _Value(None, mark)
        elif (found := self._anchors[event.anchor]) is None:
            self.problems.add(f"the alias *{event.anchor} stands inside what it names", mark)
            raise _GiveUp
        else:
            value = _Value(found.data, mark, found.size, found.depth)
        if self._wants_key():
            self.problems.add("an alias cannot be a key", mark, "write the name itself")
            self._stack[-1].keyed, self._stack[-1].key = True, None
            return
        self._finish(value, None)

    def _finish(self, value: _Value, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = value
        if not self._stack:
            self._end_document(value)
            return
        top = self._stack[-1]
        top.size += value.size
        top.depth = max(top.depth, value.depth)
        if top.size > MAX_VALUES:
            self.problems.add(f"more than {MAX_VALUES} values, aliases counted", value.mark)
            raise _GiveUp
        if len(self._stack) + value.depth > MAX_DEPTH:
            self.problems.add(f"nested deeper than {MAX_DEPTH} levels through an alias", value.mark)
            raise _GiveUp
        if isinstance(top.data, Seq):
            top.data.put(value.data, value.mark)
            return
        if top.key is not None:
            top.data.put(top.key, top.key_mark, value.data, value.mark)
        top.keyed = False

    def _end_document(self, value: _Value) -> None:
        if isinstance(value.data, Map) and value.data:
            self.documents.append(value.data)
        elif isinstance(value.data, Map) or value.data is None:
            self.problems.add("this document is empty", self._document, "remove its '---'")
        else:
            self.problems.add(
                "a document must be a map of keys and values",
                value.mark,
                "start it with site:, node:, role: or proposal:",
            )
