"""What is not about ports: host name, time servers, log receivers, SNMP communities, accounts. What
``show running-config`` has of them, and the lines that change them. Pure.

Held against Cisco's command references of IOS 15 and IOS XE 17 (``ntp server``, ``logging host``,
``snmp-server community``, ``username``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Literal

from msgspec import structs

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Permanent
from rackwright.model.resource import Resource
from rackwright_providers.switch import ios_secrets
from rackwright_providers.switch.resources import (
    Hostname,
    LocalUser,
    NtpServer,
    SnmpCommunity,
    SyslogServer,
    named_communities,
)

SECTIONS: Mapping[type[Resource], str] = {
    Hostname: "^hostname",
    NtpServer: "^ntp server",
    SyslogServer: "^logging",
    SnmpCommunity: "^snmp-server community",
    LocalUser: "^username",
}
"""By noun: what its lines begin with, as a regular expression of IOS."""
UNKNOWN = "\0"
"""The password of an account whose hash is not that of the declared password: no one can declare it."""
NO_ALGORITHM = re.compile(r"Invalid input|Ambiguous command|Incomplete command")
"""What switches older than IOS 15.3(3) say of ``algorithm-type``."""
ALGORITHM = "algorithm-type scrypt "

_NTP = re.compile(r"ntp server (?:ipv6 |ip )?(\S+)(.*)")
# `logging 10.0.0.2` before 12.4; `logging buffered …`, `logging trap …` are no receivers.
_SYSLOG = re.compile(r"logging (?:host (?:ipv6 )?(\S+)|([0-9.]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+))(.*)")
_COMMUNITY = re.compile(r"snmp-server community (\S+)(.*)")
_USER = re.compile(r"username (\S+)(.*)")
_PRIVILEGE = re.compile(r"(?:^| )privilege (\d+)(?= |$)")
_SECRET = re.compile(r"(?:^| )(?:secret|password) (\d) (.+)$")


class SeenNtpServer(NtpServer, frozen=True, kw_only=True):
    """A time server as observed, with what else stands on its line: that stays when it is changed."""

    options: str | None = None


class SeenSyslogServer(SyslogServer, frozen=True, kw_only=True):
    """A receiver of the log, likewise."""

    options: str | None = None


class SeenCommunity(SnmpCommunity, frozen=True, kw_only=True):
    """A community, likewise: view and access lists."""

    options: str | None = None


def host(name: str) -> str:
    """One spelling of an address (IOS shows IPv6 in upper case, and not always shortened)."""
    try:
        return str(ip_address(name))
    except ValueError:
        return name


def parse(text: str, wanted: Iterable[Resource]) -> dict[Address, Resource]:
    """All of these that a running configuration has. ``wanted`` gives communities their names, and
    accounts the passwords that hashes are held against."""
    found: list[Resource] = []
    communities: dict[str, tuple[Literal["ro", "rw"], str]] = {}
    accounts: dict[str, LocalUser] = {}
    wanted = list(wanted)
    passwords = {item.name: item.password for item in wanted if isinstance(item, LocalUser)}
    for line in text.splitlines():
        line = line.rstrip()
        if line.startswith("hostname "):
            found.append(Hostname(name="system", value=line[9:].strip()))
        elif (row := _NTP.fullmatch(line)) and row[1] != "vrf":
            words = row[2].split()
            rest = " ".join(word for word in words if word != "prefer")
            name, prefer = host(row[1]), "prefer" in words
            found.append(SeenNtpServer(name=name, prefer=prefer, options=rest or None))
        elif (row := _SYSLOG.fullmatch(line)) and not row[3].startswith(" vrf "):
            name = host(row[1] or row[2])
            found.append(SeenSyslogServer(name=name, options=row[3].strip() or None))
        elif row := _COMMUNITY.fullmatch(line):
            words = row[2].split()
            rest = " ".join(word for word in words if word not in ("RO", "RW"))
            communities[row[1]] = ("rw" if "RW" in words else "ro", rest)
        elif row := _USER.fullmatch(line):
            account = accounts.get(row[1]) or LocalUser(name=row[1], password="", privilege=1)
            accounts[row[1]] = _account(account, row[2], passwords.get(row[1]))
    named = named_communities({key: how for key, (how, _) in communities.items()}, wanted)
    for item in named.values():
        options = communities[item.community or ""][1] or None
        found.append(SeenCommunity(**structs.asdict(item), options=options))
    found.extend(accounts.values())
    return {item.address: item for item in found}


def _account(account: LocalUser, rest: str, declared: str | None) -> LocalUser:
    """``account`` with what one more line says of it."""
    if secret := _SECRET.search(rest):
        same = declared is not None and ios_secrets.fits(secret[1], secret[2], declared)
        account = structs.replace(account, password=declared if same else UNKNOWN)
        rest = rest[: secret.start()]
    if privilege := _PRIVILEGE.search(rest):
        account = structs.replace(account, privilege=int(privilege[1]))
    return account


def canonical(resource: Resource) -> Resource | None:
    """In the device's own spelling; None for what is not of these. Raises Permanent for what IOS
    cannot hold."""
    if isinstance(resource, NtpServer | SyslogServer):
        return structs.replace(resource, name=host(resource.name))
    if isinstance(resource, SnmpCommunity):
        if resource.community and not _WORD.fullmatch(resource.community):
            raise Permanent("a community is one word of printable ASCII")
        return resource
    if isinstance(resource, LocalUser):
        if resource.role is not None:
            raise Permanent("accounts on IOS have a privilege, not a role")
        if resource.password is not None and not _PASSWORD.fullmatch(resource.password):
            raise Permanent(
                "this password cannot be typed on IOS: printable ASCII, no blank at either end, "
                "and not a number and a blank in front"
            )
        return resource
    return None


_WORD = re.compile(r"[\x21-\x7e]+")
_PASSWORD = re.compile(r"(?!\d+ )[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


def lines(change: Change) -> list[str]:
    """The lines of one change; none for what is not of these."""
    before, after = change.before, change.after
    if change.action == "remove":
        return _removed(before)
    if isinstance(after, Hostname):
        return [f"hostname {after.value}"]
    if isinstance(after, NtpServer):
        # What is entered anew keeps its preference where none is said.
        made = [f"no ntp server {after.name}"] if getattr(before, "prefer", None) else []
        prefer = after.prefer if after.prefer is not None else getattr(before, "prefer", None)
        return [*made, f"ntp server {after.name}{_more(before)}{' prefer' if prefer else ''}"]
    if isinstance(after, SyslogServer):
        return [f"logging host {_family(after.name)}"]
    if isinstance(after, SnmpCommunity):
        return _community(after, before)
    if isinstance(after, LocalUser):
        return _user(after, change)
    return []


def _removed(before: Resource | None) -> list[str]:
    if isinstance(before, NtpServer):
        return [f"no ntp server {before.name}"]
    if isinstance(before, SyslogServer):
        return [f"no logging host {_family(before.name)}{_more(before)}"]
    if isinstance(before, SnmpCommunity):
        return [f"no snmp-server community {before.community}"]
    if isinstance(before, LocalUser):
        return [f"no username {before.name}"]
    return []


def _community(after: SnmpCommunity, before: Resource | None) -> list[str]:
    seen = before if isinstance(before, SnmpCommunity) else None
    access = after.access or (seen.access if seen else None) or "ro"
    text = after.community or (seen.community if seen else "")
    # A view stands before the access, access lists behind it.
    view, words = "", (getattr(seen, "options", None) or "").split()
    if words[:1] == ["view"]:
        view, words = f" {' '.join(words[:2])}", words[2:]
    return [" ".join([f"snmp-server community {text}{view} {access.upper()}", *words])]


def _user(user: LocalUser, change: Change) -> list[str]:
    made = f"username {user.name}"
    if user.privilege is not None and (
        change.action == "create" or "privilege" in change.field_names
    ):
        made += f" privilege {user.privilege}"
    if user.password is not None and (
        change.action == "create" or "password" in change.field_names
    ):
        made += f" {ALGORITHM}secret {user.password}"
    return [made]


def without_algorithm(lines: Iterable[str]) -> list[str]:
    """For switches that know one algorithm only."""
    return [line.replace(f" {ALGORITHM}secret ", " secret ", 1) for line in lines]


def _more(before: Resource | None) -> str:
    options = getattr(before, "options", None)
    return f" {options}" if options else ""


def _family(name: str) -> str:
    return f"ipv6 {name}" if ":" in name else name
