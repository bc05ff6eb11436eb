"""Parsers, rules and commands of chassis on a command line; the cases are in ``cases/*.yaml``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rackwright.model.change import Change
from rackwright.model.errors import Permanent
from rackwright.model.report import FieldChange
from rackwright.model.resource import declared_fields
from rackwright_providers.chassis import cmc_parse, oa_parse
from rackwright_providers.chassis.cli_chassis import CliChassis, Slot
from rackwright_providers.chassis.dell_cmc import DellCmc
from rackwright_providers.chassis.hpe_oa import HpeOa
from rackwright_providers.chassis.resources import Blade
from rackwright_providers.transport.cli import CliReader
from tests.tables import table

HERE = Path(__file__).parent / "cases"
CASES = {path.stem: table(path) for path in sorted(HERE.glob("*.yaml"))}
CMC, OA = CASES["dell_cmc"], CASES["hpe_oa"]
PROVIDERS: dict[str, CliChassis] = {"dell_cmc": DellCmc(), "hpe_oa": HpeOa()}


def each(*keys: str) -> list[Any]:
    """(provider, case) of both platforms."""
    return [
        pytest.param(provider, case, id=f"{name}-{key}-{number}")
        for name, provider in PROVIDERS.items()
        for key in keys
        for number, case in enumerate(CASES[name][key])
    ]


def shown(slots: dict[str, Slot]) -> dict[str, dict[str, Any]]:
    """As a case has them: what is empty is left out."""
    return {
        name: {
            key: value
            for key, value in asdict(slot).items()
            if key == "present" or (value and key != "name")
        }
        for name, slot in slots.items()
    }


@pytest.mark.parametrize("case", CMC["modules"])
def test_getmodinfo(case: dict[str, Any]) -> None:
    if case["slots"] is None:
        with pytest.raises(ValueError, match="getmodinfo"):
            cmc_parse.slots(case["text"])
    else:
        assert shown(cmc_parse.slots(case["text"])) == case["slots"]


@pytest.mark.parametrize("case", CMC["labels"])
def test_getslotname(case: dict[str, Any]) -> None:
    if case["labels"] is None:
        with pytest.raises(ValueError, match="getslotname"):
            cmc_parse.labels(case["text"])
    else:
        assert cmc_parse.labels(case["text"]) == case["labels"]


@pytest.mark.parametrize("case", CMC["config"])
def test_getconfig(case: dict[str, Any]) -> None:
    config = cmc_parse.objects(case["text"])
    assert (cmc_parse.boot(config), cmc_parse.priority(config)) == (case["boot"], case["priority"])


@pytest.mark.parametrize("case", CMC["models"])
def test_getversion(case: dict[str, Any]) -> None:
    assert cmc_parse.models(case["text"]) == case["models"]


@pytest.mark.parametrize("case", OA["servers"])
def test_show_server_names(case: dict[str, Any]) -> None:
    if case["slots"] is None:
        with pytest.raises(ValueError, match="show server names"):
            oa_parse.slots(case["text"])
    else:
        slots, names = oa_parse.slots(case["text"])
        assert (shown(slots), names) == (case["slots"], case["names"])


@pytest.mark.parametrize("case", OA["boot"])
def test_show_server_boot(case: dict[str, Any]) -> None:
    assert oa_parse.boot(case["text"]) == case["boot"]


@pytest.mark.parametrize("case", OA["standby"])
def test_show_oa_status(case: dict[str, Any]) -> None:
    assert oa_parse.standby(case["text"]) is case["standby"]


@pytest.mark.parametrize(("provider", "command"), each("permitted"))
def test_commands_that_only_read_pass(provider: CliChassis, command: str) -> None:
    reader(provider)._permit(command)


@pytest.mark.parametrize(("provider", "command"), each("refused"))
def test_a_reader_refuses_everything_else(provider: CliChassis, command: str) -> None:
    with pytest.raises(Permanent, match="not a command that only reads"):
        reader(provider)._permit(command)


def reader(provider: CliChassis) -> CliReader:
    found = CliReader.__new__(CliReader)  # nothing is sent
    found.dialect = provider.dialect
    return found


@pytest.mark.parametrize(("provider", "case"), each("wrong"))
def test_what_a_chassis_can_never_hold(provider: CliChassis, case: dict[str, Any]) -> None:
    with pytest.raises(Permanent) as refusal:
        provider.canonical(msgspec.convert(case["declare"], Blade))
    assert case["why"] in str(refusal.value)


@pytest.mark.parametrize(("provider", "case"), each("right"))
def test_spellings_of_a_slot(provider: CliChassis, case: dict[str, Any]) -> None:
    blade = provider.canonical(msgspec.convert(case["declare"], Blade))
    assert blade.name == case["name"]
    assert provider.canonical(blade) == blade


@pytest.mark.parametrize(("provider", "case"), each("rendered"))
def test_commands(provider: CliChassis, case: dict[str, Any]) -> None:
    before, after = (msgspec.convert(case[key], Blade) for key in ("before", "after"))
    fields = tuple(
        FieldChange(field=field, old=getattr(before, field), new=value)
        for field, value in declared_fields(after).items()
    )
    change = Change("update", after.address, before, after, fields)
    (step,) = provider.render([change], {})
    assert step.text.split("\n") == case["commands"]


def test_two_slots_cannot_have_one_name() -> None:
    observed = {
        blade.address: blade
        for blade in (Blade(name="1", label="web1"), Blade(name="2", label="web2"))
    }

    def refused(**labels: str) -> list[str]:
        changes = []
        for name, label in labels.items():
            after = Blade(name=name[1:], label=label)
            field = (FieldChange(field="label", old="", new=label),)
            changes.append(Change("update", after.address, observed[after.address], after, field))
        return sorted(DellCmc().refuse(changes, observed).values())

    assert refused(s1="WEB2") == ["slot 2 is called 'web2' already"]
    assert refused(s1="new", s2="NEW") == [
        "slot 1 is called 'new' already",
        "slot 2 is called 'NEW' already",
    ]
    assert refused(s1="web2", s2="web3") == []
    assert refused(s1="web9") == []
