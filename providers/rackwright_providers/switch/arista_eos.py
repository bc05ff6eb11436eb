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
from rackwright_providers.switch import cli_canonical, eos_parse, eos_render
from rackwright_providers.switch.cli_lines import LineStep, host
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
                return cli_canonical.port(resource, MANNER)
            case Lag():
                return cli_canonical.lag(resource, MANNER)
            case Hostname():
                return canonical_hostname(resource)
            case NtpServer() | SyslogServer():
                return structs.replace(resource, name=host(resource.name))
            case SnmpCommunity():
                return cli_canonical.community(resource, MANNER)
            case LocalUser():
                return cli_canonical.user(resource, MANNER)
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
        cli_canonical.check_word("title", vlan.title, MANNER)
    return structs.replace(vlan, name=str(vlan.id))


def _check(port: SwitchPort, _: frozenset[int]) -> None:
    if port.mtu is not None:
        why = "EOS switches frames of up to 9214 bytes on every port; its mtu is that of routing"
        raise Permanent(f"{port.name}: {why}")


MANNER = cli_canonical.Manner(
    system="EOS",
    interface=eos_parse.interface,
    switching="Ethernet",
    management="Management",
    channel="Port-Channel",
    lags=range(1, 2001),  # EOS User Manual, "Port Channels and LACP"
    check=_check,
)
