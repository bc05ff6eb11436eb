"""Arrays of the Dot Hill family over HTTPS: HPE MSA, Dell PowerVault ME4 and ME5, Seagate Exos X.

Their management controller takes the commands of its command line as paths. Commands and properties are
those of the vendors' CLI reference guides, in the forms that OpenStack Cinder's, Seagate's own and other
public clients send. An array keeps what it is told by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from rackwright.model import typed
from rackwright.model.address import Address
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import Permanent, Rejected
from rackwright.model.facts import Facts, FoundLink
from rackwright.model.resource import Resource
from rackwright.model.site import Http, Way
from rackwright.provider import Surroundings
from rackwright_providers.san import dothill_parse, dothill_rules, dothill_steps
from rackwright_providers.san.dothill_session import DotHillReader, DotHillWriter, open_dothill
from rackwright_providers.san.resources import Chap, Export, Volume

GIB = 2**30

_LATE = {Chap.kind: 1, Volume.kind: 2}


class DotHill:
    """Provider of platform ``dothill``. Nouns: `volume`, `export`, `chap`."""

    platform = "dothill"
    resources: frozenset[type[Resource]] = frozenset({Volume, Export, Chap})
    transports = frozenset({"http"})
    atomic = False
    undoes = False
    object_ids: tuple[str, ...] = ()
    signs: tuple[str, ...] = (
        r"Storage Management (?:Utility|Console)",
        r"PowerVault Manager",
        r"\bRAIDar\b",
    )
    """What the arrays' own web pages are called: HPE's and Seagate's, Dell's, Dot Hill's."""

    def open(self, way: Way, around: Surroundings) -> DotHillReader:
        """I/O: a session; a `DotHillWriter` only where ``around`` is writable."""
        try:
            options = typed.convert(way.options, Http)
        except msgspec.ValidationError as error:
            raise Permanent(f"http: {error}") from None
        return open_dothill(options, around)

    def canonical(self, resource: Resource) -> Resource:
        """Sizes in bytes, in whole 4 MiB."""
        return dothill_rules.canonical(resource)

    def read(self, session: DotHillReader, wanted: Wanted) -> Mapping[Address, Resource]:
        """All there is, in three exchanges, and one for the CHAP records."""
        disks, maps = dothill_steps.disks(session), dothill_steps.maps(session)
        secrets = dothill_steps.secrets(session) if Chap in wanted.types else {}
        return dothill_rules.observe(disks, maps, secrets)

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        """What would be moved, made smaller, or taken away while it is used."""
        return dothill_rules.refuse(changes, observed)

    def render(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Sequence[Step]:
        """One step a change; records and volumes go when no export needs them any more."""
        return [step for change in sorted(changes, key=_late) if (step := _step(change))]

    def commit(self, session: DotHillWriter, steps: Sequence[Step]) -> None:
        """The steps in their order."""
        for step in steps:
            if not isinstance(step, dothill_steps.DotHillStep):
                raise Permanent(f"{step.text!r} is no step of this array")
            step.apply(session)

    def save(self, session: DotHillWriter) -> bool:
        """An array keeps what it is told by itself."""
        return False

    def carriers(
        self, session: DotHillReader, observed: Mapping[Address, Resource]
    ) -> Collection[Address]:
        """None: the management ports show no volumes."""
        return ()

    def discover(self, session: DotHillReader) -> Facts:
        """The array, its pools with their free space, its volumes; initiators that are logged in."""
        system, known = session.show("system"), dothill_steps.initiators(session)
        first = dothill_parse.first
        described = {
            "vendor": first(system, "system", "vendor-name", "scsi-vendor-id"),
            "model": first(system, "system", "product-id", "scsi-product-id"),
            "name": first(system, "system", "system-name"),
            "serial": first(system, "system", "midplane-serial-number"),
            "health": first(system, "system", "health"),
            "firmware": _firmware(session),
        }
        values: dict[str, object] = {name: value for name, value in described.items() if value}
        values["pools"] = {
            # Whole GiB: what thin volumes take up changes by itself.
            name: {"size": pool.size, "free": pool.free // GIB * GIB}
            for name, pool in sorted(dothill_parse.pools(session.show("pools")).items())
        }
        values["volumes"] = {
            name: {"size": disk.size, "pool": disk.pool}
            for name, disk in sorted(dothill_steps.disks(session).items())
        }
        port = _node_name(session)
        if port:
            values["iqn"] = port
        links = [
            FoundLink(port=port, peer=name, how="iqn")
            for name, one in known.items()
            if one.seen and port and name.startswith("iqn.")
        ]
        return Facts(values=values, links=tuple(sorted(links)))


def _firmware(session: DotHillReader) -> str:
    try:
        return dothill_parse.first(session.show("controllers"), "controllers", "sc-fw")
    except Rejected:
        return ""


def _node_name(session: DotHillReader) -> str:
    """The iSCSI node name, which all host ports share; empty on an array without iSCSI."""
    try:
        ports = session.show("ports").table("port")
    except Rejected:
        return ""
    names = {str(port.get("target-id", "")) for port in ports}
    mine = sorted(name for name in names if name.startswith("iqn."))
    return mine[0] if len(mine) == 1 else ""


def _late(change: Change) -> int:
    return _LATE.get(change.address.type, 0) if change.action == "remove" else 0


def _step(change: Change) -> dothill_steps.DotHillStep | None:
    addresses, before, after = (change.address,), change.before, change.after
    if change.action == "remove":
        return _removal(change)
    if change.action not in ("create", "update"):
        return None
    if isinstance(after, Volume) and after.bytes is not None:
        size = after.bytes
        if isinstance(before, Volume):
            more = size - (before.bytes or 0)
            return dothill_steps.GrowVolume(
                addresses=addresses,
                text=f"expand volume size {more}B {after.name}",
                name=after.name,
                size=size,
            )
        return dothill_steps.CreateVolume(
            addresses=addresses,
            text=f"create volume pool {after.pool} size {size}B {after.name}",
            name=after.name,
            size=size,
            pool=after.pool or "",
            thin=after.thin,
        )
    if isinstance(after, Export):
        access = "ro" if after.read_only else "rw"
        lun = "the first that is free" if after.lun is None else after.lun
        return dothill_steps.PutExport(
            addresses=addresses,
            text=f"map volume access {access} lun {lun} initiator {after.initiator} {after.volume}",
            volume=after.volume,
            initiator=after.initiator,
            lun=after.lun,
            read_only=after.read_only,
        )
    if isinstance(after, Chap) and after.password is not None:
        verb = "set" if before else "create"
        return dothill_steps.PutChap(
            addresses=addresses,
            text=f"{verb} chap-record name {after.name} secret {after.password}",
            name=after.name,
            password=after.password,
        )
    return None


def _removal(change: Change) -> dothill_steps.DotHillStep | None:
    addresses, before = (change.address,), change.before
    if isinstance(before, Volume):
        return dothill_steps.DeleteVolume(
            addresses=addresses, text=f"delete volumes {before.name}", name=before.name
        )
    if isinstance(before, Export):
        return dothill_steps.DeleteExport(
            addresses=addresses,
            text=f"unmap volume initiator {before.initiator} {before.volume}",
            volume=before.volume,
            initiator=before.initiator,
        )
    if isinstance(before, Chap):
        return dothill_steps.DeleteChap(
            addresses=addresses,
            text=f"delete chap-record name {before.name}",
            name=before.name,
        )
    return None
