"""A site to bundles: whole, and again after one fact of one node has changed."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

from bench.measure import Progress
from rackwright.model.facts import Facts
from rackwright.provider import Registry
from rackwright_proposals.compile import Compiled, compile_site, recompile
from rackwright_proposals.tree import Source

SIZES = (10, 100, 1000)
RESOURCES = 50
"""Of each node: a directory, a file that reads a fact, and files from a template."""


def source(nodes: int) -> Source:
    """A site of ``nodes`` servers."""
    site = "site: bench\n" + "".join(
        f"---\nnode: h{n}\ntype: server\nrack: r{n % 40}\n" for n in range(nodes)
    )
    role = f"""role: many
for: [server]
attributes: {{motto: {{type: string}}}}
resources:
  - directory: /srv/bench
    mode: '0755'
  - file: /srv/bench/kernel
    content: "{{{{ facts.kernel }}}}"
  - file: '/srv/bench/{{{{ number }}}}'
    each: number in range({RESOURCES - 2})
    content: "{{{{ template('file.j2') }}}}"
    mode: '0644'
---
proposal: bench
attributes: {{motto: one for all}}
deploy: {{many: [type=server]}}
"""
    template = "{{ motto }}\n{{ number }} on {{ node.name }}\n"
    files = {"site.yaml": site, "role.yaml": role, "file.j2": template}
    return Source({name: text.encode() for name, text in files.items()}, "bench")


def timed(work: Callable[[], Compiled], runs: int) -> tuple[float, Compiled]:
    """Median CPU seconds of ``work``, and what it gave."""
    taken = []
    for _ in range(runs):
        gc.collect()
        began = time.process_time()
        made = work()
        taken.append(time.process_time() - began)
        if made.problems:
            raise RuntimeError(f"the bench's site is wrong: {made.problems[:3]}")
    return statistics.median(taken), made


def run(
    progress: Progress, *, quick: bool = False, sizes: tuple[int, ...] = SIZES
) -> dict[str, Any]:
    """All sizes. ``quick``: each once."""
    registry = Registry.installed()
    nouns, platforms = registry.nouns(), registry.platforms
    rows: list[dict[str, Any]] = []
    for count in sizes:
        what = source(count)
        facts = {f"h{n}": Facts(values={"kernel": "6.1"}) for n in range(count)}
        runs = 1 if quick or count >= 1000 else 5
        whole, compiled = timed(lambda: compile_site(what, nouns, facts, platforms), runs)  # noqa: B023
        changed = {"h1": Facts(values={"kernel": "6.2"})}
        again, after = timed(lambda: recompile(compiled, changed), runs)  # noqa: B023
        moved = [node for node, new in after.bundles.items() if new is not compiled.bundles[node]]
        if moved != ["h1"]:
            raise RuntimeError(f"one fact of h1 changed the bundles of {moved}")
        row = {"nodes": count, "whole": round(whole, 4), "one_fact": round(again, 4)}
        if rows:
            row["growth"] = round(whole / rows[-1]["whole"], 2)
            row["one_fact_growth"] = round(again / rows[-1]["one_fact"], 2)
        rows.append(row)
        grown = f", {row['growth']} times the one before" if "growth" in row else ""
        progress(f"{count:4} nodes: {whole:.3f} s{grown}; after one fact {again:.4f} s")
    return {
        "name": "compile",
        "what": f"{RESOURCES} resources on each node; CPU seconds",
        "rows": rows,
    }
