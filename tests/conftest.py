"""How the suite is spread over processes (pytest-xdist), and what no test leaves to the next."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterator

import pytest

WAITING = 4
"""Processes more than there are CPUs: most tests wait for a device more than they compute."""
LONG = (
    "tests/system/test_fleet.py::",
    "tests/server/test_discovery.py::test_a_real_lldpd",
    "tests/server/test_packages.py::test_apt_for_real",
    "tests/bench/test_bench.py::test_store",
)
"""Tests of more than ten seconds: one that is begun last is waited for by all."""


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """For ``-n auto``."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    return len(os.sched_getaffinity(0)) + WAITING


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each process begins with one of the long tests. ``--dist worksteal`` gives each of them as many
    tests as the others, in this order."""
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    long = [item for item in items if item.nodeid.startswith(LONG)]
    others = iter([item for item in items if not item.nodeid.startswith(LONG)])
    count = len(items)
    items.clear()
    for worker in range(workers):
        mine = long[worker::workers]
        rest = (count - len(items)) // (workers - worker) - len(mine)
        items += [*mine, *itertools.islice(others, max(rest, 0))]
    items += others


@pytest.fixture(autouse=True)
def levels() -> Iterator[None]:
    """The levels of all loggers are as before: a command that is run in this process sets them."""
    known = {"": logging.getLogger(), **logging.root.manager.loggerDict}
    before = {name: log.level for name, log in known.items() if isinstance(log, logging.Logger)}
    yield
    for name, log in {"": logging.getLogger(), **logging.root.manager.loggerDict}.items():
        if isinstance(log, logging.Logger) and log.level != before.get(name, logging.NOTSET):
            log.setLevel(before.get(name, logging.NOTSET))
