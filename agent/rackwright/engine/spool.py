"""Reports that could not be delivered yet, kept on disk in the order in which they were made."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from rackwright.engine.files import replace
from rackwright.model.errors import RackwrightError, Temporary
from rackwright.model.report import Report

KEPT = 1000
"""Undelivered reports kept a node; beyond it the oldest go, so that a disk is never filled."""


def new_id(now: float | None = None) -> str:
    """An id that sorts by time and is never given twice."""
    return f"{int((time.time() if now is None else now) * 1000):013d}-{os.urandom(6).hex()}"


class Spool:
    """One node's undelivered reports."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def add(self, report: Report) -> None:
        """Keep ``report``; on return it is on disk."""
        replace(self.directory / f"{report.id}.json", msgspec.json.encode(report))
        for kept in (self.waiting(), self._files(".refused", ".damaged")):
            for old in kept[:-KEPT]:
                old.unlink(missing_ok=True)

    def waiting(self) -> list[Path]:
        """Files not delivered yet, oldest first."""
        return self._files(".json")

    def _files(self, *suffixes: str) -> list[Path]:
        try:
            return sorted(path for path in self.directory.iterdir() if path.suffix in suffixes)
        except FileNotFoundError:
            return []

    def deliver(self, send: Callable[[Report], None]) -> str:
        """Send what waits, oldest first, and forget what was taken. Returns why it stopped early,
        or nothing. ``send`` raises Temporary to be tried again later; a report that the far end
        will never take is set aside as ``.refused`` rather than lost or tried for ever."""
        for path in self.waiting():
            try:
                report = msgspec.json.decode(path.read_bytes(), type=Report)
            except FileNotFoundError:
                continue
            except msgspec.DecodeError:
                path.replace(path.with_suffix(".damaged"))
                continue
            try:
                send(report)
            except Temporary as error:
                return str(error)
            except RackwrightError as error:
                path.replace(path.with_suffix(".refused"))
                return str(error)
            path.unlink(missing_ok=True)
        return ""
