"""How a node is reached: each way's transport, its options, and from where it can be used."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from rackwright.model.resource import Resource, secret_fields
from rackwright.model.secret import MARKER
from rackwright.model.site import TRANSPORTS, Way
from rackwright_proposals import merge
from rackwright_proposals.marks import Map, Mark, Problems
from rackwright_proposals.names import suggest
from rackwright_proposals.properties import convert, wrong_value
from rackwright_proposals.shape import as_list, as_text, typename


def read_reach(
    of: str, document: Map, problems: Problems
) -> tuple[tuple[Way, ...], tuple[Mark, ...]]:
    """The ways under ``reach``, those that are wrong left out, and their marks."""
    entries = as_list(of, document, "reach", problems)
    if "reach" in document and document["reach"] == []:
        problems.add(f"reach of {of} is empty", document.at("reach"), "leave the key out")
    ways, marks = [], []
    for index, entry in enumerate(entries):
        mark = entries.at(index)
        if not isinstance(entry, Map):
            problems.add(
                f"a way to reach {of} must be a map, not {typename(entry)}",
                mark,
                f"e.g. - ssh: {{host: 10.0.0.2}}; transports: {', '.join(TRANSPORTS)}",
            )
        elif way := _read_way(of, entry, mark, problems):
            ways.append(way)
            marks.append(mark)
    return tuple(ways), tuple(marks)


def _read_way(of: str, entry: Map, mark: Mark, problems: Problems) -> Way | None:
    found = [key for key in entry if key in TRANSPORTS]
    for key in entry:
        if key not in TRANSPORTS and key not in ("network", "at"):
            hint = suggest(key, [*TRANSPORTS, "network", "at"], "it can have")
            problems.add(f"a way has no {key!r}", entry.key_at(key), hint)
    if len(found) != 1:
        names = " and ".join(found) if found else "none"
        problems.add(
            f"a way to reach {of} must have exactly one transport, not {names}",
            mark,
            "start another way with another '-'" if found else f"one of {', '.join(TRANSPORTS)}",
        )
        return None
    transport = found[0]
    options = entry[transport]
    if not isinstance(options, Map):
        problems.add(
            f"{transport} must be a map of its options, not {typename(options)}",
            entry.at(transport),
        )
        return None
    where = {
        key: as_text(key, entry[key], entry.at(key), problems)
        for key in ("network", "at")
        if key in entry
    }
    if len(where) == 2:
        problems.add("a way is used from a network or at one host, not both", entry.key_at("at"))
    read = _read_options(transport, options, problems)
    if read is None:
        return None
    network, at = where.get("network", ""), where.get("at", "")
    return Way(transport=transport, options=read, network=network, at=at)


def _read_options(transport: str, options: Map, problems: Problems) -> dict[str, Any] | None:
    wanted = TRANSPORTS[transport]
    fields = {field.name: field for field in msgspec.structs.fields(wanted)}
    # It reads the annotations alone, and these are the same kind of struct.
    secrets = secret_fields(cast("type[Resource]", wanted))
    data: dict[str, Any] = {}
    right = True
    for key, written in options.items():
        mark = options.at(key)
        if key not in fields:
            problems.add(
                f"{transport} has no option {key!r}",
                options.key_at(key),
                suggest(key, fields, "it has"),
            )
            right = False
            continue
        value = merge.plain(written, problems)
        if key in secrets and not (isinstance(value, str) and MARKER.fullmatch(value)):
            problems.add(
                f"{key} of {transport} stands here in clear",
                mark,
                f"a secret is never in the tree: write {key}: {{secret: NAME}}",
            )
            right = False
            continue
        wrong = convert(value, fields[key].type)
        if wrong.error:
            message, hint = wrong_value(f"{transport}.{key}", value, wrong.error, fields[key].type)
            problems.add(message, mark, hint)
            right = False
        else:
            data[key] = wrong.value
    for name, field in fields.items():
        if field.required and name not in options:
            problems.add(f"{transport} needs {name!r}", options.mark)
            right = False
    return data if right else None
