"""The nouns of switches."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, structs

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Permanent
from rackwright.model.resource import Resource, declared_fields
from rackwright.model.secret import Secret
from rackwright_providers.switch import interfaces, vlanset

VLAN_ID = Meta(ge=vlanset.FIRST, le=vlanset.LAST)


class Vlan(Resource, frozen=True, kw_only=True):
    """A VLAN. Its name in the address is the id: ``vlan/666``."""

    kind: ClassVar[str] = "vlan"
    listed: ClassVar[bool] = True

    title: Annotated[str, Meta(max_length=32)] | None = None
    """The VLAN's name on the switch. Users write it as ``title``."""

    @classmethod
    def spelling(cls, name: str) -> str:
        return plain_number(name)

    def __post_init__(self) -> None:
        plain = self.name.isascii() and self.name.isdecimal()
        if not plain or not vlanset.FIRST <= int(self.name) <= vlanset.LAST:
            low, high = vlanset.FIRST, vlanset.LAST
            raise ValueError(f"a VLAN's name is its id, {low} to {high}, not {self.name!r}")

    @property
    def id(self) -> int:
        """The VLAN id."""
        return int(self.name)


class SwitchPort(Resource, frozen=True, kw_only=True):
    """What ports and LAGs have in common. Undeclared fields are left alone."""

    admin: Literal["up", "down"] | None = None
    description: Annotated[str, Meta(max_length=240)] | None = None
    mode: Literal["access", "trunk", "dynamic", "routed"] | None = None
    """``dynamic``: negotiated with the far end. ``routed`` is only ever observed."""
    access_vlan: Annotated[int, VLAN_ID] | None = None
    native_vlan: Annotated[int, VLAN_ID] | None = None
    allowed_vlans: str | int | tuple[int | str, ...] | None = None
    """The whole list: ``10,20-29``, a list, ``all`` or ``none``. Canonical: `vlanset.show`."""
    mtu: Annotated[int, Meta(ge=68, le=65535)] | None = None

    def vlans(self) -> frozenset[int]:
        """VLANs that it names, the hidden default ``all`` left out."""
        ids = {vlan for vlan in (self.access_vlan, self.native_vlan) if vlan}
        if self.allowed_vlans not in (None, "all"):
            ids |= vlanset.parse(self.allowed_vlans)
        return frozenset(ids)

    def implied_needs(self) -> tuple[Address, ...]:
        return tuple(Address("vlan", str(vlan)) for vlan in sorted(self.vlans()))

    def severs(self, before: Resource | None) -> bool:
        if self.ensure == "absent" or not isinstance(before, SwitchPort):
            return True
        changed = [
            name
            for name in ("mode", "access_vlan", "native_vlan", "mtu")
            if getattr(self, name) is not None and getattr(self, name) != getattr(before, name)
        ]
        if self.allowed_vlans is not None and before.allowed_vlans is not None:
            gone = vlanset.parse(before.allowed_vlans) - vlanset.parse(self.allowed_vlans)
            if gone:
                changed.append("allowed_vlans")
        return bool(changed) or (self.admin == "down" and before.admin != "down")

    def untagged_vlan(self) -> int | None:
        """The VLAN of untagged frames; None where that cannot be told, or there is none."""
        if self.mode == "routed":
            return None
        return self.native_vlan if self.mode == "trunk" else self.access_vlan


class Port(SwitchPort, frozen=True, kw_only=True):
    """A physical or logical port. It is always there."""

    kind: ClassVar[str] = "port"
    fixture: ClassVar[bool] = True
    linked: ClassVar[bool] = True

    lag: str | None = None
    """The LAG that it is a member of, by the LAG's name; ``none``: of no LAG."""

    @classmethod
    def spelling(cls, name: str) -> str:
        return interfaces.spelling(name)

    def implied_needs(self) -> tuple[Address, ...]:
        bundle = (Address("lag", self.lag),) if self.lag not in (None, "none") else ()
        return (*super().implied_needs(), *bundle)

    def severs(self, before: Resource | None) -> bool:
        moved = self.lag is not None and self.lag != (getattr(before, "lag", None) or "none")
        return moved or super().severs(before)


class Lag(SwitchPort, frozen=True, kw_only=True):
    """A link aggregation group: ``lag/10`` is Port-channel10 where LAGs have numbers."""

    kind: ClassVar[str] = "lag"
    listed: ClassVar[bool] = True

    members: tuple[str, ...] | None = None
    """All of its ports."""
    lacp: Literal["active", "passive", "off"] | None = None
    """``off``: a static LAG. Active when undeclared and made."""

    @classmethod
    def spelling(cls, name: str) -> str:
        found = _LAG_NUMBER.fullmatch(name)
        return found[1] if found else name

    @property
    def number(self) -> int:
        """Of a LAG that has one. Raises ValueError that says so otherwise."""
        found = _LAG_NUMBER.fullmatch(self.name)
        if found is None:
            raise ValueError(f"a LAG's name here is its number, not {self.name!r}")
        return int(found[1])

    def severs(self, before: Resource | None) -> bool:
        if not isinstance(before, Lag):
            return True
        left = self.members is not None and set(before.members or ()) - set(self.members)
        spoken = self.lacp is not None and before.lacp is not None and self.lacp != before.lacp
        return bool(left) or spoken or super().severs(before)


