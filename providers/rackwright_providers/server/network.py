"""Interfaces and routes, live, by rtnetlink.

What is set here is gone after a reboot: the agent sets it again at its first run. What must be there
before the agent is (the address by which it reaches its store) belongs into the distribution's own
network configuration as well, which a ``file`` resource can keep.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.resource import Resource
from rackwright_providers.server import netlink
from rackwright_providers.server.gateways import default_routes
from rackwright_providers.server.handler import LocalStep
from rackwright_providers.server.netlink import KernelRoute, Link
from rackwright_providers.server.network_resources import Interface, Route

if TYPE_CHECKING:
    from rackwright_providers.transport.local import Host, Reader


class NetworkHandler:
    """``interface`` and ``route``.

    An interface's declared ``addresses`` are the whole list of its static global addresses: any
    other of that kind is removed. Not of that kind, and left alone unless declared, are addresses
    with a lifetime (DHCP, router advertisements), of link or host scope (``fe80::``, ``169.254``,
    ``127.0.0.1``), and those that a daemon such as keepalived has marked as its own.

    A route is known by destination, table and metric; those that we made carry protocol 82, so one
    whose declared table or metric changes is moved, not doubled, and nobody else's is taken for it.
    """

    nouns: ClassVar[tuple[type[Resource], ...]] = (Interface, Route)
    root_only_files = False

    def read(self, host: Reader, wanted: Sequence[Resource]) -> Mapping[Address, Resource]:
        """I/O: two dumps, three where routes are wanted."""
        found: dict[Address, Resource] = {}
        with netlink.connection() as kernel:
            links = netlink.links(kernel)
            names = {link.number: link.name for link in links.values()}
            asked = any(isinstance(resource, Route) for resource in wanted)
            routes = netlink.routes(kernel, names) if asked else []
        for resource in wanted:
            seen: Resource | None = None
            if isinstance(resource, Interface) and resource.name in links:
                seen = observed_interface(links[resource.name], resource)
            elif isinstance(resource, Route):
                seen = observed_route(routes, resource)
            if seen is not None:
                found[resource.address] = seen
        return found

    def render(self, changes: Sequence[Change]) -> Sequence[LocalStep]:
        """Pure: one step a change. A fixture has nothing to remove, and neither noun a restart."""
        steps: list[LocalStep] = []
        for change in changes:
            before, after = change.before, change.after
            if isinstance(after, Interface) and change.action in ("create", "update"):
                steps.append(_configure(change, before, after))
            elif change.action in ("create", "update", "remove"):
                old = before if isinstance(before, Route) else None
                new = after if isinstance(after, Route) and after.ensure == "present" else None
                if old or new:
                    steps.append(_route_step(change.address, old, new))
        return steps


def observed_interface(link: Link, wanted: Interface) -> Interface:
    """``link`` as the noun; of its addresses those that are ours to say (see `NetworkHandler`)."""
    declared = set(wanted.addresses or ())
    ours = [
        address.text
        for address in link.addresses
        if address.static or str(ipaddress.ip_interface(address.text)) in declared
    ]
    return Interface(
        name=link.name,
        state="up" if link.up else "down",
        mtu=link.mtu,
        addresses=tuple(ours),
    )


def observed_route(routes: Sequence[KernelRoute], wanted: Route) -> Route | None:
    """The route among ``routes`` that ``wanted`` means. With a declared metric only the one at that
    metric, or one that we made, will do; without, the best in the table."""
    same = [route for route in routes if route.destination == destination(wanted)]
    there = [route for route in same if route.table == (wanted.table or netlink.MAIN_TABLE)]
    ours = [route for route in same if route.protocol == netlink.PROTOCOL]
    best = sorted(there, key=lambda route: route.metric)
    if wanted.metric is None:
        choice = [route for route in best if route in ours] + ours + best
    else:
        choice = [route for route in best if route.metric == wanted.metric] + ours
    if not choice:
        return None
    route = choice[0]
    return Route(
        name=wanted.name,
        via=route.via or None,
        dev=route.dev or None,
        metric=route.metric,
        table=route.table,
    )


def destination(route: Route) -> str:
    """``network/length``; of ``default`` it is IPv6's when the gateway is."""
    if route.name != "default":
        return route.name
    return "::/0" if ":" in (route.via or "") else "0.0.0.0/0"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigureInterface(LocalStep):
    """MTU and state first, then new addresses, then old ones away; ``keep`` is what must be there
    in the end (None: addresses are not declared)."""

    name: str
    mtu: int | None
    up: bool | None
    add: tuple[str, ...]
    remove: tuple[str, ...]
    keep: tuple[str, ...] | None

    def apply(self, host: Host) -> None:
        with netlink.connection() as kernel:
            links = netlink.links(kernel)
            if self.name not in links:
                raise netlink.no_interface(self.name, links)
            index = links[self.name].number
            if self.mtu is not None or self.up is not None:
                netlink.set_link(kernel, index, mtu=self.mtu, up=self.up)
            for text in self.add:
                netlink.add_address(kernel, index, text)
            with _promoting(self.name):
                for text in self.remove:
                    netlink.delete_address(kernel, index, text)
            if self.keep and (self.remove or self.up is False):
                # A link that goes down loses its IPv6 addresses, and one address cannot be there
                # with two prefix lengths in IPv6: so put back what the above took along.
                link = netlink.links(kernel)[self.name]
                have = {str(ipaddress.ip_interface(address.text)) for address in link.addresses}
                for text in self.keep:
                    if text not in have:
                        netlink.add_address(kernel, index, text)


