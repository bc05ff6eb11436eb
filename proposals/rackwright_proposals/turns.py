"""Turns: of everything that is redundant one side at a time, kept from report to report.

What a node is told is `Gates.turns`. Whose turn it is changes with what is known of the nodes, so whoever
serves them says for which nodes something changed (`Turns.update`) and hears whose gates did. No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from rackwright.model.bundle import Bundle
from rackwright.model.site import Node
from rackwright_proposals.carrying import SHARED
from rackwright_proposals.redundancy import (
    Cut,
    End,
    Groups,
    Health,
    Link,
    groups_of,
    take_turns,
)
from rackwright_proposals.sides import Known, Sides


class Turns:
    """Who has the turn, and what everybody else waits for. Not for several threads."""

    def __init__(
        self,
        known: Known,
        holders: Iterable[Cut] = (),
        since: int = 0,
        *,
        spelling: Callable[[str], str] = str,
        alone: str = "",
    ) -> None:
        """``since``: another process may have given turns before, of which nothing is known here: nobody gets
        one before those beside it have reported. A number that no earlier one had; 0: there was none.
        ``spelling`` gives the one name of a switch's port. ``alone``: of this node alone all is known that
        its turns depend on.
        """
        self.sides = Sides(known, spelling)
        self._since = since
        self._alone = alone
        self._holders: frozenset[Cut] = frozenset(holders)
        self._told: dict[str, dict[str, tuple[str, ...]]] = {}
        self._given: dict[str, dict[str, int]] = {}
        self._away: dict[str, bool] = {}
        """As it was when it was last asked."""
        self._unsettled: set[tuple[Link, str]] = set()
        """Links that have become redundant, or of which nothing is known, and their nodes that may still
        be in a run that was told nothing of it."""
        self._denied: dict[Cut, set[str]] = {}
        """What has the turn and must wait with it, or needs it no more, and its nodes that may
        still be in a run that was told nothing of that."""

    @property
    def groups(self) -> Groups:
        """The redundant groups of the site."""
        return self.sides.groups

    @property
    def holders(self) -> frozenset[Cut]:
        """What has the turn."""
        return self._holders

    def of(self, node: str) -> dict[str, tuple[str, ...]]:
        """`Gates.turns` of ``node``."""
        told = self._told.get(node, {})
        purged = self.sides.purged(node)
        return {**told, **dict.fromkeys(purged, ())} if purged else told

    def given(self, node: str) -> dict[str, int]:
        """`Gates.given` of ``node``."""
        return self._given.get(node, {})

    def install(self, bundles: Mapping[str, Bundle], groups: Groups) -> set[str]:
        """``bundles`` are in force, ``groups`` are theirs. Returns the nodes whose turns changed."""
        sides = self.sides
        old, before = sides.bundles, sides.groups
        cutting = {cut: sides.cutting(cut) for cut in self._holders}
        sides.use(bundles, groups)
        self._holders = frozenset(filter(sides.has, self._holders))
        changed: set[str] = set()
        regrouped: set[str] = set()
        if groups is not before:
            regrouped = {
                node
                for node in before.by_node.keys() | groups.by_node.keys()
                if before.by_node.get(node) != groups.by_node.get(node)
            }
            fresh = groups.by_link.keys() - before.by_link.keys()
            self._unsettled = {one for one in self._unsettled if one[0] in groups.by_link}
            self._unsettled |= {
                (link, end.node)
                for link in fresh
                for end in link
                if end.node in (old or (bundles if self._since else ()))
            }
            changed = {node for node in regrouped if self._told.pop(node, None)} & bundles.keys()
            self._given = {
                node: found for node, found in self._given.items() if node in groups.by_node
            }
        nodes = [
            node
            for node in groups.by_node
            if node in regrouped or old.get(node) is not bundles.get(node)
        ]
        sides.forget(regrouped.union(nodes))
        for cut in self._holders - self._denied.keys():
            # What is not to change any more may be changing all the same, in a run that was told so.
            if not self._health(cut).pending and cutting[cut] & bundles.keys():
                self._denied[cut] = cutting[cut] & bundles.keys()
        return changed | self.update(nodes)

    def use(self, bundles: Mapping[str, Bundle], groups: Groups) -> None:
        """Go by these from now on, without deciding anything."""
        self.sides.use(bundles, groups)

    def stale(self, node: str) -> bool:
        """Whether a node beside ``node`` has fallen silent, or come back, since it was last asked."""
        beside = {
            side.far.node for group in self.groups.by_node.get(node, ()) for side in group.sides
        }
        return any(self.sides.is_away(other) != self._away.get(other, False) for other in beside)

    def reported(self, node: str) -> set[str]:
        """A run of ``node`` has ended. Returns the nodes whose turns changed."""
        self._unsettled = {one for one in self._unsettled if one[1] != node}
        for link, running in list(self._denied.items()):
            running.discard(node)
            if not running:
                # Whatever comes now was told to wait: another side may have the turn.
                self._holders -= {link}
                del self._denied[link]
        return self.update([node])

    def update(self, nodes: Iterable[str]) -> set[str]:
        """Something changed that is known of ``nodes``. Returns those whose turns changed."""
        nodes = set(nodes)
        self.sides.forget(nodes)
        links = self.groups.around(nodes)
        if not links:
            return set()
        health: dict[Cut, Health] = {}

        def of(cut: Cut) -> Health:
            if cut not in health:
                health[cut] = self._health(cut)
            return health[cut]

        cuts = self._around(links, nodes)
        now = take_turns(cuts, self._holders, of, self._mates, self.sides.depth)
        given = now.holders - self._holders
        self._holders = (self._holders - cuts) | now.holders
        changed: set[str] = set()
        for cut in cuts:
            waits = now.waits.get(cut, None if cut in now.holders else ())
            if waits is None and not of(cut).pending:
                waits = ()  # it has the turn for the sake of an earlier run alone
            if waits is None or cut not in now.holders:
                self._denied.pop(cut, None)
            elif cut not in self._denied:
                self._denied[cut] = self.sides.cutting(cut)
            for end in cut:
                changed |= self._tell(cut, end, waits, given=cut in given)
        return changed

    def _tell(self, cut: Cut, end: End, waits: tuple[str, ...] | None, *, given: bool) -> set[str]:
        """Keep what ``end.node`` is told of ``end``. Returns the node if that is something new."""
        told = self._told.setdefault(end.node, {})
        before = told.pop(end.port, None)
        kind = end.port.partition("/")[0]
        opened = waits is None and (before is not None or given)
        if len(cut) == 1:
            through = self.sides.through(end.node).get(end.port)
            if through is None or not through.links:
                # Nothing redundant runs through it (any more), so nobody is asked.
                waits = None
                known = end.port in self._given.get(end.node, {})
                purged = f"{kind}/*" in self.sides.purged(end.node) and not known
                pending = through is not None and through.about.pending
                opened = pending and (before is not None or purged)
        elif end.node not in self.sides.cutting(cut):
            waits, opened = None, False
            if not self.sides.may_cut(cut, end):
                return set()
        if waits is not None:
            told[end.port] = waits
        # Who was told nothing by us is woken, to report.
        asked = (cut, end.node) in self._unsettled and not self._given.get(end.node)
        if opened or (asked and self._since):
            counts = self._given.setdefault(end.node, {})
            counts[end.port] = counts.get(end.port, self._since) + 1
        return {end.node} if before != waits or opened or asked else set()

    def _around(self, links: Iterable[Link], nodes: Collection[str]) -> set[Cut]:
        """``links``, what these run through, and what must not be cut together with that."""
        sides, cuts = self.sides, set(links)
        ends = {end.node for link in cuts for end in link}
        if self._alone:
            nodes = {self._alone}
            ends &= nodes
        through = {frozenset([End(node, key)]) for node in ends for key in sides.through(node)}
        for node in nodes:  # and what they ran through until now
            told = (key for key in self._told.get(node, ()) if key.partition("/")[0] in SHARED)
            through |= {frozenset([End(node, key)]) for key in told}
        for cut in self._holders:
            here = all(end.node in ends for end in cut)
            if len(cut) == 1 and (here or not sides.is_pending(cut)):
                through.add(cut)
        for cut in through if not self._alone else ():
            if sides.is_pending(cut):
                cuts.update(self._mates(cut))
        return cuts | through

    def _mates(self, cut: Cut) -> Iterable[Cut]:
        return self.sides.mates(cut, self._holders)

    def _health(self, cut: Cut) -> Health:
        known = self.sides.health(cut)
        settled = len(cut) == 1 or not any(
            (cut, end.node) in self._unsettled and self.sides.may_cut(cut, end) for end in cut
        )
        if len(cut) > 1:
            far = self.sides.far(cut)
            self._away[far] = self.sides.is_away(far)
        return known._replace(away=known.away or not settled, bound=cut in self._denied)


def groups_in(bundles: Mapping[str, Bundle], nodes: Mapping[str, Node], old: Groups) -> Groups:
    """The groups of ``bundles``; the ``old`` ones, of ``nodes``, where no node has changed."""
    if nodes.keys() == bundles.keys() and all(
        nodes[name] is bundle.node or nodes[name] == bundle.node for name, bundle in bundles.items()
    ):
        return old
    return Groups(groups_of({name: bundle.node for name, bundle in bundles.items()}))
