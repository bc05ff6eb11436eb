"""What tgt is never told, as cases; sizes; what the provider makes of what it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Permanent
from rackwright.model.report import FieldChange
from rackwright.model.resource import Resource, declared_fields
from rackwright_providers.san import sizes, tgt_rules
from rackwright_providers.san.resources import NOUNS, Chap, Export, Target, Volume
from rackwright_providers.san.tgt import Tgt
from tests.tables import table

CASES = table(Path(__file__).parent / "cases" / "tgt_refuse.yaml")
KINDS = {noun.kind: noun for noun in NOUNS}
BASE = "iqn.2026-11.example:"


def whole(kind: str, name: str) -> str:
    """The name of a case as the noun has it."""
    if kind == "target":
        return f"{BASE}{name}"
    return name.replace(":", f":{BASE}") if kind == "export" else name


def resource(written: dict[str, Any]) -> Resource:
    (kind, name), *rest = written.items()
    data = dict(rest)
    if "target" in data and kind == "export":
        data["target"] = f"{BASE}{data['target']}"
    found: Resource = msgspec.convert({"name": whole(kind, name), **data}, KINDS[kind])
    return found


def changes(there: list[Resource], want: list[Resource]) -> list[Change]:
    seen = {one.address: one for one in there}
    found = []
    for one in want:
        before = seen.get(one.address)
        if one.ensure == "absent":
            found.append(Change("remove", one.address, before))
        elif before is None:
            found.append(Change("create", one.address, None, one))
        else:
            fields = tuple(
                FieldChange(field=name, old=getattr(before, name), new=value)
                for name, value in declared_fields(one).items()
                if value != getattr(before, name)
            )
            found.append(Change("update", one.address, before, one, fields))
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_refused(case: dict[str, Any]) -> None:
    there = [tgt_rules.canonical(resource(one)) for one in case.get("there", ())]
    want = [tgt_rules.canonical(resource(one)) for one in case["want"]]
    observed = {one.address: one for one in there}
    found = tgt_rules.refuse(changes(there, want), observed)
    expected = {
        str(Address(kind, whole(kind, name))): why
        for key, why in case.get("refused", {}).items()
        for kind, _, name in (key.partition("/"),)
    }
    assert {str(address) for address in found} == set(expected)
    for address, why in found.items():
        assert expected[str(address)] in why.replace(BASE, "")


@pytest.mark.parametrize(
    ("given", "held"),
    [
        (Volume(name="d", size=1), 512),
        (Volume(name="d", size="10GiB"), 10 * 2**30),
        (Volume(name="d", size="1.5 KiB"), 1536),
        (Volume(name="d", size="10GB"), 10**10),
        (Volume(name="d", size="1000001B"), 1000448),
    ],
)
def test_sizes_are_whole_sectors(given: Volume, held: int) -> None:
    volume = tgt_rules.canonical(given)
    assert isinstance(volume, Volume)
    assert (volume.size, volume.pool) == (held, "/srv/tgt")
    assert tgt_rules.canonical(volume) == volume


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (Volume(name="d", size=sizes.LARGEST), "at most"),
        (Volume(name="d", pool="srv"), "absolute path"),
        (Volume(name="d", pool="/srv/../etc"), "absolute path"),
        (Volume(name="d", pool="/srv/a b"), "absolute path"),
        (Volume(name="d", pool="/"), "absolute path"),
        (Target(name=f"{BASE}a_b"), "letters"),
        (Export(name=f"d:{BASE}a"), "needs `target:`"),
        (Export(name=f"d:{BASE}a#b", target=f"{BASE}t"), "cannot be told"),
        (Export(name=f"d:{BASE}a", target=f"{BASE}t", lun=0), "controller"),
        (Export(name=f"d:{BASE}a", target=f"{BASE}t", chap="x"), "declare `chap` there"),
        (Chap(name="x", password="a b"), "password"),
        (Chap(name="x", password="$(id)"), "password"),
        (Chap(name="x", password=""), "password"),
        (Chap(name="x", password="x" * 224), "password"),
    ],
)
def test_impossible(given: Resource, why: str) -> None:
    with pytest.raises(Permanent, match=why) as caught:
        tgt_rules.canonical(given)
    assert "$(id)" not in str(caught.value)


def test_what_goes_goes_after_what_may_hold_on_to_it() -> None:
    there = [
        resource(one)
        for one in (
            {"volume": "d1", "pool": "/srv/tgt"},
            {"chap": "web"},
            {"target": "t1", "chap": "web"},
            {"export": "d1:a", "target": "t1"},
        )
    ]
    gone = [msgspec.structs.replace(one, ensure="absent") for one in there]
    new = resource({"target": "t2"})
    steps = Tgt().render(changes(there, [*gone, new]), {one.address: one for one in there})
    kinds = [step.addresses[0].type for step in steps]
    assert kinds == ["export", "target", "target", "chap", "volume"]
    assert steps[1].addresses == (new.address,)
    assert all(step.text for step in steps)
