"""PortList (Q-BRIDGE-MIB, RFC 4363): a set of bridge ports as a bitmap. Pure.

The most significant bit of the first octet is port 1. Some agents leave trailing zero octets out, some
always send as many as the chassis could have ports. And some send something else altogether, so what
an agent means is judged by what else it says before anything is written: see `form`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from enum import IntEnum


class Form(IntEnum):
    """What an agent's PortLists are."""

    BITMAP = 1
    """As the RFC has it."""
    NUMBERS = 2
    """Decimal numbers as text, with commas between (recorded: Junos on MX). Read, never written."""
    UNKNOWN = 3
    """Neither (recorded: ICX 6430, pairs of 16-bit numbers; DES-3028, bits from the other end)."""


_BITS = tuple(tuple(bit for bit in range(8) if octet & 0x80 >> bit) for octet in range(256))
_TEXT = re.compile(rb"[0-9]+(?:[, ]+[0-9]+)*[, ]*")


def ports(data: bytes) -> frozenset[int]:
    """The ports in a bitmap."""
    return frozenset(
        place * 8 + bit + 1 for place, octet in enumerate(data) if octet for bit in _BITS[octet]
    )


def members(data: bytes, form: Form) -> frozenset[int] | None:
    """The ports in a list of this form; None where the form is not known."""
    if form is Form.BITMAP:
        return ports(data)
    return _numbers(data) if form is Form.NUMBERS else None


def changed(data: bytes, ports: Iterable[int], member: bool) -> bytes:
    """The bitmap with ``ports`` put in or taken out and every other bit as it is. It is as long as it
    was, and longer only where it does not reach a port that is put in."""
    octets = bytearray(data)
    for port in ports:
        place, bit = divmod(port - 1, 8)
        if member:
            octets.extend(bytes(max(0, place + 1 - len(octets))))
            octets[place] |= 0x80 >> bit
        elif place < len(octets):
            octets[place] &= 0xFF ^ (0x80 >> bit)
    return bytes(octets)


def same(one: bytes, other: bytes) -> bool:
    """Whether two bitmaps are one set: trailing zero octets mean nothing."""
    return one.rstrip(b"\0") == other.rstrip(b"\0")


def _numbers(data: bytes) -> frozenset[int] | None:
    text = data.rstrip(b"\0")
    if not text:
        return frozenset()
    return frozenset(map(int, re.findall(rb"[0-9]+", text))) if _TEXT.fullmatch(text) else None


def form(lists: Mapping[int, bytes], pvids: Mapping[int, int], known: Collection[int]) -> Form:
    """What an agent means by ``lists`` (dot1qVlanStaticEgressPorts by VLAN), judged by the ports that it
    has (``known``: dot1dBasePort) and the VLAN of untagged frames of each (``pvids``: dot1qPvid).

    A port is, as a rule, a member of the VLAN into which its untagged frames go; so a reading in which
    next to no port is, and which names ports that do not exist, is a wrong reading. Where nothing is
    in any list, nothing speaks against the RFC.
    """
    known = frozenset(known)
    found = {vlan: ports(data) for vlan, data in lists.items()}
    seen = frozenset().union(*found.values())
    reach = 8 * max((len(data) for data in lists.values()), default=0)
    own = {port: vlan for port, vlan in pvids.items() if port in known and port <= reach}
    pairs = [(port, vlan) for port, vlan in own.items() if vlan in found]
    fitting = sum(port in found[vlan] for port, vlan in pairs)
    texts = [_numbers(data) for data in lists.values()]
    if seen and None not in texts and not (len(pairs) > 3 and 2 * fitting >= len(pairs)):
        named = frozenset().union(*(text for text in texts if text))
        return Form.NUMBERS if named <= known else Form.UNKNOWN
    if pairs and 4 * fitting >= len(pairs):
        return Form.BITMAP
    if seen <= known:
        idle = sum(port not in seen for port in own)
        return Form.BITMAP if 2 * idle <= len(own) else Form.UNKNOWN
    return Form.UNKNOWN
