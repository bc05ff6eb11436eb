"""The plan of a whole site as people see it."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence

import click

from rackwright.cli.columns import wrapped
from rackwright.cli.output import MARKS, STATE_STYLE, ago, field_lines, many, table
from rackwright.cli.site_lines import Gone, Line, SitePlan, Summary, Wave
from rackwright.cli.site_rollouts_shown import rollout_lines, turns_text
from rackwright.cli.site_steps import COMING, NodeRead
from rackwright.model.bundle import rollout_of
from rackwright_proposals.blast import Hit, Radius, radius
from rackwright_proposals.sequence import grouped

WIDTH = 100
"""Of a line where nothing says how wide the terminal is."""
ADDRESS = 48
"""Longer addresses have a line of their own, and so have those that leave no room for what stands beside."""
DOING = 16
"""Characters of the longest word for what would be done."""
FIELD_LINES = 12
"""Of one change that are shown without -v."""
NODES = 20
"""That could neither be read nor are known, and are named without -v."""
NAMED = 6
"""Things that hang off a change that are named without -v."""
_WHOLE = "\u00a0"
"""A space at which no line is broken, as long as the text is wrapped."""
DONE = {"create": "created", "update": "updated", "remove": "removed", "release": "released"}


def show_plan(plan: SitePlan, *, verbose: bool = False) -> None:
    """All of it: how the nodes were read, where the rollouts stand, the changes wave by wave, what is left
    over, and the counts."""
    page = _Page(plan, verbose=verbose)
    revision = f" at {plan.commit[:10]}" if plan.commit else ""
    click.echo(f"{click.style(plan.site, bold=True)}{revision}, {many(len(plan.nodes), 'node')}")
    for line in page.nodes():
        click.echo(line)
    for line in rollout_lines(plan.rollouts, page.width, verbose=verbose):
        click.echo(line)
    for line in page.waves():
        click.echo(line)
    for gone in plan.gone:
        click.echo("")
        for line in page.gone(gone):
            click.echo(line)
    click.echo("")
    for line in page.summary(plan.summary):
        click.echo(line)


class _Page:
    def __init__(self, plan: SitePlan, *, verbose: bool) -> None:
        self.plan, self.verbose = plan, verbose
        self.width = shutil.get_terminal_size((WIDTH, 24)).columns
        self.reads = {read.node: read for read in plan.nodes}
        heads = [
            (what, line)
            for wave in plan.waves
            for (node, _), lines in self.by_node(wave).items()
            for what, (line, *_) in self.kinds(node, lines)
        ]
        mark = max((len(self.mark(line)) for _, line in heads), default=0)
        room = min(ADDRESS, self.width - len("    ~ ") - 2 * len("  ") - DOING - mark)
        self.column = max((len(what) for what, _ in heads if len(what) <= room), default=20)

    def shown(self, line: Line) -> bool:
        return line.state != "in_sync" or self.verbose

    def nodes(self) -> Iterator[str]:
        """How each node that is worth a word was read."""
        changing = {line.node for wave in self.plan.waves for line in wave.changes}
        rows, quiet = [], {"read live": 0, "not read": 0}
        for read in self.plan.nodes:
            if read.node not in changing and not self.verbose and not read.error:
                quiet["read live" if read.by == "live" else "not read"] += 1
                continue
            rows.append((read.node, _told_from(read), self.cut(_about(read), read)))
        if rows:
            yield table(["node", "told from", ""], rows)
        for what, count in quiet.items():
            if count:
                yield f"{many(count, 'more node' if rows else 'node')} {what}, with nothing to do"

    def cut(self, text: str, read: NodeRead) -> str:
        """One line of the table, whole with -v."""
        room = max(20, self.width - 34)
        if read.error:
            text = text if self.verbose else textwrap.shorten(text, room, placeholder=" …")
            return click.style(text, fg="red")
        return text

    def waves(self) -> Iterator[str]:
        for wave in self.plan.waves:
            by_node = self.by_node(wave)
            if not by_node:
                continue
            yield ""
            yield click.style(f"wave {wave.wave}", bold=True)
            for (node, turns), lines in by_node.items():
                said = f"  {click.style(turns, fg='cyan')}" if turns else ""
                yield f"  {click.style(node, bold=True)}{said}"
                for what, group in self.kinds(node, lines):
                    if len(group) == 1:
                        yield from self.change(group[0], fields=not self.by_kinds(node))
                        continue
                    yield from self.head(group[0], what)
                    together = radius(self.plan.rack, [line.address for line in group], cuts=False)
                    yield from self.hangs(together, group[0])

    def by_node(self, wave: Wave) -> dict[tuple[str, str], list[Line]]:
        """What is shown of ``wave``, by node and by what is said of its turn in a rollout."""
        found: dict[tuple[str, str], list[Line]] = {}
        for line in wave.changes:
            if self.shown(line):
                turns = turns_text(line.rollouts, self.plan.rollouts) if line.rollouts else ""
                found.setdefault((line.node, turns), []).append(line)
        return found

    def by_kinds(self, node: str) -> bool:
        """Of a node that was never seen all is to be made: by kinds, not one by one."""
        return self.reads[node].by == "nothing" and not self.verbose

    def kinds(self, node: str, lines: Sequence[Line]) -> list[tuple[str, list[Line]]]:
        """``lines`` of one node as they are shown, each with what it is called."""
        if not self.by_kinds(node):
            return [(_local(line), [line]) for line in lines]
        plain: dict[str, list[Line]] = {}
        alone: list[list[Line]] = []
        for line in lines:
            if line.state in COMING and not line.after and not line.failed:
                plain.setdefault(line.address.partition("/")[0], []).append(line)
            else:
                alone.append([line])
        return [
            (next(iter(grouped(_local(line) for line in group))), group)
            for group in (*plain.values(), *alone)
        ]

    def change(self, line: Line, *, fields: bool = True) -> Iterator[str]:
        yield from self.head(line, _local(line))
        if line.why and (self.verbose or not rollout_of(line.why)):
            yield from self.wrapped(line.why)
        if line.failed is not None:
            why = line.failed.why or "no reason given"
            text = f"failed when it was last tried, {ago(line.failed.at)}: {why}"
            yield from self.wrapped(text, fg="red")
        if line.drift and line.state in COMING:
            yield from self.wrapped("drifted: it was verified as it is declared", dim=True)
        for doubt in line.doubts:
            yield from self.wrapped(doubt, fg="magenta")
        if line.after:
            yield from self.wrapped(f"after {_named(line.after, limit=not self.verbose)}", dim=True)
        if fields and line.action in ("create", "update"):
            known = self.reads[line.node].by == "live"
            texts = [
                text
                for change in line.changes
                for text in field_lines(
                    change, fresh=line.action == "create", nothing="nothing" if known else "?"
                )
            ]
            more = len(texts) - FIELD_LINES
            if more > 1 and not self.verbose:
                texts = [*texts[:FIELD_LINES], click.style(f"… {more} more lines (-v)", dim=True)]
            yield from (f"        {text}" for text in texts)
        yield from self.hangs(line.radius, line)
        if self.verbose:
            for command in line.commands:
                for text in command.splitlines():
                    yield click.style(f"        > {text}", dim=True)

    def head(self, line: Line, what: str) -> Iterator[str]:
        if line.state in COMING:
            doing = f"would be {DONE.get(line.action, line.state)}"
        else:
            doing = line.state
        colour = (
            "red" if line.severs and line.radius.cut else STATE_STYLE.get(line.state, "magenta")
        )
        sign = "?" if line.state in ("deferred", "unknown") else MARKS.get(line.action, "=")
        sign = f"{sign} "
        if len(what) > self.column:
            yield f"    {click.style(sign + what, fg=colour)}"
            sign, what = " " * len(sign), ""
        text = click.style(f"{sign}{what:<{self.column}}  {doing:<{DOING}}", fg=colour)
        yield f"    {text}  {click.style(self.mark(line), dim=True)}".rstrip()

    def mark(self, line: Line) -> str:
        if line.mark == "assumed":
            return "assumed"
        read = self.reads[line.node]
        if read.by == "nothing":
            return "never seen"
        return "read live" if read.by == "live" else f"read {_told_from(read)}"

    def hangs(self, found: Radius, line: Line) -> Iterator[str]:
        """What hangs off a change, in a line or two: what it cuts first, in red."""
        hits = sorted(found.hits, key=lambda hit: len(hit.path))
        cuts = "cuts" if line.state in COMING else "would cut"
        for word, some, colour in (
            (cuts, [hit for hit in hits if hit.cut], "red"),
            ("touches", [hit for hit in hits if not hit.cut], None),
        ):
            if some:
                label = click.style(f"{word} ", fg=colour, dim=colour is None)
                text = _things(some, line.node, limit=not self.verbose)
                yield from self.wrapped(text, label=label, width=len(word) + 1)

    def wrapped(
        self,
        text: str,
        *,
        label: str = "",
        width: int = 0,
        dim: bool = False,
        fg: str | None = None,
    ) -> Iterator[str]:
        indent = " " * 8
        room = max(30, self.width - len(indent) - width)
        lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
        for number, line in enumerate(lines):
            head = label if not number else " " * width
            said = line.replace(_WHOLE, " ")
            yield f"{indent}{head}{click.style(said, dim=dim or None, fg=fg)}"

    def gone(self, gone: Gone) -> Iterator[str]:
        text = f"{gone.node} is not in the site any more; {many(len(gone.resources), 'resource')} left there"
        if gone.holds:
            text += f". Until it is retired it holds {_named(gone.holds, limit=not self.verbose)}"
            text += f" (rackwright node retire {gone.node})" if gone.by == "report" else ""
        yield from textwrap.wrap(text, self.width, break_long_words=False, break_on_hyphens=False)
        if self.verbose:
            yield from (f"    {address}" for address in gone.resources)

    def summary(self, total: Summary) -> Iterator[str]:
        counts = "no change"
        if total.changes:
            counts = f"{many(total.changes, 'change')} on {many(total.nodes, 'node')}"
            doing = (
                (total.create, "to make"),
                (total.update, "to change"),
                (total.remove, "to remove"),
            )
            said = ", ".join(f"{count} {what}" for count, what in doing if count)
            counts += f" ({said}): {total.read} read, {total.assumed} assumed"
            if total.drifted:
                counts += f", {total.drifted} drifted"
            if total.failed_before:
                counts += f", {click.style(f'{total.failed_before} failed before', fg='red')}"
        for state in ("blocked", "failed", "refused", "deferred"):
            if count := getattr(total, state):
                counts += (
                    f", {click.style(f'{count} {state}', fg=STATE_STYLE.get(state, 'magenta'))}"
                )
        if total.unlisted:
            counts += f", {click.style(f'{total.unlisted} unknown', fg='magenta')}"
        yield from wrapped(f"{counts}; {total.in_sync} in sync", self.width)
        if total.cuts:
            names = ", ".join(total.cuts)
            text = f"{click.style('cuts:', fg='red', bold=True)} {names}"
            yield from wrapped(text, self.width)
        if total.cuts_together:
            names = ", ".join(total.cuts_together)
            label = click.style("cuts, by several changes together:", fg="red", bold=True)
            yield from wrapped(f"{label} {names}", self.width)
        if total.unknown:
            shown = total.unknown if self.verbose else total.unknown[:NODES]
            more = len(total.unknown) - len(shown)
            names = ", ".join(shown) + (f", and {more} more (-v)" if more else "")
            text = f"{click.style('neither read nor known:', fg='red')} {names}"
            yield from wrapped(text, self.width)


def _told_from(read: NodeRead) -> str:
    if read.by == "live":
        return "live"
    if read.by == "nothing":
        return "nothing"
    when = ago(read.at) if read.at else "of unknown age"
    return f"{read.by} {when}"


def _about(read: NodeRead) -> str:
    if read.by == "live":
        return read.via
    if read.by == "nothing" and not read.error:
        return "never seen: all of it would be made"
    return f"never seen; {read.error}" if read.by == "nothing" else read.error


def _local(line: Line) -> str:
    return line.address.removeprefix(f"{line.node}:")


def _things(hits: Sequence[Hit], node: str, *, limit: bool) -> str:
    shown = hits[:NAMED] if limit else hits
    names = [hit.what.removeprefix(f"{node}:") for hit in shown]
    named = [
        f"{name} ({hit.how})" if hit.how else name for name, hit in zip(names, shown, strict=True)
    ]
    more = len(hits) - len(shown)
    # Each is read whole: no line ends between a name and what is said of it.
    text = ", ".join(name.replace(" ", _WHOLE) for name in named)
    return text + (f", and {more} more" if more else "")


def _named(addresses: Iterable[str], *, limit: bool) -> str:
    groups = grouped(addresses) if limit else list(addresses)
    return ", ".join(groups)
