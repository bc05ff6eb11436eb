"""Two managed nodes that are reached at one place, and so are one device. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from rackwright.model.site import TRANSPORTS, Way
from rackwright_proposals.documents import NodeDocument, Place
from rackwright_proposals.hosts import local_line
from rackwright_proposals.marks import Mark, Problems

_HTTP_PORTS = {"https": 443, "http": 80}
_DEFAULT_PORTS = {
    transport: field.default
    for transport, options in TRANSPORTS.items()
    for field in msgspec.structs.fields(options)
    if field.name == "port"
}


class _Used(NamedTuple):
    node: str
    way: Way
    mark: Mark


def check_addresses(
    nodes: Mapping[str, NodeDocument],
    reach: Mapping[str, tuple[Way, ...]],
    parents: Mapping[str, Place],
    problems: Problems,
    warnings: Problems,
) -> None:
    """Tell of every node that is reached where another is: two delegates would write to one device, and
    none would know of the other. A serial line of a host has one device at its end, which is an error.

    What is no matter: other ports of one address (a console server), another user name over SSH (a
    console server that chooses by it), an address in networks that have no host in common, and what
    sits in a chassis and is reached through it."""
    used: dict[str, list[_Used]] = {}
    for name, ways in reach.items():
        for way, mark in zip(ways, nodes[name].reach_marks, strict=True):
            used.setdefault(_address(way), []).append(_Used(name, way, mark))
    for address, several in used.items():
        for one, first in _twice(several):
            if _through_its_chassis(one.node, first.node, {item.node for item in several}, parents):
                continue
            told = problems if local_line(one.way) else warnings
            told.add(
                f"{address} leads to one device: it is {first.node!r} at {first.mark}, "
                f"and {one.node!r} here",
                one.mark,
                "correct one of the two, or make them one node",
            )


def _twice(several: list[_Used]) -> Iterator[tuple[_Used, _Used]]:
    """Each node that is reached where one before it is, with the first of these."""
    told: set[str] = set()
    for number, one in enumerate(several):
        first = next(
            (
                other
                for other in several[:number]
                if other.node != one.node and _meet(other.way, one.way)
            ),
            None,
        )
        if first is not None and one.node not in told:
            told.add(one.node)
            yield one, first


def _address(way: Way) -> str:
    """Where ``way`` leads, as a person would write it."""
    options = way.options
    if way.transport == "serial":
        return f"serial {options['port']}"
    if way.transport == "http":
        return f"http {_of_url(str(options['url']))}"
    port = options.get("port") or _DEFAULT_PORTS[way.transport]
    user = f"{options['username']}@" if way.transport == "ssh" and options.get("username") else ""
    return f"{way.transport} {user}{_plain(str(options['host']))}:{port}"


def _of_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        return f"{_plain(parts.hostname or '')}:{parts.port or _HTTP_PORTS[parts.scheme]}"
    except ValueError:  # no port, or no address: it leads nowhere, and is told when it is used
        return url


@lru_cache(maxsize=1 << 14)
def _plain(host: str) -> str:
    """One spelling of a host's name or address."""
    try:
        found = ip_address(host.strip("[]"))
    except ValueError:
        return host.lower().rstrip(".")
    return f"[{found}]" if found.version == 6 else str(found)


def _meet(one: Way, other: Way) -> bool:
    """Whether the two are used from one place, where an address means one device."""
    if (one.at, one.network) == (other.at, other.network) and not local_line(one):
        return True
    if any(not way.at and not way.network and not local_line(way) for way in (one, other)):
        return True
    return not {*one.hosts}.isdisjoint(other.hosts)


def _through_its_chassis(
    one: str, other: str, reached: set[str], parents: Mapping[str, Place]
) -> bool:
    """Whether one of the two is in the other, or both are in a node of those that are ``reached`` there."""
    outside, beside = _around(one, parents), _around(other, parents)
    return one in beside or other in outside or not reached.isdisjoint(outside & beside)


def _around(node: str, parents: Mapping[str, Place]) -> set[str]:
    """What ``node`` is in; a circle is told of elsewhere."""
    found: set[str] = set()
    while node in parents and parents[node].node not in found:
        node = parents[node].node
        found.add(node)
    return found
