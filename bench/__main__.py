"""``python -m bench [NAME…] [--quick]``: measure, keep the figures, renew the table in docs/performance.md."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path

from bench.measure import machine
from bench.table import renew

BENCHES = ("local", "switches", "store", "compile", "site", "plan", "large", "failover")
RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parent.parent / "docs" / "performance.md"


def main(arguments: list[str] | None = None) -> None:
    """Run the benches named, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--quick", action="store_true", help="few rounds; nothing is kept")
    given = parser.parse_args(arguments)
    unknown = set(given.names) - set(BENCHES)
    if unknown:
        parser.error(
            f"there is no bench {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}"
        )
    facts = machine()
    for name in given.names or BENCHES:
        began = time.monotonic()
        tell(f"{name} …")
        bench = importlib.import_module(f"bench.{name}")
        result = bench.run(_indented, quick=given.quick)
        tell(f"{name}: {time.monotonic() - began:.0f} s")
        if not given.quick:
            RESULTS.mkdir(exist_ok=True)
            kept = json.dumps({**result, "machine": facts}, indent=1) + "\n"
            (RESULTS / f"{name}.json").write_text(kept)
            renew(PAGE, RESULTS)


def tell(line: str) -> None:
    """At once, also into a pipe."""
    print(line, flush=True)


def _indented(line: str) -> None:
    tell("  " + line.replace("\n", "\n  "))


if __name__ == "__main__":
    sys.exit(main())
