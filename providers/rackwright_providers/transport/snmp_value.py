"""SNMP values and error names as plain data, so that no type of the SNMP library leaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "integer", "octets", "oid", "address", "counter32", "unsigned32", "ticks", "opaque", "counter64"
]


@dataclass(frozen=True, slots=True)
class Value:
    """One value with its SNMP type: what an agent answered, or what is to be set."""

    kind: Kind
    data: int | bytes | str
    """int for numbers, bytes for octets and opaque, dotted text for oid and address."""

    @property
    def number(self) -> int | None:
        """The number, or None where the agent answered with something else (some answer texts)."""
        if isinstance(self.data, int):
            return self.data
        text = self.text.strip()
        return int(text) if text.isascii() and text.removeprefix("-").isdigit() else None

    @property
    def text(self) -> str:
        """As text: UTF-8, else Latin-1; trailing NULs, which some agents pad with, are dropped."""
        if not isinstance(self.data, bytes):
            return str(self.data)
        data = self.data.rstrip(b"\0")
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data.decode("latin-1")


def integer(number: int) -> Value:
    """Integer32 (INTEGER), ready to be set."""
    return Value("integer", number)


def unsigned(number: int) -> Value:
    """Unsigned32, which is Gauge32 on the wire."""
    return Value("unsigned32", number)


def octets(data: bytes | str) -> Value:
    """OCTET STRING; text is encoded as UTF-8."""
    return Value("octets", data.encode() if isinstance(data, str) else data)


ERRORS = (
    "noError",
    "tooBig",
    "noSuchName",
    "badValue",
    "readOnly",
    "genErr",
    "noAccess",
    "wrongType",
    "wrongLength",
    "wrongEncoding",
    "wrongValue",
    "noCreation",
    "inconsistentValue",
    "resourceUnavailable",
    "commitFailed",
    "undoFailed",
    "authorizationError",
    "notWritable",
    "inconsistentName",
)
"""Names of error-status by number, RFC 3416 section 3."""


def error_name(status: int) -> str:
    """The name of an error-status, or its number where there is none."""
    return ERRORS[status] if 0 <= status < len(ERRORS) else f"error {status}"


def numbers(oid: str) -> tuple[int, ...]:
    """``1.3.6.1`` as numbers, which sort in the order of the MIB."""
    return tuple(int(part) for part in oid.strip(".").split("."))
