"""Who is meant by what a device says of its far end: a name, a MAC address, a serial number, a UUID,
an IQN. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

from rackwright.model.bundle import Bundle
from rackwright.model.facts import Facts

_MAC = re.compile(
    r"(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}", re.IGNORECASE
)
"""As Linux, Windows and IOS write it."""

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NAMES = ("iqn.", "eui.", "naa.")
"""How an iSCSI name begins (RFC 7143, section 4.2.7.1)."""

_NOBODYS = frozenset(["localhost", "localhost.localdomain"])
"""Host names that say nothing of who has them."""


def is_mac(text: str) -> bool:
    """Whether ``text`` is a MAC address."""
    return bool(_MAC.fullmatch(text))


def plain_mac(text: str) -> str:
    """Its twelve digits."""
    return re.sub(r"[:.-]", "", text).lower()


def is_uuid(text: str) -> bool:
    """Whether ``text`` is a UUID that may be one machine's: not all zeros or ones."""
    return bool(_UUID.fullmatch(text)) and len(set(text.lower()) - {"-"}) > 1


def plain_uuid(text: str) -> str:
    """One spelling of a UUID in either order of its octets: SMBIOS 2.6 has the first three fields
    little-endian (DSP0134, 7.2.1), and firmware, controllers and older kernels disagree over it."""
    first, second, third, *rest = text.lower().split("-")
    turned = (bytes.fromhex(field)[::-1].hex() for field in (first, second, third))
    return min(text.lower(), "-".join([*turned, *rest]))


class Mark(NamedTuple):
    """One thing by which a node can be recognised."""

    key: Key
    detail: str = ""
    """Of a name the whole of it, of a MAC address the port that has it, of a target the name as it is spelt."""


Key = tuple[str, str]
"""What kind of mark, and what it says: ``("mac", "525400000100")``."""
Spelling = Callable[[str, str], str]
"""The one name of a port of a node."""


class Identities:
    """By what the nodes of a site can be recognised: what the site says, and their facts. What two
    nodes have in common recognises neither."""

    def __init__(
        self, marks: Mapping[str, Collection[Mark]], before: Identities | None = None
    ) -> None:
        """``marks`` are those of each node (`marks_of`). With ``before`` they are those of the nodes that
        have others than there, and all else is as it is there."""
        self.marks: dict[str, frozenset[Mark]] = dict(before.marks) if before else {}
        self._owners: dict[Key, frozenset[tuple[str, str]]] = dict(before._owners) if before else {}
        """Node and detail of all that have a mark."""
        for node, now in marks.items():
            old, new = self.marks.pop(node, frozenset()), frozenset(now)
            for mark in old - new:
                left = self._owners[mark.key] - {(node, mark.detail)}
                self._owners[mark.key] = left
                if not left:
                    del self._owners[mark.key]
            for mark in new - old:
                known = self._owners.get(mark.key, frozenset())
                self._owners[mark.key] = known | {(node, mark.detail)}
            if new:
                self.marks[node] = new

    def asking(self, spelling: Spelling) -> Asking:
        """To ask who somebody is."""
        return Asking(self._owners, spelling)


class Asking:
    """Asks who somebody is, and notes by what that was decided."""

    def __init__(
        self, owners: Mapping[Key, frozenset[tuple[str, str]]], spelling: Spelling
    ) -> None:
        self.asked: set[Key] = set()
        """As long as nobody gains or loses one of these marks, every answer stays as it is."""
        self._owners, self._spelling = owners, spelling

    def _of(self, kind: str, key: str) -> frozenset[tuple[str, str]]:
        self.asked.add((kind, key))
        return self._owners.get((kind, key), frozenset())

    def find(self, peer: str, how: str) -> tuple[str, tuple[str, ...]]:
        """The node that calls itself ``peer``, and which of its ports it may be (none when that is
        not told). An empty name when nobody does, or more than one."""
        if is_mac(peer):
            owners = self._of("mac", plain_mac(peer))
            node = _only(owners)
            return node, tuple(sorted({port for _, port in owners if port})) if node else ()
        if how == "slot":
            key = plain_uuid(peer) if is_uuid(peer) else peer.lower()
            return _only(self._of("serial", key)), ()
        if how == "iqn":
            if owners := self._of("iqn", peer.lower()):
                return _only(owners), ()
            if owners := self._of("target", peer.lower()):
                node = _only(owners)
                return node, tuple(spelt for _, spelt in owners) if node else ()
        return self._by_name(peer.lower().rstrip(".")), ()

    def in_slot(self, chassis: str, slot: str) -> str:
        """The node whose UUID the chassis tells of what is in ``slot``; empty when it tells none, or
        nobody's."""
        for _, uuid in self._of("system", f"{chassis}:{slot}"):
            return self.find(uuid, "slot")[0]
        return ""

    def ports(self, node: str, said: str) -> tuple[str, ...]:
        """Which ports of ``node`` a neighbour may mean by ``said``; none when that is no port."""
        if is_mac(said):
            owners = self._of("mac", plain_mac(said))
            return tuple(sorted(port for owner, port in owners if owner == node and port))
        port, known = self._spelling(node, said), self._of("port", node)
        # Some send a description for the port's name. Where the ports are not known, it is believed:
        # the name of a wrong port is seen for one.
        return (port,) if (node, port) in known or not known else ()

    def _by_name(self, name: str) -> str:
        alike = self._of("name", name.partition(".")[0])
        same = {(node, full) for node, full in alike if full == name}
        return _only(same) or _only(
            # With a domain on one side only it is the same name; with two different ones it is not.
            {(node, full) for node, full in alike if "." not in full or "." not in name}
        )


