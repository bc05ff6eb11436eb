"""What EOS shows, as values. Pure; an answer that lacks its landmarks raises ValueError rather than
being taken for an empty device.

The forms were held against the recordings of napalm (`test/eos/mocked_data`) and ntc-templates
(`tests/arista_eos`), and against Arista's EOS User Manual.
"""

from __future__ import annotations

import json
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

RESERVED_VLANS = frozenset({1})
"""Always there. What EOS takes for routed ports (``vlan internal order``) is not in the
configuration and so never seen here."""
DEFAULT_HOSTNAME = "localhost"
OUR_SESSION = "rackwright-"
"""How the names of our configuration sessions begin."""
NAMES: Mapping[str, str] = {
    "Ethernet": "et",
    "Management": "ma",
    "Port-Channel": "po",
    "Vlan": "vl",
    "Loopback": "lo",
    "Vxlan": "vx",
    "Tunnel": "tu",
}
"""Full names of interfaces, and the short forms in which EOS shows them."""

_ALL = frozenset(range(vlanset.FIRST, vlanset.LAST + 1))
_INTERFACE = re.compile(r"([A-Za-z][A-Za-z-]*?)\s*(\d+(?:/\d+)*)")
_LACP: Mapping[str, Literal["active", "passive", "off"]] = {
    "active": "active",
    "passive": "passive",
    "on": "off",
}
_MODES: Mapping[str, Literal["access", "trunk"]] = {"access": "access", "trunk": "trunk"}


def interface(name: str) -> str:
    """The full name: ``et1``, ``Eth 1`` and ``Ethernet1`` are one. Raises ValueError for what is no
    interface's name, or may be several."""
    found = _INTERFACE.fullmatch(name.strip())
    word = found[1].lower() if found else ""
    fitting = [full for full in NAMES if word and full.lower().startswith(word)]
    short = [full for full, form in NAMES.items() if form == word]
    if found is None or len(short or fitting) != 1:
        raise ValueError(f"{name!r} is not a port's name on EOS")
    return (short or fitting)[0] + found[2]


def configuration(text: str, wanted: Mapping[Address, Resource]) -> dict[Address, Resource]:
    """Every resource of ``show running-config``. What EOS hides counts as state; see `_port`.

    ``wanted`` gives declared passwords, which hashes are held against, and the names of
    communities.
    """
    if text.rstrip().rpartition("\n")[2].strip() != "end":
        raise ValueError("a running-config that does not end with 'end'")
    tree = list(sections(text))
    found: list[Resource] = [*_vlans(tree), *_interfaces(tree, wanted), _hostname(tree)]
    found += _servers(tree)
    found += _users(tree, wanted)
    resources = {resource.address: resource for resource in found}
    resources.update(_communities(tree, wanted))
    return resources


_Tree = list[tuple[str, tuple[str, ...]]]


def _vlans(tree: _Tree) -> Iterator[Vlan]:
    """``vlan 10,20-29`` stands for all that have nothing of their own."""
    for head, body in tree:
        ids = re.fullmatch(r"vlan ([\d,-]+)", head)
        if ids is None:
            continue
        title = next((line[5:] for line in body if line.startswith("name ")), None)
        for number in sorted(vlanset.parse(ids[1]) - RESERVED_VLANS):
            yield Vlan(name=str(number), title=title or default_title(number))


def default_title(number: int) -> str:
    """What EOS calls a VLAN without a name."""
    return f"VLAN{number:04d}"


def _interfaces(tree: _Tree, wanted: Mapping[Address, Resource]) -> Iterator[Port | Lag]:
    routed = any(head == "switchport default mode routed" for head, _ in tree)
    members: dict[str, dict[str, str]] = {}
    lags: dict[str, tuple[str, ...]] = {}
    for head, body in tree:
        if not head.startswith("interface "):
            continue
        name = head[10:].strip()
        if name.startswith("Port-Channel"):
            lags[name.removeprefix("Port-Channel")] = body
        elif name.startswith(("Ethernet", "Management")) and "." not in name:
            lag, lacp = _group(body)
            if lag:
                members.setdefault(lag, {})[name] = lacp
            yield Port(name=name, lag=lag or "none", **_port(name, body, routed))
    for number in {**lags, **members}:
        address = Address(Lag.kind, number)
        mode = next(iter(members.get(number, {}).values()), "")
        declared = wanted.get(address)
        # LACP is a setting of the members: where there is none, none can differ.
        lacp_of = _LACP.get(mode) if mode else getattr(declared, "lacp", None)
        yield Lag(
            name=number,
            members=tuple(sorted(members.get(number, ()))),
            lacp=lacp_of,
            **_port(f"Port-Channel{number}", lags.get(number, ()), routed),
        )


def _group(body: tuple[str, ...]) -> tuple[str, str]:
    for line in body:
        found = re.fullmatch(r"channel-group (\d+) mode (active|passive|on)", line)
        if found:
            return found[1], found[2]
    return "", ""


