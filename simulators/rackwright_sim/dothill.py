"""An array of the Dot Hill family (HPE MSA, Dell PowerVault ME4 and ME5): its management controller.

Basetypes, properties and return codes are those of the vendors' CLI reference guides and of answers that
public clients show. It answers 200 to everything that it understands, and its own code says what came of
it; in JSON where the request asks for that, else in XML.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import threading
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from rackwright_sim.dothill_text import Tables, answered, size_of
from rackwright_sim.faults import Faults
from rackwright_sim.https_server import Answer, Counters, HttpServer, Request
from rackwright_sim.loop import on_thread

BLOCK = 512
PAGE = 4 * 2**20
"""Bytes to which sizes are rounded, down."""
MOST = 128 * 2**40
EXISTS, NO_VOLUME, NO_SESSION, BAD = -10186, -10075, -10027, -10058
LUN_TAKEN, NO_INITIATOR, NO_POOL, NO_SPACE = -3177, -10386, -10152, -3064
IQN = "iqn.2015-11.com.hpe:storage.msa2050.2026dd0001"


@dataclass(frozen=True, slots=True)
class DotHillOptions:
    """What the array is."""

    name: str = "array"
    pools: tuple[str, ...] = ("A", "B")
    """Virtual ones."""
    linear: tuple[str, ...] = ()
    """Linear ones."""
    capacity: int = 256 * 2**40
    """Bytes of each pool."""
    username: str = "rack"
    password: str = "rack"
    hash: str = "sha256"
    """Of a login; ``md5`` on old firmware."""
    xml: bool = False
    """Old firmware: XML, whatever is asked for."""
    latency: float = 0.0
    """Seconds before each answer."""


class Refusal(Exception):
    """The array says no."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words


