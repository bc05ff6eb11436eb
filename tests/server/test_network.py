"""Interfaces and routes: decisions as cases, and a real kernel in a network namespace."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Permanent, Rejected
from rackwright.model.report import FieldChange
from rackwright.model.resource import Resource, declared_fields
from rackwright_providers.server import netlink, network
from rackwright_providers.server.gateways import default_routes
from rackwright_providers.server.netlink import KernelRoute, Link, LinkAddress
from rackwright_providers.server.network import NetworkHandler
from rackwright_providers.server.network_resources import Interface, Route
from rackwright_providers.transport.local import Host, Reader
from tests.server import inside

HANDLER = NetworkHandler()


def change(before: Resource | None, after: Resource) -> Change:
    """What the engine makes of the two."""
    fields = tuple(
        FieldChange(field=name)
        for name, value in declared_fields(after).items()
        if before is None or getattr(before, name) != value
    )
    return Change("update" if before else "create", after.address, before, after, fields)


ETH0 = Interface(name="eth0", state="up", mtu=1500, addresses=("10.0.0.5/24",))


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (ETH0, Interface(name="eth0", mtu=9000), "ip link set dev eth0 mtu 9000"),
        (ETH0, Interface(name="eth0", state="down"), "ip link set dev eth0 down"),
        (
            Interface(name="eth0", state="down", mtu=1500, addresses=()),
            Interface(name="eth0", state="up", mtu=9000, addresses=("10.0.0.5/24",)),
            "ip link set dev eth0 mtu 9000 up\nip addr add 10.0.0.5/24 dev eth0",
        ),
        (
            ETH0,
            Interface(name="eth0", state="up", addresses=("10.0.0.6/24", "2001:db8::1/64")),
            "ip addr add 10.0.0.6/24 dev eth0\nip addr add 2001:db8::1/64 dev eth0\n"
            "ip addr del 10.0.0.5/24 dev eth0",
        ),
        (ETH0, Interface(name="eth0", addresses=()), "ip addr del 10.0.0.5/24 dev eth0"),
    ],
)
def test_an_interface_change_as_text(before: Interface, after: Interface, text: str) -> None:
    (step,) = HANDLER.render([change(before, after)])
    assert step.text == text
    assert step.addresses == (Address("interface", "eth0"),)


TEN = "10.0.0.0/8"


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (None, Route(name=TEN, via="192.0.2.1"), "ip route add 10.0.0.0/8 via 192.0.2.1"),
        (
            Route(name=TEN, via="192.0.2.1", dev="eth0", metric=50, table=254),
            Route(name=TEN, via="192.0.2.9"),
            "ip route replace 10.0.0.0/8 via 192.0.2.9 metric 50",
        ),
        (
            Route(name=TEN, via="192.0.2.1", dev="eth0", metric=50, table=254),
            Route(name=TEN, via="192.0.2.1", metric=100, table=7),
            "ip route add 10.0.0.0/8 via 192.0.2.1 metric 100 table 7\n"
            "ip route del 10.0.0.0/8 via 192.0.2.1 dev eth0 metric 50",
        ),
        (None, Route(name="default", dev="eth0"), "ip route add 0.0.0.0/0 dev eth0"),
        (
            None,
            Route(name="default", via="fe80::1", dev="eth0"),
            "ip -6 route add ::/0 via fe80::1 dev eth0",
        ),
    ],
)
def test_a_route_change_as_text(before: Route | None, after: Route, text: str) -> None:
    assert [step.text for step in HANDLER.render([change(before, after)])] == [text]


def test_a_route_is_removed_as_it_was_observed() -> None:
    before = Route(name=TEN, via="192.0.2.1", dev="eth0", metric=50, table=7)
    steps = HANDLER.render([Change("remove", before.address, before=before)])
    assert [step.text for step in steps] == [
        "ip route del 10.0.0.0/8 via 192.0.2.1 dev eth0 metric 50 table 7"
    ]


@pytest.mark.parametrize(
    ("declared", "seen"),
    [
        (None, ("10.0.0.5/24",)),
        (("10.0.0.5/24",), ("10.0.0.5/24",)),
        (("10.0.0.77/24",), ("10.0.0.5/24", "10.0.0.77/24")),  # declared what DHCP gave as well
        (("fe80::1/64",), ("10.0.0.5/24", "fe80::1/64")),
        (("192.0.2.1/32",), ("10.0.0.5/24",)),
    ],
)
def test_only_static_and_declared_addresses_are_ours(
    declared: tuple[str, ...] | None, seen: tuple[str, ...]
) -> None:
    link = Link(
        2,
        "eth0",
        True,
        1500,
        (
            LinkAddress("10.0.0.5/24", True),
            LinkAddress("10.0.0.77/24", False),
            LinkAddress("fe80::1/64", False),
        ),
    )
    wanted = Interface(name="eth0", addresses=declared)
    assert network.observed_interface(link, wanted).addresses == seen


OTHERS = KernelRoute("0.0.0.0/0", "192.0.2.1", "eth0", 100, 254, 16)  # a DHCP client's
BACKUP = KernelRoute("0.0.0.0/0", "192.0.2.2", "eth0", 200, 254, 3)
OURS = KernelRoute("0.0.0.0/0", "192.0.2.3", "eth0", 50, 7, 82)


@pytest.mark.parametrize(
    ("routes", "wanted", "found"),
    [
        ([OTHERS, BACKUP], Route(name="default", via="192.0.2.9"), OTHERS),  # the best
        ([BACKUP, OTHERS], Route(name="default", via="192.0.2.9"), OTHERS),
        ([OTHERS, BACKUP], Route(name="default", via="192.0.2.9", metric=200), BACKUP),
        # Somebody else's at another metric is not the one that is meant: it stays.
        ([OTHERS], Route(name="default", via="192.0.2.9", metric=50), None),
        # Ours is found wherever it is, so that it moves.
        ([OTHERS, OURS], Route(name="default", via="192.0.2.9", metric=60), OURS),
        ([OTHERS, OURS], Route(name="default", via="192.0.2.9", table=8), OURS),
        ([OTHERS], Route(name="default", via="192.0.2.9", table=8), None),
        ([OTHERS], Route(name="default", via="2001:db8::1"), None),
        ([OTHERS], Route(name="0.0.0.0/0", via="192.0.2.9"), OTHERS),
        ([OTHERS], Route(name="10.0.0.0/8", via="192.0.2.9"), None),
    ],
)
def test_which_route_is_meant(
    routes: list[KernelRoute], wanted: Route, found: KernelRoute | None
) -> None:
    seen = network.observed_route(routes, wanted)
    assert (seen and (seen.via, seen.metric, seen.table)) == (
        found and (found.via, found.metric, found.table)
    )


ROUTE4 = """\
Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
bond0.7	00000000	010200C0	0003	0	0	100	00000000	0	0	0
wlan0	00000000	010A0A0A	0003	0	0	600	00000000	0	0	0
eth9	00000000	010A0A0A	0203	0	0	1	00000000	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
"""
ROUTE6 = """\
fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000002 00000000 00000003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """/proc and /sys of a server whose way out is VLAN 7 on a bond of two."""
    folder = tmp_path / "proc/thread-self/net"
    folder.mkdir(parents=True)
    (folder / "route").write_text(ROUTE4)
    (folder / "ipv6_route").write_text(ROUTE6)
    for name, below in (("bond0.7", ["bond0"]), ("bond0", ["eth1", "eth2"]), ("eth1", [])):
        path = tmp_path / "sys/class/net" / name
        path.mkdir(parents=True)
        for lower in below:
            (path / f"lower_{lower}").symlink_to(f"../{lower}")
    return tmp_path


