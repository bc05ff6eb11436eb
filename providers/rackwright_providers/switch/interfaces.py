"""One spelling for a port: ``Gi1/0/1``, ``gig 1/0/1`` and ``GigabitEthernet1/0/1`` are one port."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

# Full name → the short form in which IOS and IOS-XE show it. Short forms are recorded in
# `show interfaces status`; a prefix that fits one name only is understood too, as IOS does.
CISCO: Mapping[str, str] = {
    "Ethernet": "Et",
    "FastEthernet": "Fa",
    "GigabitEthernet": "Gi",
    "TwoGigabitEthernet": "Tw",
    "FiveGigabitEthernet": "Fi",
    "TenGigabitEthernet": "Te",
    "TwentyFiveGigE": "Twe",
    "FortyGigabitEthernet": "Fo",
    "FiftyGigE": "Fif",
    "HundredGigE": "Hu",
    "TwoHundredGigE": "Twoh",
    "FourHundredGigE": "Fou",
    "AppGigabitEthernet": "Ap",
    "Port-channel": "Po",
    "Vlan": "Vl",
    "Loopback": "Lo",
    "Tunnel": "Tu",
    "Serial": "Se",
    "Bluetooth": "Bl",
    "Wlan-GigabitEthernet": "Wl",
}

_PORT = re.compile(r"([A-Za-z][A-Za-z-]*?)\s*(\d+(?:[/.:]\d+)*)")


@functools.lru_cache(maxsize=8192)
def canonical(name: str) -> str:
    """The full name of a port. A kind that is not in the table is left as it is written.

    Raises ValueError for what cannot be a port's name, or may be several.
    """
    found = _PORT.fullmatch(name.strip())
    if found is None:
        raise ValueError(f"{name!r} is not a port's name")
    word, number = found[1].lower(), found[2]
    for full, short in CISCO.items():
        if word in (full.lower(), short.lower()):
            return full + number
    fitting = [full for full in CISCO if full.lower().startswith(word)]
    if len(fitting) > 1:
        raise ValueError(f"{name!r} may be {' or '.join(full + number for full in fitting)}")
    return (fitting[0] if fitting else found[1]) + number


def natural(name: str) -> tuple[str | int, ...]:
    """A key that sorts ``Gi1/0/2`` before ``Gi1/0/10``."""
    parts = re.split(r"(\d+)", name)
    return tuple(int(part) if at % 2 else part for at, part in enumerate(parts))


def spelling(name: str) -> str:
    """``name`` as sites and reports spell it, whatever the platform: Cisco's short forms in full,
    anything else as it is written."""
    found = _PORT.fullmatch(name)
    if found:
        for full, short in CISCO.items():
            if short == found[1]:
                return full + found[2]
    return name