@contextmanager
def _promoting(name: str) -> Iterator[None]:
    """Without promote_secondaries the kernel removes, with the first IPv4 address of a subnet, all
    its others, and with the last address of an interface all routes through it."""
    switch = Path("/proc/sys/net/ipv4/conf", name, "promote_secondaries")
    before = ""
    with suppress(OSError):  # read-only in some containers: then what went with it is put back
        before = switch.read_text().strip()
        if before == "0":
            switch.write_text("1")
    try:
        yield
    finally:
        if before == "0":
            with suppress(OSError):
                switch.write_text(before)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRoute(LocalStep):
    """``new`` in the place of ``old``: atomically, where table and metric stay; else it is made
    before the old one goes."""

    old: KernelRoute | None
    new: KernelRoute | None

    def apply(self, host: Host) -> None:
        with netlink.connection() as kernel:
            names = {link.number: link.name for link in netlink.links(kernel).values()}
            for command, route in _moves(self.old, self.new):
                netlink.change_route(kernel, command, route, names)


def _configure(change: Change, before: Resource | None, after: Interface) -> ConfigureInterface:
    old = before if isinstance(before, Interface) else None
    fields = change.field_names if old else frozenset(("state", "mtu", "addresses"))
    mtu = after.mtu if "mtu" in fields else None
    up = after.state == "up" if "state" in fields and after.state else None
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    if "addresses" in fields and after.addresses is not None:
        there = (old.addresses if old else None) or ()
        add = tuple(text for text in after.addresses if text not in there)
        remove = tuple(text for text in there if text not in after.addresses)
    link = [f"mtu {mtu}"] if mtu is not None else []
    if up is not None:
        link.append("up" if up else "down")
    lines = [f"ip link set dev {after.name} {' '.join(link)}"] if link else []
    lines += [f"ip addr add {text} dev {after.name}" for text in add]
    lines += [f"ip addr del {text} dev {after.name}" for text in remove]
    return ConfigureInterface(
        addresses=(change.address,),
        text="\n".join(lines) or f"ip link show dev {after.name}",
        name=after.name,
        mtu=mtu,
        up=up,
        add=add,
        remove=remove,
        keep=after.addresses,
    )


def _route_step(address: Address, before: Route | None, after: Route | None) -> ChangeRoute:
    old = _kernel_route(before, before) if before else None
    new = _kernel_route(after, before) if after else None
    lines = [_route_text(command, route) for command, route in _moves(old, new)]
    return ChangeRoute(addresses=(address,), text="\n".join(lines), old=old, new=new)


def _kernel_route(route: Route, before: Route | None) -> KernelRoute:
    """As declared; an undeclared metric and table stay as they are."""
    metric = route.metric if route.metric is not None else (before.metric if before else None)
    table = route.table or (before.table if before else None)
    return KernelRoute(
        destination=destination(route),
        via=route.via or "",
        dev=route.dev or "",
        metric=metric or 0,
        table=table or netlink.MAIN_TABLE,
        protocol=netlink.PROTOCOL,
    )


def _moves(old: KernelRoute | None, new: KernelRoute | None) -> Iterator[tuple[str, KernelRoute]]:
    stays = bool(
        old
        and new
        and (old.destination, old.table, old.metric) == (new.destination, new.table, new.metric)
    )
    if new:
        yield ("replace" if stays else "add"), new
    if old and not stays:
        yield "del", old


def _route_text(command: str, route: KernelRoute) -> str:
    words = ["ip", "-6"] if ":" in route.destination else ["ip"]
    words += ["route", command, route.destination]
    words += ["via", route.via] if route.via else []
    words += ["dev", route.dev] if route.dev else []
    words += ["metric", str(route.metric)] if route.metric else []
    words += ["table", str(route.table)] if route.table != netlink.MAIN_TABLE else []
    return " ".join(words)


def carriers(host: Reader) -> Collection[Address]:
    """The default route in use, of each family, and the interfaces under it (a VLAN's parent, a
    bond's and a bridge's members too): how this host reaches others. Without a default route
    nothing can be told, and nothing is named."""
    return below(Path("/"))


def below(base: Path) -> frozenset[Address]:
    """`carriers`, of the machine whose /proc and /sys are under ``base``."""
    found: set[Address] = set()
    for family, spellings in ((4, ("default", "0.0.0.0/0")), (6, ("default", "::/0"))):
        routes = default_routes(base, family)
        for route in routes:
            if route.metric == routes[0].metric:
                found.update(Address("route", name) for name in spellings)
                found.update(Address("interface", dev) for dev in _stack(base, route.dev))
    return frozenset(found)


def _stack(base: Path, dev: str) -> Iterator[str]:
    """``dev`` and every interface that it rests on."""
    yield dev
    with suppress(OSError):
        for entry in sorted((base / "sys/class/net" / dev).iterdir()):
            if match := re.fullmatch(r"lower_(.+)", entry.name):
                yield from _stack(base, match[1])
