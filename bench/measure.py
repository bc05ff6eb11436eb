"""Whole-process figures: wall, CPU and peak memory of a command and all its children."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One run of a command. Seconds, and MiB (never less than the bench's own, which it is forked from)."""

    wall: float
    cpu: float
    peak: float


def once(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> Figure:
    """Run ``argv`` to its end. Raises RuntimeError with its output when it fails."""
    began = time.perf_counter()
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(env or {})},
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode:
        text = output.decode(errors="replace")[-2000:]
        raise RuntimeError(f"{' '.join(argv)} ended with {process.returncode}: {text}")
    return Figure(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def median(figures: Sequence[Figure]) -> Figure:
    """The median of each figure by itself."""
    return Figure(
        *(
            statistics.median(getattr(figure, name) for figure in figures)
            for name in ("wall", "cpu", "peak")
        )
    )


def alternate(
    commands: Mapping[str, Sequence[str]], runs: int, *, env: Mapping[str, str] | None = None
) -> dict[str, Figure]:
    """The median of each command over ``runs`` rounds, taken in turn so that a machine whose speed
    drifts treats all alike. One warm-up round is not counted."""
    taken: dict[str, list[Figure]] = {name: [] for name in commands}
    for number in range(runs + 1):
        for name, argv in commands.items():
            figure = once(argv, env=env)
            if number:
                taken[name].append(figure)
    return {name: median(figures) for name, figures in taken.items()}


def plain(figure: Figure) -> dict[str, float]:
    """As JSON has it."""
    return {name: round(value, 4) for name, value in asdict(figure).items()}


PEERS = ("netmiko", "paramiko", "nornir", "nornir-netmiko", "asyncssh", "msgspec")


def machine() -> dict[str, Any]:
    """What it was measured on: nothing that names the machine."""
    found: dict[str, Any] = {"cpus": os.cpu_count(), "python": platform.python_version()}
    for name in PEERS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    for name, argv in {
        "cfengine": ["cf-agent", "--version"],
        "puppet": ["puppet", "--version"],
    }.items():
        if shutil.which(argv[0]):
            said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
            version = re.search(r"\d+(?:\.\d+)+", said)
            found[name] = version[0] if version else "unknown"
    return found


Progress = Callable[[str], None]
"""Hears a line for people when something has been measured."""


def medians(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each figure by itself, rounded."""
    return {name: round(statistics.median(one[name] for one in figures), 4) for name in figures[0]}
