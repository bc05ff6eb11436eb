"""How the suite is spread over processes (pytest-xdist), and what no test leaves to the next."""

from __future__ import annotations

import compileall
import gc
import itertools
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Bytecode is kept, whatever the environment says: hundreds of processes start from these sources.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

TESTS = Path(__file__).parent
SOURCES = ("agent", "providers", "proposals", "store", "simulators")
WAITING = 6
"""Processes more than there are CPUs: most tests wait for a device more than they compute."""
LONG = (
    "tests/system/test_fleet.py::",
    "tests/server/test_discovery.py::test_a_real_lldpd",
    "tests/server/test_packages.py::test_apt_for_real",
    "tests/bench/test_bench.py::test_store",
    "tests/real/test_bring_up.py::",
    "tests/liveness/test_liveness.py::",
)
"""Tests of more than ten seconds: one that is begun last is waited for by all."""


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """For ``-n auto``."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    return len(os.sched_getaffinity(0)) + WAITING


def pytest_configure(config: pytest.Config) -> None:
    """Compile what is not yet before the processes begin, each of which would do it otherwise."""
    gc.disable()  # a quarter of the collection's time, and what it imports stays anyway
    if hasattr(config, "workerinput"):
        return
    for source in SOURCES:
        compileall.compile_dir(TESTS.parent / source, quiet=2)
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if whole and config.getoption("numprocesses", 0) and not _compiled():
        look = [sys.executable, "-m", "pytest", "-n", "0", "--collect-only", "-qq"]
        subprocess.run(look, cwd=TESTS.parent, stdout=subprocess.DEVNULL)


def _compiled() -> bool:
    """Whether pytest has most of the tests as it runs them, which takes it several seconds."""
    kept = list(TESTS.rglob("__pycache__/test_*-pytest-*.pyc"))
    return 2 * len(kept) > len(list(TESTS.rglob("test_*.py")))


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


def pytest_collection_finish() -> None:
    """From here on garbage is collected, without a look at all modules and tests every time."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def levels() -> Iterator[None]:
    """The levels of all loggers are as before: a command that is run in this process sets them."""
    known = {"": logging.getLogger(), **logging.root.manager.loggerDict}
    before = {name: log.level for name, log in known.items() if isinstance(log, logging.Logger)}
    yield
    for name, log in {"": logging.getLogger(), **logging.root.manager.loggerDict}.items():
        if isinstance(log, logging.Logger) and log.level != before.get(name, logging.NOTSET):
            log.setLevel(before.get(name, logging.NOTSET))
