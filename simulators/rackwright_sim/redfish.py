"""A Redfish service with some systems, as DMTF's schemas and its mockups describe one.

Of ``ComputerSystem`` v1.13: AssetTag, Boot, PowerState and Reset, with ETags; a SessionService; the
collections of systems, chassis and NICs. Values that its schema does not allow are refused.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from rackwright_sim.faults import Faults
from rackwright_sim.https_server import Answer, Counters, HttpServer, Request, answer
from rackwright_sim.loop import on_thread

ROOT = "/redfish/v1"
SYSTEMS, SESSIONS = f"{ROOT}/Systems", f"{ROOT}/SessionService/Sessions"
TARGETS = ("None", "Pxe", "Cd", "Usb", "Hdd", "BiosSetup", "UefiShell")
MODES = ("Disabled", "Once", "Continuous")
RESETS = ("On", "ForceOn", "ForceOff", "GracefulShutdown", "ForceRestart", "GracefulRestart")
LABEL = 63
"""Characters of an AssetTag; the schema leaves it to the service."""


@dataclass(frozen=True, slots=True)
class RedfishOptions:
    """What the service is. Times in seconds."""

    name: str = "bmc"
    systems: tuple[str, ...] = ("1", "2", "3", "4")
    username: str = "rack"
    password: str = "rack"
    lag: float = 0.0
    """From a reset to the power state; real systems take seconds."""
    latency: float = 0.0
    """Before each answer."""
    sessions: bool = True
    """False: basic authentication only."""
    deaf: bool = False
    """Systems do not shut down when they are asked to."""


@dataclass(slots=True)
class SystemState:
    """One system."""

    power: str = "On"
    target: str = "None"
    enabled: str = "Disabled"
    label: str = ""
    changes: int = 0


class RedfishDevice:
    """The service without its network. With ``state`` (a JSON file) it remembers its systems."""

    def __init__(
        self,
        options: RedfishOptions | None = None,
        *,
        state: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.options = options or RedfishOptions()
        self.history: list[tuple[str, str]] = []
        """Every reset: (system, ResetType)."""
        self.sessions: dict[str, str] = {}
        """Tokens by the session's id."""
        self._systems = {name: SystemState() for name in self.options.systems}
        self._due: dict[str, tuple[float, str]] = {}
        self._clock, self._state = clock, state
        self._lock = threading.RLock()  # a test looks in from another thread than the server's
        if state is not None and state.exists():
            for name, kept in json.loads(state.read_text()).items():
                if name in self._systems:
                    self._systems[name] = SystemState(**kept)

    @property
    def systems(self) -> dict[str, SystemState]:
        """As they are now. Change them to play a person in front of them."""
        with self._lock:
            now = self._clock()
            for name, (due, power) in tuple(self._due.items()):
                if due <= now:
                    self._systems[name].power = power
                    self._systems[name].changes += 1
                    del self._due[name]
            return self._systems

    def changes(self, request: Request) -> bool:
        """Whether it would change a system."""
        return request.method != "GET" and not request.path.startswith(SESSIONS)

    def refusal(self) -> Answer:
        """How a service says no."""
        return error(400, "The request was refused by the service")

    def handle(self, request: Request, *, apply: bool) -> Answer:
        """See `rackwright_sim.https_server.Site`."""
        path = request.path.partition("?")[0].rstrip("/")
        with self._lock:
            if (request.method, path) == ("GET", "/redfish"):
                return answer({"v1": f"{ROOT}/"})
            if (request.method, path) == ("GET", ROOT):
                return answer(self._root())
            if (request.method, path) == ("POST", SESSIONS) and self.options.sessions:
                return self._log_in(request)
            if not self._knows(request.headers):
                return error(
                    401, "While attempting to establish a connection the credentials failed"
                )
            if request.method == "GET":
                return self._get(path, request.path)
            if request.method == "DELETE" and path.startswith(f"{SESSIONS}/"):
                gone = self.sessions.pop(path.rpartition("/")[2], None)
                return answer(None, 204) if gone else error(404, "There is no such session")
            if path.removeprefix(f"{SYSTEMS}/").partition("/")[0] not in self.systems:
                return error(404, f"The resource at the URI {path} was not found")
            try:
                return self._write(request, path, apply)
            except (ValueError, AttributeError):
                return error(400, "The request body submitted was malformed JSON")

    def _log_in(self, request: Request) -> Answer:
        try:
            given = request.json()
            right = (given["UserName"], given["Password"]) == (
                self.options.username,
                self.options.password,
            )
        except (ValueError, KeyError, TypeError):
            return error(400, "The request body submitted was malformed JSON")
        if not right:
            return error(401, "The credentials were refused")
        number, token = str(len(self.sessions) + 1), secrets.token_hex(16)
        while number in self.sessions:
            number = f"{number}0"
        self.sessions[number] = token
        place = f"{SESSIONS}/{number}"
        return answer({"@odata.id": place, "Id": number}, 201, X_Auth_Token=token, Location=place)

    def _knows(self, headers: Mapping[str, str]) -> bool:
        if headers.get("x-auth-token") in self.sessions.values():
            return True
        pair = f"{self.options.username}:{self.options.password}".encode()
        return headers.get("authorization") == f"Basic {base64.b64encode(pair).decode()}"

    def _get(self, path: str, asked: str) -> Answer:
        if path == SYSTEMS:
            whole = "$expand=" in asked
            members = [
                self._system(name) if whole else {"@odata.id": f"{SYSTEMS}/{name}"}
                for name in self.systems
            ]
            return answer(_collection(path, members))
        if path == f"{ROOT}/Chassis":
            return answer(_collection(path, [{"@odata.id": f"{path}/Enclosure"}]))
        if path == f"{ROOT}/Chassis/Enclosure":
            return answer(self._chassis())
        name, _, rest = path.removeprefix(f"{SYSTEMS}/").partition("/")
        if path.startswith(f"{SYSTEMS}/") and name in self.systems:
            if not rest:
                data = self._system(name)
                return answer(data, ETag=data["@odata.etag"])
            if rest == "EthernetInterfaces":
                return answer(_collection(path, [{"@odata.id": f"{path}/1"}]))
            if rest == "EthernetInterfaces/1":
                return answer({"@odata.id": path, "Id": "1", "MACAddress": mac(self.options, name)})
        return error(404, f"The resource at the URI {path} was not found")

    def _root(self) -> dict[str, Any]:
        links = {"Links": {"Sessions": {"@odata.id": SESSIONS}}} if self.options.sessions else {}
        return {
            "@odata.id": f"{ROOT}/",
            "@odata.type": "#ServiceRoot.v1_5_0.ServiceRoot",
            "Id": "RootService",
            "Name": self.options.name,
            "RedfishVersion": "1.6.0",
            "UUID": f"92384634-2938-2342-8820-{zlib.crc32(self.options.name.encode()):012x}",
            "ProtocolFeaturesSupported": {"ExpandQuery": {"NoLinks": True, "MaxLevels": 1}},
            "Systems": {"@odata.id": SYSTEMS},
            "Chassis": {"@odata.id": f"{ROOT}/Chassis"},
            **links,
        }

    def _chassis(self) -> dict[str, Any]:
        members = [{"@odata.id": f"{SYSTEMS}/{name}"} for name in self.systems]
        return {
            "@odata.id": f"{ROOT}/Chassis/Enclosure",
            "@odata.type": "#Chassis.v1_5_0.Chassis",
            "Id": "Enclosure",
            "Name": f"{self.options.name} enclosure",
            "ChassisType": "Enclosure",
            "Manufacturer": "Contoso",
            "Model": "3500RX",
            "SerialNumber": "SIM0000CH",
            "Status": {"State": "Enabled", "Health": "OK"},
            "Links": {"ComputerSystems": members},
        }

    def _system(self, name: str) -> dict[str, Any]:
        path, now = f"{SYSTEMS}/{name}", self.systems[name]
        return {
            "@odata.id": path,
            "@odata.etag": f'"{now.changes}"',
            "@odata.type": "#ComputerSystem.v1_13_0.ComputerSystem",
            "Id": name,
            "Name": f"{self.options.name}-blade-{name}",
            "SystemType": "Physical",
            "AssetTag": now.label or None,
            "Manufacturer": "Contoso",
            "Model": "3500",
            "SerialNumber": f"SIM{zlib.crc32(name.encode()):08X}",
            "BiosVersion": "P79 v1.45",
            "PowerState": now.power,
            "Status": {"State": "Enabled", "Health": "OK"},
            "Boot": {
                "BootSourceOverrideEnabled": now.enabled,
                "BootSourceOverrideEnabled@Redfish.AllowableValues": list(MODES),
                "BootSourceOverrideTarget": now.target,
                "BootSourceOverrideTarget@Redfish.AllowableValues": list(TARGETS),
            },
            "EthernetInterfaces": {"@odata.id": f"{path}/EthernetInterfaces"},
            "Actions": {
                "#ComputerSystem.Reset": {
                    "target": f"{path}/Actions/ComputerSystem.Reset",
                    "ResetType@Redfish.AllowableValues": list(RESETS),
                }
            },
        }

    def _write(self, request: Request, path: str, apply: bool) -> Answer:
        name, _, rest = path.removeprefix(f"{SYSTEMS}/").partition("/")
        now, body = self.systems[name], request.json()
        if (request.method, rest) == ("POST", "Actions/ComputerSystem.Reset"):
            kind = body.get("ResetType")
            if kind not in RESETS:
                return error(400, f"The value {kind!r} for ResetType is not in the list")
            if apply:
                self._reset(name, kind)
            return answer(None, 204)
        if request.method != "PATCH" or rest:
            return error(405, "The operation is not allowed on this resource")
        if request.headers.get("if-match", f'"{now.changes}"') != f'"{now.changes}"':
            return error(412, "The ETag supplied did not match")
        wanted = asdict(now)
        for key, value in body.items():
            wrong = _property(wanted, key, value)
            if wrong:
                return error(400, wrong)
        if apply:
            self._systems[name] = SystemState(**{**wanted, "changes": now.changes + 1})
            self._keep()
        return answer(None, 204)

    def _reset(self, name: str, kind: str) -> None:
        self.history.append((name, kind))
        if kind == "GracefulShutdown" and self.options.deaf:
            return
        power = "Off" if kind in ("ForceOff", "GracefulShutdown") else "On"
        self._due[name] = (self._clock() + self.options.lag, power)
        if not self.options.lag:
            _ = self.systems
        self._keep()

    def _keep(self) -> None:
        if self._state is None:
            return
        kept = {name: asdict(found) for name, found in self._systems.items()}
        for name, (_, power) in self._due.items():
            kept[name]["power"] = power
        draft = self._state.with_name(f"{self._state.name}.new")
        draft.write_text(json.dumps(kept, indent=1))
        draft.replace(self._state)


