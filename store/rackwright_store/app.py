"""The HTTP API, as ``openapi.yaml`` specifies it: its routes, and what its errors look like."""

from __future__ import annotations

import time
from functools import cache
from importlib.resources import files

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rackwright_store.admin_api import AdminApi
from rackwright_store.agent_api import AgentApi
from rackwright_store.callers import Callers
from rackwright_store.http import HttpError, error_response, json_response
from rackwright_store.service import Service


def build(service: Service) -> Starlette:
    """The application that serves ``service``."""
    callers = Callers(service)
    agents, admin = AgentApi(service, callers), AdminApi(service, callers)
    public = PublicApi(service)
    get, put, post = ["GET"], ["PUT"], ["POST"]
    routes = [
        Route("/v1/nodes/{node}/bundle", agents.bundle, methods=get),
        Route("/v1/nodes/{node}/gates", agents.gates, methods=get),
        Route("/v1/wait", agents.wait, methods=post),
        Route("/v1/nodes/{node}/facts", agents.facts, methods=put),
        Route("/v1/nodes/{node}/ledger", agents.ledger, methods=["GET", "PUT"]),
        Route("/v1/nodes/{node}/reports", agents.reports, methods=post),
        Route("/v1/nodes/{node}/reports/{id}", admin.report, methods=get),
        Route("/v1/nodes/{node}/waiting", admin.waiting, methods=get),
        Route("/v1/nodes/{node}/retire", admin.retire, methods=post),
        Route("/v1/leases", agents.leases, methods=post),
        Route("/v1/hosts", admin.hosts, methods=get),
        Route("/v1/hosts/{host}/drain", admin.drain, methods=post),
        Route("/v1/enrol", agents.enrol, methods=post),
        Route("/v1/status", admin.status, methods=get),
        Route("/v1/sequence", admin.sequence, methods=get),
        Route("/v1/known", admin.known, methods=get),
        Route("/v1/nodes", admin.nodes, methods=get),
        Route("/v1/nodes/{node}", admin.node, methods=get),
        Route("/v1/runs", admin.runs, methods=get),
        Route("/v1/revisions", admin.revisions, methods=get),
        Route("/v1/proposals", admin.proposals, methods=get),
        Route("/v1/rollouts", admin.rollouts, methods=get),
        Route("/v1/links", admin.links, methods=get),
        Route("/v1/why/{node}/{path:path}", admin.why, methods=get),
        Route("/v1/tokens", admin.tokens, methods=post),
        Route("/v1/poke", public.poke, methods=post),
        Route("/v1/health", public.health, methods=get),
        Route("/v1/openapi.json", public.openapi, methods=get),
    ]
    return Starlette(
        routes=routes,
        exception_handlers={
            HttpError: _on_http_error,
            HTTPException: _on_starlette_error,
            Exception: _on_bug,
        },
    )


class PublicApi:
    """The routes that anybody may ask."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def poke(self, request: Request) -> Response:
        self._service.following.poke()
        return json_response({"at": time.time()}, 202)

    async def health(self, request: Request) -> Response:
        return json_response({"ok": True})

    async def openapi(self, request: Request) -> Response:
        return Response(specification(), media_type="application/json")


@cache
def specification() -> bytes:
    """The OpenAPI document, as JSON. It is made from YAML when somebody asks first."""
    import yaml

    text = files("rackwright_store").joinpath("openapi.yaml").read_bytes()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return msgspec.json.encode(yaml.load(text, loader))  # noqa: S506 - both are safe loaders


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
