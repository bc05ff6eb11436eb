"""What an array of the Dot Hill family can hold, what it must not be told, and what was seen of it, as
resources. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Permanent
from rackwright.model.resource import Resource
from rackwright_providers.san import sizes
from rackwright_providers.san.dothill_parse import Disk, Map
from rackwright_providers.san.resources import IQN, Chap, Export, Volume

UNIT = 4 * 2**20
"""Bytes: ``Volume sizes are aligned to 4.2-MB (4-MiB) boundaries``, and what is between is rounded down
(ME4 and ME5 CLI reference guides, create volume, expand volume): so it is rounded up before."""
LARGEST = 128 * 2**40
"""The same guides."""
LUNS = range(1024)
"""map volume, the same guides."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
"""create volume: 32 bytes, not ``" , . < \\``."""
_POOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_SECRET = re.compile(r"[A-Za-z0-9._+=@~!*-]{12,16}")
"""create chap-record: 12 to 16 bytes; and but what a path must not hold."""


def canonical(resource: Resource) -> Resource:
    """See `Provider.canonical`."""
    if isinstance(resource, Volume):
        return _volume(resource)
    if isinstance(resource, Export):
        return _export(resource)
    if isinstance(resource, Chap):
        return _chap(resource)
    raise Permanent(f"this array has no {resource.kind}: its targets are its own ports")


def _volume(volume: Volume) -> Volume:
    if not _NAME.fullmatch(volume.name):
        raise Permanent(f"volume {volume.name}: a name is up to 32 letters, digits, '_' and '-'")
    if volume.pool is not None and not _POOL.fullmatch(volume.pool):
        raise Permanent(f"{volume.pool!r} is no name of a pool")
    size = volume.bytes
    if size is not None:
        size = sizes.round_up(size, UNIT)
        if size > LARGEST:
            raise Permanent(f"a volume here is at most {sizes.show(LARGEST)}")
    return msgspec.structs.replace(volume, size=size)


def _export(export: Export) -> Export:
    if not _NAME.fullmatch(export.volume):
        raise Permanent(f"{export.address}: a volume's name has up to 32 letters, digits, '_', '-'")
    if "*" in export.initiator or "?" in export.initiator:
        raise Permanent(f"{export.address}: an export is for one initiator, not for a pattern")
    if export.target is not None:
        raise Permanent("this array shows volumes through its own ports: leave `target` out")
    if export.lun is not None and export.lun not in LUNS:
        raise Permanent(f"LUN {export.lun}: LUNs of this array are 0 to {LUNS[-1]}")
    if export.chap is not None:
        raise Permanent(
            "a CHAP account of this array is an initiator's, for all that it sees: "
            f"declare chap/{export.initiator}"
        )
    return export


def _chap(chap: Chap) -> Chap:
    if not IQN.fullmatch(chap.name):
        raise Permanent(f"chap/{chap.name}: the name of an account here is the initiator's IQN")
    if chap.password is not None and not _SECRET.fullmatch(chap.password):
        raise Permanent(
            f"the password of chap/{chap.name} must have 12 to 16 letters, digits and . _ + = @ ~ ! * -"
        )
    return chap


def nickname(iqn: str) -> str:
    """The nickname by which the array is told of an initiator that it has not seen: readable, its
    own, and at most 32 bytes."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", iqn.partition(":")[2]).strip("-")[:23]
    return f"{words or 'host'}-{hashlib.sha256(iqn.encode()).hexdigest()[:8]}"


def observe(
    disks: Mapping[str, Disk], maps: Iterable[Map], secrets: Mapping[str, str | None]
) -> dict[Address, Resource]:
    """Everything that is there. Maps that are not one initiator's are nobody's export."""
    found: dict[Address, Resource] = {}
    for disk in disks.values():
        try:
            size = sizes.round_up(disk.size, UNIT) or None
            volume = Volume(name=disk.name, size=size, thin=disk.thin, pool=disk.pool or None)
        except ValueError:  # a name that no site can write
            continue
        found[volume.address] = volume
    for one in maps:
        try:
            export = Export(
                name=f"{one.volume}:{one.initiator}", lun=one.lun, read_only=one.read_only
            )
        except ValueError:
            continue
        found[export.address] = export
    for name, secret in secrets.items():
        try:
            chap = Chap(name=name, password=secret)
        except ValueError:
            continue
        found[chap.address] = chap
    return found


def refuse(changes: Sequence[Change], observed: Mapping[Address, Resource]) -> dict[Address, str]:
    """See `Provider.refuse`."""
    after = dict(observed)
    for change in changes:
        if change.action == "remove":
            after.pop(change.address, None)
        elif change.action in ("create", "update") and change.after is not None:
            after[change.address] = change.after
    found = {}
    for change in changes:
        why = _why_not(change, after)
        if why:
            found[change.address] = why
    return found


def _why_not(change: Change, after: Mapping[Address, Resource]) -> str:
    old, new = change.before, change.after
    if change.action == "create" and isinstance(new, Volume):
        if new.bytes is None or new.pool is None:
            return "it needs a size and a pool to be made"
    elif change.action == "create" and isinstance(new, Chap) and new.password is None:
        return "it needs a password to be made"
    elif change.action == "update" and isinstance(old, Volume) and isinstance(new, Volume):
        return _volume_change(change, old, new)
    elif change.action == "remove" and isinstance(old, Volume):
        for other in after.values():
            if isinstance(other, Export) and other.volume == old.name:
                return f"{other.address} still shows it"
    if change.action in ("create", "update") and isinstance(new, Export) and new.lun is not None:
        for other in after.values():
            if (
                isinstance(other, Export)
                and other.address != new.address
                and (other.initiator, other.lun) == (new.initiator, new.lun)
            ):
                return f"LUN {new.lun} of this initiator is that of {other.address}"
    return ""


def _volume_change(change: Change, old: Volume, new: Volume) -> str:
    if "pool" in change.field_names:
        return f"it is in the pool {old.pool}: a volume is not moved to another pool"
    if "thin" in change.field_names:
        return "whether a volume is thin is that of its pool: those of virtual pools are"
    if old.bytes and new.bytes and new.bytes < old.bytes:
        return f"a volume is never made smaller, and this one has {sizes.show(old.bytes)}"
    return ""
