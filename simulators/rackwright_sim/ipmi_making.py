"""The simulated BMC, with blades behind it, for a node of a site."""

from __future__ import annotations

import re
from pathlib import Path

from rackwright_sim.making import Endpoint, Making, SimNode, agreed, kept_at, unsimulated


def ipmi(node: SimNode, state: Path | None) -> Making:
    """A BMC at the node's host and port, with a blade at each usual address and at those that the
    node's links name."""
    from rackwright_sim.ipmi import BMC, Ipmi, IpmiOptions

    plain = IpmiOptions()
    ways = [way for way in node.ways if way.transport == "ipmi"]
    named = [
        int(link.port, 16) & 0xFE
        for link in node.links
        if re.fullmatch(r"0x[0-9A-Fa-f]{2}", link.port)
    ]
    chassis = Ipmi(
        IpmiOptions(
            name=node.name,
            blades=tuple(sorted({*plain.blades, *named} - {BMC, 0})),
            username=agreed(node, "username", plain.username),
            password=agreed(node, "password", plain.password),
            latency=node.latency,
        ),
        host=agreed(node, "host", "127.0.0.1"),
        port=0 if any(way.options.get("port") == 0 for way in ways) else int(agreed(node, "port", "623")),
        faults=node.faults,
        state=kept_at(state, node),
    )  # fmt: skip
    others = [unsimulated(node, way) for way in node.ways if way.transport != "ipmi"]
    made = Making(chassis, [], others)
    if ways:
        made.servers.append(
            (
                chassis,
                lambda: Endpoint(
                    node.name, node.platform, "ipmi", host=chassis.host, port=chassis.port
                ),
            )
        )
    return made
