"""Mounts: what is mounted now, and the line of /etc/fstab that mounts it at boot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Permanent, Rejected
from rackwright.model.resource import Resource
from rackwright_providers.server import fstab, mountinfo
from rackwright_providers.server.fstab import Entry
from rackwright_providers.server.handler import LocalStep
from rackwright_providers.server.kernel_resources import Mount
from rackwright_providers.server.mountinfo import Mounted

if TYPE_CHECKING:
    from rackwright_providers.transport.local import Host, Reader

FSTAB = "/etc/fstab"
MOUNTINFO = Path("/proc/thread-self/mountinfo")
NOTHING = "none"
"""Observed device where it should be mounted, or in fstab, by default and is not."""


class MountHandler:
    """``mount``: mounted now, and in fstab, unless ``state`` or ``fstab`` says otherwise.

    Options are compared with the fstab line as a set, and with what the kernel shows only where that
    contradicts them: no file system shows all it was given. A change of options is a remount; a
    change of device or type is an unmount and a mount, and what was there is mounted again when that
    fails. What is busy stays mounted, and the change fails: nothing is unmounted by force or lazily,
    and no file system is ever made here. Under ``--root`` it is the fstab line alone, and ``state``
    is taken to be as declared.
    """

    nouns: ClassVar[tuple[type[Resource], ...]] = (Mount,)
    root_only_files = True

    def read(self, host: Reader, wanted: Sequence[Resource]) -> Mapping[Address, Resource]:
        """I/O: fstab and mountinfo once, and udev's links for devices that are named by them."""
        table = _table(host)
        live = _live() if host.live else None
        found: dict[Address, Resource] = {}
        for resource in wanted:
            if isinstance(resource, Mount):
                seen = observed(resource, fstab.find(table, resource.name), live)
                if seen is not None:
                    found[resource.address] = seen
        return found

    def render(self, changes: Sequence[Change]) -> Sequence[LocalStep]:
        """Pure: one step a change. Its text is all that it may do; it does what is still needed."""
        steps: list[LocalStep] = []
        for change in changes:
            before = change.before if isinstance(change.before, Mount) else None
            if change.action == "remove":
                name = change.address.name
                text = f"umount {name}\nremove from {FSTAB}: {name}"
                steps.append(Unmount(addresses=(change.address,), text=text, point=name))
            elif change.action in ("create", "update") and isinstance(change.after, Mount):
                steps.append(_put(change, before, change.after))
        return steps


