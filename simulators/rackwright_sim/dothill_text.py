"""How a management controller of the Dot Hill family writes tables, and reads sizes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from rackwright_sim.https_server import Answer

Tables = dict[str, list[dict[str, Any]]]
"""Rows by basetype; a row may hold lists of rows."""

UNITS = {"": 1, "B": 1}
UNITS |= {f"{letter}IB": 2 ** (10 * power) for power, letter in enumerate("KMGT", start=1)}
UNITS |= {f"{letter}B": 10 ** (3 * power) for power, letter in enumerate("KMGT", start=1)}


def answered(tables: Tables, *, as_xml: bool) -> Answer:
    """As JSON, or as older firmware writes it."""
    if as_xml:
        return Answer(200, _xml(tables).encode(), {"Content-Type": "text/xml"})
    body = {
        basetype: [{"object-name": _OBJECTS.get(basetype, basetype), **row} for row in rows]
        for basetype, rows in tables.items()
    }
    return Answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})


def size_of(size: str) -> int:
    """Bytes; 0 for what is no size."""
    found = re.fullmatch(r"(\d+)([A-Za-z]*)", size)
    return int(found[1]) * UNITS.get(found[2].upper(), 0) if found else 0


_OBJECTS = {"volumes": "volume", "controllers": "controller"}
"""What the objects of a basetype are called, where it is not the basetype's name."""


def _xml(tables: Tables) -> str:
    """As older firmware writes it: the objects of a volume follow it."""
    objects: list[str] = []
    for basetype, rows in tables.items():
        for row in rows:
            _object(objects, basetype, row)
    body = "\n".join(objects)
    return f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<RESPONSE VERSION="L100">\n{body}\n</RESPONSE>\n'


def _object(objects: list[str], basetype: str, row: Mapping[str, Any]) -> None:
    name = str(row.get("object-name", _OBJECTS.get(basetype, basetype)))
    number = len(objects) + 1
    lines = [
        f"  <PROPERTY name={quoteattr(key)}>{escape(str(value))}</PROPERTY>"
        for key, value in row.items()
        if not isinstance(value, list) and key != "object-name"
    ]
    head = f'<OBJECT basetype="{basetype}" name={quoteattr(name)} oid="{number}" format="rows">'
    objects.append("\n".join([head, *lines, "</OBJECT>"]))
    for key, value in row.items():
        for nested in value if isinstance(value, list) else ():
            _object(objects, key, nested)
