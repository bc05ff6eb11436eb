"""Simulated IOS switches, 10 VLANs each: first converge, no-op on kept and on new sessions.

Ours (all delegates in one process) beside raw netmiko in threads and nornir with netmiko. Each client
is a process of its own, and so are the switches; CPU and memory are the client's alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from bench.farm import Farm
from bench.measure import Progress, medians

WHO = ("rackwright", "netmiko", "nornir")
PHASES = ("meet", "first", "kept", "new")
VLANS = 10
SIZES = (1, 10, 50, 200)
LATENCIES = (0.0, 0.02)
ROUNDS = 3
"""For each size: less noise where a run is short, and where it is long it averages by itself."""


def run(
    progress: Progress,
    *,
    quick: bool = False,
    sizes: tuple[int, ...] = SIZES,
    latencies: tuple[float, ...] = LATENCIES,
    who: tuple[str, ...] = WHO,
) -> dict[str, Any]:
    """All sizes and latencies. ``quick``: one round of each."""
    rows = []
    for latency in latencies:
        for count in sizes:
            taken: dict[str, list[dict[str, float]]] = {name: [] for name in who}
            for number in range(1 if quick else ROUNDS):
                # In turn, and each first once: who comes first finds another machine than who comes last.
                order = [*who[number % len(who) :], *who[: number % len(who)]]
                for name, figures in one_round(count, latency, order).items():
                    taken[name].append(figures)
            row = {
                "switches": count,
                "latency_ms": round(latency * 1000),
                **{name: medians(figures) for name, figures in taken.items()},
            }
            rows.append(row)
            progress(_said(row))
    return {
        "name": "switches",
        "what": f"{VLANS} VLANs on each of N simulated IOS switches",
        "rows": rows,
    }


def one_round(count: int, latency: float, order: list[str]) -> dict[str, dict[str, float]]:
    """Each of ``order`` on the same switches with VLANs of its own."""
    found = {}
    with Farm(count, latency) as farm:
        for name in order:
            first = 100 + 100 * WHO.index(name)
            found[name] = one(farm, name, list(range(first, first + VLANS)))
    return found


def one(farm: Farm, who: str, vlans: list[int]) -> dict[str, float]:
    """All phases of one client, each checked at the switches. Figures by ``phase_what``."""
    client = subprocess.Popen(
        [sys.executable, "-m", "bench.switch_clients", who],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdin is not None
    assert client.stdout is not None
    found: dict[str, float] = {}
    print(json.dumps({"switches": farm.switches, "vlans": vlans}), file=client.stdin, flush=True)
    try:
        for phase in (*PHASES, "end"):
            before = farm.writes()
            print("go", file=client.stdin, flush=True)
            said = json.loads(client.stdout.readline() or "null")
            if said is None:
                raise RuntimeError(f"{who} failed in phase {phase}")
            if phase == "end":
                found["peak"] = said["peak"]
                continue
            found |= {f"{phase}_{what}": said[what] for what in ("wall", "cpu")}
            if phase != "meet":
                farm.check(vlans)
            if (farm.writes() == before) != (phase != "first"):
                raise RuntimeError(f"{who} wrote in a no-op, or did not where it had to: {phase}")
    finally:
        client.stdin.close()
        client.stdout.close()
        client.wait()
    return found


def _said(row: dict[str, Any]) -> str:
    head = f"{row['switches']:4} switches, {row['latency_ms']:2} ms"
    return "\n".join(
        f"{head}  {name:10} "
        + "  ".join(
            f"{phase} {row[name][f'{phase}_wall']:6.3f} s ({row[name][f'{phase}_cpu']:6.3f} CPU)"
            for phase in PHASES
        )
        + f"  {row[name]['peak']:4.0f} MiB"
        for name in WHO
        if name in row
    )
