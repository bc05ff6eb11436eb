"""Dell EqualLogic PS Series groups, by the Group Manager's command line over SSH.

Commands are those of the Group Manager command line reference, in the forms that OpenStack Cinder's
driver for these arrays and public scripts use. A group keeps what it is told by itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from rackwright.model.address import Address
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import Permanent, Rejected
from rackwright.model.resource import Resource
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.san import eql_parse, eql_rules, eql_steps
from rackwright_providers.san.eql_parse import UNITS
from rackwright_providers.san.resources import Chap, Export, Volume
from rackwright_providers.transport.cli_dialect import Dialect

if TYPE_CHECKING:
    from rackwright.model.facts import Facts, FoundLink
    from rackwright_providers.transport.cli import CliReader, CliSession

SETTINGS = (
    "cli-settings confirmation off",
    "cli-settings paging off",
    "cli-settings events off",
    "cli-settings formatoutput off",
    "cli-settings displayinMB on",
    "stty columns 255",
    "stty hardwrap off",
)
"""Of this session alone. Without ``displayinMB`` sizes are shown with two decimals of a GB or TB."""

DIALECT = Dialect(
    netmiko="generic",
    read_verbs=frozenset({"show"}),
    # Reading and writing begin with the same word.
    read_commands=re.compile(
        "|".join(map(re.escape, SETTINGS))
        + r"|volume show|chapuser show(?: [A-Za-z0-9][A-Za-z0-9._@-]*)?|grpparams show"
        r"|volume select [A-Za-z0-9][A-Za-z0-9._:-]* (?:access )?show"
    ),
    errors=re.compile(r"^[ \t]*(?:% ?Error\b|Error:)", re.MULTILINE),
    login_refused=re.compile(r"Login incorrect|Access denied|login failed", re.IGNORECASE),
    privileged=">",
)

_LATE = {Chap.kind: 1, Volume.kind: 2}


class EqualLogic:
    """Provider of platform ``equallogic``. Nouns: `volume`, `export`, `chap`."""

    platform = "equallogic"
    resources: frozenset[type[Resource]] = frozenset({Volume, Export, Chap})
    transports = frozenset({"ssh"})
    atomic = False
    undoes = False
    object_ids: tuple[str, ...] = ()
    signs: tuple[str, ...] = (
        r"Welcome to Group Manager",
        r"\bEqualLogic\b",
        r"\bPS Series\b",
        r"(?m)^[ \t]*% Error - ",
    )
    """What it greets with, what it is called, and how it says that a command is none of its own."""

    def open(self, way: Way, around: Surroundings) -> CliReader:
        """I/O: a session whose answers can be read; see `cli.open_cli`."""
        from rackwright_providers.transport import cli

        session = cli.open_cli(way, around, DIALECT)
        try:
            for setting in SETTINGS:
                session.run(setting)
        except BaseException:
            session.close()
            raise
        return session

    def canonical(self, resource: Resource) -> Resource:
        """Sizes in bytes, in whole 15 MB."""
        return eql_rules.canonical(resource)

    def read(self, session: CliReader, wanted: Wanted) -> Mapping[Address, Resource]:
        """All volumes in one exchange, one more for each that is declared with a pool, and one for
        the access records of each, and one for each CHAP account that is declared."""
        rows = eql_steps.rows(session)
        pools = {
            volume.name: pool
            for volume in wanted.resources.values()
            if isinstance(volume, Volume) and volume.pool and volume.name in rows
            for pool in (_information(session, volume.name).get("Pool"),)
            if pool
        }
        # Whatever was asked for: `refuse` must know to whom a volume is shown that is to go.
        access = {name: eql_steps.records(session, name) for name in rows}
        accounts: dict[str, str | None] = {}
        if Chap in wanted.types:
            accounts = dict.fromkeys(eql_parse.accounts(session.run(eql_steps.ACCOUNTS)))
            for address in wanted.resources:
                if address.type == Chap.kind and address.name in accounts:
                    shown = eql_parse.pairs(session.run(eql_steps.ACCOUNT.format(address.name)))
                    accounts[address.name] = shown.get("Password") or None
        return eql_rules.observe(rows, pools, access, accounts)

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        """What would be moved, made smaller, or taken away while it is used."""
        return eql_rules.refuse(changes, observed)

    def render(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Sequence[Step]:
        """One step a change; accounts and volumes go when no export needs them any more."""
        return [step for change in sorted(changes, key=_late) if (step := _step(change))]

    def commit(self, session: CliSession, steps: Sequence[Step]) -> None:
        """The steps in their order."""
        for step in steps:
            if not isinstance(step, eql_steps.EqlStep):
                raise Permanent(f"{step.text!r} is no step of an EqualLogic group")
            step.apply(session)

    def save(self, session: CliSession) -> bool:
        """A group keeps what it is told by itself."""
        return False

    def carriers(
        self, session: CliReader, observed: Mapping[Address, Resource]
    ) -> Collection[Address]:
        """None: an SSH session runs over no volume."""
        return ()

    def discover(self, session: CliReader) -> Facts:
        """The group, its pools with their free space, its volumes; and who is connected, where the
        access records leave no doubt."""
        from rackwright.model.facts import Facts

        rows = eql_steps.rows(session)
        group = eql_parse.pairs(_told(session, eql_steps.GROUP))
        details = {name: _information(session, name) for name in rows}
        values: dict[str, object] = {
            "vendor": "Dell",
            "model": "EqualLogic PS Series",
            "name": group.get("Group-Name") or session.prompt.rstrip("> "),
            "pools": {
                # Whole GiB: what thin volumes and snapshots take up changes by itself.
                name: {"size": pool.size, "free": pool.free // UNITS["GB"] * UNITS["GB"]}
                for name, pool in sorted(eql_parse.pools(_told(session, eql_steps.POOLS)).items())
            },
            "volumes": {
                name: {
                    "size": row.size,
                    "pool": details[name].get("Pool", ""),
                    "iqn": details[name].get("iSCSI Name", ""),
                    "online": row.online,
                    "connections": row.connections,
                }
                for name, row in sorted(rows.items())
            },
        }
        if group.get("Group-Ipaddress"):
            values["address"] = group["Group-Ipaddress"]
        links = [
            _link(details[name].get("iSCSI Name", ""), eql_steps.records(session, name))
            for name, row in rows.items()
            if row.connections
        ]
        return Facts(values=values, links=tuple(sorted(link for link in links if link)))


def _link(iqn: str, records: Sequence[eql_parse.Record]) -> FoundLink | None:
    """Who is connected to a volume that lets in just one initiator, is that one. The command line
    counts connections and does not say whose they are."""
    from rackwright.model.facts import FoundLink

    opens = [record for record in records if record.lets_in]
    if not iqn or len(opens) != 1 or "*" in opens[0].initiator or not opens[0].initiator:
        return None
    return FoundLink(port=iqn, peer=opens[0].initiator, how="iqn")


def _information(session: CliReader, volume: str) -> dict[str, str]:
    return eql_parse.pairs(session.run(eql_steps.VOLUME.format(volume)))


def _told(session: CliReader, command: str) -> str:
    try:
        return session.run(command)
    except Rejected:
        return ""


def _late(change: Change) -> int:
    return _LATE.get(change.address.type, 0) if change.action == "remove" else 0


def _step(change: Change) -> eql_steps.EqlStep | None:
    addresses, before, after = (change.address,), change.before, change.after
    if change.action == "remove":
        return _removal(change)
    if change.action not in ("create", "update"):
        return None
    if isinstance(after, Volume):
        return _put_volume(change, before, after)
    if isinstance(after, Export):
        method = "none" if after.chap in (None, eql_rules.NO_CHAP) else "chap"
        command = eql_steps.CREATE_ACCESS.format(after.volume, after.initiator, method)
        if method == "chap":
            command += eql_steps.CHAP_USER.format(after.chap)
        return eql_steps.PutExport(
            addresses=addresses,
            text=command,
            volume=after.volume,
            initiator=after.initiator,
            chap=after.chap,
            command=command,
        )
    if isinstance(after, Chap) and after.password is not None:
        pattern = eql_steps.SET_PASSWORD if before else eql_steps.CREATE_ACCOUNT
        return eql_steps.PutChap(
            addresses=addresses,
            text=pattern.format(after.name, after.password),
            name=after.name,
            password=after.password,
        )
    return None


def _put_volume(change: Change, before: Resource | None, after: Volume) -> eql_steps.EqlStep | None:
    size = after.bytes
    if size is None:
        return None
    megabytes = size // UNITS["MB"]
    if before is not None:
        command = eql_steps.GROW.format(after.name, megabytes)
        return eql_steps.GrowVolume(
            addresses=(change.address,), text=command, name=after.name, size=size, command=command
        )
    command = eql_steps.CREATE_VOLUME.format(after.name, megabytes)
    if after.pool is not None:
        command += eql_steps.IN_POOL.format(after.pool)
    if after.thin:
        command += eql_steps.THIN
    return eql_steps.CreateVolume(addresses=(change.address,), text=command, command=command)


def _removal(change: Change) -> eql_steps.EqlStep | None:
    addresses, before = (change.address,), change.before
    if isinstance(before, Volume):
        lines = (eql_steps.OFFLINE.format(before.name), eql_steps.DELETE_VOLUME.format(before.name))
        return eql_steps.DeleteVolume(addresses=addresses, text="\n".join(lines), name=before.name)
    if isinstance(before, Export):
        return eql_steps.DeleteExport(
            addresses=addresses,
            text=eql_steps.DELETE_ACCESS.format(before.volume, f"ID of {before.initiator}"),
            volume=before.volume,
            initiator=before.initiator,
        )
    if isinstance(before, Chap):
        return eql_steps.DeleteChap(
            addresses=addresses,
            text=eql_steps.DELETE_ACCOUNT.format(before.name),
            name=before.name,
        )
    return None
