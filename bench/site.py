"""A site of racks on one core: lint, sequence, and commits that touch few nodes, through git and the store.

Each size is measured in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bench import racks
from bench.measure import Progress
from rackwright.model.facts import Facts, FoundLink
from rackwright.model.report import Outcome, Report
from rackwright.provider import Registry
from rackwright_proposals.compile import Compiled, compile_site
from rackwright_proposals.sequence import Graph, graph_of, implied_of
from rackwright_proposals.tree import Source
from rackwright_store.compiling import SiteCompiler
from rackwright_store.database import Database
from rackwright_store.following import Following
from rackwright_store.git import Follower
from rackwright_store.service import Service
from rackwright_store.views import Views

SIZES = (10, 100, 1000)
ROUNDS = 5
PROMISED = 0.5
"""CPU seconds that a commit may cost which concerns few nodes, until these are woken."""

T = TypeVar("T")


def run(
    progress: Progress, *, quick: bool = False, sizes: tuple[int, ...] = SIZES
) -> dict[str, Any]:
    """All sizes. ``quick``: each once."""
    rows: list[dict[str, Any]] = []
    for count in sizes:
        argv = [sys.executable, "-m", "bench.site", str(count), str(1 if quick else ROUNDS)]
        done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
        row: dict[str, Any] = json.loads(done.stdout)
        if rows:
            for what in ("lint", "sequence"):
                row[f"{what}_growth"] = round(row[what] / rows[-1][what], 2)
        rows.append(row)
        progress(
            f"{count:4} nodes, {row['links']} links, {row['resources']} resources: "
            f"lint {row['lint']:.2f} s, sequence {row['sequence']:.3f} s, {row['peak']:.0f} MiB"
        )
        for edit in row["edits"]:
            progress(f"     {edit['what']}: {edit['wall']:.3f} s, {edit['cpu']:.3f} s of CPU")
        if not quick:
            hold(row)
    return {
        "name": "site",
        "what": "Racks of 10 nodes, 100 links and 1,000 resources each, on one core; CPU seconds, of "
        "commits wall clock and in brackets CPU",
        "rows": rows,
    }


def hold(row: Mapping[str, Any]) -> None:
    """Raises RuntimeError when a commit of ``row`` cost more than is promised."""
    slow = [edit["what"] for edit in row["edits"] if edit["few"] and edit["cpu"] > PROMISED]
    if slow:
        what = ", ".join(slow)
        raise RuntimeError(f"{row['nodes']} nodes: more than {PROMISED:g} s of CPU: {what}")


def measure(nodes: int, rounds: int) -> dict[str, Any]:
    """One size, on one core."""
    with contextlib.suppress(AttributeError, OSError):  # where a process cannot be bound
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    source = racks.source(nodes)
    row = _compiled(source, rounds)
    with tempfile.TemporaryDirectory(prefix="rw-bench-") as folder:
        return {**row, **asyncio.run(_stored(Path(folder), source.files, rounds))}


def _compiled(source: Source, rounds: int) -> dict[str, Any]:
    """The compiler alone."""
    registry = Registry.installed()
    nouns, platforms = registry.nouns(), registry.platforms
    lint, whole = _timed(lambda: _sound(compile_site(source, nouns, None, platforms)), 1)
    sequence, graph = _timed(lambda: _ordered(whole), rounds)
    edit = racks.edits(source)["own"]
    after = Source(edit.files, "after")
    again, made = _timed(lambda: compile_site(after, nouns, None, platforms, whole), rounds)
    told = {name for name, new in made.bundles.items() if new.etag != whole.bundles[name].etag}
    if told != edit.concerned:
        raise RuntimeError(f"a commit to one server changed the bundles of {sorted(told)}")
    return {
        "nodes": len(whole.nodes),
        "links": len(whole.links),
        "resources": sum(len(bundle.resources) for bundle in whole.bundles.values()),
        "waves": len(graph.waves),
        "lint": round(lint, 4),
        "sequence": round(sequence, 4),
        "recompile": round(again, 4),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _timed(work: Callable[[], T], rounds: int) -> tuple[float, T]:
    taken = []
    for _ in range(rounds):
        gc.collect()
        began = time.process_time()
        made = work()
        taken.append(time.process_time() - began)
    return statistics.median(taken), made


def _sound(compiled: Compiled) -> Compiled:
    if compiled.problems:
        raise RuntimeError(f"the bench's site is wrong: {compiled.problems[:3]}")
    return compiled


def _ordered(compiled: Compiled) -> Graph:
    graph = graph_of(compiled.bundles, implied_of(compiled))
    if len(graph.longest) != len(graph.waves):
        raise RuntimeError("the longest chain and the waves differ")
    return graph


async def _stored(folder: Path, files: Mapping[str, bytes], rounds: int) -> dict[str, Any]:
    """A store on a repository of ``files``, with what every switch has seen by LLDP."""
    repository = folder / "site"
    repository.mkdir()
    _git(repository, "init", "--quiet", "--initial-branch=main")
    _write(repository, files)
    compiler = SiteCompiler()
    following = Following(Follower(str(repository), folder / "mirror"), compiler.belongs)
    service = Service(Database(folder / "store.db"), following, compiler, "")
    revisions, live = service.revisions, service.live
    try:
        await following.check(revisions)
        for node, facts in _seen(service).items():
            revisions.facts[node] = facts
        await revisions.put_facts("r0-sw0", revisions.facts["r0-sw0"])
        if {link.state for link in live.links if link.port.startswith("Gig")} != {"proven"}:
            raise RuntimeError("not every link of a server is proven")
        edits = [
            await _edited(edit, files, service, repository, rounds if edit.few else 1)
            for edit in racks.edits(Source(files)).values()
        ]
        edits.append(await _discovered(service, rounds))
        views = Views(service)
        began = time.perf_counter()
        await views.sequence()
        shown = time.perf_counter() - began
        began = time.perf_counter()
        views.status()
        status = time.perf_counter() - began
        began = time.process_time()
        await service.post_report(*_report(service, "r0-sw0"))
        reported = time.process_time() - began
    finally:
        await service.stop()
    return {
        "edits": edits,
        "store_sequence": round(shown, 4),
        "store_status": round(status, 4),
        "report": round(reported, 4),
    }


async def _edited(
    edit: racks.Edit, files: Mapping[str, bytes], service: Service, repository: Path, rounds: int
) -> dict[str, Any]:
    """The commit and the one that takes it back: of the two medians the larger one."""
    live, clocks = service.live, {"there": _Clock(), "back": _Clock()}
    for way, content in [*{"there": edit.files, "back": files}.items()] * rounds:
        _write(repository, content)
        waiters = {
            node: live.waiters.watch([node]) for node in live.bundles.keys() | edit.concerned
        }
        with clocks[way]:
            await service.following.check(service.revisions)
        woken = {node for node, waiter in waiters.items() if waiter.changed}
        for waiter in waiters.values():
            waiter.close()
        if woken != edit.concerned:
            raise RuntimeError(f"{edit.what}: the commit woke {sorted(woken)}")
    return _row(edit.what, len(edit.concerned), clocks.values(), few=edit.few)


async def _discovered(service: Service, rounds: int) -> dict[str, Any]:
    """The facts of a switch that sees a neighbour less, and then sees it again."""
    node, revisions = "r0-sw1", service.revisions
    facts = revisions.facts[node]
    less = Facts(values=facts.values, links=facts.links[:-1])
    clocks = {"there": _Clock(), "back": _Clock()}
    for way, seen in [*{"there": less, "back": facts}.items()] * rounds:
        revisions.found_at[node] = time.time()
        with clocks[way]:
            await revisions.put_facts(node, seen)
    return _row("what a switch sees (no commit)", 0, clocks.values(), few=True)


class _Clock:
    """Wall clock and CPU seconds of whatever is done under it."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.used: list[float] = []

    def __enter__(self) -> None:
        self._began, self._before = time.perf_counter(), _cpu()

    def __exit__(self, *failed: object) -> None:
        self.taken.append(time.perf_counter() - self._began)
        self.used.append(_cpu() - self._before)


