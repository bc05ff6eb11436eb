"""Why something waits: from a node over what it waits for to the roots, and who can act on these. Pure.

The walk goes through each thing once, so it ends on anything, circles of leftovers included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from rackwright.model.address import Address
from rackwright.model.bundle import Need, rollout_of
from rackwright_proposals.carrying import SHARED
from rackwright_proposals.redundancy import Groups, groups_of
from rackwright_store.roots import Kind, Root, agent_name, owner_of, pending, refused, trouble
from rackwright_store.standing import Seen, Stand, stands_of


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing on the way: a resource (``node:type/name``), a fact (``node:path``) or a node."""

    what: str
    state: str
    since: float | None = None
    why: str = ""
    """What makes the step before wait for this one, where no need does."""


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """One root, the shortest way to it, and how much of the node waits for it."""

    kind: Kind
    root: str
    """The resource, fact or node at the root."""
    error: str
    """What is the matter with it, for a person."""
    act: str
    """Who can act, and how."""
    since: float | None
    path: tuple[Step, ...]
    """From the node's resource to the root, both included."""
    waiting: int
    """Resources of the node that wait for this root."""
    overdue: bool


class _Key(NamedTuple):
    kind: Literal["resource", "fact", "node", "rollout"]
    node: str
    name: str = ""

    def __str__(self) -> str:
        if self.kind == "rollout":
            return f"rollout of {self.node}"
        return f"{self.node}:{self.name}" if self.name else self.node


