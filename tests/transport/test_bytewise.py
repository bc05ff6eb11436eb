"""A line on which every byte comes by itself costs no waiting: not at prompts, not at TCP lines."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

from rackwright.model.site import Serial
from rackwright.provider import Surroundings
from rackwright_providers.transport.cli_screen import Screen
from rackwright_providers.transport.serial import open_serial
from tests.transport.scripted import Ios, ScriptedStream


class Counting(ScriptedStream):
    """Counts the reads that waited for nothing."""

    waited = 0

    def read(self, timeout: float) -> bytes:
        found = super().read(timeout)
        if timeout and not found:
            self.waited += 1
        return found


def test_a_prompt_that_ends_with_a_space_ends_the_answer_at_once() -> None:
    stream = Counting(lambda line: Ios({"show x": "y\n"})(line) + " ", chunk=1)
    made = Screen(stream, threading.Event())
    made.learn("sw1#")
    for _ in range(3):
        assert made.exchange("show x", 5.0).text == "y"
    assert stream.waited == 0


def test_all_that_a_tcp_line_holds_comes_in_one_read() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        line = open_serial(
            Serial(port=f"socket://127.0.0.1:{server.getsockname()[1]}"), Surroundings(Path())
        )
        far, _ = server.accept()
        with far:
            far.sendall(b"\r\n% Login invalid")
        assert line.read(5.0) == b"\r\n% Login invalid"  # although the line broke right after it
        line.close()