def _row(what: str, nodes: int, clocks: Iterable[_Clock], *, few: bool) -> dict[str, Any]:
    wall, cpu = (
        max(statistics.median(times) for times in several)
        for several in zip(*((clock.taken, clock.used) for clock in clocks), strict=True)
    )
    return {"what": what, "nodes": nodes, "few": few, "wall": round(wall, 4), "cpu": round(cpu, 4)}


def _cpu() -> float:
    """CPU seconds of this process and of the gits that it has started."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _report(service: Service, node: str) -> tuple[bytes, Report]:
    bundle = service.live.bundle(node)
    assert bundle is not None
    now = time.time()
    made = Report(
        id="bench",
        node=node,
        revision=bundle.revision,
        started=now,
        finished=now,
        outcomes=tuple(
            Outcome(address=str(item.address), state="in_sync", digest=item.digest)
            for item in bundle.resources
        ),
    )
    return msgspec.json.encode(made), made


def _seen(service: Service) -> dict[str, Facts]:
    nodes = {name: service.live.bundle(name) for name in service.live.bundles}
    return {
        name: Facts(
            links=tuple(
                FoundLink(port=link.port, peer=link.peer, peer_port=link.peer_port)
                for link in bundle.node.links
            )
        )
        for name, bundle in nodes.items()
        if bundle and bundle.node.type == "switch"
    }


def _write(repository: Path, files: Mapping[str, bytes]) -> None:
    for place in repository.glob("nodes/*.yaml"):
        if f"nodes/{place.name}" not in files:
            place.unlink()
    for path, content in files.items():
        place = repository / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists() or place.read_bytes() != content:
            place.write_bytes(content)
    _git(repository, "add", "--all")
    _git(repository, "commit", "--quiet", "--message", "bench")


def _git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True)


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
