"""Secrets beside the agent: a file or a directory that only its owner can read."""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from rackwright.model.errors import InputError, Problem
from rackwright.model.secret import SHORT

log = logging.getLogger(__name__)

SETTLED = 2.0
"""Seconds after which a file's time can be trusted to tell that it has changed."""

_lock = threading.Lock()
_kept: dict[Path, tuple[str, dict[str, str]]] = {}
"""By path: what the files looked like, and what they held. The many nodes of a delegate, which run
at once, share what one of them has read."""
_told: dict[Path, set[str]] = {}
"""By path: the names of secrets that were warned of."""


def read_secrets(path: Path | None) -> dict[str, str]:
    """Secrets by name, from a YAML or JSON mapping, or from a directory of one file each.

    Nothing there means no secrets. What is returned is shared: it must not be changed. Raises
    InputError when others can read it, or it is not text.
    """
    if path is None:
        return {}
    with _lock:
        now = _look(path)
        if now is None:
            return {}
        seen, found = _kept.get(path, ("", {}))
        if not now or now != seen:
            found = _read(path)
            _kept[path] = (now, found)
            _warn_of_short(path, found)
        return found


def _warn_of_short(path: Path, found: Mapping[str, str]) -> None:
    """Once a process: devices may ask for no better, so they are not refused."""
    short = {name for name, value in found.items() if 0 < len(value.strip()) < SHORT}
    told = _told.setdefault(path, set())
    if short - told:
        names = ", ".join(sorted(short - told))
        log.warning(
            "%s: shorter than %d characters, which anybody guesses, and masked only where it stands by "
            "itself: %s",
            path,
            SHORT,
            names,
        )
        told |= short


def _look(path: Path) -> str | None:
    """Changes when a file of ``path`` does; empty when one changed so lately that its time says
    nothing yet, None when nothing is there."""
    files = [path]
    seen: list[tuple[Path, os.stat_result]] = []
    for item in files:
        try:
            status = item.stat()
        except FileNotFoundError:
            continue
        seen.append((item, status))
        if item is path and stat.S_ISDIR(status.st_mode):
            files += sorted(path.iterdir())
    if not seen:
        return None
    # The time of the last change to anything: content, owner or permissions.
    if time.time_ns() - max(status.st_ctime_ns for _, status in seen) < SETTLED * 1e9:
        return ""
    return "\n".join(f"{item} {one.st_ctime_ns} {one.st_size} {one.st_ino}" for item, one in seen)


def _read(path: Path) -> dict[str, str]:
    _check_private(path)
    if path.is_dir():
        found = {}
        for item in sorted(path.iterdir()):
            if item.name.startswith(".") or not item.is_file():
                continue
            _check_private(item)
            found[item.name] = _text(item).rstrip("\n")
        return found
    return _mapping(path)


def _check_private(path: Path) -> None:
    status = path.stat()
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(status.st_mode)
        wanted = "700" if path.is_dir() else "600"
        raise InputError(
            [Problem(f"others can use it (mode {mode:04o})", f"chmod {wanted} {path}", str(path))]
        )
    if status.st_uid not in (0, os.geteuid()):
        raise InputError(
            [Problem("it belongs to another user", f"chown it to {os.geteuid()}", str(path))]
        )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            [Problem(f"it is not UTF-8 text: {error.reason}", "", str(path))]
        ) from None


def _mapping(path: Path) -> dict[str, str]:
    import yaml

    try:
        # Every scalar as the text that stands there: a PIN of 0042 is not 34.
        data = yaml.load(_text(path), Loader=yaml.BaseLoader)  # noqa: S506 - BaseLoader makes only text, lists and mappings
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        # The problem alone: PyYAML's full text quotes the line, and that line is a secret.
        problem = getattr(error, "problem", None) or "it is not YAML"
        raise InputError(
            [Problem(str(problem), "write NAME: value", str(path), line, column)]
        ) from None
    if data in (None, ""):
        return {}
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise InputError(
            [Problem("it is not a mapping of names to texts", "write NAME: value", str(path))]
        )
    return {str(name): value for name, value in data.items()}
