"""Whether a hash that IOS shows is the hash of a password. Pure.

========  ==========================================================================
type      how it is made
========  ==========================================================================
0         it is not: the password in clear
5         md5-crypt, 1,000 rounds: ``$1$salt$hash`` (Poul-Henning Kamp's, of FreeBSD)
8         PBKDF2-HMAC-SHA256, 20,000 rounds: ``$8$salt$hash``
9         scrypt, N=16384, r=1, p=1: ``$9$salt$hash``
========  ==========================================================================

Salt and hash of types 8 and 9 are base64 without padding, in the alphabet of crypt. Held against
published hashes of known passwords, hashcat's examples of its modes 500, 9200 and 9300 among them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_STANDARD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_TO_STANDARD = str.maketrans(ALPHABET, _STANDARD)
_MD5_ORDER = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))


def fits(kind: str, shown: str, password: str) -> bool:
    """Whether ``shown``, of type ``kind``, is the hash of ``password``. A type that is not in the
    table (4, 6 and 7 among them) fits nothing."""
    if kind == "0":
        return hmac.compare_digest(shown.encode(), password.encode())
    mark, _, rest = shown.removeprefix("$").partition("$")
    salt, _, digest = rest.partition("$")
    if kind == "5" and mark == "1":
        return hmac.compare_digest(_md5_crypt(password.encode(), salt.encode()), digest)
    if kind in ("8", "9") and mark == kind:
        try:
            raw = base64.b64decode(digest.translate(_TO_STANDARD) + "=")
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(_stretched(kind, password.encode(), salt.encode()), raw)
    return False


def _stretched(kind: str, password: bytes, salt: bytes) -> bytes:
    if kind == "8":
        return hashlib.pbkdf2_hmac("sha256", password, salt, 20_000, 32)
    return hashlib.scrypt(password, salt=salt, n=16_384, r=1, p=1, dklen=32)


def _md5_crypt(password: bytes, salt: bytes) -> str:
    def md5(data: bytes) -> bytes:
        return hashlib.md5(data, usedforsecurity=False).digest()

    salt = salt[:8]
    length = len(password)
    inner = md5(password + salt + password)
    mixed = password + b"$1$" + salt + (inner * (length // 16 + 1))[:length]
    while length:
        mixed += b"\0" if length & 1 else password[:1]
        length >>= 1
    digest = md5(mixed)
    for number in range(1000):
        odd = number & 1
        text = password if odd else digest
        text += salt if number % 3 else b""
        text += password if number % 7 else b""
        digest = md5(text + (digest if odd else password))
    out = ""
    for high, middle, low in _MD5_ORDER:
        out += _crypt64(digest[high] << 16 | digest[middle] << 8 | digest[low], 4)
    return out + _crypt64(digest[11], 2)


def _crypt64(value: int, count: int) -> str:
    """The low bits first, unlike base64."""
    out = ""
    for _ in range(count):
        out += ALPHABET[value & 63]
        value >>= 6
    return out
