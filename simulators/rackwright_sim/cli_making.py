"""The simulated chassis and serial or host-driven PDUs for a node of a site."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rackwright_sim.cli_box import Access, Box
from rackwright_sim.making import (
    Making,
    SimNode,
    agreed,
    kept_at,
    serial_endpoint,
    ssh_endpoint,
    unsimulated,
)

if TYPE_CHECKING:
    from rackwright_sim.cli_blades import ChassisOptions


def dell_cmc(node: SimNode, state: Path | None) -> Making:
    """A blade is in each slot that a link of the site names, or in some when none does."""
    from rackwright_sim.dell_cmc import DellCmc

    kept = kept_at(state, node)
    options = _chassis(node)
    return boxed(node, DellCmc(options, access=access_of(node), faults=node.faults, state=kept))


def hpe_oa(node: SimNode, state: Path | None) -> Making:
    """Likewise."""
    from rackwright_sim.hpe_oa import HpeOa

    kept = kept_at(state, node)
    options = _chassis(node, model="ProLiant BL460c Gen9")
    return boxed(node, HpeOa(options, access=access_of(node), faults=node.faults, state=kept))


def powerman(node: SimNode, state: Path | None) -> Making:
    """Its nodes are the outlets that links of the site name, and the usual ones."""
    from rackwright_sim.powerman import NODES, PowermanHost

    names = tuple(dict.fromkeys([*(link.port for link in node.links), *NODES]))
    kept = kept_at(state, node)
    host = PowermanHost(names, access=access_of(node), faults=node.faults, state=kept)
    return boxed(node, host, shell=False)


def vpcd(node: SimNode, state: Path | None) -> Making:
    """16 plugs on a line."""
    from rackwright_sim.vpcd import Vpcd

    kept = kept_at(state, node)
    return boxed(node, Vpcd(access=access_of(node), faults=node.faults, state=kept))


def access_of(node: SimNode) -> Access:
    """The logins that the ways of ``node`` have."""

    usual = Access()
    return Access(
        username=agreed(node, "username", usual.username),
        password=agreed(node, "password", usual.password),
        latency=node.latency,
    )


def _chassis(node: SimNode, **more: Any) -> ChassisOptions:
    from rackwright_sim.cli_blades import ChassisOptions

    named = tuple(int(link.port) for link in node.links if link.port.isdecimal())
    usual = ChassisOptions(name=node.name, **more)
    return replace(usual, occupied=named) if named else usual


def boxed(node: SimNode, box: Box, *, shell: bool = True) -> Making:
    """``box`` at each way of ``node`` that it can answer on."""
    from rackwright_sim.cli_line import PtyLine
    from rackwright_sim.cli_ssh import BoxSsh
    from rackwright_sim.cli_terminal import console
    from rackwright_sim.vpcd import Vpcd, VpcdLine

    made = Making(box, [], [])
    server: Any
    for way in node.ways:
        place = str(way.options.get("port", ""))
        if way.transport == "ssh" and not isinstance(box, Vpcd):
            server = BoxSsh(box, str(way.options["host"]), int(place or 22), shell=shell)
            made.servers.append((server, ssh_endpoint(node, server)))
        elif way.transport == "serial" and shell and "://" not in place:
            line = Path(place)
            server = VpcdLine(box, line) if isinstance(box, Vpcd) else PtyLine(line, console(box))
            made.servers.append((server, serial_endpoint(node, server)))
        else:
            made.skipped.append(unsimulated(node, way))
    return made
