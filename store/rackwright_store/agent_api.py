"""The paths of the API that agents and their hosts ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from rackwright.model.facts import Facts
from rackwright.model.report import Report
from rackwright_proposals.rolling import owned_of
from rackwright_store import runs
from rackwright_store.auth import ADMIN
from rackwright_store.bodies import FACTS, LEDGER, REPORT, SMALL, WATCH, Asked, Enrol, Wait
from rackwright_store.callers import Callers, epoch_of
from rackwright_store.gates import rests_of
from rackwright_store.hosts import Want
from rackwright_store.http import HttpError, decode, etag_response, json_response, read_body
from rackwright_store.live import Served, differing
from rackwright_store.service import Service


class AgentApi:
    """One method a route. Each begins by asking who is asking."""

    def __init__(self, service: Service, callers: Callers) -> None:
        self._service = service
        self._callers = callers

    async def bundle(self, request: Request) -> Response:
        node = self._callers.agent(request)
        return etag_response(request, *self._served(self._service.live.bundles, node))

    async def gates(self, request: Request) -> Response:
        node = self._callers.agent(request)
        self._service.live.look_again(node)
        return etag_response(request, *self._served(self._service.live.gates, node))

    async def facts(self, request: Request) -> Response:
        node = self._callers.writer(request)
        body = await read_body(request, FACTS)
        self._callers.writer(request)  # a lease may have ended while the body came
        etag = await self._service.put_facts(node, body, decode(body, Facts))
        return json_response({"etag": etag})

    async def ledger(self, request: Request) -> Response:
        if request.method != "PUT":
            node = self._callers.agent(request)
            known = self._service.live.ledgers.get(node)
            if known is None:
                raise HttpError(404, f"no ledger of {node} has been mirrored")
            return Response(known, media_type="application/json")
        node = self._callers.writer(request)
        body = await read_body(request, LEDGER)
        decode(body, dict[str, Any])
        try:
            rests = rests_of(node, body)
            owned_of(body)
        except (msgspec.ValidationError, ValueError) as error:
            raise HttpError(400, f"the body is not what it must be: {error}") from None
        await self._service.put_ledger(node, body, rests, lambda: self._callers.may_note(request))
        return Response(status_code=204)

    async def reports(self, request: Request) -> Response:
        node, host = await self._callers.reporter(request)
        body = await read_body(request, REPORT)
        report = decode(body, Report)
        if report.node != node:
            raise HttpError(403, f"this is a report of {report.node!r}, not of {node}")
        if not 0 < len(report.id) <= 256:
            raise HttpError(400, "a report's id has 1 to 256 characters")
        wrong = runs.address_problem(report)
        if wrong:
            raise HttpError(400, f"the body is not what it must be: {wrong}")
        epoch = epoch_of(request)
        if self._service.hosts.counts(host or node, node, epoch):
            self._service.heard_from(node)
            await self._service.post_report(body, report, host, epoch)
        else:
            await self._service.post_outrun(body, report, epoch)
        return Response(status_code=204)

    async def wait(self, request: Request) -> Response:
        asked = decode(await read_body(request, WATCH), Wait)
        service = self._service
        refused = sorted({item.node for item in asked.watch if not self._callers.may_watch(item)})
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
        subject = self._callers.subject(request)
        asked = decode(await read_body(request, WATCH), Asked)
        if subject == ADMIN:
            raise HttpError(403, "this is for hosts and for delegates")
        if self._service.revisions.in_force is None:
            raise self._callers.unknown(subject)
        want = {node: Want(item.instance, item.epoch) for node, item in asked.want.items()}
        given = await self._service.lease(subject, asked.process, want, asked.release)
        return json_response(given)

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

    def _served(self, table: dict[str, Served], node: str) -> tuple[str, bytes]:
        served = table.get(node)
        if served is None:
            raise self._callers.unknown(node)
        return served.etag, served.body


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
