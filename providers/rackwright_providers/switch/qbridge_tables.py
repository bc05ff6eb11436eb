"""A switch's interfaces, bridge ports and static VLANs, from its tables, and as resources. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rackwright.model.address import Address
from rackwright.model.resource import Resource
from rackwright_providers.switch import interfaces, portlist, vlanset
from rackwright_providers.switch import qbridge_mib as mib
from rackwright_providers.switch.portlist import Form
from rackwright_providers.switch.resources import Port, Vlan
from rackwright_providers.transport.snmp_value import Value

Found = Mapping[str, Value]
"""What a walk gave: values by OID."""

INTERFACE_COLUMNS = (
    mib.IF_DESCR,
    mib.IF_TYPE,
    mib.IF_ADMIN_STATUS,
    mib.IF_NAME,
    mib.IF_ALIAS,
)
BRIDGE_COLUMNS = (mib.BASE_PORT_IF_INDEX, mib.PVID)
VLAN_COLUMNS = (mib.VLAN_NAME, mib.VLAN_EGRESS, mib.VLAN_UNTAGGED, mib.VLAN_STATUS)

_ADMIN = {mib.UP: "up", mib.DOWN: "down"}


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface: a port of the bridge where ``number`` (dot1dBasePort) is set."""

    name: str
    index: int
    """ifIndex."""
    number: int | None = None
    admin: str | None = None
    alias: str | None = None
    pvid: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One active row of dot1qVlanStaticTable. A list is None where the agent has none."""

    title: str | None
    egress: bytes | None
    untagged: bytes | None


@dataclass(frozen=True, slots=True)
class Bridge:
    """The switch as its tables have it."""

    interfaces: Mapping[str, Interface]
    """By name."""
    vlans: Mapping[int, Row]
    form: Form
    told: bool
    """Whether `form` was judged by ports that are in some list."""

    @property
    def by_number(self) -> dict[int, Interface]:
        """Bridge ports by dot1dBasePort."""
        return {port.number: port for port in self.interfaces.values() if port.number is not None}


def column(found: Found, base: str) -> Iterator[tuple[int, Value]]:
    """(index, value) of a column whose index is one number."""
    start = len(base) + 1
    for oid, value in found.items():
        if oid.startswith(base + ".") and oid[start:].isdigit():
            yield int(oid[start:]), value


def names(found: Found) -> dict[int, str]:
    """The name of each interface: ifName, else ifDescr, as sites spell it. One that two interfaces
    have names neither."""
    said = {index: value.text.strip() for index, value in column(found, mib.IF_DESCR)}
    said |= {index: text for index, v in column(found, mib.IF_NAME) if (text := v.text.strip())}
    spelt = {index: interfaces.spelling(text) for index, text in said.items() if text}
    times = Counter(spelt.values())
    return {index: name for index, name in spelt.items() if times[name] == 1}


def bridge(found: Found, form: Form | None = None) -> Bridge:
    """The switch, of what was found under all columns. ``form`` is what its lists are known to be."""
    indexes = {number: value.number or 0 for number, value in column(found, mib.BASE_PORT_IF_INDEX)}
    pvids = {number: value.number or 0 for number, value in column(found, mib.PVID)}
    vlans = _vlans(found)
    lists = {vlan: row.egress for vlan, row in vlans.items() if row.egress is not None}
    if form is None:
        form = portlist.form(lists, pvids, indexes) if lists else Form.UNKNOWN
    told = any(data.strip(b"\0") for data in lists.values())
    return Bridge(_interfaces(found, indexes, pvids), vlans, form, told)


def _interfaces(
    found: Found, indexes: Mapping[int, int], pvids: Mapping[int, int]
) -> dict[str, Interface]:
    bridged = {index: number for number, index in indexes.items() if index}
    admin = {
        index: _ADMIN.get(value.number or 0) for index, value in column(found, mib.IF_ADMIN_STATUS)
    }
    alias = {index: value.text for index, value in column(found, mib.IF_ALIAS)}
    kinds = {index: value.number for index, value in column(found, mib.IF_TYPE)}
    ports = {}
    for index, name in names(found).items():
        number = bridged.get(index)
        if number is None and kinds.get(index) not in mib.ETHERNET_TYPES:
            continue
        pvid = pvids.get(number) if number is not None else None
        ports[name] = Interface(
            name, index, number, admin.get(index), alias.get(index), pvid or None
        )
    return ports


def _vlans(found: Found) -> dict[int, Row]:
    titles = {vlan: value.text for vlan, value in column(found, mib.VLAN_NAME)}
    egress = dict(_octets(found, mib.VLAN_EGRESS))
    untagged = dict(_octets(found, mib.VLAN_UNTAGGED))
    status = {vlan: value.number for vlan, value in column(found, mib.VLAN_STATUS)}
    return {
        vlan: Row(titles.get(vlan), egress.get(vlan), untagged.get(vlan))
        for vlan in sorted({*titles, *egress, *status})
        # A row that was begun and is not in service carries nothing.
        if status.get(vlan, mib.ACTIVE) == mib.ACTIVE and vlanset.FIRST <= vlan <= vlanset.LAST
    }


def _octets(found: Found, base: str) -> Iterator[tuple[int, bytes]]:
    for index, value in column(found, base):
        if isinstance(value.data, bytes):
            yield index, value.data


def resources(
    bridge: Bridge, declared: Mapping[Address, Resource] = MappingProxyType({})
) -> dict[Address, Resource]:
    """All VLANs and ports. A port that is in one VLAN, untagged, is an access port and a trunk of
    that VLAN alone: it is said in the words in which it is ``declared``."""
    found: list[Resource] = [
        Vlan(name=str(vlan), title=row.title) for vlan, row in bridge.vlans.items()
    ]
    egress, untagged = (_by_port(bridge, name) for name in ("egress", "untagged"))
    for port in bridge.interfaces.values():
        if bridge.form is Form.UNKNOWN or port.number is None:
            found.append(_plain(port))
            continue
        said = declared.get(Address(Port.kind, port.name))
        trunk = isinstance(said, Port) and said.mode == "trunk"
        found.append(
            _port(port, egress.get(port.number, set()), untagged.get(port.number, set()), trunk)
        )
    return {resource.address: resource for resource in found}


def _by_port(bridge: Bridge, name: str) -> dict[int, set[int]]:
    """VLANs by bridge port."""
    found: dict[int, set[int]] = {}
    for vlan, row in bridge.vlans.items():
        for port in portlist.members(getattr(row, name) or b"", bridge.form) or ():
            found.setdefault(port, set()).add(vlan)
    return found


def _plain(port: Interface) -> Port:
    """A port of which it cannot be said in which VLANs it is."""
    return Port(name=port.name, admin=port.admin, description=port.alias)  # type: ignore[arg-type]


def _port(port: Interface, egress: set[int], untagged: set[int], trunk: bool) -> Port:
    """A port is *access* when it is in the VLAN of its untagged frames alone, and *trunk* when no
    other one leaves it untagged; a trunk that sends that one tagged too has no native VLAN. What has
    several VLANs untagged is neither: it has no mode, and so is put right where one is declared."""
    if not egress and not port.pvid:  # a member of a LAG, as a rule: it switches nothing itself
        return _plain(port)
    bare = untagged & egress
    pvid = port.pvid or (min(bare) if len(bare) == 1 else None)
    mode: str | None = "trunk"
    if bare == egress == {pvid}:
        mode = "trunk" if trunk else "access"
    elif bare - {pvid}:
        mode = None
    elif pvid in egress and pvid not in bare:
        pvid = None
    access = mode == "access"
    return Port(
        name=port.name,
        admin=port.admin,  # type: ignore[arg-type]
        description=port.alias,
        mode=mode,  # type: ignore[arg-type]
        access_vlan=pvid if access else None,
        native_vlan=None if access else pvid,
        allowed_vlans=None if access else vlanset.show(egress),
    )
