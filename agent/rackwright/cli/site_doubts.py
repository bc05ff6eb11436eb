"""What of a plan nobody can know without looking at the node. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from rackwright.cli.site_steps import NodeRead, Step
from rackwright.engine.known import Known
from rackwright.engine.ledger import Ledger
from rackwright.model.bundle import Bundle
from rackwright.model.resource import Resource


def doubts_of(
    read: NodeRead, step: Step, about: Known, nouns: Mapping[str, type[Resource]]
) -> tuple[str, ...]:
    """What is not known of ``step``, in sentences for a person; of a node that was read live, nothing."""
    if read.by in ("live", "nothing"):
        return ()
    found = []
    node, outcome = read.node, step.outcome
    noun = nouns.get(outcome.address.partition("/")[0])
    if read.away:
        found.append(f"{node} could not be reached; this is done when it can be")
    if outcome.action == "remove" and noun is not None and noun.loses is not Resource.loses:
        entries = (about.ledger or Ledger()).entries.items()
        meant = any(e.destroy for key, e in entries if (e.called or key) == outcome.address)
        if not meant:
            found.append(f"whether it holds data only {node} can tell; if it does, it is refused")
    if outcome.severs and read.type != "server":
        found.append(
            f"whether it carries the path to {node} itself only {node} can tell for certain"
        )
    return tuple(found)


def unlisted(read: NodeRead, bundle: Bundle, about: Known) -> dict[str, str]:
    """``node:type/*`` → why nobody knows what `Bundle.purge` would take away there."""
    if read.by == "live":
        return {}
    purged = (about.ledger or Ledger()).purged
    return {
        f"{read.node}:{kind}/*": (
            f"`purge` takes away what {read.node} has besides, and only {read.node} can tell what that is"
        )
        for kind in bundle.purge
        if kind not in purged
    }
