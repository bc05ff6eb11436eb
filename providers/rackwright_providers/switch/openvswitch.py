"""Open vSwitch, managed by ``ovs-vsctl`` over SSH.

One commit is one database transaction, so it is done whole or not at all, and the database is
persistent, so there is nothing to save. The exception is a port's administrative state: that is the
kernel's, is set by ``ip link`` after the transaction, and does not outlive a reboot.

An ``OVS_RUNDIR`` that is not the default one comes from sshd's ``SetEnv``. The SSH user must be
allowed to use the database's socket (root, as a rule).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from rackwright.model import typed
from rackwright.model.address import Address
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import Permanent
from rackwright.model.facts import Facts
from rackwright.model.resource import Resource
from rackwright.model.site import Ssh, Way
from rackwright.provider import Surroundings
from rackwright_providers.switch import ovs_facts, ovs_ports, vlanset
from rackwright_providers.switch.resources import Port, Vlan, vlan_in_use

if TYPE_CHECKING:
    from rackwright_providers.switch.ovs_session import OvsReader, OvsWriter

PORT_NAME = re.compile(r"[^\s/-][^\s/]{0,14}")
"""Linux: at most 15 characters, no slash, no space; a leading hyphen would be an option."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OvsStep(Step):
    """What is sent for one change."""

    commands: tuple[tuple[str, ...], ...] = ()
    """ovs-vsctl commands, part of the one transaction."""
    admin: tuple[str, str] | None = None
    """Interface and the administrative state to give it."""
    mtu: tuple[str, str] | None = None
    """Interface and the MTU that it is to show afterwards."""


