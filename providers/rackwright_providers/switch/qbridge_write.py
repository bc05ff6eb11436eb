"""Writing VLANs and ports over SNMP: in the order in which no frame is lost, in as few requests as the
agent takes, and never a bit that is not ours.

A PortList is read right before it is written and read back right after. What others have in it is
written as it was read; where it is something else when read back, somebody else writes too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rackwright.model.errors import (
    Permanent,
    RackwrightError,
    Rejected,
    Temporary,
    Unreachable,
)
from rackwright_providers.switch import portlist, vlanset
from rackwright_providers.switch import qbridge_mib as mib
from rackwright_providers.switch.portlist import Form
from rackwright_providers.switch.qbridge_render import Membership, PortChange, VlanRow
from rackwright_providers.transport.snmp import (
    SnmpReader,
    SnmpSession,
    Value,
    integer,
    octets,
    unsigned,
)

Group = Sequence[tuple[str, Value]]
"""Bindings that belong into one SET."""

BYTES = 1300
"""Of the bindings of one SET: with the rest of the message it fits an Ethernet frame."""
BINDING = 22
"""Octets of a binding beside its value: the OID and its type, the value's type, the lengths."""
MOST = 64
"""Groups in one SET at first; halved where the agent says that it is too much."""
AT_ONCE = "groups in one SET"
FORM = "form of PortLists"
SEEN = "form of PortLists was seen on ports"
"""Of `SnmpReader.remembered`, all three."""


def port_key(name: str) -> str:
    """Of `SnmpReader.remembered`: where dot1dBasePort of a port stands."""
    return f"dot1dBasePort of {name}"


def index_key(name: str) -> str:
    """Of `SnmpReader.remembered`: where ifIndex of a port stands."""
    return f"ifIndex of {name}"


def is_port_key(key: str) -> bool:
    """Whether ``key`` is one of these two."""
    return key.startswith((port_key(""), index_key("")))


def require_bitmaps(session: SnmpReader) -> None:
    """Raises Permanent where it is not known what the agent's PortLists mean."""
    if session.remembered.get(FORM) == Form.BITMAP:
        return
    raise Permanent(
        "the port lists of this switch's dot1qVlanStaticTable are not the bitmaps of RFC 4363 (or do "
        "not agree with dot1qPvid), so nothing is written into them"
    )


def vlans(session: SnmpSession, rows: Sequence[VlanRow]) -> None:
    """Do all ``rows``, which are of one action; what is done already is no mistake. Raises Rejected
    when the agent refuses some of them, the others are done."""
    if rows[0].action == "destroy":
        refused = _destroy(session, rows)
    else:
        refused = [
            why
            for number, why in send(session, [_bindings(row) for row in rows]).items()
            if rows[number].action == "rename" or not _put_in_service(session, rows[number])
        ]
    if refused:
        raise refused[0] if len(rows) == 1 else Rejected(str(refused[0]))


def _bindings(row: VlanRow) -> Group:
    name = (f"{mib.VLAN_NAME}.{row.id}", octets(row.title))
    if row.action == "rename":
        return [name]
    return [(f"{mib.VLAN_STATUS}.{row.id}", integer(mib.CREATE_AND_GO)), name]


def _put_in_service(session: SnmpSession, row: VlanRow) -> bool:
    """A row that cannot be created may be there: made by the part of a SET that was done before the
    rest was refused, or begun by somebody and not in service."""
    status = f"{mib.VLAN_STATUS}.{row.id}"
    value = session.get(status).get(status)
    if value is None or value.number not in (mib.ACTIVE, mib.NOT_IN_SERVICE, mib.NOT_READY):
        return False
    name = (f"{mib.VLAN_NAME}.{row.id}", octets(row.title))
    begun = value.number != mib.ACTIVE
    return not send(session, [[name, *([(status, integer(mib.ACTIVE))] if begun else [])]])


def _destroy(session: SnmpSession, rows: Sequence[VlanRow]) -> list[RackwrightError]:
    """Rows without ports together. Of one with ports, and of one that the agent will not have gone as
    it is, the ports are taken out first."""
    require_bitmaps(session)
    empty = [row for row in rows if not row.members]
    refused = send(session, [[_gone(row)] for row in empty])
    left = session.get(*(f"{mib.VLAN_STATUS}.{empty[number].id}" for number in refused))
    full = [row for row in rows if row.members or f"{mib.VLAN_STATUS}.{row.id}" in left]
    return [why for row in full if (why := _clear_and_destroy(session, row))]


def _clear_and_destroy(session: SnmpSession, row: VlanRow) -> RackwrightError | None:
    """Take the ports out, then the row away. Where the agent refuses to, they are put back, and that
    it did is returned."""
    lists = {  # in this order: untagged is within egress
        oid: data
        for base in (mib.VLAN_UNTAGGED, mib.VLAN_EGRESS)
        for oid, data in _lists(session, base, [row.id]).items()
        if data.strip(b"\0")
    }
    try:
        for oid, data in lists.items():
            session.set({oid: octets(bytes(len(data)))})
        session.set([_gone(row)])
    except Unreachable:
        raise
    except RackwrightError as why:
        send(session, [[(oid, octets(data))] for oid, data in reversed(lists.items())])
        return why
    return None


def _gone(row: VlanRow) -> tuple[str, Value]:
    return f"{mib.VLAN_STATUS}.{row.id}", integer(mib.DESTROY)


