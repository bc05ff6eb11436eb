"""Simulated devices for a site: one for each managed node, at the addresses that its ways name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rackwright_sim.cli_making import dell_cmc, hpe_oa, powerman, vpcd
from rackwright_sim.dothill_making import dothill
from rackwright_sim.equallogic_making import equallogic
from rackwright_sim.ios_making import cisco_ios
from rackwright_sim.ipmi_making import ipmi
from rackwright_sim.linux_frr_making import linux_frr
from rackwright_sim.loop import on_thread
from rackwright_sim.making import Endpoint, Making, Server, SimError, SimLink, SimNode, SimWay
from rackwright_sim.modal_making import arista_eos, dell_os10
from rackwright_sim.qbridge_making import qbridge
from rackwright_sim.redfish_making import redfish
from rackwright_sim.snmp_pdu_making import snmp_pdu
from rackwright_sim.tgt_making import tgt

if TYPE_CHECKING:
    from rackwright_sim.making import Device

__all__ = [
    "PLATFORMS",
    "Endpoint",
    "Farm",
    "SimError",
    "SimLink",
    "SimNode",
    "SimWay",
    "start_for_site",
]


class Farm:
    """Running simulators. ``with`` stops them in the end."""

    def __init__(self) -> None:
        self.devices: dict[
            str,
            Device,
        ] = {}
        """By node: their ``counters`` can be read, their ``faults`` replaced."""
        self.endpoints: list[Endpoint] = []
        self.skipped: list[str] = []
        """What cannot be simulated, in sentences."""
        self._servers: list[Server] = []

    def port(self, node: str, transport: str) -> int:
        """The real port of ``node`` over ``transport``. Raises KeyError."""
        for found in self.endpoints:
            if (found.node, found.transport) == (node, transport):
                return found.port
        raise KeyError(f"{node} is not simulated over {transport}")

    def table(self) -> list[dict[str, Any]]:
        """One row an endpoint: node, platform, transport, address, host_key, writes."""
        return [
            {
                "node": found.node,
                "platform": found.platform,
                "transport": found.transport,
                "address": found.address,
                "host_key": found.host_key,
                "writes": self.devices[found.node].counters.writes,
            }
            for found in self.endpoints
        ]

    def stop(self) -> None:
        """Stop all of them. Again: nothing."""
        on_thread(self._stop())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _start(self, nodes: Sequence[SimNode], state: Path | None) -> None:
        for node in nodes:
            if node.platform not in PLATFORMS:
                known = ", ".join(sorted(PLATFORMS))
                self.skipped.append(
                    f"{node.name}: there is no simulator of {node.platform!r}; there are: {known}"
                )
                continue
            made = PLATFORMS[node.platform](node, state)
            self.skipped += made.skipped
            for server, endpoint in made.servers:
                try:
                    await server.start()
                except OSError as error:
                    await self._stop()
                    raise SimError(f"{node.name}: cannot be simulated there: {error}") from error
                self._servers.append(server)
                self.endpoints.append(endpoint())
            if made.servers:
                self.devices[node.name] = made.device

    async def _stop(self) -> None:
        while self._servers:
            await self._servers.pop().stop()


def start_for_site(nodes: Sequence[SimNode], *, state: Path | None = None) -> Farm:
    """Start a simulator for each node.

    ``state`` is a directory for what devices remember (startup configuration, host key, outlets);
    without it they forget all when they stop. What has no simulator is named in `Farm.skipped`.
    Raises SimError when an address cannot be had, or when a node's ways contradict each other.
    """
    if state:
        state.mkdir(parents=True, exist_ok=True)
    farm = Farm()
    on_thread(farm._start(nodes, state))
    return farm


PLATFORMS: dict[str, Callable[[SimNode, Path | None], Making]] = {
    "apc_rpdu": snmp_pdu,
    "apc_rpdu2": snmp_pdu,
    "arista_eos": arista_eos,
    "cisco_ios": cisco_ios,
    "dell_cmc": dell_cmc,
    "dell_os10": dell_os10,
    "dothill": dothill,
    "eaton_epdu": snmp_pdu,
    "equallogic": equallogic,
    "hpe_oa": hpe_oa,
    "ipmi": ipmi,
    "linux_frr": linux_frr,
    "powerman": powerman,
    "qbridge": qbridge,
    "raritan_pdu2": snmp_pdu,
    "redfish": redfish,
    "servertech_sentry3": snmp_pdu,
    "servertech_sentry4": snmp_pdu,
    "tgt": tgt,
    "vpcd": vpcd,
}
"""Simulators by the platform's name."""
