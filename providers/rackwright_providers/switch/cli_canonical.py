"""Declarations in a device's own spelling, as far as command lines that look like Cisco's agree. Pure.

What a platform has of its own (names, numbers, characters) it says by `Manner`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec import structs

from rackwright.model.errors import Permanent
from rackwright_providers.switch import vlanset
from rackwright_providers.switch.resources import (
    Lag,
    LocalUser,
    Port,
    SnmpCommunity,
    SwitchPort,
)

PRINTABLE = re.compile(r"[\x20-\x7e]*")
WORD = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """What one platform can hold."""

    system: str
    """Its name in what people are told."""
    interface: Callable[[str], str]
    """The full name of an interface; raises ValueError."""
    switching: str
    """How the names of physical ports begin that switch,"""
    management: str
    """and of those that do not."""
    channel: str
    """How it calls a LAG."""
    lags: range
    forbidden: str = '?"'
    """Characters that no text may have: ``?`` asks for help wherever it stands."""
    quotes: str = '"'
    """Those of them that a description may have all the same."""
    check: Callable[[SwitchPort, frozenset[int]], None]
    """Refuses, by Permanent, what a port or LAG cannot have; the ids are those of `allowed_vlans`."""


def port(declared: Port, manner: Manner) -> Port:
    """Raises Permanent for what is no physical port of the platform, or cannot be one."""
    try:
        name = manner.interface(declared.name)
    except ValueError as error:
        raise Permanent(str(error)) from None
    if not name.startswith((manner.switching, manner.management)):
        hint = "; declare it as a lag" if name.startswith(manner.channel) else ""
        raise Permanent(f"{name} is no physical port{hint}")
    values = _common(declared, manner)
    given = (declared.mode, declared.lag, declared.allowed_vlans, *declared.vlans())
    if name.startswith(manner.management) and any(value is not None for value in given):
        raise Permanent(f"{name} does not switch: it has no mode, VLANs or LAG")
    lag_of = declared.lag
    if lag_of not in (None, "none"):
        lag_of = str(_number(Lag(name=str(lag_of)), manner))
    return structs.replace(declared, name=name, lag=lag_of, **values)


def lag(declared: Lag, manner: Manner) -> Lag:
    """Its name is its number; its members are sorted."""
    members = declared.members
    if members is not None:
        members = tuple(sorted({port(Port(name=name), manner).name for name in members}))
    name = str(_number(declared, manner))
    return structs.replace(declared, name=name, members=members, **_common(declared, manner))


def _number(declared: Lag, manner: Manner) -> int:
    try:
        number = declared.number
    except ValueError as error:
        raise Permanent(str(error)) from None
    if number not in manner.lags:
        first, last = manner.lags.start, manner.lags.stop - 1
        raise Permanent(f"lag {number}: {manner.system} has {manner.channel} {first} to {last}")
    return number


def _common(declared: SwitchPort, manner: Manner) -> dict[str, Any]:
    if declared.mode in ("dynamic", "routed"):
        what = f"mode {declared.mode!r} cannot be declared on {manner.system}"
        raise Permanent(f"{declared.name}: {what}")
    try:
        text = declared.allowed_vlans
        ids = None if text is None else vlanset.parse(text)
    except ValueError as error:
        raise Permanent(f"{declared.name}: {error}") from None
    manner.check(declared, ids or frozenset())
    described = declared.description
    if described is not None:
        check_text("description", described, manner)
    return {
        "description": None if described is None else described.strip(),
        "allowed_vlans": None if ids is None else vlanset.show(ids),
    }


def community(declared: SnmpCommunity, manner: Manner) -> SnmpCommunity:
    """The device knows a community by its text alone, so that must be said also of one to go."""
    if declared.community is not None:
        check_secret(f"snmp_community {declared.name}", declared.community, manner)
    elif declared.ensure == "absent":
        raise Permanent(f"snmp_community {declared.name}: say which text it is that is to go")
    return declared


def user(declared: LocalUser, manner: Manner) -> LocalUser:
    """Password and role are one word each."""
    if declared.password is not None:
        check_secret(f"local_user {declared.name}", declared.password, manner)
    if declared.role is not None:
        check_word("role", declared.role, manner)
    return declared


def check_text(field: str, text: str, manner: Manner) -> None:
    """A line break in it would be one more command, and the command line is ASCII."""
    forbidden = set(manner.forbidden) - set(manner.quotes)
    if not PRINTABLE.fullmatch(text) or forbidden & set(text):
        raise Permanent(f"{field} {text!r} has characters that {manner.system} cannot hold")


def check_word(field: str, text: str, manner: Manner) -> None:
    """One word, without quotes."""
    if not WORD.fullmatch(text) or set(manner.forbidden) & set(text):
        raise Permanent(f"{field} {text!r} must be one word of ASCII on {manner.system}")


def check_secret(what: str, text: str, manner: Manner) -> None:
    """As `check_word`, without showing it."""
    if not WORD.fullmatch(text) or set(manner.forbidden) & set(text):
        rest = f"one word of ASCII without {' and '.join(manner.forbidden)} on {manner.system}"
        raise Permanent(f"{what}: the secret must be {rest}")
