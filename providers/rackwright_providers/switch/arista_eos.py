"""Arista EOS switches, over SSH."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import structs

from rackwright.model.address import Address
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import Permanent, Temporary
from rackwright.model.resource import Resource
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.switch import eos_parse, eos_render, vlanset
from rackwright_providers.switch.cli_lines import LineStep
from rackwright_providers.switch.resources import (
    Hostname,
    Lag,
    LocalUser,
    NtpServer,
    Port,
    SnmpCommunity,
    SwitchPort,
    SyslogServer,
    Vlan,
    canonical_hostname,
    vlan_in_use,
)
from rackwright_providers.transport.cli_dialect import Dialect

if TYPE_CHECKING:
    from rackwright.model.facts import Facts
    from rackwright_providers.transport.cli import CliReader, CliSession

DIALECT = Dialect(
    netmiko="arista_eos",
    read_verbs=frozenset({"show", "terminal"}),
    read_pipes_that_write=frozenset({"redirect", "tee", "append"}),
    # `% Invalid input`, `% Incomplete command`, `% Ambiguous command`, `% Cannot change mode; …`;
    # what is only said begins with `! `.
    errors=re.compile(r"^% ?(?!Warning)\S", re.MULTILINE),
    login_refused=re.compile(r"% ?(?:Login invalid|Bad secret|Access denied)|Login incorrect"),
    config_leave="end",
    config_prompt=re.compile(r"\(config[^()]*\)#$"),  # a session's: sw1(config-s-rackwr-if-Et1)#
    privileged="#",
    reads_privileged=True,  # who logs in stands at `>`, where no configuration is shown
    save="write memory",
    save_done=re.compile(r"Copy completed successfully"),
    save_busy=re.compile(r"busy|try again later|in progress", re.IGNORECASE),
)

SHOW_RUNNING = "show running-config"
LAGS = range(1, 2001)
"""Numbers of a Port-Channel (EOS User Manual, *Port Channels and LACP*)."""
PRINTABLE = re.compile(r"[\x20-\x7e]*")
WORD = re.compile(r"[\x21-\x7e]+")
HELP = "?"
"""Asks EOS for help wherever it stands."""


class AristaEos:
    """All changes of a run are one configuration session, which EOS takes back by itself unless a
    new login confirms it."""

    platform = "arista_eos"
    resources: frozenset[type[Resource]] = frozenset(
        {Vlan, Port, Lag, Hostname, NtpServer, SyslogServer, SnmpCommunity, LocalUser}
    )
    transports = frozenset({"ssh"})
    atomic = True
    undoes = True
    object_ids: tuple[str, ...] = ("1.3.6.1.4.1.30065.1",)  # aristaProducts, ARISTA-PRODUCTS-MIB
    signs: tuple[str, ...] = (r"(?m)^Arista \S+", r"Arista Networks EOS")

    def open(self, way: Way, around: Surroundings) -> CliReader:
        """See `cli.open_cli`. What a killed run has left on trial is taken back first."""
        from rackwright_providers.switch import eos_commit
        from rackwright_providers.transport import cli

        session = cli.open_cli(way, around, DIALECT)
        try:
            eos_commit.clear(session)
        except BaseException:
            session.close()
            raise
        return session

    def canonical(self, resource: Resource) -> Resource:
        """Full port names, plain numbers, sorted lists."""
        match resource:
            case Vlan():
                return _vlan(resource)
            case Port():
                return _port(resource)
            case Lag():
                return _lag(resource)
            case Hostname():
                return canonical_hostname(resource)
            case NtpServer() | SyslogServer():
                return resource
            case SnmpCommunity():
                return _community(resource)
            case LocalUser():
                return _user(resource)
        raise Permanent(f"{self.platform} has no {resource.kind!r}")

    def read(self, session: CliReader, wanted: Wanted) -> Mapping[Address, Resource]:
        """One command for everything: what is not wanted of it comes along where it says what a
        VLAN is used for."""
        text = session.run(SHOW_RUNNING)
        kinds = {kind.kind for kind in wanted.types}
        if Vlan.kind in kinds:
            kinds |= {Port.kind, Lag.kind}
        try:
            found = eos_parse.configuration(text, wanted.resources)
        except ValueError as error:
            raise Temporary(f"{session.via}: an answer that makes no sense: {error}") from None
        return {address: seen for address, seen in found.items() if address.type in kinds}

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        """VLANs that are to go while a port still carries them untagged."""
        return vlan_in_use(changes, observed)

    def render(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Sequence[Step]:
        """See `eos_render`."""
        return eos_render.steps(changes, observed)

    def commit(self, session: CliSession, steps: Sequence[Step]) -> None:
        """See `eos_commit`."""
        from rackwright_providers.switch import eos_commit

        ours = [step for step in steps if isinstance(step, LineStep)]
        if len(ours) != len(steps):
            raise Permanent(f"not steps of {self.platform}")
        eos_commit.commit(session, ours)

    def save(self, session: CliSession) -> bool:
        """``write memory``."""
        session.save()
        return True

    def carriers(
        self, session: CliReader, observed: Mapping[Address, Resource]
    ) -> Collection[Address]:
        """Our own account, and the port and VLAN behind which our own address is, when it is in a
        network of the switch's own."""
        from rackwright_providers.switch import eos_discover

        return eos_discover.carriers(session)

    def discover(self, session: CliReader) -> Facts:
        """Version, ports, VLANs, MAC table, LLDP neighbours; what the device does not know is
        left out."""
        from rackwright_providers.switch import eos_discover

        return eos_discover.facts(session)


