"""Answers of a real c7000 and a real M1000e that bmclib carries in its tests, through the parsers:
``$RACKWRIGHT_RECORDED/bmclib`` (github.com/bmc-toolbox/bmclib before its version 2, such as v0.5.3)."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from rackwright_providers.chassis import cmc_parse, oa_parse
from rackwright_providers.chassis.dell_cmc import DIALECT as CMC
from rackwright_providers.chassis.dell_cmc import MODIFIED
from rackwright_providers.chassis.hpe_oa import DIALECT as OA

RECORDED = Path(os.environ.get("RACKWRIGHT_RECORDED", "/nonexistent")) / "bmclib" / "providers"
_ANSWER = re.compile(r'"([^"\n]+)":\s*\[\]byte\(`([^`]*)`\)')


def answers(chassis: str) -> dict[str, str]:
    """Answers by command. The indentation is the test's own, not the device's."""
    found: dict[str, str] = {}
    for file in sorted((RECORDED / chassis).glob("*_test.go")):
        for command, text in _ANSWER.findall(file.read_text()):
            found[command] = "\n".join(line.lstrip("\t") for line in text.split("\n"))
    if not found:
        pytest.skip("RACKWRIGHT_RECORDED names no directory with bmclib of before version 2")
    return found


@pytest.mark.proves("hpe_oa", "blade", over="ssh", on="recorded", by="a c7000 (bmclib)")
def test_the_servers_of_a_c7000() -> None:
    slots, names = oa_parse.slots(answers("hp/c7000")["SHOW SERVER NAMES"])
    assert list(slots) == [str(bay) for bay in range(1, 17)]
    assert [bay for bay, slot in slots.items() if slot.present] == ["1"]
    first = slots["1"]
    assert (first.power, first.health, first.serial) == ("on", "OK", "CZXXXXXXEK")
    assert names == {"1": "fdi"}


def test_a_c7000_describes_itself() -> None:
    told = oa_parse.pairs(answers("hp/c7000")["SHOW OA INFO"])
    assert told["Firmware Ver."] == "4.80 Dec 13 2017"


def test_no_answer_of_a_c7000_counts_as_a_refusal() -> None:
    for command, answer in answers("hp/c7000").items():
        if command.isupper() or command.startswith("SHOW"):
            assert not OA.errors.search(answer), command


def test_an_m1000e_describes_itself() -> None:
    told = cmc_parse.objects(answers("dell/m1000e")["getsysinfo"])
    assert told["System Model"] == "PowerEdge M1000e"
    assert (told["Current DNS Domain"], told["VLAN ID"]) == ("", "1")
    assert (told["Service Tag"], told["Primary CMC Version"]) == ("5XXXXXX", "6.10")


def test_what_an_m1000e_answers_to_a_write_is_known_for_success() -> None:
    found = answers("dell/m1000e")
    writes = [
        command
        for command in found
        if re.match(r"(?:serveraction .* power(?:up|down)|config)", command)
    ]
    assert len(writes) >= 4
    for command in writes:
        assert MODIFIED.search(found[command]), command
        assert not CMC.errors.search(found[command]), command
