"""A store on loopback, agents and admin hosts in threads, and what may go wrong between them."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import requests

from rackwright.client import StoreClient
from rackwright.engine.spool import Spool
from rackwright.store_http import StoreHttp
from rackwright_store import app
from rackwright_store.service import Service
from tests.store.rack import FakeCompiled, FakeCompiler, Repository, Store, start
from tests.system.stores import free_port

from .nodes import Agent, Host, Node, Rack

HOSTS = ("admin1", "admin2")
SERVERS = ("web1", "web2")
MANAGED = ("sw1", "sw2", "sw3")
NODES = (*HOSTS, *SERVERS, *MANAGED)
UPLINKS = ("sw1", "sw2")
"""Of web1: one is changed after the other."""
BOTH = [{"network": "oob", "hosts": list(HOSTS)}]


class Compiler(FakeCompiler):
    """The platform of each node is its name."""

    def compile(self, *args: Any, **more: Any) -> FakeCompiled:
        found = super().compile(*args, **more)
        bundles = {
            name: msgspec.structs.replace(
                bundle, node=msgspec.structs.replace(bundle.node, platform=name)
            )
            for name, bundle in found.bundles.items()
        }
        return FakeCompiled(found.files, found.commit, found.problems, bundles)


class Wire(StoreHttp):
    """HTTP with the store over a network that may fail."""

    def __init__(self, url: str, seed: int) -> None:
        super().__init__(url, None)
        self.cut = False
        """Nothing gets through."""
        self.bad = 0.0
        """How likely it is that a request, or its answer, is lost, or that the store fails at it."""
        self.deaf = ""
        """The end of the paths at which the store fails."""
        self.polls = 0
        self._chance, self._lock = random.Random(seed), threading.Lock()

    def _once(self, method: str, path: str, *args: Any, **more: Any) -> requests.Response:
        with self._lock:
            chance = self._chance.random()
            self.polls += path == "/v1/wait"
        if self.cut or chance < self.bad / 3:
            raise requests.ConnectTimeout("no way there")
        if chance < 2 * self.bad / 3 or (self.deaf and path.endswith(self.deaf)):
            answer = requests.Response()
            answer.status_code, answer._content = 503, b""
            return answer
        answer = super()._once(method, path, *args, **more)
        if self.cut or chance < self.bad:
            raise requests.ReadTimeout("the answer is lost")
        return answer


class World:
    """All of it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.chance = folder, random.Random(seed)
        self.repo = Repository(folder / "site")
        self.listen = f"127.0.0.1:{free_port()}"
        self.services: list[tuple[asyncio.AbstractEventLoop, Service]] = []
        self.version = 0
        self.site: dict[str, Any] = {}
        self.out: set[str] = set()
        """Servers that are not in the site."""
        self.commit()
        self.store: Store | None = None
        self.start_store()
        self.nodes = {name: Node() for name in NODES}
        self.rack = Rack(self.nodes)
        assert self.store
        token = self.store.admin.create_token([*HOSTS, *SERVERS])["token"]
        self.wires: dict[str, Wire] = {}
        self.agents: dict[str, Agent] = {}
        self.hosts: dict[str, Host] = {}
        for name in (*HOSTS, *SERVERS):
            self.wires[name] = Wire(f"http://{self.listen}", seed)
            self.begin_agent(name, token)
        for name in HOSTS:
            self.begin_host(name)

    def client(self, name: str) -> StoreClient:
        made = StoreClient(f"http://{self.listen}")
        made._http = self.wires[name]
        return made

    def begin_agent(self, name: str, token: str = "") -> None:
        agent = Agent(name, self.client(name), self.rack, self.folder / name, token)
        self.agents[name] = agent

    def begin_host(self, name: str) -> None:
        state = self.folder / name
        self.hosts[name] = Host(name, self.client(name), self.rack, state)
        self.nodes[name].folder = state / name / "delegates"

    def start_store(self) -> None:
        build = app.build

        def built(service: Service) -> Any:
            self.services.append((asyncio.get_running_loop(), service))
            return build(service)

        app.build = built
        try:
            self.store = start(
                self.repo.path, self.folder / "data", listen=self.listen, compiler=Compiler()
            )
        finally:
            app.build = build

    def stop_store(self) -> None:
        if self.store is not None:
            self.store.end()
            self.store = None

    def end(self) -> None:
        for node in self.nodes.values():
            node.works.set()
        for one in (*self.agents.values(), *self.hosts.values()):
            one.end()
        for host in self.hosts.values():
            host.join()
        self.stop_store()  # and with it all long polls
        for agent in self.agents.values():
            agent.join()

    # What people do.

    def commit(self) -> None:
        """Another site: a server's thing needs one of a switch, and one reads a fact of another."""
        self.version += 1
        size = {"data": {"size": self.chance.randint(1, 3)}}
        nodes: dict[str, Any] = {
            name: {f"thing/{key}": {} for key in ("a", "b") if self.chance.random() < 0.8}
            for name in NODES
        }
        for number, name in enumerate(MANAGED):
            nodes[name]["thing/port"] = size
            nodes[name]["thing/of"] = (
                {"needs": [f"{MANAGED[number - 1]}:thing/port"]} if number else {}
            )
        for name in SERVERS:
            switches = [one for one in MANAGED if self.chance.random() < 0.6]
            nodes[name]["thing/up"] = {"needs": [f"{one}:thing/port" for one in switches]}
        for name in UPLINKS:
            nodes[name]["port/1"] = {"data": {"vlan": self.chance.randint(1, 3)}}
        for name in SERVERS:
            nodes[name]["thing/wave"] = {"proposal": "wave", "data": {"size": self.version}}
        for name in self.out:
            del nodes[name]
        if "web2" not in self.out:
            nodes["sw1"]["thing/fact"] = {"fact": "web2.serial"}
        self.site = nodes
        self.repo.site(
            nodes,
            hosts=list(HOSTS),
            lease=2,
            reach=dict.fromkeys(MANAGED, BOTH),
            types=dict.fromkeys(MANAGED, "switch"),
            links={
                **{name: [link("1", "web1", f"eth{name}")] for name in UPLINKS},
                "web1": [link(f"eth{name}", name, "1") for name in UPLINKS],
            },
            rollouts={"wave": {"nodes": list(SERVERS), "canary": 1, "at_once": 1}},
        )
        if self.version > 1 and self.store is not None:
            self.store.admin.poke()

    # How it stands.

    def unsettled(self) -> dict[str, str]:
        """What has yet to come right, by node."""
        assert self.store
        found: dict[str, str] = {}
        status = self.store.admin.status()
        if status["store"]["in_force"]["commit"] != self.repo.git("rev-parse", "HEAD"):
            found["store"] = "the newest commit is not in force"
        for line in status["nodes"]:
            if line["pending"] or line["state"] not in ("converged", "changed"):
                what = {key: line[key] for key in ("state", "pending", "error", "waits_for")}
                found[line["node"]] = f"{what}"
        for name, wanted in self.site.items():
            has = {str(address) for address in self.nodes[name].device.state} - {"port/1"}
            if has != wanted.keys() - {"port/1"}:
                found.setdefault(name, f"has {sorted(has)}, not {sorted(wanted)}")
        for name in (*HOSTS, *SERVERS):
            if name not in self.out and Spool(self.folder / name / name / "reports").waiting():
                found.setdefault(name, "reports wait")
        for host in self.store.admin.hosts()["hosts"]:
            for node in host["nodes"]:
                if node["state"] != "held":
                    found.setdefault(node["node"], f"{host['host']}: {node}")
        return found

    def stale(self) -> set[str]:
        """Nodes whose gates at the store are not what they would be if they were looked at now."""
        loop, service = self.services[-1]

        async def look() -> set[str]:
            live = service.live
            return live._new_gates(live._wants.keys())

        return asyncio.run_coroutine_threadsafe(look(), loop).result(10)


def quick(patch: Any) -> None:
    """Less time than people have."""
    for where, what in {
        "rackwright.loop": {"BACK_OFF": 0.1, "LOOK": 0.05, "PROBE": 0.2, "TELL": 0.05, "TELL_RARELY": 0.5},
        "rackwright.waker": {"STORE_BACK_OFF": 0.3, "LEASED_POLL": 0.5, "AGAIN": 1.0, "RARELY": 2.0, "REFUSED": 0.5},
        "rackwright.keeper": {"RETRY": 0.1},
        "rackwright_store.hosts": {"HANDOVER": 3.0},
        "rackwright_store.unasked": {"TAKEOVER": 1.5},
        "rackwright_store.placement": {"RETRY_EARLIEST": 0.3, "RETRY_LATEST": 1.0},
        "rackwright_store.following": {"LOCAL_POLL": 0.25},
    }.items():  # fmt: skip
        for name, value in what.items():
            patch.setattr(f"{where}.{name}", value)


def link(port: str, peer: str, peer_port: str) -> dict[str, str]:
    return {"port": port, "peer": peer, "peer_port": peer_port}


def describe(found: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {what}" for name, what in found.items())
