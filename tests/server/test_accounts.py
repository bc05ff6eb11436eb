"""Users, groups and their keys."""

from __future__ import annotations

import os
import stat
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from rackwright.model.errors import Permanent
from rackwright_providers.server.account_resources import AuthorizedKey, Group, User
from rackwright_providers.server.accounts import AccountHandler, AccountStep
from rackwright_providers.transport.local import Host, Reader
from tests.server.converging import converge, look

ROOT = Path("/")
A = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGIpxbnQmSkUy7eY1kb5cMxPjkyR3+1vJD5oSNzZ3m0n"
B = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBIpxbnQmSkUy7eY1kb5cMxPjkyR3+1vJD5oSNzZ3m0n"

PASSWD = """\
root:x:0:0:root:/root:/bin/bash
bob:x:1001:1001:Bob,,,:/home/bob:/bin/sh
broken line
eve:x:1002:100::/home/eve:/bin/sh
"""
GROUP = "root:x:0:\nusers:x:100:eve\nbob:x:1001:\nwheel:x:10:root,bob\naudio:x:29:bob\n"
SHADOW = "root:*:1::::::\nbob:$6$hash:19000:0:99999:7:::\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    for name, text in (("passwd", PASSWD), ("group", GROUP), ("shadow", SHADOW)):
        (tmp_path / "etc" / name).write_text(text)
    return tmp_path


def test_users_and_groups_are_read_from_their_files(tree: Path) -> None:
    wanted = [User(name="bob"), User(name="eve"), User(name="mallory"), Group(name="wheel")]
    seen = AccountHandler().read(Reader(tree), wanted)
    assert list(seen.values()) == [
        User(
            name="bob", uid=1001, group="bob", groups=("audio", "wheel"), home="/home/bob",
            shell="/bin/sh", comment="Bob,,,", password_hash="$6$hash",
        ),
        User(
            name="eve", uid=1002, group="users", groups=(), home="/home/eve", shell="/bin/sh",
            comment="", password_hash="",
        ),
        Group(name="wheel", gid=10),
    ]  # fmt: skip


def test_a_group_may_be_declared_by_number(tree: Path) -> None:
    wanted = User(name="bob", group="1001", groups=("29", "wheel"))
    (seen,) = AccountHandler().read(Reader(tree), [wanted]).values()
    assert isinstance(seen, User)
    assert (seen.group, seen.groups) == (wanted.group, wanted.groups)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_hashes_that_may_not_be_read_are_unknown(tree: Path) -> None:
    (tree / "etc" / "shadow").chmod(0)
    (seen,) = AccountHandler().read(Reader(tree), [User(name="bob")]).values()
    assert isinstance(seen, User)
    assert seen.password_hash is None


def test_a_lock_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rackwright_providers.server import accounts
    from tests.server.fakes import Fakes

    monkeypatch.setattr(accounts, "LOCK_WAIT", 0.001)
    fakes = Fakes(tmp_path)
    fakes.add(
        "groupadd",
        'if len(state["calls"]) < 3: sys.exit("groupadd: cannot lock /etc/group; try again later.")',
    )
    fakes.use(monkeypatch)
    AccountStep(addresses=(), text="", argv=("groupadd", "x")).apply(Host(ROOT))
    assert fakes.state["calls"] == ["groupadd x"] * 3


@pytest.fixture
def name() -> Iterator[str]:
    """A name that no user or group of this machine has, before and after."""
    found = f"rw{uuid.uuid4().hex[:10]}"
    yield found
    for command in (["userdel", "-r", found], ["groupdel", found], ["groupdel", f"{found}g"]):
        subprocess.run(command, capture_output=True, check=False)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="making users needs root")


@pytest.mark.root
@needs_root
@pytest.mark.proves("linux", "user", "group", over="local", on="real", by="Debian's shadow tools")
def test_a_user_for_real(name: str, tmp_path: Path) -> None:
    home = f"{tmp_path}/home"
    tmp_path.chmod(0o755)
    group = Group(name=f"{name}g")
    user = User(
        name=name, groups=(f"{name}g",), home=home, shell="/bin/sh", comment="A B", password_hash="$6$x$y"
    )  # fmt: skip
    first = converge(ROOT, group, user, state=tmp_path)
    assert first[0] == f"groupadd {name}g"
    assert first[1].startswith("useradd --create-home --groups ")
    assert "$6$" not in first[1]
    assert converge(ROOT, group, user, state=tmp_path) == []
    assert Path(home).is_dir()

    moved = User(name=name, home=f"{home}2", shell="/bin/false", password_hash="!", groups=())
    (text,) = converge(ROOT, moved, state=tmp_path)
    assert text == (
        f"usermod --groups  --home {home}2 --move-home --shell /bin/false {name}; chpasswd --encrypted"
    )
    assert look(ROOT, moved) == []
    assert Path(f"{home}2").is_dir()
    assert not Path(home).exists()

    gone = [
        User(name=name, ensure="absent"),
        Group(name=name, ensure="absent"),
        Group(name=f"{name}g", ensure="absent"),
    ]
    # userdel takes the user's own group along, which was still there when the plan was made
    assert len(converge(ROOT, *gone, state=tmp_path)) == 3
    assert look(ROOT, *gone) == []
    assert Path(f"{home}2").is_dir()


