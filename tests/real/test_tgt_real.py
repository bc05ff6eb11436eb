"""The tgt provider against tgtd itself over a real sshd, proven by initiators (libiscsi, qemu)."""

from __future__ import annotations

import contextlib
import re
import select
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.address import Address
from rackwright.model.bundle import Bundle
from rackwright.model.errors import Temporary
from rackwright.model.facts import Facts, FoundLink
from rackwright.model.report import Report
from rackwright.model.site import Link, Node
from rackwright_proposals.evidence import Found, judge
from rackwright_providers.san import tgt_session
from rackwright_providers.san.resources import Export, Target
from tests.conformance.converging import Delegate, states, told
from tests.conformance.rig import Case, Written
from tests.real import parts
from tests.san import tgtd

pytestmark = [
    pytest.mark.root,
    pytest.mark.apt,
    pytest.mark.skipif(bool(tgtd.unable()), reason=tgtd.unable()),
    pytest.mark.proves(
        "tgt", "volume", "target", "export", "chap", over="ssh", on="real", by="tgtd"
    ),
]

qemu = pytest.mark.skipif(bool(parts.missing("qemu-io")), reason=parts.missing("qemu-io"))

WEB, DB, EVIL = (f"iqn.2026-11.example:{name}" for name in ("init-web", "init-db", "init-evil"))
T1, T2 = "iqn.2026-11.example:disk1", "iqn.2026-11.example:disk2"
PASSWORD = "chap-s3cret-1"
MIB = 2**20

OPEN: list[Written] = [
    {"volume": "data1", "size": "8MiB", "thin": True},
    {"target": T1},
    {"export": f"data1:{WEB}", "target": T1},
]
GUARDED: list[Written] = [
    {"chap": "web", "password": {"secret": "chap-web"}},
    {"volume": "data2", "size": "4MiB"},
    {"target": T2, "chap": "web"},
    {"export": f"data2:{DB}", "target": T2, "read_only": True},
]


class Array:
    """tgtd and its delegate."""

    def __init__(self, host: tgtd.TgtHost, state: Path) -> None:
        self.host = host
        self.ways = {"ssh": host.way}
        self.secrets = {"chap-web": PASSWORD, "key": str(host.way.options["key"])}
        self.delegate = Delegate(Case(platform="tgt", declare=()), self, "ssh", state)

    def state(self) -> dict[str, Any]:
        return {"tgtd": self.host.adm("show", "--mode", "target")}

    def run(self, *written: Written, **more: Any) -> Report:
        return self.delegate.run(written, **more)

    def converge(self, *written: Written) -> dict[str, str]:
        """Make it so, and see that it is; what was done."""
        report = self.run(*written)
        assert report.exit_code == 0, told(report)
        again = self.run(*written)
        assert set(states(again).values()) == {"in_sync"}, told(again) or states(again)
        return states(report)


@pytest.fixture
def array(tmp_path: Path) -> Iterator[Array]:
    with tgtd.tgt_host() as host:
        yield Array(host, tmp_path)


