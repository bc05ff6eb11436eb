"""The engine over a rig: what a case declares, converged as a delegate does it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from rackwright.engine.converge import Job, converge
from rackwright.engine.ledger import LedgerFile
from rackwright.model.bundle import Bundle, Declared, Gates, Origin
from rackwright.model.errors import RackwrightError
from rackwright.model.report import Report
from rackwright.model.resource import digest
from rackwright.model.secret import marker
from rackwright.model.site import Node, Way
from rackwright.provider import AnyProvider, Registry, Surroundings

from .rig import Case, RealRig, Written, fields

MARGIN = {"snmp": {"timeout": 3.0, "retries": 1}}


class Delegate:
    """Converges one rig over one of its ways; its ledger and known hosts are under ``state``."""

    def __init__(self, case: Case, rig: RealRig, transport: str, state: Path) -> None:
        self.case, self.rig, self.state = case, rig, state
        self.transport = transport
        self.provider: AnyProvider = Registry.installed().provider(case.platform)
        state.mkdir(parents=True, exist_ok=True)
        self.ledger = LedgerFile(state / "ledger.json")

    @property
    def way(self) -> Way:
        way = self.rig.ways[self.transport]
        more = MARGIN.get(self.transport, {})
        return msgspec.structs.replace(way, options={**more, **way.options})

    def around(self, *, writable: bool) -> Surroundings:
        return Surroundings(state=self.state, writable=writable)

    def session(self, *, writable: bool = True) -> Any:
        """An open session; close it."""
        return self.provider.open(self.way, self.around(writable=writable))

    def bundle(self, written: Sequence[Written], purge: Sequence[str] = ()) -> Bundle:
        """What an agent is told when a role has just these resources."""
        way = msgspec.structs.replace(self.way, options={})  # the engine opens nothing
        node = Node(name="dut", type="device", platform=self.case.platform, reach=(way,))
        declared = []
        for number, (noun, given) in enumerate(fields(written), start=1):
            destroy = given.pop("destroy", False)
            data = _rendered(given)
            declared.append(
                Declared(
                    type=noun,
                    data=data,
                    digest=digest(noun, data),
                    origin=Origin(file="roles/dut.yaml", line=number),
                    destroy=destroy,
                )
            )
        return Bundle(node=node, revision="1", resources=tuple(declared), purge=tuple(purge))

    def run(
        self, written: Sequence[Written], *, why_run: bool = False, purge: Sequence[str] = ()
    ) -> Report:
        """One converge over a session of its own. A session that cannot be had raises."""
        job = Job(
            bundle=self.bundle(written, purge),
            gates=Gates(),
            secrets=self.rig.secrets,
            here="admin1",
            why_run=why_run,
        )
        with closing(self.session(writable=not why_run)) as session:
            return converge(job, self.provider, session, self.ledger)

    def persist(self, written: Sequence[Written], tries: int = 3) -> Report:
        """Converge as a daemon does: again when the device cannot be had at first."""
        for left in reversed(range(tries)):
            try:
                report = self.run(written)
            except RackwrightError:
                if not left:
                    raise
                continue
            if report.kind != "unreachable" or not left:
                return report
        raise AssertionError("the last try returns")


def _rendered(value: Any) -> Any:
    """Plain data as a bundle has it: secrets are markers."""
    if isinstance(value, dict):
        if set(value) == {"secret"}:
            return marker(value["secret"])
        return {key: _rendered(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rendered(item) for item in value]
    return value


def states(report: Report) -> dict[str, str]:
    """Address → state."""
    return {outcome.address: outcome.state for outcome in report.outcomes}


def told(report: Report) -> str:
    """What went wrong, for a failing assert."""
    lines = [f"error: {report.kind}: {report.error}"] if report.error else []
    lines += [
        f"{outcome.address}: {outcome.state}: {outcome.why} {outcome.changes}"
        for outcome in report.outcomes
        if outcome.state not in ("in_sync", "changed", "removed", "released")
    ]
    return "\n".join(lines)
