"""A management controller with blades behind it on an IPMB: what they hold, and the BMC's LAN.

Of IPMI 2.0: chassis status and control, boot options, device ID, FRU and SDR, and Send Message to the
controllers of the blades. The BMC's SDR repository names them.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from rackwright_sim.faults import Faults
from rackwright_sim.ipmi_rmcp import Rmcp
from rackwright_sim.loop import on_thread

BMC = 0x20
OK, NAK, INVALID, MISSING, BAD_FIELD, REFUSED = 0x00, 0x83, 0xC1, 0xCB, 0xCC, 0xD5
"""Completion codes."""
CHASSIS, APP, STORAGE = 0x00, 0x06, 0x0A
WRITES = {(CHASSIS, 0x02), (CHASSIS, 0x08)}


@dataclass(frozen=True, slots=True)
class IpmiOptions:
    """What the chassis is. Times in seconds."""

    name: str = "rack"
    blades: tuple[int, ...] = (0x82, 0x84, 0x86)
    username: str = "rack"
    password: str = "rack"
    lag: float = 0.0
    """From a command to the power state."""
    latency: float = 0.0
    """Before each answer."""
    deaf: bool = False
    """Systems do not shut down when they are asked to."""


@dataclass(slots=True)
class Controller:
    """One management controller and the system that it is in."""

    power: str = "on"
    boot: str = "0000000000"
    """Boot flags, five octets."""


@dataclass(slots=True)
class Counters:
    """What was asked of all controllers."""

    messages: int = 0
    writes: int = 0

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"messages": self.messages, "writes": self.writes}


@dataclass(frozen=True, slots=True)
class Message:
    """An IPMI message; 12.4."""

    target: int
    netfn: int
    source: int
    sequence: int
    command: int
    data: bytes
    raw: bytes = field(repr=False)

    @classmethod
    def parse(cls, raw: bytes) -> Message | None:
        """None when a checksum is wrong."""
        if len(raw) < 7 or sum(raw[:3]) & 0xFF or sum(raw[3:]) & 0xFF:
            return None
        return cls(raw[0], raw[1] >> 2, raw[3], raw[4], raw[5], raw[6:-1], raw)

    def answer(self, code: int, data: bytes = b"") -> bytes:
        """The message that answers it."""
        head = bytes([self.source, (self.netfn | 1) << 2])
        body = bytes([self.target, self.sequence, self.command, code]) + data
        return head + bytes([-sum(head) & 0xFF]) + body + bytes([-sum(body) & 0xFF])


class IpmiDevice:
    """The chassis without its network. With ``state`` (a JSON file) it remembers its systems."""

    def __init__(
        self,
        options: IpmiOptions | None = None,
        *,
        state: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.options = options or IpmiOptions()
        self.history: list[tuple[int, int]] = []
        """Every chassis control: (address, command)."""
        self._controllers = {target: Controller() for target in (BMC, *self.options.blades)}
        self._due: dict[int, tuple[float, str]] = {}
        self._clock, self._state = clock, state
        self._lock = threading.RLock()  # a test looks in from another thread than the server's
        if state is not None and state.exists():
            for target, kept in json.loads(state.read_text()).items():
                if int(target, 16) in self._controllers:
                    self._controllers[int(target, 16)] = Controller(**kept)

    @property
    def controllers(self) -> dict[int, Controller]:
        """As they are now, by address. Change them to play a person in front of them."""
        with self._lock:
            now = self._clock()
            for target, (due, power) in tuple(self._due.items()):
                if due <= now:
                    self._controllers[target].power = power
                    del self._due[target]
            return self._controllers

    def handle(self, message: Message, *, apply: bool) -> bytes:
        """The message that answers one for a controller that is there."""
        with self._lock:
            code, data = self._do(message, self.controllers[message.target], apply)
            return message.answer(code, data)

    def _do(self, message: Message, own: Controller, apply: bool) -> tuple[int, bytes]:
        data = message.data
        match message.netfn, message.command:
            case (0x00, 0x01):
                return OK, bytes([own.power == "on", 0, 0])
            case (0x00, 0x02):
                return self._control(message.target, data, apply), b""
            case (0x00, 0x08):
                return self._set_boot(own, data, apply), b""
            case (0x00, 0x09) if data[:1] == b"\x05":
                return OK, bytes([1, 5]) + bytes.fromhex(own.boot)
            case (0x06, 0x01):
                return OK, bytes.fromhex("200109 08 02 9f 911200 020f 00000000")
            case (0x0A, 0x10) if data == b"\0":
                return OK, len(self._fru(message.target)).to_bytes(2, "little") + b"\0"
            case (0x0A, 0x11) if len(data) == 4 and not data[0]:
                at = int.from_bytes(data[1:3], "little")
                part = self._fru(message.target)[at : at + data[3]]
                return (OK, bytes([len(part)]) + part) if part else (0xC9, b"")
            case (0x0A, 0x23) if len(data) == 6 and message.target == BMC:
                return self._record(int.from_bytes(data[2:4], "little"))
        return INVALID, b""

    def _control(self, target: int, data: bytes, apply: bool) -> int:
        command = data[0] & 0x0F if data else 0xF
        if command not in (0, 1, 5):
            return BAD_FIELD
        if apply:
            self.history.append((target, command))
            if command != 5 or not self.options.deaf:
                power = "on" if command == 1 else "off"
                self._due[target] = (self._clock() + self.options.lag, power)
                if not self.options.lag:
                    _ = self.controllers
                self._keep()
        return OK

    def _set_boot(self, own: Controller, data: bytes, apply: bool) -> int:
        if data[:1] in (b"\x03", b"\x04"):
            return OK
        if data[:1] != b"\x05" or len(data) != 6 or data[2] >> 2 & 0xF not in (0, 1, 2, 5, 6, 15):
            return BAD_FIELD
        if apply:
            own.boot = data[1:].hex()
            self._keep()
        return OK

    def _record(self, number: int) -> tuple[int, bytes]:
        """Get SDR: a management controller device locator for each blade, numbered 1 and on."""
        blades = self.options.blades
        number = number or 1
        if not 1 <= number <= len(blades):
            return MISSING, b""
        target = blades[number - 1]
        name = f"blade {number}".encode()
        record = bytes([target, 0, 0, 0x80, 0, 0, 0, 0x0F, number, 0, 0xC0 | len(name)]) + name
        head = number.to_bytes(2, "little") + bytes([0x51, 0x12, len(record)])
        following = number + 1 if number < len(blades) else 0xFFFF
        return OK, following.to_bytes(2, "little") + head + record

    def _fru(self, target: int) -> bytes:
        serial = f"SIM{zlib.crc32(f'{self.options.name} {target}'.encode()):08X}"
        texts = ("Contoso", "3500RX blade", "P-3500", "1.0", serial, "")
        area = b"".join(bytes([0xC0 | len(text)]) + text.encode() for text in texts) + b"\xc1"
        size = -(-(3 + len(area) + 1) // 8)
        body = (bytes([1, size, 25]) + area).ljust(size * 8 - 1, b"\0")
        head = bytes([1, 0, 0, 0, 1, 0, 0])
        return b"".join(part + bytes([-sum(part) & 0xFF]) for part in (head, body))

    def _keep(self) -> None:
        if self._state is None:
            return
        kept = {f"{target:#04x}": asdict(found) for target, found in self._controllers.items()}
        for target, (_, power) in self._due.items():
            kept[f"{target:#04x}"]["power"] = power
        draft = self._state.with_name(f"{self._state.name}.new")
        draft.write_text(json.dumps(kept, indent=1))
        draft.replace(self._state)


class Ipmi(asyncio.DatagramProtocol):
    """The chassis on the network: ``with`` runs it on the simulators' thread. ``faults`` may be
    replaced while it runs: ``reject_only`` is looked for in ``0x82 00 02 01`` (address, network
    function, command and data in hexadecimal) of what would change something; a session that is cut
    is one whose console is not answered any more."""

    def __init__(
        self,
        options: IpmiOptions | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: Faults | None = None,
        state: Path | None = None,
    ) -> None:
        self.device = IpmiDevice(options, state=state)
        self.host, self.port = host, port
        self.faults, self.counters = faults or Faults(), Counters()
        given = self.device.options
        guid = zlib.crc32(given.name.encode()).to_bytes(4, "big") * 4
        self._rmcp = Rmcp(given.username, given.password, guid, self._messages)
        self._transport: asyncio.DatagramTransport | None = None
        self._mute = False
        self._applied = 0

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=(self.host, self.port)
        )
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    async def stop(self) -> None:
        """Close the port."""
        if self._transport is not None:
            self._transport.close()

    def __enter__(self) -> Self:
        on_thread(self.start())
        return self

    def __exit__(self, *_: object) -> None:
        on_thread(self.stop())

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """See `asyncio.DatagramProtocol`."""
        if self.faults.refuse or self.faults.hang or self._transport is None:
            return
        if data[4:5] != b"\x06":
            self._mute = False  # a console begins anew
        try:
            answers = self._rmcp.datagram(data)
        except (IndexError, ValueError):
            return  # what is cut short is not answered
        if self._mute:
            return
        loop = asyncio.get_running_loop()
        for answer in answers:
            loop.call_later(self.device.options.latency, self._transport.sendto, answer, addr)

    def _messages(self, raw: bytes) -> list[bytes]:
        message = Message.parse(raw)
        if message is None or self._mute:
            return []
        self.counters.messages += 1
        match message.netfn, message.command:
            case (0x06, 0x38):
                return [message.answer(OK, bytes([1, 0x80, 0x04, 0x02, 0, 0, 0, 0]))]
            case (0x06, 0x3B):
                return [message.answer(OK, message.data[:1])]
            case (0x06, 0x3C):
                self._rmcp.close(int.from_bytes(message.data[:4], "little"))
                return [message.answer(OK)]
            case (0x06, 0x34):
                return self._bridged(message)
        return self._carried(message)

    def _bridged(self, message: Message) -> list[bytes]:
        """Send Message with tracking (22.7): its own answer, then that of the other controller."""
        inner = Message.parse(message.data[1:])
        if inner is None or inner.target not in self.device.controllers:
            return [message.answer(NAK)]
        answers = self._carried(inner)
        return [message.answer(OK), *answers] if answers else []

    def _carried(self, message: Message) -> list[bytes]:
        if (message.netfn, message.command) not in WRITES:
            return [self.device.handle(message, apply=True)]
        faults = self.faults
        if faults.drop_before is not None:
            left = faults.drop_before - 1
            self.faults = replace(faults, drop_before=left if left >= 0 else None)
            if left < 0:
                self._mute = True
                return []
        self.counters.writes += 1
        octets = " ".join(
            f"{octet:02x}" for octet in (message.netfn, message.command, *message.data)
        )
        concerns = f"{message.target:#04x} {octets}"
        if faults.reject or (faults.reject_only and re.search(faults.reject_only, concerns)):
            return [message.answer(REFUSED)]
        found = self.device.handle(message, apply=not faults.lie)
        self._applied += 1
        last = faults.drop_after
        if last and (self._applied == last or (faults.drop_always and self._applied % last == 0)):
            self._mute = True
            return []
        return [found]
