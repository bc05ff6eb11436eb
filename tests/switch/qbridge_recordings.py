"""Recordings of real switches from PyPI's snmpsim-data, as far as they are of the MIBs read here."""

from __future__ import annotations

import bz2
from pathlib import Path

import pytest

from rackwright_providers.transport.snmp_value import Kind, Value

TREES = (
    "1.3.6.1.2.1.1.",
    "1.3.6.1.2.1.2.2.1.",
    "1.3.6.1.2.1.4.22.1.",
    "1.3.6.1.2.1.17.",
    "1.3.6.1.2.1.31.1.1.1.",
    "1.3.6.1.2.1.47.1.1.1.1.",
    "1.0.8802.1.1.2.1.",
)
KINDS: dict[str, Kind] = {
    "2": "integer",
    "4": "octets",
    "6": "oid",
    "64": "address",
    "65": "counter32",
    "66": "unsigned32",
    "67": "ticks",
    "70": "counter64",
}
"""By the ASN.1 tag with which a row of a recording begins; ``x`` after it: the value is in hex."""


def lines(name: str) -> list[str]:
    """The rows of recording ``name`` (``network/switch/cisco-c3560``) that are of these MIBs."""
    data = pytest.importorskip("snmpsim_data")
    packed = Path(data.__file__).parent / "data" / f"{name}.snmprec.bz2"
    text = bz2.decompress(packed.read_bytes()).decode("latin-1")
    return [line for line in text.split("\n") if line.startswith(TREES)]


def values(rows: list[str]) -> dict[str, Value]:
    """What an agent that is so recorded answers."""
    found = {}
    for row in rows:
        oid, tag, text = row.split("|", 2)
        if ":" in tag:  # made up by snmpsim at every question: a clock
            continue
        kind = KINDS[tag.rstrip("x")]
        data: int | bytes | str = text
        if kind == "octets":
            data = bytes.fromhex(text) if tag.endswith("x") else text.encode("latin-1")
        elif kind not in ("oid", "address"):
            data = int(text)
        found[oid] = Value(kind, data)
    return found
