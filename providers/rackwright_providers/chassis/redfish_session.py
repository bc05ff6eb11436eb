"""Sessions with a Redfish service: one that reads, one that also writes.

Logging in makes a session resource on the service, which is deleted on closing; a service without a
SessionService gets the credentials with every request (DSP0266, 13.3).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import msgspec

from rackwright.model.errors import Permanent, RackwrightError, Rejected
from rackwright.model.site import Http
from rackwright.provider import Surroundings
from rackwright_providers.chassis import redfish_model as model
from rackwright_providers.transport.http import Answer, HttpSession, open_http
from rackwright_providers.transport.http_errors import HttpRefused

SYSTEMS = f"{model.ROOT}Systems"
MOST = 1000
"""Members of a collection; a service that names more is not telling of its systems."""
HEADERS = {"Accept": "application/json", "OData-Version": "4.0"}


class RedfishReader:
    """Has no way to write: it sends GET, and the POST and DELETE of its own session."""

    def __init__(self, options: Http, around: Surroundings) -> None:
        self._http = open_http(
            options, around, reads=self._is_reading, says=model.says, probe=SYSTEMS
        )
        self.via = self._http.via
        self.stop = around.stop
        """Set when the process must leave."""
        self.root: Any = {}
        """The service root."""
        self.paths: dict[str, str] = {}
        """Of systems, by the names under which they were read last."""
        self._login, self._own = "", ""

    def alive(self) -> bool:
        """See `Session.alive`."""
        return self._http.alive()

    def close(self) -> None:
        """Delete our session on the service, which has few. See `Session.close`."""
        if self._own:
            with suppress(RackwrightError):
                self._http.ask("DELETE", self._own, headers=HEADERS)
        self._http.close()

    def log_in(self) -> None:
        """Raises Unauthorized for wrong credentials."""
        self.root = self.get(model.ROOT)
        options = self._http.options
        if not options.username:
            return
        self._login = model.link(self.root, "Links", "Sessions")
        if not self._login or not self._make_session(options):
            self._http.use_basic()

    def _make_session(self, options: Http) -> bool:
        """False where the service has no sessions."""
        body = {"UserName": options.username, "Password": options.password}
        try:
            answer = self._http.ask("POST", self._login, json=body, headers=HEADERS, secret=_token)
        except HttpRefused as error:
            if error.status in (404, 405, 501):
                return False
            raise Permanent(f"cannot log in: {error}") from None
        if not _token(answer):
            return False
        self._http.headers["X-Auth-Token"] = _token(answer)
        place = answer.headers.get("Location", "")
        self._own = urlsplit(place).path if place else model.link(answer.json())
        return True

    def get(self, path: str) -> Any:
        """A resource's data."""
        return self._http.get(path, headers=HEADERS).json()

    def systems(self) -> tuple[model.System, ...]:
        """All of them, in one exchange where the service can do that."""
        path = model.link(self.root, "Systems")
        if not path:
            raise Rejected("the service has no Systems")
        if model.expands(self.root):
            with suppress(Rejected):
                # What is answered without its content is read one by one, as from any service.
                found = self._collection(f"{path}?$expand=.($levels=1)")
                return tuple(
                    model.system(item) if "Id" in item else self.system(model.link(item))
                    for item in found
                )
        return tuple(
            one
            for item in self._collection(path)
            if (one := self._system_if_there(model.link(item)))
        )

    def _system_if_there(self, path: str) -> model.System | None:
        """None when it went since its collection was read: a blade that was pulled."""
        try:
            return self.system(path)
        except HttpRefused as error:
            if error.status == 404:
                return None
            raise

    def _collection(self, path: str) -> list[Any]:
        found: list[Any] = []
        while path:
            data = self.get(path)
            found += model.members(data)
            path = model.text(model.entry(data), "Members@odata.nextLink")
            if len(found) > MOST:
                raise Rejected(f"{self.via}: a collection of more than {MOST} members")
        return found

    def system(self, path: str) -> model.System:
        """As it is now."""
        answer = self._http.get(path, headers=HEADERS)
        return model.system(answer.json(), answer.headers.get("ETag", ""))

    def resets(self, system: model.System) -> model.System:
        """``system`` with what its reset allows, which may stand in a resource of its own."""
        if system.resets or not system.reset_info:
            return system
        values = model.action_values(self.get(system.reset_info))
        return msgspec.structs.replace(system, resets=values)

    def members(self, path: str) -> list[Any]:
        """The members of a collection that a service need not have."""
        if not path:
            return []
        try:
            return [self.get(model.link(item)) for item in self._collection(path)]
        except Rejected:
            return []

    def _is_reading(self, method: str, path: str) -> bool:
        if method == "GET":
            return True
        return (method, path) in {("POST", self._login), ("DELETE", self._own)}


class RedfishWriter(RedfishReader):
    """Can also write."""

    def change(self, system: model.System, body: Any) -> None:
        """Set properties; refused by the service when somebody changed it since it was read."""
        match = {"If-Match": system.etag} if system.etag else {}
        self._session.request("PATCH", system.path, json=body, headers={**HEADERS, **match})

    def act(self, path: str, body: Any) -> None:
        """Invoke an action; that it is carried out shows later."""
        self._session.request("POST", path, json=body, headers=HEADERS)

    @property
    def _session(self) -> HttpSession:
        assert isinstance(self._http, HttpSession)  # noqa: S101  around.writable
        return self._http


def open_redfish(options: Http, around: Surroundings) -> RedfishReader:
    """Connect and log in: `RedfishWriter` if ``around.writable``, else `RedfishReader`."""
    session = (RedfishWriter if around.writable else RedfishReader)(options, around)
    try:
        session.log_in()
    except BaseException:
        session.close()
        raise
    return session


def _token(answer: Answer) -> str:
    return answer.headers.get("X-Auth-Token", "")
