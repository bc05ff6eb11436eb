"""An SNMP agent (v2c, v3) over UDP whose objects are a device in software.

Protocol, security and access control are pysnmp's; what the objects are and what a SET does is the
device's. It listens on an address of this machine and lives on the event loop that starts it.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rackwright_sim.faults import Faults
from rackwright_sim.snmp_objects import Access, Objects, Path, Scalar, SetError


@dataclass(slots=True)
class Counters:
    """What was asked of the agent. Requests that it refused for their credentials are in
    ``datagrams`` alone."""

    datagrams: int = 0
    get: int = 0
    get_next: int = 0
    get_bulk: int = 0
    set: int = 0

    @property
    def reads(self) -> int:
        """Requests that cannot write."""
        return self.get + self.get_next + self.get_bulk

    @property
    def writes(self) -> int:
        """Requests that could write, taken or refused."""
        return self.set

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "writes": self.writes}


def _concerns(pattern: str, bindings: Sequence[tuple[Path, Scalar]]) -> bool:
    return any(
        re.search(pattern, f"{'.'.join(map(str, path))}={value!s}") for path, value in bindings
    )


class SnmpAgent:
    """One agent. ``engine_id`` and ``boots`` are those of RFC 3414: the same device keeps the first
    and counts up the second at every start."""

    def __init__(
        self,
        objects: Objects,
        *,
        access: Access,
        host: str = "127.0.0.1",
        port: int = 0,
        latency: float = 0.0,
        faults: Faults | None = None,
        engine_id: bytes = b"",
        boots: int = 1,
        max_bindings: int = 200,
    ) -> None:
        self.objects = objects
        self.host = host
        self.port = port
        """The UDP port; 0 is replaced by the one that the system gave."""
        self.latency = latency
        """Seconds before each answer."""
        self.faults = faults or Faults()
        """May be changed while it runs."""
        self.counters = Counters()
        self.max_bindings = max_bindings
        """Of one GETBULK's answer; real agents cut it where their buffers end."""
        self._access = access
        self._engine_id = engine_id or bytes([0x80, 0, 0, 0, 5]) + random.randbytes(8)
        self._boots = boots
        self._sets = 0
        self._mute = False
        self._engine: Any = None

    async def start(self) -> None:
        """Listen."""
        from rackwright_sim import snmp_engine  # pysnmp is slow to import

        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._engine = snmp_engine.engine(self._engine_id, self._boots, self._access)
        transport = snmp_engine.attach(self._engine, family, self)
        snmp_engine.respond(self._engine, self, self._access)
        endpoint, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: transport, local_addr=(self.host, self.port), family=family
        )
        self.port = endpoint.get_extra_info("sockname")[1]

    async def stop(self) -> None:
        """Close the socket."""
        if self._engine is not None:
            self._engine.close_dispatcher()
            self._engine = None

    def write(self, bindings: Sequence[tuple[Path, Scalar]]) -> None:
        """A SET that is allowed has come in. Raises SetError."""
        faults = self.faults
        if faults.drop_before is not None:
            left = faults.drop_before - 1
            self.faults = replace(faults, drop_before=left if left >= 0 else None)
            if left < 0:
                self._mute = True
                raise SetError("genErr")
        if faults.reject or (faults.reject_only and _concerns(faults.reject_only, bindings)):
            raise SetError("notWritable")
        self.objects.set(bindings, apply=not faults.lie)
        self._sets += 1
        if faults.drop_after and (
            self._sets == faults.drop_after
            or (faults.drop_always and self._sets % faults.drop_after == 0)
        ):
            self._mute = True

    def arrived(self, datagram: bytes, handle: Callable[[], None]) -> None:
        """A datagram has come in; ``handle`` makes the answer."""
        self.counters.datagrams += 1
        if self.faults.hang or self.faults.refuse:
            return
        if self.latency:
            asyncio.get_running_loop().call_later(self.latency, handle)
        else:
            handle()

    def leaving(self, datagram: bytes) -> bytes:
        """An answer goes out: what goes out instead, empty for nothing."""
        if self._mute:  # the answer to the N-th SET is lost, as datagrams are
            self._mute = False
            return b""
        if self.faults.garbage:
            return random.choice(
                [random.randbytes(len(datagram)), datagram[: len(datagram) // 2], b"\x30\x84"]
            )
        return datagram
