"""The managed system's side of RMCP+ (IPMI 2.0, chapter 13): sessions, integrity, confidentiality."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

RMCP = bytes([0x06, 0x00, 0xFF, 0x07])
IPMI, OPEN, OPENED, RAKP1, RAKP2, RAKP3, RAKP4 = 0x00, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15
"""Payload types; table 13-16."""
SUITES = {3: (1, 1, 1), 17: (3, 4, 1)}
"""Authentication, integrity and confidentiality algorithm of a cipher suite; table 22-20."""
HASHES = {1: hashlib.sha1, 3: hashlib.sha256}
CUT = {1: 12, 4: 16}
"""Octets of an integrity check value."""
NO_SESSION, BAD_ALGORITHM, BAD_NAME, BAD_CHECK = 0x02, 0x04, 0x0D, 0x0F
"""RMCP+ status codes; table 13-15."""

Handle = Callable[[bytes], list[bytes]]
"""An IPMI message → the messages that answer it."""


@dataclass(slots=True)
class Session:
    """One remote console."""

    number: int
    console: int
    suite: tuple[int, int, int]
    ours: bytes = b""
    theirs: bytes = b""
    role: int = 4
    user: bytes = b""
    sik: bytes = b""
    sequence: int = 0
    open: bool = False

    def mac(self, key: bytes, data: bytes) -> bytes:
        """By its authentication algorithm."""
        return hmac.new(key, data, HASHES[self.suite[0]]).digest()

    def key(self, number: int) -> bytes:
        """K1 or K2; 13.32."""
        return self.mac(self.sik, bytes([number]) * 20)

    def check(self, data: bytes) -> bytes:
        """AuthCode of a packet."""
        return self.mac(self.key(1), data)[: CUT[self.suite[1]]]


class Rmcp:
    """Sessions of one controller with one user."""

    def __init__(self, username: str, password: str, guid: bytes, handle: Handle) -> None:
        self.sessions: dict[int, Session] = {}
        self._name, self._key = username.encode(), password.encode().ljust(20, b"\0")
        self._guid, self._handle = guid, handle

    def datagram(self, data: bytes) -> list[bytes]:
        """What is sent back for what came in. What makes no sense is not answered."""
        if data[:4] != RMCP or len(data) < 14:
            return []
        if data[4] != 0x06:  # IPMI 1.5 format, in which consoles ask how to authenticate
            return [self._plain(message) for message in self._handle(data[14 : 14 + data[13]])]
        kind, size = data[5], int.from_bytes(data[14:16], "little")
        payload = data[16 : 16 + size]
        if kind & 0xC0:
            session = self.sessions.get(int.from_bytes(data[6:10], "little"))
            if session is None or not session.open:
                return []
            cut = CUT[session.suite[1]]
            if not hmac.compare_digest(session.check(data[4:-cut]), data[-cut:]):
                return []
            answers = self._handle(_decrypted(session, payload) if kind & 0x80 else payload)
            return [self._sealed(session, message) for message in answers]
        shaped = {OPEN: self._open, RAKP1: self._rakp1, RAKP3: self._rakp3}.get(kind)
        return [shaped(payload)] if shaped else []

    def close(self, number: int) -> None:
        """End a session."""
        self.sessions.pop(number, None)

    def _plain(self, message: bytes) -> bytes:
        return RMCP + bytes(9) + bytes([len(message)]) + message

    def _bare(self, kind: int, payload: bytes) -> bytes:
        head = bytes([0x06, kind]) + bytes(8) + len(payload).to_bytes(2, "little")
        return RMCP + head + payload

    def _open(self, payload: bytes) -> bytes:
        tag, console = payload[0], payload[4:8]
        suite = (payload[12], payload[20], payload[28])
        if suite not in SUITES.values():
            return self._bare(OPENED, bytes([tag, BAD_ALGORITHM, 0, 0]) + console)
        number = int.from_bytes(secrets.token_bytes(3), "little") + 1
        self.sessions[number] = Session(number, int.from_bytes(console, "little"), suite)
        body = bytes([tag, 0, 4, 0]) + console + number.to_bytes(4, "little")
        return self._bare(OPENED, body + payload[8:32])

    def _rakp1(self, payload: bytes) -> bytes:
        session = self.sessions.get(int.from_bytes(payload[4:8], "little"))
        if session is None:
            return self._bare(RAKP2, bytes([payload[0], NO_SESSION, 0, 0]))
        console = session.console.to_bytes(4, "little")
        session.theirs, session.role = payload[8:24], payload[24]
        session.user = payload[28 : 28 + payload[27]]
        if session.user != self._name:
            return self._bare(RAKP2, bytes([payload[0], BAD_NAME, 0, 0]) + console)
        session.ours = os.urandom(16)
        who = bytes([session.role, len(session.user)]) + session.user
        signed = console + payload[4:8] + session.theirs + session.ours + self._guid + who
        body = bytes([payload[0], 0, 0, 0]) + console + session.ours + self._guid
        return self._bare(RAKP2, body + session.mac(self._key, signed))

    def _rakp3(self, payload: bytes) -> bytes:
        session = self.sessions.get(int.from_bytes(payload[4:8], "little"))
        if session is None:
            return self._bare(RAKP4, bytes([payload[0], NO_SESSION, 0, 0]))
        console = session.console.to_bytes(4, "little")
        who = bytes([session.role, len(session.user)]) + session.user
        if not hmac.compare_digest(
            session.mac(self._key, session.ours + console + who), payload[8:]
        ):
            self.close(session.number)
            return self._bare(RAKP4, bytes([payload[0], BAD_CHECK, 0, 0]) + console)
        session.sik = session.mac(self._key, session.theirs + session.ours + who)
        session.open = True
        check = session.mac(session.sik, session.theirs + payload[4:8] + self._guid)
        body = bytes([payload[0], 0, 0, 0]) + console + check[: CUT[session.suite[1]]]
        return self._bare(RAKP4, body)

    def _sealed(self, session: Session, message: bytes) -> bytes:
        session.sequence += 1
        payload = _encrypted(session, message)
        head = bytes([0x06, 0xC0]) + session.console.to_bytes(4, "little")
        head += session.sequence.to_bytes(4, "little") + len(payload).to_bytes(2, "little")
        pad = -(len(head) + len(payload) + 2) % 4
        signed = head + payload + b"\xff" * pad + bytes([pad, 0x07])
        return RMCP + signed + session.check(signed)


def _encrypted(session: Session, message: bytes) -> bytes:
    pad = -(len(message) + 1) % 16
    plain = message + bytes(range(1, pad + 1)) + bytes([pad])
    iv = os.urandom(16)
    encryptor = Cipher(algorithms.AES(session.key(2)[:16]), modes.CBC(iv)).encryptor()
    return iv + encryptor.update(plain) + encryptor.finalize()


def _decrypted(session: Session, payload: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES(session.key(2)[:16]), modes.CBC(payload[:16])).decryptor()
    plain = decryptor.update(payload[16:]) + decryptor.finalize()
    return plain[: -1 - plain[-1]]
