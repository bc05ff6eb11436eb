"""iSCSI sessions, by open-iscsi: node records, and the kernel's sessions in sysfs.

A record is made by ``iscsiadm`` and then edited in place, mode 0600: iscsiadm takes a password as an
argument alone, where every user of the host could read it. Layout of the records: idbm.c of
open-iscsi 2.1; names of their fields: iscsid.conf(5).
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Permanent, Rejected, Temporary
from rackwright.model.resource import Resource
from rackwright_providers.server.filesystems import claimed
from rackwright_providers.server.fstab import unescape
from rackwright_providers.server.handler import LocalStep
from rackwright_providers.server.storage_resources import IscsiSession, canonical_portal

if TYPE_CHECKING:
    from rackwright_providers.transport.local import Host, Reader

NODES = ("/etc/iscsi/nodes", "/var/lib/iscsi/nodes")
"""Where records are: Debian and SUSE, Fedora."""
SYSFS = Path("/sys")
MOUNTINFO = Path("/proc/self/mountinfo")
SWAPS = Path("/proc/swaps")

AUTH = "node.session.auth"
STARTUP = ("node.startup", "node.conn[0].startup")

EXISTS, NOTHING = 15, 21
"""ISCSI_ERR_SESS_EXISTS, ISCSI_ERR_NO_OBJS_FOUND: iscsi_err.h."""
WORTH_ANOTHER_TRY = frozenset({4, 8, 20})
"""ISCSI_ERR_TRANS, ISCSI_ERR_TRANS_TIMEOUT, ISCSI_ERR_ISCSID_NOTCONN."""
WRONG_LOGIN = 24
"""ISCSI_ERR_LOGIN_AUTH_FAILED."""
TIMEOUT = 120.0


class Record(NamedTuple):
    """A node record: what open-iscsi knows of a target at a portal."""

    path: str
    portal: str
    text: str


class IscsiHandler:
    """``iscsi_session``. Other records of the same target (other portals, other paths) stay."""

    nouns: ClassVar[tuple[type[Resource], ...]] = (IscsiSession,)
    root_only_files = False

    def read(self, host: Reader, wanted: Sequence[Resource]) -> Mapping[Address, Resource]:
        """I/O: the records, and the kernel's sessions."""
        live = sessions()
        found: dict[Address, Resource] = {}
        for one in wanted:
            if isinstance(one, IscsiSession):
                seen = observed(one, records(host, one.name), live.get(one.name, {}))
                if seen is not None:
                    found[one.address] = seen
        return found

    def render(self, changes: Sequence[Change]) -> Sequence[LocalStep]:
        """Pure: one step a change. Its text is all that it may do; it does what is still needed."""
        return [step for change in changes if (step := _step(change)) is not None]


def observed(
    wanted: IscsiSession, known: Sequence[Record], live: Mapping[str, str]
) -> IscsiSession | None:
    """``wanted`` as it is found among its records, and the portals that it is logged in at (with the
    names of their sessions). Of several portals the declared one is meant."""
    portals = [record.portal for record in known] or sorted(live)
    if not portals:
        return None
    portal = wanted.portal if wanted.portal in {*portals, *live} else portals[0]
    record = next((record for record in known if record.portal == portal), None)
    held = fields(record.text) if record else {}
    chap = held.get(f"{AUTH}.authmethod") == "CHAP"
    startup = held.get("node.startup")
    return IscsiSession(
        name=wanted.name,
        portal=portal,
        username=held.get(f"{AUTH}.username", "none") if chap else "none",
        password=(held.get(f"{AUTH}.password") or "unknown") if chap else None,
        startup=startup if startup in ("automatic", "manual") else None,  # type: ignore[arg-type]
        state="logged_in" if portal in live else "logged_out",
    )


def fields(text: str) -> dict[str, str]:
    """A record's ``name = value`` lines."""
    pairs = (line.partition(" = ") for line in text.splitlines() if not line.startswith("#"))
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}


