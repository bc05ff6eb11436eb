"""What Dell OS10 shows, as values. Pure; an answer that lacks its landmarks raises ValueError rather
than being taken for an empty device.

The forms were held against the configuration of an OS10 10.4 switch in the unit tests of Ansible's
collection dellemc.os10, and against Dell's SmartFabric OS10 User Guide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from msgspec import structs

from rackwright.model.address import Address
from rackwright.model.resource import Resource
from rackwright_providers.switch import password_hash, vlanset
from rackwright_providers.switch.cli_lines import (
    SeenCommunity,
    SeenNtpServer,
    SeenSyslogServer,
    host,
)
from rackwright_providers.switch.resources import (
    Hostname,
    Lag,
    LocalUser,
    NtpServer,
    Port,
    SnmpCommunity,
    SyslogServer,
    Vlan,
    named_communities,
)
from rackwright_providers.switch.sections import sections

DEFAULT_VLAN = 1
LAST_VLAN = 4093
"""4094 is the control VLAN of a VLT domain."""
RESERVED_VLANS = frozenset({DEFAULT_VLAN, *range(LAST_VLAN + 1, vlanset.LAST + 1)})
DEFAULT_HOSTNAME = "OS10"
DEFAULT_MTU = 1532
"""Bytes, of Ethernet and port-channel interfaces."""
PRIVILEGES: Mapping[str, int] = {"netoperator": 1}
"""The privilege level of a role where none is given; of all others it is 15."""
OS9_STYLE = "feature config-os9-style"
"""With it VLANs are configured, and shown, by ``tagged`` and ``untagged``."""
OBSCURED = "*"
"""What ``service obscure-password`` leaves of a hash, several times."""
KINDS: Mapping[str, str] = {
    "ethernet": "ethernet",
    "mgmt": "mgmt",
    "management": "mgmt",
    "port-channel": "port-channel",
    "vlan": "vlan",
    "loopback": "loopback",
}
"""Words of an interface's name, and what it is shown as."""

_INTERFACE = re.compile(r"([A-Za-z][A-Za-z-]*?)\s*(\d+(?:/\d+)*(?::\d+)?)")
_LACP: Mapping[str, Literal["active", "passive", "off"]] = {
    "active": "active",
    "passive": "passive",
    "on": "off",
}


def interface(name: str) -> str:
    """The name as OS10 shows it: ``Eth 1/1/1`` and ``ethernet1/1/1`` are one. Raises ValueError for
    what is no interface's name, or may be several."""
    found = _INTERFACE.fullmatch(name.strip())
    word = found[1].lower() if found else ""
    fitting = {shown for full, shown in KINDS.items() if word and full.startswith(word)}
    if found is None or len(fitting) != 1:
        raise ValueError(f"{name!r} is not a port's name on OS10")
    return fitting.pop() + found[2]


def configuration(text: str, wanted: Mapping[Address, Resource]) -> dict[Address, Resource]:
    """Every resource of ``show running-configuration``. What OS10 hides counts as state; see `_port`.

    ``wanted`` gives declared passwords, which hashes are held against, and the names of
    communities.
    """
    if not text.lstrip().startswith("! Version"):
        raise ValueError("a running-configuration that does not begin with '! Version'")
    tree = list(sections(text))
    found: list[Resource] = [*_vlans(tree, wanted), *_interfaces(tree, wanted), _hostname(tree)]
    found += _servers(tree)
    found += _users(tree, wanted)
    resources = {resource.address: resource for resource in found}
    resources.update(_communities(tree, wanted))
    return resources


def os9_style(text: str) -> bool:
    """Whether the switch is configured as OS9 is, which is another language."""
    return any(line.rstrip() == OS9_STYLE for line in text.splitlines())


_Tree = list[tuple[str, tuple[str, ...]]]


def _vlans(tree: _Tree, wanted: Mapping[Address, Resource]) -> Iterator[Vlan]:
    """The default VLAN, whichever it is, is the switch's own unless it is declared."""
    default = DEFAULT_VLAN
    for head, _ in tree:
        if found := re.fullmatch(r"default vlan-id (\d+)", head):
            default = int(found[1])
    for head, body in tree:
        found = re.fullmatch(r"interface vlan ?(\d+)", head)
        number = int(found[1]) if found else DEFAULT_VLAN
        if number in RESERVED_VLANS:
            continue
        vlan = Vlan(name=str(number), title=_description(body))
        if number != default or vlan.address in wanted:
            yield vlan


def _description(body: tuple[str, ...]) -> str:
    """Quoted where it has blanks."""
    for line in body:
        if line.startswith("description "):
            text = line[12:].strip()
            return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    return ""


