"""Found links into a site's YAML: nothing is overwritten, comments stay. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from rackwright_proposals.load import load
from rackwright_proposals.marks import Map, Problems
from rackwright_proposals.names import natural
from rackwright_proposals.tree import YAML_SUFFIX

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9/._-]*(?::[A-Za-z0-9/._-]+)?")
"""What YAML needs no quotes for, but for the words that mean something."""
_WORDS = frozenset(["true", "false", "null", "yes", "no", "on", "off", "y", "n"])


class Adoption(msgspec.Struct, frozen=True):
    """A link to be written on ``node``: ``port: to``."""

    node: str
    port: str
    to: str
    evidence: str

    @property
    def line(self) -> str:
        """The entry as YAML."""
        return f"{_scalar(self.port)}: {_scalar(self.to)}"


class Adopted(msgspec.Struct, frozen=True):
    """What of the found links can be written, and why others cannot."""

    links: tuple[Adoption, ...]
    left: tuple[str, ...]


def adoptable(states: Sequence[Any]) -> Adopted:
    """Of ``states`` (`evidence.LinkState`, or what the store says of them) the found links whose both
    ends are known and that no other link has."""
    declared = {
        (node, port): f"{to}:{to_port}"
        for one in states
        if one.state != "found"
        for node, port, to, to_port in (
            (one.node, one.port, one.peer, one.peer_port),
            (one.peer, one.peer_port, one.node, one.port),
        )
    }
    found = [one for one in states if one.state == "found"]
    ends = [end for one in found for end in _ends(one)]
    links, left = [], []
    for one in found:
        (near, far), why = _ends(one), ""
        if not one.known:
            why = f"the site has no node {one.peer!r}"
        elif not far[1]:
            why = f"which port of {one.peer} it is, is not told"
        for end in (near, far):
            if end in declared:
                why = why or f"{':'.join(end)} is declared to {declared[end]}"
            elif ends.count(end) > 1:
                why = why or f"{':'.join(end)} is seen at several"
        if why:
            left.append(f"{':'.join(near)} to {':'.join(filter(None, far))}: {why}")
        else:
            said = one.evidence[0].says if one.evidence else ""
            links.append(Adoption(one.node, one.port, ":".join(far), said))
    return Adopted(tuple(links), tuple(left))


def _ends(one: Any) -> tuple[tuple[str, str], tuple[str, str]]:
    # A machine has one slot, which the examples call so; a chassis does not tell its name.
    port = "slot" if one.how == "slot" and not one.peer_port else one.peer_port
    return (one.node, one.port), (one.peer, port)


def written(
    files: Mapping[str, bytes], links: Iterable[Adoption]
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The files that change, with ``links`` in their nodes' documents, and the nodes whose document
    cannot be added to line by line (it is in flow style, or not there), each with its reason."""
    by_node: dict[str, list[Adoption]] = {}
    for link in links:
        by_node.setdefault(link.node, []).append(link)
    places = {
        str(document["node"]): (file, document)
        for file in sorted(files)
        if file.endswith(YAML_SUFFIX)
        for document in load(file, files[file], Problems())
        if "node" in document
    }
    edits: dict[str, list[tuple[int, list[str]]]] = {}
    left = []
    for node, wanted in by_node.items():
        file, document = places.get(node, ("", None))
        edit = _edit(document, files[file].decode(), wanted) if document is not None else None
        if edit is None:
            where = f"{document.mark}" if document is not None else "the site"
            left.append(f"node {node} at {where} is not written a line a key: add it by hand")
        else:
            edits.setdefault(file, []).append(edit)
    return {file: _inserted(files[file], made) for file, made in edits.items()}, tuple(left)


def _edit(document: Map, text: str, wanted: list[Adoption]) -> tuple[int, list[str]] | None:
    """The number of the line before which lines go, and these."""
    lines = text.splitlines()
    entries = [link.line for link in sorted(wanted, key=lambda link: natural(link.port))]
    links = document.get("links")
    if isinstance(links, Map) and links:
        first = links.key_at(next(iter(links)))
        indent = _indent(lines, first.line, first.column)
        if first.line <= document.key_at("links").line or indent is None:
            return None
        return first.line, [indent + entry for entry in entries]
    keys = [document.key_at(key) for key in document]
    if "links" in document or len(keys) < 2 or keys[1].line <= keys[0].line:
        return None
    indent = _indent(lines, keys[1].line, keys[1].column)
    if indent is None:
        return None
    return keys[1].line, [f"{indent}links:", *(f"{indent}  {entry}" for entry in entries)]


def _indent(lines: Sequence[str], line: int, column: int) -> str | None:
    """What stands before a key; None when that is not just space."""
    before = lines[line - 1][: column - 1]
    return before if not before.strip(" ") else None


def _inserted(content: bytes, edits: Iterable[tuple[int, list[str]]]) -> bytes:
    text = content.decode()
    end = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    for line, new in sorted(edits, reverse=True):
        lines[line - 1 : line - 1] = [entry + end for entry in new]
    return "".join(lines).encode()


def _scalar(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return msgspec.json.encode(text).decode()
