"""Lint of nodes that are reached where others are: a table of cases, and what the places look like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rackwright.provider import Registry
from rackwright_proposals.compile import compile_site
from rackwright_proposals.tree import Source
from tests.proposals.nouns import NOUNS
from tests.tables import table

CASES = table(Path(__file__).parent / "cases" / "addresses.yaml")["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_case(case: dict[str, Any]) -> None:
    files = {"site.yaml": b"site: s\n", "case.yaml": case["site"].encode()}
    made = compile_site(Source(files, "c0ffee"), NOUNS, None, Registry.installed().platforms)
    for said, expected in ((made.warnings, case.get("warns")), (made.problems, case.get("wrong"))):
        places = [one for one in said if "leads to one device" in one.message]
        assert [f"{one.line}: {one.message}" for one in places] == (expected or [])
        assert all(one.file == "case.yaml" and one.hint for one in places)
    assert bool(made.problems) == bool(case.get("wrong")), made.problems
