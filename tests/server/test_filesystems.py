"""File systems: really made on image files and loop devices, and never where anything is."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from rackwright.engine.converge import Job, converge
from rackwright.engine.ledger import LedgerFile
from rackwright.model.address import Address
from rackwright.model.bundle import Bundle, Declared, Gates, Origin
from rackwright.model.errors import Permanent, Rejected, Temporary
from rackwright.model.resource import digest
from rackwright.model.site import Node
from rackwright.provider import Surroundings
from rackwright_providers.server import filesystems
from rackwright_providers.server.kernel_resources import Mount
from rackwright_providers.server.linux import Linux
from rackwright_providers.server.storage_resources import Filesystem
from rackwright_providers.transport.local import Host
from tests.real import parts
from tests.server import inside
from tests.server.converging import LOCAL, look
from tests.server.converging import converge as make

ROOT = Path("/")
MIB = 2**20
NEEDED = ("mkfs.ext4", "blkid", "wipefs", "e2label")
pytestmark = pytest.mark.skipif(bool(parts.missing(*NEEDED)), reason=parts.missing(*NEEDED))


@pytest.fixture(autouse=True)
def on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin:/sbin")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return blank(tmp_path / "disk.img")


def blank(path: Path, size: int = 8 * MIB) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def ext4(path: Path | str, **more: Any) -> Filesystem:
    return Filesystem(name=str(path), fstype="ext4", **more)


def blkid(path: Path | str, tag: str) -> str:
    done = subprocess.run(["blkid", "-p", "-o", "value", "-s", tag, path], capture_output=True)
    return done.stdout.decode().strip()


@pytest.mark.proves("linux", "filesystem", over="local", on="real", by="e2fsprogs and xfsprogs")
def test_made_once_and_then_left_alone(image: Path, tmp_path: Path) -> None:
    wanted = ext4(image, label="data")
    (change,) = look(ROOT, wanted)
    assert [field.field for field in change.fields] == ["fstype", "label"]
    assert make(ROOT, wanted, state=tmp_path) == [f"mkfs.ext4 -q -L data {image}"]
    assert (blkid(image, "TYPE"), blkid(image, "LABEL")) == ("ext4", "data")
    before = image.read_bytes()
    assert look(ROOT, wanted) == []
    assert make(ROOT, wanted, state=tmp_path) == []
    assert image.read_bytes() == before


def test_another_label(image: Path, tmp_path: Path) -> None:
    make(ROOT, ext4(image), state=tmp_path)
    uuid = blkid(image, "UUID")
    assert make(ROOT, ext4(image, label="new"), state=tmp_path) == [f"e2label {image} new"]
    assert look(ROOT, ext4(image, label="new")) == []
    assert blkid(image, "UUID") == uuid


@pytest.mark.apt
@pytest.mark.skipif(bool(parts.missing("mkfs.xfs")), reason=parts.missing("mkfs.xfs"))
def test_xfs(tmp_path: Path) -> None:
    image = blank(tmp_path / "disk.img", 320 * MIB)
    wanted = Filesystem(name=str(image), fstype="xfs", label="data")
    make(ROOT, wanted, state=tmp_path)
    assert look(ROOT, wanted) == []
    with pytest.raises(Permanent, match="holds xfs"):
        make(ROOT, ext4(image), state=tmp_path)
    renamed = Filesystem(name=str(image), fstype="xfs", label="other")
    make(ROOT, renamed, state=tmp_path)
    assert look(ROOT, renamed) == []


def gpt_backup(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-512, os.SEEK_END)
        file.write(b"EFI PART")


def swap(path: Path) -> None:
    subprocess.run(
        ["mkswap", "-q", path], check=True, env={"PATH": "/sbin:/usr/sbin:/bin:/usr/bin"}
    )


def ext2(path: Path) -> None:
    subprocess.run(["/sbin/mkfs.ext2", "-q", path], check=True)


def partitions(path: Path) -> None:
    table = bytearray(512)
    table[446:462] = bytes.fromhex("00010100830f3f0f0008000000080000")
    table[510:] = b"\x55\xaa"
    write(path, bytes(table))


def write(path: Path, data: bytes, at: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


THERE = [
    (ext2, "holds ext2"),
    (swap, "holds swap"),
    (partitions, "holds partition table dos"),
    (gpt_backup, "holds unknown data"),
    (lambda path: write(path, b"my own database", 4096), "holds unknown data"),
    (lambda path: write(path, b"x", 4 * MIB - 1), "holds unknown data"),
]


@pytest.mark.parametrize(("fill", "why"), THERE)
def test_what_is_there_is_never_overwritten(
    fill: Any, why: str, image: Path, tmp_path: Path
) -> None:
    fill(image)
    before = image.read_bytes()
    assert len(look(ROOT, ext4(image))) == 1
    with pytest.raises(Permanent, match=why):
        make(ROOT, ext4(image), state=tmp_path)
    assert image.read_bytes() == before


def test_wipefs_has_a_look_too(image: Path, tmp_path: Path) -> None:
    host = Host(state=tmp_path)
    assert filesystems.signatures(host, str(image)) == ""
    ext2(image)
    assert filesystems.signatures(host, str(image)) == "it holds ext2"


@pytest.mark.parametrize(("fill", "why"), THERE)
def test_what_came_after_the_plan_is_not_overwritten_either(
    fill: Any, why: str, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystems, "_look", lambda *_: (filesystems.NOTHING, ""))
    fill(image)
    before = image.read_bytes()
    with pytest.raises(Rejected, match="no file system is made on"):
        make(ROOT, ext4(image), state=tmp_path)
    assert image.read_bytes() == before


def test_what_has_no_size_or_is_no_device(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="it has no size"):
        make(ROOT, ext4(blank(tmp_path / "empty", 0)), state=tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises((Permanent, Rejected), match="neither a block device"):
        make(ROOT, ext4(tmp_path / "folder"), state=tmp_path)


def test_a_device_that_comes_later_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "later.img"
    timer = Timer(0.3, lambda: blank(tmp_path / "new").rename(path))
    timer.start()
    make(ROOT, ext4(path), state=tmp_path)
    timer.join()
    assert look(ROOT, ext4(path)) == []


def test_a_device_that_does_not_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystems, "APPEARS", 0.2)
    with pytest.raises(Temporary, match="there is no"):
        make(ROOT, ext4(tmp_path / "never"), state=tmp_path)


@contextlib.contextmanager
def loop(image: Path) -> Iterator[str]:
    done = subprocess.run(
        ["/sbin/losetup", "--find", "--show", image], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no loop device here: {done.stderr.strip()}")
    device = done.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["/sbin/losetup", "--detach", device], check=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
class TestBlockDevices:
    def test_made(self, image: Path, tmp_path: Path) -> None:
        with loop(image) as device:
            by_name = tmp_path / "by-path"
            by_name.symlink_to(device)
            make(ROOT, ext4(by_name), state=tmp_path)
            assert look(ROOT, ext4(by_name)) == []
            assert blkid(device, "TYPE") == "ext4"

    def test_not_while_it_is_in_use(self, image: Path, tmp_path: Path) -> None:
        with loop(image) as device:
            claim = os.open(device, os.O_RDONLY | os.O_EXCL)  # as a mount has it
            try:
                with pytest.raises(Rejected, match="it is in use"):
                    make(ROOT, ext4(device), state=tmp_path)
            finally:
                os.close(claim)
            with pytest.raises(Rejected, match=f"in use as {Path(device).name}"):
                make(ROOT, ext4(image), state=tmp_path)
            assert not image.read_bytes().strip(b"\0")


def test_a_mount_needs_it_and_it_needs_its_session() -> None:
    iqn = "iqn.2026-11.example:disk1"
    device = f"/dev/disk/by-path/ip-10.0.0.5:3260-iscsi-{iqn}-lun-1"
    mount = Mount(name="/srv/data", device=device)
    session = Address("iscsi_session", iqn)
    assert {Address("filesystem", device), session} <= set(mount.implied_needs())
    assert session in ext4(device).implied_needs()
    assert session in ext4(f"{device}-part1").implied_needs()
    assert session in ext4(device.replace("10.0.0.5", "fd00::5")).implied_needs()
    assert ext4("/dev/sdb").implied_needs() == (Address("file", "/dev/sdb"),)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"name": "sdb", "fstype": "ext4"}, "absolute path"),
        ({"name": "/dev/../sdb", "fstype": "ext4"}, "absolute path"),
        ({"name": "/dev/sdb"}, "needs an fstype"),
        ({"name": "/dev/sdb", "fstype": "ext4", "ensure": "absent"}, "never taken away"),
        ({"name": "/dev/sdb", "fstype": "xfs", "label": "x" * 13}, "at most 12"),
    ],
)
def test_wrong(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Filesystem(**fields)


def _to_mount(folder: str) -> None:
    """In a mount namespace of its own: the engine, from an empty device to files in it and back."""
    tmp = Path(folder)
    image = blank(tmp / "disk.img")
    made = {"name": str(image), "fstype": "ext4", "label": "data"}
    point = {"name": str(tmp / "mnt"), "device": str(image), "options": "loop", "fstab": False}
    both = [("mount", point), ("filesystem", made)]
    assert _run(tmp, *both) == {"filesystem": "changed", "mount": "changed"}
    (tmp / "mnt" / "kept").write_text("data")
    assert _run(tmp, *both) == {"filesystem": "in_sync", "mount": "in_sync"}
    assert _run(tmp) == {"filesystem": "released", "mount": "removed"}
    assert blkid(image, "LABEL") == "data"
    other = [("mount", point), ("filesystem", {**made, "fstype": "xfs"})]
    assert _run(tmp, *other) == {"filesystem": "failed", "mount": "blocked"}
    assert _run(tmp, *both) == {"filesystem": "in_sync", "mount": "changed"}
    assert (tmp / "mnt" / "kept").read_text() == "data"


def _run(tmp: Path, *written: tuple[str, dict[str, Any]]) -> dict[str, str]:
    linux = Linux()
    declared = tuple(
        Declared(type=kind, data=data, digest=digest(kind, data), origin=Origin(file="x", line=1))
        for kind, data in written
    )
    node = Node(name="web1", type="server", platform="linux")
    job = Job(bundle=Bundle(node=node, revision="1", resources=declared), gates=Gates(), secrets={})
    around = Surroundings(state=tmp, writable=True)
    with closing(linux.open(LOCAL, around)) as session:
        report = converge(job, linux, session, LedgerFile(tmp / "ledger.json"))
    return {outcome.address.partition("/")[0]: outcome.state for outcome in report.outcomes}


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_from_an_empty_device_to_a_mount_and_back(tmp_path: Path) -> None:
    if subprocess.run(["/sbin/losetup", "--find"], capture_output=True).returncode:
        pytest.skip("no loop device here")
    inside.call("", _to_mount, str(tmp_path), wrapper=("unshare", "-m"))