class DotHillDevice:
    """The array without its network. With ``state`` (a JSON file) it remembers what it holds."""

    def __init__(self, options: DotHillOptions | None = None, *, state: Path | None = None) -> None:
        self.options = options or DotHillOptions()
        self.sessions: set[str] = set()
        """Keys. Clear it to play a controller that has forgotten them."""
        self.data: dict[str, Any] = {"volumes": {}, "maps": [], "initiators": {}, "chap": {}}
        """Change it to play an administrator, or an initiator that logs in."""
        self._state = state
        self._lock = threading.RLock()  # a test looks in from another thread than the server's
        if state is not None and state.exists():
            self.data = json.loads(state.read_text())

    def put(self, name: str, size: int, pool: str = "A") -> None:
        """Make a volume."""
        self.data["volumes"][name] = {"size": size // PAGE * PAGE, "pool": pool}

    def see(self, iqn: str, nickname: str = "", ports: int = 1) -> None:
        """An initiator that has logged in, to ``ports`` (bits) of controller A."""
        self.data["initiators"][iqn] = {"nickname": nickname, "discovered": True, "ports": ports}

    def changes(self, request: Request) -> bool:
        """Everything is a GET: the path tells."""
        return re.match(r"/api/(?!login/|exit\b|show/)", request.path) is not None

    def refusal(self) -> Answer:
        """How an array says no."""
        return self._answer({}, -1, "The command had an error.", {})

    def handle(self, request: Request, *, apply: bool) -> Answer:
        """See `rackwright_sim.https_server.Site`."""
        if request.path == "/":
            page = b"<html><head><title>HPE MSA Storage Management Utility</title></head></html>"
            return Answer(200, page, {"Content-Type": "text/html"})
        words = [unquote(word) for word in request.path.split("?")[0].split("/")[1:]]
        if words[0] != "api" or request.method != "GET":
            return Answer(404, b"<html><body>404 Not Found</body></html>")
        with self._lock:
            if words[1:2] == ["login"]:
                return self._log_in(request.headers, words[2:])
            key = request.headers.get("sessionkey", "")
            if key not in self.sessions:
                said = "The user is not recognized on this system."
                return self._answer(request.headers, NO_SESSION, said, {})
            if words[1:] == ["exit"]:
                self.sessions.discard(key)
                return self._answer(request.headers, 0, "Command completed successfully.", {})
            try:
                tables = self._command(words[1:], apply)
            except Refusal as error:
                return self._answer(request.headers, error.code, error.words, {})
            if apply and self.changes(request):
                self._keep()
            return self._answer(request.headers, 0, "Command completed successfully.", tables)

    def _log_in(self, headers: Mapping[str, str], words: Sequence[str]) -> Answer:
        pair = f"{self.options.username}_{self.options.password}".encode()
        right = hashlib.new(self.options.hash, pair, usedforsecurity=False).hexdigest()
        if list(words) != [right]:
            return self._answer(headers, 2, "Authentication Unsuccessful", {}, success=False)
        key = secrets.token_hex(16)
        self.sessions.add(key)
        return self._answer(headers, 1, key, {}, success=True)

    def _answer(
        self,
        headers: Mapping[str, str],
        code: int,
        words: str,
        tables: Tables,
        *,
        success: bool | None = None,
    ) -> Answer:
        good = code == 0 if success is None else success
        status = {
            "response-type": "Success" if good else "Error",
            "response-type-numeric": 0 if good else 1,
            "response": words,
            "return-code": code,
        }
        as_xml = self.options.xml or headers.get("datatype") != "json"
        return answered({**tables, "status": [status]}, as_xml=as_xml)

    def _command(self, words: list[str], apply: bool) -> Tables:
        match words:
            case ["show", "volumes"]:
                return {"volumes": [self._volume(name) for name in self.data["volumes"]]}
            case ["show", "maps"]:
                return {"volume-view": [self._view(name) for name in self.data["volumes"]]}
            case ["show", "initiators"]:
                return {"initiator": [self._initiator(iqn) for iqn in self.data["initiators"]]}
            case ["show", "chap-records"]:
                rows = self.data["chap"].items()
                return {
                    "chap-records": [
                        {"initiator-name": name, "initiator-secret": word, "mutual-name": ""}
                        for name, word in rows
                    ]
                }
            case ["show", "pools"]:
                return {"pools": [self._pool(name) for name in self._pools()]}
            case ["show", "ports"]:
                return {
                    "port": [
                        {"port": port, "port-type": "iSCSI", "target-id": IQN, "status": "Up"}
                        for port in ("A1", "A2", "B1", "B2")
                    ]
                }
            case ["show", "controllers"]:
                return {"controllers": [{"controller-id": "A", "sc-fw": "VLS270P001"}]}
            case ["show", "system"]:
                return {
                    "system": [
                        {
                            "system-name": self.options.name,
                            "vendor-name": "HPE",
                            "product-id": "MSA 2050 SAN",
                            "midplane-serial-number": "00C0FF26DD0001",
                            "health": "OK",
                        }
                    ]
                }
        change = self._checked(words)
        if apply:
            change()
        return {}

    def _checked(self, words: list[str]) -> Any:
        """What carries a command out. Raises Refusal."""
        known, chap = self.data["initiators"], self.data["chap"]
        match words:
            case ["create", "volume", "pool", pool, "size", size, name]:
                return self._create(pool, size_of(size), name)
            case ["expand", "volume", "size", size, name]:
                more = size_of(size) // PAGE * PAGE
                held = self._named(name)
                if not 0 < more <= MOST - held["size"]:
                    raise Refusal(BAD, "The size is invalid.")
                return lambda: held.update(size=held["size"] + more)
            case ["delete", "volumes", name]:
                self._named(name)
                return lambda: self._delete(name)
            case ["map", "volume", "access", access, "lun", lun, "initiator", iqn, name]:
                return self._map(name, iqn, lun, access)
            case ["unmap", "volume", "initiator", iqn, name]:
                self._named(name)
                return lambda: self._unmap(name, iqn)
            case ["set", "initiator", "id", iqn, "nickname", nickname]:
                taken = any(one["nickname"] == nickname for one in known.values())
                if taken or len(nickname) > 32 or re.search(r'[",.<\\]', nickname):
                    raise Refusal(BAD, "The nickname is invalid.")
                plain = {"nickname": "", "discovered": False, "ports": 0}
                return lambda: known.update({iqn: {**known.get(iqn, plain), "nickname": nickname}})
            case ["delete", "initiator-nickname", nickname]:
                found = [iqn for iqn, one in known.items() if one["nickname"] == nickname]
                if not found:
                    raise Refusal(NO_INITIATOR, "The initiator was not found.")
                return lambda: known.pop(found[0])
            case [("create" | "set") as verb, "chap-record", "name", name, "secret", word]:
                if (name in chap) != (verb == "set") or not 12 <= len(word) <= 16:
                    raise Refusal(BAD, "The CHAP record is invalid.")
                return lambda: chap.update({name: word})
            case ["delete", "chap-record", "name", name] if name in chap:
                return lambda: chap.pop(name)
        raise Refusal(BAD, "The command is invalid.")

    def _named(self, name: str) -> dict[str, Any]:
        held: dict[str, Any] | None = self.data["volumes"].get(name)
        if held is None:
            raise Refusal(NO_VOLUME, "The volume was not found on this system.")
        return held

    def _create(self, pool: str, size: int, name: str) -> Any:
        if pool not in self._pools():
            raise Refusal(NO_POOL, "The pool was not found.")
        if name in self.data["volumes"]:
            raise Refusal(EXISTS, "The name is already in use.")
        if len(name.encode()) > 32 or re.search(r'[",.<\\ ]', name) or not PAGE <= size <= MOST:
            raise Refusal(BAD, "The command is invalid.")
        return lambda: self.put(name, size, pool)

    def _delete(self, name: str) -> None:
        del self.data["volumes"][name]
        self._unmap(name, None)

    def _map(self, name: str, iqn: str, lun: str, access: str) -> Any:
        self._named(name)
        if iqn not in self.data["initiators"]:
            raise Refusal(NO_INITIATOR, "The initiator nickname or identifier was not found.")
        if access not in ("rw", "ro") or not lun.isdecimal() or int(lun) > 1023:
            raise Refusal(BAD, "The command is invalid.")
        for one in self.data["maps"]:
            if one["initiator"] == iqn and one["lun"] == int(lun) and one["volume"] != name:
                raise Refusal(LUN_TAKEN, "The specified LUN overlaps a previously defined LUN.")
        row = {"volume": name, "initiator": iqn, "lun": int(lun), "access": access}

        def change() -> None:
            self._unmap(name, iqn)
            self.data["maps"].append(row)

        return change

    def _unmap(self, name: str, iqn: str | None) -> None:
        self.data["maps"] = [
            one
            for one in self.data["maps"]
            if one["volume"] != name or iqn not in (None, one["initiator"])
        ]

    def _pools(self) -> tuple[str, ...]:
        return (*self.options.pools, *self.options.linear)

    def _kind(self, pool: str) -> str:
        return "Linear" if pool in self.options.linear else "Virtual"

    def _pool(self, name: str) -> dict[str, Any]:
        volumes = self.data["volumes"].values()
        used = sum(held["size"] for held in volumes if held["pool"] == name)
        return {
            "name": name,
            "storage-type": self._kind(name),
            "blocksize": BLOCK,
            "total-size": f"{self.options.capacity / 10**9:.1f}GB",
            "total-size-numeric": self.options.capacity // BLOCK,
            "total-avail-numeric": max(0, self.options.capacity - used) // BLOCK,
            "health": "OK",
        }

    def _volume(self, name: str) -> dict[str, Any]:
        held = self.data["volumes"][name]
        return {
            "durable-id": f"V{zlib.crc32(name.encode()) % 1000}",
            "storage-pool-name": held["pool"],
            "volume-name": name,
            "size": f"{held['size'] / 10**9:.1f}GB",
            "size-numeric": held["size"] // BLOCK,
            "total-size-numeric": held["size"] // BLOCK,
            "allocated-size-numeric": 0,
            "storage-type": self._kind(held["pool"]),
            "volume-type": "base",
            "health": "OK",
            "blocksize": BLOCK,
            "blocks": held["size"] // BLOCK,
        }

    def _view(self, name: str) -> dict[str, Any]:
        known = self.data["initiators"]
        rows = [
            {
                "object-name": "host-view",
                "parent-id": name,
                "identifier": one["initiator"],
                "nickname": known.get(one["initiator"], {}).get("nickname", ""),
                "lun": str(one["lun"]),
                "access": "read-write" if one["access"] == "rw" else "read-only",
                "access-numeric": 3 if one["access"] == "rw" else 1,
                "ports": "A1,A2,B1,B2",
            }
            for one in self.data["maps"]
            if one["volume"] == name
        ]
        default = {
            "object-name": "host-view",
            "parent-id": name,
            "identifier": "all other initiators",
            "nickname": "",
            "lun": "",
            "access": "not-mapped",
            "access-numeric": 0,
            "ports": "",
        }
        return {"volume-name": name, "volume-view-mappings": [*rows, default]}

    def _initiator(self, iqn: str) -> dict[str, Any]:
        held = self.data["initiators"][iqn]
        return {
            "nickname": held["nickname"],
            "discovered": "Yes" if held["discovered"] else "No",
            "mapped": "Yes" if any(m["initiator"] == iqn for m in self.data["maps"]) else "No",
            "profile": "Standard",
            "host-bus-type": "iSCSI",
            "id": iqn,
            "host-id": "NOHOST",
            "host-port-bits-a": held["ports"],
            "host-port-bits-b": 0,
        }

    def _keep(self) -> None:
        if self._state is None:
            return
        draft = self._state.with_name(f"{self._state.name}.new")
        draft.write_text(json.dumps(self.data, indent=1))
        draft.replace(self._state)


class DotHill:
    """The array on the network: ``with`` runs it on the simulators' thread."""

    def __init__(
        self,
        options: DotHillOptions | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = True,
        faults: Faults | None = None,
        state: Path | None = None,
    ) -> None:
        self.device = DotHillDevice(options, state=state)
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
