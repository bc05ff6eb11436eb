"""What people are told of the store and of its nodes, as plain data. Changes nothing.

Lives in the event loop; what takes long is worked out in a thread, from a snapshot.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from rackwright.model.bundle import Gates
from rackwright_proposals.documents import HANDOFF_DEADLINE
from rackwright_proposals.evidence import link_data, renewed
from rackwright_store import status
from rackwright_store.delegates import why_delegate
from rackwright_store.known import known_nodes
from rackwright_store.ordering import sequence_data
from rackwright_store.rollouts import fronts_of, rollouts_data
from rackwright_store.service import Service
from rackwright_store.standing import Seen
from rackwright_store.waiting import Rack, chains_data


class Views:
    """What is to be seen of one store."""

    def __init__(self, service: Service) -> None:
        self._database = service.database
        self._threads = service.threads
        self._live = service.live
        self._revisions = service.revisions
        self._following = service.following
        self._hosts = service.hosts
        self._credentials = service.credentials
        self._retired = service.retired
        self._started = service.started

    def status(self) -> dict[str, Any]:
        """How every node and the store itself are doing."""
        revisions, following = self._revisions, self._following
        rack = self._rack()
        return {
            "store": {
                "site": following.shown,
                "head": following.head,
                "checked": following.checked or None,
                "error": following.error,
                "waiting": len(self._live.waiters),
                "in_force": status.revision_data(revisions.in_force),
                "refused": status.revision_data(revisions.refused),
            },
            "nodes": [self._node_status(node, rack) for node in sorted(self._live.bundles)],
            "rollouts": self.rollouts(),
            "retired": [msgspec.to_builtins(item) for _, item in sorted(self._retired.items())],
        }

    async def sequence(self) -> dict[str, Any]:
        """The order of everything, and where the revision in force stands in it."""
        compiled, in_force = self._revisions.compiled, self._revisions.in_force
        rack, ledgers = self._rack(), dict(self._live.ledgers)

        def work() -> dict[str, Any]:
            implied = {} if compiled is None else self._revisions.compiler.implied(compiled)
            return sequence_data(rack, implied, ledgers, in_force.commit if in_force else "")

        return await self._threads.read(work)

    async def known_body(self) -> bytes:
        """What is known of every node (JSON)."""
        live, revisions = self._live, self._revisions
        nodes = known_nodes(live, revisions.facts, revisions.found_at)
        commit = revisions.in_force.commit if revisions.in_force else ""
        return await self._threads.read(
            lambda: msgspec.json.encode({"commit": commit, "nodes": nodes})
        )

    def rollouts(self) -> list[dict[str, Any]]:
        """Every rollout of the revision in force: its waves and where they stand."""
        return rollouts_data(self._live.stages.rolling)

    async def waiting(self, node: str) -> dict[str, Any]:
        """Why ``node``, which is in the site, waits: the chains to the roots."""
        rack = self._rack()
        chains = await self._threads.read(lambda: rack.why(node))
        since = rack.waiting_since(node)
        return {
            "node": node,
            "chains": chains_data(chains),
            "waiting_since": since,
            "overdue": rack.overdue(since),
            "deadline": rack.deadline,
        }

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes of the site."""
        bundles = sorted(self._bundles().items())
        return [
            {
                "node": name,
                "type": bundle.node.type,
                "platform": bundle.node.platform,
                "managed": bundle.node.managed,
                "enrolled": self._enrolled(name),
                "roles": list(bundle.roles),
                "resources": len(bundle.resources),
            }
            for name, bundle in bundles
        ]

    def node(self, name: str) -> dict[str, Any] | None:
        """All about one node."""
        bundle = self._live.bundle(name)
        if bundle is None:
            return None
        known = self._live.verified.get(name, {})
        facts = self._revisions.facts.get(name)
        return {
            "status": self._node_status(name, self._rack()),
            "bundle": msgspec.to_builtins(bundle),
            "gates": msgspec.to_builtins(self._live.gates[name].value),
            "facts": msgspec.to_builtins(facts) if facts else None,
            "verified": dict(sorted(known.items())),
            "outstanding": list(status.outstanding(bundle, known, self._live.last_runs.get(name))),
            "facts_problems": status.problem_list(self._revisions.facts_refused.get(name, ())),
        }

    async def runs(self, node: str, limit: int) -> list[dict[str, Any]]:
        """The newest runs of one node, or of all."""
        found = await self._threads.read(lambda: self._database.reports.runs(node, limit))
        return [_run_data(summary) for summary in found]

    async def report(self, node: str, identity: str) -> bytes | None:
        """One whole report (JSON)."""
        return await self._threads.read(lambda: self._database.reports.get(node, identity))

    async def history(self, limit: int) -> list[dict[str, Any] | None]:
        """What came of the newest commits."""
        found = await self._threads.read(lambda: self._database.revisions.newest(limit))
        return [status.revision_data(revision) for revision in found]

    def links(self) -> list[dict[str, Any]]:
        """Every link of the site: declared, seen, or both."""
        looked = self._revisions.found_at
        return [link_data(renewed(link, looked)) for link in self._live.links]

    def proposals(self) -> list[dict[str, Any]]:
        """The proposals of the revision in force."""
        compiled = self._revisions.compiled
        return [] if compiled is None else self._revisions.compiler.proposals(compiled)

    def why(self, node: str, path: str) -> dict[str, Any]:
        """Where a value of a node came from. Raises InputError when there is no such thing."""
        compiled, compiler = self._revisions.compiled, self._revisions.compiler
        managed = path.removeprefix("delegate/")
        if managed != path and node in self._hosts.places.names:
            seen = self._hosts.views
            there, why = seen.whereabouts(managed), seen.why_there(managed)
            origin = None if compiled is None else compiler.origin(compiled, managed)
            return why_delegate(node, managed, self._live.bundle(node), origin, there, why)
        return compiler.why(compiled, node, path)

    def _bundles(self) -> dict[str, Any]:
        return {name: self._live.bundle(name) for name in self._live.bundles}

    def _rack(self) -> Rack:
        """All nodes as they are now, for any thread."""
        compiled = self._revisions.compiled
        deadline = (
            HANDOFF_DEADLINE
            if compiled is None
            else self._revisions.compiler.handoff_deadline(compiled)
        )
        now = time.time()
        nodes = {name: self._seen(name, now) for name in self._live.bundles}
        return Rack(nodes, now, deadline, fronts_of(self._live.stages.rolling))

    def _seen(self, name: str, now: float) -> Seen:
        live, bundle = self._live, self._live.bundle(name)
        assert bundle is not None  # noqa: S101 - the caller has the name from the bundles
        gates = live.gates[name].value
        assert isinstance(gates, Gates)  # noqa: S101 - it is that table
        problems = self._revisions.facts_refused.get(name, ())
        return Seen(
            bundle=bundle,
            verified=dict(live.verified.get(name, {})),
            standing=live.standings.get(name, {}),
            last=live.last_runs.get(name),
            gates=gates,
            told=live.told[name],
            deferred=live.deferred.get(name, {}),
            silent=now - max(self._last_heard(name), self._started),
            enrolled=self._enrolled(name),
            retired=name in self._retired,
            at=self._hosts.views.whereabouts(name),
            facts_problem=str(problems[0]) if problems else "",
        )

    def _enrolled(self, name: str) -> bool:
        """Whether there is an agent for ``name``: its own, or that of the host where it is placed."""
        return self._credentials.enrolled(self._hosts.places.target(name) or name)

    def _last_heard(self, name: str) -> float:
        last = self._live.last_runs.get(name)
        return max(self._live.heard.get(name, 0.0), last.finished if last else 0.0)

    def _node_status(self, name: str, rack: Rack) -> dict[str, Any]:
        bundle = self._live.bundle(name)
        assert bundle is not None  # noqa: S101 - the caller has the name from the bundles
        last = self._live.last_runs.get(name)
        heard = self._last_heard(name)
        in_force = self._revisions.in_force
        about = status.node_status(
            bundle,
            last,
            self._live.verified.get(name, {}),
            heard=heard,
            silent=time.time() - max(heard, self._started),
            enrolled=self._enrolled(name),
            at=rack.nodes[name].at,
            commit=in_force.commit if in_force else "",
            facts_problems=self._revisions.facts_refused.get(name, ()),
        )
        since = rack.waiting_since(name)
        return {
            **about,
            "state": "retired" if name in self._retired else about["state"],
            "standing": rack.counts(name),
            "waiting_since": since,
            "overdue": rack.overdue(since),
            "moving": rack.moving(name),
        }


def _run_data(summary: Any) -> dict[str, Any]:
    names = [name for name in summary.__struct_fields__ if name not in ("clock", "stands")]
    fields = {name: getattr(summary, name) for name in names}
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()
    }
