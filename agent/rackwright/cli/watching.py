"""Following a revision: polls the store's status, and tells from it when there is no more to wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from rackwright.cli.node_words import matter_of, state_of
from rackwright.cli.output import on_terminal, stands_text, style_state, table
from rackwright.model.errors import Unreachable

if TYPE_CHECKING:
    from rich.progress import Progress

    from rackwright.client import AdminClient

POLL = 1.0
"""Seconds between two looks; where an answer takes the store long, ten times as long as it took."""
STORE_AWAY = 30.0
"""Seconds for which a store may be away (it starts again) before it counts as unreachable."""
NODES_SHOWN = 3
"""Nodes that are named beside the bar; the rest is counted."""
LOOK = 60.0
"""Seconds within which the store must have looked at its branch, and compiled what it found there."""


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
    """One `rackwright watch`. ``timeout`` in seconds; None: as long as it takes. ``as_json``: one
    object a line, whenever something is new; that with a ``code`` is the last."""

    def __init__(
        self, client: AdminClient, timeout: float | None, *, as_json: bool = False
    ) -> None:
        self._client, self._timeout, self._json = client, timeout, as_json
        self._stop = threading.Event()
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

            if self._json:
                self._tell({**_told(status), "refused": refused, "code": 1})
            else:
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
        """The status after the store has looked at its branch. Raises Unreachable when it cannot: what
        was pushed is not in force then, whatever is."""
        asked, end = self._client.poke(), time.monotonic() + LOOK
        while True:
            status = self._client.status()
            store = status["store"]
            if (store["checked"] or 0.0) > asked:
                break
            if time.monotonic() > end:
                raise Unreachable(f"the store has not looked at its branch within {LOOK:g} s")
            self._stop.wait(0.2)
        if store["error"]:
            raise Unreachable(f"the store cannot look at its branch: {store['error']}")
        return status

    def _show(self, status: Mapping[str, Any]) -> None:
        if self._json:
            self._tell(_told(status))
            return
        counts = total(status)
        in_force = status["store"]["in_force"]
        commit = in_force["commit"] if in_force else ""
        if commit != self._commit:
            self._hide()
            click.echo(f"{status['store']['site']} at {click.style(commit[:10], bold=True)}")
            self._commit = commit
        if on_terminal():
            self._draw(counts, [node["node"] for node in undone(status)])
            return
        line = click.unstyle(stands_text(counts)) or "nothing declared"
        if line != self._said:
            click.echo(line)
            self._said = line

    def _draw(self, counts: Mapping[str, int], left: Sequence[str]) -> None:
        done = counts.get("verified", 0) + counts.get("changed", 0)
        open_ones = {state: count for state, count in counts.items() if state not in ("verified", "changed")}  # fmt: skip
        more = f" and {len(left) - NODES_SHOWN} more" if len(left) > NODES_SHOWN else ""
        on = f" on {', '.join(left[:NODES_SHOWN])}{more}" if left else ""
        text = (click.unstyle(stands_text(open_ones)) or "verified") + on
        if self._bar is not None:
            self._bar.update(
                self._bar.task_ids[0], completed=done, total=sum(counts.values()), description=text
            )
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

        self._bar = Progress(
            BarColumn(20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            "{task.description}",
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.add_task(text, completed=done, total=sum(counts.values()))
        self._bar.start()

    def _tell(self, told: Mapping[str, Any]) -> None:
        line = msgspec.json.encode(told).decode()
        if line != self._said:
            click.echo(line)
            self._said = line

    def _hide(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _end(self, status: Mapping[str, Any], code: int) -> int:
        self._hide()
        if self._json:
            self._tell({**_told(status), "code": code})
        elif code:
            from rackwright.cli.rollout import rollout_line

            for item in status["rollouts"]:
                if item["state"] != "done":
                    click.echo(rollout_line(item))
            show_standstill(status)
        else:
            count = sum(total(status).values())
            what = f"all {count} resources of {len(status['nodes'])} nodes are verified"
            click.echo(click.style(what, fg="green"))
        return code


def _told(status: Mapping[str, Any]) -> dict[str, Any]:
    """Where a revision stands, and the nodes that have not verified everything, as plain data."""
    force = status["store"]["in_force"]
    return {
        "commit": force["commit"] if force else "",
        "standing": total(status),
        "left": [
            {
                "node": node["node"],
                "state": state_of(node),
                "standing": node["standing"],
                "why": matter_of(node, status["rollouts"]),
            }
            for node in undone(status)
        ],
    }


def show_standstill(status: Mapping[str, Any]) -> None:
    """The nodes that have not verified everything, each with what is the matter."""
    rows = [
        (
            node["node"],
            style_state(state_of(node)),
            stands_text(node["standing"]),
            matter_of(node, status["rollouts"]),
        )
        for node in undone(status)
    ]
    if not rows:
        return
    click.echo(table(["node", "state", "stands", ""], rows))
    click.echo(f"why: rackwright why-waiting {rows[0][0]}")
