"""Local accounts of an IOS-like switch, with their secrets hashed as IOS hashes them.

Type 8 is PBKDF2-HMAC-SHA256 of 20,000 rounds, type 9 scrypt with N=16384, r=1, p=1; both show salt
and hash in base64 by the alphabet ``./0-9A-Za-z``, as in ``secret 9 $9$salt$hash``.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from functools import lru_cache

ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SALT = 14
_STANDARD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_TO_CISCO = str.maketrans(_STANDARD, ALPHABET)
TYPES = {"sha256": "8", "scrypt": "9"}
"""By the words of ``algorithm-type``."""


@dataclass(slots=True)
class Account:
    """One ``username``."""

    privilege: int = 1
    secret: str = ""
    """``$9$salt$hash``; empty: no secret was given, and nobody can log in."""


def hashed(kind: str, password: str) -> str:
    """A new hash of ``password``, of type ``8`` or ``9``."""
    salt = "".join(secrets.choice(ALPHABET) for _ in range(SALT))
    return _hash(kind, salt, password)


def fits(secret: str, password: str) -> bool:
    """Whether ``secret`` is a hash of ``password``; a type that is not known here fits nothing."""
    _, kind, salt, *_ = [*secret.split("$"), "", "", ""]
    return kind in TYPES.values() and secrets.compare_digest(_hash(kind, salt, password), secret)


def first(username: str, password: str) -> Account:
    """The account that a device comes with. Its salt is always the same, so that a thousand devices
    do not hash a thousand times."""
    salt = ("".join(char for char in username if char in ALPHABET) + ALPHABET)[:SALT]
    return Account(15, _hash("9", salt, password))


@lru_cache(maxsize=1024)
def _hash(kind: str, salt: str, password: str) -> str:
    key, salted = password.encode(), salt.encode()
    if kind == "8":
        raw = hashlib.pbkdf2_hmac("sha256", key, salted, 20_000, 32)
    else:
        raw = hashlib.scrypt(key, salt=salted, n=16_384, r=1, p=1, dklen=32)
    shown = base64.b64encode(raw).decode().rstrip("=").translate(_TO_CISCO)
    return f"${kind}${salt}${shown}"
