"""The simulated BMC, with blades behind it, for a node of a site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rackwright_sim.run import SimNode, _Making


def ipmi(node: SimNode, state: Path | None) -> _Making:
    """A BMC at the node's host and port, with a blade at each usual address and at those that the
    node's links name."""
    from rackwright_sim import run
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
            username=run._one(node, "username", plain.username),
            password=run._one(node, "password", plain.password),
            latency=node.latency,
        ),
        host=run._one(node, "host", "127.0.0.1"),
        port=0 if any(way.options.get("port") == 0 for way in ways) else int(run._one(node, "port", "623")),
        faults=node.faults,
        state=run._kept(state, node),
    )  # fmt: skip
    others = [run._unsimulated(node, way) for way in node.ways if way.transport != "ipmi"]
    made = run._Making(chassis, [], others)
    if ways:
        made.servers.append(
            (
                chassis,
                lambda: run.Endpoint(
                    node.name, node.platform, "ipmi", host=chassis.host, port=chassis.port
                ),
            )
        )
    return made
