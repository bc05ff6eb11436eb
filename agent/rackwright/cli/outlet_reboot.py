"""The reboot of an outlet as a command has it done: by the daemon that has the node's lease, or here."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rackwright.cli.output import on_terminal
from rackwright.errand import Rebooted
from rackwright.model.errors import RackwrightError

if TYPE_CHECKING:
    from rackwright.cli.outlet_unit import Asked, Unit
    from rackwright.keeper import Claim
    from rackwright.provider import Registry

REDRAW = 0.5
"""Seconds between two drawings of the progress line."""
PATIENCE = 30.0
"""Seconds that the store has to give a lease, or to refuse it."""
LOOK = 0.2
"""Seconds between two looks at whether a lease has come."""

log = logging.getLogger(__name__)


def reboot(unit: Unit, outlet: str, registry: Registry, asked: Asked, host: str) -> Rebooted:
    """Have it done, and draw meanwhile how far it is. SIGINT and SIGTERM stop it; a second one ends the
    process at once."""
    stop = threading.Event()
    with _Line(f"{unit.node.name}/{outlet}", logged=unit.hosted is None) as line:
        if unit.hosted is None:
            return _until_done(lambda: _here(unit, outlet, registry, asked, line, stop), stop, line)
        return _until_done(lambda: _by_daemon(unit, outlet, host, line, stop), stop, line)


def _by_daemon(unit: Unit, outlet: str, host: str, line: _Line, stop: threading.Event) -> Rebooted:
    from rackwright import errand

    assert unit.hosted is not None  # noqa: S101 - or nobody calls this
    line.tell(f"the delegate on {host} is asked")
    return errand.reboot(unit.hosted, unit.node.name, outlet, line.tell, stop)


def _here(
    unit: Unit, outlet: str, registry: Registry, asked: Asked, line: _Line, stop: threading.Event
) -> Rebooted:
    from rackwright.rebooting import reboot
    from rackwright.run import NodeRunner

    with _leased(unit, asked.state, stop) as claim:
        runner = NodeRunner(
            node=unit.node.name,
            source=unit.source,
            registry=registry,
            state=asked.state / unit.node.name,
            secrets=asked.secrets,
            here=asked.here,
            stop=stop,
            claim=claim,
        )
        try:
            return reboot(runner, outlet, line.tell)
        finally:
            runner.close()


@contextmanager
def _leased(unit: Unit, state: Path, stop: threading.Event) -> Iterator[Claim | None]:
    """The node's lease, in its own name, as far as the store gives it; None without a store."""
    if unit.store is None:
        yield None
        return
    from rackwright.keeper import Claim, Keeper

    claim = Claim(unit.node.name, state / unit.node.name)
    keeper = Keeper(unit.store.client, unit.store.credential)
    keeper.start()
    keeper.want(claim)
    try:
        end = time.monotonic() + PATIENCE
        while not claim.settled and time.monotonic() < end and not stop.wait(LOOK):
            pass
        yield claim
    finally:
        keeper.give_up(claim)
        keeper.close()
        claim.unlock()


def _until_done(work: Callable[[], Rebooted], stop: threading.Event, line: _Line) -> Rebooted:
    """``work`` on a thread of its own, while this one draws, and listens to signals."""
    from rackwright.daemon import Signals

    found: list[Rebooted | BaseException] = []

    def do() -> None:
        try:
            found.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            found.append(error)
        finally:
            signals.poke()

    with Signals(signal.SIGINT, signal.SIGTERM) as signals:
        thread = threading.Thread(target=do, daemon=True)
        thread.start()
        while thread.is_alive():
            for number in signals.wait(REDRAW):
                if number and stop.is_set():
                    os._exit(128 + number)
                if number:
                    stop.set()
            line.draw()
        thread.join()
    (ended,) = found
    if isinstance(ended, RackwrightError):
        return Rebooted(state="stopped" if stop.is_set() else "unreachable", error=str(ended))
    if isinstance(ended, BaseException):
        raise ended
    return ended


class _Line:
    """What was told last, on one line with the time; elsewhere than on a terminal a line of the log
    each."""

    def __init__(self, address: str, *, logged: bool) -> None:
        """With ``logged`` what is told stands in the log anyhow."""
        self._address, self._said, self._began = address, "", time.monotonic()
        self._drawn, self._logged = on_terminal(), logged
        self._providers = logging.getLogger("rackwright_providers")

    def tell(self, said: str) -> None:
        """From any thread."""
        self._said = said
        if not self._drawn and not self._logged:
            log.info("%s: %s", self._address, said)

    def draw(self) -> None:
        """Once more."""
        if self._drawn:
            waited = time.monotonic() - self._began
            text = f"{self._address}: {self._said} ({waited:.0f} s)"
            click.echo(f"\r\x1b[K{text}", nl=False, err=True)

    def __enter__(self) -> _Line:
        if self._drawn:
            self._providers.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            self._providers.propagate = True
            click.echo("\r\x1b[K", nl=False, err=True)
