"""Reading and steering simulated devices from another process: JSON lines over loopback TCP.

A request is an object with ``op`` and mostly ``name`` (a device; without it all of them):

| op | answer |
| --- | --- |
| ``counters`` | what was done to it, by name |
| ``reset`` | sets its counters back to zero |
| ``faults`` | replaces its faults by ``faults``, an object of `rackwright_sim.faults.Faults`' fields |
| ``running``, ``startup`` | of a switch: the text of that configuration, by name |

The answer is ``{"ok": …}``, or ``{"error": "…"}``.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from typing import Any, Protocol

from rackwright_sim.faults import Faults
from rackwright_sim.ios_counters import Counters as IosCounters
from rackwright_sim.ios_device import IosDevice

PATIENCE = 30
LONGEST = 64 * 1024 * 1024
"""Bytes of an answer's line: 200 running configurations fit."""


class _Counters(Protocol):
    def as_json(self) -> dict[str, Any]: ...


class Device(Protocol):
    """What all simulated devices have."""

    faults: Faults

    @property
    def counters(self) -> _Counters: ...


class Control:
    """The server. It listens on loopback only, for it lets anybody on this machine steer."""

    def __init__(self, devices: Mapping[str, Device]) -> None:
        self._devices = devices
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen on any free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port."""
        if self._server:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                try:
                    answer = {"ok": self.answer(json.loads(line))}
                except (ValueError, TypeError, KeyError) as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    def answer(self, request: dict[str, Any]) -> Any:
        """What ``request`` asks for. Raises ValueError, TypeError, KeyError when it is wrong."""
        name = request.get("name")
        chosen = self._devices if name is None else {name: self._devices[name]}
        match request.get("op"):
            case "counters":
                return {name: device.counters.as_json() for name, device in chosen.items()}
            case "reset":
                for device in chosen.values():
                    if isinstance(device, IosDevice):
                        device.counters = IosCounters(
                            open=device.counters.open, peak=device.counters.open
                        )
                return None
            case "faults":
                faults = Faults(**request["faults"])
                for device in chosen.values():
                    device.faults = faults
                return None
            case "running":
                return {
                    name: device.running.text()
                    for name, device in chosen.items()
                    if isinstance(device, IosDevice)
                }
            case "startup":
                return {
                    name: device.startup
                    for name, device in chosen.items()
                    if isinstance(device, IosDevice)
                }
        raise ValueError(f"no op is called {request.get('op')!r}")


def ask(port: int, op: str, **more: Any) -> Any:
    """Put one request to a `Control` on ``port``. Raises ValueError with what it says is wrong."""
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as connection,
        connection.makefile("rwb") as stream,
    ):
        stream.write(json.dumps({"op": op, **more}).encode() + b"\n")
        stream.flush()
        answer = json.loads(stream.readline(LONGEST))
    if "error" in answer:
        raise ValueError(answer["error"])
    return answer["ok"]
