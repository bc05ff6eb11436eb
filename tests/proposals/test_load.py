"""YAML: 1.2 scalars, marks, and a loader that nothing can crash."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rackwright_proposals.compile import compile_site
from rackwright_proposals.load import load
from rackwright_proposals.marks import Map, Mark, Problems, Seq
from rackwright_proposals.tree import Source
from tests.proposals.nouns import NOUNS, PLATFORMS
from tests.proposals.sites import BASE


def _load(text: str | bytes) -> list[Map]:
    problems = Problems()
    content = text.encode() if isinstance(text, str) else text
    found = load("f.yaml", content, problems)
    assert not problems.listed()
    return found


@pytest.mark.parametrize(
    ("written", "value"),
    [
        # What YAML 1.1 would take for something else.
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("No", "No"),
        ("y", "y"),
        ("12:30:45", "12:30:45"),
        ("2024-01-31", "2024-01-31"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("=", "="),
        # The core schema.
        ("~", None),
        ("", None),
        ("null", None),
        ("nUll", "nUll"),
        ("true", True),
        ("False", False),
        ("tRue", "tRue"),
        ("0", 0),
        ("-19", -19),
        ("+3", 3),
        ("0644", 644),
        ("0o17", 15),
        ("0o18", "0o18"),
        ("0xFf", 255),
        ("1.50", 1.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-2E+05", -200000.0),
        ("1e3", 1000.0),
        ("e3", "e3"),
        (".", "."),
        ("1.2.3", "1.2.3"),
        ("10.0.0.1", "10.0.0.1"),
        ("00:11:22:33:44:55", "00:11:22:33:44:55"),
        ("18446744073709551615", 2**64 - 1),
        # Quotes and tags.
        ("'on'", "on"),
        ("'5'", "5"),
        ('"~"', "~"),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
        ("!!float 5", 5.0),
        ("! 5", "5"),
    ],
)
def test_scalars_of_the_core_schema(written: str, value: object) -> None:
    (document,) = _load(f"k: {written}\n")
    found = document["k"]
    assert found == value
    assert type(found) is type(value)
    assert not (isinstance(found, float) and math.isnan(found))


def test_keys_are_text_as_written() -> None:
    (document,) = _load("{1: a, 0x10: b, 1.10: c, true: d, on: e}")
    assert list(document) == ["1", "0x10", "1.10", "true", "on"]


def test_marks_point_at_keys_and_values() -> None:
    (document,) = _load("a: 1\nb:\n  - x\n  -   y: [2]\n")
    assert document.key_at("b") == Mark("f.yaml", 2, 1)
    items = document["b"]
    assert isinstance(items, Seq)
    assert items.at(0) == Mark("f.yaml", 3, 5)
    assert items[1].at("y") == Mark("f.yaml", 4, 10)


def test_documents_anchors_and_a_byte_order_mark() -> None:
    first, second = _load(b"\xef\xbb\xbfa: &x [1]\nb: *x\n---\nc: 1\n...\n# end\n")
    assert first["a"] is first["b"]
    assert second == {"c": 1}
    assert _load("# only a comment\n") == []


def _compile(content: bytes) -> None:
    files = {"base.yaml": BASE.encode(), "case.yaml": content}
    problems = compile_site(Source(files), NOUNS, platforms=PLATFORMS).problems
    for problem in problems:
        assert problem.file
        assert problem.line
        assert str(problem)


@given(st.binary(max_size=300))
def test_any_bytes_give_problems_and_no_crash(content: bytes) -> None:
    _compile(content)


@given(st.text("abc:-[]{}#&*!|>'\"%@` \t\n,?~<.0x", max_size=120))
def test_any_yaml_like_text_gives_problems_and_no_crash(text: str) -> None:
    _compile(text.encode())


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    """The base with some of it cut, doubled or replaced, so that much of it stays meaningful."""
    text = BASE
    pieces = ["[", "]", "{", "}", ": ", "- ", "\n", "  ", "'", "{{ ", " }}", "*", "~", "1", "null"]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(st.sampled_from([*pieces, ""])) + text[end:]
    return text.encode()


@given(_mutated())
def test_a_mutated_site_gives_problems_and_no_crash(content: bytes) -> None:
    compile_site(Source({"site.yaml": content}), NOUNS, platforms=PLATFORMS)


_SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 5000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["", "web1", "sw1", "*", "{{ node }}", "{{ x }}", "a in b", "type=server", "é"]
    ),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "ssh",
                    "secret",
                    "type",
                    "file",
                    "vlan",
                    "each",
                    "when",
                    "name",
                    "needs",
                    "nets",
                    "*",
                ]
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)
_KEYS = {
    "site": ["attributes", "defaults", "x"],
    "node": ["type", "platform", "reach", "links", "offers", "attributes", "room"],
    "role": ["for", "attributes", "defaults", "resources", "description"],
    "proposal": ["attributes", "deploy"],
}


@st.composite
def _document(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(sorted(_KEYS)))
    head = {kind: draw(st.sampled_from(["n1", "nets", "web1", 5, None, ["a"]]))}
    return {**head, **draw(st.dictionaries(st.sampled_from(_KEYS[kind]), _VALUES, max_size=4))}


@given(st.lists(_document(), min_size=1, max_size=4))
def test_documents_of_any_shape_give_problems_and_no_crash(documents: list[dict[str, Any]]) -> None:
    import yaml

    text = yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True)
    _compile(text.encode())
