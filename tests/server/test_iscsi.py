"""iSCSI sessions: node records by open-iscsi itself; logging in on a stand-in, for that needs the
kernel's iscsi_tcp module."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rackwright.model.address import Address
from rackwright.model.errors import Rejected, Temporary
from rackwright.model.resource import from_data, secret_fields
from rackwright_providers.server import iscsi
from rackwright_providers.server.iscsi import Record, edited, fields, observed
from rackwright_providers.server.storage_resources import IscsiSession, canonical_portal
from tests.real import parts
from tests.server import inside
from tests.server.converging import converge, look
from tests.server.fakes import Fakes

ROOT = Path("/")
IQN = "iqn.2026-11.example:disk1"
PORTAL = "10.0.0.5:3260"
PASSWORD = "chap-s3cret-1"

ISCSIADM = """
import pathlib, shutil
words = dict(zip(argv[::1], argv[1:]))
iqn, portal = words["-T"], words["-p"]
host, _, port = portal.rpartition(":")
record = pathlib.Path(state["nodes"]) / iqn / f"{host.strip('[]')},{port}"
sysfs = pathlib.Path(state["sys"]) / "class"
session, connection = sysfs / "iscsi_session/session3", sysfs / "iscsi_connection/connection3:0"
def fail(code, text):
    print(f"iscsiadm: {text}", file=sys.stderr)
    print("iscsiadm: Could not log into all portals", file=sys.stderr)
    sys.exit(code)
if words.get("-o") == "new":
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(state["record"])
    record.chmod(0o600)
elif words.get("-o") == "delete":
    record.unlink()
elif argv[-1] == "--login":
    if state.get("away"):
        fail(state["away"], "connection timed out")
    if state["password"] not in record.read_text():
        fail(24, "initiator reported error (24 - iSCSI login failed due to authorization failure)")
    for where, text in ((session / "targetname", iqn), (connection / "persistent_address", host),
                       (connection / "persistent_port", port)):
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(text)
    (session / "device/target3:0:0/3:0:0:1/block/sdrwt").mkdir(parents=True)
    (sysfs / "block/sdrwt/holders").mkdir(parents=True)
    (sysfs / "block/sdrwt/dev").write_text("259:77")
elif argv[-1] == "--logout":
    for where in (session, connection, sysfs / "block"):
        shutil.rmtree(where)
