"""Sessions with the management controller of a Dot Hill array: one that reads, one that also writes.

Every command is a GET, those that write too: what reads is told by the path. A login is a GET whose path
ends in the hash of name and password; what it answers is the key of the session. Both are hidden in
errors and recordings. The array answers 200 whatever comes of a command: its own code says.
"""

from __future__ import annotations

import hashlib
import logging
import re
from contextlib import suppress
from urllib.parse import quote

from rackwright.model.errors import Permanent, RackwrightError, Rejected, Temporary
from rackwright.model.site import Http
from rackwright.provider import Surroundings
from rackwright_providers.san import dothill_parse
from rackwright_providers.san.dothill_parse import NOT_LOGGED_IN, Said
from rackwright_providers.transport.http import Answer, HttpSession, open_http
from rackwright_providers.transport.http_errors import Unauthorized

API = "/api"
READS = re.compile(r"/api/(?:login/[0-9a-f]+|exit|show/[^?#]*)")
"""What changes nothing but our own session."""
HEADERS = {"datatype": "json"}
HASHES = ("sha256", "md5")
"""Of ``USER_PASSWORD``: firmware of MSA 2050, ME4 and later, and firmware before that."""
PROBE = "/show/system"
TOLD = re.compile(r"/api/login/|/chap-record/")
"""Paths that hold a secret, which urllib3 would write into the debugging log."""


class DotHillReader:
    """Has no way to write."""

    def __init__(self, options: Http, around: Surroundings) -> None:
        self._http = open_http(options, around, reads=is_reading, says=says, probe=API + PROBE)
        self.via = self._http.via
        self.stop = around.stop
        """Set when the process must leave."""

    def alive(self) -> bool:
        """See `Session.alive`."""
        try:
            self.show("system")
        except RackwrightError:
            return False
        return True

    def close(self) -> None:
        """End our session on the array, which has few. See `Session.close`."""
        if "sessionKey" in self._http.headers:
            with suppress(RackwrightError):
                self._http.get(f"{API}/exit", headers=HEADERS)
        self._http.close()

    def log_in(self) -> None:
        """Raises Unauthorized for wrong credentials. The older hash is sent only to an array that has
        refused the newer one."""
        self._http.headers.pop("sessionKey", None)
        options = self._http.options
        pair = f"{options.username}_{options.password}".encode()
        for name in HASHES:
            hashed = hashlib.new(name, pair, usedforsecurity=False).hexdigest()
            self._http.hide(hashed)
            try:
                answer = self._http.ask(
                    "GET", f"{API}/login/{hashed}", headers=HEADERS, secret=session_key
                )
            except Unauthorized:
                continue
            key = session_key(answer)
            if key:
                self._http.headers["sessionKey"] = key
                return
        raise Unauthorized(
            f"{self.via}: the array does not take the credentials of {options.username!r}"
        )

    def show(self, *words: str) -> Said:
        """The answer to a ``show`` command. Raises Rejected."""
        return self._checked(("show", *words), self._ask(path("show", *words)))

    def _ask(self, where: str) -> Said:
        """Reads; logs in again, once, when the array has forgotten us."""
        try:
            found = self._told(self._http.get(where, headers=HEADERS))
            if found.code != NOT_LOGGED_IN:
                return found
        except Unauthorized:
            pass
        self.log_in()
        return self._told(self._http.get(where, headers=HEADERS))

    def _told(self, answer: Answer) -> Said:
        try:
            return dothill_parse.said(answer.text)
        except ValueError as error:
            words = self._http.masked(str(error))
            raise Temporary(f"{self.via}: an answer that makes no sense: {words}") from None

    def _checked(self, words: tuple[str, ...], found: Said) -> Said:
        if found.success and found.code == dothill_parse.OK:
            return found
        command, said = self._http.masked(" ".join(words)), self._http.masked(found.words)
        if found.code == NOT_LOGGED_IN:
            raise Permanent(f"{self.via}: {command}: {said} ({found.code})")
        raise Refused(f"{command}: {said or 'refused'} ({found.code})", found.code, said)


class DotHillWriter(DotHillReader):
    """Can also write."""

    def run(self, *words: str, secret: str = "") -> Said:
        """Carry out a command that writes, sent once; again only where the array had not known us and
        did nothing. ``secret`` is one of its words, to be hidden. Raises `Refused`."""
        assert isinstance(self._http, HttpSession)  # noqa: S101  around.writable
        self._http.hide(secret)
        self._http.hide(quote(secret, safe=""))
        where = path(*words)
        try:
            found = self._told(self._http.request("GET", where, headers=HEADERS))
            if found.code != NOT_LOGGED_IN:
                return self._checked(words, found)
        except Unauthorized:
            pass
        self.log_in()
        return self._checked(words, self._told(self._http.request("GET", where, headers=HEADERS)))


class Refused(Rejected):
    """The array does not do it, and ``code`` is its number for why."""

    def __init__(self, message: str, code: int, output: str) -> None:
        super().__init__(message, output=output)
        self.code = code


def is_reading(method: str, where: str) -> bool:
    """See `http.Reads`."""
    return method == "GET" and READS.fullmatch(where) is not None


def path(*words: str) -> str:
    """The path of a command; each word is one segment, whatever is in it."""
    return "/".join([API, *(quote(word, safe="") for word in words)])


def session_key(answer: Answer) -> str:
    """The key that a login gives; empty where it was refused."""
    try:
        found = dothill_parse.said(answer.text)
    except ValueError:
        return ""
    return found.words if found.success else ""


def says(body: str) -> str:
    """The words in the body of an error; empty when it has none."""
    try:
        return dothill_parse.said(body).words
    except ValueError:
        return ""


def tells_nothing(record: logging.LogRecord) -> bool:
    """For the log of urllib3, which names the path of every request."""
    return TOLD.search(record.getMessage()) is None


def open_dothill(options: Http, around: Surroundings) -> DotHillReader:
    """Connect and log in: `DotHillWriter` if ``around.writable``, else `DotHillReader`."""
    logging.getLogger("urllib3.connectionpool").addFilter(tells_nothing)
    session = (DotHillWriter if around.writable else DotHillReader)(options, around)
    try:
        session.log_in()
    except BaseException:
        session.close()
        raise
    return session
