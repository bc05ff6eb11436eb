"""Runs a test's function in a process of its own, inside a network namespace."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.real import parts

_ROOT = Path(__file__).parents[2]
_MAIN = """
import importlib, sys
root, module, name, *rest = sys.argv[1:]
sys.path.insert(0, root)  # nsenter leaves us in /
getattr(importlib.import_module(module), name)(*rest)
"""


def call(ns: str, function: Callable[..., None], *args: str, wrapper: Sequence[str] = ()) -> None:
    """Call module-level ``function`` in namespace ``ns`` (empty: where we are); ``wrapper`` goes
    before python (``unshare -m``). Fails the test with what the process said when that fails."""
    python = [
        sys.executable,
        "-c",
        _MAIN,
        str(_ROOT),
        function.__module__,
        function.__name__,
        *args,
    ]
    done = subprocess.run(
        [*(["ip", "netns", "exec", ns] if ns else []), *wrapper, *python],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode:
        pytest.fail(f"{function.__name__} in {ns}:\n{done.stderr}", pytrace=False)


def namespace() -> Iterator[str]:
    """A new network namespace; skips where none can be made. For a fixture."""
    reason = parts.no_namespaces()
    if reason:
        pytest.skip(reason)
    with parts.namespace("server") as name:
        yield name