def test_default_routes(machine: Path, tmp_path: Path) -> None:
    assert [tuple(route) for route in default_routes(machine, 4)] == [
        (100, "bond0.7", "192.0.2.1"),
        (600, "wlan0", "10.10.10.1"),
    ]
    assert [tuple(route) for route in default_routes(machine, 6)] == [(1024, "eth0", "fd00::1")]
    assert default_routes(tmp_path / "nowhere", 4) == []


def test_carriers_are_the_default_route_in_use_and_all_that_it_rests_on(machine: Path) -> None:
    assert {str(address) for address in network.below(machine)} == {
        "route/default",
        "route/0.0.0.0/0",
        "route/::/0",
        "interface/bond0.7",
        "interface/bond0",
        "interface/eth1",
        "interface/eth2",
        "interface/eth0",
    }


@pytest.fixture
def ns() -> Iterator[str]:
    yield from inside.namespace()


def converge(*wanted: Resource) -> str:
    """Read, decide, do, verify; what was done, as text."""
    host = Host(Path("/"))
    seen = HANDLER.read(host, wanted)
    steps = HANDLER.render(list(changes(wanted, seen)))
    for step in steps:
        step.apply(host)
    after = HANDLER.read(host, wanted)
    assert list(changes(wanted, after)) == [], "not what was declared"
    return "\n".join(step.text for step in steps)


