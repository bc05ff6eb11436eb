"""Files, directories, links, lines, host entries and cron jobs under a root: a table of cases."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rackwright.model.errors import Permanent
from rackwright.model.resource import Resource, from_data
from rackwright_providers.server import files
from rackwright_providers.server.file_resources import Directory, File, LineInFile
from rackwright_providers.server.resources import NOUNS
from tests.server.converging import converge, look
from tests.tables import table

CASES: list[dict[str, Any]] = table(Path(__file__).parent / "data" / "files.yaml")
KINDS = {noun.kind: noun for noun in NOUNS}


def grow(root: Path, tree: dict[str, Any]) -> None:
    for path, what in tree.items():
        place = root / path[1:]
        if isinstance(what, str):
            what = {"text": what}
        place.parent.mkdir(parents=True, exist_ok=True)
        if "link" in what:
            place.symlink_to(what["link"])
        elif "dir" in what:
            place.mkdir()
            place.chmod(int(what["dir"], 8))
        else:
            place.write_bytes(what["text"].encode())
            place.chmod(int(what.get("mode", "0644"), 8))


def check(root: Path, tree: dict[str, Any]) -> None:
    for path, what in tree.items():
        place = root / path[1:]
        if what is None:
            assert not os.path.lexists(place), path
            continue
        if isinstance(what, str):
            what = {"text": what}
        if "link" in what:
            assert str(place.readlink()) == what["link"]
            continue
        mode = f"{stat.S_IMODE(place.lstat().st_mode):04o}"
        if "dir" in what:
            assert place.is_dir()
            assert mode == what["dir"]
        else:
            assert not place.is_symlink()
            assert place.read_bytes().decode() == what["text"]
            assert mode == what.get("mode", mode)


def declared(data: dict[str, Any]) -> Resource:
    return from_data(KINDS[data["type"]], {k: v for k, v in data.items() if k != "type"})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
@pytest.mark.proves(
    "linux",
    "file",
    "directory",
    "symlink",
    "line_in_file",
    "host_entry",
    "cron",
    over="local",
    on="real",
    by="the file system",
)
def test_case(case: dict[str, Any], tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    grow(root, case["before"])
    wanted = [declared(data) for data in case["declare"]]
    if "fails" in case:
        with pytest.raises(Permanent) as raised:
            converge(root, *wanted)
        assert case["fails"] in str(raised.value)
        check(root, case["after"])
        return
    assert converge(root, *wanted) == case["steps"]
    check(root, case["after"])
    assert look(root, *wanted) == []
    assert converge(root, *wanted) == []
    assert not list(root.rglob("*.rackwright-new"))


def test_bytes_that_are_no_text_survive_an_edit(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "conf").write_bytes(b"\xff\xfe=1\nx=1\n")
    converge(root, LineInFile(name="x", path="/conf", line="x=2", match="^x="))
    assert (root / "conf").read_bytes() == b"\xff\xfe=1\nx=2\n"
    (change,) = look(root, LineInFile(name="y", path="/conf", line="y", match="=1$"))
    msgspec.json.encode(change.before)


def test_binary_content_is_shown_as_such_and_replaced(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "blob").write_bytes(b"\x80" * 10)
    file = File(name="/blob", content="text")
    (change,) = look(root, file)
    assert change.fields[0].old.startswith("‹10 bytes that are not UTF-8, SHA-256 ")
    converge(root, file)
    assert (root / "blob").read_text() == "text"


def test_the_guard_hears_what_a_directory_holds(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "srv").mkdir(parents=True)
    for name in ("ours", "theirs"):
        (root / "srv" / name).write_text("x")
    gone = Directory(name="/srv", ensure="absent")
    ours = File(name="/srv/ours", ensure="absent")
    change = look(root, ours, gone)[1]
    assert gone.loses(change.before) == "1 entry in /srv"  # type: ignore[arg-type]
    assert converge(root, ours, gone)[1] == "remove /srv and everything in it"
    assert not (root / "srv").exists()


def test_nobody_counts_a_million_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "COUNTED", 3)
    for number in range(9):
        (tmp_path / str(number)).touch()
    ours = [File(name=f"/{number}") for number in range(4)]
    everything = Directory(name="/", ensure="absent")
    (*_, change) = look(tmp_path, *ours, everything)
    assert isinstance(change.before, Directory)
    assert change.before.holds == 3


def test_a_directory_that_filled_up_meanwhile_is_not_emptied(tmp_path: Path) -> None:
    from rackwright_providers.server.files import RemoveDirectory
    from rackwright_providers.transport.local import Host

    root = tmp_path / "root"
    (root / "srv").mkdir(parents=True)
    (root / "srv" / "late").write_text("x")
    step = RemoveDirectory(addresses=(), text="", path="/srv", whole=False)
    with pytest.raises(Permanent, match="not empty"):
        step.apply(Host(root))
    assert (root / "srv" / "late").exists()


def test_backups_are_kept_and_limited(tmp_path: Path) -> None:
    root, state = tmp_path / "root", tmp_path / "state"
    (root / "etc").mkdir(parents=True)
    for number in range(8):
        converge(root, File(name="/etc/motd", content=f"version {number}"), state=state)
    kept = sorted((state / "backups" / "etc").iterdir())
    assert [one.read_text() for one in kept] == [f"version {number}" for number in range(2, 7)]
    assert {stat.S_IMODE(one.stat().st_mode) for one in kept} == {0o600}
    converge(root, File(name="/etc/motd", content="no copy", backup=False), state=state)
    assert len(list((state / "backups" / "etc").iterdir())) == 5
    converge(root, File(name="/etc/motd", ensure="absent"), state=state)
    assert sorted((state / "backups" / "etc").iterdir())[-1].read_text() == "no copy"


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (KINDS["service"](name="ssh"), "service changes the running system, which "),
        (KINDS["package"](name="hello"), "package changes the running system"),
        (KINDS["user"](name="bob"), "user changes the running system"),
        (KINDS["exec"](name="x", command="true", creates="/x"), "exec changes the running system"),  # type: ignore[call-arg]
    ],
)
def test_what_needs_the_running_system_is_refused_under_a_root(
    wanted: Resource, why: str, tmp_path: Path
) -> None:
    with pytest.raises(Permanent, match=why):
        look(tmp_path, wanted)


def test_an_owner_is_looked_up_under_the_root(tmp_path: Path) -> None:
    me, group = os.geteuid(), os.getegid()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(f"robot:x:{me}:{group}::/:/bin/sh\n")
    (tmp_path / "etc/group").write_text(f"robots:x:{group}:\n")
    file = File(name="/etc/x", content="x", owner="robot", group="robots")
    assert converge(tmp_path, file) == ["write /etc/x, owner robot group robots"]
    assert look(tmp_path, file) == []
    assert look(tmp_path, File(name="/etc/x", owner=str(me), group=str(group))) == []
    assert look(tmp_path, File(name="/etc/x", owner="12345"))[0].fields[0].old == "robot"
    with pytest.raises(Permanent, match=f"there is no user 'nobody' in {tmp_path}/etc/passwd"):
        converge(tmp_path, File(name="/etc/y", owner="nobody"))
    assert not (tmp_path / "etc/y").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may give files away")
def test_who_may_not_give_a_file_away_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="only root can give a file to user 0"):
        converge(tmp_path, File(name="/x", content="x", owner="0"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
def test_owners_are_set_and_kept(tmp_path: Path) -> None:
    file = File(name="/x", content="1", owner="12", group="34", mode="4750")
    converge(tmp_path, file)
    found = (tmp_path / "x").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12, 34, 0o4750)
    converge(tmp_path, File(name="/x", content="2"))
    found = (tmp_path / "x").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12, 34, 0o4750)
    converge(tmp_path, File(name="/x", owner="13"))
    assert (tmp_path / "x").stat().st_uid == 13
