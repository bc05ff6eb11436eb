"""One simulated IOS switch with many VLANs, or many ports of 500 VLANs each: plan, converge, no-op.

The engine is ours and in this process; the switch is in a process of its own. What was sent is counted at
the switch: configuration lines and saves.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.farm import Farm
from bench.measure import Progress
from rackwright.engine.converge import Job, converge
from rackwright.engine.ledger import LedgerFile
from rackwright.model.bundle import Bundle, Declared, Gates, Origin
from rackwright.model.report import Report
from rackwright.model.resource import digest
from rackwright.model.site import Node, Way
from rackwright.provider import Registry, Session, Surroundings

VLANS = (256, 1024, 4094)
PORTS = (12, 24, 48)
ALLOWED = 500
"""VLANs of each port, no two ports the same and no two ids in a row: nothing is written as a range."""
ROUNDS = 3
RESERVED = frozenset({1, *range(1002, 1006)})
LOGIN = ("host", "port", "host_key", "username", "password")


def run(
    progress: Progress,
    *,
    quick: bool = False,
    vlans: tuple[int, ...] = VLANS,
    ports: tuple[int, ...] = PORTS,
) -> dict[str, Any]:
    """All sizes. ``quick``: each once."""
    rows: list[dict[str, Any]] = []
    for what, sizes in (("VLANs", vlans), (f"ports of {ALLOWED} VLANs", ports)):
        last: dict[str, Any] | None = None
        for size in sizes:
            wanted = _vlans(size) if what == "VLANs" else _ports(size)
            taken = [_once(wanted) for _ in range(1 if quick else ROUNDS)]
            row: dict[str, Any] = {"what": what, "size": size}
            row |= {name: statistics.median(one[name] for one in taken) for name in taken[0]}
            if last:
                grown = row["converge"] / last["converge"]
                row["growth"] = round(grown / (size / last["size"]), 2)
            rows.append(row)
            last = row
            progress(
                f"{size:4} {what}: plan {row['plan']:.3f} s, converge {row['converge']:.2f} s, "
                f"no-op {row['no_op']:.3f} s, {row['lines']} lines, {row['saves']} save"
            )
    return {
        "name": "large",
        "what": "Resources of one simulated IOS switch over SSH; seconds. `plan` is a whole dry run, read included",
        "rows": rows,
    }


def _vlans(upto: int) -> tuple[Declared, ...]:
    """All that can be made, of the ids up to ``upto``."""
    return tuple(
        _declared("vlan", {"name": str(vlan)}, vlan)
        for vlan in range(2, upto + 1)
        if vlan not in RESERVED
    )


def _ports(count: int) -> tuple[Declared, ...]:
    return tuple(
        _declared(
            "port",
            {
                "name": f"GigabitEthernet1/0/{number}",
                "mode": "trunk",
                "allowed_vlans": list(range(number, number + 2 * ALLOWED, 2)),
            },
            number,
        )
        for number in range(1, count + 1)
    )


def _declared(noun: str, data: dict[str, Any], line: int) -> Declared:
    return Declared(
        type=noun, data=data, digest=digest(noun, data), origin=Origin(file="bench.yaml", line=line)
    )


def _once(wanted: tuple[Declared, ...]) -> dict[str, Any]:
    """Dry run, converge and no-op on a new switch, over one session each kind."""
    provider = Registry.installed().provider("cisco_ios")
    with Farm(1, 0.0, ports=48) as farm, tempfile.TemporaryDirectory() as folder:
        (switch,) = farm.switches
        way = Way(transport="ssh", options={key: switch[key] for key in LOGIN})
        node = Node(name="bench", type="switch", platform="cisco_ios")
        bundle = Bundle(node=node, revision="1", resources=wanted)
        ledger = LedgerFile(Path(folder) / "ledger.json")

        def timed(session: Session, state: str, *, why_run: bool = False) -> float:
            job = Job(bundle=bundle, gates=Gates(), secrets={}, why_run=why_run)
            began = time.perf_counter()
            report = converge(job, provider, session, ledger)
            took = time.perf_counter() - began
            _check(report, state, len(wanted))
            return round(took, 4)

        with closing(provider.open(way, Surroundings(Path(folder)))) as reader:
            plan = timed(reader, "changed", why_run=True)
        with closing(provider.open(way, Surroundings(Path(folder), writable=True))) as session:
            taken = {"plan": plan, "converge": timed(session, "changed")}
            done = farm.counters()
            taken["no_op"] = timed(session, "in_sync")
            if farm.counters()["writes"] != done["writes"]:
                raise RuntimeError("a no-op wrote")
        commands = done["commands"]
        return {**taken, "lines": done["config_lines"], "saves": commands.get("save", 0)}


def _check(report: Report, state: str, count: int) -> None:
    found = [outcome for outcome in report.outcomes if outcome.state == state]
    if report.error or len(found) != count:
        wrong = next((outcome for outcome in report.outcomes if outcome.state != state), None)
        raise RuntimeError(f"{len(found)} of {count} are {state}: {report.error or wrong}")