def edited(text: str, changes: Mapping[str, str | None]) -> str:
    """A record with ``changes`` made; None takes a field out."""
    lines = []
    left = {name: value for name, value in changes.items() if value is not None}
    for line in text.splitlines():
        name = line.partition(" = ")[0].strip()
        if line.startswith("# END"):
            lines += [f"{key} = {value}" for key, value in left.items()]
            left = {}
        elif name in changes:
            value = left.pop(name, None)
            if value is None:
                continue
            line = f"{name} = {value}"
        lines.append(line)
    lines += [f"{key} = {value}" for key, value in left.items()]
    return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class PutSession(LocalStep):
    """A record that says what is declared, and a session."""

    wanted: IscsiSession

    def apply(self, host: Host) -> None:
        wanted = self.wanted
        portal = wanted.portal or ""
        node = ("iscsiadm", "-m", "node", "-T", wanted.name, "-p", portal)
        record = _record(host, wanted.name, portal)
        made = record is None
        if record is None:
            host.run([*node, "-o", "new"])
            record = _record(host, wanted.name, portal)
        if record is None:
            raise Rejected(f"iscsiadm made a record of {wanted.name} that is not in {NODES[0]}")
        text = edited(record.text, settings(wanted, made=made))
        if text != record.text:
            host.write(record.path, text.encode(), mode=0o600)
        live = sessions().get(wanted.name, {})
        if wanted.state == "logged_in" and portal not in live:
            _iscsiadm(host, [*node, "--login"], fine=EXISTS)
        elif wanted.state == "logged_out" and portal in live:
            _log_out(host, node, live[portal])


def settings(wanted: IscsiSession, *, made: bool) -> dict[str, str | None]:
    """The fields of a record that say what is declared; of one just ``made``, also by default."""
    found: dict[str, str | None] = {}
    startup = wanted.startup or ("automatic" if made else None)
    if startup:
        found |= dict.fromkeys(STARTUP, startup)
    if wanted.username == "none":
        found |= {f"{AUTH}.authmethod": "None"}
        found |= dict.fromkeys((f"{AUTH}.username", f"{AUTH}.password"))
    elif wanted.username is not None:
        found |= {f"{AUTH}.authmethod": "CHAP", f"{AUTH}.username": wanted.username}
        found |= {f"{AUTH}.password": wanted.password}
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveSession(LocalStep):
    """Log out, unless a disk is in use, and forget the record."""

    name: str
    portal: str

    def apply(self, host: Host) -> None:
        node = ("iscsiadm", "-m", "node", "-T", self.name, "-p", self.portal)
        live = sessions().get(self.name, {})
        if self.portal in live:
            _log_out(host, node, live[self.portal])
        if _record(host, self.name, self.portal):
            _iscsiadm(host, [*node, "-o", "delete"], fine=NOTHING)


def _step(change: Change) -> LocalStep | None:
    before, after = change.before, change.after
    if change.action == "remove" and isinstance(before, IscsiSession):
        text = f"iscsiadm: log out of {before.name} at {before.portal}, forget it"
        return RemoveSession(
            addresses=(change.address,), text=text, name=before.name, portal=before.portal or ""
        )
    if change.action not in ("create", "update") or not isinstance(after, IscsiSession):
        return None
    where = f"{after.name} at {after.portal}"
    lines = [f"iscsiadm: record of {where}"] if change.field_names != {"state"} else []
    if after.state == "logged_out":
        lines += [f"iscsiadm: log out of {where}"] if "state" in change.field_names else []
    else:
        lines.append(f"iscsiadm: log in to {where}")
    return PutSession(addresses=(change.address,), text="\n".join(lines), wanted=after)


def _iscsiadm(host: Host, argv: Sequence[str], *, fine: int) -> None:
    done = host.run(argv, timeout=TIMEOUT, check=False)
    if done.code in (0, fine):
        return
    said = (done.err.strip() or done.out.strip()).splitlines()
    text = said[-1].removeprefix("iscsiadm: ") if said else f"status {done.code}"
    if len(said) > 1 and text.startswith("Could not log"):
        text = said[-2].removeprefix("iscsiadm: ")
    if done.code in WORTH_ANOTHER_TRY:
        raise Temporary(f"iscsiadm: {text}")
    if done.code == WRONG_LOGIN:
        text = f"the target does not take the username and password: {text}"
    raise Rejected(f"iscsiadm: {text}", output=done.err)