@pytest.mark.root
@needs_root
def test_a_group_of_the_users_name_may_be_there_already(name: str, tmp_path: Path) -> None:
    wanted = [Group(name=name, system=True), User(name=name, system=True, home="/nonexistent")]
    converge(ROOT, *wanted, state=tmp_path)
    assert converge(ROOT, *wanted, state=tmp_path) == []
    uid = int(subprocess.check_output(["id", "-u", name]))
    assert uid < 1000
    gid = 40000 + os.getpid() % 10000
    assert converge(ROOT, Group(name=name, gid=gid), state=tmp_path) == [
        f"groupmod --gid {gid} {name}"
    ]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home directory of a user who is ourselves, under a root."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(f"me:x:{os.geteuid()}:{os.getegid()}::/home/me:/bin/sh\n")
    place = tmp_path / "home" / "me"
    place.mkdir(parents=True)
    return place


def keys(home: Path) -> str:
    return (home / ".ssh" / "authorized_keys").read_text()


def test_a_key_is_authorized_replaced_and_revoked(home: Path) -> None:
    root = home.parent.parent
    key = AuthorizedKey(name="me:laptop", key=f"{A} me@old-laptop")
    assert converge(root, key) == [f"authorize for me: {A} laptop"]
    assert keys(home) == f"{A} laptop\n"
    assert stat.S_IMODE((home / ".ssh").stat().st_mode) == 0o700
    assert stat.S_IMODE((home / ".ssh" / "authorized_keys").stat().st_mode) == 0o600
    assert converge(root, key) == []

    new = AuthorizedKey(name="me:laptop", key=f'from="10.0.0.0/8",command="echo \\"hi\\" x" {B}')
    assert len(converge(root, new)) == 1
    assert keys(home) == f'from="10.0.0.0/8",command="echo \\"hi\\" x" {B} laptop\n'
    assert converge(root, new) == []
    assert len(converge(root, AuthorizedKey(name="me:laptop", ensure="absent"))) == 1
    assert keys(home) == ""


def test_other_keys_are_left_alone(home: Path) -> None:
    theirs = f"# by hand\nssh-rsa AAAAB3NzaC1yc2E= admin\n\n{A} known by another name"
    (home / ".ssh").mkdir(mode=0o700)
    (home / ".ssh" / "authorized_keys").write_text(theirs)
    root = home.parent.parent
    assert look(root, AuthorizedKey(name="me:x", key=A)) == []
    converge(root, AuthorizedKey(name="me:y", key=B))
    assert keys(home) == f"{theirs}\n{B} y\n"
    converge(root, AuthorizedKey(name="me:x", key=A, ensure="absent"))
    assert keys(home) == f"# by hand\nssh-rsa AAAAB3NzaC1yc2E= admin\n\n{B} y\n"


@pytest.mark.parametrize("planted", [".ssh", ".ssh/authorized_keys"])
def test_a_planted_link_is_not_followed(planted: str, home: Path) -> None:
    target = home.parent / "target"
    if planted == ".ssh":
        target.mkdir()
        (home / ".ssh").symlink_to(target)
    else:
        target.write_text("precious")
        (home / ".ssh").mkdir()
        (home / planted).symlink_to(target)
    with pytest.raises(Permanent, match=r"\.ssh is not a directory|is a symbolic link"):
        converge(home.parent.parent, AuthorizedKey(name="me:x", key=A))
    if planted == ".ssh":
        assert list(target.iterdir()) == []
    else:
        assert target.read_text() == "precious"


@pytest.mark.root
@needs_root
def test_a_directory_of_somebody_else_is_refused(home: Path) -> None:
    (home / ".ssh").mkdir()
    os.chown(home / ".ssh", 4242, 4242)
    passwd = home.parent.parent / "etc" / "passwd"
    passwd.write_text("me:x:4343:4343::/home/me:/bin/sh\n")
    with pytest.raises(Permanent, match="belongs to neither me nor root"):
        converge(home.parent.parent, AuthorizedKey(name="me:x", key=A))


@pytest.mark.root
@needs_root
@pytest.mark.proves("linux", "authorized_key", over="local", on="real", by="the file system")
def test_the_file_belongs_to_the_user(home: Path) -> None:
    root = home.parent.parent
    (root / "etc/passwd").write_text("me:x:4343:4344::/home/me:/bin/sh\n")
    converge(root, AuthorizedKey(name="me:x", key=A))
    for place in (home / ".ssh", home / ".ssh" / "authorized_keys"):
        assert (place.stat().st_uid, place.stat().st_gid) == (4343, 4344)


def test_a_key_for_nobody(home: Path) -> None:
    with pytest.raises(Permanent, match="there is no local user 'you'"):
        converge(home.parent.parent, AuthorizedKey(name="you:x", key=A))
