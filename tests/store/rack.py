"""A store on a real git repository, with a compiler that reads ``rack.json``.

The compiler stands in for the proposals' one where a test is about the store alone::

    {"nodes": {"sw1": {"vlan/1": {"needs": ["web1:file/a"], "absent": true, "fact": "n.x",
                                  "any key": "any value"}}}}

``"reach": {"sw1": [{"hosts": ["admin1"]}]}`` makes a node a managed one, ``"hosts": ["admin1"]`` gives
nodes the role delegate-host, and ``"lease": 2`` sets the site's.

``links`` has the links of each node, ``types`` the types of those that are no servers: these are
managed.

A resource with ``fact`` (``node.name``) is deferred until that fact is there, and then holds it. A
fact whose value is "poison" does not compile. ``"proposal": "p"`` says who puts a resource there,
``"by": "web1"`` whose role; ``rollouts`` beside ``nodes`` are proposals that go out wave by wave:
``{"p": {"nodes": ["web1"], "canary": 1, "at_once": 2, "stop_on": 1}}``.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from rackwright.client import AdminClient, StoreClient, Watch
from rackwright.model.address import Address
from rackwright.model.bundle import Bundle, Declared, Deferred, Need, Origin
from rackwright.model.errors import InputError, Problem
from rackwright.model.facts import Facts
from rackwright.model.report import Outcome, Report
from rackwright.model.resource import digest
from rackwright.model.site import Link, Node, Way
from rackwright_proposals.rollouts import Rollout
from rackwright_store.server import Ready, serve


@dataclass(frozen=True)
class FakeCompiled:
    files: Mapping[str, bytes]
    commit: str
    problems: tuple[Problem, ...] = ()
    bundles: Mapping[str, Bundle] = field(default_factory=dict)


class FakeCompiler:
    def __init__(self) -> None:
        self.compiled: list[str] = []

    def belongs(self, path: str) -> bool:
        return path.endswith(".json")

    def compile(
        self,
        files: Mapping[str, bytes],
        commit: str,
        facts: Mapping[str, Facts],
        before: FakeCompiled | None = None,
    ) -> FakeCompiled:
        self.compiled.append(commit)
        try:
            site = json.loads(files["rack.json"])
        except (KeyError, ValueError) as error:
            problem = Problem(f"not a site: {error}", "write JSON", "rack.json", 3, 7)
            return FakeCompiled(files, commit, (problem,))
        if site.get("crash"):
            raise RuntimeError("the compiler has a bug")
        problems: list[Problem] = []
        bundles: dict[str, Bundle] = {}
        for node, wanted in site["nodes"].items():
            resources, deferred = [], []
            for address, spec in wanted.items():
                what = Address.parse(address)
                data: dict[str, Any] = {"name": what.name, **spec.get("data", {})}
                origin = Origin(
                    file="rack.json",
                    line=1,
                    commit=commit,
                    proposal=spec.get("proposal", ""),
                    node=spec.get("by", ""),
                )
                if spec.get("absent"):
                    data["ensure"] = "absent"
                if "fact" in spec:
                    of, _, key = spec["fact"].partition(".")
                    known = facts.get(of, Facts()).values
                    if key not in known:
                        deferred.append(
                            Deferred(address=address, fact=f"{of}:{key}", origin=origin)
                        )
                        continue
                    if known[key] == "poison":
                        problems.append(Problem(f"{of}: poison", file="rack.json", line=9))
                    data["value"] = known[key]
                resources.append(
                    Declared(
                        type=what.type,
                        data=data,
                        digest=digest(what.type, data),
                        origin=origin,
                        needs=tuple(
                            Need(address=need, digest=wanted_digest(site, need))
                            for need in spec.get("needs", ())
                        ),
                    )
                )
            ways = site.get("reach", {}).get(node, [])
            reach = tuple(
                msgspec.convert({"transport": "ssh", "options": {}, **way}, Way) for way in ways
            )
            links = tuple(msgspec.convert(site.get("links", {}).get(node, []), list[Link]))
            bundles[node] = Bundle(
                node=Node(
                    name=node,
                    type=site.get("types", {}).get(node, "server"),
                    platform="linux",
                    reach=reach
                    or (
                        (Way(transport="ssh", options={}),) if node in site.get("types", {}) else ()
                    ),
                    links=links,
                ),
                revision=commit,
                resources=tuple(resources),
                deferred=tuple(deferred),
                roles=("any", "delegate-host") if node in site.get("hosts", ()) else ("any",),
            )
        return FakeCompiled(files, commit, tuple(problems), {} if problems else bundles)

    def recompile(self, compiled: FakeCompiled, facts: Mapping[str, Facts]) -> FakeCompiled:
        return self.compile(compiled.files, compiled.commit, facts)

    def proposals(self, compiled: FakeCompiled) -> list[dict[str, Any]]:
        return [{"proposal": "one", "commit": compiled.commit}]

    def implied(self, compiled: FakeCompiled) -> dict[str, dict[str, list[str]]]:
        return {}

    def spelling(self, port: str) -> str:
        return port.lower()

    def rollouts(self, compiled: FakeCompiled) -> dict[str, Rollout]:
        found = json.loads(compiled.files["rack.json"]).get("rollouts", {})
        return {
            name: msgspec.convert({"proposal": name, "stop_on": 1, **about}, Rollout)
            for name, about in found.items()
        }

    def handoff_deadline(self, compiled: FakeCompiled) -> float:
        return float(json.loads(compiled.files["rack.json"]).get("handoff_deadline", 900))

    def lease(self, compiled: FakeCompiled) -> float:
        return float(json.loads(compiled.files["rack.json"]).get("lease", 15))

    def origin(self, compiled: FakeCompiled, node: str) -> Origin | None:
        return Origin(file="rack.json", line=7, commit=compiled.commit)

    def why(self, compiled: FakeCompiled, node: str, path: str) -> dict[str, Any]:
        if path != "there":
            raise InputError([Problem(f"{node} has no {path!r}", "look again")])
        return {"node": node, "path": path}


def wanted_digest(site: Mapping[str, Any], need: str) -> str:
    """Digest of a resource without facts, as FakeCompiler renders it."""
    address = Address.parse(need)
    spec = site["nodes"][address.node][str(address.local)]
    data = {"name": address.name, **spec.get("data", {})}
    if spec.get("absent"):
        data["ensure"] = "absent"
    return digest(address.type, data)


class Repository:
    """A real git repository with one branch."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *args: str) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *args],
            cwd=self.path,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str]) -> str:
        for name, text in files.items():
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "change")
        return self.git("rev-parse", "HEAD")

    def site(self, nodes: Mapping[str, Any], **more: Any) -> str:
        return self.commit({"rack.json": json.dumps({"nodes": nodes, **more})})


