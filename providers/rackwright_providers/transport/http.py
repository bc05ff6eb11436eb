"""HTTPS: a session that can only read, and the one that can also write.

One kept-alive connection to one device, blocking, for one thread at a time. What reads is said by
the platform (`Reads`): most read by GET alone, some arrays do everything by GET, and logging in is a
POST nearly everywhere. The HTTP library is imported when the first session opens.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from rackwright.model.errors import Permanent, RackwrightError, Rejected, Temporary
from rackwright.model.site import Http
from rackwright.provider import Surroundings
from rackwright_providers.transport.http_errors import HttpRefused, Lost, Unauthorized

if TYPE_CHECKING:
    import requests

Reads = Callable[[str, str], bool]
"""(method, path with its query) → whether that request changes nothing on the device."""

CONNECT_TIMEOUT = 10.0
LEASED_TIMEOUT = 4.0
"""The same under a lease: another host may reach the device when this one does not."""
LARGEST = 16 * 1024 * 1024
"""Bytes of one answer; a device that sends more is not telling of its tables."""
LONGEST = 300.0
"""Seconds that one answer may take to come, however steadily it does."""
REDIRECTS = 3
MESSAGE = 400
"""Characters of a device's own words in an error."""
SHORTEST_SECRET = 3
KEPT = ("Location", "ETag", "Retry-After", "X-Auth-Token")
"""Headers of answers that providers read, for recordings."""
HIDDEN = "********"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the device answered; its status is below 400."""

    status: int
    text: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    """Names in any case."""

    def json(self) -> Any:
        """The body as data. Raises Rejected when it is not JSON."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            said = self.text[:80]
            raise Rejected(f"the device answers what is no JSON: {said!r}", output=said) from None


def by_get(method: str, path: str) -> bool:
    """The usual `Reads`: GET reads, nothing else does."""
    return method == "GET"


def plain(body: str) -> str:
    """The usual way to find the words in the body of an error: all of it, without markup."""
    return " ".join(re.sub(r"<(?:style|script)\b.*?</|<[^>]*>", " ", body, flags=re.S).split())


