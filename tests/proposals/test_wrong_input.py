"""Wrong input: every case of wrong.yaml gives its errors with their lines, and no traceback."""

from __future__ import annotations

from typing import Any

import pytest

from rackwright_proposals.compile import compile_site
from rackwright_proposals.tree import Source
from tests.proposals.nouns import NOUNS, PLATFORMS
from tests.proposals.sites import BASE, cases, sound

CASES = cases("wrong.yaml")


def test_the_base_itself_is_right() -> None:
    assert not sound(BASE).warnings


@pytest.mark.parametrize("case", CASES, ids=[str(case["name"]) for case in CASES])
def test_wrong_input_is_told_with_its_line(case: dict[str, Any]) -> None:
    files = {"base.yaml": BASE.encode()}
    if "text" in case:
        files["case.yaml"] = case["text"].encode()
    if "latin1" in case:
        files["case.yaml"] = case["latin1"].encode("latin-1")
    files |= {name: text.encode() for name, text in case.get("files", {}).items()}

    problems = compile_site(Source(files), NOUNS, platforms=PLATFORMS).problems

    told = [str(problem) for problem in problems]
    assert len(told) == len(case["expect"]), told
    for found, expected in zip(told, case["expect"], strict=True):
        assert expected in found
    assert all(problem.line for problem in problems)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "the site has no .yaml file"),
        ({"motd.j2": b"x"}, "the site has no .yaml file"),
        ({"a.yaml": b"# nothing yet\n"}, "the site has no site document"),
        ({"a.yaml": b"node: n\ntype: server\n"}, "the site has no site document"),
    ],
)
def test_a_site_that_is_none(files: dict[str, bytes], message: str) -> None:
    (problem,) = compile_site(Source(files), NOUNS).problems
    assert message in problem.message


def test_a_password_in_clear_is_not_repeated() -> None:
    text = (
        "node: n\ntype: switch\nplatform: cisco_ios\nreach: [{ssh: {host: h, password: hunter2}}]"
    )
    role = "role: x\nresources:\n- user: bob\n  password_hash: [hunter2]\n  comment: c\n"
    files = {"base.yaml": BASE.encode(), "case.yaml": f"{text}\n---\n{role}".encode()}
    problems = compile_site(Source(files), NOUNS, platforms=PLATFORMS).problems
    assert len(problems) == 2
    assert "hunter2" not in str(problems)


def test_a_library_role_can_be_replaced_with_a_warning() -> None:
    made = sound(BASE.replace("role: nets", "role: vlans").replace("nets:", "vlans:"))
    (warning,) = made.warnings
    assert "library" in warning.message
    assert warning.line == 15
