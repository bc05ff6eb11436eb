"""Reports that could not be delivered yet, kept on disk in the order in which they were made."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from rackwright.engine.files import replace
from rackwright.model import typed
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
        report = self._in_order(report)
        replace(self.directory / f"{report.id}.json", msgspec.json.encode(report))
        for kept in (self.waiting(), self._files(".refused", ".damaged")):
            for old in kept[:-KEPT]:
                old.unlink(missing_ok=True)

    def _in_order(self, report: Report) -> Report:
        """``report`` with times after those of the one before it: where the clock was set back meanwhile,
        or runs wrong after a boot, it would pass for an older one, and say nothing."""
        last = self.directory / "last"
        try:
            newest = typed.decode(last.read_bytes(), float)
        except (FileNotFoundError, msgspec.DecodeError):
            newest = 0.0
        if report.finished < newest:
            began, ended = newest - report.finished + report.started, newest + 0.001
            report = msgspec.structs.replace(
                report, id=new_id(ended), started=began, finished=ended
            )
        # A power cut may take it: both that and a clock that went back are seldom.
        replace(last, msgspec.json.encode(report.finished), durable=False)
        return report

    def waiting(self) -> list[Path]:
        """Files not delivered yet, oldest first."""
        return self._files(".json")

    def _files(self, *suffixes: str) -> list[Path]:
        try:
            return sorted(path for path in self.directory.iterdir() if path.suffix in suffixes)
        except FileNotFoundError:
            return []

    def deliver(self, send: Callable[[Report], None]) -> str:
        """Send what waits, oldest first, and forget what was taken. Returns what went wrong, or nothing.
        ``send`` raises Temporary to be tried again later, with what comes after; a report that the far
        end will never take is set aside as ``.refused`` rather than lost or tried for ever."""
        trouble = ""
        for path in self.waiting():
            try:
                report = typed.decode(path.read_bytes(), Report)
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
                trouble = str(error)
                continue
            path.unlink(missing_ok=True)
        return trouble
