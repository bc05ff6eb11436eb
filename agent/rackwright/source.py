"""Where an agent's bundles come from and its reports go: a store, or (in the CLI) a site's tree."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from rackwright.engine.files import replace
from rackwright.engine.ledger import Ledger, decode, encode
from rackwright.model.bundle import Bundle, Gates
from rackwright.model.errors import Permanent, RackwrightError, Unreachable
from rackwright.model.facts import Facts
from rackwright.model.report import Report

if TYPE_CHECKING:
    from rackwright.client import StoreClient

log = logging.getLogger(__name__)


class Source(Protocol):
    """What one node's runs need from outside. Methods raise Unreachable when it is away."""

    collects: bool
    """Somebody waits for the reports: they are kept on disk until they are delivered."""

    def send_facts(self, facts: Facts) -> None:
        """Have the bundle rendered with ``facts`` from now on."""

    def bundle(self) -> Bundle:
        """The node's bundle."""

    def gates(self) -> Gates:
        """What other nodes have verified and still hold."""

    def deliver(self, report: Report) -> None:
        """Hand a report over; on return it is kept there."""

    def mirror(self, ledger: Ledger) -> None:
        """Keep a copy of the ledger."""

    def mirrored(self) -> Ledger | None:
        """The copy kept there, if any."""


class _Kept(msgspec.Struct, frozen=True):
    etag: str
    bundle: Bundle


class StoreSource:
    """One node of a store, with the last bundle and gates on disk for when the store is away."""

    collects = True

    def __init__(self, client: StoreClient, node: str, credential: str, state: Path) -> None:
        self.client, self.node, self.credential = client, node, credential
        self._bundle_file = state / "bundle.json"
        self._gates_file = state / "gates.json"
        self.etag = ""
        self.gates_etag = ""

    def send_facts(self, facts: Facts) -> None:
        self.client.put_facts(self.node, self.credential, facts)

    def bundle(self) -> Bundle:
        kept = self._kept()
        try:
            got = self.client.bundle(self.node, self.credential, kept.etag if kept else "")
        except Unreachable as error:
            if kept is None:
                raise
            log.warning(
                "%s: the store is away (%s); going on from the last bundle", self.node, error
            )
            # So that an agent that started meanwhile is woken too when the store is back.
            self.etag = kept.etag
            return kept.bundle
        if got is None and kept is not None:
            self.etag = kept.etag
            return kept.bundle
        if got is None:
            raise Unreachable(f"the store sent no bundle for {self.node}")
        bundle, self.etag = got
        replace(self._bundle_file, msgspec.json.encode(_Kept(self.etag, bundle)))
        return bundle

    def _kept(self) -> _Kept | None:
        try:
            return msgspec.json.decode(self._bundle_file.read_bytes(), type=_Kept)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def gates(self) -> Gates:
        kept = self._kept_gates()
        try:
            gates, self.gates_etag = self.client.gates(self.node, self.credential)
        except Unreachable:
            # What was verified when we last heard: a server that boots while the store is away must
            # get its network back.
            return kept or Gates()
        if gates != kept:
            replace(self._gates_file, msgspec.json.encode(gates))
        return gates

    def _kept_gates(self) -> Gates | None:
        try:
            return msgspec.json.decode(self._gates_file.read_bytes(), type=Gates)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def deliver(self, report: Report) -> None:
        self.client.post_report(self.node, self.credential, report)

    def mirror(self, ledger: Ledger) -> None:
        try:
            self.client.put_ledger(self.node, self.credential, encode(ledger))
        except RackwrightError as error:
            log.warning("%s: the ledger could not be mirrored: %s", self.node, error)

    def mirrored(self) -> Ledger | None:
        kept = self.client.get_ledger(self.node, self.credential)
        return None if kept is None else decode(kept)


def credential(state: Path, client: StoreClient, node: str, token: str) -> str:
    """The node's credential from its state directory, or got with an enrolment token and kept."""
    path = state / node / "credential"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        if not token:
            raise Permanent(
                f"{node} is not enrolled here: make a token with `rackwright token create {node}` "
                "at the store and give it with --token"
            ) from None
    got = client.enrol(token, node)
    replace(path, got.encode() + b"\n")
    return got
