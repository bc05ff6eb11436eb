"""The tables of docs/performance.md, made from bench/results/*.json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

BEGIN = "<!-- made by python -m bench: do not edit -->"
END = "<!-- end -->"
CLIENTS = ("rackwright", "netmiko", "nornir")


def renew(page: Path, results: Path) -> None:
    """Put the tables of all ``results`` between the markers of ``page``."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(results.glob("*.json"))}
    head, begin, rest = page.read_text().partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has lost its markers")
    page.write_text(f"{head}{BEGIN}\n\n{tables(found)}\n{END}{tail}")


def tables(results: dict[str, dict[str, Any]]) -> str:
    """Markdown of all benches there are results of."""
    makers = {
        "switches": switches,
        "local": local,
        "store": store,
        "compile": compiling,
        "site": whole_site,
        "plan": planning,
        "large": large,
        "failover": failover,
    }
    return "\n".join(make(results[name]) for name, make in makers.items() if name in results)


def switches(result: dict[str, Any]) -> str:
    """One row a size, and the ratios that count."""
    lines = []
    for row in result["rows"]:
        ours, netmiko, nornir = (row[name] for name in CLIENTS)
        for name in CLIENTS:
            one = row[name]
            lines.append(
                [
                    str(row["switches"]) if name == "rackwright" else "",
                    f"{row['latency_ms']} ms" if name == "rackwright" else "",
                    name if name != "nornir" else "nornir+netmiko",
                    *(
                        f"{one[f'{phase}_wall']:.3f} ({one[f'{phase}_cpu']:.3f})"
                        for phase in ("first", "kept", "new")
                    ),
                    f"{one['peak']:.0f}",
                ]
            )
        lines.append(
            [
                "", "", "*ours ÷ theirs*",
                f"*{ours['first_wall'] / netmiko['first_wall']:.2f} × netmiko*",
                f"*{ours['kept_wall'] / nornir['new_wall']:.2f} × nornir, new session;"
                f" {ours['kept_wall'] / nornir['kept_wall']:.2f} kept*",
                f"*{ours['new_wall'] / nornir['new_wall']:.2f} × nornir*",
                "",
            ]
        )  # fmt: skip
    met = "; ".join(
        f"{row['switches']} at {row['latency_ms']} ms: {row['rackwright']['meet_wall']:.2f} s"
        for row in result["rows"]
    )
    return (
        _title("Switches", result)
        + "Seconds of wall clock, in brackets of the client's CPU; peak memory of the client in MiB.\n\n"
        + _table(
            [
                "N",
                "latency",
                "",
                "first converge",
                "no-op, kept session",
                "no-op, new session",
                "peak",
            ],
            lines,
        )
        + f"\nWhat ours spends before, on the facts of devices that it has never met: {met}.\n"
    )


def local(result: dict[str, Any]) -> str:
    """Second runs, start-up included."""
    ours = result["second"]["rackwright"]
    lines = [
        [
            name,
            *(f"{one[what]:.3f}" for what in ("wall", "cpu")),
            f"{ours['wall'] / one['wall']:.2f} ({ours['cpu'] / one['cpu']:.2f})",
        ]
        for name, one in result["second"].items()
    ]
    lines += [
        [
            f"`rackwright --{name}`" if name == "help" else name,
            f"{one['wall']:.3f}",
            f"{one['cpu']:.3f}",
            "",
        ]
        for name, one in result["start"].items()
    ]
    missing = f"\nNot installed: {', '.join(result['missing'])}.\n" if result["missing"] else ""
    return (
        _title("Local: the second run, start-up included", result)
        + _table(["", "wall s", "CPU s", "ours ÷ theirs, wall (CPU)"], lines)
        + missing
    )


def store(result: dict[str, Any]) -> str:
    """Requests, wake-ups, hand-off."""
    served, handed = result["unchanged"], result["handed_off"]
    lines = [
        [
            "unchanged bundle (304)",
            f"{served['per_second']} a second",
            f"{served['per_cpu_second']} a CPU second of the store",
        ],
        *(
            [
                f"commit to new bundle, {row['agents']} waiting, {'git hook' if row['hook'] else 'polled'}",
                f"{row['median'] * 1000:.0f} ms",
                f"slowest of them {row['slowest'] * 1000:.0f} ms",
            ]
            for row in result["woken"]
        ),
        [
            "verified report of a switch to the waiting server's run",
            f"{handed['median'] * 1000:.0f} ms",
            f"slowest {handed['slowest'] * 1000:.0f} ms",
        ],
    ]
    return _title("Store", result) + _table(["", "median", ""], lines)


