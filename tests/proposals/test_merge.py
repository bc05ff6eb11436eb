"""Precedence, provenance, and that no order of files or documents matters."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rackwright_proposals.load import load
from rackwright_proposals.marks import Map, Problems
from rackwright_proposals.why import WhyValue, why
from tests.proposals.sites import BASE, HERE, compiled, sound

LEVELS = ("role", "site", "proposal", "node")


def _cases() -> list[Map]:
    """By our own loader, whose scalars are those of YAML 1.2."""
    documents = "\n---\n".join(
        part
        for part in (
            "name: " + text
            for text in (HERE / "precedence.yaml").read_text().split("\n- name: ")[1:]
        )
    )
    problems = Problems()
    found = load("precedence.yaml", documents.replace("\n  ", "\n").encode(), problems)
    assert not problems.listed()
    return found


CASES = _cases()


def _site(case: Map) -> str:
    """Each level's attributes on a line of their own, as JSON, which YAML holds."""
    said = {level: json.dumps(case.get(level, {})) for level in LEVELS}
    known = {key for level in LEVELS for key in case.get(level, {})}
    schema = json.dumps(dict.fromkeys(sorted(known), True))
    return (
        f"site: s\nattributes: {said['site']}\n---\n"
        f"node: n\ntype: server\nattributes: {said['node']}\n---\n"
        f"role: r\nattributes: {schema}\ndefaults: {said['role']}\n---\n"
        f"proposal: p\nattributes: {said['proposal']}\ndeploy: {{r: [n]}}\n"
    )


LINES = {"site": 2, "node": 6, "role r": 10, "proposal p": 13}


@pytest.mark.parametrize("case", CASES, ids=[str(case["name"]) for case in CASES])
def test_precedence_and_provenance(case: Map) -> None:
    site = sound(_site(case))
    found = site.bundles["n"].attributes
    assert set(found) == set(case["expect"])
    for path, (value, who) in case["expect"].items():
        assert found[path].value == value
        assert type(found[path].value) is type(value) or isinstance(value, (list, dict))
        origin = found[path].origin
        assert str(origin) == f"site.yaml:{LINES[who]}@c0ffee"
        assert origin.role == ("r" if who == "role r" else "")
        assert origin.proposal == ("p" if who == "proposal p" else "")
        explained = why(site, "n", path)
        assert isinstance(explained, WhyValue)
        assert explained.value == value
        assert explained.origin == origin
        if not isinstance(value, dict):
            assert explained.said[-1].value == value


def test_two_proposals_may_agree() -> None:
    more = "\n---\nproposal: zz\nattributes: {vlans: {10: {name: front}}}\ndeploy: {nets: [sw1]}\n"
    found, alone = (sound(text).bundles["sw1"].resources for text in (BASE + more, BASE))
    assert {item.asked[0].proposals for item in found} == {("base", "zz")}
    assert [msgspec.structs.replace(item, asked=()) for item in found] == list(alone)


@pytest.mark.parametrize(
    ("one", "other"), [("1", "1.0"), ("1", "true"), ("'1'", "1"), ("[1]", "1")]
)
def test_two_proposals_that_nearly_agree_conflict(one: str, other: str) -> None:
    role = "\n---\nrole: any\nattributes: {a: true}\n---\nproposal: p1\nattributes: {a: %s}\ndeploy: {any: [web1]}\n---\nproposal: p2\nattributes: {a: %s}\ndeploy: {any: ['*']}\n"
    (problem,) = compiled(BASE + role % (one, other)).problems
    assert "proposals 'p1' and 'p2' set a to different values" in problem.message
    assert "on web1" in problem.message


PROPOSALS = """
proposal: more
attributes: {vlans: {9: {name: nine}, 100: {name: hundred}}}
deploy: {nets: ["room=a"]}
---
proposal: text
attributes: {text: hi}
deploy: {web: [web1, web2]}
---
node: web2
type: server
attributes: {text: own}
links: {eth0: "sw1:e2"}
---
role: ports
for: [switch]
resources:
  - port: "{{ port }}"
    each: port, link in links.items()
    description: "{{ link.node }}"
---
proposal: ports
deploy: {ports: ["*"]}
"""
DOCUMENTS = [*BASE.split("\n---\n"), *PROPOSALS.split("\n---\n")]
WHOLE = sound("\n---\n".join(DOCUMENTS))


@given(st.permutations(DOCUMENTS), st.lists(st.integers(0, 3), min_size=20, max_size=20))
def test_no_order_of_documents_and_files_matters(documents: list[str], places: list[int]) -> None:
    files: dict[str, list[str]] = {}
    for place, document in zip(places, documents, strict=False):
        files.setdefault(f"{place}.yaml", []).append(document)
    made = sound({name: "\n---\n".join(texts) for name, texts in files.items()})
    assert _without_lines(made.bundles) == _without_lines(WHOLE.bundles)
    assert {n: b.etag for n, b in made.bundles.items()} == {
        n: b.etag for n, b in WHOLE.bundles.items()
    }


def _without_lines(value: Any) -> Any:
    data = msgspec.to_builtins(value)

    def strip(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: strip(kid) for key, kid in item.items() if key not in ("file", "line")}
        return [strip(kid) for kid in item] if isinstance(item, (list, tuple)) else item

    return strip(data)


def test_the_order_of_the_permuted_site_is_natural() -> None:
    names = [item.data["name"] for item in WHOLE.bundles["sw1"].resources if item.type == "vlan"]
    assert names == ["9", "10", "100", "666"]