class HttpReader:
    """A session that sends nothing but what its platform says is reading."""

    def __init__(
        self,
        options: Http,
        around: Surroundings,
        *,
        reads: Reads,
        says: Callable[[str], str],
        probe: str,
    ) -> None:
        from rackwright_providers.transport import http_session

        self.options = options
        self.stop = around.stop
        """Set when the process must leave: who waits between requests waits on this."""
        self.base = options.url.rstrip("/")
        """``https://host:port``."""
        self.via = _via(self.base)
        """For reports."""
        self.headers: dict[str, str] = {}
        """Sent with every request: credentials, mostly. Their values are hidden as secrets are."""
        self._reads, self._says, self._probe = reads, says, probe
        self._recorder, self._replay, self._lease = around.recorder, around.replay, around.lease
        self._hidden: set[str] = set()
        self.hide(options.password)
        self._http: requests.Session = http_session.new(options, around.lease)
        self._used = False

    def hide(self, secret: str) -> None:
        """Never show ``secret`` in an error or a recording: a session key, the hash of a password."""
        if len(secret) >= SHORTEST_SECRET:
            self._hidden.add(secret)

    def use_basic(self) -> None:
        """Send the username and password with every request from now on (RFC 7617, in UTF-8)."""
        pair = f"{self.options.username}:{self.options.password}".encode()
        self.headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"

    def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        """``GET path``. Raises as `ask` does."""
        return self.ask("GET", path, headers=headers)

    def ask(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        secret: Callable[[Answer], str] | None = None,
    ) -> Answer:
        """A request that changes nothing: Permanent, and nothing is sent, where `Reads` does not say
        so. ``secret`` finds in the answer what is to be hidden from then on, a session key.

        Raises Unreachable (refused, timed out, cut off), Temporary (busy; 429, 502 to 504),
        `Unauthorized` (401), Permanent (403; a certificate that is not trusted), `HttpRefused` (all
        other errors).
        """
        self._check(method, path)
        try:
            answer = self._exchange(method, path, json, None, headers, secret)
        except Lost:
            # A device may have closed a kept connection; what only reads is asked once more.
            if not self._used:
                raise
            self._used = False
            answer = self._exchange(method, path, json, None, headers, secret)
        for _ in range(REDIRECTS):
            if method != "GET" or not 300 <= answer.status < 400 or answer.status == 304:
                return answer
            path = self._elsewhere(path, answer)
            self._check(method, path)
            answer = self._exchange(method, path, None, None, headers, secret)
        raise Rejected(f"{self.via}: more than {REDIRECTS} redirects")

    def alive(self) -> bool:
        """Whether the device answers and knows us still. Asks it; never raises."""
        try:
            self.get(self._probe)
        except RackwrightError:
            return False
        return True

    def close(self) -> None:
        """Forget the credentials, close the connection. Never raises."""
        self.headers.clear()
        self._http.close()

    def masked(self, text: str) -> str:
        """``text`` without what is hidden."""
        for secret in sorted({*self._hidden, *self._credentials()}, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text

    def _credentials(self) -> list[str]:
        return [value for value in self.headers.values() if len(value) >= SHORTEST_SECRET]

    def _check(self, method: str, path: str) -> None:
        if not self._reads(method, path):
            raise Permanent(
                f"{self.via}: {method} {self.masked(path)} is not reading, and was not sent"
            )

    def _exchange(
        self,
        method: str,
        path: str,
        json: Any,
        data: Any,
        headers: Mapping[str, str] | None,
        secret: Callable[[Answer], str] | None = None,
    ) -> Answer:
        """One request and its answer."""
        from rackwright_providers.transport import http_session

        if self.stop.is_set():
            raise Temporary(f"{self.via}: told to stop")
        if self._lease is not None:
            self._lease.check()
        # Whatever a device gives as a path stays on that device, and is what is sent.
        if not re.fullmatch(r"/[\x21-\x7e]*", path) or re.search(
            r"/\.{1,2}(?=[/?#]|$)|[\\#]", path
        ):
            raise Permanent(f"{self.via}: {self.masked(path)!r} is no path on the device")
        sent = {**self.headers, **(headers or {})}
        longest = CONNECT_TIMEOUT if self._lease is None else LEASED_TIMEOUT
        if self._replay is not None:
            found = http_session.replayed(
                self._replay.exchange("http", {"method": method, "path": self.masked(path)})
            )
        else:
            found = http_session.exchange(
                self._http,
                self.via,
                http_session.Request(method, self.base + path, sent, json, data),
                timeouts=(min(longest, self.options.timeout), self.options.timeout),
                until=time.monotonic() + LONGEST,
                largest=LARGEST,
                stop=self.stop,
            )
        self._used = True
        answer = Answer(found.status, found.text, found.headers)
        if secret is not None and answer.status < 400:
            self.hide(secret(answer))
        if self._recorder is not None:
            request = {"method": method, "path": self.masked(path)}
            kept = {
                name: self.masked(answer.headers[name]) for name in KEPT if name in answer.headers
            }
            said = {"status": answer.status, "headers": kept, "text": self.masked(answer.text)}
            self._recorder.exchange("http", request, said)
        if answer.status >= 400:
            raise self._failure(method, path, answer)
        return answer

    def _elsewhere(self, path: str, answer: Answer) -> str:
        """The path to which ``answer`` redirects. Raises Rejected when that is on another host."""
        target = urlsplit(urljoin(self.base + path, answer.headers.get("Location", "")))
        if f"{target.scheme}://{target.netloc}" != self.base:
            raise Rejected(
                f"{self.via}: redirects to {target.scheme}://{target.hostname}, which is another "
                "device than the site names"
            )
        return (target.path or "/") + (f"?{target.query}" if target.query else "")

    def _failure(self, method: str, path: str, answer: Answer) -> RackwrightError:
        """What an answer of 400 or more means."""
        status = answer.status
        words = self.masked(self._says(answer.text) or plain(answer.text))[:MESSAGE]
        where = f"{self.via}: {method} {self.masked(path)}: {status}"
        text = f"{where}: {words}" if words else where
        if status == 401:
            user = self.options.username
            return Unauthorized(f"{self.via}: the device does not take the credentials of {user!r}")
        if status == 403:
            return Permanent(f"{text} (user {self.options.username!r} may not do this)")
        # Busy, overtaken by somebody else's change, or a gateway: it may work the next time.
        if status in (408, 412, 425, 429, 502, 503, 504):
            return Temporary(text, delay=_retry_after(answer.headers.get("Retry-After", "")))
        if status == 500 and self._reads(method, path):
            return Temporary(text)
        return HttpRefused(text, status=status, output=self.masked(answer.text)[: 10 * MESSAGE])


class HttpSession(HttpReader):
    """A session that can also write."""

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Any request, sent once: when the connection is lost in the middle it is not known whether
        it was carried out. ``json`` is data, ``data`` a body or a form. A redirect is refused. Raises
        as `ask` does."""
        answer = self._exchange(method, path, json, data, headers)
        if 300 <= answer.status < 400 and answer.status != 304:
            raise Rejected(
                f"{self.via}: {method} {self.masked(path)} is redirected; nothing is done"
            )
        return answer


def open_http(
    options: Http,
    around: Surroundings,
    *,
    reads: Reads = by_get,
    says: Callable[[str], str] = plain,
    probe: str = "/",
) -> HttpReader:
    """A session: `HttpSession` if ``around.writable``, else `HttpReader`. Nothing is sent yet.

    ``says`` finds the words in the body of an error (empty: take all of it), ``probe`` is what is
    read to see whether a kept session still works. Raises Permanent for options that cannot be:
    ``http://`` to another host shows the password to everyone on the way.
    """
    parts = urlsplit(options.url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        raise Permanent(f"{options.url!r} is no URL of a device: https://host or https://host:port")
    if parts.username or parts.password or parts.path not in ("", "/") or parts.query:
        raise Permanent("`url` is https://host:port; credentials are `username` and `password`")
    if parts.scheme == "http" and not _loopback(parts.hostname):
        raise Permanent(f"{options.url}: not over plain HTTP, which shows the password; use https")
    kind = HttpSession if around.writable else HttpReader
    return kind(options, around, reads=reads, says=says, probe=probe)


def _via(base: str) -> str:
    """``https 10.0.0.5:443``."""
    parts = urlsplit(base)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme} {host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _retry_after(text: str) -> float:
    """Seconds of a Retry-After (RFC 9110, 10.2.3), which is a number or a date; 5 without one."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError):
            return 5.0
    return min(max(seconds, 1.0), 3600.0)
