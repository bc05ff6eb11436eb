"""The compiler of real sites: proposals, the installed nouns and platforms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rackwright.model.bundle import Origin
from rackwright.model.facts import Facts
from rackwright.model.resource import Resource
from rackwright.provider import Registry
from rackwright_proposals.compile import Compiled, compile_site, recompile
from rackwright_proposals.rollouts import Rollout
from rackwright_proposals.sequence import Implied, implied_of
from rackwright_proposals.tree import Source, belongs


class SiteCompiler:
    """What `revisions.Revisions` compiles with."""

    def __init__(self, registry: Registry | None = None) -> None:
        registry = registry or Registry.installed()
        self._nouns = registry.nouns()
        self._platforms = registry.platforms

    def belongs(self, path: str) -> bool:
        """Whether the file at ``path`` of the site's tree is part of the site."""
        return belongs(path)

    def compile(
        self,
        files: Mapping[str, bytes],
        commit: str,
        facts: Mapping[str, Facts],
        before: Compiled | None = None,
    ) -> Compiled:
        """Compile a revision; ``before`` is an earlier one."""
        return compile_site(Source(files, commit), self._nouns, facts, self._platforms, before)

    def recompile(self, compiled: Compiled, facts: Mapping[str, Facts]) -> Compiled:
        """Compile the same revision with other facts."""
        return recompile(compiled, facts)

    def proposals(self, compiled: Compiled) -> list[dict[str, Any]]:
        """Each proposal with where its roles went and where it stands."""
        return [
            {
                "proposal": proposal.name,
                "deploy": {role: list(nodes) for role, nodes in proposal.deploy.items()},
                "origin": msgspec.to_builtins(proposal.origin),
            }
            for proposal in compiled.proposals.values()
        ]

    def implied(self, compiled: Compiled) -> Implied:
        """What resources imply on their own node."""
        return implied_of(compiled)

    def spelling(self, port: str) -> str:
        """The one name of a switch's port, by its noun."""
        return self._nouns.get("port", Resource).spelling(port)

    def rollouts(self, compiled: Compiled) -> Mapping[str, Rollout]:
        """The proposals that go out wave by wave."""
        return compiled.rollouts

    def handoff_deadline(self, compiled: Compiled) -> float:
        """Seconds after which a wait is overdue."""
        return compiled.handoff_deadline

    def lease(self, compiled: Compiled) -> float:
        """Seconds that a lease lasts."""
        return compiled.lease

    def origin(self, compiled: Compiled, node: str) -> Origin | None:
        """Where the node stands in the site."""
        return compiled.origins.get(node)

    def why(self, compiled: Compiled, node: str, path: str) -> dict[str, Any]:
        """Where a value came from."""
        from rackwright_proposals.why import why

        found: dict[str, Any] = msgspec.to_builtins(why(compiled, node, path))
        return found
