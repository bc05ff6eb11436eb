"""What tgt can hold and what it must not be told: pure functions over declared and observed resources.

Access is per target: each initiator that a target lets in sees all its LUNs. So the exports of one
target are always all its volumes to all its initiators, and anything else needs a target of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Permanent
from rackwright.model.resource import Resource
from rackwright_providers.san import sizes, tgt_conf
from rackwright_providers.san.resources import Chap, Export, Target, Volume

SECTOR = 512
"""Bytes: tgtd's block size, in which volumes are counted."""
READY = "ready"

_POOL = re.compile(r"(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")
_TARGET = re.compile(r"[a-z0-9.:-]+")  # tgt_target_create lets nothing else through
_INITIATOR = re.compile(r"[a-z0-9._:-]+")
LARGEST = sizes.LARGEST // SECTOR * SECTOR


def canonical(resource: Resource) -> Resource:
    """See `Provider.canonical`."""
    if isinstance(resource, Volume):
        return _volume(resource)
    if isinstance(resource, Target):
        if not _TARGET.fullmatch(resource.name):
            raise Permanent(f"tgt takes letters, digits, '.', ':' and '-' in {resource.name!r}")
        return msgspec.structs.replace(resource, state=READY)
    if isinstance(resource, Export):
        return _export(resource)
    if isinstance(resource, Chap) and not _holds(resource.password):
        raise Permanent(
            f"the password of chap/{resource.name} cannot be kept in tgt's configuration: "
            "up to 223 letters, digits and ._:@%+,/-"
        )
    return resource


def _holds(password: str | None) -> bool:
    if password is None:
        return True
    return bool(tgt_conf.WORD.fullmatch(password)) and len(password) <= 223


def _volume(volume: Volume) -> Volume:
    pool = (volume.pool or tgt_conf.POOL).rstrip("/")
    if not _POOL.fullmatch(pool):
        raise Permanent(f"the pool {pool!r} is no absolute path of letters, digits and ._-")
    size = volume.bytes
    if size is not None:
        size = sizes.round_up(size, SECTOR)
        if size > LARGEST:
            raise Permanent(f"a volume here is at most {sizes.show(LARGEST)}")
    return msgspec.structs.replace(volume, pool=pool, size=size)


def _export(export: Export) -> Export:
    if not _INITIATOR.fullmatch(export.initiator):
        raise Permanent(f"tgt cannot be told of the initiator {export.initiator!r}")
    if export.ensure == "absent":
        return export
    if export.target is None:
        raise Permanent(f"{export.address} needs `target:`, the IQN that it is shown through")
    if export.chap is not None:
        raise Permanent("tgt keeps CHAP with the target: declare `chap` there, not with the export")
    if export.lun == 0:
        raise Permanent("LUN 0 is tgtd's own controller: use 1 to 16383")
    return export


def path_of(volume: Volume) -> str:
    """The file behind a canonical volume."""
    return f"{volume.pool}/{volume.name}.img"


def refuse(changes: Sequence[Change], observed: Mapping[Address, Resource]) -> dict[Address, str]:
    """See `Provider.refuse`."""
    after = dict(observed)
    for change in changes:
        if change.action == "remove":
            after.pop(change.address, None)
        elif change.action in ("create", "update") and change.after is not None:
            after[change.address] = _merged(change)
    found: dict[Address, str] = {}
    for change in changes:
        why = ""
        if isinstance(change.after, Volume) and isinstance(change.before, Volume):
            why = _volume_change(change.before, change.after)
        elif isinstance(change.after, Export) and change.action in ("create", "update"):
            why = _export_change(after[change.address], after)
        elif isinstance(change.before, Export) and change.action == "remove":
            why = _leaks(change.before.target or "", after)
        elif change.action == "remove":
            why = _still_used(change.address, after)
        if why:
            found[change.address] = why
    return found


def _merged(change: Change) -> Resource:
    """What is there after ``change``: what was observed, with the fields that are declared."""
    assert change.after is not None  # noqa: S101  of a create or an update
    if change.before is None:
        return change.after
    given = {name: getattr(change.after, name) for name in change.field_names}
    return msgspec.structs.replace(change.before, **given)


def _volume_change(before: Volume, after: Volume) -> str:
    if after.pool != before.pool:
        return f"it is in {before.pool}: a volume is not moved to another pool"
    if before.bytes and after.bytes and after.bytes < before.bytes:
        return f"a volume is never made smaller, and this one has {sizes.show(before.bytes)}"
    return ""


def _still_used(gone: Address, after: Mapping[Address, Resource]) -> str:
    """What keeps ``gone`` in use."""
    for other in after.values():
        if isinstance(other, Export):
            if gone == Address("volume", other.volume):
                return f"{other.address} still shows it"
            if gone == Address("target", other.target or ""):
                return f"{other.address} is still shown through it"
        if isinstance(other, Target) and gone == Address("chap", other.chap or ""):
            return f"{other.address} still uses it"
    return ""


def _export_change(export: Resource, after: Mapping[Address, Resource]) -> str:
    assert isinstance(export, Export)  # noqa: S101
    for other in _through(export.target or "", after.values()):
        if other.volume == export.volume:
            for field, words in (("lun", "one LUN number"), ("read_only", "one `read_only`")):
                mine, theirs = getattr(export, field), getattr(other, field)
                if None not in (mine, theirs) and mine != theirs:
                    return f"{other.address} has {theirs}, and a volume has {words} in a target"
        elif export.lun is not None and export.lun == other.lun:
            return f"LUN {export.lun} of this target is that of {other.address}"
    return _leaks(export.target or "", after)


def _leaks(target: str, after: Mapping[Address, Resource]) -> str:
    """Which export nobody asked for would come with those of ``target``."""
    through = list(_through(target, after.values()))
    for volume in sorted({export.volume for export in through}):
        for initiator in sorted({export.initiator for export in through}):
            if not any((one.volume, one.initiator) == (volume, initiator) for one in through):
                return (
                    f"tgt keeps access with the target, so {initiator} would see {volume} too: "
                    f"declare export/{volume}:{initiator}, or use a target of its own"
                )
    return ""


def _through(target: str, resources: Iterable[Resource]) -> Iterable[Export]:
    return (one for one in resources if isinstance(one, Export) and one.target == target)
