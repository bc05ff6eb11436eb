"""Following a revision: polls the store's status, and tells from it when there is no more to wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import click

from rackwright.cli.output import on_terminal, stands_text, style_state, table
from rackwright.model.errors import Unreachable

if TYPE_CHECKING:
    from rich.progress import Progress

    from rackwright.client import AdminClient

POLL = 1.0
"""Seconds between two looks; where an answer takes the store long, ten times as long as it took."""
STORE_AWAY = 30.0
"""Seconds for which a store may be away (it starts again) before it counts as unreachable."""
LOOK = 20.0
"""Seconds within which the store should have looked at its branch when it was asked to."""


def total(status: Mapping[str, Any]) -> dict[str, int]:
    """How many resources of all nodes stand where."""
    found: dict[str, int] = {}
    for node in status["nodes"]:
        for state, count in node["standing"].items():
            found[state] = found.get(state, 0) + count
    return found


def undone(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The nodes that have not verified everything."""
    return [
        node
        for node in status["nodes"]
        if any(node["standing"].get(state) for state in ("waiting", "unreported", "failed", "refused"))
    ]  # fmt: skip


def verdict(status: Mapping[str, Any]) -> int | None:
    """The exit code, once there is one: None while somebody can still go on by himself."""
    left = undone(status)
    if not left:
        return 0
    if any(node["moving"] for node in left):
        return None
    return standstill(status)


def standstill(status: Mapping[str, Any]) -> int:
    """The exit code if nothing came any more: failures first, then unreachable nodes, then waits."""
    left = undone(status)
    if not left:
        return 0
    counts = total(status)
    states = {node["state"] for node in left}
    if counts.get("failed") or counts.get("refused") or "failed" in states:
        return 2
    return 4 if "unreachable" in states else 3


class Watch:
    """One `rackwright watch`. ``timeout`` in seconds; None: as long as it takes."""

    def __init__(
        self, client: AdminClient, timeout: float | None, stop: threading.Event | None = None
    ) -> None:
        self._client, self._timeout = client, timeout
        self._stop = stop or threading.Event()
        self._bar: Progress | None = None
        self._said = ""
        self._commit = ""

    def run(self) -> int:
        """Follow to the end. Returns the exit code. Raises Unreachable when the store is away."""
        end = None if self._timeout is None else time.monotonic() + self._timeout
        status: dict[str, Any] | None = self._looked_at()
        assert status is not None  # noqa: S101 - it has answered
        last = status
        refused = status["store"]["refused"]
        if refused:
            from rackwright.cli.ask import store_lines

            for line in store_lines(status["store"]):
                click.echo(line, err=True)
            return 1
        heard = time.monotonic()
        took = 0.0
        try:
            while True:
                if status is not None:
                    self._show(status)
                    code = verdict(status) if status["store"]["in_force"] else None
                    if code is not None:
                        return self._end(status, code)
                    last = status
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    self._hide()
                    click.echo(f"gave up after {self._timeout:g} s", err=True)
                    return self._end(last, standstill(last) or 3)
                self._stop.wait(
                    max(POLL, 10 * took) if left is None else min(max(POLL, 10 * took), left)
                )
                began = time.monotonic()
                try:
                    status = self._client.status()
                    heard = time.monotonic()
                except Unreachable:
                    if time.monotonic() - heard > STORE_AWAY:
                        raise
                    status = None
                took = time.monotonic() - began
        finally:
            self._hide()

    def _looked_at(self) -> dict[str, Any]:
        """The status after the store has looked at its branch."""
        status = self._client.status()
        before, end = status["store"]["checked"], time.monotonic() + LOOK
        self._client.poke()
        while status["store"]["checked"] == before and time.monotonic() < end:
            self._stop.wait(0.2)
            status = self._client.status()
        return status

    def _show(self, status: Mapping[str, Any]) -> None:
        counts = total(status)
        in_force = status["store"]["in_force"]
        commit = in_force["commit"] if in_force else ""
        if commit != self._commit:
            self._hide()
            click.echo(f"{status['store']['site']} at {click.style(commit[:10], bold=True)}")
            self._commit = commit
        if on_terminal():
            self._draw(counts)
            return
        line = click.unstyle(stands_text(counts)) or "nothing declared"
        if line != self._said:
            click.echo(line)
            self._said = line

    def _draw(self, counts: Mapping[str, int]) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

            self._bar = Progress(
                "{task.description}",
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.add_task("")
            self._bar.start()
        done = counts.get("verified", 0) + counts.get("changed", 0)
        open_ones = {state: count for state, count in counts.items() if state not in ("verified", "changed")}  # fmt: skip
        self._bar.update(
            self._bar.task_ids[0],
            completed=done,
            total=sum(counts.values()),
            description=click.unstyle(stands_text(open_ones)) or "verified",
        )

    def _hide(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _end(self, status: Mapping[str, Any], code: int) -> int:
        self._hide()
        if code:
            from rackwright.cli.rollout import rollout_line

            for item in status["rollouts"]:
                if item["state"] != "done":
                    click.echo(rollout_line(item))
            show_standstill(undone(status))
        else:
            count = sum(total(status).values())
            what = f"all {count} resources of {len(status['nodes'])} nodes are verified"
            click.echo(click.style(what, fg="green"))
        return code


def show_standstill(nodes: Collection[dict[str, Any]]) -> None:
    """The nodes that have not verified everything, each with what is the matter."""
    rows = []
    for node in nodes:
        said = node["error"]
        if not said and node["waits_for"]:
            said = f"waits for {', '.join(node['waits_for'])}"
        if not said and node["deferred"]:
            said = f"waits for the fact {node['deferred'][0]['fact']}"
        rows.append((node["node"], style_state(node["state"]), stands_text(node["standing"]), said))
    if not rows:
        return
    click.echo(table(["node", "state", "stands", ""], rows))
    click.echo(f"why: rackwright why-waiting {rows[0][0]}")
