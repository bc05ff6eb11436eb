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

BENCHES = ("local", "switches", "store", "compile")
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
    # Before any client of ours is started: they would print what they are told to keep quiet about.
    facts = machine()
    for name in given.names or BENCHES:
        began = time.monotonic()
        tell(f"{name} …")
        bench = importlib.import_module(f"bench.{name}")
        result = {
            **bench.run(lambda line: tell("  " + line.replace("\n", "\n  ")), quick=given.quick)
        }
        tell(f"{name}: {time.monotonic() - began:.0f} s")
        if not given.quick:
            result["machine"] = facts
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
            renew(PAGE, RESULTS)


def tell(line: str) -> None:
    """At once, also into a pipe."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