def compiling(result: dict[str, Any]) -> str:
    """Sizes and growth."""
    lines = [
        [
            str(row["nodes"]),
            f"{row['whole']:.3f}",
            f"{row['growth']:.1f} ×" if "growth" in row else "",
            f"{row['one_fact']:.4f}",
            f"{row['one_fact_growth']:.1f} ×" if "one_fact_growth" in row else "",
        ]
        for row in result["rows"]
    ]
    head = ["nodes", "whole site", "growth", "after one fact", "growth"]
    return _title("Compile", result) + _table(head, lines)


def whole_site(result: dict[str, Any]) -> str:
    """Sizes and growth of a whole site."""

    def grown(row: dict[str, Any], what: str) -> str:
        known = f"{what}_growth"
        return f"{row[what]:.3f} ({row[known]:.1f} ×)" if known in row else f"{row[what]:.3f}"

    lines = [
        [
            *(str(row[what]) for what in ("nodes", "links", "resources")),
            *(grown(row, what) for what in ("lint", "sequence")),
            f"{row['store_sequence']:.3f}",
            f"{row['peak']:.0f}",
        ]
        for row in result["rows"]
    ]
    head = [
        "nodes", "links", "resources", "lint", "sequence", "`rackwright sequence` of the store",
        "peak MiB",
    ]  # fmt: skip
    largest = result["rows"][-1]["edits"]
    commits = [
        [
            edit["what"],
            str(edit["nodes"] or ""),
            *(
                f"{one['wall']:.3f} ({one['cpu']:.3f})"
                for one in (row["edits"][number] for row in result["rows"])
            ),
        ]
        for number, edit in enumerate(largest)
    ]
    sizes = [f"{row['nodes']} nodes" for row in result["rows"]]
    return (
        _title("A whole site", result)
        + _table(head, lines)
        + "\nCommits to it, each there and back, until whom it concerns is woken:\n\n"
        + _table(["what comes or goes", "concerns", *sizes], commits)
    )


def planning(result: dict[str, Any]) -> str:
    """Sizes of a planned site."""
    lines = [
        [
            *(str(row[what]) for what in ("nodes", "resources")),
            f"{row['one']:.2f}",
            f"{row['every']:.2f} ({row['waves']} waves)",
            f"{row['unseen']:.2f}",
        ]
        for row in result["rows"]
    ]
    head = [
        "nodes",
        "resources",
        "a commit to one node",
        "to every server, by a rollout",
        "nobody seen yet",
    ]
    return _title("`rackwright plan` of a whole site", result) + _table(head, lines)


def large(result: dict[str, Any]) -> str:
    """Sizes and growth of one large switch."""
    lines = [
        [
            row["what"],
            str(row["size"]),
            f"{row['plan']:.3f}",
            f"{row['converge']:.2f}",
            f"{row['no_op']:.3f}",
            f"{row['lines']} / {row['saves']}",
            f"{row['growth']:.2f}" if "growth" in row else "",
        ]
        for row in result["rows"]
    ]
    head = ["", "size", "plan", "converge", "no-op", "lines / saves", "growth ÷ growth of size"]
    return _title("A large switch", result) + _table(head, lines)


def failover(result: dict[str, Any]) -> str:
    """How long a switch stands alone when its admin host is lost."""
    if "skipped" in result:
        return _title("Failover", result) + f"Not measured: {result['skipped']}.\n"
    lines = [[row["loss"], f"{row['median']:.1f}", f"{row['worst']:.1f}"] for row in result["rows"]]
    note = (
        f"With a lease of {result['lease']:g} s: seconds from the loss until the other host has mended "
        f"what drifted at that moment. Allowed: {result['allowed']:g} s.\n\n"
    )
    head = ["the admin host is", "median", "worst"]
    return _title("Failover", result) + note + _table(head, lines)


def _title(text: str, result: dict[str, Any]) -> str:
    machine = dict(result.get("machine", {}))
    cpus, python = machine.pop("cpus", "?"), machine.pop("python", "?")
    others = ", ".join(f"{name} {version}" for name, version in machine.items())
    return f"### {text}\n\n{result['what']}. {cpus} CPUs, Python {python}, {others}.\n\n"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
