"""The provider: what it imports, refuses, joins and keeps in order; and with the engine around it."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from rackwright.engine.converge import Job
from rackwright.engine.converge import converge as run
from rackwright.engine.ledger import LedgerFile
from rackwright.model.bundle import Bundle, Declared, Gates, Origin
from rackwright.model.change import Change, Wanted
from rackwright.model.errors import Permanent
from rackwright.model.report import Report
from rackwright.model.resource import Resource, digest, to_data
from rackwright.model.site import Node, Way
from rackwright.provider import Surroundings
from rackwright_providers.server.account_resources import User
from rackwright_providers.server.file_resources import Directory, File, LineInFile, Symlink
from rackwright_providers.server.linux import Linux
from rackwright_providers.server.network_resources import HostEntry, Interface
from rackwright_providers.server.software_resources import Cron, Exec, Package, Service
from rackwright_providers.transport.local import Host, Reader
from tests.server.converging import LOCAL

WIDE = """
import sys, tempfile
from pathlib import Path
from rackwright.model.change import Wanted
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.server.linux import Linux
from rackwright_providers.server.account_resources import User
from rackwright_providers.server.file_resources import Directory, File
wanted = [File(name="/etc/passwd"), Directory(name="/etc"), User(name="root")]
linux = Linux()
session = linux.open(Way(transport="local", options={}), Surroundings(state=Path("/nowhere")))
found = linux.read(session, Wanted(frozenset(), {one.address: one for one in wanted}))
linux.carriers(session, found)
assert len(found) == 3
print(" ".join(sorted(sys.modules)))
"""


def test_only_what_a_run_needs_is_imported() -> None:
    told = subprocess.check_output([sys.executable, "-c", WIDE], text=True).split()
    for heavy in ("pyroute2", "psutil", "distro", "asyncssh", "netmiko", "pysnmp", "requests"):
        assert heavy not in told
    for handler in ("network", "packages", "services", "cron", "discovery"):
        assert f"rackwright_providers.server.{handler}" not in told


def test_the_type_of_the_session_says_whether_it_writes(tmp_path: Path) -> None:
    linux = Linux()
    with closing(linux.open(LOCAL, Surroundings(state=tmp_path, root=tmp_path))) as session:
        assert type(session) is Reader
        assert session.via == f"local under {tmp_path}"
        with pytest.raises(Permanent, match="this session cannot write"):
            linux.commit(session, [])
    around = Surroundings(state=tmp_path, writable=True)
    with closing(linux.open(LOCAL, around)) as session:
        assert type(session) is Host
        assert session.via == "local"
        assert session.alive()
    with pytest.raises(Permanent, match="not by ssh"):
        linux.open(Way(transport="ssh", options={}), around)


def test_neighbouring_packages_are_one_step_and_the_order_is_kept() -> None:
    def create(one: Resource) -> Change:
        return Change("create", one.address, None, one)

    gone = Package(name="c")
    changes = [
        create(Package(name="a")),
        create(Package(name="b", version="2")),
        create(File(name="/x")),
        create(Package(name="d")),
        Change("remove", gone.address, gone),
        Change("release", Package(name="e").address),
    ]
    steps = Linux().render(changes, {})
    assert [step.text for step in steps] == [
        "install a b=2",
        "write /x",
        "install d",
        "remove c",
    ]
    assert [str(address) for address in steps[0].addresses] == ["package/a", "package/b"]


def test_a_notification_must_mean_something() -> None:
    file = File(name="/x")
    with pytest.raises(Permanent, match="file//x has nothing to restart or to reload"):
        Linux().render([Change("notify", file.address, file, file)], {})


def test_between_two_steps_it_leaves_when_told_to(tmp_path: Path) -> None:
    stop, linux = threading.Event(), Linux()
    stop.set()
    around = Surroundings(state=tmp_path, root=tmp_path, writable=True, stop=stop)
    files = [File(name="/a"), File(name="/b")]
    changes = [Change("create", file.address, None, file) for file in files]
    with closing(linux.open(LOCAL, around)) as session:
        with pytest.raises(Permanent, match="told to leave"):
            linux.commit(session, linux.render(changes, {}))
        assert not linux.save(session)
    assert (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()


def test_one_that_cannot_be_read_hinders_no_other(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "plain").write_text("x")
    linux = Linux()
    wanted: list[Resource] = [
        File(name="/loop/x", content="x"),
        Directory(name="/plain/x"),
        Symlink(name="/plain/y", target="z"),
        LineInFile(name="l", path="/loop/y", line="x"),
        Service(name="ssh"),
        User(name="root"),
        File(name="/plain", content="x"),
    ]
    with closing(linux.open(LOCAL, Surroundings(state=tmp_path, root=tmp_path))) as session:
        found = linux.read(session, Wanted(frozenset(), {one.address: one for one in wanted}))
        assert [str(address) for address in found] == ["file//plain"]
        assert linux.carriers(session, {Interface(name="e").address: Interface(name="e")}) == ()


def engine(
    root: Path,
    *resources: Resource,
    why_run: bool = False,
    state: Path | None = None,
    notifies: tuple[str, ...] = (),
) -> Report:
    """One converge by the engine. Files notify ``notifies``."""
    bundle = Bundle(
        node=Node(name="web1", type="server", platform="linux"),
        revision="r",
        resources=tuple(
            Declared(
                type=one.kind,
                data=to_data(one),
                digest=digest(one.kind, to_data(one)),
                origin=Origin(file="site.yaml", line=number),
                notifies=notifies if isinstance(one, File) else (),
            )
            for number, one in enumerate(resources, 1)
        ),
    )
    state = state or root.parent / "state"
    state.mkdir(exist_ok=True)
    linux = Linux()
    around = Surroundings(state=state, root=root, writable=not why_run)
    with closing(linux.open(LOCAL, around)) as session:
        job = Job(bundle=bundle, gates=Gates(), secrets={}, why_run=why_run)
        return run(job, linux, session, LedgerFile(state / "ledger.json"))


def test_with_the_engine(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc/cron.d").mkdir(parents=True)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (root / "etc/motd").write_text("was here before\n")
    wanted: list[Resource] = [
        File(name="/srv/www/index.html", content="hi", mode="640"),
        Directory(name="/srv/www"),
        Directory(name="/srv"),
        File(name="/etc/motd", content="welcome\n"),
        HostEntry(name="10.0.0.9", hostnames=("store",)),
        LineInFile(name="l", path="/etc/conf", line="x=1"),
        Cron(name="job", schedule="@daily", command="true"),
        Symlink(name="/www", target="srv/www"),
    ]
    planned = engine(root, *wanted, why_run=True)
    assert planned.count("changed") == len(wanted)
    assert not (root / "srv").exists()

    first = engine(root, *wanted)
    assert [one.state for one in first.outcomes] == ["changed"] * len(wanted), first.outcomes
    again = engine(root, *wanted)
    assert [one.state for one in again.outcomes] == ["in_sync"] * len(wanted)

    (root / "srv/www/theirs").write_text("not ours")
    last = engine(root)
    states = {one.address: (one.state, one.why) for one in last.outcomes}
    assert states["directory//srv/www"][0] == "refused"
    assert states["directory//srv/www"][1].startswith("1 entry in /srv/www")
    assert states["directory//srv"][0] == "blocked"
    assert states["file//etc/motd"][0] == "released"
    for gone in ("file//srv/www/index.html", "cron/job", "symlink//www", "line_in_file/l"):
        assert states[gone][0] == "removed", gone
    assert (root / "srv/www/theirs").read_text() == "not ours"
    assert (root / "etc/motd").read_text() == "welcome\n"
    assert (root / "etc/hosts").read_text() == "127.0.0.1 localhost\n"
    (root / "srv/www/theirs").unlink()
    assert {one.state for one in engine(root).outcomes} == {"removed"}
    assert not (root / "srv").exists()


def test_with_the_engine_one_failure_is_one_failure(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc/motd").mkdir(parents=True)
    report = engine(
        root,
        File(name="/etc/motd", content="x"),
        File(name="/etc/other", content="x"),
        Service(name="ssh", state="running"),
        Exec(name="x", command="true", creates="/x"),
    )
    states = {one.address: (one.state, one.why) for one in report.outcomes}
    assert states["file//etc/motd"] == ("failed", "/etc/motd is a directory, not a regular file")
    assert states["file//etc/other"][0] == "changed"
    assert states["service/ssh"][0] == "refused"
    assert states["service/ssh"][1] == f"service changes the running system, which {root} is not"
    assert states["exec/x"][0] == "refused"


def test_with_the_engine_a_changed_file_runs_what_it_notifies(tmp_path: Path) -> None:
    work = Exec(name="rebuild", command=f"echo again >> {tmp_path}/log", unless="true")
    once = Exec(name="once", command=f"touch {tmp_path}/made", creates=f"{tmp_path}/made")

    def go(content: str) -> list[str]:
        file = File(name=f"{tmp_path}/conf", content=content)
        notifies = ("exec/rebuild",)
        report = engine(Path("/"), file, work, once, state=tmp_path / "s", notifies=notifies)
        assert report.exit_code == 0, report
        return [one.address for one in report.outcomes if one.state == "changed"]

    assert go("1") == [f"file/{tmp_path}/conf", "exec/once"]
    assert go("1") == []
    assert go("2") == [f"file/{tmp_path}/conf"]
    assert (tmp_path / "log").read_text() == "again\nagain\n"
