"""The HTTP API, as ``openapi.yaml`` specifies it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Annotated, Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rackwright.model.address import NODE_NAME
from rackwright.model.errors import InputError
from rackwright.model.facts import Facts
from rackwright.model.lease import EPOCH_HEADER
from rackwright.model.report import Report
from rackwright_proposals.rolling import owned_of
from rackwright_store import runs
from rackwright_store.auth import ADMIN
from rackwright_store.gates import rests_of
from rackwright_store.hosts import Want
from rackwright_store.http import (
    KIB,
    MIB,
    HttpError,
    decode,
    error_response,
    etag_response,
    json_response,
    read_body,
)
from rackwright_store.live import Served, differing
from rackwright_store.service import RETIRE_AFTER, Service

log = logging.getLogger(__name__)

SMALL, FACTS, WATCH, LEDGER, REPORT = 64 * KIB, MIB, MIB, 8 * MIB, 8 * MIB
"""Longest bodies in bytes."""

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Epoch = Annotated[int, msgspec.Meta(ge=0)]
ETag = Annotated[str, msgspec.Meta(max_length=256)]


class Enrol(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /v1/enrol."""

    token: Text
    node: Text


class TokenRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /v1/tokens. ``ttl`` in seconds, at most thirty days."""

    nodes: Annotated[list[Text], msgspec.Meta(min_length=1, max_length=1000)]
    ttl: Annotated[float, msgspec.Meta(ge=1, le=2592000)] = 3600.0


class Retire(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /v1/nodes/{node}/retire."""

    who: Text
    why: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    force: bool = False
    dry_run: bool = False


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """One node that a process asks for."""

    instance: Text
    epoch: Epoch = 0


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /v1/leases."""

    process: Text
    want: Annotated[dict[Text, Wanted], msgspec.Meta(max_length=4000)] = {}
    release: Annotated[dict[Text, Epoch], msgspec.Meta(max_length=4000)] = {}


class Drained(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /v1/hosts/{host}/drain."""

    drain: bool
    who: Text


class Watched(msgspec.Struct, forbid_unknown_fields=True):
    """One node of a long poll."""

    node: Text
    credential: Text
    bundle: ETag = ""
    gates: ETag = ""
    epoch: Epoch = 0