@contextlib.contextmanager
def initiator(image: str) -> Iterator[Any]:
    """An initiator that stays logged in: a function that gives it one qemu-io command."""
    process = subprocess.Popen(
        ["qemu-io", "--image-opts", image],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdin
    assert process.stdout

    def until_prompt() -> str:
        said = b""
        while not said.endswith(b"qemu-io> "):
            assert select.select([process.stdout], [], [], 10)[0], said
            got = process.stdout.read1()  # type: ignore[union-attr]
            assert got, said
            said += got
        return said.decode().removesuffix("qemu-io> ")

    def ask(command: str) -> str:
        process.stdin.write(f"{command}\n".encode())  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        said = until_prompt()
        assert "failed" not in said, said
        assert "error" not in said, said
        return said

    try:
        until_prompt()
        yield ask
    finally:
        process.stdin.close()
        process.kill()
        process.wait(5)
        process.stdout.close()


def why(report: Report, address: str) -> str:
    """What was said of a resource."""
    (found,) = [outcome.why for outcome in report.outcomes if outcome.address == address]
    return found


def sessions(host: tgtd.TgtHost) -> list[str]:
    return re.findall(r"I_T nexus: (\d+)", host.adm("show", "--mode", "target"))


def test_a_volume_is_seen_only_by_whom_it_is_for(array: Array) -> None:
    array.converge(*OPEN, *GUARDED)
    host = array.host
    assert "Lun:1    Type:DIRECT_ACCESS (Size:7M)" in host.luns(WEB)
    assert T2 not in host.luns(WEB)
    assert host.luns(EVIL) == ""
    assert host.may_log_in(WEB, T1)
    assert not host.may_log_in(EVIL, T1)
    assert host.may_log_in(DB, T2, ("web", PASSWORD))
    assert not host.may_log_in(DB, T2, ("web", "wrong-passw0rd"))
    assert not host.may_log_in(DB, T2)
    assert not host.may_log_in(WEB, T2, ("web", PASSWORD))
    assert PASSWORD not in host.calls()
    assert (host.srv / "tgt" / "data1.img").stat().st_mode & 0o777 == 0o600
    kept = [path for path in host.etc.rglob("*") if path.is_file() and PASSWORD in path.read_text()]
    assert [path.stat().st_mode & 0o777 for path in kept] == [0o600]


def test_another_password_counts_from_then_on(array: Array) -> None:
    array.converge(*GUARDED)
    array.secrets["chap-web"] = "other-s3cret-2"
    assert array.converge(*GUARDED)["chap/web"] == "changed"
    assert array.host.may_log_in(DB, T2, ("web", "other-s3cret-2"))
    assert not array.host.may_log_in(DB, T2, ("web", PASSWORD))
    assert not array.host.may_log_in(DB, T2)


@qemu
def test_what_was_written_survives_and_no_session_is_cut(array: Array) -> None:
    array.converge(*OPEN)
    host = array.host
    with initiator(host.image(WEB, T1, 1)) as ask:
        ask("write -P 0x5a 0 1M")
        before = sessions(host)
        grown = [{"volume": "data1", "size": "16MiB", "thin": True}, *OPEN[1:]]
        more = [
            {"volume": "data3", "size": "1MiB"},
            {"export": f"data3:{WEB}", "target": T1},
            {"export": f"data3:{DB}", "target": T1},
            {"export": f"data1:{DB}", "target": T1},
        ]
        array.converge(*grown, *more)
        assert sessions(host) == before
        ask("read -P 0x5a 0 1M")
        ask("write -P 0xa5 7M 1M")
        thick = [{"volume": "data1", "size": "16MiB", "thin": False}, *OPEN[1:], *more]
        array.converge(*thick)
        assert sessions(host) == before
        ask("read -P 0xa5 7M 1M")
    assert host.size(WEB, T1, 1) == 16 * MIB
    host.io(WEB, T1, 1, "read -P 0x5a 0 1M", "read -P 0xa5 7M 1M", "read -P 0 8M 8M")
    host.io(WEB, T1, 1, "write -P 0x77 15M 1M", "read -P 0x77 15M 1M")
    host.io(DB, T1, 1, "read -P 0x5a 0 1M")


@qemu
def test_a_busy_lun_is_told_of_its_growth_when_it_is_idle(
    array: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    array.converge(*OPEN)
    host = array.host
    host.io(WEB, T1, 1, "write -P 0x5a 0 1M")
    tid = re.findall(r"Target (\d+)", host.adm("show", "--mode", "target"))[0]
    monkeypatch.setattr(tgt_session, "PATIENCE", 0.3)
    stir = tgt_session.tgt_show.idle
    monkeypatch.setattr(tgt_session.tgt_show, "idle", lambda _said, _lun: None)
    grown = [{"volume": "data1", "size": "16MiB", "thin": True}, *OPEN[1:]]
    busy = array.run(*grown)
    assert f"LUN 1 of target {tid} is busy" in why(busy, "volume/data1")
    assert host.size(WEB, T1, 1) == 8 * MIB
    monkeypatch.setattr(tgt_session.tgt_show, "idle", stir)
    array.converge(*grown)
    assert host.size(WEB, T1, 1) == 16 * MIB
    host.io(WEB, T1, 1, "read -P 0x5a 0 1M")


def test_a_growth_too_small_for_tgtd_to_show_is_told_too(array: Array) -> None:
    array.converge(*OPEN)
    grown: Written = {"volume": "data1", "size": 8 * MIB + 512, "thin": True}
    array.converge(grown, *OPEN[1:])
    assert array.host.size(WEB, T1, 1) == 8 * MIB + 512


@qemu
def test_a_restart_is_drift_that_the_next_run_mends(array: Array) -> None:
    host = array.host
    second: list[Written] = [
        {"volume": "data0", "size": "1MiB"},
        {"export": f"data0:{WEB}", "target": T1},
    ]
    array.converge(*OPEN, *GUARDED)
    array.converge(*OPEN, *GUARDED, *second)  # data0 comes later, so it is LUN 2
    host.io(WEB, T1, 1, "write -P 0x5a 0 1M")
    seen = re.sub(r"Target \d+|nexus.*", "", host.adm("show", "--mode", "target"))
    host.kill()
    with pytest.raises(Temporary, match="does it run"):
        array.delegate.provider.read(array.delegate.session(), _everything(array))
    host.start()
    assert host.luns(WEB) == ""
    drift = array.run(*second, *OPEN, *GUARDED, why_run=True)
    assert states(drift)[f"target/{T1}"] == "changed"
    assert host.luns(WEB) == ""
    did = array.converge(*second, *OPEN, *GUARDED)
    assert did[f"export/data1:{WEB}"] == "changed"
    assert did["volume/data1"] == "in_sync"
    assert _same(host.adm("show", "--mode", "target")) == _same(seen)
    host.io(WEB, T1, 1, "read -P 0x5a 0 1M")
    assert host.may_log_in(DB, T2, ("web", PASSWORD))
    assert not host.may_log_in(DB, T2)


def test_tgt_admin_brings_the_same_back_and_no_more(array: Array) -> None:
    """What systemd's unit does when tgtd starts. tgt-admin opens a target to ALL when it is given
    names only."""
    host = array.host
    array.converge(*OPEN, *GUARDED)
    seen = host.adm("show", "--mode", "target")
    host.kill()
    host.start()
    host.inside("tgt-admin", "-e", "-c", "/etc/tgt/targets.conf")
    assert _same(host.adm("show", "--mode", "target")) == _same(seen)
    assert host.luns(EVIL) == ""
    assert not host.may_log_in(EVIL, T1)
    assert not host.may_log_in(DB, T2)
    assert host.may_log_in(DB, T2, ("web", PASSWORD))
    again = array.run(*OPEN, *GUARDED)
    assert set(states(again).values()) == {"in_sync"}, told(again)


def _same(shown: str) -> list[str]:
    """Targets without what differs from one start to the next."""
    kept = re.sub(r"Target \d+|IET .*|beaf.*|nexus.*|255\.255\.255\.255", "", shown)
    return sorted(line.strip() for line in kept.splitlines() if line.strip())


def _everything(array: Array) -> Any:
    from rackwright.model.change import Wanted

    return Wanted(frozenset(array.delegate.provider.resources), {})


def test_what_is_not_ours_stays(array: Array) -> None:
    host = array.host
    (host.srv / "their.img").write_bytes(bytes(MIB))
    (host.srv / "tgt" / "their.img").write_bytes(b"theirs".ljust(MIB))
    host.adm("new", "--mode", "target", "--tid", "1", "-T", "iqn.2026-11.else:x")
    host.adm("new", "--mode", "logicalunit", "--tid", "1", "--lun", "1", "-b", "/srv/tgt/their.img")
    host.adm("bind", "--mode", "target", "--tid", "1", "-Q", EVIL)
    before = host.adm("show", "--mode", "target")
    array.converge(*OPEN, *GUARDED)
    assert host.adm("show", "--mode", "target").startswith(before)
    # Not even when it is asked for: another target shows it.
    gone = {"volume": "their", "ensure": "absent", "destroy": True}
    report = array.run(*OPEN, *GUARDED, gone)
    assert "iqn.2026-11.else:x shows /srv/tgt/their.img" in why(report, "volume/their")
    foreign = {"export": f"data1:{EVIL}", "target": "iqn.2026-11.else:x"}
    report = array.run(*OPEN, *GUARDED, foreign)
    assert "kept by somebody else" in why(report, f"export/data1:{EVIL}")
    purged = array.run(*OPEN, *GUARDED, purge=["export"])
    assert purged.exit_code == 0, told(purged)
    assert host.adm("show", "--mode", "target").startswith(before)


def test_a_target_gives_nobody_more_than_was_declared(array: Array) -> None:
    host = array.host
    array.converge(*OPEN)
    other = [{"volume": "data2", "size": "1MiB"}, {"export": f"data2:{DB}", "target": T1}]
    report = array.run(*OPEN, *other)
    assert states(report)[f"export/data2:{DB}"] == "refused"
    assert f"{DB} would see data1 too" in why(report, f"export/data2:{DB}")
    assert host.luns(DB) == ""
    # What is no volume counts as well.
    (host.srv / "their.raw").write_bytes(bytes(MIB))
    where = ("--mode", "logicalunit", "--tid", "1", "--lun", "9")
    host.adm("new", *where, "-b", "/srv/their.raw")
    report = array.run(*OPEN, other[0], {"export": f"data1:{DB}", "target": T1})
    assert f"{DB} would see /srv/their.raw too" in why(report, f"export/data1:{DB}")
    assert host.luns(DB) == ""
    host.adm("delete", *where)
    # Somebody opens it by hand: that is drift.
    host.adm("bind", "--mode", "target", "--tid", "1", "-I", "ALL")
    assert host.may_log_in(EVIL, T1)
    assert array.converge(*OPEN, other[0])[f"target/{T1}"] == "changed"
    assert not host.may_log_in(EVIL, T1)
    assert host.may_log_in(WEB, T1)


@qemu
def test_who_is_shut_out_is_logged_out_and_the_others_stay(array: Array) -> None:
    host = array.host
    array.converge(*OPEN, {"export": f"data1:{DB}", "target": T1})
    with initiator(host.image(WEB, T1, 1)) as web, initiator(host.image(DB, T1, 1)):
        (found,) = _links(array, WEB)
        assert found == FoundLink(port=T1, peer=WEB, how="iqn")
        kept = re.findall(
            rf"I_T nexus: (\d+)\n\s+Initiator: {WEB}", host.adm("show", "--mode", "target")
        )
        array.converge(*OPEN)
        assert sessions(host) == kept
        web("write -P 0x11 0 64k")
        web("read -P 0x11 0 64k")
        gone = [{**one, "ensure": "absent", "destroy": True} for one in OPEN[1:2]]
        report = array.run(*OPEN[:1], *gone, OPEN[2])
        assert states(report)[f"target/{T1}"] == "refused", told(report)
    assert host.may_log_in(WEB, T1)


def _links(array: Array, peer: str) -> list[FoundLink]:
    with closing(array.delegate.session(writable=False)) as session:
        facts = array.delegate.provider.discover(session)
    assert facts.values["volumes"]["data1"] == {"size": 8 * MIB, "pool": "/srv/tgt"}
    assert facts.values["pools"]["/srv/tgt"]["free"] > 0
    assert facts.values["version"]
    return [link for link in facts.links if link.peer == peer]


def test_an_account_beside_another_is_never_taken_away(array: Array) -> None:
    """tgtd 1.0.85 ends when it has to show a target whose first account was unbound before its
    second."""
    host = array.host
    array.converge(*GUARDED)
    host.adm("new", "--mode", "account", "--user", "extra", "--password", "extra-1234567")
    host.adm("bind", "--mode", "account", "--tid", "1", "--user", "extra")
    array.secrets["chap-web"] = "other-s3cret-2"
    report = array.run(*GUARDED)
    assert "does not survive" in why(report, "chap/web")
    assert states(report)[f"target/{T2}"] == "blocked"
    array.secrets["chap-web"] = PASSWORD
    assert array.converge(*GUARDED)[f"target/{T2}"] == "changed"
    shown = host.adm("show", "--mode", "target")
    assert re.findall(r"Account information:\n\s+(\S+)\n\s+ACL", shown) == ["web"]


def test_what_somebody_changed_by_hand_is_read(array: Array) -> None:
    array.converge(*OPEN)
    array.host.adm("delete", "--mode", "logicalunit", "--tid", "1", "--lun", "1")
    with closing(array.delegate.session(writable=False)) as session:
        seen = array.delegate.provider.read(session, _everything(array))
    assert seen[Address("target", T1)] == Target(name=T1, chap="none", state="unsaved")
    assert Address("export", f"data1:{WEB}") not in seen
    array.converge(*OPEN)
    with closing(array.delegate.session(writable=False)) as session:
        seen = array.delegate.provider.read(session, _everything(array))
    export = Export(name=f"data1:{WEB}", lun=1, read_only=False, target=T1)
    assert seen[export.address] == export


@qemu
def test_a_session_proves_the_link_that_it_is_and_no_other(array: Array) -> None:
    def judged(server: str) -> list[tuple[str, str, str]]:
        """The target is declared to lead to ``server``; web1 and db1 are who they are."""
        one = Link(port=T1, peer=server, peer_port="iscsi")
        other = Link(port="iscsi", peer="san-a1", peer_port=T1)
        nodes = [
            Node(name="san-a1", type="san", platform="tgt", links=(one,)),
            *(
                Node(name=name, type="server", platform="linux", links=(other,) * (name == server))
                for name in ("web1", "db1")
            ),
        ]
        names = {"web1": WEB, "db1": DB}
        found = {name: Found(Facts(values={"iscsi": {"initiator": iqn}}), 0.0) for name, iqn in names.items()}  # fmt: skip
        with closing(array.delegate.session(writable=False)) as session:
            found["san-a1"] = Found(array.delegate.provider.discover(session), 0.0)
        bundles = {node.name: Bundle(node=node, revision="r1") for node in nodes}
        states = judge(bundles, found, str)
        return [(one.peer, one.state, one.wrong[0]) for one in states]

    array.converge(*OPEN)
    assert judged("web1") == [("web1", "unseen", "")]
    with initiator(array.host.image(WEB, T1, 1)) as ask:
        ask("read 0 512")
        assert judged("web1") == [("web1", "proven", "")]
        assert judged("db1") == [
            ("db1", "contradicted", "web1 is seen there"),
            ("web1", "found", ""),
        ]
    parts.until(lambda: not sessions(array.host), 10.0, "the initiator has gone")
    assert judged("web1") == [("web1", "unseen", "")]
