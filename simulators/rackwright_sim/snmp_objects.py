"""What an SNMP agent serves, and whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Gauge(int):
    """Gauge32."""


class Ticks(int):
    """TimeTicks."""


class Oid(str):
    """OBJECT IDENTIFIER, dotted."""


Scalar = int | Gauge | Ticks | str | bytes | Oid
"""An object's value: int is INTEGER, str and bytes are OCTET STRING."""
Path = tuple[int, ...]


class SetError(Exception):
    """The device will not take binding ``index`` of a SET; ``error`` as RFC 3416 names it."""

    def __init__(self, error: str, index: int = 0) -> None:
        super().__init__(error)
        self.error = error
        self.index = index


class Objects(Protocol):
    """What an agent serves."""

    def values(self) -> dict[Path, Scalar]:
        """All objects as they are now."""

    def set(self, bindings: Sequence[tuple[Path, Scalar]], *, apply: bool) -> None:
        """Take a SET whole or raise SetError; with ``apply`` false only say that it was taken."""


@dataclass(frozen=True, slots=True)
class User:
    """A version 3 user. Without ``priv`` it is authNoPriv."""

    name: str
    auth: str
    priv: str = ""
    auth_protocol: str = "SHA"
    priv_protocol: str = "AES"
    write: bool = True


@dataclass(frozen=True, slots=True)
class Access:
    """Who may do what."""

    read: tuple[str, ...] = ("public",)
    """Communities that may read."""
    write: tuple[str, ...] = ("private",)
    """Communities that may read and write."""
    users: tuple[User, ...] = (User("rack", "rack-auth-1", "rack-priv-1"),)