def ports(session: SnmpSession, changes: Sequence[PortChange]) -> None:
    """Make ports what they are to be. Closed first, opened last, described in between."""
    indexes = {port.name: _number(session, index_key(port.name), "the switch") for port in changes}
    moved = {
        _number(session, port_key(port.name), "the bridge (dot1dBasePortTable)"): port.vlans
        for port in changes
        if port.vlans
    }
    if moved:
        require_bitmaps(session)
    _admin(session, [indexes[port.name] for port in changes if port.admin == "down"], mib.DOWN)
    _set(
        session,
        [
            [(f"{mib.IF_ALIAS}.{indexes[port.name]}", octets(port.alias))]
            for port in changes
            if port.alias is not None
        ],
    )
    if moved:
        _move(session, moved)
    _admin(session, [indexes[port.name] for port in changes if port.admin == "up"], mib.UP)


def _number(session: SnmpReader, key: str, where: str) -> int:
    if key not in session.remembered:
        raise Rejected(f"{key.rpartition(' ')[2]} is no port of {where}")
    return session.remembered[key]


def _admin(session: SnmpSession, indexes: Iterable[int], status: int) -> None:
    _set(session, [[(f"{mib.IF_ADMIN_STATUS}.{index}", integer(status))] for index in indexes])


def _set(session: SnmpSession, groups: Sequence[Group]) -> None:
    """As `send`. Raises the first refusal."""
    for why in send(session, groups).values():
        raise why


def _move(session: SnmpSession, ports: Mapping[int, Membership]) -> None:
    """Into the new VLANs before out of the old: at no time is a port in none. Every list is read
    anew, since many agents move a port by themselves when its PVID changes."""
    _change(session, mib.VLAN_EGRESS, {n: v.joins for n, v in ports.items()}, member=True)
    _change(session, mib.VLAN_UNTAGGED, {n: v.untagged for n, v in ports.items()}, member=True)
    pvids = {f"{mib.PVID}.{number}": vlans.pvid for number, vlans in ports.items() if vlans.pvid}
    held = session.get(*pvids)
    _set(
        session,
        [
            [(oid, unsigned(pvid))]
            for oid, pvid in pvids.items()
            if oid not in held or held[oid].number != pvid
        ],
    )
    _change(session, mib.VLAN_UNTAGGED, {n: v.tags for n, v in ports.items()}, member=False)
    _change(session, mib.VLAN_EGRESS, {n: v.leaves for n, v in ports.items()}, member=False)


def _change(
    session: SnmpSession, base: str, wanted: Mapping[int, Iterable[int]], *, member: bool
) -> None:
    """Put ports into the lists of VLANs, or take them out; ``wanted`` is VLANs by port."""
    ports: dict[int, list[int]] = {}
    for number, vlans in wanted.items():
        for vlan in vlans:
            ports.setdefault(vlan, []).append(number)
    ids = sorted(ports)
    for at in range(0, len(ids), MOST):
        some = {vlan: ports[vlan] for vlan in ids[at : at + MOST]}
        _change_some(session, base, some, member=member)


def _change_some(
    session: SnmpSession, base: str, ports: Mapping[int, Sequence[int]], *, member: bool
) -> None:
    held = {
        int(oid.rpartition(".")[2]): data
        for oid, data in _lists(session, base, list(ports)).items()
    }
    absent = ports.keys() - held.keys()
    if absent and member:
        raise Rejected(f"VLAN {vlanset.show(absent)} is not on the switch")
    written = {
        vlan: new
        for vlan, data in held.items()
        if not portlist.same(new := portlist.changed(data, ports[vlan], member), data)
    }
    _set(session, [[(f"{base}.{vlan}", octets(data))] for vlan, data in written.items()])
    after = _lists(session, base, list(written))
    for vlan, data in written.items():
        # Whether our own bits have come is seen at the end: some agents wait for the PVID.
        now = portlist.changed(after.get(f"{base}.{vlan}", b""), ports[vlan], False)
        if not portlist.same(now, portlist.changed(data, ports[vlan], False)):
            raise Temporary(
                f"the ports of VLAN {vlan} were changed by somebody else while they were written"
            )


def _lists(session: SnmpReader, base: str, ids: Sequence[int]) -> dict[str, bytes]:
    """The lists of ``ids`` in column ``base``, by OID."""
    asked = [f"{base}.{vlan}" for vlan in ids]
    found = session.get(*asked)
    return {
        oid: found[oid].data  # type: ignore[misc]
        for oid in asked
        if oid in found and isinstance(found[oid].data, bytes)
    }


def send(session: SnmpSession, groups: Sequence[Group]) -> Mapping[int, RackwrightError]:
    """SET all ``groups``, several at once as far as the agent takes that; what it refuses, by its
    place in ``groups``. Raises Unreachable alone."""
    refused: dict[int, RackwrightError] = {}
    left = list(_chunked(groups, session.remembered.get(AT_ONCE, MOST)))
    while left:
        chunk = left.pop(0)
        try:
            session.set([binding for number in chunk for binding in groups[number]])
        except Unreachable:
            raise
        except RackwrightError as why:
            if len(chunk) == 1:
                refused[chunk[0]] = why
                continue
            half = len(chunk) // 2
            if getattr(why, "output", "") == "tooBig":
                session.remembered[AT_ONCE] = half
                rest = [*chunk, *(number for some in left for number in some)]
                left = [rest[at : at + half] for at in range(0, len(rest), half)]
            else:
                left = [chunk[:half], chunk[half:], *left]
    return refused


def _chunked(groups: Sequence[Group], most: int) -> Iterable[list[int]]:
    chunk: list[int] = []
    size = 0
    for number, group in enumerate(groups):
        length = sum(BINDING + _length(value) for _, value in group)
        if chunk and (len(chunk) == most or size + length > BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(number)
        size += length
    if chunk:
        yield chunk


def _length(value: Value) -> int:
    return len(value.data) if isinstance(value.data, bytes) else 4
