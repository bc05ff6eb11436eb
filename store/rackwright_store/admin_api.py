"""The paths of the API that people ask: what they are told, and what they may change."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from rackwright.model.address import NODE_NAME
from rackwright.model.errors import InputError
from rackwright_store.bodies import SMALL, Drained, Retire, TokenRequest
from rackwright_store.callers import Callers
from rackwright_store.http import HttpError, decode, json_response, read_body
from rackwright_store.service import RETIRE_AFTER, Service
from rackwright_store.views import Views


class AdminApi:
    """One method a route. Each begins by asking whether it is the admin who is asking."""

    def __init__(self, service: Service, callers: Callers) -> None:
        self._service = service
        self._callers = callers
        self._views = Views(service)

    async def hosts(self, request: Request) -> Response:
        self._callers.admin(request)
        return json_response(self._service.hosts.views.data())

    async def drain(self, request: Request) -> Response:
        self._callers.admin(request)
        host = request.path_params["host"]
        asked = decode(await read_body(request, SMALL), Drained)
        if host not in self._service.hosts.places.names:
            raise HttpError(404, f"there is no host {host!r} in the site", "rackwright host list shows all")  # fmt: skip
        return json_response(await self._service.drain(host, asked.who, drain=asked.drain))

    async def status(self, request: Request) -> Response:
        self._callers.admin(request)
        return json_response(self._views.status())

    async def nodes(self, request: Request) -> Response:
        self._callers.admin(request)
        return json_response({"nodes": self._views.nodes()})

    async def node(self, request: Request) -> Response:
        self._callers.admin(request)
        name = request.path_params["node"]
        found = self._views.node(name)
        if found is None:
            raise self._callers.unknown(name)
        return json_response(found)

    async def sequence(self, request: Request) -> Response:
        self._callers.admin(request)
        return json_response(await self._views.sequence())

    async def known(self, request: Request) -> Response:
        self._callers.admin(request)
        return Response(await self._views.known_body(), media_type="application/json")

    async def waiting(self, request: Request) -> Response:
        self._callers.admin(request)
        node = request.path_params["node"]
        if node not in self._service.live.bundles:
            raise self._callers.unknown(node)
        return json_response(await self._views.waiting(node))

    async def retire(self, request: Request) -> Response:
        self._callers.admin(request)
        node, service = request.path_params["node"], self._service
        asked = decode(await read_body(request, SMALL), Retire)
        if not service.known(node):
            raise HttpError(404, f"nothing is known of a node {node!r}", "rackwright node shows those of the site")  # fmt: skip
        before = service.retired.get(node)
        if before is not None:
            retirement = before
        elif asked.dry_run:
            retirement = service.would_retire(node, asked.who, asked.why)
        elif service.reported_lately(node) and not asked.force:
            raise HttpError(
                409,
                f"{node} is in the site, and has reported within the last {RETIRE_AFTER / 60:.0f} min",
                "take it out of the site, or say --force if it is gone for good all the same",
            )
        else:
            retirement = await service.retire(node, asked.who, asked.why)
        already = before is not None
        return json_response({**msgspec.to_builtins(retirement), "already": already})

    async def runs(self, request: Request) -> Response:
        self._callers.admin(request)
        node = request.query_params.get("node", "")
        if node and not NODE_NAME.fullmatch(node):
            raise HttpError(400, f"{node!r} cannot be a node's name")
        return json_response({"runs": await self._views.runs(node, _limit(request))})

    async def report(self, request: Request) -> Response:
        self._callers.admin(request)
        body = await self._views.report(request.path_params["node"], request.path_params["id"])
        if body is None:
            raise HttpError(404, "no such report", "the newest hundred of each node are kept")
        return Response(body, media_type="application/json")

    async def revisions(self, request: Request) -> Response:
        self._callers.admin(request)
        return json_response({"revisions": await self._views.history(_limit(request))})

    async def proposals(self, request: Request) -> Response:
        self._callers.admin(request)
        return json_response({"proposals": self._views.proposals()})

    async def rollouts(self, request: Request) -> Response:
        self._callers.admin(request)
        return json_response({"rollouts": self._views.rollouts()})

    async def links(self, request: Request) -> Response:
        self._callers.admin(request)
        return json_response({"links": self._views.links()})

    async def why(self, request: Request) -> Response:
        self._callers.admin(request)
        node, path = request.path_params["node"], request.path_params["path"]
        if node not in self._service.live.bundles:
            raise self._callers.unknown(node)
        try:
            return json_response(self._views.why(node, path))
        except InputError as error:
            first = error.problems[0]
            raise HttpError(404, first.message, first.hint) from None

    async def tokens(self, request: Request) -> Response:
        self._callers.admin(request)
        asked = decode(await read_body(request, SMALL), TokenRequest)
        nodes = sorted(set(asked.nodes))
        for node in nodes:
            if node not in self._service.live.bundles:
                raise self._callers.unknown(node, status=400)
        token, expires = await self._service.add_token(nodes, asked.ttl)
        return json_response({"token": token, "nodes": nodes, "expires": expires}, 201)


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", "50")
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= 1000):
        raise HttpError(400, "limit is a number from 1 to 1000")
    return int(text)
