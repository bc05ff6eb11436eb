"""EqualLogic: what its command line shows, what is typed on it, and that no volume is lost by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.change import Wanted
from rackwright.model.errors import Permanent, Rejected, Unreachable
from rackwright.model.facts import FoundLink
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.identify import identify
from rackwright_providers.san import eql_parse, eql_rules, eql_steps
from rackwright_providers.san.equallogic import SETTINGS, EqualLogic
from rackwright_providers.san.resources import Chap, Export, Volume
from rackwright_sim.cli_ssh import BoxSsh
from rackwright_sim.equallogic import EqualLogic as Sim
from rackwright_sim.faults import Faults
from rackwright_sim.run import SimNode, SimWay, start_for_site
from tests.tables import table

HERE = Path(__file__).parent
CASES = table(HERE / "cases" / "equallogic_text.yaml")
SAMPLE = (HERE / "samples" / "equallogic_volume.txt").read_text()
WEB, DB = "iqn.2026-11.example:web", "iqn.2026-11.example:db"
MB = 2**20


@pytest.mark.parametrize("case", CASES["records"])
def test_access_records(case: dict[str, Any]) -> None:
    found = eql_parse.records(case["shown"])
    assert [[r.id, r.initiator, r.address, r.chap, r.applies] for r in found] == case["read"]


@pytest.mark.parametrize("case", CASES["volumes"])
def test_volumes(case: dict[str, Any]) -> None:
    found = eql_parse.volumes(case["shown"])
    assert {
        name: [row.size, row.online, row.read_only, row.thin, row.connections]
        for name, row in found.items()
    } == case["read"]


@pytest.mark.parametrize(("shown", "size"), CASES["sizes"].items())
def test_sizes(shown: str, size: int) -> None:
    assert eql_parse.size(shown) == size


@pytest.mark.parametrize("shown", ["", "GB", "-1GB", "1.5", "10%"])
def test_what_is_no_size(shown: str) -> None:
    with pytest.raises(ValueError, match="no size"):
        eql_parse.size(shown)


def test_the_information_of_a_volume_and_the_tables_below_it() -> None:
    found = eql_parse.pairs(SAMPLE)
    assert found["iSCSI Name"].endswith("-volume-74cf9c04-4543-47ae-a937-a9b7c6c921e7")
    assert (found["Pool"], found["Size"], found["Description"]) == ("default", "1GB", "")
    assert [one.initiator for one in eql_parse.records(SAMPLE)] == [
        "iqn.1993-08.org.debian:01:2227dab76162"
    ]


def test_a_table_that_is_torn_is_not_half_read() -> None:
    table = CASES["volumes"][0]["shown"]
    with pytest.raises(ValueError, match="volume show"):
        eql_parse.volumes(table.replace("read-write 26", "read-write").replace("26", ""))


@pytest.mark.parametrize(
    ("given", "held"),
    [(1, 15), (15 * MB, 15), (15 * MB + 1, 30), ("10GiB", 10245), ("1TiB", 1048590)],
)
def test_sizes_are_whole_units(given: str | int, held: int) -> None:
    volume = eql_rules.canonical(Volume(name="v", size=given))
    assert isinstance(volume, Volume)
    assert volume.size == held * MB


@pytest.fixture
def group() -> Iterator[tuple[Sim, Any]]:
    """The simulated group, and a session that can write."""
    box = Sim()
    box.put("data1", 30)
    with BoxSsh(box) as ssh, closing(session(ssh)) as found:
        yield box, found


def way(ssh: BoxSsh) -> Way:
    options = {"host": ssh.host, "port": ssh.port, "host_key": ssh.host_key}
    return Way(transport="ssh", options={**options, "username": "rack", "password": "staple"})


def session(ssh: BoxSsh, *, writable: bool = True) -> Any:
    around = Surroundings(state=Path("/nonexistent"), writable=writable)
    return EqualLogic().open(way(ssh), around)


def read(open_session: Any, *kinds: type) -> dict[str, Any]:
    wanted = Wanted(frozenset(kinds), {})
    return {str(key): one for key, one in EqualLogic().read(open_session, wanted).items()}


def step(kind: type[eql_steps.EqlStep], **more: Any) -> Any:
    return kind(addresses=(), text="", **more)


def test_every_session_sets_itself_up_and_a_reader_can_do_nothing_else() -> None:
    box = Sim()
    box.put("data1", 30)
    with BoxSsh(box) as ssh, closing(session(ssh, writable=False)) as found:
        assert box.settings["confirmation"] == box.settings["paging"] == "off"
        assert box.counters.commands == len(SETTINGS)
        assert box.counters.writes == 0
        for command in (
            "volume select data1 offline",
            "volume delete data1",
            "volume select data1 access create initiator x",
            "volume select data1 show\rvolume delete data1",
            "cli-settings confirmation on",
            "chapuser create x",
        ):
            with pytest.raises(Permanent, match="only reads"):
                found.run(command)
        assert box.counters.commands == len(SETTINGS)


def test_a_volume_that_has_grown_meanwhile_is_not_shrunk(group: tuple[Sim, Any]) -> None:
    box, found = group
    box.volumes["data1"]["size"] = 90
    grow = step(
        eql_steps.GrowVolume, name="data1", size=45 * MB, command="volume select data1 size 45MB"
    )
    with pytest.raises(Rejected, match="has 90 MiB by now"):
        grow.apply(found)
    assert box.counters.writes == 0
    replace(grow, size=90 * MB).apply(found)
    assert box.counters.writes == 0


def test_a_volume_in_use_is_not_deleted(group: tuple[Sim, Any]) -> None:
    box, found = group
    box.volumes["data1"]["connections"] = 2
    with pytest.raises(Rejected, match="connections: 2"):
        step(eql_steps.DeleteVolume, name="data1").apply(found)
    assert box.counters.writes == 0


def test_a_volume_that_cannot_be_deleted_is_online_again(group: tuple[Sim, Any]) -> None:
    box, found = group
    box.faults = Faults(reject_only="^volume delete")
    with pytest.raises(Rejected, match="% Error"):
        step(eql_steps.DeleteVolume, name="data1").apply(found)
    assert box.volumes["data1"]["online"]
    box.faults = Faults()
    step(eql_steps.DeleteVolume, name="data1").apply(found)
    step(eql_steps.DeleteVolume, name="data1").apply(found)
    assert box.volumes == {}


def test_a_deletion_that_was_cut_off_is_finished(group: tuple[Sim, Any]) -> None:
    box, found = group
    box.faults = Faults(drop_before=1)
    with pytest.raises(Unreachable):
        step(eql_steps.DeleteVolume, name="data1").apply(found)
    assert not box.volumes["data1"]["online"]


def test_an_initiator_is_never_locked_out_while_its_record_is_replaced(
    group: tuple[Sim, Any],
) -> None:
    box, found = group
    for method in ("none", "chap username old"):
        box.answer(f"volume select data1 access create initiator {WEB} authmethod {method}")
    box.answer(f"volume select data1 access create initiator {DB} authmethod none")
    assert read(found, Export)[f"export/data1:{WEB}"].chap == "none"
    command = f"volume select data1 access create initiator {WEB} authmethod chap username new"
    put = step(eql_steps.PutExport, volume="data1", initiator=WEB, chap="new", command=command)
    box.faults = Faults(reject_only="access create")
    with pytest.raises(Rejected):
        put.apply(found)
    assert set(box.volumes["data1"]["records"]) == {"1", "2", "3"}
    box.faults = Faults()
    put.apply(found)
    seen = read(found, Export)
    assert (seen[f"export/data1:{WEB}"].chap, seen[f"export/data1:{DB}"].chap) == ("new", "none")
    writes = box.counters.writes
    put.apply(found)
    assert set(box.volumes["data1"]["records"]) == {"3", "4"}
    assert box.counters.writes == writes
    step(eql_steps.DeleteExport, volume="data1", initiator=WEB).apply(found)
    assert set(box.volumes["data1"]["records"]) == {"3"}


def test_records_that_are_not_one_initiator_s_are_nobody_s_export(group: tuple[Sim, Any]) -> None:
    box, found = group
    for words in (
        "ipaddress 10.1.1.1",
        "username web1 authmethod chap",
        "initiator iqn.2026-11.example:*",
        f"initiator {WEB} apply-to snapshot",
    ):
        box.answer(f"volume select data1 access create {words}")
    assert len(box.volumes["data1"]["records"]) == 4
    assert set(read(found, Volume, Export, Chap)) == {"volume/data1"}


def test_who_is_connected_is_said_only_where_there_is_no_doubt(group: tuple[Sim, Any]) -> None:
    box, found = group
    box.put("data2", 15)
    for name in ("data1", "data2"):
        box.volumes[name]["connections"] = 1
        box.answer(f"volume select {name} access create initiator {WEB} authmethod none")
    box.answer(f"volume select data2 access create initiator {DB} authmethod none")
    facts = EqualLogic().discover(found)
    iqn = box.volumes["data1"]["iqn"]
    assert facts.links == (FoundLink(port=iqn, peer=WEB, how="iqn"),)
    assert facts.values["volumes"]["data1"]["iqn"] == iqn
    pool = facts.values["pools"]["default"]
    assert (pool["size"], pool["free"]) == (2**44, 2**44 - 2**30)
    assert (facts.values["name"], facts.values["address"]) == ("group-0", "10.0.1.6")


def test_a_group_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, group: Any) -> None:
    box, found = group
    box.faults = Faults(hang=True)
    with pytest.raises(Unreachable):
        found.run("volume show", timeout=0.2)
    assert not found.alive()


def test_it_is_told_by_how_it_refuses() -> None:
    with BoxSsh(Sim()) as ssh:
        found = identify(way(ssh), Surroundings(state=Path("/nonexistent")))
    assert found.platform == "equallogic"


def test_it_is_simulated_for_a_site_and_remembers(tmp_path: Path) -> None:
    options = {"host": "127.0.0.1", "port": 0, "username": "rack", "password": "s3cret"}
    node = SimNode("eql-a", "equallogic", (SimWay("ssh", options),))
    for made in (False, True):
        with start_for_site([node], state=tmp_path) as farm:
            (end,) = farm.endpoints
            found = {**options, "port": end.port, "host_key": end.host_key}
            around = Surroundings(state=tmp_path, writable=True)
            with closing(
                EqualLogic().open(Way(transport="ssh", options=found), around)
            ) as open_session:
                assert ("volume/data1" in read(open_session, Volume)) == made
                if not made:
                    open_session.execute("volume create data1 100MB thin-provision")
