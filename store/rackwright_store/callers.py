"""Who calls, and whether that one may: the check that every handler begins with."""

from __future__ import annotations

from starlette.requests import Request

from rackwright.model.lease import EPOCH_HEADER
from rackwright_store.auth import ADMIN
from rackwright_store.bodies import Watched
from rackwright_store.http import HttpError
from rackwright_store.service import Service


class Callers:
    """Tells agents, hosts and the admin from each other."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def subject(self, request: Request) -> str:
        """Who asks: a node's name, or `ADMIN`. Raises HttpError (401) for anybody else."""
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

    def agent(self, request: Request) -> str:
        """The node of the path, whose agent asks, or the host that holds its lease. Raises HttpError
        (403) for whoever may not."""
        subject, epoch = self.subject(request), epoch_of(request)
        node: str = request.path_params["node"]
        if subject != node and not self._service.hosts.acts(subject, node, epoch):
            raise self._not_yours(subject, node, epoch)
        self._service.heard_from(node)
        return node

    def writer(self, request: Request) -> str:
        """The same, for what changes what is known of the node: not with its own credential while
        others converge it."""
        node = self.agent(request)
        why = self._service.hosts.why_not_itself(node)
        if why and self.subject(request) == node:
            raise HttpError(403, why, "what its host reports and keeps of it is what counts")
        return node

    def may_note(self, request: Request) -> None:
        """Raises HttpError unless what the ledger's owner noted is no older than what the next one has."""
        node, epoch, hosts = self.writer(request), epoch_of(request), self._service.hosts
        lease = hosts.leases.get(node)
        if lease is not None and epoch < lease.epoch and (epoch or hosts.manages(node)):
            raise HttpError(409, f"{node} has been converged under epoch {lease.epoch} since, and this is of {epoch}")  # fmt: skip

    async def reporter(self, request: Request) -> tuple[str, str]:
        """The node of the path, and the host that reports on it if it is not its own agent: one that
        held its lease under the epoch given, be that over or not. Whoever had it last may also hand in
        what lay in its state directory before: an older database, or an agent of another name, gave it
        that epoch. Raises HttpError (403) for whoever may not."""
        subject, epoch = self.subject(request), epoch_of(request)
        node: str = request.path_params["node"]
        if subject == node:
            return node, ""
        hosts = self._service.hosts
        mine = hosts.last(subject, node, epoch) or await self._service.granted(subject, node, epoch)
        if subject == ADMIN or not mine or node in self._service.retired:
            raise self._not_yours(subject, node, epoch)
        return node, subject

    def may_watch(self, item: Watched) -> bool:
        """Whether this is the credential of the node, or of the host that holds its lease."""
        credentials = self._service.credentials
        if credentials.verify(item.node, item.credential):
            return True
        subject = credentials.subject(item.credential) if item.epoch else None
        return subject is not None and self._service.hosts.acts(subject, item.node, item.epoch)

    def admin(self, request: Request) -> None:
        """Raises HttpError (403) unless it is the admin who asks."""
        if self.subject(request) != ADMIN:
            raise HttpError(403, "this is for the admin")

    def unknown(self, node: str, status: int = 404) -> HttpError:
        """The answer to whoever asks for a node that is not in the site."""
        if self._service.revisions.in_force is None:
            return HttpError(
                503,
                "no revision is in force yet",
                "rackwright status shows what is wrong with the site, or with reaching it",
            )
        return HttpError(status, f"there is no node {node!r} in the site", "rackwright node shows all")  # fmt: skip

    def _not_yours(self, subject: str, node: str, epoch: int) -> HttpError:
        # The same answer whether there is such a node or not.
        why = self._service.hosts.why_not(subject, node, epoch)
        return HttpError(403, why or "an agent may touch only what belongs to its own node")


def epoch_of(request: Request) -> int:
    """The epoch of the lease under which a host asks; 0 without one."""
    text = request.headers.get(EPOCH_HEADER, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise HttpError(400, f"{EPOCH_HEADER} is a number")
    return int(text)
