"""Feeds: whose power hangs on one outlet or slot alone. Pure.

Outlets that feed one node stand in for each other; a slot of a chassis does not, whatever else feeds
what sits in it. Fails closed: an outlet of which nobody knows that it is on feeds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rackwright.model.site import Link, Node


def last_feeds(
    node: str,
    nodes: Mapping[str, Node],
    live: Callable[[str, str], bool],
    answers: Callable[[str], bool],
) -> dict[str, str]:
    """The outlets or slots of ``node`` on which alone a node hangs that answers, each with that in
    words. ``live`` says whether the outlet (node, name) is known to be on."""
    about = nodes[node]
    if about.type not in ("pdu", "chassis"):
        return {}
    found: dict[str, str] = {}
    for link in about.links:
        if not _hangs_on(about, link, nodes) or not answers(link.peer):
            continue
        if about.type == "chassis":
            found[link.port] = f"{link.peer} answers, and this is its slot"
        elif not any(
            live(*other) for other in outlets_of(link.peer, nodes) if other != (node, link.port)
        ):
            found[link.port] = f"{link.peer} answers, and it has no other live feed"
    return found


def outlets_of(node: str, nodes: Mapping[str, Node]) -> list[tuple[str, str]]:
    """The outlets that feed ``node``: node and name."""
    return [
        (link.peer, link.peer_port)
        for link in (nodes[node].links if node in nodes else ())
        if link.peer in nodes and nodes[link.peer].type == "pdu"
    ]


def feeders_of(node: str, nodes: Mapping[str, Node]) -> set[str]:
    """The nodes on which the power of ``node`` hangs: its PDUs, and the chassis that it sits in."""
    about = nodes.get(node)
    return {
        link.peer
        for link in (about.links if about else ())
        if link.peer in nodes and nodes[link.peer].type in ("pdu", "chassis")
    }


def _hangs_on(node: Node, link: Link, nodes: Mapping[str, Node]) -> bool:
    """Whether what is at the far end of ``link`` takes its power there: a switch above a chassis does
    not."""
    if link.peer not in nodes:
        return False
    return node.type == "pdu" or nodes[link.peer].type == "server"
