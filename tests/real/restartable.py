"""Parts of a test rack that are killed and come back."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import psutil


class Mortal(Protocol):
    """What `Restartable` runs."""

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """Its process, the parent of all others that it has."""


M = TypeVar("M", bound=Mortal)


class Restartable(Generic[M]):
    """A part that can be killed and started again."""

    def __init__(self, make: Callable[[], contextlib.AbstractContextManager[M]]) -> None:
        self._make, self._open = make, contextlib.ExitStack()
        self.running: M = self._open.enter_context(make())

    def kill(self) -> None:
        """End it and its children (an sshd's sessions) at once."""
        process = psutil.Process(self.running.process.pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self._open.close()

    def start(self) -> None:
        """Begin again, as it was."""
        self.running = self._open.enter_context(self._make())

    def close(self) -> None:
        """For good."""
        self._open.close()