def _interfaces(tree: _Tree, wanted: Mapping[Address, Resource]) -> Iterator[Port | Lag]:
    members: dict[str, dict[str, str]] = {}
    lags: dict[str, tuple[str, ...]] = {}
    for head, body in tree:
        if not head.startswith("interface "):
            continue
        name = head[10:].replace(" ", "")
        if name.startswith("port-channel"):
            lags[name.removeprefix("port-channel")] = body
        elif name.startswith(("ethernet", "mgmt")):
            lag, lacp = _group(body)
            if lag:
                members.setdefault(lag, {})[name] = lacp
            yield Port(name=name, lag=lag or "none", **_port(name, body))
    for number in {**lags, **members}:
        mode = next(iter(members.get(number, {}).values()), "")
        declared = wanted.get(Address(Lag.kind, number))
        # LACP is a setting of the members: where there is none, none can differ.
        yield Lag(
            name=number,
            members=tuple(sorted(members.get(number, ()))),
            lacp=_LACP.get(mode) if mode else getattr(declared, "lacp", None),
            **_port("port-channel", lags.get(number, ())),
        )


def _group(body: tuple[str, ...]) -> tuple[str, str]:
    for line in body:
        # Without a mode the LAG is static.
        if found := re.fullmatch(r"channel-group (\d+)(?: mode (active|passive|on))?", line):
            return found[1], found[2] or "on"
    return "", ""


def _port(name: str, body: tuple[str, ...]) -> dict[str, Any]:
    """What OS10 does not print counts as state: mode access in VLAN 1, no VLAN tagged, MTU 1532, no
    description, up. The access VLAN of a trunk is the one that it carries untagged, so both are
    one setting; ``no switchport access vlan`` leaves a trunk without."""
    values: dict[str, Any] = {
        "admin": "down" if "shutdown" in body else "up",
        "description": _description(body),
        "mode": "access",
    }
    switched = "no switchport" not in body and not name.startswith("mgmt")
    untagged: int | None = None
    tagged: frozenset[int] = frozenset()
    if not name.startswith("mgmt"):
        values["mtu"] = DEFAULT_MTU
    for line in body:
        if found := re.fullmatch(r"mtu (\d+)", line):
            values["mtu"] = int(found[1])
        elif line == "switchport mode trunk":
            values["mode"] = "trunk"
        elif found := re.fullmatch(r"switchport access vlan (\d+)", line):
            untagged = int(found[1])
        elif line.startswith("switchport trunk allowed vlan "):
            tagged |= vlanset.parse(line[30:])
    if not switched:
        return values | {"mode": "routed"}
    if untagged is None and values["mode"] == "access":
        untagged = DEFAULT_VLAN
    more = {"access_vlan": untagged, "native_vlan": untagged, "allowed_vlans": vlanset.show(tagged)}
    return values | more


def _hostname(tree: _Tree) -> Hostname:
    given = [head.split()[1] for head, _ in tree if head.startswith("hostname ")]
    return Hostname(name="system", value=(given or [DEFAULT_HOSTNAME])[-1])


def _servers(tree: _Tree) -> Iterator[NtpServer | SyslogServer]:
    logs: dict[str, list[str]] = {}
    for head, _ in tree:
        words = head.split()
        if words[:2] == ["ntp", "server"] and len(words) > 2:
            options = tuple(word for word in words[3:] if word != "prefer")
            yield SeenNtpServer(name=host(words[2]), prefer="prefer" in words[3:], options=options)
        elif words[:2] == ["logging", "server"] and len(words) > 2:
            logs.setdefault(host(words[2]), []).append(head)
    for name, lines in logs.items():
        yield SeenSyslogServer(name=name, lines=tuple(lines))


def _users(tree: _Tree, wanted: Mapping[Address, Resource]) -> Iterator[LocalUser]:
    """``username N password $6$… role R [priv-lvl P]``; keys stand in lines of their own."""
    for head, _ in tree:
        found = re.fullmatch(r"username (\S+) password (\S+) role (\S+)(?: priv-lvl (\d+))?", head)
        if found is None:
            continue
        name, hashed, role, level = found.groups()
        declared = getattr(wanted.get(Address(LocalUser.kind, name)), "password", None)
        try:
            yield LocalUser(
                name=name,
                password=password_hash.seen(hashed, declared),
                role=role,
                privilege=int(level) if level else PRIVILEGES.get(role, 15),
            )
        except ValueError:
            continue  # a name that cannot be declared: not ours


def _communities(tree: _Tree, wanted: Mapping[Address, Resource]) -> dict[Address, SnmpCommunity]:
    access: dict[str, Literal["ro", "rw"]] = {}
    after: dict[str, tuple[str, ...]] = {}
    for head, _ in tree:
        words = head.split()
        if words[:2] == ["snmp-server", "community"] and words[3:4] in (["ro"], ["rw"]):
            access[words[2]] = "rw" if words[3] == "rw" else "ro"
            after[words[2]] = tuple(words[4:])
    found: dict[Address, SnmpCommunity] = {}
    for address, community in named_communities(access, wanted.values()).items():
        more = after[community.community or ""]
        found[address] = SeenCommunity(**structs.asdict(community), after=more)
    return found
