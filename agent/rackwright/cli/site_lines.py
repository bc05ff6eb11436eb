"""The plan of a whole site as data: its changes in their order, each marked, with its blast radius. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from rackwright.cli.site_rack import left_by, rack_of
from rackwright.engine.known import Known
from rackwright.model.address import Address
from rackwright.model.bundle import Bundle
from rackwright.model.report import FieldChange, Outcome
from rackwright.model.resource import Resource
from rackwright_proposals.blast import Radius, radius
from rackwright_proposals.names import natural
from rackwright_proposals.rack import Rack
from rackwright_proposals.sequence import Implied, graph_of

By = Literal["live", "report", "ledger", "nothing"]
"""What a node's changes were told from: a read just now, its last report, its ledger on this host."""
COMING = ("changed", "removed", "released")
"""States of what a converge would do."""


class NodeRead(msgspec.Struct, frozen=True, kw_only=True):
    """How one node was read, and what came of it."""

    node: str
    type: str
    platform: str
    by: By
    at: float | None = None
    """When it was read, or when it last reported, in Unix seconds."""
    via: str = ""
    error: str = ""
    """Why it could not be read just now, where that was tried."""
    kind: str = ""
    """Of `error`, as a report has it."""
    outcomes: tuple[Outcome, ...] = ()


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One change."""

    address: str
    """Whole: ``sw-a1:vlan/666``."""
    node: str
    state: str
    """As a dry run has it, or ``deferred``; what waits only for steps of this plan is not blocked."""
    action: str
    mark: Literal["read", "assumed"]
    after: tuple[str, ...] = ()
    """The steps of this plan that it waits for."""
    changes: tuple[FieldChange, ...] = ()
    commands: tuple[str, ...] = ()
    why: str = ""
    origin: str = ""
    severs: bool = False
    radius: Radius = Radius()


class Wave(msgspec.Struct, frozen=True, kw_only=True):
    """What can go at once, by its number in the sequence."""

    wave: int
    changes: tuple[Line, ...]


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """A node that is not in the site any more and was never said to be gone for good."""

    node: str
    by: Literal["report", "ledger"]
    holds: tuple[str, ...]
    """What it rests on of other nodes: held until it is retired."""
    resources: tuple[str, ...]
    """What it has of its own."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The plan in numbers."""

    changes: int
    nodes: int
    """With a change."""
    read: int
    assumed: int
    blocked: int
    failed: int
    refused: int
    deferred: int
    in_sync: int
    cuts: tuple[str, ...]
    """The nodes that lose power, network or disk by one change alone."""
    cuts_together: tuple[str, ...]
    """Those that do by several changes together, though by none alone."""
    unknown: tuple[str, ...]
    """The nodes that could neither be read, though that was tried, nor are known."""


class SitePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a converge of every node would do."""

    site: str
    commit: str
    nodes: tuple[NodeRead, ...]
    waves: tuple[Wave, ...]
    gone: tuple[Gone, ...]
    summary: Summary
    rack: Rack
    """For whoever asks for the radius of several changes together; not shown."""

    @property
    def exit_code(self) -> int:
        """1 a node's facts do not compile; 2 something fails or is refused; 4 a node could neither be
        read nor is known; 3 something waits for what is not in the plan; 0 otherwise."""
        if any(node.kind == "input" for node in self.nodes):
            return 1
        if self.summary.failed or self.summary.refused:
            return 2
        if self.summary.unknown:
            return 4
        return 3 if self.summary.blocked else 0


def site_plan(
    site: str,
    reads: Sequence[NodeRead],
    bundles: Mapping[str, Bundle],
    implied: Implied,
    parents: Mapping[str, str],
    known: Mapping[str, Known],
    nouns: Mapping[str, type[Resource]],
) -> SitePlan:
    """Put together what was read of each node. ``implied`` and ``parents`` are those of the site's
    ``bundles``; what ``known`` has besides is what is to go."""
    after = _assumed(reads)
    going = {
        read.node: [one.address for one in read.outcomes if one.action == "remove"]
        for read in reads
    }
    graph = graph_of(bundles, implied, _leaving(reads, bundles, known))
    rack = rack_of(going, bundles, implied, parents, known, nouns)
    number = {step: wave for wave, steps in enumerate(graph.waves, 1) for step in steps}
    waves: dict[int, list[Line]] = {}
    for read in sorted(reads, key=lambda read: natural(read.node)):
        for line in _lines(read, bundles[read.node], after, rack):
            waves.setdefault(number.get(line.address, len(graph.waves) + 1), []).append(line)
    lines = [line for wave in waves.values() for line in wave]
    return SitePlan(
        site=site,
        commit=next((bundle.revision for bundle in bundles.values()), ""),
        nodes=tuple(sorted(reads, key=lambda read: natural(read.node))),
        waves=tuple(Wave(wave=wave, changes=tuple(waves[wave])) for wave in sorted(waves)),
        gone=tuple(_gone(bundles, known)),
        summary=_summary(lines, reads, rack),
        rack=rack,
    )


def _whole(address: str, node: str) -> str:
    return address if ":" in address.partition("/")[0] else f"{node}:{address}"


def _assumed(reads: Iterable[NodeRead]) -> dict[str, tuple[str, ...]]:
    """The blocked steps that wait for nothing but steps of this plan, each with those that are still
    to be made: what they wait for is there when the plan is carried out."""
    there: set[str] = set()
    coming: set[str] = set()
    waiting: dict[str, tuple[str, ...]] = {}
    for read in reads:
        for outcome in read.outcomes:
            step = f"{read.node}:{outcome.address}"
            if outcome.state == "in_sync":
                there.add(step)
            elif outcome.state in COMING:
                coming.add(step)
            elif outcome.state == "blocked" and outcome.waits_for:
                waiting[step] = tuple(_whole(need, read.node) for need in outcome.waits_for)
    users: dict[str, list[str]] = {}
    for step, needs in waiting.items():
        for need in needs:
            users.setdefault(need, []).append(step)
    missing = {step: len(needs) for step, needs in waiting.items()}
    found: dict[str, tuple[str, ...]] = {}
    look = [*there, *coming]
    while look:
        for user in users.get(look.pop(), ()):
            missing[user] -= 1
            if not missing[user]:
                found[user] = tuple(need for need in waiting[user] if need not in there)
                look.append(user)
    return found


def _lines(
    read: NodeRead, bundle: Bundle, after: Mapping[str, tuple[str, ...]], rack: Rack
) -> Iterable[Line]:
    for outcome in read.outcomes:
        if outcome.state == "in_sync" and not outcome.action:
            continue
        step = f"{read.node}:{outcome.address}"
        waits = after.get(step)
        state, why = outcome.state, outcome.why
        if waits is not None:
            state = {"remove": "removed", "release": "released"}.get(outcome.action, "changed")  # type: ignore[assignment]
            why = ""
        acts = outcome.action not in ("notify", "release")
        yield Line(
            address=step,
            node=read.node,
            state=state,
            action=outcome.action,
            mark="assumed" if waits or read.by == "nothing" else "read",
            after=waits or (),
            changes=outcome.changes,
            commands=outcome.commands,
            why=why,
            origin=outcome.origin,
            severs=outcome.severs,
            radius=radius(rack, [step], cuts=outcome.severs) if acts else Radius(),
        )
    for item in bundle.deferred:
        yield Line(
            address=f"{read.node}:{item.address}",
            node=read.node,
            state="deferred",
            action="",
            mark="assumed",
            why=f"waits for the fact {item.fact}",
            origin=str(item.origin),
        )


def _leaving(
    reads: Iterable[NodeRead], bundles: Mapping[str, Bundle], known: Mapping[str, Known]
) -> dict[str, list[str]]:
    """What is to go → what goes or changes before it: whatever rests on it by a ledger, what it is said
    to wait for, and what its own node changes first."""
    leaving: dict[str, list[str]] = {}
    for read in reads:
        declared = {str(item.address) for item in bundles[read.node].resources}
        before: list[str] = []
        for outcome in read.outcomes:
            step = f"{read.node}:{outcome.address}"
            if outcome.action in ("remove", "release") and outcome.address not in declared:
                waits = (_whole(need, read.node) for need in outcome.waits_for)
                leaving[step] = [*before, *waits] if outcome.action == "remove" else [*waits]
            if outcome.action in ("update", "release"):
                before.append(step)
    for node, about in known.items():
        for key, entry in about.ledger.entries.items() if about.ledger else ():
            user = f"{node}:{entry.called or key}"
            if user in leaving:
                for need in entry.needs:
                    whole = _whole(need, node)
                    if whole in leaving:
                        leaving[whole].append(user)
    return leaving


def _gone(bundles: Mapping[str, Bundle], known: Mapping[str, Known]) -> Iterable[Gone]:
    for node in sorted(known.keys() - bundles.keys(), key=natural):
        about = known[node]
        left = left_by(about)
        holds = {
            need.address
            for item in left
            for need in item.needs
            if Address.parse(need.address).node not in ("", node)
        }
        if left:
            yield Gone(
                node=node,
                by=about.by,
                holds=tuple(sorted(holds, key=natural)),
                resources=tuple(sorted((str(item.address) for item in left), key=natural)),
            )


def _summary(lines: Sequence[Line], reads: Iterable[NodeRead], rack: Rack) -> Summary:
    coming = [
        line for line in lines if line.state in COMING and line.action not in ("notify", "release")
    ]
    count: Callable[[str], int] = lambda state: sum(line.state == state for line in lines)  # noqa: E731
    cutting = [line for line in coming if line.severs]
    alone = {node for line in cutting for node in line.radius.cut}
    together = radius(rack, [line.address for line in cutting], cuts=True) if cutting else Radius()
    reads = list(reads)
    return Summary(
        changes=len(coming),
        nodes=len({line.node for line in coming}),
        read=sum(line.mark == "read" for line in coming),
        assumed=sum(line.mark == "assumed" for line in coming),
        blocked=count("blocked"),
        failed=count("failed"),
        refused=count("refused"),
        deferred=count("deferred"),
        in_sync=sum(
            outcome.state == "in_sync" and not outcome.action
            for read in reads
            for outcome in read.outcomes
        ),
        cuts=tuple(sorted(alone, key=natural)),
        cuts_together=tuple(sorted(set(together.cut) - alone, key=natural)),
        unknown=tuple(
            sorted(
                (read.node for read in reads if read.by == "nothing" and read.error), key=natural
            )
        ),
    )


def plan_data(plan: SitePlan) -> dict[str, Any]:
    """``plan`` for machines: nodes with their counts, waves with their changes, what is left by nodes
    that are gone, and the summary."""
    return {
        "site": plan.site,
        "commit": plan.commit,
        "nodes": [
            {
                "node": read.node,
                "type": read.type,
                "platform": read.platform,
                "by": read.by,
                "at": read.at,
                "via": read.via,
                "error": read.error,
                "in_sync": [
                    outcome.address for outcome in read.outcomes if outcome.state == "in_sync"
                ],
            }
            for read in plan.nodes
        ],
        "waves": msgspec.to_builtins(plan.waves),
        "gone": msgspec.to_builtins(plan.gone),
        "summary": msgspec.to_builtins(plan.summary),
    }