def _port(name: str, body: tuple[str, ...], routed: bool) -> dict[str, Any]:
    """What EOS does not print counts as state: mode access in VLAN 1 (``switchport default mode
    routed``: routed), native VLAN 1, allowed VLANs ``all``, no description, up."""
    values: dict[str, Any] = {"admin": "up", "description": "", "mode": "access"}
    access = 1
    native: int | None = 1
    allowed = _ALL
    switched = not routed and not name.startswith("Management")
    for line in body:
        if line in ("switchport", "no switchport"):
            switched = line == "switchport"
        elif line == "shutdown":
            values["admin"] = "down"
        elif line.startswith("description "):
            values["description"] = line[12:]
        elif line.startswith("switchport mode "):
            # Tunnels, taps and phones are neither; None says that we cannot tell.
            values["mode"] = _MODES.get(line[16:])
        elif line.startswith("switchport access vlan ") and line[23:].isdecimal():
            access = int(line[23:])
        elif line.startswith("switchport trunk native vlan "):
            native = int(line[29:]) if line[29:].isdecimal() else None  # `tag`: none is untagged
        elif line.startswith("switchport trunk allowed vlan "):
            allowed = _allowed(allowed, line[30:].split())
    if not switched:
        return values | {"mode": "routed"}
    more = {"access_vlan": access, "native_vlan": native, "allowed_vlans": vlanset.show(allowed)}
    return values | more


def _allowed(before: frozenset[int], words: list[str]) -> frozenset[int]:
    if words[0] == "add":
        return before | vlanset.parse(words[1])
    if words[0] == "remove":
        return before - vlanset.parse(words[1])
    if words[0] == "except":
        return _ALL - vlanset.parse(words[1])
    return vlanset.parse(words[0])


def _hostname(tree: _Tree) -> Hostname:
    given = [head.split()[1] for head, _ in tree if head.startswith("hostname ")]
    return Hostname(name="system", value=(given or [DEFAULT_HOSTNAME])[-1])


def _servers(tree: _Tree) -> Iterator[NtpServer | SyslogServer]:
    """Of the default VRF; those of others (``ntp server vrf V …``) are not ours to see."""
    logs: dict[str, list[str]] = {}
    for head, _ in tree:
        words = head.split()
        if words[:2] == ["ntp", "server"] and len(words) > 2 and words[2] != "vrf":
            options = tuple(word for word in words[3:] if word != "prefer")
            yield SeenNtpServer(name=host(words[2]), prefer="prefer" in words[3:], options=options)
        elif words[:2] == ["logging", "host"] and len(words) > 2:
            logs.setdefault(host(words[2]), []).append(head)
    for name, lines in logs.items():
        yield SeenSyslogServer(name=name, lines=tuple(lines))


def _users(tree: _Tree, wanted: Mapping[Address, Resource]) -> Iterator[LocalUser]:
    """``username N privilege 15 role R secret sha512 $6$…``; other lines of an account (keys, shell)
    add nothing that is declared here."""
    found: dict[str, dict[str, Any]] = {}
    for head, _ in tree:
        words = head.split()
        if words[0] != "username" or len(words) < 3:
            continue
        values = found.setdefault(words[1], {"privilege": 1, "role": "", "password": ""})
        for key, value in zip(words[2:], [*words[3:], ""], strict=True):
            if key == "privilege" and value.isdecimal():
                values["privilege"] = int(value)
            elif key == "role":
                values["role"] = value
            elif key == "secret":
                values["password"] = words[-1]
                break
            elif key in ("ssh-key", "sshkey"):
                break
    for name, values in found.items():
        declared = getattr(wanted.get(Address(LocalUser.kind, name)), "password", None)
        values["password"] = password_hash.seen(values["password"], declared)
        try:
            yield LocalUser(name=name, **values)
        except ValueError:
            continue  # a name that cannot be declared: not ours


def _communities(tree: _Tree, wanted: Mapping[Address, Resource]) -> dict[Address, SnmpCommunity]:
    access: dict[str, Literal["ro", "rw"]] = {}
    around: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for head, _ in tree:
        words = head.split()
        if words[:2] != ["snmp-server", "community"] or len(words) < 3:
            continue
        # snmp-server community C [view V] [ro | rw] [access lists]
        rest = words[3:]
        before = rest[:2] if rest[:1] == ["view"] else []
        after = rest[len(before) :]
        access[words[2]] = "rw" if after[:1] == ["rw"] else "ro"
        around[words[2]] = tuple(before), tuple(after[after[:1] in (["ro"], ["rw"]) :])
    found: dict[Address, SnmpCommunity] = {}
    for address, community in named_communities(access, wanted.values()).items():
        before_, after_ = around[community.community or ""]
        found[address] = SeenCommunity(**structs.asdict(community), before=before_, after=after_)
    return found


def our_sessions(text: str) -> list[str]:
    """Names of our configuration sessions that are not ended, of ``show configuration sessions
    detail | json``.

    A session whose commit waits for its confirmation is in state ``pendingCommitTimer``; since
    EOS 4.32 it is named by ``commitTimerSessionName`` instead (napalm, `eos.py`).
    """
    try:
        shown = json.loads(text)
        timed = shown.get("commitTimerSessionName", "")
        return [
            name
            for name, facts in {timed: {}, **shown["sessions"]}.items()
            if name.startswith(OUR_SESSION)
            and (name == timed or str(facts.get("state", "")).startswith("pending"))
        ]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"not an answer to 'show configuration sessions': {error}") from None
