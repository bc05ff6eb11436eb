"""What IPMI messages say, and the messages for a change. Pure.

Tables are those of IPMI 2.0 (revision 1.1), and of the Platform Management FRU Information Storage
Definition 1.3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from rackwright_providers.transport.ipmi import BMC, Request

CHASSIS, APP, STORAGE = 0x00, 0x06, 0x0A
"""Network functions; table 5-1."""

CONTROL: Mapping[str, int] = {"off": 0, "on": 1, "graceful": 5}
"""Chassis Control (28.3): power down, power up, soft shutdown by emulating a fatal overtemperature."""

Boot = Literal["none", "pxe", "disk", "cdrom", "usb", "bios"]
BOOT: Mapping[Boot, int] = {"none": 0, "pxe": 1, "disk": 2, "cdrom": 5, "bios": 6, "usb": 15}
"""Boot device selector; table 28-14. 15 is the primary removable medium."""
BOOT_BY_SELECTOR: Mapping[int, Boot] = {selector: boot for boot, selector in BOOT.items()}
BOOT_FLAGS, BOOT_ACK, BOOT_KEPT = 5, 4, 3
"""Boot option parameters; table 28-14."""
VALID, PERSISTENT, UEFI = 0x80, 0x40, 0x20
KEPT = 0x1F
"""In parameter 3: boot flags stay valid after every kind of start, and when none comes in 60 s."""

LAST_RECORD = 0xFFFF
LOCATOR = 0x12
"""SDR type of a management controller device locator; 43.9."""
CHUNK = 16
"""Octets of a FRU in one answer, which fits every controller's buffers."""

FAULTS: Sequence[tuple[int, int, str]] = (
    (0, 0x02, "power overload"),
    (0, 0x04, "interlock"),
    (0, 0x08, "main power fault"),
    (0, 0x10, "power control fault"),
    (2, 0x04, "drive fault"),
    (2, 0x08, "cooling fault"),
)
"""(octet, bit) of Get Chassis Status' answer; 28.2."""


class Locator(NamedTuple):
    """A management controller that the SDR repository names."""

    target: int
    channel: int
    name: str


def status_request(target: int) -> Request:
    """Get Chassis Status."""
    return Request(target, CHASSIS, 0x01)


def boot_request(target: int) -> Request:
    """Get System Boot Options: the boot flags."""
    return Request(target, CHASSIS, 0x09, bytes([BOOT_FLAGS, 0, 0]))


def control_request(target: int, what: str) -> Request:
    """Chassis Control, for a key of `CONTROL`."""
    return Request(target, CHASSIS, 0x02, bytes([CONTROL[what]]))


def boot_requests(target: int, boot: Boot, before: bytes = b"") -> tuple[Request, ...]:
    """Set System Boot Options, so that they stay; ``before`` is the boot flags' last answer, whose
    choice between BIOS and UEFI is kept."""
    uefi = before[2] & UEFI if len(before) > 2 else 0
    flags = [BOOT_FLAGS, VALID | PERSISTENT | uefi, BOOT[boot] << 2, 0, 0, 0]
    bodies = ([BOOT_KEPT, KEPT], [BOOT_ACK, 1, 1], flags)
    return tuple(Request(target, CHASSIS, 0x08, bytes(body)) for body in bodies)


def power(answer: bytes) -> Literal["on", "off"] | None:
    """In Get Chassis Status' answer."""
    if not answer:
        return None
    return "on" if answer[0] & 0x01 else "off"


def health(answer: bytes) -> str:
    """``OK``, or what is wrong, likewise."""
    wrong = [name for at, bit, name in FAULTS if at < len(answer) and answer[at] & bit]
    return ", ".join(wrong) or "OK"