def observed(
    wanted: Mount, entry: Entry | None, live: Mapping[str, Mounted] | None
) -> Mount | None:
    """``wanted`` as it is found in fstab (``entry``) and among ``live`` mounts (None: not looked at,
    under ``--root``). Where the two places differ, that is told which is not as declared."""
    mounted = live.get(wanted.name) if live is not None else None
    if not entry and not mounted:
        return None
    if wanted.ensure == "absent" or not wanted.device:
        return Mount(
            name=wanted.name,
            device=mounted.device if mounted else entry.device if entry else NOTHING,
            fstype=mounted.fstype if mounted else entry.fstype if entry else None,
            state="mounted" if mounted else "unmounted",
            fstab=entry is not None,
        )
    options = _set(wanted.options)
    devices, types, ways = [], [], []
    if wanted.fstab is not False:
        if entry:
            devices.append(entry.device)
            types.append(_type(wanted, entry.fstype))
            ways.append(wanted.options if _set(entry.options) == options else entry.options)
        elif wanted.fstab is None:
            devices.append(NOTHING)
    if live is not None and wanted.state != "unmounted":
        if mounted:
            same = mountinfo.same_device(wanted.device, mounted, options)
            devices.append(wanted.device if same else mounted.device)
            types.append(_type(wanted, mounted.fstype))
            wrong = wanted.options and mountinfo.contradicts(options, mounted)
            ways.append(",".join(sorted(mounted.options)) if wrong else wanted.options)
        elif wanted.state is None:
            devices.append(NOTHING)
    state = "mounted" if mounted else "unmounted"
    if live is None:
        state = wanted.state or "mounted"
    return Mount(
        name=wanted.name,
        device=_furthest(devices, wanted.device) or NOTHING,
        fstype=_furthest(types, wanted.fstype),
        options=_furthest(ways, wanted.options),
        state="mounted" if state == "mounted" else "unmounted",
        fstab=entry is not None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PutMount(LocalStep):
    """Mounted first, then in fstab: what cannot be mounted must not stop the next boot."""

    entry: Entry
    state: str
    """``mounted``, ``unmounted``, or empty: left alone."""
    fstab: bool | None
    """In, out, or left alone."""
    remount: bool
    """Options have changed."""

    def apply(self, host: Host) -> None:
        if host.live and self.state:
            mounted = _live().get(self.entry.point)
            if self.state == "mounted":
                self._mount(host, mounted)
            elif mounted:
                _unmount(host, self.entry.point)
        if self.fstab is None:
            return
        table = _table(host)
        old = fstab.find(table, self.entry.point)
        if self.fstab:
            kept = self.entry._replace(dump=old.dump, check=old.check) if old else self.entry
            _write(host, table, fstab.put(table, kept))
        else:
            _write(host, table, fstab.drop(table, self.entry.point))

    def _mount(self, host: Host, mounted: Mounted | None) -> None:
        entry = self.entry
        options = _set(entry.options)
        if mounted is None:
            _make_directories(host, entry.point)
            host.run(_command(entry))
        elif not mountinfo.same_device(entry.device, mounted, options) or not mountinfo.same_type(
            entry.fstype, mounted.fstype
        ):
            source = mountinfo.source(mounted)
            _unmount(host, entry.point)
            try:
                host.run(_command(entry))
            except Permanent:
                if mounted.root == "/":
                    old = Entry(source, mounted.point, mounted.fstype, mounted.flags)
                    host.run(_command(old), check=False)
                raise
        elif self.remount or mountinfo.contradicts(options, mounted):
            again = ["remount", *(["bind"] if options & {"bind", "rbind"} else [])]
            host.run(_command(entry._replace(options=",".join([*again, *_words(entry.options)]))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmount(LocalStep):
    """Neither mounted nor in fstab; its directory and its data stay."""

    point: str

    def apply(self, host: Host) -> None:
        if host.live and self.point in _live():
            _unmount(host, self.point)
        table = _table(host)
        _write(host, table, fstab.drop(table, self.point))


def _put(change: Change, before: Mount | None, after: Mount) -> PutMount:
    """What is not declared is as it was, or as a new one is by default."""
    fields = change.field_names
    seen = before if before and before.device != NOTHING else None
    fstype = after.fstype or (seen and seen.fstype) or "auto"
    options = after.options or (seen and seen.options) or "defaults"
    entry = Entry(after.device or NOTHING, after.name, fstype, options)
    state = after.state or "mounted"
    saved = after.fstab is not False
    remount = before is not None and "options" in fields
    lines = []
    if state == "unmounted":
        lines += [f"umount {after.name}"] if before is None or "state" in fields else []
    elif before is None or before.state == "unmounted":
        lines.append(" ".join(_command(entry)))
    elif fields & {"device", "fstype"} and seen:
        lines += [f"umount {after.name}", " ".join(_command(entry))]
    elif remount:
        lines.append(f"mount -o remount,{options} {entry.device} {after.name}")
    lines.append(f"{FSTAB}: {entry.line()}" if saved else f"remove from {FSTAB}: {after.name}")
    return PutMount(
        addresses=(change.address,),
        text="\n".join(lines),
        entry=entry,
        state=state,
        fstab=saved,
        remount=remount,
    )


def _command(entry: Entry) -> list[str]:
    words = _words(entry.options)
    again = "remount" in words
    kind = ["-t", entry.fstype] if entry.fstype != "auto" and not again else []
    chosen = ["-o", ",".join(words)] if words else []
    return ["mount", *kind, *chosen, "--", entry.device, entry.point]


def _unmount(host: Host, point: str) -> None:
    try:
        host.run(["umount", "--", point])
    except Rejected as error:
        raise Rejected(
            f"{point} cannot be unmounted: {error.output}", output=error.output
        ) from error


def _make_directories(host: Host, point: str) -> None:
    names = point.strip("/").split("/")
    for length in range(1, len(names) + 1):
        path = "/" + "/".join(names[:length])
        if host.stat(path) is None:
            host.mkdir(path)


def _words(options: str) -> list[str]:
    return [option for option in options.split(",") if option and option != "defaults"]


def _set(options: str | None) -> frozenset[str]:
    return frozenset(_words(options or ""))


def _type(wanted: Mount, live: str) -> str:
    same = wanted.fstype is not None and mountinfo.same_type(wanted.fstype, live)
    return wanted.fstype if same and wanted.fstype else live


def _furthest(values: Sequence[str | None], wanted: str | None) -> str | None:
    """The first that is not ``wanted``; that, when all are."""
    for value in values:
        if value != wanted and value is not None:
            return value
    return wanted


def _live() -> dict[str, Mounted]:
    try:
        return mountinfo.parse(MOUNTINFO.read_text(errors="surrogateescape"))
    except OSError as error:
        raise Permanent(f"{MOUNTINFO}: {error.strerror}") from error


def _table(host: Reader) -> str:
    return (host.read_bytes(FSTAB) or b"").decode(errors="surrogateescape")


def _write(host: Host, old: str, new: str) -> None:
    if new != old:
        host.backup(FSTAB)
        host.write(FSTAB, new.encode(errors="surrogateescape"))
