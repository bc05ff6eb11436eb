"""Whom an HTTPS session talks to: certificates are always checked, before anything is sent."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from http.client import BadStatusLine, RemoteDisconnected
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ProtocolError
from urllib3.exceptions import SSLError as PinError

from rackwright.model.errors import Permanent, RackwrightError, Unreachable
from rackwright.model.site import Http
from rackwright.provider import LeaseLike
from rackwright_providers.transport import leased
from rackwright_providers.transport.http_errors import Lost

CUT = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)


def adapter(options: Http, lease: LeaseLike | None = None) -> HTTPAdapter:
    """What opens connections: to a device whose certificate the system's authorities vouch for, or
    those of ``ca`` instead, or to the one with ``fingerprint``. Raises Permanent."""
    context = ssl.create_default_context()
    if options.ca:
        try:
            context = ssl.create_default_context(cadata=options.ca)
        except (ssl.SSLError, ValueError) as error:
            raise Permanent(f"`ca` is no certificate in PEM: {error}") from None
    if lease is not None:
        leased.tls_context(context, lease)
    pin = options.fingerprint.replace(":", "").lower()
    if not pin:
        return _Checked(context, {"cert_reqs": "CERT_REQUIRED"})
    # The library knows MD5 and SHA-1 too, and tells them by their length.
    if len(pin) != 64:
        raise Permanent("`fingerprint` is no SHA-256: 64 hexadecimal digits")
    # The pin says more than a chain: urllib3 compares it right after the handshake.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return _Checked(context, {"cert_reqs": "CERT_NONE", "assert_fingerprint": pin})


class _Checked(HTTPAdapter):
    """Uses our TLS context alone: requests would add the authorities that certifi ships."""

    def __init__(self, context: ssl.SSLContext, tls: dict[str, Any]) -> None:
        self._tls = {"ssl_context": context, **tls}
        super().__init__(max_retries=0)

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        host, _ = super().build_connection_pool_key_attributes(request, True)
        return host, self._tls

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """The context does it."""


def mapped(error: Exception, via: str) -> RackwrightError:
    """What an exception of the HTTP library means."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Permanent(
                f"{via}: the certificate is not trusted: {cause.verify_message}; "
                "pin it by `fingerprint`, or give its issuer as `ca`"
            )
        if isinstance(cause, PinError) and "ingerprint" in str(cause):
            found = str(cause).rpartition('got "')[2].rstrip('"')
            return Permanent(
                f"{via}: another certificate than the pinned one: its SHA-256 is {found}"
            )
        if isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)):
            return Lost(f"{via}: the TLS connection was cut")
        if isinstance(cause, ssl.SSLError):
            return Permanent(f"{via}: no TLS session: {cause.reason or cause}")
    for cause in _causes(error):
        if isinstance(cause, TimeoutError | requests.Timeout):
            return Unreachable(f"{via}: timed out")
        if isinstance(cause, OSError) and cause.strerror:
            kind = Lost if isinstance(cause, CUT) else Unreachable
            return kind(f"{via}: {cause.strerror}")
        if isinstance(cause, BadStatusLine) and not isinstance(cause, RemoteDisconnected):
            return Permanent(f"{via}: what answers there speaks no HTTP")
    if isinstance(error, requests.ConnectionError | ProtocolError):
        return Lost(f"{via}: the connection was cut in the middle")
    # The library's own words may hold headers and paths.
    return Permanent(f"{via}: the request or its answer is no HTTP: {type(error).__name__}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error`` and all that it wraps in the ways of requests and urllib3."""
    seen: set[int] = set()
    left: list[object] = [error]
    while left:
        one = left.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        left += [one.__context__, one.__cause__, getattr(one, "reason", None), *one.args]