_LAG_NUMBER = re.compile(r"(?:port-?channel|po)?\s*([1-9]\d{0,3})", re.IGNORECASE)


class Hostname(Resource, frozen=True, kw_only=True):
    """What the device calls itself: ``- hostname: sw-a1``. Canonical: name ``system``, and the
    name in ``value``; see `canonical_hostname`."""

    kind: ClassVar[str] = "hostname"
    fixture: ClassVar[bool] = True

    value: str | None = None


def canonical_hostname(hostname: Hostname, longest: int = 63) -> Hostname:
    """One address for the one name that a device has. Raises Permanent for what is no host name
    (RFC 1123, section 2.1)."""
    value = hostname.value if hostname.value is not None else hostname.name
    if hostname.ensure == "absent":
        raise Permanent("a device has a host name: it cannot be absent")
    if not _HOST_LABEL.fullmatch(value) or len(value) > longest:
        raise Permanent(f"{value!r} cannot be a host name here (letters, digits, -; {longest})")
    return Hostname(name="system", value=value)


_HOST_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


class NtpServer(Resource, frozen=True, kw_only=True):
    """A time server; its name is its address: ``ntp_server/10.0.0.1``."""

    kind: ClassVar[str] = "ntp_server"
    listed: ClassVar[bool] = True

    prefer: bool | None = None

    def __post_init__(self) -> None:
        _require_host(self.name)


class SyslogServer(Resource, frozen=True, kw_only=True):
    """A receiver of the device's log; its name is its address: ``syslog_server/10.0.0.2``."""

    kind: ClassVar[str] = "syslog_server"
    listed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _require_host(self.name)


def _require_host(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,252}", name):
        raise ValueError(f"{name!r} is not an IP address or a host name")


class SnmpCommunity(Resource, frozen=True, kw_only=True):
    """An SNMP v1/v2c community. The device knows only its text, which is secret, so the name is
    ours alone: see `named_communities`."""

    kind: ClassVar[str] = "snmp_community"
    listed: ClassVar[bool] = True

    community: Annotated[str, Secret] | None = None
    access: Literal["ro", "rw"] | None = None

    def __post_init__(self) -> None:
        if self.ensure == "present" and not self.name.startswith("#") and not self.community:
            raise ValueError("an SNMP community needs `community: {secret: NAME}`")


def named_communities(
    found: Mapping[str, Literal["ro", "rw"]], wanted: Iterable[Resource]
) -> dict[Address, SnmpCommunity]:
    """The communities that a device has (text → access) under the names that the site gives them.
    What has none is ``#1``, ``#2``, …, so that a purge can remove it and nothing shows its text."""
    ours = {
        item.community: item.name
        for item in wanted
        if isinstance(item, SnmpCommunity) and item.community
    }
    nameless = (f"#{number}" for number in itertools.count(1))
    named = [
        SnmpCommunity(name=ours.get(text) or next(nameless), community=text, access=access)
        for text, access in sorted(found.items())
    ]
    return {community.address: community for community in named}


class LocalUser(Resource, frozen=True, kw_only=True):
    """An account on the device itself."""

    kind: ClassVar[str] = "local_user"

    password: Annotated[str, Secret] | None = None
    """In clear (a secret). Where the device shows a hash, the hash is checked against it; what is
    observed is this password where it fits, and else a text that it is not."""
    privilege: Annotated[int, Meta(ge=0, le=15)] | None = None
    role: str | None = None
    """Where the platform has roles: ``network-admin``, ``sysadmin``."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", self.name):
            raise ValueError(f"{self.name!r} cannot be the name of an account")

    def severs(self, before: Resource | None) -> bool:
        if self.ensure == "absent" or not isinstance(before, LocalUser):
            return self.ensure == "absent"
        return any(
            getattr(self, name) is not None and getattr(self, name) != getattr(before, name)
            for name in ("password", "privilege", "role")
        )


def plain_number(name: str) -> str:
    """``0666`` is ``666``."""
    return str(int(name)) if name.isascii() and name.isdecimal() else name


def vlan_in_use(
    changes: Iterable[Change], observed: Mapping[Address, Resource]
) -> dict[Address, str]:
    """Removals of VLANs that a port would still carry untagged after all of ``changes``, each with
    its reason. Such a port would fall silent, with nothing in the configuration that says why."""
    ports = {address: seen for address, seen in observed.items() if isinstance(seen, SwitchPort)}
    removed: dict[str, Address] = {}
    for change in changes:
        if change.action == "remove" and change.address.type == Vlan.kind:
            removed[change.address.name] = change.address
        elif change.action == "remove":
            ports.pop(change.address, None)
        elif isinstance(change.after, SwitchPort) and change.action in ("create", "update"):
            new = type(change.after)(name=change.address.name)
            before = ports.get(change.address, new)
            ports[change.address] = structs.replace(before, **declared_fields(change.after))
    users: dict[str, list[str]] = {}
    for port in ports.values():
        users.setdefault(str(port.untagged_vlan()), []).append(port.name)
    return {
        address: f"still carried untagged by {_some(users[vlan])}: declare "
        f"{'that port' if len(users[vlan]) == 1 else 'those ports'} in another VLAN (access_vlan, native_vlan)"
        for vlan, address in removed.items()
        if vlan in users
    }


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


NOUNS = (Vlan, Port, Lag, Hostname, NtpServer, SyslogServer, SnmpCommunity, LocalUser)
