"""Mounts: fstab and mountinfo as text, decisions as cases, and real mounts in a private namespace."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from rackwright.model.change import Change
from rackwright.model.errors import Rejected
from rackwright.model.report import FieldChange
from rackwright.model.resource import declared_fields
from rackwright_providers.server import fstab, mountinfo, mounts
from rackwright_providers.server.fstab import Entry
from rackwright_providers.server.kernel_resources import Mount
from rackwright_providers.server.mountinfo import Mounted
from rackwright_providers.server.mounts import MountHandler
from rackwright_providers.transport.local import Host
from tests.real import parts
from tests.server import inside

HANDLER = MountHandler()

FSTAB = """\
# /etc/fstab: static file system information.
#
#<file system>\t<mount point>   <type>  <options>  <dump>  <pass>
UUID=0b3c-11  /  ext4\terrors=remount-ro 0 1
  /dev/sdb1\t/srv/my\\040data  xfs   noatime,nofail\t0\t2\x20
#/dev/sdc1 /srv/www ext4 defaults 0 0
/swapfile none swap sw 0 0

host:/export /mnt/nfs/ nfs ro
broken line
tmpfs /tmp tmpfs size=1g
tmpfs /tmp tmpfs size=2g"""  # no line end


@pytest.mark.parametrize(
    ("point", "entry"),
    [
        ("/", Entry("UUID=0b3c-11", "/", "ext4", "errors=remount-ro", "0", "1")),
        ("/srv/my data", Entry("/dev/sdb1", "/srv/my data", "xfs", "noatime,nofail", "0", "2")),
        ("/mnt/nfs", Entry("host:/export", "/mnt/nfs", "nfs", "ro")),
        ("/tmp", Entry("tmpfs", "/tmp", "tmpfs", "size=2g")),
        ("/srv/www", None),
        ("line", None),
    ],
)
def test_find(point: str, entry: Entry | None) -> None:
    assert fstab.find(FSTAB, point) == entry


def test_put_changes_one_line_and_no_other_byte() -> None:
    entry = Entry("LABEL=new disk", "/srv/my data", "ext4", "noatime", "0", "2")
    old = "  /dev/sdb1\t/srv/my\\040data  xfs   noatime,nofail\t0\t2\x20"
    new = r"LABEL=new\040disk /srv/my\040data ext4 noatime 0 2"
    assert fstab.put(FSTAB, entry) == FSTAB.replace(old, new)
    assert fstab.put(fstab.put(FSTAB, entry), entry) == fstab.put(FSTAB, entry)
    assert fstab.find(fstab.put(FSTAB, entry), entry.point) == entry


def test_put_of_two_on_one_mount_point_changes_the_one_on_top() -> None:
    new = Entry("tmpfs", "/tmp", "tmpfs", "size=3g")
    assert fstab.put(FSTAB, new) == FSTAB.replace("tmpfs /tmp tmpfs size=2g", new.line())


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("", "tmpfs /t tmpfs defaults 0 0\n"),
        ("# no end", "# no end\ntmpfs /t tmpfs defaults 0 0\n"),
        ("# an end\n", "# an end\ntmpfs /t tmpfs defaults 0 0\n"),
        ("\n\n", "\n\ntmpfs /t tmpfs defaults 0 0\n"),
    ],
)
def test_put_at_the_end(text: str, after: str) -> None:
    assert fstab.put(text, Entry("tmpfs", "/t", "tmpfs")) == after
    assert fstab.drop(after, "/t").rstrip("\n") == text.rstrip("\n")


def test_drop() -> None:
    assert fstab.drop(FSTAB, "/tmp") == FSTAB[: FSTAB.index("tmpfs /tmp") - 1]
    assert fstab.drop(FSTAB, "/nowhere") == FSTAB
    odd = "\udcff\x0b /x\r\n# \x85\n/dev/a /gone ext4\n\x0c/dev/b /b ext4\n"
    assert fstab.drop(odd, "/gone") == odd.replace("/dev/a /gone ext4\n", "")


MOUNTINFO = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
36 35 98:0 /mnt1 /mnt\0402\134x rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue
37 35 98:1 / /data ro,nosuid,relatime - ext4 /dev/sdb1 rw
38 35 0:50 / /nfs rw,relatime shared:5 - nfs4 host:/export rw,vers=4.2
39 37 98:2 / /data rw,noatime - xfs /dev/sdc1 rw,logbufs=8
40 37 0:51 / /odd rw - tmpfs none
broken
"""


