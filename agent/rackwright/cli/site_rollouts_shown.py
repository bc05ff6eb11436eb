"""Where the rollouts of a planned site stand, as people see it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

import click

from rackwright.cli.output import many, table
from rackwright.cli.rollout import STYLE, nodes_text
from rackwright.cli.site_rollouts import Turn
from rackwright.cli.site_waves import RolloutPlan, RolloutWave

WAVES = 12
"""Of one rollout that are shown without -v."""


def rollout_lines(
    rollouts: Iterable[RolloutPlan], width: int, *, verbose: bool = False
) -> Iterator[str]:
    """Each rollout that is not done: a line, and a table of its waves."""
    for rollout in rollouts:
        if rollout.state == "done" and not verbose:
            continue
        yield ""
        yield from _head(rollout, width)
        rows = [_row(wave, verbose=verbose) for wave in _shown(rollout, verbose=verbose)]
        yield table(["wave", "nodes", "now", "by this plan", "changes"], rows)
        hidden = len(rollout.waves) - len(rows)
        if hidden:
            yield click.style(f"{many(hidden, 'more wave')} (-v)", dim=True)


def turns_text(turns: Iterable[Turn], rollouts: Iterable[RolloutPlan]) -> str:
    """``wave 2 of 3 of the rollout of resolvers, when wave 1 is verified``."""
    waves = {(rollout.rollout, wave.wave): wave for rollout in rollouts for wave in rollout.waves}
    return "; ".join(
        f"wave {turn.wave} of {turn.of} of the rollout of {turn.rollout}"
        f"{_when(waves[turn.rollout, turn.wave])}"
        for turn in turns
    )


def _when(wave: RolloutWave) -> str:
    if wave.state == "open" or wave.failed:
        return ""
    if wave.then in ("done", "open"):
        return f", when wave {wave.wave - 1} is verified"
    return ", which does not go"


def _head(rollout: RolloutPlan, width: int) -> Iterator[str]:
    done = sum(wave.state == "done" for wave in rollout.waves)
    state = "stopped" if rollout.then == "stopped" else rollout.state
    said = f"{done} of {many(len(rollout.waves), 'wave')} done"
    if rollout.then == "done" and rollout.state != "done":
        said += ", the rest goes by this plan"
    text = (
        f"rollout of {click.style(rollout.rollout, bold=True)} "
        f"{click.style(state, fg=STYLE[state])}, {said}"
    )
    yield text
    if rollout.why:
        for line in textwrap.wrap(rollout.why, max(30, width - 2), break_long_words=False):
            yield f"  {click.style(line, fg='red' if rollout.then == 'stopped' else 'magenta')}"


def _shown(rollout: RolloutPlan, *, verbose: bool) -> Sequence[RolloutWave]:
    """The waves that are worth a row: what is not done, as many as there is room for."""
    if verbose or len(rollout.waves) <= WAVES:
        return rollout.waves
    return [wave for wave in rollout.waves if wave.state != "done"][:WAVES]


def _row(wave: RolloutWave, *, verbose: bool) -> tuple[str, ...]:
    return (
        str(wave.wave),
        ", ".join(wave.nodes) if verbose else nodes_text(wave.nodes),
        click.style(wave.state, fg=STYLE[wave.state]),
        _by_this_plan(wave),
        str(wave.changes) if wave.changes else "",
    )


def _by_this_plan(wave: RolloutWave) -> str:
    if wave.state == "done" and wave.then == "done":
        return ""
    if wave.then == "done":
        after = f", when wave {wave.wave - 1} is verified" if wave.state != "open" else ""
        return click.style(f"goes{after}", fg="green")
    word = {"stopped": "stops here" if wave.failed else "does not go"}.get(wave.then, "does not go")
    if wave.then == "open":
        word = "goes in part"
    return click.style(word, fg="red" if wave.then == "stopped" else "magenta")
