"""SNMPv2c messages (RFC 1901, RFC 3416) to and from BER (X.690).

By hand: pysnmp takes a fifth of a millisecond for a binding, and a walk over 4,094 VLANs is then
seconds of nothing but coding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rackwright_sim.snmp_agent import Gauge, Oid, Path, Scalar, Ticks

VERSION = 1  # RFC 1901: version-2c
INTEGER, OCTETS, OID, SEQUENCE = 0x02, 0x04, 0x06, 0x30
GAUGE, TICKS = 0x42, 0x43  # RFC 2578, section 7.1
NO_SUCH_INSTANCE, END_OF_MIB_VIEW = b"\x81\x00", b"\x82\x00"
GET, GET_NEXT, RESPONSE, SET, GET_BULK = 0xA0, 0xA1, 0xA2, 0xA3, 0xA5
ERRORS = (
    "noError", "tooBig", "noSuchName", "badValue", "readOnly", "genErr", "noAccess", "wrongType",
    "wrongLength", "wrongEncoding", "wrongValue", "noCreation", "inconsistentValue",
    "resourceUnavailable", "commitFailed", "undoFailed", "authorizationError", "notWritable",
    "inconsistentName",
)  # fmt: skip
"""By error-status."""
Coded = tuple[Path, bytes]
"""A binding: the name, and the value as it is on the wire."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message. ``first`` and ``second`` are error-status and error-index, or of a GETBULK
    non-repeaters and max-repetitions."""

    community: str
    kind: int
    number: int
    first: int
    second: int
    bindings: tuple[Coded, ...]


def is_v2c(datagram: bytes) -> bool:
    """Whether it begins as a message of this version does."""
    try:
        _, start, _ = _element(datagram, 0)
        tag, start, end = _element(datagram, start)
    except IndexError:
        return False
    return tag == INTEGER and datagram[start:end] == bytes([VERSION])


def decoded(datagram: bytes) -> Message:
    """The message. Raises ValueError where it is broken."""
    try:
        _, start, end = _element(datagram, 0)
        if end != len(datagram):
            raise ValueError("cut short")
        _, _, start = _element(datagram, start)
        _, begin, start = _element(datagram, start)
        community = datagram[begin:start].decode(errors="replace")
        kind, start, _ = _element(datagram, start)
        numbers = []
        for _ in range(3):
            _, begin, start = _element(datagram, start)
            numbers.append(int.from_bytes(datagram[begin:start], signed=True))
        _, start, end = _element(datagram, start)
        bindings = []
        while start < end:
            _, begin, start = _element(datagram, start)
            _, begin, value = _element(datagram, begin)
            bindings.append((_path(datagram[begin:value]), datagram[value:start]))
    except IndexError:
        raise ValueError("cut short") from None
    return Message(community, kind, *numbers, tuple(bindings))


def encoded(message: Message) -> bytes:
    """The message as it is sent."""
    bindings = b"".join(
        _tagged(SEQUENCE, _tagged(OID, _subidentifiers(path)) + value)
        for path, value in message.bindings
    )
    numbers = b"".join(map(_number, (message.number, message.first, message.second)))
    pdu = _tagged(message.kind, numbers + _tagged(SEQUENCE, bindings))
    community = _tagged(OCTETS, message.community.encode())
    return _tagged(SEQUENCE, _number(VERSION) + community + pdu)


def wired(value: Scalar) -> bytes:
    """A value as it is on the wire."""
    if isinstance(value, Oid):
        return _tagged(OID, _subidentifiers(tuple(map(int, value.split(".")))))
    if isinstance(value, str):
        return _tagged(OCTETS, value.encode())
    if isinstance(value, bytes):
        return _tagged(OCTETS, value)
    if isinstance(value, Gauge):
        return _number(value, GAUGE)
    return _number(value, TICKS if isinstance(value, Ticks) else INTEGER)


def plain(value: bytes) -> Scalar:
    """The value that is on the wire. Raises ValueError for a type that no object here has."""
    tag, start, end = _element(value, 0)
    content = value[start:end]
    if tag == OCTETS:
        return content
    if tag == OID:
        return Oid(".".join(map(str, _path(content))))
    if tag not in (INTEGER, GAUGE, TICKS):
        raise ValueError(f"type {tag:#x}")
    number = int.from_bytes(content, signed=True)
    return {INTEGER: int, GAUGE: Gauge, TICKS: Ticks}[tag](number)


def _element(data: bytes, at: int) -> tuple[int, int, int]:
    """Tag, start and end of the content of the element at ``at``. Raises IndexError."""
    size, start = data[at + 1], at + 2
    if size & 0x80:
        octets = size & 0x7F
        data[start + octets - 1]
        size, start = int.from_bytes(data[start : start + octets]), start + octets
    if start + size > len(data):
        raise IndexError
    return data[at], start, start + size


def _path(content: bytes) -> Path:
    arcs, arc = [], 0
    for octet in content:
        arc = arc << 7 | octet & 0x7F
        if octet < 0x80:
            arcs.append(arc)
            arc = 0
    if not arcs:
        raise ValueError("an empty name")
    first = min(arcs[0] // 40, 2)
    return (first, arcs[0] - 40 * first, *arcs[1:])


def _subidentifiers(path: Iterable[int]) -> bytes:
    first, second, *rest = path
    found = bytearray()
    for arc in (40 * first + second, *rest):
        if arc < 0x80:
            found.append(arc)
            continue
        for shift in range((arc.bit_length() - 1) // 7 * 7, 0, -7):
            found.append(arc >> shift & 0x7F | 0x80)
        found.append(arc & 0x7F)
    return bytes(found)


def _number(number: int, tag: int = INTEGER) -> bytes:
    """Two's complement in as few octets as hold it."""
    size = (number + (number < 0)).bit_length() // 8 + 1
    return bytes([tag, size]) + number.to_bytes(size, signed=True)


def _tagged(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + content
