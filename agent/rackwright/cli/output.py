"""What people see: problems, diffs, tables; and JSON for machines."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
import msgspec

from rackwright.cli.columns import table_lines
from rackwright.model.errors import Problem
from rackwright.model.report import FieldChange, Outcome, Report

STATE_STYLE = {
    "in_sync": "green",
    "converged": "green",
    "changed": "yellow",
    "removed": "yellow",
    "released": "cyan",
    "blocked": "magenta",
    "stale": "magenta",
    "never seen": "magenta",
    "retired": "cyan",
    "place": "cyan",
    "alive": "green",
    "held": "green",
    "coming": "cyan",
    "leaving": "magenta",
    "draining": "magenta",
    "draining,": "red",
    "drained": "cyan",
    "drained,": "cyan",
    "silent": "red",
    "unplaced": "red",
    "failed": "red",
    "refused": "red",
    "unreachable": "red",
}
"""State → colour: green is as declared, yellow changed, magenta waits, red needs somebody."""

STANDS_STYLE = {
    "verified": "green",
    "changed": "green",
    "waiting": "magenta",
    "unreported": "cyan",
    "failed": "red",
    "refused": "red",
}
"""Where a resource stands → colour."""

DONE = frozenset({"changed", "removed", "released"})
"""What a dry run only would have done."""

MARKS = {"create": "+", "update": "~", "remove": "-", "release": "·", "notify": "!"}


def print_json(data: Any) -> None:
    """``data`` (plain or msgspec types) on standard output."""
    click.echo(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())


def show_problems(problems: Iterable[Problem]) -> None:
    """Each problem on standard error, as compilers print them."""
    problems = list(problems)
    for problem in problems:
        where = f"{click.style(problem.where, bold=True)}: " if problem.file else ""
        click.echo(f"{where}{click.style('error:', fg='red')} {problem.message}", err=True)
        if problem.hint:
            click.echo(f"    {click.style('hint:', fg='cyan')} {problem.hint}", err=True)
    if any(problem.file for problem in problems):
        click.echo(click.style(many(len(problems), "error"), fg="red"), err=True)


def many(count: int, what: str) -> str:
    """``1 node``, ``2 nodes``."""
    return f"{count} {what}{'s' * (count != 1)}"


def style_state(state: str) -> str:
    """``state`` in its colour."""
    return click.style(state, fg=STATE_STYLE.get(state.split(" ")[0], STATE_STYLE.get(state)))


def stands_text(counts: Mapping[str, int]) -> str:
    """``31 verified, 2 waiting``, coloured."""
    return ", ".join(
        click.style(f"{counts[state]} {state}", fg=colour)
        for state, colour in STANDS_STYLE.items()
        if counts.get(state)
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An aligned table; cells may hold colour. Columns are as wide as they need to be; on a terminal
    they are wrapped to fit it."""
    # Python has no stream where the descriptor was closed (`>&-`).
    wide = sys.stdout is not None and sys.stdout.isatty()
    room = shutil.get_terminal_size().columns if wide else None
    return "\n".join(table_lines(head, list(rows), room))


def ago(then: float, now: float | None = None) -> str:
    """A moment as people say it: ``12 s ago``."""
    seconds = max(0.0, (time.time() if now is None else now) - then)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def show_report(report: Report, *, verbose: bool = False) -> None:
    """One run: what changed as a diff, what went wrong with its reason, and a line of counts."""
    would = "would be " if report.why_run else ""
    revision = f" at {report.revision[:10]}" if report.revision else ""
    via = f" via {report.via}" if report.via else ""
    took = report.finished - report.started
    click.echo(f"{click.style(report.node, bold=True)}{revision}{via}, {took:.1f} s")
    for outcome in report.outcomes:
        if outcome.state == "in_sync" and not outcome.action and not verbose:
            continue
        _show_outcome(outcome, would)
        if verbose:
            for command in outcome.commands:
                for line in command.splitlines():
                    click.echo(click.style(f"        > {line}", dim=True))
    if report.error:
        click.echo(f"  {click.style('error:', fg='red', bold=True)} {report.error}")
    if report.outcomes or not report.error:
        click.echo(f"  {summary(report)}")


def _show_outcome(outcome: Outcome, would: str) -> None:
    mark = MARKS.get(outcome.action, "=")
    doing = {"create": "created", "update": "updated", "remove": "removed", "notify": "notified"}
    if outcome.state in ("changed", "removed", "in_sync"):
        text = f"{would}{doing.get(outcome.action, outcome.state)}"
    else:
        text = outcome.state
    text = text.replace("_", " ")
    line = f"  {mark} {outcome.address}  {text}"
    click.echo(click.style(line, fg=STATE_STYLE[outcome.state]))
    if outcome.why:
        click.echo(f"      {outcome.why}")
    if outcome.action in ("create", "update"):
        for change in outcome.changes:
            for text in field_lines(change, fresh=outcome.action == "create"):
                click.echo(f"      {text}")


def field_lines(change: FieldChange, *, fresh: bool, nothing: str = "nothing") -> list[str]:
    """One field's change as a diff. ``fresh``: of something that is made; ``nothing`` is shown for an
    old value that is not there."""
    old, new = change.old, change.new
    if isinstance(new, str) and ("\n" in new or (isinstance(old, str) and "\n" in old)):
        import difflib

        before = old.splitlines() if isinstance(old, str) else []
        lines = list(difflib.unified_diff(before, new.splitlines(), lineterm="", n=2))[2:]
        return [f"{change.field}:", *(_diff_line(line) for line in lines)]
    text = _size if change.field == "size" else _value
    if fresh:
        return [f"{change.field}: {click.style(text(new), fg='green')}"]
    was = click.style(nothing if old is None else text(old), fg="red")
    will = click.style(text(new), fg="green")
    return [f"{change.field}: {was} → {will}"]


def _diff_line(line: str) -> str:
    colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
    return f"  {click.style(line, fg=colour)}"


def _value(value: Any) -> str:
    if value is None:
        return "nothing"
    return value if isinstance(value, str) and value else msgspec.json.encode(value).decode()


def _size(value: Any) -> str:
    """Bytes, which every noun's ``size`` is canonically, as a site spells them."""
    if not isinstance(value, int):
        return _value(value)
    from rackwright_providers.san.sizes import spell

    return spell(value)


def summary(report: Report) -> str:
    """Counts by state: ``2 changed, 1 blocked, 14 in sync``; of a dry run ``2 would be changed``."""
    would = "would be " if report.why_run else ""
    counts = [
        (state, sum(outcome.state == state for outcome in report.outcomes))
        for state in ("changed", "removed", "released", "blocked", "failed", "refused", "in_sync")
    ]
    said = [
        click.style(
            f"{count} {would if state in DONE else ''}{state.replace('_', ' ')}",
            fg=STATE_STYLE[state],
        )
        for state, count in counts
        if count
    ]
    return ", ".join(said) or "nothing declared"


def worst(reports: Iterable[Report]) -> int:
    """One exit code for several runs: wrong input, then failures, then unreachable, then blocked."""
    codes = {report.exit_code for report in reports}
    return next((code for code in (1, 2, 4, 3) if code in codes), 0)


def on_terminal() -> bool:
    """Whether progress may be drawn: standard error is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()
