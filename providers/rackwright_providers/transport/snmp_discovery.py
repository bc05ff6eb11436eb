"""Asking a device for its SNMP engine id, RFC 3414 section 4.

pysnmp does this too, but remembers the answer by address for 300 s, whatever happens: a replaced
device would stay unreachable for as long. So every new session asks for itself.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from pyasn1.codec.ber import decoder
from pyasn1.error import PyAsn1Error
from pysnmp.proto.mpmod.rfc3412 import SNMPv3Message
from pysnmp.proto.secmod.rfc3414.service import UsmSecurityParameters


async def engine_id(
    address: tuple[Any, ...], timeout: float, retries: int, permit: Callable[[], None]
) -> bytes:
    """The engine id of the device at ``address`` (as getaddrinfo gives it). ``permit`` is called
    before each question.

    Raises TimeoutError when it does not tell, OSError when the network says that it cannot, and what
    ``permit`` raises.
    """
    loop = asyncio.get_running_loop()
    number = random.getrandbits(30) | 1 << 29  # four octets in BER
    told: asyncio.Future[bytes] = loop.create_future()
    # A connected socket: only this device's datagrams come in, and a closed port is heard of.
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Listener(number, told), remote_addr=address[:2]
    )
    try:
        for _ in range(retries + 1):
            permit()
            transport.sendto(_question(number))
            done, _pending = await asyncio.wait([told], timeout=timeout)
            if done:
                return told.result()
        raise TimeoutError
    finally:
        transport.close()


class _Listener(asyncio.DatagramProtocol):
    def __init__(self, number: int, told: asyncio.Future[bytes]) -> None:
        self._number = number
        self._told = told

    def datagram_received(self, data: bytes, address: Any) -> None:
        found = _answer(data, self._number)
        if found and not self._told.done():
            self._told.set_result(found)

    def error_received(self, error: Exception) -> None:
        if not self._told.done():
            self._told.set_exception(error)


def _question(number: int) -> bytes:
    """An SNMPv3 GetRequest without user, engine id or objects, that asks for a report."""
    four = b"\x02\x04" + number.to_bytes(4, "big")
    header = four + b"\x02\x03\x00\xff\xe3" + b"\x04\x01\x04" + b"\x02\x01\x03"
    security = b"\x04\x00" + b"\x02\x01\x00" * 2 + b"\x04\x00" * 3
    pdu = four + b"\x02\x01\x00" * 2 + b"\x30\x00"
    scoped = b"\x04\x00" * 2 + _wrapped(0xA0, pdu)
    body = b"\x02\x01\x03" + _wrapped(0x30, header)
    body += _wrapped(0x04, _wrapped(0x30, security)) + _wrapped(0x30, scoped)
    return _wrapped(0x30, body)


def _wrapped(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content  # all of it is shorter than 128


def _answer(data: bytes, number: int) -> bytes:
    """The engine id in the answer to question ``number``; empty in anything else."""
    try:
        message, _ = decoder.decode(data, asn1Spec=SNMPv3Message())
        if int(message[1][0]) != number:
            return b""
        security, _ = decoder.decode(bytes(message[2]), asn1Spec=UsmSecurityParameters())
        found = bytes(security[0])
    except (PyAsn1Error, TypeError, ValueError, IndexError, AttributeError):
        return b""  # whatever came, it is no answer
    return found if 5 <= len(found) <= 32 else b""
