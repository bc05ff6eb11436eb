"""What an EqualLogic group can hold, what it must not be told, and what was seen of it, as resources.
Pure.

Each volume is an iSCSI target of its own, with one LUN, 0. Who may log in stands in the volume's access
records.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Permanent
from rackwright.model.resource import Resource
from rackwright_providers.san import sizes
from rackwright_providers.san.eql_parse import UNITS, Record, Row
from rackwright_providers.san.resources import Chap, Export, Volume

UNIT = 15 * UNITS["MB"]
"""Bytes: sizes of volumes are rounded up to 15 MB (Group Manager Administrator's Guide)."""
LARGEST = 15 * UNITS["TB"]
"""The same guide."""
NO_CHAP = "none"
"""As the command line calls it: ``authmethod none``."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}")
_POOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}")
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")
_PASSWORD = re.compile(r"[A-Za-z0-9._%+,/=@~^*-]{1,254}")
"""Printable but space and colon, the guide says; and but what the command line takes for a quote, a
comment or a call for help."""


def canonical(resource: Resource) -> Resource:
    """See `Provider.canonical`."""
    if isinstance(resource, Volume):
        return _volume(resource)
    if isinstance(resource, Export):
        return _export(resource)
    if isinstance(resource, Chap):
        return _chap(resource)
    raise Permanent(f"an EqualLogic group has no {resource.kind}: a volume is a target of its own")


def _volume(volume: Volume) -> Volume:
    if not _NAME.fullmatch(volume.name):
        raise Permanent(f"volume {volume.name}: a name here is letters, digits, '.' and '-'")
    if volume.pool is not None and not _POOL.fullmatch(volume.pool):
        raise Permanent(f"pool {volume.pool!r}: a name here is letters, digits, '.' and '-'")
    size = volume.bytes
    if size is not None:
        size = sizes.round_up(size, UNIT)
        if size > LARGEST:
            raise Permanent(f"a volume here is at most {sizes.show(LARGEST)}")
    return msgspec.structs.replace(volume, size=size)


def _export(export: Export) -> Export:
    if not _NAME.fullmatch(export.volume):
        raise Permanent(f"{export.address}: a volume's name is letters, digits, '.' and '-'")
    if "*" in export.initiator or "?" in export.initiator:
        raise Permanent(f"{export.address}: an export is for one initiator, not for a pattern")
    if export.target is not None:
        raise Permanent("a volume of an EqualLogic group is its own target: leave `target` out")
    if export.lun not in (None, 0):
        raise Permanent("the LUN is always 0: a volume of an EqualLogic group is its own target")
    if export.read_only:
        raise Permanent(
            "an EqualLogic volume is read-only for all of its initiators or for none, not for one"
        )
    if export.chap not in (None, NO_CHAP) and not _ACCOUNT.fullmatch(export.chap or ""):
        raise Permanent(f"{export.chap!r} cannot be the name of a CHAP account here")
    return export


def _chap(chap: Chap) -> Chap:
    if not _ACCOUNT.fullmatch(chap.name) or chap.name == NO_CHAP:
        raise Permanent(f"{chap.name!r} cannot be the name of a CHAP account here")
    if chap.password is not None and not _PASSWORD.fullmatch(chap.password):
        raise Permanent(
            f"the password of chap/{chap.name} cannot be typed on this command line: "
            "up to 254 letters, digits and . _ % + , / = @ ~ ^ * -"
        )
    return chap


def observe(
    rows: Mapping[str, Row],
    pools: Mapping[str, str],
    access: Mapping[str, Sequence[Record]],
    accounts: Mapping[str, str | None],
) -> dict[Address, Resource]:
    """Everything that is there. ``pools`` and passwords are those that were asked for. Records that
    are not about one initiator (an address, an account, a pattern) are nobody's export."""
    found: dict[Address, Resource] = {}
    for row in rows.values():
        volume = _seen_volume(row, pools.get(row.name))
        if volume is not None:
            found[volume.address] = volume
    for name, records in access.items():
        for initiator in sorted({record.initiator for record in records if record.lets_in}):
            export = _seen_export(rows[name], initiator, records)
            if export is not None:
                found[export.address] = export
    for name, password in accounts.items():
        try:
            account = Chap(name=name, password=password)
        except ValueError:
            continue
        found[account.address] = account
    return found


def _seen_volume(row: Row, pool: str | None) -> Volume | None:
    try:
        size = sizes.round_up(row.size, UNIT) or None
        return Volume(name=row.name, size=size, thin=row.thin, pool=pool)
    except ValueError:  # a name that no site can write
        return None


def _seen_export(row: Row, initiator: str, records: Sequence[Record]) -> Export | None:
    """Of several records for one initiator, the one that asks for less counts."""
    if "*" in initiator or "?" in initiator:
        return None
    chaps = {record.chap for record in records_of(records, initiator)}
    chap = NO_CHAP if "" in chaps else ",".join(sorted(chaps))
    try:
        name = f"{row.name}:{initiator}"
        return Export(name=name, lun=0, read_only=row.read_only, chap=chap)
    except ValueError:
        return None


def records_of(records: Sequence[Record], initiator: str) -> list[Record]:
    """Those that let ``initiator`` in by name."""
    return [one for one in records if one.lets_in and one.initiator == initiator]


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
    if change.action == "create":
        if isinstance(new, Volume) and new.bytes is None:
            return "it needs a size to be made"
        if isinstance(new, Chap) and new.password is None:
            return "it needs a password to be made"
    elif change.action == "update":
        if isinstance(old, Volume) and isinstance(new, Volume):
            return _volume_change(change, old, new)
        if isinstance(new, Export) and "read_only" in change.field_names:
            return "the volume itself is read-only, for all of its initiators"
    elif change.action == "remove":
        for other in after.values():
            if isinstance(other, Export):
                if change.address == Address(Volume.kind, other.volume):
                    return f"{other.address} still shows it"
                if change.address == Address(Chap.kind, other.chap or ""):
                    return f"{other.address} still uses it"
    return ""


def _volume_change(change: Change, old: Volume, new: Volume) -> str:
    if "pool" in change.field_names:
        return f"it is in the pool {old.pool}: a volume is not moved to another pool"
    if "thin" in change.field_names:
        return "whether a volume is thin is said when it is made"
    if old.bytes and new.bytes and new.bytes < old.bytes:
        return f"a volume is never made smaller, and this one has {sizes.show(old.bytes)}"
    return ""