def boot(answer: bytes) -> Boot | None:
    """In the answer with the boot flags; what is for the next start only is none."""
    if len(answer) < 4 or answer[1] & 0x7F != BOOT_FLAGS:
        return None
    if answer[2] & (VALID | PERSISTENT) != VALID | PERSISTENT:
        return "none"
    return BOOT_BY_SELECTOR.get(answer[3] >> 2 & 0x0F)


def record_request(record: int) -> Request:
    """Get SDR: all of a record, from its beginning, for which no reservation is needed."""
    return Request(BMC, STORAGE, 0x23, bytes([0, 0, record & 0xFF, record >> 8, 0, 0xFF]))


def next_record(answer: bytes) -> int:
    """The record after the one in ``answer``."""
    return int.from_bytes(answer[:2], "little") if len(answer) > 2 else LAST_RECORD


def locator(answer: bytes) -> Locator | None:
    """The controller that a record names, if it names one."""
    record = answer[2:]
    if len(record) < 16 or record[3] != LOCATOR:
        return None
    name = field(record[15:])[0] or f"{record[5] & 0xFE:#04x}"
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")
    return Locator(record[5] & 0xFE, record[6] & 0x0F, plain)


def device(answer: bytes) -> dict[str, str]:
    """Facts in Get Device ID's answer; 20.1."""
    if len(answer) < 11:
        return {}
    major, minor = answer[2] & 0x7F, answer[3]
    version = answer[4]
    return {
        "firmware": f"{major}.{minor:02x}",
        "ipmi": f"{version & 0x0F}.{version >> 4}",
        "manufacturer_id": str(int.from_bytes(answer[6:9], "little") & 0xFFFFF),
        "product_id": f"{int.from_bytes(answer[9:11], 'little'):#06x}",
    }


def fru_requests(target: int, size: int) -> tuple[Request, ...]:
    """Read FRU Data: the first ``size`` octets of a controller's own FRU."""
    return tuple(
        Request(target, STORAGE, 0x11, bytes([0, at & 0xFF, at >> 8, min(CHUNK, size - at)]))
        for at in range(0, size, CHUNK)
    )


def fru(data: bytes) -> dict[str, str]:
    """Facts in a FRU: the product's, and the board's where it has none. Empty when it is damaged."""
    if len(data) < 8 or data[0] & 0x0F != 1 or sum(data[:8]) & 0xFF:
        return {}
    board = fields(data, data[3] * 8, 6)
    product = fields(data, data[4] * 8, 3)
    found = dict(zip(("manufacturer", "model", "serial", "part"), board, strict=False))
    named = dict(zip(("manufacturer", "model", "part", "version", "serial"), product, strict=False))
    found |= {name: text for name, text in named.items() if text}
    return {name: text for name, text in found.items() if text}


def fields(data: bytes, offset: int, skip: int) -> list[str]:
    """The fields of an information area that begins with ``skip`` octets of something else."""
    area = data[offset : offset + data[offset + 1] * 8] if 0 < offset < len(data) - 1 else b""
    if not area or sum(area) & 0xFF:
        return []
    found, at = [], skip
    while at < len(area) and area[at] != 0xC1:
        text, length = field(area[at:])
        found.append(text)
        at += 1 + length
    return found


SIX_BIT = "".join(chr(code) for code in range(0x20, 0x60))
BCD = "0123456789 -.???"


def field(data: bytes) -> tuple[str, int]:
    """A type/length octet with its text, and that length; section 13 of the FRU definition."""
    kind, length = data[0] >> 6, data[0] & 0x3F
    raw = data[1 : 1 + length]
    if kind == 0:
        text = raw.hex()
    elif kind == 1:
        text = "".join(BCD[octet >> 4] + BCD[octet & 0x0F] for octet in raw)
    elif kind == 2:
        bits = int.from_bytes(raw, "little")
        text = "".join(SIX_BIT[bits >> 6 * at & 0x3F] for at in range(len(raw) * 8 // 6))
    else:
        text = raw.decode("latin-1")
    return "".join(char for char in text if char.isprintable()).strip(), length
