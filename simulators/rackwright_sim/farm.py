"""``python -m rackwright_sim.farm``: many simulated switches in one process, for benches.

Prints JSON lines: one with the ``control`` port (see `rackwright_sim.control`), one a device, and
``{"ready": N}``. Serves until SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from pathlib import Path

from rackwright_sim.control import Control
from rackwright_sim.ios_device import IosDevice
from rackwright_sim.ios_options import IosOptions
from rackwright_sim.ios_ssh import IosSsh


def main() -> None:
    """Parse the command line, serve."""
    parser = argparse.ArgumentParser(prog="rackwright_sim.farm", description=__doc__)
    parser.add_argument("--count", type=int, default=1, help="switches")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds a command")
    parser.add_argument("--save-delay", type=float, default=0.0, help="seconds a write memory")
    parser.add_argument("--base-port", type=int, default=0, help="the first; 0: any free ones")
    parser.add_argument("--ports", type=int, default=24, help="switch ports each")
    parser.add_argument("--sessions", type=int, default=5, help="SSH sessions each")
    parser.add_argument("--enable", default="", help="enable secret; without it all are privileged")
    parser.add_argument("--name", default="sw", help="what their names begin with")
    parser.add_argument("--state", type=Path, help="directory for what they save")
    asyncio.run(_serve(parser.parse_args()))


async def _serve(given: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if given.state:
        given.state.mkdir(parents=True, exist_ok=True)
    servers = [_switch(given, number) for number in range(given.count)]
    control = Control({server.device.options.hostname: server.device for server in servers})
    await control.start()
    _say(control=control.port)
    for server in servers:
        await server.start()
        options = server.device.options
        _say(
            name=options.hostname,
            host=server.host,
            port=server.port,
            host_key=server.host_key,
            username=options.username,
            password=options.password,
            enable=options.enable,
        )
    _say(ready=len(servers))
    await stop.wait()
    for server in servers:
        await server.stop()
    await control.stop()


def _switch(given: argparse.Namespace, number: int) -> IosSsh:
    options = IosOptions(
        hostname=f"{given.name}{number + 1}",
        enable=given.enable,
        ports=given.ports,
        latency=given.latency,
        save_delay=given.save_delay,
        sessions=given.sessions,
    )
    state = given.state / f"{options.hostname}.json" if given.state else None
    port = given.base_port + number if given.base_port else 0
    return IosSsh(IosDevice(options, state), port=port)


def _say(**what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