def _log_out(host: Host, node: Sequence[str], session: str) -> None:
    for disk in disks(session):
        why = in_use(disk)
        if why:
            raise Rejected(f"not logged out: /dev/{disk} {why}")
    _iscsiadm(host, [*node, "--logout"], fine=NOTHING)


def records(host: Reader, iqn: str) -> list[Record]:
    """Records of a target: ``IQN/ADDRESS,PORT``, or with the portal group and a file an interface
    ``IQN/ADDRESS,PORT,TPGT/IFACE``."""
    found = []
    for folder in NODES:
        for entry in host.listdir(f"{folder}/{iqn}"):
            portal = _portal(entry)
            path = f"{folder}/{iqn}/{entry}"
            seen = host.stat(path)
            if portal is None or seen is None:
                continue
            inner = host.listdir(path) if stat.S_ISDIR(seen.st_mode) else ()
            for one in [f"{path}/{name}" for name in inner] or [path]:
                data = host.read_bytes(one)
                if data is not None:
                    found.append(Record(one, portal, data.decode(errors="surrogateescape")))
    return found


def _joined(address: str, port: str) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _record(host: Reader, iqn: str, portal: str) -> Record | None:
    return next((one for one in records(host, iqn) if one.portal == portal), None)


def _portal(entry: str) -> str | None:
    """``10.0.0.5,3260`` or ``10.0.0.5,3260,1`` as `canonical_portal` has it."""
    parts = entry.split(",")
    if len(parts) not in (2, 3):
        return None
    try:
        return canonical_portal(_joined(parts[0], parts[1]))
    except ValueError:
        return None


def sessions() -> dict[str, dict[str, str]]:
    """The kernel's sessions: target → portal → the session's name in sysfs. A session that is there
    and not connected at the moment counts: the kernel goes on trying."""
    found: dict[str, dict[str, str]] = {}
    for session in _entries(SYSFS / "class/iscsi_session"):
        iqn = _text(session / "targetname")
        number = session.name.removeprefix("session")
        for connection in _entries(SYSFS / "class/iscsi_connection"):
            if connection.name.startswith(f"connection{number}:"):
                address = _text(connection / "persistent_address")
                port = _text(connection / "persistent_port")
                with contextlib.suppress(ValueError):
                    portal = canonical_portal(_joined(address, port))
                    found.setdefault(iqn, {})[portal] = session.name
    return found


def disks(session: str) -> list[str]:
    """Names of the block devices that a session brings."""
    device = SYSFS / "class/iscsi_session" / session / "device"
    return sorted(path.name for path in device.glob("target*/*/block/*"))


def in_use(disk: str) -> str:
    """What a disk or a part of it is in use for; empty when it is not."""
    folder = SYSFS / "class/block" / disk
    parts = [disk, *(part.parent.name for part in folder.glob("*/partition"))]
    numbers = {_text(SYSFS / "class/block" / part / "dev"): part for part in parts}
    for line in _text(MOUNTINFO).splitlines():
        words = line.split(" ")
        if len(words) > 4 and words[2] in numbers:
            return f"is mounted at {unescape(words[4])}"
    swaps = {os.path.realpath(line.split()[0]) for line in _text(SWAPS).splitlines()[1:]}
    for part in parts:
        if f"/dev/{part}" in swaps:
            return "is swap"
        for holder in _entries(SYSFS / "class/block" / part / "holders"):
            return f"is part of {holder.name}"
    try:
        return "is in use" if claimed(f"/dev/{disk}") else ""
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"may be in use: {error.strerror}"


def _entries(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(folder.iterdir())
    except OSError:
        return


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise Permanent(f"{path}: {error.strerror}") from error
