"""The local transport: no way out of the root, nothing half-written, no way to write for a reader."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rackwright.model.errors import Permanent, Rejected
from rackwright_providers.transport.command import execute
from rackwright_providers.transport.local import PROBES, Host, Reader

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="other users' files need root to make")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A root beside a file that must stay out of reach."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("outside")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    return root


ESCAPES = [
    ("/link/secret", {"link": "../outside"}),
    ("/link/secret", {"link": "../../../../../../outside"}),
    ("/link/secret", {"link": "{out}"}),
    ("/a/b/secret", {"a": ".", "b": "{out}"}),
    ("/secret", {"secret": "{out}/secret"}),
    ("/secret", {"secret": "../outside/secret"}),
    ("/etc/../../outside/secret", {}),
    ("/../outside/secret", {}),
]


@pytest.mark.parametrize(("path", "links"), ESCAPES)
def test_no_link_leads_out_of_the_root(path: str, links: dict[str, str], tree: Path) -> None:
    out = tree.parent / "outside"
    for name, target in links.items():
        (tree / name).symlink_to(target.format(out=out))
    host = Host(tree)
    assert host.read_bytes(path) is None
    assert host.look(path) is None
    with pytest.raises(Permanent):
        host.write(path, b"written")
    with pytest.raises(Permanent):
        host.mkdir(f"{path}/new")
    with pytest.raises(Permanent):
        host.change(path, mode=0o777)
    assert [one.name for one in out.iterdir()] == ["secret"]
    assert (out / "secret").read_text() == "outside"


def test_links_inside_the_root_are_followed_as_chroot_would(tree: Path) -> None:
    (tree / "etc" / "real").write_text("inside")
    (tree / "absolute").symlink_to("/etc")
    (tree / "up").symlink_to("../../etc/../etc")
    host = Host(tree)
    assert host.read_bytes("/absolute/real") == b"inside"
    assert host.read_bytes("/up/real") == b"inside"
    host.write("/absolute/new", b"x")
    assert (tree / "etc" / "new").read_text() == "x"


def test_a_loop_of_links_is_an_error(tree: Path) -> None:
    (tree / "a").symlink_to("b")
    (tree / "b").symlink_to("a")
    with pytest.raises(Permanent, match="Too many levels of symbolic links"):
        Reader(tree).read_bytes("/a/x")


@pytest.mark.root
@root_only
@pytest.mark.parametrize("last", [True, False])
def test_another_users_link_leads_only_to_that_users_own(tree: Path, last: bool) -> None:
    home = tree / "home"
    home.mkdir()
    (tree / "etc" / "shadow").write_text("root's")
    (home / "link").symlink_to("/etc/shadow" if last else "/etc")
    for place in (home, home / "link"):
        os.chown(place, 4242, 4242, follow_symlinks=False)
    path = "/home/link" if last else "/home/link/shadow"
    host = Host(tree)
    for act in (host.read_bytes, host.look, lambda p: host.write(p, b"x")):
        with pytest.raises(Permanent, match="a symbolic link of another user"):
            act(path)
    assert (tree / "etc" / "shadow").read_text() == "root's"

    (home / "mine").mkdir()
    (home / "mine" / "shadow").write_text("bob's")
    (home / "link").unlink()
    (home / "link").symlink_to("mine/shadow" if last else "mine")
    for place in (home / "link", home / "mine", home / "mine" / "shadow"):
        os.chown(place, 4242, 4242, follow_symlinks=False)
    assert host.read_bytes(path) == b"bob's"


def test_a_reader_has_no_way_to_write(tree: Path) -> None:
    writers = {name for name in vars(Host) if not name.startswith("_")} - {"writable"}
    assert writers == {
        "backup", "write", "change", "mkdir", "symlink", "remove", "rmdir", "run",
    }  # fmt: skip
    assert not any(hasattr(Reader(tree), name) for name in writers)


@pytest.mark.parametrize(
    "argv",
    [["rm", "-rf", "/x"], ["systemctl", "stop", "x"], ["rpm", "-e", "x"], ["sh", "-c", "true"], []],
)
def test_a_reader_runs_nothing_but_probes(argv: list[str], tree: Path) -> None:
    with pytest.raises(Permanent, match="a reader does not run"):
        Reader(tree).probe(argv)
    assert all(PROBES)


def test_the_last_component_may_be_the_root_itself(tree: Path) -> None:
    host = Host(tree)
    assert host.stat("/") is not None
    host.change("/", mode=0o700)
    assert tree.stat().st_mode & 0o777 == 0o700


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="No such file or directory"):
        Reader(tmp_path / "nowhere")


def test_no_descriptor_is_leaked(tree: Path) -> None:
    (tree / "loop").symlink_to("loop")
    host = Host(tree)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in ("/etc/x", "/etc/x/y", "/loop/x", "/"):
        for act in (host.read_bytes, host.look, host.listdir, lambda p: host.write(p, b"")):
            try:
                act(path)
            except Permanent:
                continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_extended_attributes_are_kept(tree: Path) -> None:
    place = tree / "etc" / "conf"
    place.write_text("old")
    try:
        os.setxattr(place, "user.note", b"keep me")
    except OSError as error:
        pytest.skip(f"no user attributes on this file system: {error}")
    Host(tree).write("/etc/conf", b"new")
    assert os.getxattr(place, "user.note") == b"keep me"


def test_what_a_crash_left_behind_is_replaced(tree: Path) -> None:
    left = tree / "etc" / ".conf.rackwright-new"
    left.write_text("half")
    Host(tree).write("/etc/conf", b"whole")
    assert [one.name for one in (tree / "etc").iterdir()] == ["conf"]


def test_the_longest_name(tree: Path) -> None:
    name = "ü" * 127
    Host(tree).write(f"/etc/{name}", b"x")
    assert (tree / "etc" / name).read_bytes() == b"x"


WRITER = """
import sys
from pathlib import Path
from rackwright_providers.transport.local import Host
host = Host(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    for letter in (b"a", b"b"):
        host.write("/etc/conf", letter * 300_000, mode=0o640)
"""


def test_a_kill_at_any_instant_leaves_the_old_or_the_new_file(tree: Path) -> None:
    whole = {letter * 300_000 for letter in "ab"}
    chance = random.Random(7)
    Host(tree).write("/etc/conf", b"a" * 300_000, mode=0o640)
    seen = set()
    for _ in range(12):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(tree)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        with child.stdout:
            assert child.stdout.readline() == b"ready\n"
            time.sleep(chance.uniform(0, 0.03))  # where the kill lands is the point of this test
            child.send_signal(signal.SIGKILL)
            child.wait()
        text = (tree / "etc" / "conf").read_text()
        assert text in whole
        assert (tree / "etc" / "conf").stat().st_mode & 0o777 == 0o640
        seen.add(text[0])
    Host(tree).write("/etc/conf", b"end")
    assert [one.name for one in (tree / "etc").iterdir()] == ["conf"]


def test_a_reader_never_sees_a_half_written_file(tree: Path) -> None:
    host, stop = Host(tree), threading.Event()
    host.write("/etc/conf", b"a" * 100_000)

    def write() -> None:
        while not stop.is_set():
            host.write("/etc/conf", b"b" * 100_000)
            host.write("/etc/conf", b"a" * 100_000)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(300):
            data = (tree / "etc" / "conf").read_bytes()
            assert data in (b"a" * 100_000, b"b" * 100_000)
    finally:
        stop.set()
        thread.join()


def test_a_command_has_a_fixed_locale_no_input_and_system_paths() -> None:
    told = execute(["sh", "-c", "cat; echo $LC_ALL; echo $PATH; umask; pwd"]).out.split("\n")
    assert told[0] == "C.UTF-8"
    assert {"/usr/sbin", "/sbin"} <= set(told[1].split(":"))
    assert told[2:4] == ["0022", "/"]


def test_a_command_that_fails_says_what_it_said() -> None:
    with pytest.raises(Rejected, match=r"sh -c failed \(exit status 3\): oh dear") as raised:
        execute(["sh", "-c", "echo oh dear >&2; exit 3"])
    assert raised.value.output == "oh dear"
    assert execute(["sh", "-c", "exit 3"], check=False).code == 3


def test_a_command_that_hangs_is_ended_with_its_children() -> None:
    with pytest.raises(Rejected, match=r"did not end within 0.3 s") as raised:
        execute(["sh", "-c", "sleep 60 & echo $!; wait"], timeout=0.3)
    child = Path(f"/proc/{raised.value.output.strip()}/stat")
    for _ in range(200):
        if not child.exists() or child.read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.01)
    else:
        pytest.fail("the child of the command lives on")


def test_a_daemon_that_keeps_its_output_open_delays_nobody() -> None:
    began = time.monotonic()
    told = execute(["sh", "-c", "sleep 30 & echo $!"])
    os.kill(int(told.out), signal.SIGTERM)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("argv", "options", "why"),
    [
        (["no-such-command"], {}, "there is no no-such-command here"),
        (["true"], {"cwd": "/no/such/place"}, "there is no /no/such/place here"),
        (["true"], {"user": "no-such-user"}, "there is no user 'no-such-user' here"),
        (["/etc"], {}, "/etc cannot be started: Permission denied"),
    ],
)
def test_a_command_that_cannot_start(argv: list[str], options: dict[str, str], why: str) -> None:
    with pytest.raises(Permanent, match=why):
        execute(argv, **options)  # type: ignore[arg-type]


@pytest.mark.root
@root_only
def test_a_command_as_another_user() -> None:
    told = execute(
        ["sh", "-c", "id -un; id -G; echo $HOME; echo $X"], user="daemon", env={"X": "y"}
    )
    assert told.out.split("\n")[:4] == ["daemon", "1", "/usr/sbin", "y"]