def _property(wanted: dict[str, Any], key: str, value: Any) -> str:
    """Put one property of a PATCH into ``wanted``; what is wrong with it otherwise."""
    if key == "AssetTag":
        if not isinstance(value, str) or len(value) > LABEL:
            return f"The value {value!r} for AssetTag is not acceptable"
        wanted["label"] = value
        return ""
    if key != "Boot":
        return f"The property {key} is not writable"
    for option, choice in value.items():
        allowed: Sequence[str] = {
            "BootSourceOverrideTarget": TARGETS,
            "BootSourceOverrideEnabled": MODES,
        }.get(option, ())
        if choice not in allowed:
            return f"The value {choice!r} for the property {option} is not in the list"
        wanted["target" if option.endswith("Target") else "enabled"] = choice
    return ""


def _collection(path: str, members: list[dict[str, Any]]) -> dict[str, Any]:
    return {"@odata.id": path, "Members@odata.count": len(members), "Members": members}


def error(status: int, message: str) -> Answer:
    """An error as DSP0266 has it."""
    info = {"MessageId": "Base.1.8.GeneralError", "Message": message}
    body = {"code": "Base.1.8.GeneralError", "message": "See @Message.ExtendedInfo"}
    return answer({"error": {**body, "@Message.ExtendedInfo": [info]}}, status)


def mac(options: RedfishOptions, name: str) -> str:
    """Of a system's NIC."""
    digest = zlib.crc32(f"{options.name} {name}".encode()).to_bytes(4, "big")
    return ":".join(f"{octet:02X}" for octet in (0x52, 0x54, *digest))


class Redfish:
    """The service on the network: ``with`` runs it on the simulators' thread."""

    def __init__(
        self,
        options: RedfishOptions | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = True,
        faults: Faults | None = None,
        state: Path | None = None,
    ) -> None:
        self.device = RedfishDevice(options, state=state)
        self.server = HttpServer(
            self.device,
            name=self.device.options.name,
            host=host,
            port=port,
            tls=tls,
            latency=self.device.options.latency,
            faults=faults,
        )

    @property
    def counters(self) -> Counters:
        """What was asked of it."""
        return self.server.counters

    @property
    def faults(self) -> Faults:
        """How it misbehaves."""
        return self.server.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self.server.faults = faults

    async def start(self) -> None:
        """Listen."""
        await self.server.start()

    async def stop(self) -> None:
        """Close the port."""
        await self.server.stop()

    def __enter__(self) -> Self:
        on_thread(self.start())
        return self

    def __exit__(self, *_: object) -> None:
        on_thread(self.stop())
