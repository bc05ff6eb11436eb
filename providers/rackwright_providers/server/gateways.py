"""The default routes as /proc tells them: cheap, since it loads no netlink library."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_RTF_UP, _RTF_REJECT = 0x1, 0x200  # linux/route.h, linux/ipv6_route.h


class DefaultRoute(NamedTuple):
    """Sorts by metric: the first is the one in use."""

    metric: int
    dev: str
    via: str


def default_routes(base: Path, family: int) -> list[DefaultRoute]:
    """The default routes of the main table, best first, as /proc tells them for the network
    namespace of this thread (proc(5); no netlink library is loaded). ``family`` is 4 or 6."""
    folder = base / "proc/thread-self/net"
    try:
        if family == 4:
            return sorted(_default_routes4((folder / "route").read_text()))
        return sorted(_default_routes6((folder / "ipv6_route").read_text()))
    except OSError:
        return []


def _default_routes4(table: str) -> Iterator[DefaultRoute]:
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or (fields[1], fields[7]) != ("00000000", "00000000"):
            continue
        if int(fields[3], 16) & (_RTF_UP | _RTF_REJECT) == _RTF_UP:
            gateway = socket.inet_ntoa(struct.pack("=I", int(fields[2], 16)))
            via = "" if fields[2] == "00000000" else gateway
            yield DefaultRoute(int(fields[6]), fields[0], via)


def _default_routes6(table: str) -> Iterator[DefaultRoute]:
    for line in table.splitlines():
        fields = line.split()
        if len(fields) < 10 or int(fields[0], 16) or fields[1] != "00":
            continue
        if int(fields[8], 16) & (_RTF_UP | _RTF_REJECT) == _RTF_UP:
            via = str(ipaddress.IPv6Address(bytes.fromhex(fields[4]))) if int(fields[4], 16) else ""
            yield DefaultRoute(int(fields[5], 16), fields[9], via)
