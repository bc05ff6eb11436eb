"""Reports of running nodes as people see them: as they come, with progress on a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click
import msgspec

from rackwright.cli.options import WRITING
from rackwright.cli.output import on_terminal, print_json, show_report, worst
from rackwright.model.report import Report

if TYPE_CHECKING:
    from rich.progress import Progress


class Shown:
    """Prints reports, from any node's thread.

    With ``lines`` (daemons) runs in which nothing happened are not shown, and JSON is one object a
    line; otherwise it is one list in the end.
    """

    def __init__(self, *, as_json: bool, verbose: bool, lines: bool) -> None:
        self._json, self._verbose, self._lines = as_json, verbose, lines
        self._lock = threading.Lock()
        self._command = click.get_current_context(silent=True)
        """Says whether colours are wanted. A node's thread does not know it by itself."""
        self._bar: Progress | None = None
        self._advance: Callable[[], None] = lambda: None
        self.reports: list[Report] = []

    def __call__(self, report: Report) -> None:
        with self._lock, self._command.scope(cleanup=False) if self._command else nullcontext():
            if self._lines:
                self._line(report)
                return
            self.reports.append(report)
            self._advance()
            if self._json:
                return
            with WRITING:
                if self._bar is not None:
                    self._bar.stop()  # or the report would begin on the bar's line
                show_report(report, verbose=self._verbose)
                if self._bar is not None:
                    self._bar.start()

    def _line(self, report: Report) -> None:
        same = not report.error and report.count("in_sync", "released") == len(report.outcomes)
        if self._json:
            click.echo(msgspec.json.encode(report).decode())
        elif not same or self._verbose:
            show_report(report, verbose=self._verbose)
        sys.stdout.flush()

    def nodes(self, count: int) -> None:
        """Draw how many of ``count`` nodes are done, when there is more than one and a terminal."""
        if count > 1 and on_terminal():
            bar = self._draw()
            task = bar.add_task("nodes", total=count)
            self._advance = lambda: bar.advance(task)

    def steps(self, _node: str, sent: int, of: int, following: str) -> None:
        """Draw how many steps of the one node that is converged are sent, on a terminal."""
        if self._lines or not on_terminal():
            return
        with self._lock:
            bar = self._bar or self._draw()
            task = bar.task_ids[0] if bar.task_ids else bar.add_task("", total=of)
            bar.update(task, total=of, completed=sent, description=following)
            if sent == of:
                self._end_bar()

    def end(self) -> int:
        """Print what is still to be printed. Returns the exit code of all runs together."""
        self._end_bar()
        if self._json and not self._lines:
            print_json(self.reports)
        return worst(self.reports)

    def _draw(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

        columns: list[Any] = [
            "{task.description}",
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        ]
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._bar.start()
        return self._bar

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