class Rack:
    """All nodes at one moment, ``now`` (Unix seconds); hand-offs are overdue after ``deadline`` seconds."""

    def __init__(
        self,
        nodes: Mapping[str, Seen],
        now: float,
        deadline: float,
        fronts: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.nodes, self.now, self.deadline = nodes, now, deadline
        self.fronts = fronts or {}
        """What rollouts wait for, by proposal: whole addresses and nodes."""
        self._stands: dict[str, dict[str, Stand]] = {}
        self._needs: dict[str, dict[str, tuple[Need, ...]]] = {}
        self._groups: Groups | None = None

    def stands(self, node: str) -> dict[str, Stand]:
        """Where everything of ``node`` stands."""
        found = self._stands.get(node)
        if found is None:
            found = self._stands[node] = stands_of(self.nodes[node])
        return found

    def counts(self, node: str) -> dict[str, int]:
        """How many resources of ``node`` stand where, with the deferred among the waiting."""
        found: dict[str, int] = {}
        for stand in self.stands(node).values():
            found[stand.state] = found.get(stand.state, 0) + 1
        deferred = len(self.nodes[node].bundle.deferred)
        if deferred:
            found["waiting"] = found.get("waiting", 0) + deferred
        return dict(sorted(found.items()))

    def waiting_since(self, node: str) -> float | None:
        """Since when the longest wait of ``node`` lasts: for another resource, for a fact, or for its
        agent to do what it was told. None when nothing waits; what failed waits for nobody, and whose
        turn in a rollout has not come is not late."""
        seen = self.nodes[node]
        times = [seen.deferred.get(item.address, seen.told) for item in seen.bundle.deferred]
        times += [
            stand.since
            for key, stand in self.stands(node).items()
            if stand.state in ("waiting", "unreported") and key not in seen.gates.later
        ]
        return min(times, default=None)

    def overdue(self, since: float | None) -> bool:
        """Whether a wait since then is longer than the deadline."""
        return since is not None and self.now - since > self.deadline

    def moving(self, node: str) -> bool:
        """Whether ``node`` can go on by itself: its agent is there, and has something to do that it
        has not tried, or that has nothing to wait for any more."""
        if self._trouble(node) is not None:
            return False
        return any(
            stand.state == "unreported"
            or (stand.state == "waiting" and not stand.why_alone and not self._waits(node, key))
            for key, stand in self.stands(node).items()
        )

    def why(self, node: str) -> tuple[Chain, ...]:
        """The roots of all that ``node`` waits for: those most of it waits for first."""
        starts = [
            _Key("resource", node, key)
            for key, stand in self.stands(node).items()
            if not stand.done
        ]
        starts += [
            _Key("resource", node, item.address) for item in self.nodes[node].bundle.deferred
        ]
        parents: dict[_Key, _Key | None] = dict.fromkeys(starts)
        users: dict[_Key, list[_Key]] = {}
        roots: list[tuple[_Key, Root]] = []
        look = list(starts)
        for key in look:
            following, root = self._follow(key)
            if root is not None:
                roots.append((key, root))
            for item in following:
                users.setdefault(item, []).append(key)
                if item not in parents:
                    parents[item] = key
                    look.append(item)
        chains, explained = [], set[_Key]()
        for key, root in roots:
            reached = _reach([key], users)
            explained |= reached
            path = _path(key, parents)
            chains.append(self._chain(key, root, path, sum(start in reached for start in starts)))
        lost = [start for start in starts if start not in explained]
        if lost:
            circle = self._circle(lost[0])
            root = Root(
                "circle",
                "these wait for each other",
                "give up one of them by hand, or take it out of the site in a commit of its own",
            )
            chains.append(self._chain(circle[-1], root, circle, len(lost)))
        if not chains and self.nodes[node].at.unplaced:
            # Nothing is left to do, and nobody would see that something is.
            root, start = self._trouble(node), _Key("node", node)
            chains += [self._chain(start, root, [start], 0)] if root else []
        chains.sort(key=lambda chain: (-chain.waiting, chain.root))
        return tuple(chains)

    def _chain(self, key: _Key, root: Root, path: Sequence[_Key], waiting: int) -> Chain:
        steps = tuple(
            msgspec.structs.replace(self._step(item), why=self._beside(before, item))
            for before, item in zip((None, *path), path, strict=False)
        )
        waits = [
            step.since
            for item, step in zip(path, steps, strict=True)
            if step.state in ("waiting", "unreported", "deferred") and not self._held_by(item)
        ]
        since = root.since if root.since is not None else steps[-1].since
        overdue = self.overdue(min((at for at in waits if at is not None), default=None))
        return Chain(
            kind=root.kind,
            root=str(key),
            error=root.error,
            act=root.act,
            since=since,
            path=steps,
            waiting=waiting,
            overdue=overdue,
        )

    def _step(self, key: _Key) -> Step:
        if key.kind != "resource" or key.node not in self.nodes:
            return Step(what=str(key), state=key.kind)
        stand = self.stands(key.node).get(key.name)
        if stand is not None:
            return Step(what=str(key), state=stand.state, since=stand.since or None)
        seen = self.nodes[key.node]
        since = seen.deferred.get(key.name)
        return Step(what=str(key), state="deferred" if since is not None else "held", since=since)

    def _beside(self, before: _Key | None, key: _Key) -> str:
        """What both make redundant, where that is why ``before`` waits for ``key``."""
        if before is None or str(key) not in self._turn(before):
            return ""
        if self._groups is None:
            nodes = {name: seen.bundle.node for name, seen in self.nodes.items()}
            self._groups = Groups(groups_of(nodes))
        ports = [
            item.name if item.name.partition("/")[0] in SHARED else item.name.partition("/")[2]
            for item in (before, key)
        ]
        return self._groups.explain(before.node, ports[0], key.node, ports[1])

    def _turn(self, key: _Key) -> tuple[str, ...]:
        """The addresses of other sides that must be verified before ``key`` is cut."""
        if key.kind != "resource" or key.node not in self.nodes:
            return ()
        turns = self.nodes[key.node].gates.turns
        waits = turns.get(key.name) or turns.get(key.name.partition("/")[2], ())
        stand = self.stands(key.node).get(key.name)
        return waits if stand is not None and {*waits} & {*stand.waits_for} else ()

    def _follow(self, key: _Key) -> tuple[list[_Key], Root | None]:
        """What ``key`` waits for, and what is the matter with itself."""
        if key.kind == "rollout":
            return self._follow_rollout(key.node)
        if key.node not in self.nodes:
            return [], Root(
                "left",
                f"{key.node} is not in the site any more, and by its ledger it still uses this"
                if key.kind == "resource"
                else f"there is no node {key.node} in the site",
                f"if {key.node} is gone for good: rackwright node retire {key.node}",
            )
        if key.kind == "node":
            return [], self._trouble(key.node) or pending(self.nodes[key.node])
        if key.kind == "fact":
            if self._trouble(key.node) is not None:
                return [_Key("node", key.node)], None
            return [], Root(
                "fact",
                f"rendering waits for fact {key}, which nobody has found",
                f"{key.node}'s agent, if it is there to be found: rackwright discover {key.node}",
            )
        return self._follow_resource(key)

    def _held_by(self, key: _Key) -> str:
        """The proposal for whose rollout ``key`` waits; empty when it waits for none."""
        seen = self.nodes.get(key.node) if key.kind == "resource" else None
        return rollout_of(seen.gates.later.get(key.name, "")) if seen else ""

    def _follow_rollout(self, proposal: str) -> tuple[list[_Key], Root | None]:
        """What the wave in hand waits for, or what stopped it."""
        front = self.fronts.get(proposal)
        if front:
            return [_key(text) if "/" in text else _Key("node", text) for text in front], None
        gone_on = f"the rollout of {proposal} has just gone on"
        return [], Root("pending", gone_on, "nobody has to: it is on its way")

    def _follow_resource(self, key: _Key) -> tuple[list[_Key], Root | None]:
        seen = self.nodes[key.node]
        stand = self.stands(key.node).get(key.name)
        if stand is None or stand.done:
            facts = self._facts(key)
            # With no fact to wait for, somebody waits until this one is let go of: only its own agent can.
            return facts or [_Key("node", key.node)], None
        held_by = self._held_by(key)
        if held_by and stand.state == "waiting":
            return [_Key("rollout", held_by)], None
        agent = [_Key("node", key.node)] if self._trouble(key.node) is not None else []
        if stand.state == "failed":
            again = "it is tried again at each run"
            return [], Root("failed", stand.why, f"{owner_of(seen, stand)}; {again}", stand.since)
        if stand.state == "refused":
            return [], refused(seen, stand)
        waits = [_key(text) for text in self._waits(key.node, key.name)]
        if stand.state == "waiting" and stand.why_alone:
            return agent, None if agent else Root(
                "blocked", stand.why, agent_name(seen), stand.since
            )
        if waits:
            return [*waits, *agent], None
        return [_Key("node", key.node)], None

    def _facts(self, key: _Key) -> list[_Key]:
        """The facts that a deferred resource waits for."""
        names = (key.name, f"{key.name.partition('/')[0]}/?")
        return [
            _Key("fact", *_split(item.fact))
            for item in self.nodes[key.node].bundle.deferred
            if item.address in names
        ]

    def _waits(self, node: str, name: str) -> list[str]:
        """The addresses that ``name`` of ``node`` still waits for."""
        seen, stand = self.nodes[node], self.stands(node)[name]
        if stand.remove:
            held = seen.gates.held.get(name, ())
            mine = self.stands(node)
            local = [
                text
                for text in stand.waits_for
                if (key := _key(text)).node == node and key.name in mine and not mine[key.name].done
            ]
            turn = self._turn(_Key("resource", node, name))
            return [*dict.fromkeys((*held, *turn, *local))]
        if node not in self._needs:
            self._needs[node] = {str(item.address): item.needs for item in seen.bundle.resources}
        wanted = [need.address for need in self._needs[node].get(name, ())]
        texts = {
            text if ":" in text.partition("/")[0] else f"{node}:{text}"
            for text in (*wanted, *stand.waits_for)
        }
        # What is verified may be waited for all the same: as long as nobody knows how its node is. What
        # waits for its own turn waits for its agent alone.
        texts.discard(f"{node}:{name}")
        held, turn = seen.gates.held.get(name, ()), self._turn(_Key("resource", node, name))
        texts.update(turn)
        return sorted(
            text for text in texts if text in held or text in turn or not self._met(_key(text))
        )

    def _met(self, key: _Key) -> bool:
        if key.node not in self.nodes:
            return True  # it can only have held us, and holds us no more
        found = self.stands(key.node).get(key.name)
        if found is not None:
            return found.done
        # Neither declared nor there to go: a name that only the device uses, or a deferred one.
        return not self._facts(key)

    def _trouble(self, node: str) -> Root | None:
        return trouble(self.nodes[node], self.now)

    def _circle(self, start: _Key) -> list[_Key]:
        path = [start]
        while True:
            following, _ = self._follow(path[-1])
            path.append(following[0])
            if path.index(path[-1]) < len(path) - 1:
                return path


def _key(text: str) -> _Key:
    address = Address.parse(text)
    return _Key("resource", address.node, str(address.local))


def _split(fact: str) -> tuple[str, str]:
    node, _, path = fact.partition(":")
    return node, path


def _path(key: _Key, parents: Mapping[_Key, _Key | None]) -> list[_Key]:
    path: list[_Key] = []
    at: _Key | None = key
    while at is not None:
        path.append(at)
        at = parents[at]
    return path[::-1]


def _reach(start: Iterable[_Key], edges: Mapping[_Key, Sequence[_Key]]) -> set[_Key]:
    found = set(start)
    look = list(found)
    while look:
        for item in edges.get(look.pop(), ()):
            if item not in found:
                found.add(item)
                look.append(item)
    return found


def chains_data(chains: Iterable[Chain]) -> list[dict[str, Any]]:
    """Chains as plain data."""
    return [msgspec.to_builtins(chain) for chain in chains]
