"""The openvswitch provider against Open vSwitch itself, over a real sshd, proven by real packets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.address import Address
from rackwright.model.change import Change, Wanted
from rackwright.model.errors import Rejected, Temporary
from rackwright.model.facts import FoundLink
from rackwright.model.report import FieldChange
from rackwright.model.resource import Resource, declared_fields
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.switch import ovs_session
from rackwright_providers.switch.openvswitch import OpenVSwitch
from rackwright_providers.switch.resources import Port, Vlan
from tests.real import parts

pytestmark = [
    pytest.mark.root,
    pytest.mark.apt,
    pytest.mark.usefixtures("namespaces"),
    pytest.mark.skipif(
        bool(parts.missing("ovs-vswitchd", "ovsdb-server", "sshd", "ping", "ethtool")),
        reason=parts.missing("ovs-vswitchd", "ovsdb-server", "sshd", "ping", "ethtool"),
    ),
]

ovs = OpenVSwitch()
ALL = Wanted(frozenset({Vlan, Port}), {})


@dataclass
class Rack:
    """A switch, a way to it, and a session that may write."""

    switch: parts.Ovs
    way: Way
    session: Any
    state: Path

    def read(self) -> Mapping[Address, Resource]:
        return ovs.read(self.session, ALL)

    def changes(
        self, *declared: Resource, observed: Mapping[Address, Resource] | None = None
    ) -> list[Change]:
        """What a plan would say of ``declared``."""
        observed = self.read() if observed is None else observed
        found = []
        for item in map(ovs.canonical, declared):
            seen = observed.get(item.address)
            if item.ensure == "absent":
                found += [Change("remove", item.address, seen)] if seen else []
            elif seen is None:
                found.append(Change("create", item.address, None, item))
            else:
                fields = tuple(
                    FieldChange(field=name, old=getattr(seen, name), new=value)
                    for name, value in declared_fields(item).items()
                    if value != getattr(seen, name)
                )
                found += [Change("update", item.address, seen, item, fields)] if fields else []
        return found

    def converge(self, *declared: Resource) -> Sequence[Change]:
        """Make it so; what is then still to be done."""
        observed = self.read()
        changes = self.changes(*declared, observed=observed)
        assert ovs.refuse(changes, observed) == {}
        ovs.commit(self.session, ovs.render(changes, observed))
        return self.changes(*declared)


@contextlib.contextmanager
def rack(tmp_path: Path, through: str = "mgmt0") -> Iterator[Rack]:
    with contextlib.ExitStack() as stack:
        switch = stack.enter_context(parts.open_vswitch(tmp_path / "ovs"))
        address = stack.enter_context(parts.management(switch.ns, through=through))
        if through != "mgmt0":
            switch.plug("mgmt0", "tag=99", "--", "set", "Port", through, "tag=99")
        door = stack.enter_context(
            parts.sshd(tmp_path / "sshd", ns=switch.ns, host=address, env=switch.env)
        )
        way = Way(transport="ssh", options=door.options())
        state = tmp_path / "state"
        session = ovs.open(way, Surroundings(state=state, writable=True))
        stack.callback(session.close)
        yield Rack(switch, way, session, state)


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[Rack]:
    """A switch with ports p1 to p3 and nobody on them."""
    with rack(tmp_path) as made, parts.namespace("far") as far:
        for number in (1, 2, 3):
            parts.cable(made.switch.ns, f"p{number}", far, f"eth{number}")
            made.switch.plug(f"p{number}")
        yield made


def access(name: str, vlan: int, **more: Any) -> Port:
    return Port(name=name, mode="access", access_vlan=vlan, **more)


@pytest.mark.proves(
    "openvswitch", "vlan", "port", over="ssh", on="real", by="Open vSwitch behind OpenSSH"
)
def test_two_hosts_meet_in_a_vlan_and_part_again(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(rack(tmp_path))
        h1, h2, h3 = (
            stack.enter_context(parts.host(made.switch.ns, f"p{n}", f"192.0.2.{n}/24"))
            for n in (1, 2, 3)
        )
        for port, vlan in (("p1", 10), ("p2", 20), ("p3", 30)):  # not ours: there before us
            made.switch.plug(port, f"tag={vlan}", "external_ids:owner=someone")
        foreign = made.switch.vsctl("list", "Port", "p3")
        assert not h1.pings(h2.address, within=1)

        storage = Vlan(name="666", title="storage of Ünal")
        ours = [storage, access("p1", 666, description="to h1"), access("p2", 666)]
        assert made.converge(*ours) == []
        assert h1.pings(h2.address)
        assert not h1.pings(h3.address, within=1)
        assert made.read()[storage.address] == storage
        assert made.switch.vsctl("get", "Port", "p1", "external_ids:owner").strip() == "someone"

        parted = [Vlan(name="666", ensure="absent"), access("p1", 10), access("p2", 20)]
        assert made.converge(*parted) == []
        assert not h1.pings(h2.address, within=1)
        assert storage.address not in made.read()
        assert Address("vlan", "30") in made.read()
        assert made.switch.vsctl("list", "Port", "p3") == foreign


STATES = [
    Port(name="p1", mode="access", access_vlan=10),
    Port(name="p1", mode="access", access_vlan=4094),
    Port(name="p1", mode="trunk"),
    Port(name="p1", mode="trunk", allowed_vlans="all"),
    Port(name="p1", mode="trunk", allowed_vlans="none"),
    Port(name="p1", mode="trunk", allowed_vlans="1,10-20,4094"),
    Port(name="p1", mode="trunk", native_vlan=5, allowed_vlans="10"),
    Port(name="p1", native_vlan=1),
    Port(name="p1", allowed_vlans="1-4093"),
    Port(name="p1", description="a \"quoted\" 'text', $HOME; `id` → é\\n"),
    Port(name="p1", description=""),
    Port(name="p1", description="x" * 240),
    Port(name="p1", mtu=1400),
    Port(name="p1", admin="down"),
    Port(name="p1", admin="up", mtu=9000, access_vlan=7, description="all at once"),
    Vlan(name="1", title=""),
    Vlan(name="4094", title='"; ip link set lo down; echo "'),
    Vlan(name="2"),
]


def test_what_was_committed_is_what_is_read(lone: Rack) -> None:
    """From each state to the next one, and back: the second plan is empty."""
    for declared in [*STATES, *reversed(STATES[:9])]:
        assert lone.converge(declared) == [], declared


def test_a_refused_command_leaves_all_undone(lone: Rack) -> None:
    before = lone.read()
    good = lone.changes(Vlan(name="10", title="x"), access("p1", 10))
    unplugged = Port(name="p9", mode="trunk", allowed_vlans="all", description="")
    bad = Change(
        "update",
        unplugged.address,
        unplugged,
        access("p9", 10),
        (FieldChange(field="access_vlan", old=None, new=10),),
    )
    with pytest.raises(Rejected, match='no row "p9" in table Port'):
        ovs.commit(lone.session, ovs.render([*good, bad], before))
    assert lone.read() == before


def test_shutdown_really_downs_the_port(lone: Rack) -> None:
    def flags() -> str:
        return parts.command(["ip", "-o", "link", "show", "p1"], ns=lone.switch.ns)

    assert ",UP" in flags()
    assert lone.converge(Port(name="p1", admin="down")) == []
    assert ",UP" not in flags()
    assert lone.converge(Port(name="p1", admin="up")) == []
    assert ",UP" in flags()


def test_every_vlan_there_can_be(lone: Rack) -> None:
    everything = [Vlan(name=str(n), title=f"title of {n}") for n in range(1, 4095)]
    assert lone.converge(*everything) == []
    assert lone.converge(*(Vlan(name=v.name, ensure="absent") for v in everything)) == []
    assert not any(address.type == "vlan" for address in lone.read())


def test_a_database_that_does_not_answer(lone: Rack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ovs_session, "TIMEOUT", 1)
    socket = lone.switch.run / "db.sock"
    socket.rename(socket.with_name("gone"))
    with pytest.raises(Temporary, match=r"does not answer|not done within"):
        lone.read()
    socket.with_name("gone").rename(socket)
    assert lone.read()


def test_discovery(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(rack(tmp_path))
        h1, h2 = (
            stack.enter_context(parts.host(made.switch.ns, f"p{n}", f"192.0.2.{n}/24"))
            for n in (1, 2)
        )
        for port in ("p1", "p2"):
            made.switch.plug(port, "tag=7")
        assert h1.pings(h2.address)
        reader = ovs.open(made.way, Surroundings(state=made.state))
        stack.callback(reader.close)
        facts = ovs.discover(reader)
        mac = parts.command(["cat", "/sys/class/net/eth0/address"], ns=h1.ns).strip()
        assert {"port": "p1", "vlan": 7, "mac": mac} in facts.values["mac_table"]
        assert FoundLink(port="p1", peer=mac, how="mac") in facts.links
        assert facts.values["ports"]["p1"]["link"] == "up"
        assert facts.values["version"][0].isdecimal()


def test_the_path_through_the_switch_itself(tmp_path: Path) -> None:
    with rack(tmp_path, through="br0") as made:
        found = {str(address) for address in ovs.carriers(made.session, {})}
        assert found == {"port/br0", "port/mgmt0", "vlan/99"}


def test_management_out_of_band_carries_nothing(lone: Rack) -> None:
    assert list(ovs.carriers(lone.session, {})) == []
