"""Speaks to the store, as an agent or as the admin.

requests is imported when a client is made, not when this module is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from rackwright.model.bundle import Bundle, Gates
from rackwright.model.errors import Unreachable
from rackwright.model.facts import Facts
from rackwright.model.lease import EPOCH_HEADER, Leases
from rackwright.model.report import Report
from rackwright.store_http import (
    NotAdmin,
    NotAllowed,
    NotThere,
    StoreHttp,
    decoded,
    path_part,
    plain_object,
)

LEASE_READ_SECONDS = 5.0
"""An answer about leases that comes later is of little use: better to ask again."""


class Watch(NamedTuple):
    """One node of a long poll, with what is known of it: an empty ETag is "nothing yet"."""

    node: str
    credential: str
    bundle: str = ""
    gates: str = ""
    epoch: int = 0
    """Of the lease, when the credential is that of a host which acts for the node."""


class StoreClient:
    """The store as an agent sees it. One for a whole process: it may be used from many threads.

    ``url`` is ``https://host:port`` (or ``http://``, which a store serves on loopback alone unless
    told otherwise); ``ca`` a PEM file of the authorities to trust instead of the system's.

    ``credential`` is the node's own, or that of a host which holds the node's lease: then with the
    lease's ``epoch``.

    Methods raise `Unreachable` when there is no answer or the store is at fault (try again), and
    `Permanent` when the store refuses (with what to do about it).
    """

    def __init__(self, url: str, ca: str | None = None) -> None:
        self._http = StoreHttp(url, ca)

    def close(self) -> None:
        """Close kept connections."""
        self._http.close()

    def enrol(self, token: str, node: str) -> str:
        """The node's new credential, for a one-time token. An older credential ends."""
        body = msgspec.json.encode({"token": token, "node": node})
        # Not sent twice: the token might be used up by the first.
        answer = self._http.send("POST", "/v1/enrol", body=body, again=False)
        credential = plain_object(answer).get("credential")
        if not isinstance(credential, str):
            raise Unreachable("the store's answer to an enrolment holds no credential")
        return credential

    def leases(
        self,
        credential: str,
        process: str,
        want: Mapping[str, tuple[str, int]],
        release: Mapping[str, int],
    ) -> Leases:
        """Renew, take and give back leases, all in one. ``process`` is a random text, new for each
        process; ``want`` maps nodes to (instance, last epoch): the random text that is kept in the
        node's state directory under its lock, and the epoch that this directory held last (0: none);
        ``release`` maps nodes to the epoch that ends now. What is granted lasts ``ttl`` seconds from
        before this was called. Asking twice does no harm."""
        wanted = {node: {"instance": one, "epoch": epoch} for node, (one, epoch) in want.items()}
        body = msgspec.json.encode({"process": process, "want": wanted, "release": dict(release)})
        answer = self._http.send("POST", "/v1/leases", credential, body=body, read=LEASE_READ_SECONDS)  # fmt: skip
        return decoded(answer, Leases)[0]

    def bundle(
        self, node: str, credential: str, etag: str = "", *, epoch: int = 0
    ) -> tuple[Bundle, str] | None:
        """The node's bundle and its ETag; None when it is still the one of ``etag``."""
        headers = _epoch(epoch) | ({"If-None-Match": f'"{etag}"'} if etag else {})
        path = f"/v1/nodes/{path_part(node)}/bundle"
        answer = self._http.send("GET", path, credential, headers=headers, none_for=304)
        return None if answer is None else decoded(answer, Bundle)

    def gates(self, node: str, credential: str, *, epoch: int = 0) -> tuple[Gates, str]:
        """The node's gates and their ETag."""
        path = f"/v1/nodes/{path_part(node)}/gates"
        answer = self._http.send("GET", path, credential, headers=_epoch(epoch))
        return decoded(answer, Gates)

    def put_facts(self, node: str, credential: str, facts: Facts, *, epoch: int = 0) -> str:
        """Send the node's facts. Returns the ETag of the bundle rendered with them."""
        path, body = f"/v1/nodes/{path_part(node)}/facts", msgspec.json.encode(facts)
        answer = self._http.send("PUT", path, credential, body=body, headers=_epoch(epoch))
        return str(plain_object(answer).get("etag", ""))

    def put_ledger(self, node: str, credential: str, ledger: bytes, *, epoch: int = 0) -> None:
        """Mirror the node's ledger (JSON): ``{"entries": {"type/name": {"needs": […], …}}}``."""
        path = f"/v1/nodes/{path_part(node)}/ledger"
        self._http.send("PUT", path, credential, body=ledger, headers=_epoch(epoch))

    def get_ledger(self, node: str, credential: str, *, epoch: int = 0) -> bytes | None:
        """The ledger as it was mirrored last (JSON); None when there is none."""
        path = f"/v1/nodes/{path_part(node)}/ledger"
        answer = self._http.send("GET", path, credential, headers=_epoch(epoch), none_for=404)
        return None if answer is None else bytes(answer.content)

    def post_report(
        self, node: str, credential: str, report: Report | bytes, *, epoch: int = 0
    ) -> None:
        """Deliver a report (or one as it lies in the spool, JSON), with the ``epoch`` under which the
        run was made. Twice does no harm."""
        body = report if isinstance(report, bytes) else msgspec.json.encode(report)
        path = f"/v1/nodes/{path_part(node)}/reports"
        self._http.send("POST", path, credential, body=body, headers=_epoch(epoch))

    def wait(
        self, watch: Iterable[Watch | tuple[str, str, str, str]], timeout: float = 60.0
    ) -> frozenset[str]:
        """Wait until the bundle or the gates of a node differ from the ETags given, at most
        ``timeout`` seconds (up to 300). Returns the names of those nodes; level-triggered, so a
        lost answer is harmless. Raises `WatchRefused` for credentials that are not good."""
        items = [Watch(*item)._asdict() for item in watch]
        body = msgspec.json.encode({"timeout": timeout, "watch": items})
        answer = self._http.send(
            "POST", "/v1/wait", body=body, read=timeout + max(5.0, timeout / 4)
        )
        changed = plain_object(answer).get("changed")
        return frozenset(map(str, changed)) if isinstance(changed, list) else frozenset()


