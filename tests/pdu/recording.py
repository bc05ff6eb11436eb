"""Recorded walks of PDUs as sessions that can only be read."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from rackwright_providers.transport.snmp import Value
from rackwright_providers.transport.snmp_value import Kind, numbers

KINDS: dict[str, Kind] = {"2": "integer", "65": "counter32", "66": "unsigned32"}
"""Numbers, by snmpsim's tags."""


class Recording:
    """A walk (``.snmprec``, see snmpsim), in the place of a session."""

    def __init__(self, path: Path) -> None:
        self.remembered: dict[str, Any] = {}
        self.stop = threading.Event()
        self.rows: dict[str, Value] = {}
        for line in path.read_text("latin-1").splitlines():
            oid, _, rest = line.partition("|")
            kind, _, text = rest.partition("|")
            tag, _, variation = kind.partition(":")
            if variation == "numeric":  # the recording's author lets it drift, from here
                text = dict(part.split("=") for part in text.split(",")).get("initial", "")
            if tag == "4x":
                self.rows[oid] = Value("octets", bytes.fromhex(text))
            elif tag == "4":
                self.rows[oid] = Value("octets", text.encode("latin-1"))
            elif tag == "6":
                self.rows[oid] = Value("oid", text)
            elif tag in KINDS and text.removeprefix("-").isdecimal():
                self.rows[oid] = Value(KINDS[tag], int(text))

    def get(self, *oids: str) -> dict[str, Value]:
        return {oid: self.rows[oid] for oid in oids if oid in self.rows}

    def walk(self, *bases: str, repetitions: int = 25) -> dict[str, Value]:
        found = [oid for oid in self.rows if oid.startswith(tuple(f"{base}." for base in bases))]
        return {oid: self.rows[oid] for oid in sorted(found, key=numbers)}
