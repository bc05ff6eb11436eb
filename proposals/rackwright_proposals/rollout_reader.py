"""The ``rollout`` of a proposal document."""

from __future__ import annotations

import re

from rackwright_proposals.documents import Amount, RolloutPlan
from rackwright_proposals.marks import Map, Problems
from rackwright_proposals.shape import as_map, check_keys, typename

KEYS = ("canary", "at_once", "stop_on")
PERCENT = re.compile(r"([0-9]{1,3})%")
EXAMPLE = "e.g. rollout: {canary: 1, at_once: 10%, stop_on: 1}"
ALL = Amount(100, percent=True)


def read_rollout(of: str, document: Map, problems: Problems) -> RolloutPlan | None:
    """What ``document`` says of its rollout; None when it says nothing, or something wrong."""
    if "rollout" not in document:
        return None
    before = len(problems)
    written = as_map(of, document, "rollout", problems)
    if len(problems) > before:
        return None
    check_keys("a rollout", written, KEYS, problems)
    if not {"canary", "at_once"} & written.keys() and len(problems) == before:
        problems.add(f"rollout of {of} says neither canary nor at_once", written.mark, EXAMPLE)
    found = RolloutPlan(
        canary=_amount(of, written, "canary", 0, Amount(0), problems),
        at_once=_amount(of, written, "at_once", 1, ALL, problems),
        stop_on=_failures(of, written, problems),
        mark=written.mark,
    )
    return found if len(problems) == before else None


def _amount(
    of: str, written: Map, key: str, least: int, default: Amount, problems: Problems
) -> Amount:
    if key not in written:
        return default
    value = written[key]
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return Amount(value)
    percent = PERCENT.fullmatch(value) if isinstance(value, str) else None
    if percent and 1 <= int(percent[1]) <= 100:
        return Amount(int(percent[1]), percent=True)
    problems.add(
        f"{key} of {of} must be a number of nodes from {least} on or a percentage from 1% to 100%, "
        f"not {_shown(value)}",
        written.at(key),
        EXAMPLE,
    )
    return default


def _failures(of: str, written: Map, problems: Problems) -> int:
    value = written.get("stop_on", 1)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    problems.add(
        f"stop_on of {of} must be a number of failed nodes from 1 on, not {_shown(value)}",
        written.at("stop_on"),
        EXAMPLE,
    )
    return 1


def _shown(value: object) -> str:
    plain = isinstance(value, (int, float, str)) and not isinstance(value, bool)
    return repr(value) if plain else typename(value)
