"""What is the matter with a node or a resource at the root of a wait, and who can act on it. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple

from rackwright.model.standing import RUN
from rackwright_store.spans import span
from rackwright_store.standing import Seen, Stand

SILENT_AFTER = 180.0
"""Seconds without a sign of life after which an agent is named as what everything waits for. One that is
well renews its long poll every minute or so."""

Kind = Literal[
    "failed", "refused", "contradicted", "blocked", "unreachable", "run", "facts", "fact",
    "unheard", "unenrolled", "unplaced", "retired", "left", "pending", "circle",
]  # fmt: skip


class Root(NamedTuple):
    """What is the matter with one thing, who can act and how, and since when (Unix seconds)."""

    kind: Kind
    error: str
    act: str
    since: float | None = None


def trouble(seen: Seen, now: float) -> Root | None:
    """Why the agent of a node gets nothing done; None when nothing is the matter with it."""
    node = seen.name
    agent = agent_name(seen)
    if seen.retired:
        return Root(
            "retired",
            f"{node} is retired",
            f"take it out of the site, or enrol it again: rackwright token create {node}",
        )
    if seen.at.unplaced:
        return Root(
            "unplaced",
            seen.at.unplaced,
            "whoever can start the delegates of such a host (service rackwright-delegates), end its "
            "drain (rackwright host resume), or give another host a way to it",
            seen.at.since,
        )
    if not seen.enrolled:
        name = seen.at.host or node
        return Root(
            "unenrolled",
            f"{f'{name}, which is to converge it,' if seen.at.host else agent} has never been enrolled",
            f"enrol it: rackwright token create {name}",
        )
    if seen.silent > SILENT_AFTER:
        since = now - seen.silent
        where = "the host that it runs on" if seen.bundle.node.managed else "the host"
        where = seen.at.host or where
        text = f"{agent} has not been heard for {span(seen.silent)}"
        run = seen.standing.get(RUN)
        text += f"; before that: {run.why}" if run else ""
        return Root("unheard", text, f"whoever can reach {where}: start it again", since)
    run = seen.standing.get(RUN)
    if seen.at.unreached:
        act = f"{node}'s cabling, its power or its `reach`: its hosts go on trying in turn"
        return Root("unreachable", seen.at.unreached, act, run.since if run else None)
    if run is not None and run.at >= seen.told:
        kind: Kind = "unreachable" if run.action == "unreachable" else "run"
        what = f"its cabling, its power or its `reach`: {agent} goes on trying"
        act = what if kind == "unreachable" else f"{agent} goes on trying; its log has more"
        return Root(kind, run.why, act, run.since)
    if seen.facts_problem:
        return Root(
            "facts",
            f"its facts do not compile: {seen.facts_problem}",
            "mend the template or the proposal at that line",
        )
    return None


def pending(seen: Seen) -> Root:
    """The agent of a node has been told, and is at it."""
    agent = agent_name(seen)
    at = seen.at
    text = f"{agent} has been told, and has not reported it yet"
    if at.host and at.holder != at.host:
        text = f"{f'{at.holder} lets go of it for' if at.holder else 'it comes to'} {at.host}"
    return Root(
        "pending",
        text,
        f"{agent}: it is on its way",
        seen.told or None,
    )


def refused(seen: Seen, stand: Stand) -> Root:
    """A change that is refused, and what would let it go ahead."""
    at = f" (at {stand.origin})" if stand.origin else ""
    if "destroy: true" in stand.why:
        act = f"say `destroy: true` on it{at} if its data may go, or take the change back"
    elif "power: force_off" in stand.why:
        act = f"say `power: force_off` on it{at} if it is meant, or take the change back"
    elif "contradict" in stand.why or stand.why in seen.gates.contradicted.values():
        act = "mend the cable, or the link in the site; or say `trust: declared` on the link"
        return Root("contradicted", stand.why, act, stand.since)
    else:
        act = f"change what is declared{at}, or do it by hand on {seen.name}"
    return Root("refused", stand.why, act, stand.since)


def owner_of(seen: Seen, stand: Stand) -> str:
    """Who can mend a resource of a node."""
    at = f", or what is declared at {stand.origin}" if stand.origin else ""
    return f"mend {seen.name}{at}"


def agent_name(seen: Seen) -> str:
    """What converges a node, as people call it."""
    at = f" at {seen.at.host}" if seen.at.host else ""
    return f"{seen.name}'s {'delegate' if seen.bundle.node.managed else 'agent'}{at}"
