"""The steps that change a Dot Hill array. Each reads what is there right before it acts.

Parameters come in the order in which public clients send them, with the names of what is concerned last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rackwright.model.change import Step
from rackwright.model.errors import Rejected, Temporary
from rackwright_providers.san import dothill_parse, dothill_rules, sizes
from rackwright_providers.san.dothill_parse import (
    NOT_FOUND,
    UNKNOWN_INITIATOR,
    Disk,
    Initiator,
    Map,
)
from rackwright_providers.san.dothill_session import DotHillReader, DotHillWriter, Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class DotHillStep(Step):
    """One step. ``apply`` does it; it raises Rejected or Temporary."""

    def apply(self, array: DotHillWriter) -> None:
        """I/O."""
        raise AssertionError(f"{type(self).__name__} does not say how it is applied")


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVolume(DotHillStep):
    """A new volume that is shown to nobody. ``size`` in bytes."""

    name: str
    size: int
    pool: str
    thin: bool | None

    def apply(self, array: DotHillWriter) -> None:
        pool = dothill_parse.pools(array.show("pools")).get(self.pool)
        if pool is None:
            raise Rejected(f"the array has no pool {self.pool}")
        if self.thin is not None and pool.virtual != self.thin:
            kind = "virtual, and volumes are thin" if pool.virtual else "linear, and none is thin"
            raise Rejected(f"the pool {self.pool} is {kind}")
        array.run("create", "volume", "pool", self.pool, "size", f"{self.size}B", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowVolume(DotHillStep):
    """Make it larger by what it lacks now: the array is told a difference. ``size`` in bytes."""

    name: str
    size: int

    def apply(self, array: DotHillWriter) -> None:
        disk = disks(array).get(self.name)
        if disk is None:
            raise Rejected(f"the array has no volume {self.name}")
        held = sizes.round_up(disk.size, dothill_rules.UNIT)
        if held > self.size:
            raise Rejected(f"volume {self.name} has {sizes.show(held)} by now: it is not shrunk")
        if held < self.size:
            array.run("expand", "volume", "size", f"{self.size - held}B", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteVolume(DotHillStep):
    """Delete it, when it is shown to nobody: the array itself would take its maps away."""

    name: str

    def apply(self, array: DotHillWriter) -> None:
        whose = sorted(one.initiator for one in maps(array) if one.volume == self.name)
        if whose:
            raise Rejected(f"volume {self.name} is shown to {', '.join(whose)}")
        try:
            array.run("delete", "volumes", self.name)
        except Refused as error:
            if error.code != NOT_FOUND:
                raise


@dataclass(frozen=True, slots=True, kw_only=True)
class PutExport(DotHillStep):
    """Map it, or map it anew with another LUN or access. None: as it is, or the first LUN that this
    initiator has free, and to read and write."""

    volume: str
    initiator: str
    lun: int | None
    read_only: bool | None

    def apply(self, array: DotHillWriter) -> None:
        known = initiators(array)
        all_maps = maps(array, known)
        held = [one for one in all_maps if (one.volume, one.initiator) == self._pair]
        lun = self.lun
        if lun is None:
            lun = held[0].lun if held else None
        if lun is None:
            lun = self._free(all_maps)
        read_only = self.read_only
        if read_only is None:
            read_only = held[0].read_only if held else False
        access = "ro" if read_only else "rw"
        words = ("map", "volume", "access", access, "lun", str(lun), "initiator", self.initiator)
        try:
            array.run(*words, self.volume)
        except Refused as error:
            if error.code != UNKNOWN_INITIATOR:
                raise
            nickname = dothill_rules.nickname(self.initiator)
            array.run("set", "initiator", "id", self.initiator, "nickname", nickname)
            array.run(*words, self.volume)

    @property
    def _pair(self) -> tuple[str, str]:
        return (self.volume, self.initiator)

    def _free(self, all_maps: Iterable[Map]) -> int:
        """LUN 0 is left out: to some systems it is the array itself."""
        taken = {one.lun for one in all_maps if one.default or one.initiator == self.initiator}
        for lun in dothill_rules.LUNS[1:]:
            if lun not in taken:
                return lun
        raise Rejected(f"{self.initiator} has no LUN free")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteExport(DotHillStep):
    """Take the map away; and the nickname that we gave the initiator, when it sees nothing any more
    and was never seen."""

    volume: str
    initiator: str

    def apply(self, array: DotHillWriter) -> None:
        known = initiators(array)
        mine = [one for one in maps(array, known) if one.initiator == self.initiator]
        if any(one.volume == self.volume for one in mine):
            array.run("unmap", "volume", "initiator", self.initiator, self.volume)
        initiator = known.get(self.initiator)
        rest = [one for one in mine if one.volume != self.volume]
        ours = dothill_rules.nickname(self.initiator)
        if initiator and not rest and not initiator.seen and initiator.nickname == ours:
            array.run("delete", "initiator-nickname", ours)


@dataclass(frozen=True, slots=True, kw_only=True)
class PutChap(DotHillStep):
    """Make the record of an initiator, or give it another secret."""

    name: str
    password: str

    def apply(self, array: DotHillWriter) -> None:
        verb = "set" if self.name in secrets(array) else "create"
        words = (verb, "chap-record", "name", self.name, "secret", self.password)
        array.run(*words, secret=self.password)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteChap(DotHillStep):
    """Delete the record of an initiator."""

    name: str

    def apply(self, array: DotHillWriter) -> None:
        if self.name in secrets(array):
            array.run("delete", "chap-record", "name", self.name)


def disks(array: DotHillReader) -> dict[str, Disk]:
    """I/O: all volumes."""
    try:
        return dothill_parse.disks(array.show("volumes"))
    except ValueError as error:
        raise Temporary(f"{array.via}: an answer that makes no sense: {error}") from None


def initiators(array: DotHillReader) -> dict[str, Initiator]:
    """I/O: all initiators that the array knows."""
    return dothill_parse.initiators(array.show("initiators"))


def maps(array: DotHillReader, known: Mapping[str, Initiator] | None = None) -> tuple[Map, ...]:
    """I/O: who sees what. ``known``: the array's initiators, where they were read already."""
    return dothill_parse.maps(array.show("maps"), initiators(array) if known is None else known)


def secrets(array: DotHillReader) -> dict[str, str | None]:
    """I/O: the CHAP records."""
    return dothill_parse.secrets(array.show("chap-records"))
