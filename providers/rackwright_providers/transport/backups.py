"""What a run overwrites or removes is kept in the node's state directory."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

KEPT = 5
"""Backups kept of one file."""


def keep(directory: Path, path: str, data: bytes) -> Path:
    """Store ``data``, which stood at ``path``, as ``directory/PATH.TIMESTAMP`` with mode 0600, and
    drop the oldest beyond `KEPT`. At any instant it is there whole or not at all. Raises OSError."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    place = directory / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = place.with_name(f"{place.name}.{stamp}")
    draft = place.with_name(f".{place.name[:200]}.new")
    draft.unlink(missing_ok=True)  # of a run that was killed; the run lock lets in one at a time
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(kept)
    for old in of(directory, path)[:-KEPT]:
        old.unlink(missing_ok=True)
    return kept


def of(directory: Path, path: str) -> list[Path]:
    """The backups of ``path``, oldest first."""
    place = directory / path.lstrip("/")
    stamped = re.compile(re.escape(place.name) + r"\.\d{8}T\d{6}\.\d{6}Z")
    if not place.parent.is_dir():
        return []
    return sorted(one for one in place.parent.iterdir() if stamped.fullmatch(one.name))
