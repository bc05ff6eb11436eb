"""HTTP with the store: one kept-alive session, and what goes wrong as our errors.

requests is imported when a session is made, not when this module is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from rackwright.model import typed
from rackwright.model.errors import NotAsked, Permanent, Unknown

if TYPE_CHECKING:
    import requests

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
"""A store that renders a large site with new facts takes its time."""

T = TypeVar("T")


class NotAllowed(Permanent):
    """The credential is not good (any more), or the node is not in the site: nothing is wrong with
    what was asked."""


class NotThere(NotAllowed, Unknown):
    """The store knows no such node, host or report."""


class NotAdmin(NotAllowed, Unknown):
    """The credential that was given is not the admin's, or the store is not one."""


class Unfit(Permanent):
    """The store will never take what was sent, whoever sends it."""


class WatchRefused(NotAllowed):
    """A long poll had credentials that are not good (any more): those of ``nodes``."""

    def __init__(self, message: str, nodes: Iterable[str]) -> None:
        super().__init__(message)
        self.nodes = frozenset(nodes)


class StoreHttp:
    """One kept-alive session, and foreign errors mapped to ours."""

    def __init__(self, url: str, ca: str | None) -> None:
        import requests
        from requests.adapters import HTTPAdapter

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Permanent(f"{url!r} is not a store's URL: write https://HOST:PORT")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise Permanent("a store's URL has no credentials, query or fragment in it")
        self._url = url.rstrip("/")
        self._verify: str | bool = ca or True
        self._requests = requests
        self._session = requests.Session()
        # As many kept connections as a process has converging threads, and then some.
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=256)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def close(self) -> None:
        """Close kept connections."""
        self._session.close()

    def send(
        self,
        method: str,
        path: str,
        credential: str = "",
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        none_for: int = 0,
        read: float = READ_SECONDS,
        again: bool = True,
    ) -> Any:
        """The answer when it is a success; None when its status is ``none_for``."""
        try:
            answer = self._once(method, path, credential, body, headers or {}, read)
        except self._requests.exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" not in str(error):
                raise NotAsked(f"{self._url}: TLS failed: {_reason(error)}") from error
            raise Permanent(
                f"{self._url}: TLS failed: {_reason(error)}; is the store's certificate for this name, "
                "and signed by an authority that is trusted here (--ca FILE)?"
            ) from error
        except self._requests.exceptions.ConnectionError as error:
            # A kept connection that the store had closed meanwhile looks the same as a dead store.
            if not again or isinstance(error, self._requests.exceptions.ConnectTimeout):
                raise NotAsked(f"{self._url}: {_reason(error)}") from error
            return self.send(
                method, path, credential, body=body, headers=headers, none_for=none_for, read=read, again=False
            )  # fmt: skip
        except self._requests.exceptions.ReadTimeout as error:
            raise NotAsked(f"{self._url}: no answer within {read:g} s") from error
        except OSError as error:
            raise _foreign(self._requests, self._url, error) from error
        except ValueError as error:
            raise Permanent(f"{self._url}: {error}") from error
        if answer.status_code == none_for:
            return None
        if answer.ok and answer.status_code < 300:
            return answer
        raise _refusal(self._url, answer)

    def _once(
        self,
        method: str,
        path: str,
        credential: str,
        body: bytes | None,
        headers: Mapping[str, str],
        read: float,
    ) -> requests.Response:
        return self._session.request(
            method,
            self._url + path,
            data=body,
            headers={
                "Accept": "application/json",
                **({"Content-Type": "application/json"} if body is not None else {}),
                **headers,
            },
            # Given as auth and verify of the request, or ~/.netrc and the environment override them.
            auth=_Bearer(credential),
            verify=self._verify,
            timeout=(CONNECT_SECONDS, read),
            allow_redirects=False,
        )


class _Bearer:
    """Puts the credential in, or sees to it that there is none."""

    def __init__(self, credential: str) -> None:
        self._credential = credential

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._credential:
            request.headers["Authorization"] = f"Bearer {self._credential}"
        return request


def _refusal(url: str, answer: Any) -> Permanent | NotAsked:
    status = answer.status_code
    try:
        said = json.loads(answer.content)
    except ValueError:
        said = None
    ours = isinstance(said, dict)
    if not ours:
        said = {"error": f"answered {status} {answer.reason}"}
    hint = f" ({said['hint']})" if said.get("hint") else ""
    text = f"{url}: {said.get('error', f'answered {status}')}{hint}"
    if status >= 500 or status in (408, 429):
        return NotAsked(text)
    if status < 400:
        return Permanent(f"{url}: answered {status}: this is not a store, or not its address")
    nodes = said.get("nodes")
    if status == 403 and isinstance(nodes, list):
        return WatchRefused(text, map(str, nodes))
    if status == 404 and ours:
        return NotThere(text)
    if status in (401, 403, 404):
        return NotAllowed(text)
    if status == 413 or (ours and status in (400, 409)):
        return Unfit(text)
    return Permanent(text)


def _foreign(library: Any, url: str, error: OSError) -> Permanent | NotAsked:
    wrong = (
        library.exceptions.InvalidURL,
        library.exceptions.InvalidSchema,
        library.exceptions.MissingSchema,
        library.exceptions.InvalidHeader,
    )
    if isinstance(error, wrong):
        return Permanent(f"{url}: {error}")
    if not isinstance(error, library.exceptions.RequestException):
        # requests raises a plain OSError for a CA file that is not there.
        return Permanent(f"{url}: {error}")
    return NotAsked(f"{url}: {_reason(error)}")


def _reason(error: BaseException) -> str:
    """What the operating system said, without the layers of wrapping around it."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        if "timed out" in str(inner):
            return "timed out"
        wrapped = getattr(inner, "reason", None) or next(iter(inner.args), None)
        inner = wrapped if isinstance(wrapped, BaseException) else inner.__cause__
    return str(error)


def decoded(answer: Any, kind: type[T]) -> tuple[T, str]:
    """What an answer says, as ``kind``, and its ETag. Raises NotAsked when it is not such a thing."""
    try:
        found = typed.decode(answer.content, kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise NotAsked(
            f"the store's answer is not a {kind.__name__.lower()} that this version of Rackwright "
            f"reads: {error}"
        ) from error
    return found, answer.headers.get("ETag", "").removeprefix("W/").strip('"')


def plain_object(answer: Any) -> dict[str, Any]:
    """The JSON object that an answer holds. Raises NotAsked when it holds none."""
    try:
        found = json.loads(answer.content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise NotAsked("the store's answer is not what it must be: is this a store?")
    return found


def path_part(text: str) -> str:
    """``text`` as one part of a path, or as a value of a query."""
    return quote(text, safe="")