def changes(wanted: tuple[Resource, ...], seen: object) -> Iterator[Change]:
    assert isinstance(seen, dict)
    for one in wanted:
        found = change(seen.get(one.address), one)
        if found.action == "create" or found.fields:
            yield found


def ip(*argv: str) -> str:
    return subprocess.run(["ip", *argv], check=True, capture_output=True, text=True).stdout


def interfaces() -> None:
    """In a namespace of its own."""
    ip("link", "add", "eth0", "type", "veth", "peer", "name", "far")
    ip("link", "set", "far", "up")
    assert "mtu 1400 up" in converge(Interface(name="eth0", state="up", mtu=1400))
    both = Interface(name="eth0", state="up", addresses=("10.0.0.5/24", "fd77::5/64"))
    assert converge(both)
    assert converge(both) == ""  # and fe80::, which came by itself, is left alone
    assert "fe80::" in ip("-6", "addr", "show", "eth0")

    # A lease, and an address that a daemon marked as its own: not ours.
    ip("addr", "add", "10.0.0.99/24", "dev", "eth0", "valid_lft", "500", "preferred_lft", "400")
    with netlink.connection() as kernel:
        number = netlink.links(kernel)["eth0"].number
        kernel.addr("add", index=number, address="10.0.0.98", prefixlen=24, proto=18)
    assert converge(both) == ""

    # The primary address of the subnet goes, and the route through the subnet stays.
    ip("route", "add", "10.77.0.0/16", "via", "10.0.0.1")
    switch = Path("/proc/sys/net/ipv4/conf/eth0/promote_secondaries")
    switch.write_text("0")
    text = converge(Interface(name="eth0", addresses=("10.0.0.6/24", "10.0.0.7/24", "fd77::5/64")))
    assert text.splitlines() == [
        "ip addr add 10.0.0.6/24 dev eth0",
        "ip addr add 10.0.0.7/24 dev eth0",
        "ip addr del 10.0.0.5/24 dev eth0",
    ]
    assert "10.77.0.0/16 via 10.0.0.1" in ip("route")
    assert "10.0.0.99/24" in ip("addr", "show", "eth0")
    assert switch.read_text() == "0\n"

    # IPv6 holds an address once: another prefix length takes its place.
    assert converge(Interface(name="eth0", addresses=("fd77::5/48",)))
    # Going down takes IPv6 addresses along; they are declared all the same.
    assert converge(Interface(name="eth0", state="down", addresses=("fd77::5/48",)))
    assert converge(Interface(name="eth0", state="up", addresses=()))
    assert "10.0.0.98/24" in ip("addr", "show", "eth0")

    with pytest.raises(Rejected, match="mtu greater than device maximum"):
        converge(Interface(name="eth0", mtu=65536))
    with pytest.raises(Permanent, match=r"no interface 'eth9' here; there are: eth0, far, lo"):
        converge(Interface(name="eth9", state="up"))


