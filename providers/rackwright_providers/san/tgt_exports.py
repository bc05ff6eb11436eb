"""The steps that show volumes to initiators, and stop showing them.

An export is a LUN of its target together with an entry of the target's access list, and other exports
share both. What would give more than was asked for is refused before anything is done.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from rackwright.model.errors import Rejected
from rackwright_providers.san import tgt_conf
from rackwright_providers.san.resources import Export
from rackwright_providers.san.tgt_session import TgtWriter
from rackwright_providers.san.tgt_show import LiveTarget, Lun, State
from rackwright_providers.san.tgt_steps import TgtStep, lun_words, persist, tid_words

LUNS = range(1, 16384)
"""LUN 0 is tgtd's controller; the largest is that of flat addressing (SAM-4, 4.7.7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PutExport(TgtStep):
    """A LUN for the volume, and its initiator let in."""

    export: Export
    """With all that it is to have; what is None may be anything."""
    permitted: frozenset[tuple[str, str]]
    """Volumes and the initiators that may see them through this target."""
    leaving: RemoveExport | None = None
    """The same through another target, until now."""

    def apply(self, host: TgtWriter) -> None:
        export, iqn = self.export, self.export.target or ""
        state = host.state()
        live = state.targets.get(iqn)
        if live is None:
            raise Rejected(f"there is no target {iqn}")
        if iqn not in tgt_conf.ours(state.files):
            raise Rejected(
                f"target {iqn} is kept by somebody else: declare target/{iqn} too, so that what is "
                "shown through it outlives a restart of tgtd"
            )
        path = self._path(state)
        self._check(live, path)
        lun = live.lun_of(path)
        if lun is not None and export.lun not in (None, lun.number):
            host.tell(*lun_words("delete", live, lun.number))
            lun = None
        if lun is None:
            lun = self._add(host, state, live, path)
        if export.read_only not in (None, lun.read_only):
            flag = "readonly=1" if export.read_only else "readonly=0"
            host.tell(*lun_words("update", live, lun.number), "--params", flag)
        if export.initiator not in live.initiators:
            name = ("--initiator-name", export.initiator)
            host.tell("bind", "--mode", "target", *tid_words(live), *name)
        persist(host, iqn)
        if self.leaving is not None:
            self.leaving.apply(host)

    def _path(self, state: State) -> str:
        for backing in state.backings:
            if tgt_conf.volume_of(backing.path) == self.export.volume:
                return backing.path
        raise Rejected(f"there is no volume {self.export.volume}")

    def _check(self, live: LiveTarget, path: str) -> None:
        """Raises Rejected when somebody would see what was not meant for them."""
        open_to = [address for address in live.addresses if address != tgt_conf.NOBODY]
        if open_to:
            raise Rejected(f"the target lets in everybody at {', '.join(open_to)}")
        for shown in (path, *(lun.path for lun in live.luns)):
            for initiator in (self.export.initiator, *live.initiators):
                if (tgt_conf.volume_of(shown), initiator) not in self.permitted:
                    raise Rejected(f"{initiator} would see {shown} too, which is not declared")

    def _add(self, host: TgtWriter, state: State, live: LiveTarget, path: str) -> Lun:
        number = self.export.lun
        taken = {lun.number for lun in live.luns if lun.path != path}
        if number is None:
            # The one that it had before tgtd was restarted, and no other's: disks are known by it.
            saved = tgt_conf.saved_luns(state.files[tgt_conf.path_of(live.iqn)])
            kept = saved.get(path)
            free = (one for one in LUNS if one not in taken and one not in saved.values())
            number = kept if kept is not None and kept not in taken else next(free, None)
        if number is None or number in taken:
            raise Rejected(f"LUN {number or 'numbers'} of target {live.iqn}: taken")
        host.tell(*lun_words("new", live, number), "--backing-store", path)
        identity = hashlib.sha256(f"{live.iqn} {path}".encode()).hexdigest()
        # tgtd makes these up from the target's number, which is another one after a restart.
        params = f"scsi_id={identity[:32]},scsi_sn={identity[:16]}"
        host.tell(*lun_words("update", live, number), "--params", params)
        return Lun(number, path)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveExport(TgtStep):
    """The LUN goes when no other initiator is to see it, else the initiator, when no other volume is
    for it. An initiator that is let in no more is logged out."""

    export: Export
    going: frozenset[tuple[str, str]]
    """Volumes and initiators of this target that go in this run, this one among them."""

    def apply(self, host: TgtWriter) -> None:
        export = self.export
        live = host.state().targets.get(export.target or "")
        if live is None:
            return
        lun = next(
            (one for one in live.luns if tgt_conf.volume_of(one.path) == export.volume), None
        )
        if lun is None or export.initiator not in live.initiators:
            return
        # Both where both are of no use any more: an initiator without a LUN could log in still.
        volume_goes = all((export.volume, name) in self.going for name in live.initiators)
        initiator_goes = all(
            (tgt_conf.volume_of(one.path), export.initiator) in self.going for one in live.luns
        )
        if not volume_goes and not initiator_goes:
            raise Rejected(
                f"target {live.iqn} shows {export.volume} to others, and {export.initiator} other "
                "volumes: tgt keeps access with the target"
            )
        if volume_goes:
            host.tell(*lun_words("delete", live, lun.number))
        if initiator_goes:
            self._shut_out(host, live)
        persist(host, live.iqn, [lun.path] if volume_goes else [])

    def _shut_out(self, host: TgtWriter, live: LiveTarget) -> None:
        name = ("--initiator-name", self.export.initiator)
        host.tell("unbind", "--mode", "target", *tid_words(live), *name)
        for session in live.sessions:
            if session.initiator == self.export.initiator:
                for connection in session.connections:
                    where = ("--sid", str(session.number), "--cid", str(connection))
                    host.tell("delete", "--mode", "conn", *tid_words(live), *where)
