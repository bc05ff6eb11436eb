"""Where an agent's bundles come from and its reports go: a store, or (in the CLI) a site's tree."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from rackwright.engine.files import replace
from rackwright.engine.ledger import Ledger, decode, encode
from rackwright.model import typed
from rackwright.model.address import NODE_NAME
from rackwright.model.bundle import Bundle, Gates
from rackwright.model.errors import NotAsked, Permanent, Temporary, Unreachable
from rackwright.model.facts import Facts
from rackwright.model.lease import DELEGATE_HOST
from rackwright.model.report import Report

if TYPE_CHECKING:
    from rackwright.client import StoreClient

log = logging.getLogger(__name__)


class Source(Protocol):
    """What one node's runs need from outside. Methods raise Unreachable when it is away."""

    collects: bool
    """Somebody waits for the reports: they are kept on disk until they are delivered."""
    epoch: int
    """Of the lease under which the node is converged; 0 without one."""

    def send_facts(self, facts: Facts) -> None:
        """Have the bundle rendered with ``facts`` from now on."""

    def bundle(self) -> Bundle:
        """The node's bundle."""

    def gates(self) -> Gates:
        """What other nodes have verified and still hold, as it goes with the `bundle` given last.
        Raises Superseded when there is a newer bundle meanwhile."""

    def deliver(self, report: Report) -> None:
        """Hand a report over; on return it is kept there."""

    def mirror(self, ledger: Ledger) -> None:
        """Keep a copy of the ledger."""

    def mirrored(self) -> Ledger | None:
        """The copy kept there, if any."""

    def forget(self) -> None:
        """Take nothing that was learnt earlier for fresh: somebody else had the node since."""


class Superseded(Temporary):
    """The site went on between the bundle and its gates: ask for both again."""


class _Kept(msgspec.Struct, frozen=True):
    """A bundle and gates that belong together. Gates that were asked for under another bundle may
    say nothing of what this one no longer wants, and others still rest on."""

    etag: str
    bundle: Bundle
    gates: Gates


class StoreSource:
    """One node of a store, with the last bundle and gates on disk for when the store is away."""

    collects = True

    def __init__(
        self,
        client: StoreClient,
        node: str,
        credential: str,
        state: Path,
        renewed: Callable[[], str] | None = None,
    ) -> None:
        """``state`` is the node's own state directory; ``renewed`` gives the credential as it is kept now,
        should the node have been enrolled anew."""
        self.client, self.node, self.credential = client, node, credential
        self._renewed = renewed
        self._file = state / "bundle.json"
        self._kept_gates: Gates | None = None
        """As they lie on disk, with the bundle given last."""
        self._fresh: tuple[Bundle, str] | None = None
        """A new bundle with its ETag, until its gates are known."""
        self.etag = ""
        self.gates_etag = ""
        self.epoch = 0
        self.fetched = 0
        """How often the store has told all its news."""
        self.hosts = False
        """Whether the node is a host: managed nodes come to it and go."""

    def renew(self) -> None:
        """The store does not know the credential: take the one that is kept now."""
        if self._renewed is not None:
            self.credential = self._renewed() or self.credential

    def forget(self) -> None:
        self._file.unlink(missing_ok=True)
        self._kept_gates = self._fresh = None
        self.etag = self.gates_etag = ""

    def send_facts(self, facts: Facts) -> None:
        self.client.put_facts(self.node, self.credential, facts, epoch=self.epoch)

    def bundle(self) -> Bundle:
        from rackwright.store_http import NotThere

        kept = None if self._fresh else self._kept()
        known = self._fresh[1] if self._fresh else kept.etag if kept else ""
        try:
            got = self.client.bundle(self.node, self.credential, known, epoch=self.epoch)
        except NotThere:
            self.etag = self.gates_etag = ""  # as at the store: it is woken when it is in the site
            raise
        except Unreachable as error:
            self._fresh, kept = None, kept or self._kept()
            if kept is None:
                raise
            log.warning(
                "%s: the store is away (%s); going on from the last bundle", self.node, error
            )
            got = None
        if got is not None:
            self._fresh = got
        if self._fresh is not None:
            bundle, self.etag = self._fresh
            self.hosts = DELEGATE_HOST in bundle.roles
            return bundle
        if kept is None:
            raise NotAsked(f"the store sent no bundle for {self.node}")
        # Also when the store is away: an agent that started meanwhile is woken when it is back.
        self.etag, self._kept_gates = kept.etag, kept.gates
        self.hosts = DELEGATE_HOST in kept.bundle.roles
        return kept.bundle

    def _kept(self) -> _Kept | None:
        try:
            return typed.decode(self._file.read_bytes(), _Kept)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def gates(self) -> Gates:
        try:
            gates, etag = self.client.gates(self.node, self.credential, epoch=self.epoch)
            again = self.client.bundle(self.node, self.credential, self.etag, epoch=self.epoch)
            if again is not None:
                raise Superseded(f"the site of {self.node} changes faster than it can be read")
        except Unreachable:
            if self._fresh is not None or self._kept_gates is None:
                raise
            # What was verified when we last heard: a server that boots while the store is away must
            # get its network back. What had to wait meanwhile goes on as soon as the store is back.
            self.gates_etag = ""
            return msgspec.structs.replace(self._kept_gates.unasked, stale=True)
        self.gates_etag = etag
        self.fetched += 1
        bundle = self._fresh[0] if self._fresh else None
        if bundle is None and gates != self._kept_gates:
            kept = self._kept()
            bundle = kept.bundle if kept else None
        if bundle is not None:
            replace(self._file, msgspec.json.encode(_Kept(self.etag, bundle, gates)))
        self._fresh, self._kept_gates = None, gates
        return gates

    def deliver(self, report: Report) -> None:
        from rackwright.store_http import Unfit

        try:
            self.client.post_report(self.node, self.credential, report, epoch=report.epoch)
        except Unfit:
            raise
        except Permanent as error:
            # The report is good: it is taken when the node is enrolled again, or back in the site, or the
            # store's certificate is in order.
            raise Temporary(str(error)) from error

    def mirror(self, ledger: Ledger) -> None:
        self.client.put_ledger(self.node, self.credential, encode(ledger), epoch=self.epoch)

    def mirrored(self) -> Ledger | None:
        kept = self.client.get_ledger(self.node, self.credential, epoch=self.epoch)
        try:
            return None if kept is None else decode(kept)
        except msgspec.DecodeError as error:
            raise Permanent(
                f"the store's copy of the ledger of {self.node} is damaged ({error}); without it "
                "nobody knows what was made there"
            ) from error


def credential(state: Path, client: StoreClient, node: str, token: str) -> str:
    """The node's credential from its state directory, or got with an enrolment token and kept."""
    if not NODE_NAME.fullmatch(node):
        raise Permanent(f"{node!r} cannot be a node's name")  # nor a directory of ours
    if kept := kept_credential(state, node):
        return kept
    if not token:
        raise Permanent(
            f"{node} is not enrolled here: make a token with `rackwright token create {node}` "
            "at the store and give it with --token"
        )
    got = client.enrol(token, node)
    replace(state / node / "credential", got.encode() + b"\n")
    return got


def kept_credential(state: Path, node: str) -> str:
    """The node's credential from its state directory; empty when it was never enrolled here."""
    try:
        return (state / node / "credential").read_text().strip()
    except FileNotFoundError:
        return ""
