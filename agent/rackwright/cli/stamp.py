"""What a compiled site depends on, told from file times alone, so that a run of an unchanged site
need not compile it again (nor import the compiler)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import msgspec

from rackwright import __version__
from rackwright.engine.files import replace
from rackwright.model import typed
from rackwright.model.bundle import Bundle

SETTLED = 2.0
"""Seconds after which a file's time can be trusted: two writes within one tick of a file system's
clock have the same time (git calls it the racy problem)."""


class Stamp(NamedTuple):
    """One look at the files: a line for each with its size and times. A part is empty when something
    changed so lately that its time says nothing yet."""

    site: str
    """Of the site, its commit, the role library and Rackwright itself."""
    facts: str
    """Of all facts known under the state directory."""

    @property
    def settled(self) -> bool:
        """Whether it can be compared with a later one."""
        return bool(self.site and self.facts)


def look(site: Path, state: Path) -> Stamp:
    """Take the stamps of ``site`` and of the facts under ``state``."""
    return Stamp(
        _stamp(_site_files(site), f"{__version__} {site.absolute()}\n"),
        _stamp(f"{state}/{node}/facts.json" for node in _names(state)),
    )


def _stamp(files: Iterable[str], head: str = "\n") -> str:
    newest, lines = 0, [head]
    for path in files:
        try:
            status = os.stat(path)  # noqa: PTH116 - a Path for each of hundreds of files costs more than the call
        except OSError:
            continue
        newest = max(newest, status.st_mtime_ns)
        lines.append(f"{path} {status.st_size} {status.st_mtime_ns} {status.st_ino}\n")
    if time.time_ns() - newest < SETTLED * 1e9:
        return ""
    # File names that are not UTF-8 come with surrogates, which JSON does not take.
    return "".join(lines).encode(errors="backslashreplace").decode()


def _site_files(site: Path) -> Iterator[str]:
    yield from _under(str(site))
    for name in ("rackwright_proposals", "rackwright_roles", "rackwright_providers"):
        spec = find_spec(name)
        for place in (spec.submodule_search_locations if spec else None) or ():
            yield from _under(place)
    for folder in (site.absolute(), *site.absolute().parents):
        if (folder / ".git").is_dir():
            # A commit changes where values come from, even when it changes no file here.
            yield f"{folder}/.git/HEAD"
            yield f"{folder}/.git/logs/HEAD"
            break


def _under(folder: str) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except NotADirectoryError:
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name == "__pycache__":
            continue
        if entry.is_dir():
            yield from _under(entry.path)
        else:
            yield entry.path


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208
    except OSError:
        return []


class Kept(msgspec.Struct, frozen=True):
    """What a node is told by a site that has not changed since ``stamp``."""

    stamp: Stamp
    bundle: Bundle
    contradicted: dict[str, str]
    """As in `Gates`."""
    paths: dict[str, tuple[str, ...]]
    """As in `Gates`."""
    beside: msgspec.Raw
    """`rackwright.cli.beside.Beside`, null where nothing is beside the node."""
    rollouts: tuple[str, ...] = ()
    """The proposals that go out wave by wave."""


def recall(path: Path, now: Stamp) -> Kept | None:
    """What is kept at ``path``, when it was made under the stamp ``now``."""
    if not now.settled:
        return None
    try:
        kept = typed.decode(path.read_bytes(), Kept)
    except (OSError, msgspec.DecodeError):
        return None
    return kept if kept.stamp == now else None


def remember(path: Path, kept: Kept) -> None:
    """Keep it for the next run of a site that has not changed since then."""
    if kept.stamp.settled:
        replace(path, msgspec.json.encode(kept), durable=False)
