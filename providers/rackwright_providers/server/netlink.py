"""rtnetlink by pyroute2: the kernel's links and routes as plain values, its refusals as our errors.

pyroute2 0.9 keeps one event loop and one socket for each thread that uses an ``IPRoute``, and closes
only those of the thread that closes it. So a connection is opened, used and closed in one go by one
thread, which takes a millisecond, and it speaks of the network namespace that this thread is in.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from rackwright.model.errors import Permanent, RackwrightError, Rejected, Temporary

PROTOCOL = 82
"""rtm_protocol of the routes that we make. Of the numbers above RTPROT_STATIC (4), which the kernel
does not interpret (rtnetlink(7)), one that no routing daemon in iproute2's rt_protos has taken."""
MAIN_TABLE = 254  # RT_TABLE_MAIN

_UP = 0x1  # IFF_UP
_PERMANENT = 0x80  # IFA_F_PERMANENT: it has no lifetime, so neither DHCP nor a router gave it
_SCOPE_UNIVERSE, _SCOPE_SITE, _SCOPE_LINK, _SCOPE_NOWHERE = 0, 200, 253, 255  # RT_SCOPE_*
_UNICAST = 1  # RTN_UNICAST


class LinkAddress(NamedTuple):
    """``text`` is ``address/length``; ``static``: global, without a lifetime, and no daemon's own."""

    text: str
    static: bool


class Link(NamedTuple):
    """An interface as the kernel has it."""

    number: int
    name: str
    up: bool
    mtu: int
    addresses: tuple[LinkAddress, ...]


class KernelRoute(NamedTuple):
    """A unicast route. ``via`` and ``dev`` are empty where it has none, or several next hops."""

    destination: str
    """``network/length``."""
    via: str
    dev: str
    metric: int
    table: int
    protocol: int


@contextmanager
def connection() -> Iterator[Any]:
    """An open ``pyroute2.IPRoute`` for this thread and no longer than the ``with``.

    Raises Rejected for what the kernel refuses, in its own words; Permanent without the right to do
    it; Temporary for what may go better in a moment.
    """
    from pyroute2 import IPRoute  # 150 ms
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with IPRoute(ext_ack=True) as netlink:
            yield netlink
    except RackwrightError:
        raise
    except NetlinkError as error:
        raise _ours(error.code, str(error.args[-1])) from error
    except OSError as error:
        raise _ours(error.errno or 0, str(error)) from error


def _ours(code: int, message: str) -> RackwrightError:
    if code in (errno.EPERM, errno.EACCES):
        return Permanent(f"{message}: changing the network needs root (CAP_NET_ADMIN)")
    if code in (errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ENOBUFS, errno.ENOMEM):
        return Temporary(message, delay=1)
    return Rejected(message, output=message)


def links(netlink: Any) -> dict[str, Link]:
    """All interfaces by name, with their addresses."""
    held: dict[int, list[LinkAddress]] = {}
    for message in netlink.addr("dump"):
        # On a point-to-point link IFA_ADDRESS is the far end; IPv6 has no IFA_LOCAL otherwise.
        text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        flags = message.get_attr("IFA_FLAGS") or message["flags"]
        static = (
            bool(flags & _PERMANENT)
            and message["scope"] in (_SCOPE_UNIVERSE, _SCOPE_SITE)
            and not message.get_attr("IFA_PROTO")  # a daemon (keepalived, say) marked it as its own
        )
        held.setdefault(message["index"], []).append(
            LinkAddress(f"{text}/{message['prefixlen']}", static)
        )
    return {
        message.get_attr("IFLA_IFNAME"): Link(
            number=message["index"],
            name=message.get_attr("IFLA_IFNAME"),
            up=bool(message["flags"] & _UP),
            mtu=message.get_attr("IFLA_MTU"),
            addresses=tuple(held.get(message["index"], ())),
        )
        for message in netlink.link("dump")
    }


def routes(netlink: Any, names: dict[int, str]) -> list[KernelRoute]:
    """All unicast routes of both families and all tables; ``names`` are the links' by index."""
    found = []
    for message in netlink.route("dump"):
        if message["type"] != _UNICAST:
            continue
        inet6 = message["family"] == socket.AF_INET6
        network = message.get_attr("RTA_DST") or ("::" if inet6 else "0.0.0.0")  # noqa: S104 - a destination, not a bind
        found.append(
            KernelRoute(
                destination=f"{network}/{message['dst_len']}",
                via=message.get_attr("RTA_GATEWAY") or "",
                dev=names.get(message.get_attr("RTA_OIF") or 0, ""),
                metric=message.get_attr("RTA_PRIORITY") or 0,
                table=message.get_attr("RTA_TABLE") or message["table"],
                protocol=message["proto"],
            )
        )
    return found


def set_link(netlink: Any, index: int, *, mtu: int | None, up: bool | None) -> None:
    """Both in one request; the kernel sets the MTU first. What is None is left alone."""
    request: dict[str, Any] = {"index": index}
    if mtu is not None:
        request["mtu"] = mtu
    if up is not None:
        request["state"] = "up" if up else "down"
    netlink.link("set", **request)


def add_address(netlink: Any, index: int, text: str) -> None:
    """Nothing happens when it is there already."""
    with _harmless(errno.EEXIST):
        netlink.addr("add", **_address(index, text))


def delete_address(netlink: Any, index: int, text: str) -> None:
    """Nothing happens when it is gone already."""
    with _harmless(errno.EADDRNOTAVAIL):
        netlink.addr("del", **_address(index, text))


def _address(index: int, text: str) -> dict[str, Any]:
    address, _, length = text.partition("/")
    return {"index": index, "address": address, "prefixlen": int(length)}


@contextmanager
def _harmless(code: int) -> Iterator[None]:
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        yield
    except NetlinkError as error:
        if error.code != code:
            raise


def change_route(netlink: Any, command: str, route: KernelRoute, names: dict[int, str]) -> None:
    """``add`` (refused when there is one already), ``replace`` or ``del``."""
    inet6 = ":" in route.destination
    request: dict[str, Any] = {
        "family": socket.AF_INET6 if inet6 else socket.AF_INET,
        "dst": route.destination,
        "table": route.table,
    }
    if command != "del":
        request["proto"] = PROTOCOL
    if not inet6:
        direct = _SCOPE_UNIVERSE if route.via else _SCOPE_LINK
        request["scope"] = _SCOPE_NOWHERE if command == "del" else direct  # nowhere: any, here
    if route.via:
        request["gateway"] = route.via
    if route.dev:
        request["oif"] = _index(route.dev, names)
    if route.metric:
        request["priority"] = route.metric
    with _harmless(errno.ESRCH if command == "del" else 0):  # gone already
        netlink.route(command, **request)


def _index(dev: str, names: dict[int, str]) -> int:
    for index, name in names.items():
        if name == dev:
            return index
    raise no_interface(dev, names.values())


def no_interface(name: str, known: Iterable[str]) -> Permanent:
    """The error for an interface that this host does not have."""
    return Permanent(f"there is no interface {name!r} here; there are: {', '.join(sorted(known))}")
