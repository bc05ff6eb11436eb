"""Facts: what discovery found on one node."""

from __future__ import annotations

from typing import Any

import msgspec


class FoundLink(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, order=True):
    """One end of a link as the device sees it."""

    port: str
    """Our port, by its canonical name."""
    peer: str
    """What the device says of the far end: system name, MAC address, serial number, UUID or IQN."""
    peer_port: str = ""
    """Its port; of a target, its portal."""
    how: str = "lldp"
    """``lldp``, ``mac``, ``slot`` or ``iqn``."""


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Facts as plain data by name, and the link ends seen. Nothing that changes by itself every
    second belongs here: a changed fact makes the store render again."""

    values: dict[str, Any] = {}
    links: tuple[FoundLink, ...] = ()
