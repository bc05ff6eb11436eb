"""What was read of a tgt host, as resources and as facts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rackwright.model.address import Address
from rackwright.model.facts import Facts, FoundLink
from rackwright.model.resource import Resource
from rackwright_providers.san import tgt_conf, tgt_rules
from rackwright_providers.san.resources import Chap, Export, Target, Volume
from rackwright_providers.san.tgt_show import Backing, LiveTarget, Lun, State, shown_size

GIB = 2**30


def observe(state: State, wanted: Mapping[Address, Resource]) -> dict[Address, Resource]:
    """Everything that is there. Exports are those of our own targets and of declared ones."""
    found: dict[Address, Resource] = {}
    for backing in state.backings:
        volume = _volume(backing, state, wanted)
        if volume is not None:
            there, asked = found.get(volume.address), wanted.get(volume.address)
            if there is None or (isinstance(asked, Volume) and asked.pool == volume.pool):
                found[volume.address] = volume
    mine = tgt_conf.ours(state.files)
    for iqn in sorted(mine | {one.iqn for one in state.targets.values() if one.driver == "iscsi"}):
        target = Target(
            name=iqn,
            chap=_chap(state.targets.get(iqn)),
            state=trouble(state, iqn),
        )
        found[target.address] = target
        if iqn in mine or target.address in wanted:
            for export in _exports(state.targets.get(iqn)):
                asked = wanted.get(export.address)
                if export.address not in found or (
                    isinstance(asked, Export) and asked.target == iqn
                ):
                    found[export.address] = export
    for name in state.accounts:
        if _is_account(name):
            chap = _account(name, state, wanted)
            found[chap.address] = chap
    return found


def trouble(state: State, iqn: str) -> str:
    """What is wrong with a target: `tgt_rules.READY` when nothing is."""
    live = state.targets.get(iqn)
    saved = state.files.get(tgt_conf.path_of(iqn))
    if live is None:
        return "down"
    open_to = [address for address in live.addresses if address != tgt_conf.NOBODY]
    if open_to:
        return f"open to {', '.join(open_to)}"
    return tgt_rules.READY if saved == tgt_conf.target(live, saved or "") else "unsaved"


def _volume(backing: Backing, state: State, wanted: Mapping[Address, Resource]) -> Volume | None:
    pool, _, _ = backing.path.rpartition("/")
    name = tgt_conf.volume_of(backing.path)
    if not name:
        return None
    asked = wanted.get(Address("volume", name))
    size = backing.size
    if _stale(backing, state):
        # The file has grown and tgtd has not been told: an initiator sees less than the file has.
        size = max(tgt_rules.SECTOR, size - tgt_rules.SECTOR)
    full = backing.allocated >= backing.size
    # A thin volume that was written full is still what was asked for.
    thin = bool(asked.thin) if full and isinstance(asked, Volume) else not full
    return Volume(name=name, size=size or None, thin=thin, pool=pool)


def _stale(backing: Backing, state: State) -> bool:
    return any(
        lun.path == backing.path and lun.size != shown_size(backing.size)
        for live in state.targets.values()
        for lun in live.luns
    )


def _chap(live: LiveTarget | None) -> str | None:
    if live is None:
        return None
    return ",".join(live.accounts) or "none"


def _exports(live: LiveTarget | None) -> Iterable[Export]:
    if live is None:
        return
    for lun in live.luns:
        for initiator in live.initiators:
            export = _export(live.iqn, lun, initiator)
            if export is not None:
                yield export


def _export(iqn: str, lun: Lun, initiator: str) -> Export | None:
    volume = tgt_conf.volume_of(lun.path)
    if not volume:
        return None
    try:
        return Export(
            name=f"{volume}:{initiator}", lun=lun.number, read_only=lun.read_only, target=iqn
        )
    except ValueError:  # an ACL entry that is no name at all lets nobody in
        return None


def _account(name: str, state: State, wanted: Mapping[Address, Resource]) -> Chap:
    """Its password is the declared one, when that is what we wrote down last, or not known."""
    asked = wanted.get(Address("chap", name))
    declared = asked.password if isinstance(asked, Chap) else None
    held = state.secrets.get(tgt_conf.secret_of(name))
    same = declared is not None and held == tgt_conf.digest(name, declared)
    return Chap(name=name, password=declared if same else None)


def _is_account(name: str) -> bool:
    try:
        Chap(name=name)
    except ValueError:
        return False
    return True


def facts(state: State, spaces: Mapping[str, tuple[int, int]], version: str) -> Facts:
    """Targets, LUNs, volumes, pools; each initiator that is logged in is a link."""
    return Facts(
        values={
            "platform": "tgt",
            "vendor": "tgt",
            "version": version,
            "targets": {
                iqn: {
                    "luns": {str(lun.number): lun.path for lun in live.luns},
                    "initiators": sorted(live.initiators),
                }
                for iqn, live in sorted(state.targets.items())
            },
            "volumes": {
                name: {"size": backing.size, "pool": backing.path.rpartition("/")[0]}
                for backing in sorted(state.backings, key=lambda one: one.path)
                for name in (tgt_conf.volume_of(backing.path),)
                if name
            },
            # Whole GiB: what thin volumes take up changes by itself.
            "pools": {
                pool: {"size": size, "free": free // GIB * GIB}
                for pool, (size, free) in sorted(spaces.items())
            },
        },
        links=tuple(
            sorted(
                FoundLink(port=iqn, peer=session.initiator, how="iqn")
                for iqn, live in state.targets.items()
                for session in live.sessions
            )
        ),
    )