def _only(owners: Collection[tuple[str, str]]) -> str:
    nodes = {node for node, _ in owners}
    return nodes.pop() if len(nodes) == 1 else ""


def marks_of(bundle: Bundle, facts: Facts | None, spelling: Spelling) -> frozenset[Mark]:
    """By what the node of ``bundle`` can be recognised."""
    node, values = bundle.node.name, facts.values if facts else {}
    marks = {Mark(("name", name.partition(".")[0]), name) for name in _names(node, values)}
    for mac, port in _macs(values):
        marks.add(Mark(("mac", mac), spelling(node, port) if port else ""))
    marks.update(Mark(("serial", serial)) for serial in _serials(values))
    spelt = {iqn.lower(): iqn for iqn in reversed(targets(bundle, values))}
    marks.update(Mark(("target", iqn), first) for iqn, first in spelt.items())
    said = _map(values.get("iscsi")).get("initiator")
    own = (said.lower(),) if isinstance(said, str) else ()
    marks.update(Mark(("iqn", iqn)) for iqn in (*initiators(bundle), *own))
    for key in ("nics", "ports"):
        marks.update(
            Mark(("port", node), spelling(node, str(port))) for port in _map(values.get(key))
        )
    for slot, about in _map(values.get("systems")).items():
        uuid = _map(about).get("uuid")
        if isinstance(uuid, str) and is_uuid(uuid):
            marks.add(Mark(("system", f"{node}:{slot}"), uuid))
    return frozenset(marks)


def _names(node: str, values: Mapping[str, Any]) -> set[str]:
    said = [node, *(values.get(key) for key in ("hostname", "fqdn"))]
    names = {name.lower().rstrip(".") for name in said if isinstance(name, str) and name}
    return names - _NOBODYS | {node.lower()}


def _macs(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each MAC address with its port; that of the whole device without one."""
    for key in ("nics", "ports"):
        for port, about in _map(values.get(key)).items():
            mac = _map(about).get("mac")
            if isinstance(mac, str) and is_mac(mac) and plain_mac(mac).strip("0"):
                yield plain_mac(mac), str(port)
    mac = values.get("mac")
    if isinstance(mac, str) and is_mac(mac):
        yield plain_mac(mac), ""


def _serials(values: Mapping[str, Any]) -> Iterator[str]:
    dmi = _map(values.get("dmi"))
    for serial in (dmi.get("serial"), values.get("serial")):
        if isinstance(serial, str) and serial:
            yield serial.lower()
    uuid = dmi.get("uuid")
    if isinstance(uuid, str) and is_uuid(uuid):
        yield plain_uuid(uuid)


def initiators(bundle: Bundle) -> tuple[str, ...]:
    """The iSCSI names that the site gives a node as an initiator: the attribute of role ``san-luns``,
    and ports of links."""
    attribute = bundle.attributes.get("initiator")
    said = [attribute.value] if attribute else []
    if bundle.node.type == "server":
        said += [link.port for link in bundle.node.links if link.port.startswith("iqn.")]
    return tuple(iqn.lower() for iqn in said if isinstance(iqn, str) and iqn)


def targets(bundle: Bundle, values: Mapping[str, Any]) -> tuple[str, ...]:
    """The iSCSI names of a node's targets: as the site has them, and then as its facts tell."""
    if bundle.node.type != "san":
        return ()
    said: list[Any] = [link.port for link in bundle.node.links]
    said += [item.data.get("name") for item in bundle.resources if item.type == "target"]
    said += [*_map(values.get("targets")), values.get("iqn")]
    said += [_map(about).get("iqn") for about in _map(values.get("volumes")).values()]
    return tuple(iqn for iqn in said if isinstance(iqn, str) and iqn.lower().startswith(_NAMES))


def _map(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}