class AdminClient:
    """The store as the admin sees it; plain data out. Raises as `StoreClient` does."""

    def __init__(self, url: str, credential: str, ca: str | None = None) -> None:
        self._http = StoreHttp(url, ca)
        self._credential = credential

    def close(self) -> None:
        """Close kept connections."""
        self._http.close()

    def status(self) -> dict[str, Any]:
        """``{"store": {…}, "nodes": […]}``: how the store and every node are doing."""
        return self._get("/v1/status")

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes of the site."""
        return self._list("/v1/nodes", "nodes")

    def node(self, name: str) -> dict[str, Any]:
        """All about one node."""
        return self._get(f"/v1/nodes/{path_part(name)}")

    def runs(self, node: str = "", limit: int = 50) -> list[dict[str, Any]]:
        """The newest runs, of one node or of all, newest first."""
        return self._list(f"/v1/runs?node={path_part(node)}&limit={limit}", "runs")

    def report(self, node: str, identity: str) -> dict[str, Any]:
        """One whole report."""
        return self._get(f"/v1/nodes/{path_part(node)}/reports/{path_part(identity)}")

    def revisions(self, limit: int = 50) -> list[dict[str, Any]]:
        """What came of the newest commits, newest first."""
        return self._list(f"/v1/revisions?limit={limit}", "revisions")

    def sequence(self) -> dict[str, Any]:
        """``{"commit", "waves", "longest"}``: the order, and where the revision stands in it."""
        return self._get("/v1/sequence")

    def known(self) -> dict[str, Any]:
        """``{"commit", "nodes"}``: what the store knows of every node, for a plan of the site."""
        return self._get("/v1/known")

    def waiting(self, name: str) -> dict[str, Any]:
        """Why one node waits, down to the roots."""
        return self._get(f"/v1/nodes/{path_part(name)}/waiting")

    def retire(self, name: str, **said: Any) -> dict[str, Any]:
        """The node is gone for good: ``who``, ``why``, ``force``, and ``dry_run`` to be told only what
        would be released."""
        path = f"/v1/nodes/{path_part(name)}/retire"
        body = msgspec.json.encode(said)
        return plain_object(self._send("POST", path, body=body, again=False))

    def hosts(self) -> dict[str, Any]:
        """``{"lease", "hosts", "unplaced"}``: the hosts that converge managed nodes, and the nodes that
        none of them may have."""
        return self._get("/v1/hosts")

    def drain(self, host: str, who: str, *, drain: bool) -> dict[str, Any]:
        """``host`` is to hold nothing, or may again. Returns how it is doing."""
        body = msgspec.json.encode({"drain": drain, "who": who})
        path = f"/v1/hosts/{path_part(host)}/drain"
        return plain_object(self._send("POST", path, body=body))

    def proposals(self) -> list[dict[str, Any]]:
        """The proposals of the revision in force."""
        return self._list("/v1/proposals", "proposals")

    def rollouts(self) -> list[dict[str, Any]]:
        """Every rollout of the revision in force, with its waves."""
        return self._list("/v1/rollouts", "rollouts")

    def links(self) -> list[dict[str, Any]]:
        """Every link end: declared, found, or both."""
        return self._list("/v1/links", "links")

    def why(self, node: str, path: str) -> dict[str, Any]:
        """Where a value of a node came from."""
        return self._get(f"/v1/why/{path_part(node)}/{quote(path, safe='/')}")

    def create_token(self, nodes: Iterable[str], ttl: float = 3600.0) -> dict[str, Any]:
        """``{"token", "nodes", "expires"}``: good once for each of ``nodes``, for ``ttl`` seconds."""
        body = msgspec.json.encode({"nodes": list(nodes), "ttl": ttl})
        return plain_object(self._send("POST", "/v1/tokens", body=body, again=False))  # fmt: skip

    def poke(self) -> float:
        """Have the store look at its branch now. Returns its time: looks that were begun later see what
        has been pushed by now."""
        found = plain_object(self._http.send("POST", "/v1/poke", body=b""))
        return float(found.get("at", 0.0))

    def healthy(self) -> bool:
        """Whether the store answers; needs no credential."""
        try:
            return bool(plain_object(self._http.send("GET", "/v1/health")).get("ok"))
        except Unreachable:
            return False

    def _send(self, method: str, path: str, **more: Any) -> Any:
        try:
            return self._http.send(method, path, self._credential, **more)
        except NotThere:
            raise
        except NotAllowed as error:
            raise NotAdmin(str(error)) from error

    def _get(self, path: str) -> dict[str, Any]:
        return plain_object(self._send("GET", path))

    def _list(self, path: str, key: str) -> list[dict[str, Any]]:
        found = self._get(path).get(key)
        return found if isinstance(found, list) else []


def _epoch(epoch: int) -> dict[str, str]:
    return {EPOCH_HEADER: str(epoch)} if epoch else {}