def test_mountinfo() -> None:
    found = mountinfo.parse(MOUNTINFO)
    assert list(found) == ["/proc", r"/mnt 2\x", "/data", "/nfs", "/odd"]
    assert found[r"/mnt 2\x"] == Mounted(
        "/dev/root", "/mnt1", r"/mnt 2\x", "ext3",
        frozenset(["rw", "noatime", "errors=continue"]), "rw,noatime",
    )  # fmt: skip
    assert found["/data"].device == "/dev/sdc1"  # the one on top
    only = mountinfo.parse(MOUNTINFO.replace("39 37 98:2 / /data", "39 37 98:2 / /other"))
    assert only["/data"].options == {"ro", "nosuid", "relatime"}  # ro of either wins


@pytest.mark.parametrize(
    ("fstype", "declared", "live", "wrong"),
    [
        ("ext4", "defaults", "rw,relatime", ""),
        ("ext4", "", "ro,relatime", "rw"),
        ("ext4", "ro", "ro,relatime", ""),
        ("ext4", "ro", "rw,relatime", "ro"),
        ("ext4", "rw", "ro", "rw"),
        ("ext4", "noatime", "rw,noatime", ""),
        ("ext4", "noatime", "rw,relatime", "noatime"),
        ("ext4", "strictatime", "rw,relatime", "strictatime"),
        ("ext4", "strictatime", "rw", ""),
        ("ext4", "nosuid,nodev,noexec", "rw,nosuid,nodev,noexec", ""),
        ("ext4", "nosuid", "rw,nosuid,nodev", "dev"),
        ("ext4", "user", "rw,nosuid,nodev,noexec", ""),
        ("ext4", "user,exec", "rw,nosuid,nodev,noexec", "exec"),
        ("ext4", "noauto,nofail,_netdev,x-systemd.automount,X-mount.mkdir,comment=x", "rw", ""),
        ("ext4", "errors=remount-ro", "rw,errors=remount-ro", ""),
        ("ext4", "errors=remount-ro", "rw,errors=continue", "errors=remount-ro"),
        ("ext4", "errors=remount-ro,user_xattr,data=ordered", "rw", ""),  # defaults are not shown
        ("ext4", "discard", "rw,nodiscard", "discard"),
        ("ext4", "nobarrier", "rw,barrier", "nobarrier"),
        ("tmpfs", "size=1g,mode=0755", "rw,size=1048576k,mode=755", ""),
        ("tmpfs", "size=2G", "rw,size=1048576k", "size=2G"),
        ("tmpfs", "size=2g", "rw", "size=2g"),
        ("tmpfs", "size=50%", "rw,size=1048576k", ""),
        ("tmpfs", "mode=1777,uid=0", "rw", ""),
        ("tmpfs", "mode=0700", "rw", "mode=0700"),
        ("proc", "defaults", "rw,nosuid,nodev,noexec", ""),
        ("fuse.sshfs", "allow_other", "rw,nosuid,nodev", ""),
        ("btrfs", "subvol=home", "rw,subvolid=5,subvol=/home", ""),
    ],
)
def test_what_the_kernel_shows_against_what_is_declared(
    fstype: str, declared: str, live: str, wrong: str
) -> None:
    mounted = Mounted("/dev/sda1", "/", "/data", fstype, frozenset(live.split(",")), live)
    found = mountinfo.contradicts(frozenset(declared.split(",")) - {"", "defaults"}, mounted)
    assert ",".join(sorted(found)) == wrong


DATA = Mount(name="/data", device="/dev/sdb1", fstype="ext4", options="noatime")
IN_FSTAB = Entry("/dev/sdb1", "/data", "ext4", "noatime")
IS_MOUNTED = Mounted("/dev/sdb1", "/", "/data", "ext4", frozenset(["rw", "noatime"]), "rw,noatime")


