"""Which hosts can use which way to a managed node, and what nobody could converge. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from rackwright.model.lease import DELEGATE_HOST
from rackwright.model.site import Way
from rackwright_proposals.documents import NodeDocument
from rackwright_proposals.marks import Problems


def reach_with_hosts(nodes: Mapping[str, NodeDocument]) -> dict[str, tuple[Way, ...]]:
    """Each node's `reach`, every way with the hosts that can use it."""
    networks: dict[str, list[str]] = {}
    lines: dict[str, list[str]] = {}
    for name in sorted(nodes):
        for network in nodes[name].networks:
            networks.setdefault(network, []).append(name)
        for path in nodes[name].serial:
            lines.setdefault(path, []).append(name)
    return {
        name: tuple(
            msgspec.structs.replace(way, hosts=_hosts(way, networks, lines)) for way in node.reach
        )
        for name, node in nodes.items()
    }


def _hosts(
    way: Way, networks: Mapping[str, Collection[str]], lines: Mapping[str, Collection[str]]
) -> tuple[str, ...]:
    if way.at:
        return (way.at,)
    if way.network:
        return tuple(networks.get(way.network, ()))
    return tuple(lines.get(local_line(way), ()))


def local_line(way: Way) -> str:
    """The path of the host's own serial port that ``way`` uses; empty when it uses none."""
    port = way.options.get("port")
    own = way.transport == "serial" and isinstance(port, str) and port.startswith("/")
    return str(port) if own else ""


def usable_from(way: Way, host: str) -> bool:
    """Whether ``host`` can use ``way``. A network or a serial port that nobody offers is of use to
    nobody."""
    return host in way.hosts if way.hosts else not (way.network or local_line(way))


def is_host(node: NodeDocument, roles: Collection[str]) -> bool:
    """Whether a node with these roles converges others."""
    return DELEGATE_HOST in roles and not node.reached


def check_hosts(
    nodes: Mapping[str, NodeDocument],
    reach: Mapping[str, tuple[Way, ...]],
    roles: Mapping[str, Collection[str]],
    warnings: Problems,
) -> None:
    """Warn of managed nodes, and of ways, that no host of the site can take. A site without any host
    has its delegates started by hand, and nothing to be warned of."""
    hosts = [name for name, node in nodes.items() if is_host(node, roles[name])]
    if not hosts:
        return
    one_of = "one of " if len(hosts) > 1 else ""
    add_role = f"deploy {DELEGATE_HOST} on one that can, or offer its network on {one_of}"
    for name, ways in reach.items():
        for way, mark in zip(ways, nodes[name].reach_marks, strict=True):
            if way.at in nodes and way.at not in hosts:
                warnings.add(
                    f"{name!r} is reached from {way.at!r}, which has not the role {DELEGATE_HOST!r}",
                    mark,
                    f"deploy {DELEGATE_HOST} on {way.at}"
                    if nodes[way.at].type == "server"
                    else f"hosts are servers: {', '.join(sorted(hosts))}",
                )
        if ways and not any(usable_from(way, host) for way in ways for host in hosts):
            warnings.add(
                f"no host with the role {DELEGATE_HOST!r} can reach {name!r}",
                nodes[name].mark,
                f"{add_role}{', '.join(sorted(hosts))}",
            )
