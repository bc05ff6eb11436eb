"""Whether a hash that a device shows (``$6$salt$…``) is that of a declared password.

By crypt(3) of the system's libcrypt, which knows the hashes of all devices that are Linux beneath:
MD5 ``$1$``, SHA-256 ``$5$``, SHA-512 ``$6$`` (with ``rounds=``). Python's own ``crypt`` module is
gone since 3.13.
"""

from __future__ import annotations

import ctypes
import functools
import hmac
import re
from typing import Any

from rackwright.model.errors import Permanent

LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2", None)
"""glibc and libxcrypt with the old interface, libxcrypt without, the C library itself (musl)."""
CRYPT_DATA = 262_144
"""Bytes of ``struct crypt_data``, at least: 131,232 in glibc, 32,768 in libxcrypt."""
ROUNDS = 1_000_000
"""More of them no device uses by itself, and they would keep us for seconds."""

_HASH = re.compile(r"\$[156]\$(?:rounds=(\d{1,9})\$)?[^$:\s]{0,16}\$[./0-9A-Za-z]+")


def fits(hashed: str, password: str) -> bool:
    """Whether ``hashed`` is a hash of ``password``. A kind that is not known here fits nothing.

    Raises Permanent where the system has no crypt(3).
    """
    found = _HASH.fullmatch(hashed)
    if found is None or int(found[1] or 0) > ROUNDS or "\0" in password:
        return False
    data = ctypes.create_string_buffer(CRYPT_DATA)
    again: bytes | None = _crypt_r()(password.encode(), hashed.encode(), data)
    return again is not None and hmac.compare_digest(again, hashed.encode())


def seen(hashed: str, declared: str | None) -> str:
    """What is observed of an account whose hash is ``hashed``: the declared password where it fits,
    and else the hash, which no password is."""
    return declared if declared is not None and fits(hashed, declared) else hashed


@functools.cache
def _crypt_r() -> Any:
    for name in LIBRARIES:
        try:
            function = ctypes.CDLL(name).crypt_r
        except (OSError, AttributeError):
            continue
        function.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p)
        function.restype = ctypes.c_char_p
        return function
    raise Permanent(
        "this host has no libcrypt, so no password of a device's account can be checked"
    )