class OpenVSwitch:
    """Provider of platform ``openvswitch``. Nouns: `vlan` and `port`; see `ovs_ports` for how they
    lie in the database."""

    platform = "openvswitch"
    resources: frozenset[type[Resource]] = frozenset({Vlan, Port})
    transports = frozenset({"ssh"})
    probe = ("ovs-vsctl", "--timeout=5", "list-br")
    atomic = True
    undoes = False

    def open(self, way: Way, around: Surroundings) -> OvsReader:
        """A session over SSH; an `OvsWriter` only where ``around`` is writable."""
        from rackwright_providers.switch.ovs_session import OvsReader, OvsWriter
        from rackwright_providers.transport.ssh import open_ssh

        try:
            options = typed.convert(way.options, Ssh)
        except msgspec.ValidationError as error:
            raise Permanent(f"the ssh options cannot be used: {error}") from None
        connection = open_ssh(options, around)
        return OvsWriter(connection) if around.writable else OvsReader(connection)

    def canonical(self, resource: Resource) -> Resource:
        """A port's mode is spelt out where its VLAN fields imply it, since Open vSwitch has one
        column for what other switches keep apart."""
        if isinstance(resource, Vlan):
            return _canonical_vlan(resource)
        if isinstance(resource, Port):
            return _canonical_port(resource)
        return resource

    def read(self, session: OvsReader, wanted: Wanted) -> Mapping[Address, Resource]:
        """All VLANs and ports, in one exchange. Ports come along with VLANs that are asked for, so that
        `refuse` knows which VLANs are in use."""
        observed = ovs_ports.observe(session.tables())
        if Vlan in wanted.types:
            return observed
        kinds = {kind.kind for kind in wanted.types}
        return {address: found for address, found in observed.items() if address.type in kinds}

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        """A VLAN that ports would still carry is not removed: here it would not be gone."""
        return {
            **ovs_ports.still_trunked(changes, observed),
            **vlan_in_use(changes, observed),
        }

    def render(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Sequence[Step]:
        """One step a change; `commit` makes one transaction of all."""
        return [step for change in changes if (step := _step(change)) is not None]

    def commit(self, session: OvsWriter, steps: Sequence[Step]) -> None:
        """The transaction first, and when it is done the administrative states."""
        ours = [step for step in steps if isinstance(step, OvsStep)]
        commands = [command for step in ours for command in step.commands]
        if commands:
            session.transact(ovs_ports.merged(commands))
        for step in ours:
            if step.admin:
                session.set_admin(*step.admin)
        for step in ours:
            if step.admin:
                session.wait_for(step.admin[0], "admin_state", step.admin[1])
            if step.mtu:
                session.wait_for(step.mtu[0], "mtu", step.mtu[1])

    def save(self, session: OvsWriter) -> bool:
        """Nothing to do: the database is on disk."""
        return False

    def carriers(
        self, session: OvsReader, observed: Mapping[Address, Resource]
    ) -> Collection[Address]:
        """The ports and the VLAN under our SSH session, where the switch's address is on one of its
        own bridges; nothing where it is managed out of band."""
        peers, route, neighbours = session.path()
        client = peers.split()[:1]
        if not client:
            return ()
        interface, hop = ovs_facts.next_hop(route, client[0])
        tables = session.tables()
        bridge = tables.bridges_by_port().get(interface)
        if bridge is None:
            return ()
        learned = ovs_facts.mac_table(session.mac_table(bridge), tables, bridge)
        mac = ovs_facts.hardware_address(neighbours, interface, hop)
        return ovs_facts.path_resources(interface, mac, learned)

    def discover(self, session: OvsReader) -> Facts:
        """Version, bridges, ports, VLANs, MAC tables; LLDP neighbours where lldpd runs."""
        tables = session.tables()
        learned = []
        for bridge in sorted(str(row["name"]) for row in tables.bridges):
            learned += ovs_facts.mac_table(session.mac_table(bridge), tables, bridge)
        return ovs_facts.facts(tables, learned, session.lldp(), session.version())


def _canonical_vlan(vlan: Vlan) -> Vlan:
    return msgspec.structs.replace(vlan, name=str(vlan.id))


def _canonical_port(port: Port) -> Port:
    if not PORT_NAME.fullmatch(port.name):
        raise Permanent(f"{port.name!r} cannot be the name of a port here")
    if port.mode not in (None, "access", "trunk"):
        raise Permanent(f"port {port.name}: Open vSwitch has no mode {port.mode!r}")
    allowed = port.allowed_vlans
    if allowed is not None:
        try:
            allowed = vlanset.show(vlanset.parse(allowed))
        except ValueError as error:
            raise Permanent(f"port {port.name}: allowed_vlans: {error}") from None
    trunk = [n for n in ("native_vlan", "allowed_vlans") if getattr(port, n) is not None]
    if port.access_vlan is not None and (trunk or port.mode == "trunk"):
        other = trunk[0] if trunk else "mode: trunk"
        raise Permanent(
            f"port {port.name}: a port of Open vSwitch has either access_vlan or {other}, not both"
        )
    if trunk and port.mode == "access":
        raise Permanent(f"port {port.name}: an access port of Open vSwitch has no {trunk[0]}")
    mode = port.mode or ("access" if port.access_vlan is not None else "trunk" if trunk else None)
    return msgspec.structs.replace(port, mode=mode, allowed_vlans=allowed)


def _step(change: Change) -> OvsStep | None:
    if change.action not in ("create", "update", "remove"):
        return None
    if change.address.type == Vlan.kind:
        command = ovs_ports.vlan_command(change)
        return OvsStep(addresses=(change.address,), text=_shown([command]), commands=(command,))
    before, after = change.before, change.after
    if not isinstance(before, Port) or not isinstance(after, Port):
        raise Permanent(f"{change.address} cannot be made or removed, only changed")
    name, fields = before.name, change.field_names
    commands = ovs_ports.port_commands(name, before, after, fields)
    admin = (name, after.admin) if "admin" in fields and after.admin else None
    text = [_shown(commands)] if commands else []
    if admin:
        text.append(f"ip link set dev {name} {admin[1]}")
    return OvsStep(
        addresses=(change.address,),
        text="\n".join(text),
        commands=tuple(commands),
        admin=admin,
        mtu=(name, str(after.mtu)) if "mtu" in fields else None,
    )


def _shown(commands: Sequence[Sequence[str]]) -> str:
    return "ovs-vsctl " + " -- ".join(" ".join(command) for command in commands)
