"""One exchange over requests; what it raises is ours."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import requests
from urllib3.exceptions import HTTPError

from rackwright.model.errors import RackwrightError, Rejected, Temporary, Unreachable
from rackwright.model.site import Http
from rackwright.provider import LeaseLike
from rackwright_providers.transport import http_tls

CHUNK = 64 * 1024


class Request(NamedTuple):
    """What is sent."""

    method: str
    url: str
    headers: Mapping[str, str]
    json: Any = None
    data: Any = None


class Found(NamedTuple):
    """What came."""

    status: int
    text: str
    headers: Mapping[str, str]


def new(options: Http, lease: LeaseLike | None = None) -> requests.Session:
    """A session with nothing of the environment: no proxy, no netrc, no other authorities. Its
    connections send nothing after the end of ``lease``."""
    session = requests.Session()
    session.trust_env = False
    session.headers.update({"User-Agent": "rackwright", "Accept-Encoding": "identity"})
    session.mount("https://", http_tls.adapter(options, lease))
    if lease is not None:
        from rackwright_providers.transport import http_lease

        http_lease.guard(session, lease)
    return session


def exchange(
    session: requests.Session,
    via: str,
    request: Request,
    *,
    timeouts: tuple[float, float],
    until: float,
    largest: int,
    stop: threading.Event,
) -> Found:
    """Send ``request``, read all of its answer: by ``until`` (monotonic seconds), at most ``largest``
    bytes. Redirects are not followed."""
    try:
        with session.request(
            request.method,
            request.url,
            headers=request.headers,
            json=request.json,
            data=request.data,
            timeout=timeouts,
            allow_redirects=False,
            stream=True,
        ) as response:
            body = bytearray()
            # Whatever has come, so that a device that sends a byte a minute is noticed.
            while chunk := response.raw.read1(CHUNK, decode_content=True):
                body += chunk
                if len(body) > largest:
                    raise Rejected(f"{via}: an answer of more than {largest} bytes")
                if time.monotonic() > until:
                    raise Unreachable(f"{via}: the answer does not end")
                if stop.is_set():
                    raise Temporary(f"{via}: told to stop")
            text = body.decode(_charset(response.headers.get("Content-Type", "")), "replace")
            return Found(response.status_code, text, response.headers)
    except RackwrightError:
        raise
    except (requests.RequestException, HTTPError, OSError, ValueError) as error:
        raise http_tls.mapped(error, via) from None


def replayed(kept: Mapping[str, Any]) -> Found:
    """An answer as a recording has it."""
    from rackwright_providers.transport import replay

    headers = requests.structures.CaseInsensitiveDict(kept.get("headers", {}))
    return Found(kept["status"], replay.text_of(kept["text"]), headers)


def _charset(content_type: str) -> str:
    """``iso-8859-1`` where the header says so; all else is read as UTF-8, which JSON always is."""
    return "iso-8859-1" if "8859-1" in content_type.lower() else "utf-8"