@pytest.mark.parametrize(
    ("wanted", "entry", "live", "different"),
    [
        (DATA, IN_FSTAB, IS_MOUNTED, []),
        (DATA, IN_FSTAB._replace(options="defaults,noatime"), IS_MOUNTED, []),
        (DATA, IN_FSTAB._replace(options="noatime,nofail"), IS_MOUNTED, ["options"]),
        (DATA, IN_FSTAB._replace(device="/dev/sdc1"), IS_MOUNTED, ["device"]),
        (DATA, IN_FSTAB, IS_MOUNTED._replace(device="/dev/sdc1"), ["device"]),
        (DATA, IN_FSTAB, IS_MOUNTED._replace(fstype="xfs"), ["fstype"]),
        (DATA, IN_FSTAB, IS_MOUNTED._replace(options=frozenset(["rw"])), ["options"]),
        # By default both places are meant, whether that is said or not.
        (DATA, IN_FSTAB, None, ["device"]),
        (DATA, None, IS_MOUNTED, ["device"]),
        (DATA, None, None, None),
        (Mount(name="/data", device="/dev/sdb1", fstab=False), None, IS_MOUNTED, []),
        (Mount(name="/data", device="/dev/sdb1", fstab=False), IN_FSTAB, IS_MOUNTED, ["fstab"]),
        (Mount(name="/data", device="/dev/sdb1", state="unmounted"), IN_FSTAB, None, []),
        (Mount(name="/data", device="/dev/sdb1", state="unmounted"), IN_FSTAB, IS_MOUNTED, ["state"]),
        (Mount(name="/data", device="/dev/sdb1"), IN_FSTAB, IS_MOUNTED, []),
    ],
)  # fmt: skip
def test_observed(
    wanted: Mount, entry: Entry | None, live: Mounted | None, different: list[str] | None
) -> None:
    seen = mounts.observed(wanted, entry, {"/data": live} if live else {})
    if different is None:
        assert seen is None
    else:
        assert seen is not None
        assert [change.field for change in differences(wanted, seen)] == different


def differences(wanted: Mount, seen: Mount | None) -> tuple[FieldChange, ...]:
    return tuple(
        FieldChange(field=name)
        for name, value in declared_fields(wanted).items()
        if seen is None or getattr(seen, name) != value
    )


def converge(host: Host, wanted: Mount) -> str:
    """Read, decide, do, verify; what was done, as text."""
    before = HANDLER.read(host, [wanted]).get(wanted.address)
    assert before is None or isinstance(before, Mount)
    fields = differences(wanted, before)
    if before and not fields:
        return ""
    change = Change("update" if before else "create", wanted.address, before, wanted, fields)
    steps = HANDLER.render([change])
    for step in steps:
        step.apply(host)
    after = HANDLER.read(host, [wanted])[wanted.address]
    assert isinstance(after, Mount)
    assert differences(wanted, after) == (), after
    return "\n".join(step.text for step in steps)


def remove(host: Host, wanted: Mount) -> None:
    before = HANDLER.read(host, [wanted])[wanted.address]
    for step in HANDLER.render([Change("remove", wanted.address, before=before)]):
        step.apply(host)
    assert HANDLER.read(host, [wanted]) == {}


