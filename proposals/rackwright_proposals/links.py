"""Links: each is written on one node and seen from both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from rackwright.model.bundle import Origin
from rackwright.model.site import Link
from rackwright_proposals.documents import LinkEnd, NodeDocument
from rackwright_proposals.marks import Mark, Problems, origin_of
from rackwright_proposals.names import natural, suggest


@dataclass(frozen=True, slots=True)
class SiteLink:
    """A declared link, ``node`` being the one that it is written on."""

    node: str
    port: str
    peer: str
    peer_port: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Cabling:
    """All links of a site, and those of each node in natural order of its ports."""

    links: tuple[SiteLink, ...]
    by_node: Mapping[str, tuple[Link, ...]]


def spell_ports(
    nodes: Mapping[str, NodeDocument],
    spelling: Callable[[str], str],
    before: Mapping[str, NodeDocument] | None = None,
    spelt: Mapping[str, NodeDocument] | None = None,
) -> dict[str, NodeDocument]:
    """``nodes`` with every port of a switch by its one name, on whichever node the link is written.

    ``spelt`` is what came of ``before``: where a node is the same object, what came of it is, too."""
    switches = _switches(nodes)
    known = spelt if spelt is not None and before and _switches(before) == switches else {}

    def spelled(name: str, end: LinkEnd) -> LinkEnd:
        port = spelling(end.port) if name in switches else end.port
        peer_port = spelling(end.peer_port) if end.peer in switches else end.peer_port
        if (port, peer_port) == (end.port, end.peer_port):
            return end
        return replace(end, port=port, peer_port=peer_port)

    return {
        name: known[name]
        if name in known and before and before[name] is node
        else replace(node, links=tuple(spelled(name, end) for end in node.links))
        for name, node in nodes.items()
    }


def _switches(nodes: Mapping[str, NodeDocument]) -> set[str]:
    return {name for name, node in nodes.items() if node.type == "switch"}


def connect(nodes: Mapping[str, NodeDocument], commit: str, problems: Problems) -> Cabling:
    """All links; a port used twice and an unknown peer go to ``problems``."""
    used: dict[tuple[str, str], tuple[Mark, str]] = {}
    links: list[SiteLink] = []
    ends: dict[str, list[Link]] = {name: [] for name in nodes}
    for node in nodes.values():
        for end in node.links:
            if end.peer not in nodes:
                hint = suggest(end.peer, list(nodes))
                problems.add(f"there is no node {end.peer!r} to link to", end.peer_mark, hint)
            elif end.peer == node.name:
                hint = "name the node at the other end of the cable"
                problems.add(f"{node.name!r} is linked to itself", end.peer_mark, hint)
            elif not _taken(node.name, end, used, problems):
                origin = origin_of(end.mark, commit)
                links.append(SiteLink(node.name, end.port, end.peer, end.peer_port, origin))
                here = Link(port=end.port, peer=end.peer, peer_port=end.peer_port, trust=end.trust)
                there = Link(
                    port=end.peer_port, peer=node.name, peer_port=end.port, trust=end.trust
                )
                ends[node.name].append(here)
                ends[end.peer].append(there)
    return Cabling(
        tuple(sorted(links, key=lambda link: (natural(link.node), natural(link.port)))),
        {name: tuple(sorted(of, key=lambda link: natural(link.port))) for name, of in ends.items()},
    )


def _taken(
    node: str, end: LinkEnd, used: dict[tuple[str, str], tuple[Mark, str]], problems: Problems
) -> bool:
    here, there = f"{node}:{end.port}", f"{end.peer}:{end.peer_port}"
    taken = False
    for key, mark, other in (
        ((node, end.port), end.mark, there),
        ((end.peer, end.peer_port), end.peer_mark, here),
    ):
        if key in used:
            first, to = used[key]
            same = to == other
            problems.add(
                f"the link {here} to {there} is written twice, first at {first}"
                if same
                else f"port {key[0]}:{key[1]} is used twice: for {to} at {first}, and for {other}",
                mark,
                "a link is written on one of its two nodes" if same else "a port has one link",
            )
            taken = True
            break
    else:
        used[node, end.port] = (end.mark, there)
        used[end.peer, end.peer_port] = (end.peer_mark, here)
    return taken
