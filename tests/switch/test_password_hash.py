"""Hashes of devices against passwords: published vectors, and openssl's own."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from rackwright_providers.switch import password_hash

# By `openssl passwd -6`; Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512"; `openssl passwd -1`.
VECTORS = [
    (
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJu"
        "esI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        "Hello world!",
    ),
    (
        "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sb"
        "HbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.",
        "Hello world!",
    ),
    ("$1$abcdefgh$IMzVET/M1yYukWiD32Z.T0", "pässword 1"),
]


@pytest.mark.parametrize(("hashed", "password"), VECTORS)
def test_vectors(hashed: str, password: str) -> None:
    assert password_hash.fits(hashed, password)
    assert not password_hash.fits(hashed, password + "x")
    assert not password_hash.fits(hashed, "")
    assert password_hash.seen(hashed, password) == password
    assert password_hash.seen(hashed, "another") == hashed
    assert password_hash.seen(hashed, None) == hashed


@pytest.mark.parametrize("kind", ["1", "5", "6"])
def test_what_openssl_hashes(kind: str) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    argv = ["openssl", "passwd", f"-{kind}", "-salt", "k2Fp0a.x", "c0rrect-horse"]
    hashed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    assert password_hash.fits(hashed, "c0rrect-horse")
    assert not password_hash.fits(hashed, "c0rrect-horsf")


@pytest.mark.parametrize(
    "hashed",
    ["", "secret", "***", "$7$x$y", "$6$salt", "*0", "$6$rounds=999999999$salt$abc", "$6$s:t$abc"],
)
def test_what_is_no_hash_fits_nothing(hashed: str) -> None:
    assert not password_hash.fits(hashed, hashed)
    assert not password_hash.fits(hashed, "secret")
