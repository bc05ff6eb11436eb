"""``rackwright plan`` of a site of racks on one core, where no node is read: all are told from what a store knows.

What reading adds is a dry run of each managed node, side by side.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from bench import racks
from bench.measure import Progress
from rackwright.cli.site_gates import SiteGates
from rackwright.cli.site_lines import SitePlan, site_plan
from rackwright.cli.site_steps import NodeRead
from rackwright.engine.declared import prepare
from rackwright.engine.forecast import forecast
from rackwright.engine.known import Known
from rackwright.engine.ledger import Ledger
from rackwright.provider import Registry
from rackwright_proposals.compile import Compiled, compile_site
from rackwright_proposals.evidence import judge
from rackwright_proposals.paths import paths_of
from rackwright_proposals.sequence import implied_of
from rackwright_proposals.tree import Source

SIZES = (10, 100, 1000)
ROLLOUT = "rollout: {canary: 1, at_once: 10%}\n"


def run(
    progress: Progress, *, quick: bool = False, sizes: tuple[int, ...] = SIZES
) -> dict[str, Any]:
    """All sizes, each in a process of its own. ``quick`` makes no difference: each is measured once."""
    rows: list[dict[str, Any]] = []
    for count in sizes:
        done = subprocess.run(
            [sys.executable, "-m", "bench.plan", str(count)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        row: dict[str, Any] = json.loads(done.stdout)
        rows.append(row)
        progress(
            f"{count:4} nodes, {row['resources']} resources: of a commit to one node {row['one']:.2f} s, "
            f"to every server in {row['waves']} waves {row['every']:.2f} s, "
            f"of a site that nobody has seen {row['unseen']:.2f} s"
        )
    return {
        "name": "plan",
        "what": "The same racks. No node is read: all are told from what a store knows. CPU seconds on one "
        "core, without the compile",
        "rows": rows,
    }


def measure(nodes: int) -> dict[str, Any]:
    """One size."""
    registry = Registry.installed()
    nouns, platforms = registry.nouns(), registry.platforms
    source = racks.source(nodes)
    site = compile_site(source, nouns, None, platforms)
    if site.problems:
        raise RuntimeError(f"the bench's site is wrong: {site.problems[:3]}")
    known = _known(site, registry)
    # What is refused is what the bench's arrays do not take of it.
    _, still = _planned(site, registry, known)
    if still.summary.changes:
        raise RuntimeError("a site as it was verified has changes")
    edit = racks.edits(source)["own"]
    one = compile_site(Source(dict(edit.files), "one"), nouns, None, platforms, site)
    taken, plan = _planned(one, registry, known)
    if {line.node for wave in plan.waves for line in wave.changes if line.state != "refused"} != (
        edit.concerned
    ):
        raise RuntimeError("the plan of a commit to one server has changes elsewhere")
    every = compile_site(Source(_every(source), "every"), nouns, None, platforms)
    rolled, plan = _planned(every, registry, known)
    (rollout,) = plan.rollouts
    if rollout.then != "done" or len(plan.waves) < len(rollout.waves):
        raise RuntimeError(f"the rollout would not come to its end: {rollout.why}")
    unseen, _ = _planned(site, registry, {})
    return {
        "nodes": nodes,
        "resources": sum(len(bundle.resources) for bundle in site.bundles.values()),
        "one": round(taken, 3),
        "every": round(rolled, 3),
        "waves": len(rollout.waves),
        "unseen": round(unseen, 3),
    }


def _every(source: Source) -> dict[str, bytes]:
    """Files in which every server has another MOTD, wave by wave."""
    files = dict(source.files)
    path = "proposals/servers.yaml"
    files["site.yaml"] = files["site.yaml"].replace(b"all alike", b"new")
    servers = files[path].decode()
    files[path] = servers.replace("proposal: servers\n", f"proposal: servers\n{ROLLOUT}").encode()
    return files


def _known(site: Compiled, registry: Registry) -> dict[str, Known]:
    """Everything verified as it is declared, just now."""
    now = time.time()
    found = {}
    for node, bundle in site.bundles.items():
        secrets = _Any()
        provider = registry.provider(bundle.node.platform)
        items = prepare(bundle, provider, Ledger(), secrets).items
        entries = {
            str(item.address): msgspec.structs.replace(item.entry, made=not item.resource.fixture)
            for item in items
        }
        found[node] = Known(
            bundle=bundle,
            verified={str(item.address): item.digest for item in bundle.resources},
            ledger=Ledger(entries=entries),
            last_run=now,
            heard=now,
        )
    return found


class _Any(dict[str, str]):
    """A value for every secret."""

    def __missing__(self, name: str) -> str:
        return "secret123456"


def _planned(
    site: Compiled, registry: Registry, known: Mapping[str, Known]
) -> tuple[float, SitePlan]:
    gc.collect()
    began = time.process_time()
    nouns = registry.nouns()
    links = judge(site.bundles, {}, nouns["port"].spelling)
    gates = SiteGates(known)
    paths = paths_of(site.bundles, links, {}, nouns["port"].spelling)
    gates.install(site.bundles, site.rollouts, links, paths)
    reads = []
    for node, bundle in site.bundles.items():
        about, given = (
            known.get(node, Known()),
            msgspec.structs.replace(gates.gates(node), later={}),
        )
        outcomes = forecast(bundle, given, registry.provider(bundle.node.platform), about)
        reads.append(
            NodeRead(
                node=node,
                type=bundle.node.type,
                platform=bundle.node.platform,
                by="report" if about.seen else "nothing",
                at=about.last_run,
                outcomes=outcomes,
            )
        )
    plan = site_plan(
        site.site, reads, site.bundles, implied_of(site), {}, known, nouns, site.rollouts
    )
    return time.process_time() - began, plan


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
