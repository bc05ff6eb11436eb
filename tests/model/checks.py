"""What must never happen, held against every write at the instant at which a device gets it.

What is asked is what the devices have, what the site said, and what the store has been told; not what the
store and the agents make of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.facts import Facts
from rackwright.model.report import Report
from rackwright.model.resource import Resource, declared_fields
from rackwright.provider import LeaseLike
from tests.model.nouns import App, Mount, Nic, Volume
from tests.model.site import ARRAY, CHASSIS, NODES, OWN_PORTS, PDUS, SERVERS, SWITCHES

if TYPE_CHECKING:
    from tests.model.hosts import Agent
    from tests.model.world import World

SETTING = Address("setting", "release")
UP = Address("mark", "up")


class Checks:
    """Sees all writes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.broken: list[str] = []
        self.known: dict[str, dict[str, Any]] = {}
        """Digest → what was declared under it, in any revision."""
        self.facts: dict[str, Facts] = {}
        """Node → what the store was told that it found."""
        self.heard: set[str] = set()
        """Nodes that have given a sign of life to this process of the store."""
        self.ran: set[str] = set()
        """Nodes that have ever reported."""
        self.cut: set[tuple[str, Address]] = set()
        """What runs through these was cut, and no report has said since that they are good."""
        self.without: dict[tuple[str, Address], set[Address]] = {}
        """VLANs that were taken off a switch, which no report has told yet, and the ports that were in
        them."""
        self.failed: set[tuple[str, Address]] = set()
        self.ill: set[str] = set()
        """Nodes that could not be converged at all, by their last report."""
        self.reached: dict[tuple[str, Address], int] = {}
        """The last release that was really there."""
        self.may_go: set[Address] = set()
        """Volumes of which some revision has said that they may be destroyed, since they are there."""

    # What the store is told.

    def committed(self) -> None:
        """A revision is in force."""
        for name in self.world.nodes:
            for item in self.world.bundle(name).resources:
                self.known[item.digest] = item.data
        for name, (_, destroy) in self.world.site.volumes.items():
            if destroy:
                self.may_go.add(Address("volume", name))

    def restarted(self) -> None:
        """Another process of the store knows what the last one had written down."""
        self.heard &= self.ran

    def retired(self, node: str) -> None:
        """``node`` is gone for good."""
        self.heard.discard(node)
        self.ran.discard(node)

    def reported(self, report: Report) -> None:
        """The store has a report that counts."""
        node = report.node
        self.ran.add(node)
        self.heard.add(node)
        (self.ill.add if report.error else self.ill.discard)(node)
        held = set()
        for outcome in report.outcomes:
            at = (node, Address.parse(outcome.address))
            if outcome.state in ("in_sync", "changed"):
                self.cut.discard(at)
            elif outcome.state in ("blocked", "failed", "refused"):
                held.add(at)
            (self.failed.add if outcome.state == "failed" else self.failed.discard)(at)

        for at in list(self.without):
            if at[0] == node and not report.error and at not in held:
                del self.without[at]

    # What devices get.

    def write(self, agent: Agent, lease: LeaseLike | None, change: Change) -> None:
        """``change`` is about to be made on the device of the agent's node."""
        self._lease(agent, lease, change)
        self._ours(agent, change)
        self._data(agent, change)
        self._link(agent, change)
        if change.action == "remove":
            self._removal(agent, change.address)
            self._vlan(agent.node, change.address)
            return
        self._needs(agent, change)
        self._path(agent, change)
        self._sides(agent, change)

    def written(self, agent: Agent, change: Change) -> None:
        """It has been made."""
        if change.action != "remove":
            self._waves(agent, change)
            self._feeds(agent, change)

    def _lease(self, agent: Agent, lease: LeaseLike | None, change: Change) -> None:
        if agent.claim is None:
            return
        world, node, held = self.world, agent.node, agent.claim.lease
        device = world.devices[node]
        what = f"{node}: {agent.host and agent.host.name} writes {change.address}"
        if held is None or held is not lease:
            self.broken.append(f"{what} under a lease that it has not")
            return
        if world.writers(node) != [agent]:
            self.broken.append(f"{what}, and it is not the only one who may")
        if held.epoch < device.epoch:
            self.broken.append(f"{what} under {held.epoch}, after {device.epoch}")
        host = agent.host.name if agent.host else ""
        if held.epoch == device.epoch and host != device.writer:
            self.broken.append(f"{what} under {held.epoch}, which was that of {device.writer}")
        device.epoch, device.writer = max(device.epoch, held.epoch), host
        given = world.service.hosts.leases.get(node)
        if given is None or given.epoch != held.epoch or not given.held(world.now):
            self.broken.append(f"{what} under {held.epoch}, and the store knows better: {given}")

    def _ours(self, agent: Agent, change: Change) -> None:
        """Only what we made is removed, and only what is declared is written."""
        node, address = agent.node, change.address
        if change.action == "remove":
            if address not in self.world.devices[node].made:
                self.broken.append(f"{node}: {address} goes, and is not of our making")
            return
        assert agent.source.told is not None
        assert change.after is not None
        new = declared_fields(change.after)
        said = {item.address: item.data for item in agent.source.told.resources}.get(address)
        if said is None or any(said.get(name) != value for name, value in new.items()):
            self.broken.append(f"{node}: {address} gets {new}, declared is {said}")

    def _data(self, agent: Agent, change: Change) -> None:
        before = self.world.devices[agent.node].state.get(change.address)
        if not isinstance(before, Volume):
            return
        size = getattr(change.after, "size", None)
        smaller = before.size is not None and size is not None and size < before.size
        if (change.action == "remove" or smaller) and change.address not in self.may_go:
            self.broken.append(f"{agent.node}: the data of {change.address} is lost")

    def _link(self, agent: Agent, change: Change) -> None:
        """What is at the end of a link is left alone while somebody else is seen there."""
        node, address = agent.node, change.address
        if node not in SWITCHES or address.type != "port" or node in agent.line.unasked:
            return
        declared = f"h{address.name}"
        if declared not in self.world.nodes or declared in self.world.trusted:
            return
        for link in self.facts.get(node, Facts()).links:
            somebody_else = link.peer != declared and link.peer in self.world.nodes
            if link.port == address.name and somebody_else:
                self.broken.append(f"{node}: {address} changes, and {link.peer} is at it")

    def _path(self, agent: Agent, change: Change) -> None:
        host = agent.host.name if agent.host else ""
        mine = Address("port", OWN_PORTS.get(host, ""))
        assert change.after is not None
        before = self.world.devices[agent.node].state.get(change.address)
        if agent.node == SWITCHES[0] and change.address == mine and change.after.severs(before):
            self.broken.append(f"{agent.node}: {host} cuts itself off at {mine}")

    def _needs(self, agent: Agent, change: Change) -> None:
        node, told = agent.node, agent.source.told
        assert told is not None
        assert change.after is not None
        asked = node not in agent.line.unasked
        for item in told.resources:
            if item.address != change.address or not asked:
                continue
            for need in item.needs:
                address = Address.parse(need.address)
                if address.node and not self._in_place(address.node, address.local, need.digest):
                    self.broken.append(f"{node}: {change.address} came before {need.address}")
        for other, address, fields in _first(node, change.after):
            device = self.world.devices[other]
            there = device.state.get(address)
            good = there is not None and all(
                not asked or getattr(there, name) == value for name, value in fields.items()
            )
            # What the store knows to be lost nobody knows who cannot ask it.
            unknown = address in device.moved or (not asked and address in device.lost)
            if not good and not unknown:
                self.broken.append(
                    f"{node}: {change.address} came, and {other}:{address} is {there}"
                )
        for address in change.after.implied_needs():
            # Of one device all goes in one run, in order, and is read back at its end.
            lied = address in agent.provider.lied
            if address not in self.world.devices[node].state and not lied:
                self.broken.append(f"{node}: {change.address} came before {address}")

    def _in_place(self, node: str, address: Address, digest: str) -> bool:
        """Whether the device has what was declared as ``digest``, or somebody else took it away since
        it was looked at last, which nobody can know."""
        device = self.world.devices[node]
        return address in device.moved or matches(device.state.get(address), self.known[digest])

    def _removal(self, agent: Agent, address: Address) -> None:
        world, node = self.world, agent.node
        for other in NODES:
            if other == node or other in world.service.retired:
                continue
            state = world.devices[other].state
            for entry in world.ledger(other).entries.values():
                if f"{node}:{address}" in entry.needs and entry.address in state:
                    self.broken.append(f"{node}: {address} went under {other}:{entry.address}")
            for used, thing in state.items():
                first = [(at, need) for at, need, _ in _first(other, thing)]
                if (node, address) in first and used not in world.devices[other].moved:
                    self.broken.append(f"{node}: {address} went, and {other}:{used} is there")

    def _sides(self, agent: Agent, change: Change) -> None:
        """A server's two paths, or feeds, are not cut together: what was cut on one side is reported to
        be good before the other is. Nor is one cut while the other is known to be ill."""
        world, node, address = self.world, agent.node, change.address
        assert change.after is not None
        pairs = [pair for pair in (SWITCHES, PDUS) if node in pair]
        before = world.devices[node].state.get(address)
        if not pairs or f"h{address.name}" not in SERVERS or not change.after.severs(before):
            return
        (other,) = set(pairs[0]) - {node}
        beside = world.service.live.bundle(other)
        if beside and any(item.address == address for item in beside.resources):
            if (other, address) in self.cut:
                self.broken.append(f"{node}: {address} is cut while {other}'s is not good")
            if (other, address) in self.failed and (node, address) not in self.failed:
                self.broken.append(f"{node}: {address} is cut while {other}'s has failed")
        if other in self.ill and f"h{address.name}" in world.nodes:
            self.broken.append(f"{node}: {address} is cut while {other} is not reached")
        if any(address in ports for (at, _), ports in self.without.items() if at == other):
            self.broken.append(f"{node}: {address} is cut while {other}'s has lost its VLAN")
        self.cut.add((node, address))

    def _vlan(self, node: str, address: Address) -> None:
        """A VLAN is not taken from both paths of a server together."""
        if node not in SWITCHES or address.type != "vlan":
            return
        (other,) = set(SWITCHES) - {node}
        inside = {
            port
            for port, seen in self.world.devices[node].state.items()
            if getattr(seen, "access_vlan", None) == int(address.name)
            and f"h{port.name}" in self.world.nodes
        }
        for (there, vlan), ports in self.without.items():
            if there == other and ports & inside:
                self.broken.append(f"{node}: {address} goes while {other}'s {vlan} is not gone")
        if any((other, port) in self.cut for port in inside):
            self.broken.append(f"{node}: {address} goes while {other}'s ports are not good")
        self.without[node, address] = inside

    def _waves(self, agent: Agent, change: Change) -> None:
        """A release goes to one server after the other, and so does what it puts on a switch."""
        world, node = self.world, agent.node
        if change.address.type != "setting":
            return
        value = getattr(change.after, "value", None) or 0
        of = change.address.name.removeprefix("of-") if node in SWITCHES else node
        fresh = value > self.reached.get((node, change.address), 0)
        self.reached[node, change.address] = max(value, self.reached.get((node, change.address), 0))
        if not fresh or node in agent.line.unasked:
            return
        for earlier in SERVERS[: SERVERS.index(of)]:
            if earlier not in world.nodes or earlier in world.service.retired:
                continue
            for at in ((earlier, SETTING), ("sw1", Address("setting", f"of-{earlier}"))):
                if self.reached.get(at, 0) < value:
                    self.broken.append(f"{node}: {change.address} is {value} before {at}")

    def _feeds(self, agent: Agent, change: Change) -> None:
        """A server that answers keeps a feed, and its slot."""
        world, address = self.world, change.address
        server = f"h{address.name}"
        if server not in world.nodes or server not in self.heard:
            return
        if agent.node in PDUS and all(
            getattr(world.devices[pdu].state[address], "state", "") == "off"
            and (pdu == agent.node or address not in world.devices[pdu].moved)
            for pdu in PDUS
        ):
            self.broken.append(f"{agent.node}: {address} was the last feed of {server}")
        if agent.node == CHASSIS and getattr(change.after, "power", "") == "off":
            self.broken.append(f"{agent.node}: {address} was the slot of {server}")


def _first(node: str, thing: Resource) -> Iterator[tuple[str, Address, Mapping[str, Any]]]:
    """What must be there on other nodes before ``thing`` is on ``node``, by what the things are: node,
    address, and some of its fields."""
    if node not in SERVERS:
        return
    if isinstance(thing, Nic):
        switch = SWITCHES[int(thing.name.removeprefix("eth"))]
        yield switch, Address("vlan", str(thing.vlan)), {}
        yield switch, Address("port", node[1:]), {"access_vlan": thing.vlan}
    elif isinstance(thing, Mount):
        yield ARRAY, Address("share", node), {"size": thing.size}
    elif isinstance(thing, App):
        yield str(thing.after), UP, {}


def matches(seen: Resource | None, data: Mapping[str, Any]) -> bool:
    """Whether ``seen`` has all that ``data`` declares."""
    if seen is None:
        return data.get("ensure") == "absent"
    wanted = msgspec.convert(data, type(seen))
    return all(getattr(seen, name) == value for name, value in declared_fields(wanted).items())
