"""The daemon's socket, whatever goes wrong behind it."""

from __future__ import annotations

import errno
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from rackwright import hosted, hosting
from rackwright.hosted import Told

from ..real.parts import until


class Line:
    """The daemon's end, which fails as often as the test says first."""

    def __init__(self, line: socket.socket, *errors: OSError) -> None:
        self.line, self.errors = line, list(errors)
        self.fileno = line.fileno

    def accept(self) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        return self.line.accept()


class Delegates:
    """What is told; the first look is a failure that nobody thought of."""

    def __init__(self) -> None:
        self.looks = 0

    def look(self) -> None:
        self.looks += 1
        if self.looks == 1:
            raise RuntimeError("can't start new thread")

    def told(self) -> dict[str, Told]:
        return {"sw1": Told(state="running", epoch=3)}


def test_who_asks_is_answered_after_any_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosting, "SHORT_OF", 0.01)
    delegates = Delegates()
    with hosted.listen(tmp_path) as line:
        failing = Line(line, OSError(errno.EMFILE, "full"), OSError(errno.ECONNABORTED, "gone"))
        arguments = (failing, delegates)
        thread = threading.Thread(target=hosting._answer, args=arguments, daemon=True)
        thread.start()
        assert hosted.ask(tmp_path, "poke") is None
        told = hosted.ask(tmp_path, "poke")
        assert told is not None
        assert told["sw1"].epoch == 3
        assert delegates.looks == 2
        line.shutdown(socket.SHUT_RDWR)
        line.close()
    until(lambda: not thread.is_alive())
