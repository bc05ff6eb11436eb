"""The ledger: what this agent made here and so may take away again.

The intent is noted before a commit and the outcome after it, so that a crash at any instant between
the two loses no ownership: what may have been made counts as made until a read says that it is not
there. All changes of a ledger are pure; `LedgerFile` keeps it on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from rackwright.engine.files import replace
from rackwright.model import typed
from rackwright.model.address import Address
from rackwright.model.bundle import Asked, Declared, askers
from rackwright.model.change import Change
from rackwright.model.errors import Permanent


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One resource that we manage."""

    type: str
    data: dict[str, Any]
    """As last declared, in the platform's canonical spelling; secrets are markers."""
    made: bool = False
    """We made it, so we remove it when it is no longer declared. False: it was there before us."""
    digest: str = ""
    called: str = ""
    """The ``type/name`` by which the site and other nodes know it, where that is spelled otherwise."""
    needs: tuple[str, ...] = ()
    """Addresses that it rests on, here (``type/name``) and elsewhere (``node:type/name``)."""
    destroy: bool = False
    """It was declared with ``destroy: true``."""
    intent: Literal["", "create", "update", "remove"] = ""
    """Begun and not yet seen to be done."""
    before: str = ""
    """While ``intent`` is under way: the digest at which it was last seen as declared."""
    asked: tuple[Asked, ...] = ()
    """Who asked for it last."""

    @property
    def seen(self) -> str:
        """The digest at which it was last seen as declared; empty when it never was."""
        return self.before if self.intent else self.digest

    @property
    def address(self) -> Address:
        """Canonical, without a node."""
        return Address(self.type, self.data["name"])


class Ledger(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All entries of one node, by canonical address."""

    entries: dict[str, Entry] = {}
    notify: tuple[str, ...] = ()
    """Resources still to be restarted or reloaded because of changes made."""
    unsaved: bool = False
    """The device's running configuration may hold changes of ours that its startup lacks."""
    purged: tuple[str, ...] = ()
    """Resource types whose undeclared rest was seen to be gone since it is ours."""

    def get(self, address: Address) -> Entry | None:
        """The entry of ``address``, if any."""
        return self.entries.get(str(address))


def entry_of(item: Declared, canonical: Mapping[str, Any], **more: Any) -> Entry:
    """The entry that records ``item``; ``canonical`` is its data in the platform's spelling."""
    said, ours = str(item.address), f"{item.type}/{canonical['name']}"
    return Entry(
        type=item.type,
        data=dict(canonical),
        called=said if said != ours else "",
        digest=item.digest,
        needs=tuple(need.address for need in item.needs),
        destroy=item.destroy,
        asked=askers(item),
        **more,
    )


def intend(
    ledger: Ledger,
    changes: Iterable[Change],
    declared: Mapping[Address, Entry],
    notify: Iterable[str],
) -> Ledger:
    """The ledger to have on disk before ``changes`` are sent."""
    entries = dict(ledger.entries)
    for change in changes:
        key = str(change.address)
        known = entries.get(key)
        seen = known.seen if known else ""
        if change.action == "create":
            # Absent when we looked: whatever stands there after a crash is taken for ours.
            fresh = declared[change.address]
            entries[key] = msgspec.structs.replace(fresh, made=True, intent="create", before=seen)
        elif change.action == "update":
            fresh, made = declared[change.address], bool(known and known.made)
            entries[key] = msgspec.structs.replace(fresh, made=made, intent="update", before=seen)
        elif change.action == "remove" and known:
            entries[key] = msgspec.structs.replace(known, intent="remove", before=seen)
    return Ledger(
        entries=entries,
        notify=_union(ledger.notify, notify),
        unsaved=True,
        purged=ledger.purged,
    )


def settle(
    ledger: Ledger,
    *,
    verified: Mapping[Address, Entry],
    gone: Iterable[Address],
    unsent: Mapping[Address, Entry | None],
    due: Iterable[str],
    unsaved: bool,
    purged: Iterable[str] = (),
) -> Ledger:
    """The ledger after a run: ``verified`` are declared and were seen as declared, ``gone`` were
    seen not to be there or are let go, ``unsent`` were meant and never begun (with their entry from
    before), ``due`` are the notifications still to be given, ``purged`` the types whose undeclared rest is gone."""
    entries = dict(ledger.entries)
    for address, earlier in unsent.items():
        if earlier:
            entries[str(address)] = earlier
        else:
            entries.pop(str(address), None)
    for address, fresh in verified.items():
        known = entries.get(str(address))
        made = bool(known and known.made)
        entries[str(address)] = msgspec.structs.replace(fresh, made=made, intent="")
    for address in gone:
        entries.pop(str(address), None)
    return Ledger(entries=entries, notify=tuple(due), unsaved=unsaved, purged=tuple(sorted(purged)))


def _union(left: Iterable[str], right: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*left, *right)))


class LedgerFile:
    """A ledger on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        """Whether this agent has kept a ledger here."""
        return self.path.exists()

    def load(self) -> Ledger:
        """The ledger; empty when there is none. Raises Permanent when it cannot be read: to go on
        without it would forget what we own."""
        try:
            body = self.path.read_bytes()
        except FileNotFoundError:
            return Ledger()
        try:
            return decode(body)
        except msgspec.DecodeError as error:
            raise Permanent(
                f"{self.path} is damaged ({error}); restore it from the store's mirror or a backup."
                " Deleting it gives up ownership of what was made here: nothing would be removed"
            ) from error

    def store(self, ledger: Ledger) -> None:
        """Keep ``ledger``; on return it is on disk."""
        replace(self.path, encode(ledger))


class LedgerCopy(LedgerFile):
    """A ledger that is kept elsewhere, for runs that write nothing."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(Path())
        self._ledger = ledger

    def load(self) -> Ledger:
        """The copy."""
        return self._ledger

    def store(self, ledger: Ledger) -> None:
        """Never: a dry run keeps no ledger."""
        raise Permanent("a dry run has a copy of the ledger, which it must not write")


def encode(ledger: Ledger) -> bytes:
    """As kept on disk and mirrored to the store."""
    return msgspec.json.encode(ledger, order="sorted")


def decode(body: bytes) -> Ledger:
    """The other way round. Raises msgspec.DecodeError."""
    return typed.decode(body, Ledger)
