"""The processes of `rackwright demo`: each a `rackwright` command with a log of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import click

from rackwright.model.errors import Permanent

SERVING = ("sim", "store")
"""What the others speak to, until they have ended."""
PATIENCE = 60.0
"""Seconds for which each act may last; it takes a few."""


class Processes:
    """Those that were started, with their logs in ``base``."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._parts: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, *words: str, until: str = "", token: str = "", name: str = "") -> None:
        """Start ``rackwright WORDS``; with ``until``, wait for that text in its output. Raises Permanent when
        one ends or that does not come."""
        log = self._base / f"{name or words[0]}.log"
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if token:
            environment["RACKWRIGHT_TOKEN"] = token
        with log.open("wb") as output:
            part = subprocess.Popen(
                [sys.executable, "-c", "from rackwright.cli.main import main; main()", *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self._base,
                # Ctrl-C at the terminal is ours to handle: we end the parts in order.
                start_new_session=True,
            )
        self._parts.append((name or words[0], part))
        click.echo(f"  rackwright {' '.join(words[:3])} …  pid {part.pid}")
        deadline = time.monotonic() + PATIENCE
        while until not in log.read_text(errors="replace"):
            self.check()
            if time.monotonic() > deadline:
                raise Permanent(f"`rackwright {words[0]}` did not start; see {log}")
            time.sleep(0.05)

    def check(self) -> None:
        """Raises Permanent when one has ended by itself."""
        for name, part in self._parts:
            if part.poll() is not None:
                tail = (self._base / f"{name}.log").read_text(errors="replace")[-1500:]
                raise Permanent(f"`{name}` ended by itself with {part.returncode}:\n{tail}")

    def end(self) -> None:
        """Stop all: first who speaks to the store and to the devices, so that the delegates give their
        leases back."""
        served = [part for name, part in self._parts if name not in SERVING]
        serving = [part for name, part in self._parts if name in SERVING]
        for parts in (served, serving):
            for part in parts:
                part.terminate()
            for part in parts:
                try:
                    part.wait(10)
                except subprocess.TimeoutExpired:
                    part.kill()
                    part.wait()
