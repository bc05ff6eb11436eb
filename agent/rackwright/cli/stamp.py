"""What a compiled site depends on, told from file times alone, so that a run of an unchanged site
need not compile it again (nor import the compiler)."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import msgspec

from rackwright import __version__
from rackwright.engine.files import replace
from rackwright.model.bundle import Bundle

SETTLED = 2.0
"""Seconds after which a file's time can be trusted: two writes within one tick of a file system's
clock have the same time (git calls it the racy problem)."""


def stamp(site: Path, state: Path) -> str:
    """Changes when any file of ``site``, any known fact, or Rackwright itself changes. Empty when
    something changed so lately that its time says nothing yet."""
    newest = 0
    total = hashlib.sha256(f"{__version__}\0{site.absolute()}\0".encode())
    for line, changed in _files(site, state):
        total.update(line.encode(errors="surrogateescape"))
        newest = max(newest, changed)
    if time.time_ns() - newest < SETTLED * 1e9:
        return ""
    return total.hexdigest()


def _files(site: Path, state: Path) -> Iterator[tuple[str, int]]:
    yield from _under(site)
    for name in ("rackwright_proposals", "rackwright_roles", "rackwright_providers"):
        spec = find_spec(name)
        for place in (spec.submodule_search_locations if spec else None) or ():
            yield from _under(Path(place))
    for path in sorted(state.glob("*/facts.json")):
        yield from _one(path)
    for folder in (site.absolute(), *site.absolute().parents):
        if (folder / ".git").is_dir():
            # A commit changes where values come from, even when it changes no file here.
            yield from _one(folder / ".git" / "HEAD")
            yield from _one(folder / ".git" / "logs" / "HEAD")
            break


def _under(folder: Path) -> Iterator[tuple[str, int]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except NotADirectoryError:
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name == "__pycache__":
            continue
        if entry.is_dir():
            yield from _under(Path(entry.path))
        else:
            yield from _one(Path(entry.path))


def _one(path: Path) -> Iterator[tuple[str, int]]:
    try:
        status = path.stat()
    except OSError:
        return
    yield f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ino}\n", status.st_mtime_ns


class _Kept(msgspec.Struct, frozen=True):
    stamp: str
    bundle: Bundle


def recall(path: Path, now: str) -> Bundle | None:
    """The bundle kept at ``path``, when it was made under the stamp ``now``."""
    if not now:
        return None
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
    except (OSError, msgspec.DecodeError):
        return None
    return kept.bundle if kept.stamp == now else None


def remember(path: Path, now: str, bundle: Bundle) -> None:
    """Keep ``bundle`` for the next run of a site that has not changed since ``now``."""
    if now:
        replace(path, msgspec.json.encode(_Kept(now, bundle)))
