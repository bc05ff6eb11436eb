"""An HTTP or HTTPS server for simulated devices, on the simulators' event loop."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
import ipaddress
import json
import random
import re
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from rackwright_sim.faults import Faults

LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked. Header names are in lower case."""

    method: str
    path: str
    """With its query."""
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as data. Raises ValueError."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def answer(data: Any, status: int = 200, **headers: str) -> Answer:
    """``data`` as JSON; underscores in names of ``headers`` stand for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = b"" if data is None else json.dumps(data, ensure_ascii=False, indent=1).encode()
    return Answer(status, body, {"Content-Type": "application/json; charset=utf-8", **named})


class Site(Protocol):
    """A device behind the server."""

    def changes(self, request: Request) -> bool:
        """Whether ``request`` would change the device (a login does not)."""

    def handle(self, request: Request, *, apply: bool) -> Answer:
        """Carry it out; without ``apply``: say so and do nothing."""

    def refusal(self) -> Answer:
        """What it answers to what it will not do."""


@dataclass(slots=True)
class Counters:
    """What was asked of a server."""

    requests: int = 0
    writes: int = 0

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"requests": self.requests, "writes": self.writes}


class HttpServer:
    """Serves a `Site`. ``faults`` may be replaced while it runs; see `rackwright_sim.faults`:
    ``reject_only`` is looked for in ``METHOD PATH BODY`` of what would change the device."""

    def __init__(
        self,
        site: Site,
        *,
        name: str,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = True,
        latency: float = 0.0,
        faults: Faults | None = None,
    ) -> None:
        self.site, self.host, self.port = site, host, port
        self.faults = faults or Faults()
        self.counters = Counters()
        self.fingerprint = certificate(name)[1] if tls else ""
        """SHA-256 of its certificate, as a site pins it; empty without TLS."""
        self._name, self._tls, self._latency = name, tls, latency
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._applied = 0

    @property
    def url(self) -> str:
        """As a site names it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    async def start(self) -> None:
        """Listen."""
        context = _context(self._name) if self._tls else None
        self._server = await asyncio.start_server(self._serve, self.host, self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is None:
            return
        self._server.close()
        for writer in tuple(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            while not self.faults.refuse and (request := await _read(reader)) is not None:
                self.counters.requests += 1
                await asyncio.sleep(self._latency)
                found = await self._answer(request)
                if found is None:
                    break
                writer.write(_rendered(found))
                await writer.drain()
        self._open.discard(writer)
        writer.transport.abort()

    async def _answer(self, request: Request) -> Answer | None:
        """None: the connection is cut."""
        faults = self.faults
        if faults.hang:
            await asyncio.Event().wait()
        if faults.garbage:
            return Answer(200, random.randbytes(200))
        if not self.site.changes(request):
            return self.site.handle(request, apply=True)
        if faults.drop_before is not None:
            left = faults.drop_before - 1
            self.faults = replace(faults, drop_before=left if left >= 0 else None)
            if left < 0:
                return None
        self.counters.writes += 1
        text = f"{request.method} {request.path} {request.body.decode(errors='replace')}"
        if faults.reject or (faults.reject_only and re.search(faults.reject_only, text)):
            return self.site.refusal()
        found = self.site.handle(request, apply=not faults.lie)
        self._applied += 1
        last = faults.drop_after
        if last and (self._applied == last or (faults.drop_always and self._applied % last == 0)):
            return None
        return found


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """The next request; None when there is none, or none that is HTTP/1."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return None
    headers = {
        name.strip().lower(): value.strip()
        for name, colon, value in (line.partition(":") for line in lines)
        if colon
    }
    length = int(headers.get("content-length", "0") or 0)
    body = await reader.readexactly(min(length, LARGEST))
    return Request(words[0], words[1], headers, body)


def _rendered(found: Answer) -> bytes:
    headers = {**found.headers, "Content-Length": str(len(found.body))}
    lines = [f"HTTP/1.1 {found.status} -", *(f"{name}: {text}" for name, text in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + found.body


@cache
def certificate(name: str) -> tuple[str, str]:
    """Key and certificate of a simulated device in PEM, and the certificate's SHA-256. Both follow
    from its name, so that a site may pin it: a simulated device has nothing to hide."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.x509.oid import NameOID

    seed = hashlib.sha256(f"rackwright_sim {name}".encode()).digest()
    key = Ed25519PrivateKey.from_private_bytes(seed)
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(seed[:8], "big") | 1)
        .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2120, 1, 1, tzinfo=datetime.UTC))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, None)
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + made.public_bytes(serialization.Encoding.PEM)
    der = made.public_bytes(serialization.Encoding.DER)
    return pem.decode(), hashlib.sha256(der).hexdigest()


def _context(name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as where:  # ssl reads keys from files only
        file = Path(where) / "device.pem"
        file.write_text(certificate(name)[0])
        context.load_cert_chain(file)
    return context