"""

RECORD = f"""\
# BEGIN RECORD 2.1.8
node.name = {IQN}
node.tpgt = -1
node.startup = manual
node.leading_login = No
iface.iscsi_ifacename = default
node.session.auth.authmethod = None
node.session.auth.chap_algs = MD5
node.conn[0].address = 10.0.0.5
node.conn[0].port = 3260
node.conn[0].startup = manual
# END RECORD
"""
"""As iscsiadm 2.1.8 writes one, in short."""


class Initiator:
    """A host with a stand-in for open-iscsi and the kernel."""

    def __init__(self, path: Path, patch: pytest.MonkeyPatch) -> None:
        self.nodes, self.sys = path / "nodes", path / "sys"
        self.fakes = Fakes(
            path, nodes=str(self.nodes), sys=str(self.sys), record=RECORD, password=""
        )
        self.fakes.add("iscsiadm", ISCSIADM)
        self.fakes.use(patch)
        patch.setattr(iscsi, "NODES", (str(self.nodes),))
        patch.setattr(iscsi, "SYSFS", self.sys)
        self.path = path

    def set(self, **changes: Any) -> None:
        self.fakes.write({**self.fakes.state, **changes})

    @property
    def record(self) -> Path:
        return self.nodes / IQN / "10.0.0.5,3260"

    def converge(self, wanted: IscsiSession) -> list[str]:
        """Make it so and see that it is."""
        did = converge(ROOT, wanted, state=self.path)
        assert look(ROOT, wanted) == []
        return did

    def calls(self) -> list[str]:
        found: list[str] = self.fakes.state["calls"]
        return found


@pytest.fixture
def initiator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Initiator:
    return Initiator(tmp_path, monkeypatch)


def session(**more: Any) -> IscsiSession:
    return IscsiSession(**{"name": IQN, "portal": PORTAL, **more})


def test_logged_in_and_kept_for_the_next_boot(initiator: Initiator) -> None:
    where = f"{IQN} at {PORTAL}"
    assert initiator.converge(session()) == [
        f"iscsiadm: record of {where}\niscsiadm: log in to {where}"
    ]
    assert fields(initiator.record.read_text())["node.startup"] == "automatic"
    assert initiator.converge(session()) == []
    assert initiator.converge(session(startup="manual")) != []
    assert fields(initiator.record.read_text())["node.conn[0].startup"] == "manual"
    assert len([call for call in initiator.calls() if "--login" in call]) == 1


def test_chap_is_in_the_record_and_on_no_command_line(initiator: Initiator) -> None:
    initiator.set(password=f"password = {PASSWORD}\n")
    wanted = session(username="web1", password=PASSWORD)
    initiator.converge(wanted)
    held = fields(initiator.record.read_text())
    assert held["node.session.auth.authmethod"] == "CHAP"
    assert held["node.session.auth.username"] == "web1"
    assert initiator.record.stat().st_mode & 0o777 == 0o600
    assert not any(PASSWORD in call for call in initiator.calls())
    assert "password" in secret_fields(IscsiSession)
    # Another one is for the next login: the session stays.
    before = initiator.calls()
    initiator.converge(session(username="web1", password="another-s3cret"))
    assert initiator.calls() == before
    initiator.converge(session(username="none"))
    assert PASSWORD not in initiator.record.read_text()
    assert "another" not in initiator.record.read_text()


def test_a_wrong_password_is_said_to_be_one(initiator: Initiator) -> None:
    initiator.set(password="password = right-one\n")
    with pytest.raises(Rejected, match="does not take the username and password") as caught:
        converge(ROOT, session(username="web1", password=PASSWORD), state=initiator.path)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("code", [4, 8, 20])
def test_a_portal_that_is_away_is_tried_again(code: int, initiator: Initiator) -> None:
    initiator.set(away=code)
    with pytest.raises(Temporary, match="timed out"):
        converge(ROOT, session(), state=initiator.path)
    initiator.set(away=0)
    initiator.converge(session())


def test_drift(initiator: Initiator) -> None:
    initiator.converge(session())
    converge(ROOT, session(state="logged_out"), state=initiator.path)
    (change,) = look(ROOT, session())
    assert [(field.old, field.new) for field in change.fields] == [("logged_out", "logged_in")]
    initiator.converge(session())


def test_absent_logs_out_and_forgets(initiator: Initiator) -> None:
    initiator.converge(session())
    other = initiator.nodes / IQN / "10.0.0.6,3260"
    other.write_text(RECORD)
    converge(ROOT, session(ensure="absent"), state=initiator.path)
    assert not initiator.record.exists()
    assert other.exists()
    assert iscsi.sessions() == {}


MOUNTED = "36 35 259:77 / /srv/data rw,noatime shared:1 - ext4 /dev/sdrwt rw\n"


def mounted(initiator: Initiator, patch: pytest.MonkeyPatch) -> str:
    (initiator.path / "mountinfo").write_text(MOUNTED)
    patch.setattr(iscsi, "MOUNTINFO", initiator.path / "mountinfo")
    return "sdrwt is mounted at /srv/data"


def part_mounted(initiator: Initiator, patch: pytest.MonkeyPatch) -> str:
    block = initiator.sys / "class/block"
    (block / "sdrwt/sdrwt1").mkdir()
    (block / "sdrwt/sdrwt1/partition").write_text("1")
    (block / "sdrwt1").mkdir()
    (block / "sdrwt1/dev").write_text("259:78")
    (initiator.path / "mountinfo").write_text(MOUNTED.replace(":77", ":78"))
    patch.setattr(iscsi, "MOUNTINFO", initiator.path / "mountinfo")
    return "sdrwt is mounted at /srv/data"


def held(initiator: Initiator, _: pytest.MonkeyPatch) -> str:
    (initiator.sys / "class/block/sdrwt/holders/dm-3").mkdir()
    return "sdrwt is part of dm-3"


def swapped(initiator: Initiator, patch: pytest.MonkeyPatch) -> str:
    (initiator.path / "swaps").write_text("Filename Type\n/dev/sdrwt partition 1 0 -2\n")
    patch.setattr(iscsi, "SWAPS", initiator.path / "swaps")
    return "sdrwt is swap"


@pytest.mark.parametrize("use", [mounted, part_mounted, held, swapped])
@pytest.mark.parametrize("how", [{"ensure": "absent"}, {"state": "logged_out"}])
def test_a_disk_in_use_keeps_its_session(
    use: Any, how: dict[str, Any], initiator: Initiator, monkeypatch: pytest.MonkeyPatch
) -> None:
    initiator.converge(session())
    why = use(initiator, monkeypatch)
    with pytest.raises(Rejected, match=f"not logged out: /dev/{why}"):
        converge(ROOT, session(**how), state=initiator.path)
    assert iscsi.sessions() == {IQN: {PORTAL: "session3"}}
    assert initiator.record.exists()


def test_the_declared_portal_is_meant_of_several() -> None:
    known = [Record("a", "10.0.0.6:3260", RECORD), Record("b", PORTAL, RECORD)]
    seen = observed(session(), known, {"10.0.0.6:3260": "session1"})
    assert seen is not None
    assert (seen.portal, seen.state) == (PORTAL, "logged_out")
    assert observed(session(), [], {}) is None


def test_a_record_is_edited_and_nothing_else_in_it() -> None:
    changed = edited(RECORD, {"node.startup": "automatic", "node.session.auth.username": "x"})
    assert changed == RECORD.replace(
        "node.startup = manual", "node.startup = automatic", 1
    ).replace("# END", "node.session.auth.username = x\n# END")
    assert edited(changed, {"node.startup": "manual", "node.session.auth.username": None}) == RECORD


@pytest.mark.parametrize(
    ("text", "portal"),
    [
        ("10.0.0.5", PORTAL),
        ("10.0.0.5:3260", PORTAL),
        ("10.0.0.5:860", "10.0.0.5:860"),
        ("fd00::5", "[fd00::5]:3260"),
        ("[fd00::5]", "[fd00::5]:3260"),
        ("[fd00:0::5]:860", "[fd00::5]:860"),
    ],
)
def test_portals(text: str, portal: str) -> None:
    assert canonical_portal(text) == portal


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"name": "disk1", "portal": PORTAL}, "not an iSCSI name"),
        ({"name": "iqn.2026-11.example:../x", "portal": PORTAL}, "not an iSCSI name"),
        ({"name": IQN}, "needs a portal"),
        ({"name": IQN, "portal": "san-a:3260"}, "not an IP address"),
        ({"name": IQN, "portal": "10.0.0.5:0"}, "1 to 65535"),
        ({"name": IQN, "portal": PORTAL, "username": "x"}, "needs a password"),
        ({"name": IQN, "portal": PORTAL, "username": "x", "password": "a\nb"}, "password"),
    ],
)
def test_wrong(given: dict[str, Any], why: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=why):
        from_data(IscsiSession, given)


def test_what_it_needs() -> None:
    assert Address("package", "open-iscsi") in session().implied_needs()


def _records(folder: str) -> None:
    """In a mount namespace of its own: iscsiadm's own records, without a login."""
    subprocess.run(["mount", "--bind", folder, "/etc/iscsi"], check=True)
    for portal in (PORTAL, "[fd00::5]:3260"):
        wanted = session(portal=portal, username="web1", password=PASSWORD, state="logged_out")
        assert len(converge(ROOT, wanted, state=Path(folder))) == 1
        assert look(ROOT, wanted) == []
        address = portal.rpartition(":")[0].strip("[]")
        shown = subprocess.run(
            ["iscsiadm", "-m", "node", "-T", IQN, "-p", portal, "-S"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        held = fields(shown)
        assert held["node.session.auth.username"] == "web1"
        assert held["node.session.auth.password"] == PASSWORD
        assert held["node.startup"] == "automatic"
        assert held["node.conn[0].address"] == address
    first = session(ensure="absent")
    converge(ROOT, first, state=Path(folder))
    assert look(ROOT, first) != []  # by its other portal
    both = session(portal="fd00::5", ensure="absent")
    converge(ROOT, both, state=Path(folder))
    assert look(ROOT, both) == []
    assert not list(Path(folder).glob("nodes/*/*"))


@pytest.mark.root
@pytest.mark.apt
@pytest.mark.skipif(bool(parts.missing("iscsiadm")), reason=parts.missing("iscsiadm"))
@pytest.mark.proves(
    "linux",
    "iscsi_session",
    over="local",
    on="real",
    by="open-iscsi's records; logging in on a stand-in",
)
def test_open_iscsis_own_records(tmp_path: Path) -> None:
    reason = parts.no_namespaces()
    if reason:
        pytest.skip(reason)
    (tmp_path / "iscsid.conf").write_text("node.startup = manual\n")
    (tmp_path / "initiatorname.iscsi").write_text("InitiatorName=iqn.2026-11.example:web1\n")
    inside.call("", _records, str(tmp_path), wrapper=("unshare", "-m"))
