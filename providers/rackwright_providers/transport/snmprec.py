"""SNMP values as lines of a ``.snmprec`` file: ``OID|TYPE|VALUE``.

The type is the value's BER tag in decimal (RFC 3416), with an ``x`` where the value is in hex; see
"Managing data files" in snmpsim's documentation.
"""

from __future__ import annotations

from rackwright_providers.transport.snmp_value import Kind, Value

TAGS: dict[Kind, str] = {
    "integer": "2",
    "octets": "4",
    "oid": "6",
    "address": "64",
    "counter32": "65",
    "unsigned32": "66",
    "ticks": "67",
    "opaque": "68",
    "counter64": "70",
}
_KINDS = {tag: kind for kind, tag in TAGS.items()}


def line(oid: str, value: Value) -> str:
    """One line, without its end."""
    tag, data = TAGS[value.kind], value.data
    if not isinstance(data, bytes):
        return f"{oid}|{tag}|{data}"
    text = data.decode("latin-1")
    plain = text.isascii() and text.isprintable() and text == text.strip() and "|" not in text
    if value.kind == "opaque" or not plain:
        return f"{oid}|{tag}x|{data.hex()}"
    return f"{oid}|{tag}|{text}"


def parsed(text: str) -> tuple[str, Value]:
    """(OID, value) of a line. Raises ValueError."""
    oid, tag, data = text.split("|", 2)
    kind = _KINDS.get(tag.removesuffix("x"))
    if kind is None:
        raise ValueError(f"unknown type {tag!r}")
    if tag.endswith("x"):
        return oid, Value(kind, bytes.fromhex(data))
    if kind in ("octets", "opaque"):
        return oid, Value(kind, data.encode())
    return oid, Value(kind, data if kind in ("oid", "address") else int(data))
