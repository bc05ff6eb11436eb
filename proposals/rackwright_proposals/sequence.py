"""The one graph of needs of a site: what comes before what, in which waves, and the longest chain.

Steps are whole addresses, ``node:type/name``. Pure; nothing here recurses or fails on a circle, since
leftovers (which lint never sees) can form one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from rackwright.model.bundle import Bundle

if TYPE_CHECKING:
    from rackwright_proposals.compile import Compiled

Implied = Mapping[str, Mapping[str, Collection[str]]]
"""Node → its ``type/name`` → what of the same node comes first without anybody saying so."""
Leaving = Mapping[str, Collection[str]]
"""A step that takes away what is not declared any more → the steps that must have gone before."""


@dataclass(frozen=True)
class Graph:
    """Steps and what each of them waits for; everything that is waited for is a step too."""

    needs: Mapping[str, tuple[str, ...]]
    """Step → the steps that come first, direct ones only."""

    @cached_property
    def needed_by(self) -> Mapping[str, tuple[str, ...]]:
        """Step → the steps that wait for it, direct ones only."""
        found: dict[str, list[str]] = {step: [] for step in self.needs}
        for step, first in self.needs.items():
            for need in first:
                found[need].append(step)
        return {step: tuple(users) for step, users in found.items()}

    @cached_property
    def waves(self) -> tuple[tuple[str, ...], ...]:
        """Each step in the earliest wave in which it can go; the steps of one wave wait for nothing of
        it. What stands in a circle is in the last wave."""
        found: list[tuple[str, ...]] = []
        open_needs = {step: len(first) for step, first in self.needs.items()}
        wave = [step for step, count in open_needs.items() if not count]
        while wave:
            found.append(tuple(wave))
            ready = []
            for step in wave:
                del open_needs[step]
                for user in self.needed_by[step]:
                    open_needs[user] -= 1
                    if not open_needs[user]:
                        ready.append(user)
            wave = ready
        return (*found, tuple(open_needs)) if open_needs else tuple(found)

    @cached_property
    def longest(self) -> tuple[str, ...]:
        """The critical path, first step first: no order of this graph takes fewer rounds."""
        if not self.waves:
            return ()
        number = {step: i for i, wave in enumerate(self.waves) for step in wave}
        step: str | None = self.waves[-1][0]
        path: list[str] = []
        while step is not None:
            path.append(step)
            last = number[step]
            earlier = [need for need in self.needs[step] if number[need] < last]
            step = max(earlier, key=number.__getitem__, default=None)
        return tuple(reversed(path))

    def before(self, asked: Iterable[str]) -> frozenset[str]:
        """All that must have gone well before every step of ``asked`` can (without these)."""
        return _reach(asked, self.needs)

    def after(self, asked: Iterable[str]) -> frozenset[str]:
        """All that waits, directly or not, for a step of ``asked`` (without these)."""
        return _reach(asked, self.needed_by)

    def of(self, name: str) -> tuple[str, ...]:
        """The steps that ``name`` means: all of a node, or the one of an address."""
        if name in self.needs:
            return (name,)
        return tuple(step for step in self.needs if node_of(step) == name)


def node_of(step: str) -> str:
    """The node of a step."""
    return step.partition("/")[0].rpartition(":")[0]


def type_of(step: str) -> str:
    """The resource type of a step."""
    return step.partition("/")[0].rpartition(":")[2]


def implied_of(compiled: Compiled) -> Implied:
    """What the resources of a compiled site imply, where that is declared to be there too."""
    if compiled.rendered is None:
        return {}
    found: dict[str, dict[str, Collection[str]]] = {}
    for name, node in compiled.rendered.nodes.items():
        present = {key for key, item in node.resources.items() if item.resource.ensure == "present"}
        for key in present:
            first = [need for need in node.resources[key].implied if need in present]
            if first:
                found.setdefault(name, {})[key] = first
    return found


def graph_of(
    bundles: Mapping[str, Bundle], implied: Implied | None = None, leaving: Leaving | None = None
) -> Graph:
    """The graph of ``bundles``: needs as declared and as ``implied``, and what is ``leaving``.

    What is declared absent turns around: it goes after whatever needed it and goes too, and waits for
    nothing that stays. What is deferred is a step under as much of its address as is known.
    """
    implied, leaving = implied or {}, leaving or {}
    absent: set[str] = set()
    needs: dict[str, list[str]] = {}
    for name, bundle in bundles.items():
        for deferred in bundle.deferred:
            needs[f"{name}:{deferred.address}"] = []
        for item in bundle.resources:
            step = f"{name}:{item.type}/{item.data['name']}"
            needs[step] = []
            if item.data.get("ensure") == "absent":
                absent.add(step)
    for step in leaving:
        needs[step] = []
    for step, first in _edges(bundles, implied, leaving):
        need = first if first in needs else f"{node_of(first)}:{type_of(first)}/?"
        if need not in needs or need == step:
            continue
        if step in absent and step not in leaving:
            if need in absent:
                needs[need].append(step)
        else:
            needs[step].append(need)
    return Graph({step: tuple(dict.fromkeys(first)) for step, first in needs.items()})


def _edges(
    bundles: Mapping[str, Bundle], implied: Implied, leaving: Leaving
) -> Iterator[tuple[str, str]]:
    for name, bundle in bundles.items():
        of_node = implied.get(name, {})
        for item in bundle.resources:
            key = f"{item.type}/{item.data['name']}"
            step = f"{name}:{key}"
            for need in item.needs:
                elsewhere = ":" in need.address.partition("/")[0]
                yield step, need.address if elsewhere else f"{name}:{need.address}"
            for first in of_node.get(key, ()):
                yield step, f"{name}:{first}"
    for step, users in leaving.items():
        for user in users:
            yield step, user


def grouped(steps: Iterable[str]) -> list[str]:
    """``steps`` as people read them: ``sw-a1:vlan/20 and 30 more``, one a node and type, in the order
    in which these first appear."""
    groups: dict[tuple[str, str], list[str]] = {}
    for step in steps:
        groups.setdefault((node_of(step), type_of(step)), []).append(step)
    return [
        group[0] if len(group) == 1 else f"{group[0]} and {len(group) - 1} more"
        for group in groups.values()
    ]


def _reach(asked: Iterable[str], edges: Mapping[str, Sequence[str]]) -> frozenset[str]:
    start = set(asked)
    found: set[str] = set()
    look = list(start)
    while look:
        for step in edges.get(look.pop(), ()):
            if step not in found:
                found.add(step)
                look.append(step)
    return frozenset(found - start)