def test_under_a_root_it_is_the_fstab_line_alone(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    file = tmp_path / "etc/fstab"
    file.write_text(FSTAB)
    host = Host(tmp_path)
    wanted = Mount(
        name="/srv/www", device="/dev/sdc1", fstype="ext4", options="noatime", state="mounted"
    )
    assert converge(host, wanted) == (
        "mount -t ext4 -o noatime -- /dev/sdc1 /srv/www\n"
        "/etc/fstab: /dev/sdc1 /srv/www ext4 noatime 0 0"
    )
    assert file.read_text() == FSTAB + "\n/dev/sdc1 /srv/www ext4 noatime 0 0\n"
    assert converge(host, wanted) == ""
    assert converge(host, Mount(name="/srv/my data", device="/dev/sdb1", options="noatime"))
    assert fstab.find(file.read_text(), "/srv/my data") == Entry(
        "/dev/sdb1", "/srv/my data", "xfs", "noatime", "0", "2"
    )
    remove(host, wanted)
    assert not (tmp_path / "srv").exists()


def sh(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def live(folder: str) -> None:
    """In a mount namespace of its own."""
    table = Path(folder, "fstab")
    table.write_text("# ours\n")
    mounts.FSTAB = str(table)
    host = Host(Path("/"))
    point = Path(folder, "a b/point")
    wanted = Mount(name=str(point), device="tmpfs", fstype="tmpfs", options="size=1m,nosuid")
    assert converge(host, wanted)
    assert converge(host, wanted) == ""
    assert r"/a\040b/point tmpfs size=1m,nosuid 0 0" in table.read_text()

    # A change of options keeps what is in it.
    (point / "kept").write_text("data")
    wider = Mount(name=str(point), device="tmpfs", fstype="tmpfs", options="size=2m,nosuid,noexec")
    assert "remount" in converge(host, wider)
    assert converge(host, wider) == ""
    assert os.statvfs(point).f_blocks * os.statvfs(point).f_frsize == 2 << 20
    assert (point / "kept").read_text() == "data"
    sh("mount", "-o", "remount,ro", str(point))  # drift
    assert converge(host, wider)
    (point / "kept").write_text("more")

    # Half of it gone: mounted only now, or only at the next boot.
    table.write_text("# ours\n")
    assert converge(host, wider)
    sh("umount", str(point))
    number = table.stat().st_ino
    assert converge(host, wider)
    assert table.stat().st_ino == number  # it said so already
    assert converge(host, Mount(name=str(point), device="tmpfs", state="unmounted", fstab=True))
    assert not point.is_mount()
    assert "point" in table.read_text()
    assert converge(host, wider)

    # What is busy stays.
    with (point / "open").open("w"):
        with pytest.raises(Rejected, match=r"cannot be unmounted.*busy"):
            remove(host, wider)
        assert point.is_mount()
        assert "point" in table.read_text()
    remove(host, wider)
    assert table.read_text() == "# ours\n"
    assert point.is_dir()

    source = Path(folder, "source")
    source.mkdir()
    (source / "file").touch()
    bind = Mount(name=str(point), device=str(source), fstype="none", options="bind,ro", fstab=False)
    assert converge(host, bind)
    assert converge(host, bind) == ""
    assert (point / "file").exists()
    assert converge(host, Mount(name=str(point), device=str(source), options="bind", fstab=False))
    (point / "written").touch()
    remove(host, bind)

    with pytest.raises(Rejected, match="mount"):
        converge(host, Mount(name=str(point), device="/dev/no-such", fstype="ext4"))
    assert table.read_text() == "# ours\n"  # or the next boot would stop at it


def images(folder: str) -> None:
    """In a mount namespace of its own: file systems in image files, on loop devices."""
    table = Path(folder, "fstab")
    mounts.FSTAB = str(table)
    host = Host(Path("/"))
    point = Path(folder, "point")
    for name in ("one", "two"):
        with Path(folder, name).open("wb") as image:
            image.truncate(4 << 20)
        sh("mkfs.ext4", "-q", "-F", f"{folder}/{name}")
    one = Mount(name=str(point), device=f"{folder}/one", fstype="ext4", options="noatime")
    two = Mount(name=str(point), device=f"{folder}/two", fstype="ext4", options="noatime")
    assert converge(host, one)
    (point / "one").touch()
    assert converge(host, one) == ""
    assert converge(host, two).startswith(f"umount {point}\nmount ")
    assert not (point / "one").exists()
    # What cannot be mounted leaves what was there.
    wrong = Mount(name=str(point), device=f"{folder}/fstab", fstype="ext4", options="noatime")
    with pytest.raises(Rejected):
        converge(host, wrong)
    assert converge(host, two) == ""
    assert converge(host, one)
    assert (point / "one").exists()
    remove(host, one)


@pytest.fixture
def private() -> list[str]:
    """The words that run a command in a mount namespace of its own."""
    reason = parts.no_namespaces() or parts.missing("unshare", "mount", "umount")
    if reason:
        pytest.skip(reason)
    return ["unshare", "-m"]


@pytest.mark.root
@pytest.mark.proves(
    "linux", "mount", over="local", on="real", by="the kernel, in a mount namespace"
)
def test_live(private: list[str], tmp_path: Path) -> None:
    inside.call("", live, str(tmp_path), wrapper=private)


@pytest.mark.root
def test_images(private: list[str], tmp_path: Path) -> None:
    if parts.missing("mkfs.ext4"):
        pytest.skip(parts.missing("mkfs.ext4"))
    (tmp_path / "probe").write_bytes(bytes(4 << 20))
    made = subprocess.run(
        ["losetup", "--find", "--show", tmp_path / "probe"], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"no loop devices: {made.stderr}")
    subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)
    inside.call("", images, str(tmp_path), wrapper=private)
