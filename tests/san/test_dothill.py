"""The Dot Hill family: its answers, its sessions, and that no volume or secret is lost by them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.change import Wanted
from rackwright.model.errors import Permanent, Rejected, Temporary, Unreachable
from rackwright.model.facts import FoundLink
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.identify import identify
from rackwright_providers.san import dothill_parse, dothill_rules, dothill_steps
from rackwright_providers.san.dothill import DotHill
from rackwright_providers.san.dothill_parse import Initiator
from rackwright_providers.san.dothill_session import DotHillReader, DotHillWriter, is_reading, path
from rackwright_providers.san.resources import Chap, Export, Volume
from rackwright_providers.transport import recording
from rackwright_providers.transport.http_errors import Unauthorized
from rackwright_sim.dothill import DotHill as Sim
from rackwright_sim.dothill import DotHillOptions
from rackwright_sim.faults import Faults
from rackwright_sim.run import SimNode, SimWay, start_for_site
from tests.conformance.converging import Delegate, states, told
from tests.conformance.platforms import cases
from tests.conformance.rigs.dothill import PASSWORD, dothill
from tests.tables import table

HERE = Path(__file__).parent
STATUS = table(HERE / "cases" / "dothill_status.yaml")
WEB, DB = "iqn.2026-11.example:web1", "iqn.2026-11.example:db1"
MIB = 2**20
SECRET = "chap-s3cret-01"


@pytest.mark.parametrize("case", STATUS, ids=str)
def test_the_status_of_an_answer(case: dict[str, Any]) -> None:
    if "read" not in case:
        with pytest.raises(ValueError):
            dothill_parse.said(case["text"])
        return
    found = dothill_parse.said(case["text"])
    assert [found.success, found.code, found.words] == case["read"]


def test_maps_as_json_nests_them_and_calls_their_owners_by_nickname() -> None:
    answer = dothill_parse.said((HERE / "samples" / "dothill_maps.json").read_text())
    known = {WEB: Initiator(WEB, "web1", True), DB: Initiator(DB, "db1", False)}
    found = dothill_parse.maps(answer, known)
    assert [(one.initiator, one.lun, one.read_only, one.default) for one in found] == [
        ("00c0ff26dd0000aa12345f5101010000", 3, False, False),
        (WEB, 1, False, False),
        (DB, 2, True, False),
    ]
    seen = dothill_rules.observe({}, found, {})
    assert {str(address) for address in seen} == {f"export/data1:{WEB}", f"export/data1:{DB}"}


def test_maps_as_older_xml_has_them() -> None:
    answer = dothill_parse.said((HERE / "samples" / "dothill_maps.xml").read_text())
    found = dothill_parse.maps(answer, {})
    assert [(one.volume, one.initiator, one.lun, one.read_only, one.default) for one in found] == [
        ("data1", WEB, 1, False, False),
        ("data2", "all other hosts", 5, True, True),
    ]
    seen = dothill_rules.observe({}, found, {})
    assert {str(address) for address in seen} == {f"export/data1:{WEB}"}


@pytest.mark.parametrize(
    ("given", "held"), [(1, 4), (4 * MIB, 4), (4 * MIB + 1, 8), ("10GB", 9540), ("1TiB", 1048576)]
)
def test_sizes_are_whole_pages_and_never_less(given: str | int, held: int) -> None:
    volume = dothill_rules.canonical(Volume(name="v", size=given))
    assert isinstance(volume, Volume)
    assert volume.size == held * MIB


@pytest.mark.parametrize("iqn", [WEB, "iqn.2026-11.example", "iqn.2026-11.a:" + "x.y" * 40])
def test_nicknames_are_legal_and_one_s_own(iqn: str) -> None:
    name = dothill_rules.nickname(iqn)
    assert len(name.encode()) <= 32
    assert not set(name) & set('",.<\\')
    assert name != dothill_rules.nickname(iqn + "2")


@pytest.mark.parametrize(
    ("where", "reads"),
    [
        ("/api/show/volumes", True),
        ("/api/show/maps", True),
        ("/api/exit", True),
        ("/api/login/" + "0a" * 32, True),
        ("/api/delete/volumes/show", False),
        ("/api/exit/delete", False),
        ("/api/login/x", False),
        ("/api/show", False),
        ("/api/showx/volumes", False),
        ("/api/set/prompt/show", False),
        ("/", False),
    ],
)
def test_what_reads(where: str, reads: bool) -> None:
    assert is_reading("GET", where) == reads
    assert not is_reading("POST", where)


def test_each_word_of_a_command_is_one_segment() -> None:
    assert path("map", "volume", "a/../b?c#d e") == "/api/map/volume/a%2F..%2Fb%3Fc%23d%20e"


@pytest.fixture
def array() -> Iterator[Sim]:
    with Sim(DotHillOptions(password=PASSWORD, linear=("L",))) as found:
        found.device.put("data1", 64 * MIB)
        yield found


def options(array: Sim, **more: Any) -> dict[str, Any]:
    plain = {"url": array.server.url, "fingerprint": array.server.fingerprint}
    return {**plain, "username": "rack", "password": PASSWORD, "timeout": 5, **more}


def session(array: Sim, *, writable: bool = True, **more: Any) -> Any:
    around = Surroundings(state=Path("/nonexistent"), writable=writable)
    return DotHill().open(Way(transport="http", options=options(array, **more)), around)


def read(found: DotHillReader) -> dict[str, Any]:
    wanted = Wanted(frozenset({Volume, Export, Chap}), {})
    return {str(key): one for key, one in DotHill().read(found, wanted).items()}


def step(kind: type[dothill_steps.DotHillStep], **more: Any) -> Any:
    return kind(addresses=(), text="", **more)


def test_a_reader_sends_nothing_that_writes(array: Sim) -> None:
    with closing(session(array, writable=False)) as found:
        assert not isinstance(found, DotHillWriter)
        asked = array.counters.requests
        for where in ("/api/delete/volumes/data1", "/api/create/volume/pool/A/size/4MiB/x"):
            with pytest.raises(Permanent, match="is not reading"):
                found._http.get(where)
        assert array.counters.requests == asked
        assert found.alive()
    assert array.device.sessions == set()


def test_wrong_credentials_are_said_without_them(
    array: Sim, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(Unauthorized, match="credentials of 'rack'") as error:
        session(array, password="wr0ng-of-the-array")
    for name in ("sha256", "md5"):
        hashed = hashlib.new(name, b"rack_wr0ng-of-the-array").hexdigest()
        assert hashed not in f"{error.value}{caplog.text}"
    assert array.counters.requests == 2


def test_a_recording_holds_neither_the_hash_nor_the_session_s_key(array: Sim) -> None:
    recorder = recording.Recording()
    around = Surroundings(state=Path("/nonexistent"), recorder=recorder)
    way = Way(transport="http", options=options(array))
    with closing(DotHill().open(way, around)) as found:
        found.show("volumes")
        (key,) = array.device.sessions
    body = recorder.redacted("dut", "dothill", way, [PASSWORD], "2026-01-01").decode()
    assert "/api/login/" in body
    for secret in (key, hashlib.sha256(f"rack_{PASSWORD}".encode()).hexdigest(), PASSWORD):
        assert secret not in body


def test_it_is_told_by_its_page(array: Sim) -> None:
    way = Way(transport="http", options=options(array))
    found = identify(way, Surroundings(state=Path("/nonexistent")))
    assert found.platform == "dothill"


def test_the_older_hash_is_sent_only_where_the_newer_was_refused(array: Sim) -> None:
    with closing(session(array)):
        assert array.counters.requests == 1


def test_old_firmware_converges_and_gives_back_what_was_made(tmp_path: Path) -> None:
    case = cases()["dothill"]
    with dothill(DotHillOptions(password=PASSWORD, hash="md5", xml=True)) as rig:
        before = rig.state()
        delegate = Delegate(case, rig, "http", tmp_path)
        first = delegate.run(case.declare)
        assert set(states(first).values()) == {"changed"}, told(first)
        writes = rig.writes()
        assert set(states(delegate.run(case.declare)).values()) == {"in_sync"}
        assert rig.writes() == writes
        gone = [
            {**dict([next(iter(item.items()))]), "ensure": "absent", "destroy": True}
            for item in case.declare
        ]
        last = delegate.run(gone)
        assert set(states(last).values()) == {"removed"}, told(last)
        assert rig.state() == before


def test_a_session_that_the_array_has_forgotten_is_renewed_once(array: Sim) -> None:
    with closing(session(array)) as found:
        array.device.sessions.clear()
        assert found.show("system").success
        array.device.sessions.clear()
        step(dothill_steps.GrowVolume, name="data1", size=80 * MIB).apply(found)
        array.device.sessions.clear()
        found.run("expand", "volume", "size", f"{4 * MIB}B", "data1")
        assert array.device.data["volumes"]["data1"]["size"] == 84 * MIB
        asked = array.counters.requests
        forget(array)
        with pytest.raises(Permanent, match="-10027"):
            found.show("system")
        assert array.counters.requests == asked + 3


def forget(array: Sim) -> None:
    """From now on every session is forgotten at once."""

    class Nothing(set[str]):
        def add(self, _: str) -> None:
            pass

    array.device.sessions = Nothing()


def test_a_volume_grows_by_what_it_lacks_now(array: Sim) -> None:
    volume = array.device.data["volumes"]["data1"]
    grow = step(dothill_steps.GrowVolume, name="data1", size=128 * MIB)
    with closing(session(array)) as found:
        volume["size"] = 100 * MIB  # somebody was faster
        grow.apply(found)
        assert volume["size"] == 128 * MIB
        writes = array.counters.writes
        grow.apply(found)
        volume["size"] = 132 * MIB
        with pytest.raises(Rejected, match="has 132 MiB by now"):
            grow.apply(found)
        assert array.counters.writes == writes


def test_a_growth_that_was_cut_off_is_not_made_twice(array: Sim) -> None:
    volume = array.device.data["volumes"]["data1"]
    grow = step(dothill_steps.GrowVolume, name="data1", size=128 * MIB)
    array.faults = Faults(drop_after=1)
    with closing(session(array)) as found, pytest.raises(Unreachable):
        grow.apply(found)
    assert volume["size"] == 128 * MIB
    array.faults = Faults()
    with closing(session(array)) as found:
        grow.apply(found)
    assert volume["size"] == 128 * MIB


def test_a_volume_that_is_shown_is_not_deleted(array: Sim) -> None:
    array.device.see(WEB)
    delete = step(dothill_steps.DeleteVolume, name="data1")
    with closing(session(array)) as found:
        found.run("map", "volume", "access", "rw", "lun", "1", "initiator", WEB, "data1")
        with pytest.raises(Rejected, match=f"shown to {WEB}"):
            delete.apply(found)
        found.run("unmap", "volume", "initiator", WEB, "data1")
        delete.apply(found)
        delete.apply(found)
    assert array.device.data["volumes"] == {}


@pytest.mark.parametrize(("pool", "thin", "why"), [
    ("A", False, "volumes are thin"), ("L", True, "none is thin"), ("C", None, "no pool C"),
    ("A", True, ""), ("L", False, ""), ("L", None, ""),
])  # fmt: skip
def test_volumes_are_made_only_where_they_can_be_as_declared(
    array: Sim, pool: str, thin: bool | None, why: str
) -> None:
    create = step(dothill_steps.CreateVolume, name="new", size=8 * MIB, pool=pool, thin=thin)
    with closing(session(array)) as found:
        if why:
            with pytest.raises(Rejected, match=why):
                create.apply(found)
            assert array.counters.writes == 0
        else:
            create.apply(found)
            assert read(found)["volume/new"].thin == (pool == "A")
            with pytest.raises(Rejected, match="-10186"):
                create.apply(found)


def test_a_lun_that_nobody_declared_is_the_first_that_is_free(array: Sim) -> None:
    for name in ("data2", "data3"):
        array.device.put(name, 8 * MIB)
    array.device.see(WEB)
    with closing(session(array)) as found:
        found.run("map", "volume", "access", "rw", "lun", "1", "initiator", WEB, "data2")
        put = step(dothill_steps.PutExport, volume="data1", initiator=WEB, lun=None, read_only=None)
        put.apply(found)
        put.apply(found)
        seen = read(found)[f"export/data1:{WEB}"]
        assert (seen.lun, seen.read_only) == (2, False)
        taken = step(dothill_steps.PutExport, volume="data3", initiator=WEB, lun=2, read_only=None)
        with pytest.raises(Rejected, match="-3177"):
            taken.apply(found)
        assert f"export/data3:{WEB}" not in read(found)


def test_an_initiator_that_the_array_never_saw_is_told_to_it_and_forgotten(array: Sim) -> None:
    array.device.see(DB, "kept")
    with closing(session(array)) as found:
        for iqn in (WEB, DB):
            put = step(
                dothill_steps.PutExport, volume="data1", initiator=iqn, lun=1, read_only=True
            )
            put.apply(found)
        assert set(array.device.data["initiators"]) == {WEB, DB}
        for iqn in (WEB, DB):
            step(dothill_steps.DeleteExport, volume="data1", initiator=iqn).apply(found)
    assert set(array.device.data["initiators"]) == {DB}
    assert array.device.data["maps"] == []


def test_a_secret_in_a_path_is_in_no_error_and_no_log(
    array: Sim, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    put = step(dothill_steps.PutChap, name=WEB, password=SECRET)
    with closing(session(array)) as found:
        array.faults = Faults(reject_only="chap-record")
        with pytest.raises(Rejected, match=r"create chap-record .* secret \*+") as refused:
            put.apply(found)
        array.faults = Faults(drop_before=0)
        with pytest.raises(Unreachable) as lost:
            put.apply(found)
        assert SECRET not in f"{refused.value}{lost.value}{caplog.text}"
        array.faults = Faults()
        put.apply(found)
        assert read(found)[f"chap/{WEB}"].password == SECRET
        step(dothill_steps.PutChap, name=WEB, password=SECRET[::-1]).apply(found)
        assert array.device.data["chap"] == {WEB: SECRET[::-1]}
    assert SECRET not in caplog.text
    assert "/api/show/volumes" in caplog.text


def test_who_is_logged_in_is_a_link(array: Sim) -> None:
    array.device.see(WEB)
    array.device.see(DB, ports=0)  # was there once
    with closing(session(array, writable=False)) as found:
        facts = DotHill().discover(found)
    port = "iqn.2015-11.com.hpe:storage.msa2050.2026dd0001"
    assert facts.links == (FoundLink(port=port, peer=WEB, how="iqn"),)
    assert facts.values["pools"]["A"] == {"size": 2**48, "free": 2**48 - 2**30}
    assert facts.values["volumes"] == {"data1": {"size": 64 * MIB, "pool": "A"}}
    assert (facts.values["vendor"], facts.values["firmware"]) == ("HPE", "VLS270P001")


def test_what_is_not_understood_is_not_acted_on(array: Sim) -> None:
    with closing(session(array)) as found:
        array.faults = Faults(garbage=True)
        with pytest.raises(Temporary, match="makes no sense"):
            read(found)
        array.faults = Faults(hang=True)
    with pytest.raises(Unreachable):
        session(array, timeout=0.2)


def test_it_is_simulated_for_a_site_and_remembers(tmp_path: Path) -> None:
    given = {"url": "https://127.0.0.1:0", "username": "rack", "password": "s3cret"}
    node = SimNode("msa-a", "dothill", (SimWay("http", given),))
    for made in (False, True):
        with start_for_site([node], state=tmp_path) as farm:
            (end,) = farm.endpoints
            found = {**given, "url": f"https://{end.address}", "fingerprint": end.host_key}
            around = Surroundings(state=tmp_path, writable=True)
            with closing(DotHill().open(Way(transport="http", options=found), around)) as opened:
                assert ("volume/data1" in read(opened)) == made
                if not made:
                    opened.run("create", "volume", "pool", "A", "size", "8MiB", "data1")
