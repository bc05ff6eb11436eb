"""Local accounts of devices that are Linux beneath: passwords as SHA-512 hashes by crypt(3)."""

from __future__ import annotations

import ctypes
import functools
import re
import secrets
import string

LETTERS = "./" + string.ascii_letters + string.digits
DATA = 262_144
"""Bytes of ``struct crypt_data``, at least."""


def hashed(password: str, salt: str = "") -> str:
    """``$6$salt$hash`` of ``password``, by a new salt unless one is given."""
    salt = salt or "".join(secrets.choice(LETTERS) for _ in range(16))
    return _crypt(password, f"$6${salt}$")


def first(username: str, password: str) -> str:
    """The hash with which a device comes. Its salt is always the same, so that the device is, too."""
    return hashed(password, (re.sub(r"\W", "", username) + "rackwright")[:16])


def fits(secret: str, password: str) -> bool:
    """Whether ``secret`` is a hash of ``password``."""
    return secret.startswith("$6$") and secrets.compare_digest(_crypt(password, secret), secret)


@functools.lru_cache(maxsize=1024)
def _crypt(password: str, setting: str) -> str:
    for name in ("libcrypt.so.1", "libcrypt.so.2", None):
        try:
            function = ctypes.CDLL(name).crypt_r
        except (OSError, AttributeError):
            continue
        function.restype = ctypes.c_char_p
        data = ctypes.create_string_buffer(DATA)
        answer: bytes = function(password.encode(), setting.encode(), data)
        return answer.decode()
    raise OSError("there is no libcrypt here")
