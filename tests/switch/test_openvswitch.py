"""Open vSwitch: what its tables mean, and what is sent. The tables were recorded from 3.1.0."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.address import Address
from rackwright.model.change import Change, Wanted
from rackwright.model.errors import Permanent, RackwrightError, Rejected, Temporary
from rackwright.model.facts import FoundLink
from rackwright.model.report import FieldChange
from rackwright.model.resource import Resource, declared_fields
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.switch import ovs_facts, ovs_ports, ovs_session, ovs_tables
from rackwright_providers.switch.openvswitch import OpenVSwitch, OvsStep
from rackwright_providers.switch.resources import Port, Vlan
from rackwright_providers.transport import ssh
from rackwright_providers.transport.ssh_connection import Completed

DATA = Path(__file__).parent / "data"
TABLES = (DATA / "ovs_tables.json").read_bytes()
FDB = (DATA / "ovs_fdb.txt").read_text()

ovs = OpenVSwitch()


def update(before: Resource, after: Resource) -> Change:
    fields = tuple(
        FieldChange(field=name, old=getattr(before, name), new=value)
        for name, value in declared_fields(after).items()
        if value != getattr(before, name)
    )
    return Change("update", before.address, before, after, fields)


def port(**fields: Any) -> Port:
    return Port(name="p1", **fields)


# What is observed


def test_every_vlan_and_port_is_observed() -> None:
    up: dict[str, Any] = {"admin": "up", "description": "", "mtu": 1500}
    expected = [
        Vlan(name="5", title=""),
        Vlan(name="7", title=""),
        Vlan(name="10", title=""),
        Vlan(name="11", title=""),
        Vlan(name="12", title=""),
        Vlan(name="20", title=""),
        Vlan(name="30", title=""),
        Vlan(name="666", title="storage"),
        Port(name="p1", mode="access", access_vlan=10, **up),
        Port(name="p2", mode="trunk", allowed_vlans="all", **{**up, "admin": "down"}),
        Port(name="p3", mode="trunk", native_vlan=5, allowed_vlans="10,20", **up),
        # native-tagged and dot1q-tunnel are neither access nor trunk, but VLANs are in use there
        Port(name="p4", allowed_vlans="7,10-12", **up),
        Port(name="p5", access_vlan=30, **up),
        Port(name="p6", mode="trunk", allowed_vlans="none", **{**up, "description": 'to web1 "é"'}),
        # a bond has several interfaces, so no admin state or MTU of its own
        Port(name="bond0", mode="trunk", allowed_vlans="all", description=""),
        Port(name="br0", mode="trunk", allowed_vlans="all", **{**up, "admin": "down"}),
        Port(name="br1", mode="trunk", allowed_vlans="all", **{**up, "admin": "down"}),
    ]
    observed = ovs_ports.observe(ovs_tables.parse(TABLES))
    assert observed == {noun.address: noun for noun in expected}


@pytest.mark.parametrize(
    ("columns", "seen"),
    [
        ({}, {"mode": "trunk", "allowed_vlans": "all"}),
        ({"tag": 10}, {"mode": "access", "access_vlan": 10}),
        ({"tag": 0}, {"mode": "access"}),
        ({"tag": 10, "trunks": [20]}, {"mode": "access", "access_vlan": 10}),
        ({"vlan_mode": "access"}, {"mode": "access"}),
        ({"vlan_mode": "trunk", "tag": 10}, {"mode": "trunk", "allowed_vlans": "all"}),
        ({"trunks": 20}, {"mode": "trunk", "allowed_vlans": "20"}),
        ({"trunks": [0, 20]}, {"mode": "trunk", "allowed_vlans": "20"}),
        ({"trunks": [4095]}, {"mode": "trunk", "allowed_vlans": "none"}),
        ({"trunks": list(range(4096))}, {"mode": "trunk", "allowed_vlans": "all"}),
        (
            {"vlan_mode": "native-untagged", "tag": 5},
            {"mode": "trunk", "native_vlan": 5, "allowed_vlans": "all"},
        ),
    ],
)
def test_hidden_defaults_count(columns: dict[str, Any], seen: dict[str, Any]) -> None:
    row = {"name": "p1", "vlan_mode": [], "tag": [], "trunks": [], "external_ids": {}, **columns}
    assert ovs_ports.port_of(row, {}) == port(description="", **seen)


@pytest.mark.parametrize(
    "output", [b"", b"garbage", b"{}", TABLES[: len(TABLES) // 2], b"[]\n" * 4]
)
def test_what_is_no_table_is_said(output: bytes) -> None:
    with pytest.raises(Permanent, match="what is not its JSON"):
        ovs_tables.parse(output)


def test_foreign_keys_are_no_vlans() -> None:
    keys = ["rackwright-vlan-", "rackwright-vlan-x", "rackwright-vlan-4095", "vlan-7", "0"]
    assert ovs_ports.vlan_titles({"external_ids": dict.fromkeys(keys, "x")}) == {}


# What is declared


@pytest.mark.parametrize(
    ("declared", "canonical"),
    [
        (port(access_vlan=10), port(mode="access", access_vlan=10)),
        (port(native_vlan=5), port(mode="trunk", native_vlan=5)),
        (port(allowed_vlans=[30, "10-12"]), port(mode="trunk", allowed_vlans="10-12,30")),
        (port(allowed_vlans="1-4094"), port(mode="trunk", allowed_vlans="all")),
        (port(allowed_vlans=()), port(mode="trunk", allowed_vlans="none")),
        (port(mtu=9000), port(mtu=9000)),
        (Vlan(name="0010", title="x"), Vlan(name="10", title="x")),
    ],
)
def test_canonical(declared: Resource, canonical: Resource) -> None:
    assert ovs.canonical(declared) == canonical
    assert ovs.canonical(canonical) == canonical


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        (port(mode="trunk", access_vlan=10), "access_vlan or mode: trunk"),
        (port(access_vlan=10, native_vlan=5), "access_vlan or native_vlan"),
        (port(mode="access", allowed_vlans="all"), "has no allowed_vlans"),
        (port(mode="dynamic"), "no mode 'dynamic'"),
        (port(allowed_vlans="5000"), "not within 1-4094"),
        (port(allowed_vlans="x"), "not a VLAN id"),
        (Port(name="-br"), "cannot be the name"),
        (Port(name="sixteen-letters-"), "cannot be the name"),
        (Port(name="a b"), "cannot be the name"),
    ],
)
def test_what_it_can_never_hold(declared: Resource, why: str) -> None:
    with pytest.raises(Permanent, match=why):
        ovs.canonical(declared)


# What is sent

TRUNK = port(mode="trunk", allowed_vlans="all", description="", admin="up", mtu=1500)
NATIVE = port(mode="trunk", native_vlan=5, allowed_vlans="10", description="old", admin="up")
ACCESS = port(mode="access", access_vlan=10, description="", admin="up", mtu=1500)


@pytest.mark.parametrize(
    ("before", "after", "sent"),
    [
        (TRUNK, port(access_vlan=20), "set Port p1 vlan_mode=access tag=20 trunks=[]"),
        (ACCESS, port(access_vlan=20), "set Port p1 vlan_mode=access tag=20 trunks=[]"),
        (NATIVE, port(mode="access"), "set Port p1 vlan_mode=access tag=[] trunks=[]"),
        (ACCESS, port(mode="trunk"), "set Port p1 vlan_mode=trunk tag=[]"),
        (
            ACCESS,
            port(native_vlan=5, allowed_vlans="10,20"),
            "set Port p1 vlan_mode=native-untagged tag=5 trunks=[10,20]",
        ),
        (NATIVE, port(native_vlan=6), "set Port p1 vlan_mode=native-untagged tag=6"),
        (NATIVE, port(allowed_vlans="10-12"), "set Port p1 trunks=[10,11,12]"),
        (NATIVE, port(allowed_vlans="all"), "set Port p1 trunks=[]"),
        (TRUNK, port(allowed_vlans="none"), "set Port p1 trunks=[4095]"),
        (TRUNK, port(description='a "b" é'), 'set Port p1 external_ids:description="a \\"b\\" \\u00e9"'),
        (NATIVE, port(description=""), "remove Port p1 external_ids description"),
        (TRUNK, port(mtu=9000), "set Interface p1 mtu_request=9000"),
        (TRUNK, port(admin="down"), ""),
    ],
)  # fmt: skip
def test_only_what_differs_is_written(before: Port, after: Port, sent: str) -> None:
    declared = ovs.canonical(after)
    (step,) = ovs.render([update(before, declared)], {before.address: before})
    assert isinstance(step, OvsStep)
    assert " -- ".join(" ".join(command) for command in step.commands) == sent
    assert step.admin == (("p1", "down") if after.admin else None)
    assert step.addresses == (before.address,)
    assert step.text


@pytest.mark.parametrize(
    ("change", "sent"),
    [
        (
            Change("create", Address("vlan", "666"), None, Vlan(name="666", title="storage")),
            'set Open_vSwitch . external_ids:rackwright-vlan-666="storage"',
        ),
        (
            Change("create", Address("vlan", "7"), None, Vlan(name="7")),
            'set Open_vSwitch . external_ids:rackwright-vlan-7=""',
        ),
        (
            Change("remove", Address("vlan", "7"), Vlan(name="7", title="x")),
            "remove Open_vSwitch . external_ids rackwright-vlan-7",
        ),
    ],
)
def test_vlans(change: Change, sent: str) -> None:
    (step,) = ovs.render([change], {})
    assert isinstance(step, OvsStep)
    assert [" ".join(command) for command in step.commands] == [sent]
    assert step.text == f"ovs-vsctl {sent}"


def test_what_sends_nothing() -> None:
    changes = [Change("release", Address("vlan", "7"), Vlan(name="7")), Change("notify", TRUNK.address, TRUNK, TRUNK)]  # fmt: skip
    assert ovs.render(changes, {}) == []


def test_neighbouring_commands_of_one_record_are_joined() -> None:
    one = ("set", "Open_vSwitch", ".", "external_ids:a=1")
    two = ("set", "Open_vSwitch", ".", "external_ids:b=2")
    other = ("set", "Port", "p1", "tag=1")
    gone = ("remove", "Open_vSwitch", ".", "external_ids", "c")
    gone_too = ("remove", "Open_vSwitch", ".", "external_ids", "d")
    assert ovs_ports.merged([one, two, other, one, gone, gone_too]) == [
        (*one, "external_ids:b=2"),
        other,
        one,
        (*gone, "d"),
    ]


REMOVE_10 = Change("remove", Address("vlan", "10"), Vlan(name="10"))


@pytest.mark.parametrize(
    ("seen", "after", "refused"),
    [
        (port(mode="access", access_vlan=10), None, True),
        (port(mode="access", access_vlan=10), port(mode="access", access_vlan=20), False),
        (port(mode="trunk", native_vlan=10, allowed_vlans="all"), None, True),
        (port(mode="trunk", allowed_vlans="9-11"), None, True),
        (port(mode="trunk", allowed_vlans="9-11"), port(mode="trunk", allowed_vlans="9"), False),
        (port(mode="trunk", allowed_vlans="9-11"), port(mode="access", access_vlan=9), False),
        (port(mode="trunk", allowed_vlans="9"), port(mode="trunk", allowed_vlans="9-11"), True),
        (port(mode="trunk", allowed_vlans="all"), None, False),
        (port(access_vlan=10), None, True),
    ],
)
def test_a_vlan_that_is_carried_is_not_removed(
    seen: Port, after: Port | None, refused: bool
) -> None:
    changes = [REMOVE_10] + ([update(seen, after)] if after else [])
    found = ovs.refuse(changes, {seen.address: seen, REMOVE_10.address: Vlan(name="10")})
    assert set(found) == ({REMOVE_10.address} if refused else set())
    assert all("p1" in why for why in found.values())


# Sessions


class FakeConnection:
    """Answers by the start of the command."""

    via = "ssh test:22"

    def __init__(self, answers: dict[str, Completed | str]) -> None:
        self.answers = answers
        self.sent: list[tuple[tuple[str, ...], bytes]] = []

    def run(self, argv: Sequence[str], stdin: bytes = b"", timeout: float = 30) -> Completed:
        self.sent.append((tuple(argv), stdin))
        line = " ".join(argv)
        for start, answer in self.answers.items():
            if line.startswith(start):
                return answer if isinstance(answer, Completed) else Completed(0, answer.encode(), b"")  # fmt: skip
        return Completed(127, b"", b"not found")

    def alive(self) -> bool:
        return True

    def close(self) -> None:
        pass


READABLE = ("list", "fdb/show", "version", "-f", "route", "neigh", 'printf %s "$SSH_CONNECTION"')
"""What every command that a reader may send contains."""


def test_a_reader_cannot_write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    connection = FakeConnection(
        {
            "ovs-vsctl": TABLES.decode(),
            "ovs-appctl --timeout=20 fdb": FDB,
            "sh": "192.0.2.9 50000 192.0.2.1 22",
            "ip -j route": '[{"dst":"192.0.2.9","dev":"br0"}]',
        }
    )
    monkeypatch.setattr(ssh, "open_ssh", lambda options, around: connection)
    way = Way(transport="ssh", options={"host": "test", "username": "root"})
    reader = ovs.open(way, Surroundings(state=tmp_path))
    assert type(reader) is ovs_session.OvsReader
    ovs.read(reader, Wanted(frozenset({Vlan, Port}), {}))
    ovs.discover(reader)
    ovs.carriers(reader, {})
    assert connection.sent
    for argv, stdin in connection.sent:
        assert stdin == b""
        assert any(word in argv for word in READABLE), argv
    public = {name for name in dir(reader) if not name.startswith("_")}
    assert public == {
        "alive",
        "close",
        "gone",
        "lldp",
        "mac_table",
        "path",
        "tables",
        "version",
        "via",
    }
    writer = ovs.open(way, Surroundings(state=tmp_path, writable=True))
    assert type(writer) is ovs_session.OvsWriter


def test_options_that_cannot_be_used(tmp_path: Path) -> None:
    way = Way(transport="ssh", options={"host": "x", "port": 0})
    with pytest.raises(Permanent, match="port"):
        ovs.open(way, Surroundings(state=tmp_path))


def test_reading_is_one_exchange() -> None:
    connection = FakeConnection({"ovs-vsctl": TABLES.decode()})
    found = ovs.read(ovs_session.OvsReader(connection), Wanted(frozenset({Vlan}), {}))  # type: ignore[arg-type]
    assert len(connection.sent) == 1
    # Ports come along, so that a VLAN in use is known where nobody declares ports.
    assert set(ovs.refuse([REMOVE_10], found)) == {REMOVE_10.address}
    found = ovs.read(ovs_session.OvsReader(connection), Wanted(frozenset({Port}), {}))  # type: ignore[arg-type]
    assert {address.type for address in found} == {"port"}


def test_a_commit_is_one_transaction() -> None:
    connection = FakeConnection({"ovs-vsctl": "", "ip link": ""})
    writer = ovs_session.OvsWriter(connection)  # type: ignore[arg-type]
    new = Change("create", Address("vlan", "20"), None, Vlan(name="20", title="x y"))
    moved = update(TRUNK, ovs.canonical(port(access_vlan=20, admin="down", mtu=9000)))
    ovs.commit(writer, ovs.render([new, moved], {}))
    assert [" ".join(argv) for argv, _ in connection.sent] == [
        'ovs-vsctl --timeout=20 -- set Open_vSwitch . external_ids:rackwright-vlan-20="x y"'
        " -- set Port p1 vlan_mode=access tag=20 trunks=[] -- set Interface p1 mtu_request=9000",
        "ip link set dev p1 down",
        "ovs-vsctl --timeout=5 wait-until Interface p1 admin_state=down",
        "ovs-vsctl --timeout=5 wait-until Interface p1 mtu=9000",
    ]


def test_a_long_transaction_goes_in_by_standard_input() -> None:
    connection = FakeConnection({"sh": ""})
    writer = ovs_session.OvsWriter(connection)  # type: ignore[arg-type]
    vlans = [Vlan(name=str(n), title=f"title of {n}") for n in range(1, 4095)]
    changes = [Change("create", vlan.address, None, vlan) for vlan in vlans]
    ovs.commit(writer, ovs.render(changes, {}))
    ((argv, stdin),) = connection.sent
    assert argv == ("sh",)
    assert stdin.startswith(b"exec ovs-vsctl --timeout=20 -- set Open_vSwitch . ")
    assert stdin.count(b"rackwright-vlan-") == 4094
    assert stdin.count(b" -- ") == 1


@pytest.mark.parametrize(
    ("status", "said", "kind", "why"),
    [
        (1, 'ovs-vsctl: no row "p9" in table Port', Rejected, '^no row "p9" in table Port$'),
        (1, "2026-01-01T00:00:00Z|1|x|WARN|y\novs-vsctl: constraint violation: z", Rejected, "^constraint"),
        (1, "ovs-vsctl: unix:/r/db.sock: database connection failed (No such file)", Temporary, "does not answer"),
        (1, "ovs-vsctl: unix:/r/db.sock: database connection failed (Permission denied)", Permanent, "may not manage"),
        (142, "", Temporary, "does ovs-vswitchd run"),
        (127, "bash: ovs-vsctl: command not found", Permanent, "command not found"),
        (3, "", Rejected, "status 3"),
    ],
)  # fmt: skip
def test_failures(status: int, said: str, kind: type[RackwrightError], why: str) -> None:
    connection = FakeConnection({"ovs-vsctl": Completed(status, b"", said.encode())})
    writer = ovs_session.OvsWriter(connection)  # type: ignore[arg-type]
    with pytest.raises(kind, match=why) as caught:
        writer.transact([("set", "Port", "p9", "tag=1")])
    assert type(caught.value) is kind


# Discovery and the path


def test_facts() -> None:
    tables = ovs_tables.parse(TABLES)
    learned = ovs_facts.mac_table(FDB, tables, "br0")
    found = ovs_facts.facts(tables, learned, "", "ovs-vswitchd (Open vSwitch) 3.1.0")
    assert found.values["version"] == "3.1.0"
    assert found.values["bridges"] == ["br0", "br1"]
    assert found.values["vlans"]["666"] == "storage"
    assert found.values["ports"]["p2"] | {"mac": ""} == {
        "bridge": "br0",
        "ofport": 2,
        "mac": "",
        "link": "down",
        "speed": 10_000_000_000,
        "mtu": 1500,
    }
    assert found.values["ports"]["br1"]["bridge"] == "br1"
    assert {"port": "p1", "vlan": 10, "mac": "32:a4:c9:43:5c:93"} in found.values["mac_table"]
    assert FoundLink(port="p3", peer="be:2f:91:2e:51:f5", how="mac") in found.links
    assert all(link.port != "br0" for link in found.links)


def test_facts_do_not_change_by_themselves() -> None:
    tables = ovs_tables.parse(TABLES)
    later = FDB.replace("    1\n", "  299\n")
    assert later != FDB
    assert ovs_facts.mac_table(later, tables, "br0") == ovs_facts.mac_table(FDB, tables, "br0")


IN_BAND = '[{"dst":"192.0.2.9","dev":"br0","prefsrc":"192.0.2.1"}]'
ROUTED = '[{"dst":"198.51.100.9","gateway":"192.0.2.9","dev":"br0"}]'
NEIGHBOURS = (
    '[{"dst":"192.0.2.9","dev":"br0","lladdr":"BE:2F:91:2E:51:F5"},'
    '{"dst":"192.0.2.9","dev":"eth1","lladdr":"02:00:00:00:00:01"}]'
)


@pytest.mark.parametrize(
    ("peers", "route", "neighbours", "expected"),
    [
        ("192.0.2.9 5 192.0.2.1 22", IN_BAND, NEIGHBOURS, {"port/br0", "port/p3", "vlan/5"}),
        ("198.51.100.9 5 192.0.2.1 22", ROUTED, NEIGHBOURS, {"port/br0", "port/p3", "vlan/5"}),
        ("192.0.2.9 5 192.0.2.1 22", IN_BAND, "", {"port/br0"}),
        ("192.0.2.9 5 192.0.2.1 22", '[{"dev":"mgmt0"}]', NEIGHBOURS, set()),
        ("192.0.2.9 5 192.0.2.1 22", "", "", set()),
        ("", IN_BAND, NEIGHBOURS, set()),
    ],
)
def test_the_path_by_which_it_is_reached(
    peers: str, route: str, neighbours: str, expected: set[str]
) -> None:
    connection = FakeConnection(
        {
            "sh -c": peers,
            "ip -j route": route,
            "ip -j neigh": neighbours,
            "ovs-vsctl": TABLES.decode(),
            "ovs-appctl": FDB,
        }
    )
    found = ovs.carriers(ovs_session.OvsReader(connection), {})  # type: ignore[arg-type]
    assert {str(address) for address in found} == expected
