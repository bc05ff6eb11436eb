"""What tgt's commands print, and the files that tgt-admin reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rackwright.model.address import Address
from rackwright.model.facts import FoundLink
from rackwright.model.resource import Resource
from rackwright_providers.san import tgt_conf, tgt_observe, tgt_show
from rackwright_providers.san.resources import Chap, Export, Target, Volume
from rackwright_providers.san.tgt_show import Backing, LiveTarget, Lun, Nexus, State

SAMPLE = (Path(__file__).parent / "samples" / "tgtadm_target.txt").read_text()
T1 = "iqn.2026-11.example:disk1"
WEB, DB = "iqn.2026-11.example:init-web", "iqn.2026-11.example:init-db"
DATA1 = "/srv/tgt/data1.img"


def test_targets() -> None:
    found = tgt_show.targets(SAMPLE)
    assert list(found) == [T1, "iqn.2026-11.else:empty"]
    assert found[T1] == LiveTarget(
        tid=1,
        iqn=T1,
        luns=(
            Lun(1, DATA1, "rdwr", True, "67 MB", "0123456789abcdef", "0123"),
            Lun(16383, "/dev/vg0/scratch", "aio", False, "1099512 MB", "IET     00013fff", "beaf116383"),
        ),
        sessions=(Nexus(4, WEB, (0,)), Nexus(9, DB, (0, 1))),
        accounts=("web",),
        outgoing="back",
        initiators=(WEB, DB),
        addresses=("ALL", "10.0.0.0/24"),
    )  # fmt: skip
    assert found["iqn.2026-11.else:empty"] == LiveTarget(20, "iqn.2026-11.else:empty")
    assert State(targets=found).next_tid == 21


def test_nothing_there() -> None:
    assert tgt_show.targets("") == {}
    assert State().next_tid == 1
    assert tgt_show.accounts("Account list:\n    web\n    db\n") == {"web", "db"}
    assert tgt_show.accounts("") == frozenset()
    assert tgt_show.files(b"") == {}
    assert tgt_show.backings("") == ()
    assert tgt_show.backings("1 2 /srv/tgt/a\n.img\n3 4 /srv/tgt/a b.img\n") == (
        Backing("/srv/tgt/a b.img", 3, 2048),
    )


def test_cut_off_at_every_character_it_is_still_parsed() -> None:
    for end in range(len(SAMPLE)):
        tgt_show.targets(SAMPLE[:end])


@pytest.mark.parametrize(
    ("size", "shown"), [(2**20, "1 MB"), (2**26, "67 MB"), (2**27, "134 MB"), (2**40, "1099512 MB")]
)
def test_sizes_as_tgtd_shows_them(size: int, shown: str) -> None:
    """As seen of tgtd 1.0.85."""
    assert tgt_show.shown_size(size) == shown


STAT = "tgt lun sid rd_subm(bytes,cmds) rd_done(bytes,cmds) wr_subm(bytes,cmds) wr_done(bytes,cmds) errs\n"


@pytest.mark.parametrize(
    ("line", "busy"),
    [
        ("  1   1   4   749   9   749   9   4096   1   4096   1    1", False),
        ("  1   1   4   749   9   749   8   4096   1   4096   1    1", True),
        ("  1   1   4   749   9   749   9   4096   2   4096   1    1", True),
        ("  1   2   4   749   9   749   8   4096   2   4096   1    1", False),
    ],
)
def test_idle(line: str, busy: bool) -> None:
    assert (tgt_show.idle(f"{STAT}{line}\n", 1) is None) == busy


LIVE = LiveTarget(
    tid=7,
    iqn=T1,
    luns=(Lun(2, DATA1, scsi_id="ab12", scsi_sn="ab", size="67 MB"),),
    initiators=(WEB,),
    accounts=("web",),
)
CONF = f"""\
# Written by Rackwright from what tgtd holds. What is changed here is lost.
<target {T1}>
    <backing-store {DATA1}>
        lun 2
        scsi_id ab12
        scsi_sn ab
    </backing-store>
    include /etc/tgt/conf.d/rackwright-chap-web.secret
    initiator-name {WEB}
    initiator-address 255.255.255.255
