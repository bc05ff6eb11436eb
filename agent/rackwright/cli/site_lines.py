"""The plan of a whole site as data: its changes in their order, each marked, with its blast radius. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from rackwright.cli.site_doubts import doubts_of, unlisted
from rackwright.cli.site_going import Going, go_on
from rackwright.cli.site_order import numbers
from rackwright.cli.site_rack import left_by, rack_of
from rackwright.cli.site_rollouts import Turn
from rackwright.cli.site_steps import COMING, NodeRead, Step, whole
from rackwright.cli.site_waves import RolloutPlan, rollout_plans
from rackwright.engine.known import Known
from rackwright.model.address import Address
from rackwright.model.bundle import Bundle
from rackwright.model.report import FieldChange
from rackwright.model.resource import Resource
from rackwright_proposals.blast import Radius, radius
from rackwright_proposals.names import natural
from rackwright_proposals.rack import Rack
from rackwright_proposals.rollouts import Rollout
from rackwright_proposals.sequence import Implied, graph_of

_NO_ROLLOUTS: Mapping[str, Rollout] = MappingProxyType({})


class LastTry(msgspec.Struct, frozen=True, kw_only=True):
    """That a change failed before."""

    why: str
    at: float
    """When it was tried last, in Unix seconds."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One change."""

    address: str
    """Whole: ``sw-a1:vlan/666``."""
    node: str
    state: str
    """As a dry run has it; ``deferred``; or ``unknown``: whether there is anything to do. What waits only
    for steps of this plan, or for a wave that comes by it, is not blocked."""
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
    rollouts: tuple[Turn, ...] = ()
    """The waves for which it counts."""
    drift: bool = False
    """It was seen as it is declared, and is not so any more: no commit brings this change."""
    failed: LastTry | None = None
    """It failed when it was last tried like this, so nothing is built on it."""
    doubts: tuple[str, ...] = ()
    """What of it nobody knows without looking, for a person."""


class Wave(msgspec.Struct, frozen=True, kw_only=True):
    """What can go at once, by its number in the sequence; where rollouts hold something back, by the one
    that it comes to."""

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
    create: int
    update: int
    remove: int
    drifted: int
    """Of the changes, those that no commit brings."""
    failed_before: int
    """Of the changes, those that failed when they were last tried."""
    read: int
    assumed: int
    blocked: int
    failed: int
    refused: int
    deferred: int
    unlisted: int
    """Types of which nobody knows what `purge` would take away, node by node."""
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
    rollouts: tuple[RolloutPlan, ...]
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
    rollouts: Mapping[str, Rollout] = _NO_ROLLOUTS,
) -> SitePlan:
    """Put together what was read of each node. ``implied``, ``parents`` and ``rollouts`` are those of the
    site's ``bundles``; what ``known`` has besides is what is to go."""
    reads = sorted(reads, key=lambda read: natural(read.node))
    going_away = {
        read.node: [one.address for one in read.outcomes if one.action == "remove"]
        for read in reads
    }
    graph = graph_of(bundles, implied, _leaving(reads, bundles, known))
    going = go_on(reads, bundles, known, rollouts, graph, nouns)
    rack = rack_of(going_away, bundles, implied, parents, known, nouns)
    number = numbers(graph, going)
    waves: dict[int, list[Line]] = {}
    for read in reads:
        about = known.get(read.node, Known())
        for line in _lines(read, bundles[read.node], about, going, rack, nouns):
            waves.setdefault(number.get(line.address, len(graph.waves) + 1), []).append(line)
    lines = [line for wave in waves.values() for line in wave]
    return SitePlan(
        site=site,
        commit=next((bundle.revision for bundle in bundles.values()), ""),
        nodes=tuple(reads),
        waves=tuple(Wave(wave=wave, changes=tuple(waves[wave])) for wave in sorted(waves)),
        rollouts=rollout_plans(going, [line.address for line in lines if line.state in COMING]),
        gone=tuple(_gone(bundles, known)),
        summary=_summary(lines, reads, rack),
        rack=rack,
    )


def _lines(
    read: NodeRead,
    bundle: Bundle,
    about: Known,
    going: Going,
    rack: Rack,
    nouns: Mapping[str, type[Resource]],
) -> Iterable[Line]:
    for outcome in read.outcomes:
        address = f"{read.node}:{outcome.address}"
        step = going.steps.get(address)
        if step is not None:
            yield _line(read, step, address, about, going, rack, nouns)
        elif outcome.action:
            yield Line(
                address=address,
                node=read.node,
                state=outcome.state,
                action=outcome.action,
                mark="assumed" if read.by == "nothing" else "read",
                origin=outcome.origin,
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
    for address, why in unlisted(read, bundle, about).items():
        yield Line(
            address=address,
            node=read.node,
            state="unknown",
            action="remove",
            mark="assumed",
            why=why,
        )


def _line(
    read: NodeRead,
    step: Step,
    address: str,
    about: Known,
    going: Going,
    rack: Rack,
    nouns: Mapping[str, type[Resource]],
) -> Line:
    outcome = step.outcome
    state, why, after = outcome.state, outcome.why, going.after.get(address)
    if address in going.held:
        state, why = "blocked", going.held[address]
    elif after is not None:
        state = {"remove": "removed", "release": "released"}.get(outcome.action, "changed")  # type: ignore[assignment]
        why = ""
    acts = outcome.action not in ("notify", "release")
    assumed = after or read.by == "nothing" or going.round.get(address, 0) > 0
    return Line(
        address=address,
        node=read.node,
        state=state,
        action=outcome.action,
        mark="assumed" if assumed and state in COMING else "read",
        after=after or (),
        changes=outcome.changes,
        commands=outcome.commands,
        why=why,
        origin=outcome.origin,
        severs=outcome.severs,
        radius=radius(rack, [address], cuts=outcome.severs) if acts else Radius(),
        rollouts=going.turns.get(address, ()),
        drift=step.drift,
        failed=LastTry(why=step.last.why, at=step.last.at) if step.last else None,
        doubts=doubts_of(read, step, about, nouns) if state in COMING else (),
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
                waits = (whole(need, read.node) for need in outcome.waits_for)
                leaving[step] = [*before, *waits] if outcome.action == "remove" else [*waits]
            if outcome.action in ("update", "release"):
                before.append(step)
    for node, about in known.items():
        for key, entry in about.ledger.entries.items() if about.ledger else ():
            user = f"{node}:{entry.called or key}"
            if user in leaving:
                for need in entry.needs:
                    first = whole(need, node)
                    if first in leaving:
                        leaving[first].append(user)
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
        create=sum(line.action == "create" for line in coming),
        update=sum(line.action == "update" for line in coming),
        remove=sum(line.action == "remove" for line in coming),
        drifted=sum(line.drift for line in coming),
        failed_before=sum(line.failed is not None for line in coming),
        read=sum(line.mark == "read" for line in coming),
        assumed=sum(line.mark == "assumed" for line in coming),
        blocked=count("blocked"),
        failed=count("failed"),
        refused=count("refused"),
        deferred=count("deferred"),
        unlisted=count("unknown"),
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
    """``plan`` for machines: nodes with their counts, waves with their changes, rollouts with their waves,
    what is left by nodes that are gone, and the summary."""
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
        "rollouts": msgspec.to_builtins(plan.rollouts),
        "gone": msgspec.to_builtins(plan.gone),
        "summary": msgspec.to_builtins(plan.summary),
    }