class Wait(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /v1/wait. ``timeout`` in seconds."""

    watch: Annotated[list[Watched], msgspec.Meta(max_length=4000)]
    timeout: Annotated[float, msgspec.Meta(ge=0, le=300)] = 60.0


Handler = Callable[[Request], Awaitable[Response]]


def build(service: Service) -> Starlette:
    """The application that serves ``service``."""
    api = Api(service)
    get, put, post = ["GET"], ["PUT"], ["POST"]
    routes = [
        Route("/v1/nodes/{node}/bundle", api.bundle, methods=get),
        Route("/v1/nodes/{node}/gates", api.gates, methods=get),
        Route("/v1/wait", api.wait, methods=post),
        Route("/v1/nodes/{node}/facts", api.facts, methods=put),
        Route("/v1/nodes/{node}/ledger", api.ledger, methods=["GET", "PUT"]),
        Route("/v1/nodes/{node}/reports", api.reports, methods=post),
        Route("/v1/nodes/{node}/reports/{id}", api.report, methods=get),
        Route("/v1/nodes/{node}/waiting", api.waiting, methods=get),
        Route("/v1/nodes/{node}/retire", api.retire, methods=post),
        Route("/v1/leases", api.leases, methods=post),
        Route("/v1/hosts", api.hosts, methods=get),
        Route("/v1/hosts/{host}/drain", api.drain, methods=post),
        Route("/v1/enrol", api.enrol, methods=post),
        Route("/v1/status", api.status, methods=get),
        Route("/v1/sequence", api.sequence, methods=get),
        Route("/v1/known", api.known, methods=get),
        Route("/v1/nodes", api.nodes, methods=get),
        Route("/v1/nodes/{node}", api.node, methods=get),
        Route("/v1/runs", api.runs, methods=get),
        Route("/v1/revisions", api.revisions, methods=get),
        Route("/v1/proposals", api.proposals, methods=get),
        Route("/v1/rollouts", api.rollouts, methods=get),
        Route("/v1/links", api.links, methods=get),
        Route("/v1/why/{node}/{path:path}", api.why, methods=get),
        Route("/v1/tokens", api.tokens, methods=post),
        Route("/v1/poke", api.poke, methods=post),
        Route("/v1/health", api.health, methods=get),
        Route("/v1/openapi.json", api.openapi, methods=get),
    ]
    return Starlette(
        routes=routes,
        exception_handlers={
            HttpError: _on_http_error,
            HTTPException: _on_starlette_error,
            Exception: _on_bug,
        },
    )


class Api:
    """One method a route. Each begins by asking who is asking."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._openapi = specification()

    async def bundle(self, request: Request) -> Response:
        node = self._agent(request)
        return etag_response(request, *self._served(self._service.live.bundles, node))

    async def gates(self, request: Request) -> Response:
        node = self._agent(request)
        self._service.live.look_again(node)
        return etag_response(request, *self._served(self._service.live.gates, node))

    async def facts(self, request: Request) -> Response:
        node = self._agent(request)
        body = await read_body(request, FACTS)
        self._agent(request)  # a lease may have ended while the body came
        etag = await self._service.put_facts(node, body, decode(body, Facts))
        return json_response({"etag": etag})

    async def ledger(self, request: Request) -> Response:
        node = self._agent(request)
        if request.method != "PUT":
            known = self._service.live.ledgers.get(node)
            if known is None:
                raise HttpError(404, f"no ledger of {node} has been mirrored")
            return Response(known, media_type="application/json")
        body = await read_body(request, LEDGER)
        decode(body, dict[str, Any])
        try:
            rests = rests_of(node, body)
            owned_of(body)
        except (msgspec.ValidationError, ValueError) as error:
            raise HttpError(400, f"the body is not what it must be: {error}") from None
        await self._service.put_ledger(node, body, rests, lambda: self._may_note(request))
        return Response(status_code=204)

    async def reports(self, request: Request) -> Response:
        node, host = await self._reporter(request)
        body = await read_body(request, REPORT)
        report = decode(body, Report)
        if report.node != node:
            raise HttpError(403, f"this is a report of {report.node!r}, not of {node}")
        if not 0 < len(report.id) <= 256:
            raise HttpError(400, "a report's id has 1 to 256 characters")
        wrong = runs.address_problem(report)
        if wrong:
            raise HttpError(400, f"the body is not what it must be: {wrong}")
        if host and not self._service.hosts.newest(host, node, _epoch(request)):
            await self._service.post_outrun(body, report)
        else:
            self._service.heard_from(node)
            await self._service.post_report(body, report, host)
        return Response(status_code=204)

    async def wait(self, request: Request) -> Response:
        asked = decode(await read_body(request, WATCH), Wait)
        service = self._service
        refused = sorted({item.node for item in asked.watch if not self._may_watch(item)})
        if refused:
            raise HttpError(
                403,
                f"not the credential of {', '.join(refused)}",
                "enrol again with a new token, and leave these out until then",
                nodes=refused,
            )
        nodes = {item.node for item in asked.watch}
        for node in nodes:
            service.heard_from(node)
        changed = differing(
            service.live, ((item.node, item.bundle, item.gates) for item in asked.watch)
        )
        if not changed:
            waiter = service.live.waiters.watch(nodes)
            # Whoever watches nothing has shown no credential, and may not stay for long.
            seconds = asked.timeout if nodes else min(asked.timeout, 1.0)
            try:
                changed = await _until_gone(request, waiter.wait(seconds))
            finally:
                waiter.close()
        return json_response({"changed": sorted(changed)})

    async def leases(self, request: Request) -> Response:
        subject = self._subject(request)
        asked = decode(await read_body(request, WATCH), Asked)
        if subject == ADMIN:
            raise HttpError(403, "this is for hosts and for delegates")
        if self._service.revisions.in_force is None:
            raise self._unknown(subject)
        want = {node: Want(item.instance, item.epoch) for node, item in asked.want.items()}
        given = await self._service.lease(subject, asked.process, want, asked.release)
        return json_response(given)

    async def hosts(self, request: Request) -> Response:
        self._admin(request)
        return json_response(self._service.hosts.data())

    async def drain(self, request: Request) -> Response:
        self._admin(request)
        host = request.path_params["host"]
        asked = decode(await read_body(request, SMALL), Drained)
        if host not in self._service.hosts.names:
            raise HttpError(404, f"there is no host {host!r} in the site", "rackwright host list shows all")  # fmt: skip
        return json_response(await self._service.drain(host, asked.who, drain=asked.drain))

    async def enrol(self, request: Request) -> Response:
        asked = decode(await read_body(request, SMALL), Enrol)
        credential = await self._service.enrol(asked.token, asked.node)
        if credential is None:
            raise HttpError(
                403,
                "this token does not enrol this node: it is wrong, expired, used, or for another",
                "ask for a new one: rackwright token create NODE",
            )
        return json_response({"credential": credential})

    async def status(self, request: Request) -> Response:
        self._admin(request)
        return json_response(self._service.status())

    async def nodes(self, request: Request) -> Response:
        self._admin(request)
        return json_response({"nodes": self._service.nodes()})

    async def node(self, request: Request) -> Response:
        self._admin(request)
        name = request.path_params["node"]
        found = self._service.node(name)
        if found is None:
            raise self._unknown(name)
        return json_response(found)

    async def sequence(self, request: Request) -> Response:
        self._admin(request)
        return json_response(await self._service.sequence())

    async def known(self, request: Request) -> Response:
        self._admin(request)
        return Response(await self._service.known_body(), media_type="application/json")

    async def waiting(self, request: Request) -> Response:
        self._admin(request)
        node = request.path_params["node"]
        if node not in self._service.live.bundles:
            raise self._unknown(node)
        return json_response(await self._service.waiting(node))

    async def retire(self, request: Request) -> Response:
        self._admin(request)
        node, service = request.path_params["node"], self._service
        asked = decode(await read_body(request, SMALL), Retire)
        if not service.known(node):
            raise HttpError(404, f"nothing is known of a node {node!r}", "rackwright node shows those of the site")  # fmt: skip
        if asked.dry_run:
            retirement = service.would_retire(node, asked.who, asked.why)
        elif service.reported_lately(node) and not asked.force:
            raise HttpError(
                409,
                f"{node} is in the site, and has reported within the last {RETIRE_AFTER / 60:.0f} min",
                "take it out of the site, or say --force if it is gone for good all the same",
            )
        else:
            retirement = await service.retire(node, asked.who, asked.why)
        return json_response(msgspec.to_builtins(retirement))

    async def runs(self, request: Request) -> Response:
        self._admin(request)
        node = request.query_params.get("node", "")
        if node and not NODE_NAME.fullmatch(node):
            raise HttpError(400, f"{node!r} cannot be a node's name")
        return json_response({"runs": await self._service.runs(node, _limit(request))})

    async def report(self, request: Request) -> Response:
        self._admin(request)
        body = await self._service.report(request.path_params["node"], request.path_params["id"])
        if body is None:
            raise HttpError(404, "no such report", "the newest hundred of each node are kept")
        return Response(body, media_type="application/json")

    async def revisions(self, request: Request) -> Response:
        self._admin(request)
        return json_response({"revisions": await self._service.history(_limit(request))})

    async def proposals(self, request: Request) -> Response:
        self._admin(request)
        return json_response({"proposals": self._service.proposals()})

    async def rollouts(self, request: Request) -> Response:
        self._admin(request)
        return json_response({"rollouts": self._service.rollouts()})

    async def links(self, request: Request) -> Response:
        self._admin(request)
        return json_response({"links": self._service.links()})

    async def why(self, request: Request) -> Response:
        self._admin(request)
        node, path = request.path_params["node"], request.path_params["path"]
        if node not in self._service.live.bundles:
            raise self._unknown(node)
        try:
            return json_response(self._service.why(node, path))
        except InputError as error:
            first = error.problems[0]
            raise HttpError(404, first.message, first.hint) from None

    async def tokens(self, request: Request) -> Response:
        self._admin(request)
        asked = decode(await read_body(request, SMALL), TokenRequest)
        nodes = sorted(set(asked.nodes))
        for node in nodes:
            if node not in self._service.live.bundles:
                raise self._unknown(node, status=400)
        token, expires = await self._service.add_token(nodes, asked.ttl)
        return json_response({"token": token, "nodes": nodes, "expires": expires}, 201)

    async def poke(self, request: Request) -> Response:
        self._service.following.poke()
        return Response(status_code=202)

    async def health(self, request: Request) -> Response:
        return json_response({"ok": True})

    async def openapi(self, request: Request) -> Response:
        return Response(self._openapi, media_type="application/json")

    def _subject(self, request: Request) -> str:
        scheme, _, credential = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and credential:
            subject = self._service.credentials.subject(credential.strip())
            if subject is not None:
                return subject
        raise HttpError(
            401,
            "this needs a credential, and the one presented (if any) is nobody's",
            "an agent gets one by enrolling with a token; the admin's is in the store's data directory",
        )

    def _agent(self, request: Request) -> str:
        """The node of the path, if it is its agent that asks, or the host that holds its lease."""
        subject, epoch = self._subject(request), _epoch(request)
        node: str = request.path_params["node"]
        if subject != node and not self._service.hosts.acts(subject, node, epoch):
            raise self._not_yours(subject, node, epoch)
        self._service.heard_from(node)
        return node

    def _not_yours(self, subject: str, node: str, epoch: int) -> HttpError:
        # The same answer whether there is such a node or not.
        why = self._service.hosts.why_not(subject, node, epoch)
        return HttpError(403, why or "an agent may touch only what belongs to its own node")

    def _may_note(self, request: Request) -> None:
        """Whether what the ledger's owner noted is no older than what the next one has."""
        node, epoch = self._agent(request), _epoch(request)
        lease = self._service.hosts.leases.get(node)
        if lease is not None and 0 < epoch < lease.epoch:
            raise HttpError(409, f"{node} has been converged under epoch {lease.epoch} since, and this is of {epoch}")  # fmt: skip

    async def _reporter(self, request: Request) -> tuple[str, str]:
        """The node of the path, and the host that reports on it if it is not its own agent: one that
        held its lease under the epoch given, be that over or not."""
        subject, epoch = self._subject(request), _epoch(request)
        node: str = request.path_params["node"]
        if subject == node:
            return node, ""
        hosts = self._service.hosts
        mine = hosts.newest(subject, node, epoch) or await self._service.granted(
            subject, node, epoch
        )
        if subject == ADMIN or not mine or node in self._service.retired:
            raise self._not_yours(subject, node, epoch)
        return node, subject

    def _may_watch(self, item: Watched) -> bool:
        credentials = self._service.credentials
        if credentials.verify(item.node, item.credential):
            return True
        subject = credentials.subject(item.credential) if item.epoch else None
        return subject is not None and self._service.hosts.acts(subject, item.node, item.epoch)

    def _admin(self, request: Request) -> None:
        if self._subject(request) != ADMIN:
            raise HttpError(403, "this is for the admin")

    def _served(self, table: dict[str, Served], node: str) -> tuple[str, bytes]:
        served = table.get(node)
        if served is None:
            raise self._unknown(node)
        return served.etag, served.body

    def _unknown(self, node: str, status: int = 404) -> HttpError:
        if self._service.revisions.in_force is None:
            return HttpError(
                503,
                "no revision is in force yet",
                "rackwright status shows what is wrong with the site, or with reaching it",
            )
        return HttpError(status, f"there is no node {node!r} in the site", "rackwright node list shows all")  # fmt: skip


def specification() -> bytes:
    """The OpenAPI document, as JSON."""
    import yaml

    text = files("rackwright_store").joinpath("openapi.yaml").read_text(encoding="utf-8")
    return msgspec.json.encode(yaml.safe_load(text))


def _epoch(request: Request) -> int:
    """The epoch of the lease under which a host asks; 0 without one."""
    text = request.headers.get(EPOCH_HEADER, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise HttpError(400, f"{EPOCH_HEADER} is a number")
    return int(text)


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", "50")
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= 1000):
        raise HttpError(400, "limit is a number from 1 to 1000")
    return int(text)


async def _until_gone(request: Request, waiting: Awaitable[frozenset[str]]) -> frozenset[str]:
    """What ``waiting`` gives; empty as soon as the client has gone away."""
    polls = asyncio.ensure_future(waiting)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({polls, gone}, return_when=asyncio.FIRST_COMPLETED)
        return polls.result() if polls.done() else frozenset()
    finally:
        polls.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HttpError)  # noqa: S101 - it is registered for this type
    return error_response(error)


async def _on_starlette_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for this type
    hint = "GET /v1/openapi.json has all paths" if error.status_code == 404 else ""
    response = error_response(HttpError(error.status_code, error.detail, hint))
    response.headers.update(error.headers or {})
    return response


async def _on_bug(request: Request, error: Exception) -> Response:
    # Starlette logs it and raises it on to the server, which logs its traceback there.
    return error_response(HttpError(500, "internal error", "the store's log has the details"))
