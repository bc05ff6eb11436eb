"""The configuration files from which ``tgt-admin`` makes targets when tgtd starts: targets.conf(5).

A file a target, written from what tgtd holds, and a file a CHAP account, which the files of targets
include. tgt-admin reads them by Perl's Config::General and puts their values into shell commands as
they stand, so every value is of a small alphabet (`WORD`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

from rackwright_providers.san.resources import VOLUME_NAME
from rackwright_providers.san.tgt_show import LiveTarget, State

ROOT = "/etc/tgt/targets.conf"
FOLDER = "/etc/tgt/conf.d"
"""Read by way of an ``include`` in `ROOT`, as Debian, Ubuntu and Fedora ship it."""
PREFIX = f"{FOLDER}/rackwright-"

NOBODY = "255.255.255.255"
"""A target without any ``initiator-address`` is opened to ALL by tgt-admin, also where it has
``initiator-name``, and tgtd lets in who matches either. So there is an address that no peer can have.
0.0.0.0 would not do: tgtd compares it with four bytes of an IPv6 peer that are zero."""

POOL = "/srv/tgt"
"""The directory of volumes that name no other."""

WORD = re.compile(r"[A-Za-z0-9._:@%+,/-]+")
"""What neither a shell nor Config::General (``#``, ``$``, ``=``, quotes) reads as anything else."""

_INCLUDE = re.compile(rf"^\s*include\s+{re.escape(FOLDER)}/\*\.conf\s*$", re.MULTILINE | re.I)
_HEADING = re.compile(r"^\s*<\s*target\s+\"?([^\s\">]+)", re.MULTILINE | re.I)
_SAVED = re.compile(r"<backing-store (\S+)>\s+lun (\d+)|^# lun (\d+) was (\S+)$", re.MULTILINE)
_ACCOUNT = re.compile(rf"^\s*include {re.escape(PREFIX)}chap-(\S+)\.secret$", re.MULTILINE)
_TOP = "# Written by Rackwright from what tgtd holds. What is changed here is lost.\n"


def path_of(iqn: str) -> str:
    """The file of a target of ours."""
    return f"{PREFIX}{iqn}.conf"


def secret_of(account: str) -> str:
    """The file of a CHAP account of ours. Its name is none that tgt-admin reads by itself."""
    return f"{PREFIX}chap-{account}.secret"


def ours(files: Mapping[str, str]) -> frozenset[str]:
    """IQNs of the targets that have a file of ours."""
    return frozenset(
        path[len(PREFIX) : -len(".conf")]
        for path in files
        if path.startswith(PREFIX) and path.endswith(".conf")
    )


def volume_of(path: str) -> str:
    """The volume whose file ``path`` is; empty when it is none."""
    name = path.rpartition("/")[2]
    stem = name.removesuffix(".img")
    return stem if stem != name and VOLUME_NAME.fullmatch(stem) else ""


def pools(state: State) -> frozenset[str]:
    """The directories of the volumes that our targets show."""
    mine = ours(state.files)
    return frozenset(
        lun.path.rpartition("/")[0]
        for iqn, live in state.targets.items()
        if iqn in mine
        for lun in live.luns
        if volume_of(lun.path)
    )


def included(files: Mapping[str, str]) -> bool:
    """Whether `ROOT` includes what is in `FOLDER`."""
    return bool(_INCLUDE.search(files.get(ROOT, "")))


def elsewhere(files: Mapping[str, str], iqn: str) -> str:
    """A file of somebody else's that makes the same target; empty when there is none."""
    for path, text in sorted(files.items()):
        live = path == ROOT or (path.startswith(f"{FOLDER}/") and path.endswith(".conf"))
        if live and path != path_of(iqn) and iqn in _HEADING.findall(text):
            return path
    return ""


def users_of(files: Mapping[str, str], path: str) -> list[str]:
    """Configuration files in which ``path`` stands, comments left out."""
    whole = re.compile(rf"^[^#\n]*(?<![^\s\"]){re.escape(path)}(?![^\s\">])", re.MULTILINE)
    return sorted(name for name, text in files.items() if whole.search(text))


def saved_luns(text: str) -> dict[str, int]:
    """LUN numbers by path, also of those that had one when tgtd was last seen with them."""
    return {one or other: int(number or old) for one, number, old, other in _SAVED.findall(text)}


def saved_accounts(text: str) -> tuple[str, ...]:
    """CHAP accounts of a file of ours."""
    return tuple(_ACCOUNT.findall(text))


def account(name: str, secret: str) -> str:
    """An account's file."""
    return f"incominguser {name} {secret}\n"


def digest(name: str, secret: str) -> str:
    """SHA-256 of an account's file: whether it is as declared can be told without reading it."""
    return hashlib.sha256(account(name, secret).encode()).hexdigest()


def target(live: LiveTarget, old: str = "", gone: Iterable[str] = ()) -> str:
    """A target's file. A LUN of the ``old`` file that is not there now (tgtd was restarted, say) keeps
    its number in a comment, unless its path is ``gone`` for good: initiators know disks by it."""
    lines = [f"<target {live.iqn}>"]
    for lun in live.luns:
        lines += [f"    <backing-store {lun.path}>", f"        lun {lun.number}"]
        lines += [f"        scsi_id {lun.scsi_id}"] if WORD.fullmatch(lun.scsi_id) else []
        lines += [f"        scsi_sn {lun.scsi_sn}"] if WORD.fullmatch(lun.scsi_sn) else []
        lines += ["        readonly 1"] if lun.read_only else []
        lines += [f"        bs-type {lun.kind}"] if lun.kind != "rdwr" else []
        lines += ["    </backing-store>"]
    lines += [f"    include {secret_of(name)}" for name in live.accounts]
    lines += [f"    initiator-name {name}" for name in sorted(live.initiators)]
    addresses = sorted({*live.addresses, NOBODY})
    lines += [f"    initiator-address {address}" for address in addresses]
    lines += ["</target>"]
    paths = {lun.path for lun in live.luns} | set(gone)
    numbers = {lun.number for lun in live.luns}
    lines += [
        f"# lun {number} was {path}"
        for path, number in sorted(saved_luns(old).items())
        if path not in paths and number not in numbers
    ]
    return _TOP + "".join(f"{line}\n" for line in lines)


def unsavable(live: LiveTarget, secrets: Mapping[str, str]) -> str:
    """Why a target's file could not be written whole; empty when it can."""
    for name in live.accounts:
        if secret_of(name) not in secrets:
            return f"the password of its CHAP account {name} is not known here: declare chap/{name}"
    if live.outgoing:
        return f"it proves itself as {live.outgoing}, whose password is not known here"
    for lun in live.luns:
        if not WORD.fullmatch(lun.path):
            return f"tgt-admin cannot be told of {lun.path!r}"
    return ""
