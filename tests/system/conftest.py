"""Fixtures of the system tests."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from .forker import Forker


@pytest.fixture(scope="session")
def forker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forker]:
    """Starts ``rackwright`` commands without the time of their imports."""
    with Forker(tmp_path_factory.mktemp("commands")) as made:
        yield made


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Another one in every run; what it began with is printed when the test fails."""
    seed = int(os.environ.get("RACKWRIGHT_SEED") or random.SystemRandom().randrange(10**9))
    print(f"to try these decisions again: RACKWRIGHT_SEED={seed} pytest {request.node.nodeid!r}")
    return random.Random(f"{seed} {request.node.name}")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state directory of agents and delegates."""
    made = tmp_path / "state"
    made.mkdir()
    return made