def routes() -> None:
    """In a namespace of its own."""
    ip("link", "add", "eth0", "type", "veth", "peer", "name", "far")
    for name in ("far", "eth0"):
        ip("link", "set", name, "up")
    ip("addr", "add", "10.0.0.5/24", "dev", "eth0")
    ip("addr", "add", "fd77::5/64", "dev", "eth0", "nodad")
    ip("route", "add", "default", "via", "10.0.0.254", "metric", "100", "proto", "dhcp")

    wanted = (
        Route(name="10.8.0.0/16", via="10.0.0.1"),
        Route(name="10.9.0.0/16", dev="eth0", metric=7, table=1000),
        Route(name="default", via="10.0.0.1", metric=50),
        Route(name="fd99::/64", via="fd77::1"),
        Route(name="::/0", via="fd77::1", dev="eth0", metric=9),
    )
    assert converge(*wanted)
    assert converge(*wanted) == ""
    assert "default via 10.0.0.254 dev eth0 proto dhcp metric 100" in ip("route")
    assert {str(one) for one in network.carriers(Reader())} == {
        "interface/eth0", "route/default", "route/0.0.0.0/0", "route/::/0"
    }  # fmt: skip

    # Replaced in its place; moved; the lease's route is never taken for ours.
    assert converge(Route(name="10.8.0.0/16", via="10.0.0.2"))
    assert converge(Route(name="fd99::/64", via="fd77::2"))
    assert converge(Route(name="10.9.0.0/16", dev="eth0", metric=8, table=1001))
    assert converge(Route(name="default", via="10.0.0.1", metric=60))
    lines = [line.strip() for line in ip("route", "show", "table", "all").splitlines()]
    lines = [line for line in lines if "proto 82" in line or "dhcp" in line]
    assert sorted(lines) == [
        "10.8.0.0/16 via 10.0.0.2 dev eth0 proto 82",
        "10.9.0.0/16 dev eth0 table 1001 proto 82 scope link metric 8",
        "default via 10.0.0.1 dev eth0 proto 82 metric 60",
        "default via 10.0.0.254 dev eth0 proto dhcp metric 100",
        "default via fd77::1 dev eth0 proto 82 metric 9 pref medium",
        "fd99::/64 via fd77::2 dev eth0 proto 82 metric 1024 pref medium",
    ]

    host = Host(Path("/"))
    seen = HANDLER.read(host, wanted)
    assert len(seen) == len(wanted)
    for step in HANDLER.render(
        [Change("remove", address, before=before) for address, before in seen.items()]
    ):
        step.apply(host)
        step.apply(host)  # gone already
    assert "proto 82" not in ip("route", "show", "table", "all")
    assert "proto dhcp" in ip("route")

    with pytest.raises(Rejected, match="Nexthop has invalid gateway"):
        converge(Route(name="10.8.0.0/16", via="192.0.2.1"))
    with pytest.raises(Permanent, match="no interface 'eth9'"):
        converge(Route(name="10.8.0.0/16", dev="eth9"))
    ip("route", "add", "blackhole", "10.8.0.0/16")
    with pytest.raises(Rejected, match="File exists"):
        converge(Route(name="10.8.0.0/16", via="10.0.0.1"))

    open_before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        HANDLER.read(host, wanted)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


def unprivileged() -> None:
    """In a namespace of its own, as nobody."""
    assert converge(Interface(name="lo", state="up")) == ""
    os.setuid(65534)
    assert converge(Interface(name="lo", state="up")) == ""
    with pytest.raises(Permanent, match="needs root"):
        converge(Interface(name="lo", mtu=1500))


@pytest.mark.root
@pytest.mark.parametrize("what", [interfaces, routes, unprivileged], ids=lambda one: one.__name__)
@pytest.mark.proves(
    "linux", "interface", "route", over="local", on="real", by="the kernel, in a network namespace"
)
def test_a_real_kernel(ns: str, what: object) -> None:
    assert callable(what)
    inside.call(ns, what)


@pytest.mark.root
def test_threads_each_on_their_own(ns: str) -> None:
    inside.call(ns, threads)


def threads() -> None:
    """Many at once, each opening and closing its own."""
    from concurrent.futures import ThreadPoolExecutor

    ip("link", "add", "eth0", "type", "veth", "peer", "name", "far")
    all_of_them = [
        Interface(name="eth0", state="up", addresses=(f"10.0.{number}.1/24",)).addresses
        for number in range(16)
    ]
    host = Host(Path("/"))

    def add(addresses: tuple[str, ...] | None) -> None:
        after = Interface(name="eth0", addresses=addresses)
        for step in HANDLER.render([change(None, after)]):
            step.apply(host)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, all_of_them))
    seen = HANDLER.read(host, [Interface(name="eth0")])[Address("interface", "eth0")]
    assert isinstance(seen, Interface)
    assert len(seen.addresses or ()) == 16
