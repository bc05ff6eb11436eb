"""Who is meant by what a device says of its far end: a name, a MAC address, a serial number, a UUID,
an IQN. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

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


class Identities:
    """By what the nodes of a site can be recognised: what the site says, and their facts. What two
    nodes have in common recognises neither."""

    def __init__(
        self,
        bundles: Mapping[str, Bundle],
        facts: Mapping[str, Facts],
        spelling: Callable[[str, str], str],
    ) -> None:
        """``spelling`` gives the one name of a port of a node."""
        self._spelling = spelling
        self._names: dict[str, set[tuple[str, str]]] = {}
        """First label → (full name, node)."""
        self._macs: dict[str, dict[str, set[str]]] = {}
        """MAC address → node → its ports that have it."""
        self._serials: dict[str, set[str]] = {}
        self._iqns: dict[str, set[str]] = {}
        self._targets: dict[str, dict[str, str]] = {}
        """IQN of a target, in lower case → node that has it → the IQN as that one is spelt."""
        self._systems = {
            (node, str(slot)): uuid
            for node, known in facts.items()
            for slot, about in _map(known.values.get("systems")).items()
            for uuid in (_map(about).get("uuid"),)
            if isinstance(uuid, str)
        }
        self._ports: dict[str, frozenset[str]] = {}
        for node, bundle in bundles.items():
            values = facts[node].values if node in facts else {}
            for name in _names(node, values):
                self._names.setdefault(name.partition(".")[0], set()).add((name, node))
            for mac, port in _macs(values):
                spelt = {spelling(node, port)} if port else set()
                self._macs.setdefault(mac, {}).setdefault(node, set()).update(spelt)
            for serial in _serials(values):
                self._serials.setdefault(serial, set()).add(node)
            for iqn in targets(bundle, values):
                self._targets.setdefault(iqn.lower(), {}).setdefault(node, iqn)
            said = _map(values.get("iscsi")).get("initiator")
            for iqn in (*initiators(bundle), *([said.lower()] if isinstance(said, str) else ())):
                self._iqns.setdefault(iqn, set()).add(node)
            self._ports[node] = frozenset(
                spelling(node, str(port))
                for key in ("nics", "ports")
                for port in _map(values.get(key))
            )

    def find(self, peer: str, how: str) -> tuple[str, tuple[str, ...]]:
        """The node that calls itself ``peer``, and which of its ports it may be (none when that is
        not told). An empty name when nobody does, or more than one."""
        if is_mac(peer):
            owners = self._macs.get(plain_mac(peer), {})
            if len(owners) != 1:
                return "", ()
            ((node, ports),) = owners.items()
            return node, tuple(sorted(ports))
        if how == "slot":
            key = plain_uuid(peer) if is_uuid(peer) else peer.lower()
            return _only(self._serials.get(key, set())), ()
        if how == "iqn" and peer.lower() in self._iqns:
            return _only(self._iqns[peer.lower()]), ()
        if how == "iqn" and peer.lower() in self._targets:
            spelt = self._targets[peer.lower()]
            node = _only(set(spelt))
            return node, (spelt[node],) if node else ()
        return self._by_name(peer.lower().rstrip(".")), ()

    def in_slot(self, chassis: str, slot: str) -> str:
        """The node whose UUID the chassis tells of what is in ``slot``; empty when it tells none, or
        nobody's."""
        uuid = self._systems.get((chassis, slot), "")
        return self.find(uuid, "slot")[0] if is_uuid(uuid) else ""

    def ports(self, node: str, said: str) -> tuple[str, ...]:
        """Which ports of ``node`` a neighbour may mean by ``said``; none when that is no port."""
        if is_mac(said):
            return tuple(sorted(self._macs.get(plain_mac(said), {}).get(node, ())))
        port, known = self._spelling(node, said), self._ports.get(node, frozenset())
        # Some send a description for the port's name. Where the ports are not known, it is believed:
        # the name of a wrong port is seen for one.
        return (port,) if port in known or not known else ()

    def _by_name(self, name: str) -> str:
        alike = self._names.get(name.partition(".")[0], set())
        same = {node for full, node in alike if full == name}
        return _only(same) or _only(
            # With a domain on one side only it is the same name; with two different ones it is not.
            {node for full, node in alike if "." not in full or "." not in name}
        )


def _only(nodes: set[str]) -> str:
    return next(iter(nodes)) if len(nodes) == 1 else ""


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
