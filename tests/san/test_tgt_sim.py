"""The simulated tgt host held beside tgtd itself, and started for a site."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest

from rackwright.model.change import Wanted
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.san.resources import Volume
from rackwright_providers.san.tgt import Tgt
from rackwright_sim.run import SimNode, SimWay, start_for_site
from rackwright_sim.tgt import TgtHost as SimHost
from tests.real import parts
from tests.san import tgtd

IQN = "iqn.2026-11.example:disk1"
LUN = "--mode logicalunit --tid 2 --lun 3"
DIALOGUE = [
    "show --mode target",
    "show --mode account",
    f"new --mode target --tid 2 --targetname {IQN}",
    f"new --mode target --tid 2 --targetname {IQN}x",
    f"new --mode target --tid 4 --targetname {IQN}",
    "new --mode target --tid 5 --targetname iqn.2026-11.example:a_b",
    f"new {LUN} --backing-store /srv/tgt/none.img",
    f"new {LUN} --backing-store /srv/tgt/data1.img",
    f"new {LUN} --backing-store /srv/tgt/data1.img",
    f"update {LUN} --params scsi_id=0123456789abcdef,scsi_sn=0123,readonly=1",
    f"update {LUN} --params online=0,path=/srv/tgt/data1.img",
    "delete --mode logicalunit --tid 2 --lun 9",
    f"bind --mode target --tid 2 --initiator-name {IQN}",
    f"bind --mode target --tid 2 --initiator-name {IQN}",
    "bind --mode target --tid 2 --initiator-address ALL",
    "unbind --mode target --tid 2 --initiator-address 10.0.0.1",
    "bind --mode target --tid 9 --initiator-address ALL",
    "delete --mode account --user nobody",
    "show --mode target",
    f"delete {LUN}",
    "unbind --mode target --tid 2 --initiator-address ALL",
    "show --mode target",
    "delete --mode target --tid 2",
    "show --mode target",
]


@pytest.mark.root
@pytest.mark.apt
@pytest.mark.skipif(bool(tgtd.unable()), reason=tgtd.unable())
def test_it_answers_as_tgtd_does() -> None:
    sim = SimHost()
    sim.put_volume("/srv/tgt/data1.img", 2**23)
    with tgtd.tgt_host() as real:
        (real.srv / "tgt" / "data1.img").write_bytes(bytes(2**23))
        for words in DIALOGUE:
            reply = sim.run(f"tgtadm --lld iscsi --op {words}", b"")
            try:
                said = real.adm(*words.split())
            except parts.PartError as error:
                said = str(error).partition("tgtadm: ")[2]
                assert reply.status == 22, words
                assert reply.error.strip() == f"tgtadm: {said}", words
            else:
                assert (reply.status, reply.error) == (0, ""), words
                # tgtd says nothing at all where there is no account.
                assert reply.text.rstrip() in (said.rstrip(), "Account list:"), words


def test_it_is_started_for_a_site_and_remembers(tmp_path: Path) -> None:
    login = {"username": "root", "password": "staple"}
    way = SimWay("ssh", {"host": "127.0.0.1", "port": 0, **login})
    node = SimNode(name="san-a", platform="tgt", ways=(way,))
    wanted = Wanted(frozenset(Tgt.resources), {})
    tgt = Tgt()
    for made in (True, False):
        with start_for_site([node], state=tmp_path) as farm:
            host = farm.devices["san-a"]
            assert isinstance(host, SimHost)
            if made:
                host.put_volume("/srv/tgt/data1.img", 2**20)
            (row,) = farm.table()
            options = {"host": "127.0.0.1", "port": farm.port("san-a", "ssh"), **login}
            options["host_key"] = row["host_key"]
            session = tgt.open(
                Way(transport="ssh", options=options), Surroundings(state=tmp_path / "state")
            )
            with closing(session):
                (volume,) = tgt.read(session, wanted).values()
                assert volume == Volume(name="data1", size=2**20, thin=False, pool="/srv/tgt")
                facts = tgt.discover(session)
            assert facts.values["version"] == "1.0.85"
            assert re.fullmatch(r"\d+", str(facts.values["pools"]["/srv/tgt"]["free"]))
            assert host.counters.writes == 0