</target>
"""


def test_a_target_s_file() -> None:
    assert tgt_conf.target(LIVE) == CONF
    assert tgt_conf.saved_luns(CONF) == {DATA1: 2}
    assert tgt_conf.saved_accounts(CONF) == ("web",)


def test_nobody_is_let_in_by_address_however_few_are_by_name() -> None:
    """Without an initiator-address tgt-admin lets everybody in."""
    empty = LiveTarget(1, T1)
    assert "initiator-address 255.255.255.255" in tgt_conf.target(empty)


def test_lun_numbers_outlive_a_restart_and_not_an_export() -> None:
    bare = replace(LIVE, luns=())
    lost = tgt_conf.target(bare, CONF)
    assert f"# lun 2 was {DATA1}" in lost
    assert tgt_conf.saved_luns(lost) == {DATA1: 2}
    assert tgt_conf.target(bare, lost) == lost
    assert tgt_conf.target(LIVE, lost) == CONF
    assert tgt_conf.saved_luns(tgt_conf.target(bare, CONF, [DATA1])) == {}
    other = replace(LIVE, luns=(Lun(2, "/srv/tgt/other.img"),))
    assert tgt_conf.saved_luns(tgt_conf.target(other, CONF)) == {"/srv/tgt/other.img": 2}


FILES = {
    tgt_conf.ROOT: "include /etc/tgt/conf.d/*.conf\n",
    tgt_conf.path_of(T1): CONF,
    "/etc/tgt/conf.d/theirs.conf": f'<Target "iqn.x:y">\n  backing-store {DATA1}2\n</Target>\n',
}

SECRETS = {tgt_conf.secret_of("web"): tgt_conf.digest("web", "s3cret")}


def test_files() -> None:
    assert tgt_conf.ours(FILES) == {T1}
    assert tgt_conf.included(FILES)
    assert not tgt_conf.included({tgt_conf.ROOT: "# include /etc/tgt/conf.d/*.conf\n"})
    assert tgt_conf.elsewhere(FILES, "iqn.x:y") == "/etc/tgt/conf.d/theirs.conf"
    assert tgt_conf.elsewhere(FILES, T1) == ""
    assert tgt_conf.users_of(FILES, DATA1) == [tgt_conf.path_of(T1)]
    assert tgt_conf.users_of(FILES, f"{DATA1}2") == ["/etc/tgt/conf.d/theirs.conf"]
    assert tgt_conf.users_of({"x": f"# lun 2 was {DATA1}\n"}, DATA1) == []


@pytest.mark.parametrize(
    ("live", "why"),
    [
        (LIVE, ""),
        (replace(LIVE, accounts=("web", "other")), "declare chap/other"),
        (replace(LIVE, outgoing="back"), "proves itself as back"),
        (replace(LIVE, luns=(Lun(1, "/srv/a b.img"),)), "'/srv/a b.img'"),
    ],
)
def test_what_cannot_be_kept(live: LiveTarget, why: str) -> None:
    assert why in tgt_conf.unsavable(live, SECRETS)
    assert bool(why) == bool(tgt_conf.unsavable(live, SECRETS))


@pytest.mark.parametrize(
    ("live", "state"),
    [
        (LIVE, "ready"),
        (None, "down"),
        (replace(LIVE, addresses=("255.255.255.255",)), "ready"),
        (replace(LIVE, addresses=("ALL", "255.255.255.255")), "open to ALL"),
        (replace(LIVE, initiators=(WEB, DB)), "unsaved"),
        (replace(LIVE, luns=()), "unsaved"),
    ],
)
def test_what_is_wrong_with_a_target(live: LiveTarget | None, state: str) -> None:
    held = State(targets={T1: live} if live else {}, files=FILES)
    assert tgt_observe.trouble(held, T1) == state
    assert tgt_observe.trouble(State(targets={T1: LIVE}), T1) == "unsaved"


def observe(
    *backings: Backing, live: LiveTarget = LIVE, **wanted: Resource
) -> dict[Address, object]:
    state = State({T1: live}, frozenset({"web"}), FILES, SECRETS, backings)
    return dict(tgt_observe.observe(state, {one.address: one for one in wanted.values()}))


@pytest.mark.parametrize(
    ("allocated", "asked", "thin"),
    [(0, None, True), (4096, False, True), (2**26, None, False), (2**26, True, True)],
)
def test_a_thin_volume_that_was_filled_is_what_was_asked_for(
    allocated: int, asked: bool | None, thin: bool
) -> None:
    found = observe(Backing(DATA1, 2**26, allocated), wanted=Volume(name="data1", thin=asked))
    assert found[Address("volume", "data1")] == Volume(
        name="data1", size=2**26, thin=thin, pool="/srv/tgt"
    )


def test_a_volume_that_tgtd_has_not_seen_grow_has_not_grown() -> None:
    found = observe(Backing(DATA1, 2**27, 0))
    volume = found[Address("volume", "data1")]
    assert isinstance(volume, Volume)
    assert volume.size == 2**27 - 512


def test_of_two_of_one_name_the_declared_is_meant() -> None:
    two = Backing("/srv/tgt/d.img", 512, 512), Backing("/srv/ssd/d.img", 1024, 1024)
    for pool, size in (("/srv/tgt", 512), ("/srv/ssd", 1024)):
        found = observe(*two, wanted=Volume(name="d", pool=pool))
        assert getattr(found[Address("volume", "d")], "size", None) == size


def test_a_password_is_told_by_its_digest() -> None:
    for declared, known in (("s3cret", "s3cret"), ("other", None), (None, None)):
        found = observe(wanted=Chap(name="web", password=declared))
        assert found[Address("chap", "web")] == Chap(name="web", password=known)


def test_exports_and_facts() -> None:
    live = replace(LIVE, sessions=(Nexus(1, WEB, (0,)),), initiators=(WEB, DB))
    found = observe(live=live)
    exports = {one.name for one in found.values() if isinstance(one, Export)}
    assert exports == {f"data1:{WEB}", f"data1:{DB}"}
    assert found[Address("target", T1)] == Target(name=T1, chap="web", state="unsaved")
    state = State(targets={T1: live}, files=FILES, backings=(Backing(DATA1, 5, 0),))
    facts = tgt_observe.facts(state, {"/srv/tgt": (2**40, 2**30 + 5)}, "1.0.85")
    assert facts.links == (FoundLink(port=T1, peer=WEB, how="iqn"),)
    assert facts.values["pools"] == {"/srv/tgt": {"size": 2**40, "free": 2**30}}
    assert facts.values["targets"][T1]["luns"] == {"2": DATA1}