def _vlan(vlan: Vlan) -> Vlan:
    if vlan.id in eos_parse.RESERVED_VLANS:
        raise Permanent(f"VLAN {vlan.id} is the switch's own: it cannot be made, named or removed")
    if vlan.title is not None:
        _check_word("title", vlan.title)
    return structs.replace(vlan, name=str(vlan.id))


def _port(port: Port) -> Port:
    try:
        name = eos_parse.interface(port.name)
    except ValueError as error:
        raise Permanent(str(error)) from None
    if not name.startswith(("Ethernet", "Management")):
        hint = "; declare it as a lag" if name.startswith("Port-Channel") else ""
        raise Permanent(f"{name} is no physical port{hint}")
    plain = {"mode": port.mode, "VLANs": port.vlans() or port.allowed_vlans, "LAG": port.lag}
    if name.startswith("Management") and any(plain.values()):
        raise Permanent(f"{name} does not switch: it has no mode, VLANs or LAG")
    lag = port.lag
    if lag not in (None, "none"):
        lag = str(_number(Lag(name=str(lag))))
    return structs.replace(port, name=name, lag=lag, **_switching(port))


def _lag(lag: Lag) -> Lag:
    members = lag.members
    if members is not None:
        members = tuple(sorted({_port(Port(name=name)).name for name in members}))
    return structs.replace(lag, name=str(_number(lag)), members=members, **_switching(lag))


def _number(lag: Lag) -> int:
    try:
        number = lag.number
    except ValueError as error:
        raise Permanent(str(error)) from None
    if number not in LAGS:
        raise Permanent(f"lag {number}: EOS has Port-Channel {LAGS.start} to {LAGS.stop - 1}")
    return number


def _switching(port: SwitchPort) -> dict[str, str | None]:
    if port.mode in ("dynamic", "routed"):
        raise Permanent(f"{port.name}: mode {port.mode!r} cannot be declared on EOS")
    if port.mtu is not None:
        why = "EOS switches frames of up to 9214 bytes on every port; its mtu is that of routing"
        raise Permanent(f"{port.name}: {why}")
    if port.description is not None:
        _check_text("description", port.description)
    try:
        ids = None if port.allowed_vlans is None else vlanset.parse(port.allowed_vlans)
    except ValueError as error:
        raise Permanent(str(error)) from None
    return {
        "description": None if port.description is None else port.description.strip(),
        "allowed_vlans": None if ids is None else vlanset.show(ids),
    }


def _community(community: SnmpCommunity) -> SnmpCommunity:
    if community.community is not None:
        _check_secret(f"snmp_community {community.name}", community.community)
    elif community.ensure == "absent":
        raise Permanent(f"snmp_community {community.name}: say which text it is that is to go")
    return community


def _user(user: LocalUser) -> LocalUser:
    if user.password is not None:
        _check_secret(f"local_user {user.name}", user.password)
    if user.role is not None:
        _check_word("role", user.role)
    return user


def _check_text(field: str, text: str) -> None:
    """A line break in it would be one more command, and the command line is ASCII."""
    if not PRINTABLE.fullmatch(text) or HELP in text:
        raise Permanent(f"{field} {text!r} has characters that EOS cannot hold")


def _check_word(field: str, text: str) -> None:
    if not WORD.fullmatch(text) or HELP in text or '"' in text:
        raise Permanent(f"{field} {text!r} must be one word of ASCII on EOS")


def _check_secret(what: str, text: str) -> None:
    """As `_check_word`, without showing it."""
    if not WORD.fullmatch(text) or HELP in text or '"' in text:
        raise Permanent(
            f"{what}: the secret must be one word of ASCII, without ? and quotes, on EOS"
        )