@dataclass
class Store:
    """A store that answers, and how to talk to it."""

    ready: Ready
    thread: threading.Thread
    clients: list[Any] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.ready.url

    @property
    def admin_credential(self) -> str:
        return self.ready.admin_credential.read_text().strip()

    @property
    def admin(self) -> AdminClient:
        client = AdminClient(self.url, self.admin_credential)
        self.clients.append(client)
        return client

    @property
    def client(self) -> StoreClient:
        client = StoreClient(self.url)
        self.clients.append(client)
        return client

    def agent(self, *nodes: str) -> dict[str, Agent]:
        token = self.admin.create_token(nodes)["token"]
        client = self.client
        return {node: Agent(client, node, client.enrol(token, node)) for node in nodes}

    def head(self) -> str:
        return str(self.admin.status()["store"]["head"])

    def end(self) -> None:
        for client in self.clients:
            client.close()
        self.ready.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()


@dataclass
class Agent:
    """One node's agent, as far as the store sees it."""

    client: StoreClient
    node: str
    credential: str

    def bundle(self, etag: str = "") -> tuple[Bundle, str] | None:
        return self.client.bundle(self.node, self.credential, etag)

    def must(self) -> Bundle:
        found = self.bundle()
        assert found is not None
        return found[0]

    def watch(self) -> Watch:
        found = self.bundle()
        assert found is not None
        return Watch(self.node, self.credential, found[1], self.gates()[1])

    def gates(self) -> Any:
        return self.client.gates(self.node, self.credential)

    def facts(self, **values: Any) -> str:
        return self.client.put_facts(self.node, self.credential, Facts(values=values))

    def report(self, report: Report) -> None:
        self.client.post_report(self.node, self.credential, report)

    def converged(self, identity: str, finished: float, **more: Any) -> None:
        """Report that everything declared is in sync."""
        bundle = self.must()
        outcomes = tuple(
            Outcome(address=str(item.address), state="in_sync", digest=item.digest)
            for item in bundle.resources
        )
        self.report(
            Report(
                id=identity,
                node=self.node,
                revision=bundle.revision,
                started=finished - 1,
                finished=finished,
                outcomes=outcomes,
                **more,
            )
        )

    def ledger(self, entries: Mapping[str, Any]) -> None:
        self.client.put_ledger(
            self.node, self.credential, json.dumps({"entries": entries}).encode()
        )


def start(site: Path | str, data: Path, **options: Any) -> Store:
    """Start a store in a thread; raises what it raised when it does not come up."""
    up = threading.Event()
    ready: list[Ready] = []
    failed: list[BaseException] = []

    def on_ready(made: Ready) -> None:
        ready.append(made)
        up.set()

    def run() -> None:
        try:
            serve(
                str(site),
                options.pop("listen", "127.0.0.1:0"),
                data,
                on_ready=on_ready,
                compiler=options.pop("compiler", None) or FakeCompiler(),
                **options,
            )
        except BaseException as error:  # noqa: BLE001
            failed.append(error)
        finally:
            up.set()

    thread = threading.Thread(target=run, name="store", daemon=True)
    thread.start()
    assert up.wait(60)
    if failed:
        raise failed[0]
    return Store(ready[0], thread)


@contextmanager
def running(site: Path | str, data: Path, **options: Any) -> Iterator[Store]:
    store = start(site, data, **options)
    try:
        yield store
    finally:
        store.end()


def eventually(condition: Any, seconds: float = 20) -> Any:
    """What ``condition`` gives once it is true."""
    import time

    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"did not come true in {seconds} s: {found!r}"
        time.sleep(0.02)
