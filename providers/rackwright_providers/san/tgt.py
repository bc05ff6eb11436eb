"""tgt, the Linux SCSI target framework in user space, managed by ``tgtadm`` over SSH.

tgtd keeps everything in memory. So each change is made in the running tgtd, where it disturbs no
session that it need not, and written to a file of ``/etc/tgt/conf.d``, from which tgt-admin makes it
again when tgtd is started. ``tgt-admin --update`` is not used: it removes the target first, and does
nothing while an initiator is logged in.

A volume is a file of a pool, which is a directory: ``/srv/tgt/NAME.img``. See `tgt_rules` for how
exports lie in targets.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from rackwright.model import typed
from rackwright.model.address import Address
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import Permanent
from rackwright.model.facts import Facts
from rackwright.model.resource import Resource
from rackwright.model.site import Ssh, Way
from rackwright.provider import Surroundings
from rackwright_providers.san import tgt_conf, tgt_exports, tgt_observe, tgt_rules, tgt_steps
from rackwright_providers.san.resources import Chap, Export, Target, Volume
from rackwright_providers.san.tgt_session import TgtReader, TgtWriter
from rackwright_providers.san.tgt_steps import TgtStep

_LATE = {Target.kind: 1, Chap.kind: 2, Volume.kind: 3}


class Tgt:
    """Provider of platform ``tgt``. Nouns: `volume`, `target`, `export`, `chap`."""

    platform = "tgt"
    resources: frozenset[type[Resource]] = frozenset({Volume, Target, Export, Chap})
    transports = frozenset({"ssh"})
    atomic = False
    undoes = False
    object_ids: tuple[str, ...] = ()
    probe = ("tgtadm", "--lld", "iscsi", "--op", "show", "--mode", "target")
    """A host with tgt shows a shell like any other: this tells it."""

    def open(self, way: Way, around: Surroundings) -> TgtReader:
        """A session over SSH; a `TgtWriter` only where ``around`` is writable."""
        from rackwright_providers.transport.ssh import open_ssh

        try:
            options = typed.convert(way.options, Ssh)
        except msgspec.ValidationError as error:
            raise Permanent(f"the ssh options cannot be used: {error}") from None
        kind = TgtWriter if around.writable else TgtReader
        return kind(open_ssh(options, around), around.stop)

    def canonical(self, resource: Resource) -> Resource:
        """Sizes in bytes, in whole sectors; the pool spelt out; a target's state is ``ready``."""
        return tgt_rules.canonical(resource)

    def read(self, session: TgtReader, wanted: Wanted) -> Mapping[Address, Resource]:
        """All there is, whatever was asked for: `refuse` needs the exports to judge a target."""
        declared = wanted.resources.values()
        pools = {one.pool for one in declared if isinstance(one, Volume) and one.pool}
        session.pools |= pools
        return tgt_observe.observe(session.state(), wanted.resources)

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        """What would show a volume to an initiator that nobody named, what is in use, what would be
        moved or made smaller."""
        return tgt_rules.refuse(changes, observed)

    def render(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Sequence[Step]:
        """One step a change. What an export may still hold on to goes last: a target that it is moved
        away from, say."""
        arranged = sorted(changes, key=_late)
        return [step for change in arranged if (step := _step(change, changes, observed))]

    def commit(self, session: TgtWriter, steps: Sequence[Step]) -> None:
        """The steps in their order."""
        for step in steps:
            if not isinstance(step, TgtStep):
                raise Permanent(f"{step.text!r} is no step of a tgt host")
            step.apply(session)

    def save(self, session: TgtWriter) -> bool:
        """Nothing to do: each step has written its files."""
        return False

    def carriers(
        self, session: TgtReader, observed: Mapping[Address, Resource]
    ) -> Collection[Address]:
        """None: an SSH session runs over no volume."""
        return ()

    def discover(self, session: TgtReader) -> Facts:
        """Targets, volumes, pools with their free space; initiators that are logged in."""
        state = session.state()
        spaces = session.spaces(sorted(session.pools))
        return tgt_observe.facts(state, spaces, session.version())


def _late(change: Change) -> int:
    return _LATE.get(change.address.type, 0) if change.action == "remove" else 0


def _step(
    change: Change, changes: Sequence[Change], observed: Mapping[Address, Resource]
) -> TgtStep | None:
    addresses, before, after = (change.address,), change.before, change.after
    if change.action == "remove":
        if isinstance(before, Export):
            return _remove_export(change, before, changes)
        if isinstance(before, Volume):
            path = tgt_rules.path_of(before)
            return tgt_steps.RemoveVolume(addresses=addresses, text=f"rm {path}", path=path)
        if isinstance(before, Target):
            text = f"tgtadm: delete target {before.name}\nrm {tgt_conf.path_of(before.name)}"
            return tgt_steps.RemoveTarget(addresses=addresses, text=text, iqn=before.name)
        text = f"tgtadm: delete account {change.address.name}"
        return tgt_steps.RemoveChap(addresses=addresses, text=text, name=change.address.name)
    if change.action not in ("create", "update"):
        return None
    if isinstance(after, Volume):
        return _put_volume(change, before if isinstance(before, Volume) else None, after)
    if isinstance(after, Export):
        return _put_export(change, after, changes, observed)
    if isinstance(after, Target):
        account = "" if after.chap is None else f", account {after.chap}"
        text = f"tgtadm: target {after.name}{account}\nwrite {tgt_conf.path_of(after.name)}"
        return tgt_steps.PutTarget(addresses=addresses, text=text, iqn=after.name, chap=after.chap)
    if isinstance(after, Chap):
        if after.password is None:
            raise Permanent(f"{change.address} needs a password to be made")
        text = f"tgtadm: account {after.name}\nwrite {tgt_conf.secret_of(after.name)}"
        return tgt_steps.PutChap(
            addresses=addresses, text=text, name=after.name, password=after.password
        )
    return None


def _put_volume(change: Change, before: Volume | None, after: Volume) -> TgtStep:
    size = after.bytes or (before.bytes if before else None)
    if size is None:
        raise Permanent(f"{change.address} needs a size to be made")
    thin = after.thin if after.thin is not None else bool(before and before.thin)
    path = tgt_rules.path_of(after)
    return tgt_steps.PutVolume(
        addresses=(change.address,),
        text=" ".join(tgt_steps.sizing(path, size, thin)),
        path=path,
        size=size,
        thin=thin,
        new=before is None,
        grows="size" in change.field_names,
    )


def _put_export(
    change: Change,
    after: Export,
    changes: Sequence[Change],
    observed: Mapping[Address, Resource],
) -> TgtStep:
    permitted = {
        (one.volume, one.initiator)
        for one in [*observed.values(), *(other.after for other in changes)]
        if isinstance(one, Export) and one.target == after.target and one.ensure == "present"
    }
    leaving = None
    if isinstance(change.before, Export) and "target" in change.field_names:
        leaving = _remove_export(change, change.before, changes)
    number = "" if after.lun is None else f" as LUN {after.lun}"
    access = " read-only" if after.read_only else ""
    lines = [f"tgtadm: target {after.target} shows {after.volume}{number}{access}"]
    lines.append(f"tgtadm: target {after.target} lets in {after.initiator}")
    return tgt_exports.PutExport(
        addresses=(change.address,),
        text="\n".join([*lines, *([leaving.text] if leaving else [])]),
        export=after,
        permitted=frozenset(permitted),
        leaving=leaving,
    )


def _remove_export(
    change: Change, before: Export, changes: Sequence[Change]
) -> tgt_exports.RemoveExport:
    going = {
        (one.volume, one.initiator)
        for other in changes
        for one in (other.before,)
        if isinstance(one, Export) and one.target == before.target
        if other.action == "remove" or "target" in other.field_names
    }
    return tgt_exports.RemoveExport(
        addresses=(change.address,),
        text=f"tgtadm: target {before.target} shows {before.volume} to {before.initiator} no more",
        export=before,
        going=frozenset(going),
    )
