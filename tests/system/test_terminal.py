"""What a terminal is shown: colours unless somebody wants none, and tables as wide as it is."""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from .simulators import ROOT
from .sites import deployed, write_secrets, write_site
from .stores import free_port

COMMAND = (sys.executable, "-c", "from rackwright.cli.main import main; main()")


def shown(*words: str, columns: int = 100, **more: str) -> tuple[int | None, str]:
    """The exit code of a command on a terminal, and all that it writes there."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    plain = {
        name: value
        for name, value in os.environ.items()
        if name not in ("NO_COLOR", "COLUMNS", "LINES", "RACKWRIGHT_STORE")
    }
    command = subprocess.Popen(
        [*COMMAND, *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**plain, "TERM": "xterm-256color", **more},
        cwd=ROOT,
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # EIO: nobody has the terminal open any more
            break
        if not piece:
            break
        said += piece
    os.close(ours)
    return command.wait(60), said.decode().replace("\r\n", "\n")


@pytest.fixture
def where(tmp_path: Path) -> Sequence[str]:
    """A server and a switch that is not there, as options."""
    gone: dict[str, Any] = {"host": "127.0.0.1", "port": free_port(), "username": "rack"}
    gone["password"] = {"secret": "device"}
    write_secrets(tmp_path / "state")
    long = "/" + "/".join(["a-directory-with-a-long-name"] * 3)
    write_site(
        tmp_path / "site",
        {"node": "web1", "type": "server"},
        {"node": "sw1", "type": "switch", "platform": "cisco_ios", "reach": [{"ssh": gone}]},
        *deployed(
            "files",
            "server",
            "web1",
            [{"file": long, "content": "a\n", "needs": ["sw1:vlan/10"]}],
        ),
        *deployed("net", "switch", "sw1", [{"vlan": "10", "title": "x"}]),
    )
    return ("--site", str(tmp_path / "site"), "--state", str(tmp_path / "state"))


NONE_WANTED = [{"NO_COLOR": "1"}, {"TERM": "dumb"}]


@pytest.mark.parametrize("environment", NONE_WANTED, ids=str)
def test_no_colours_where_none_are_wanted(
    environment: dict[str, str], where: Sequence[str]
) -> None:
    for words in (("sequence", *where), ("delegate", "sw1", "--once", *where), ("lint", "/none")):
        coloured, plain = shown(*words), shown(*words, **environment)
        assert "\x1b[" in coloured[1]
        assert "\x1b[" not in plain[1]
        assert coloured[0] == plain[0]


def test_nothing_is_written_on_the_line_of_a_progress_bar(tmp_path: Path) -> None:
    write_secrets(tmp_path / "state")
    gone = {"host": "127.0.0.1", "username": "rack", "password": {"secret": "device"}}
    ways = [{"ssh": {**gone, "port": free_port()}}, {"ssh": {**gone, "port": free_port()}}]
    switches = [
        {"node": name, "type": "switch", "platform": "cisco_ios", "reach": ways}
        for name in ("sw1", "sw2")
    ]
    write_site(tmp_path / "site", *switches)
    where = ("--site", str(tmp_path / "site"), "--state", str(tmp_path / "state"))
    _, said = shown("delegate", "sw1", "sw2", "--once", *where)
    bar = r"0:00:\d\d\x1b\[0m"
    assert re.search(bar, said), said
    assert "WARNING" in said
    assert not re.search(bar + r"(\x1b\[1msw|\d\d:\d\d:\d\d WARNING)", said), said


@pytest.mark.parametrize("columns", [40, 80])
def test_a_table_is_no_wider_than_the_terminal(columns: int, where: Sequence[str]) -> None:
    code, said = shown("sequence", *where, columns=columns)
    assert code == 0
    table = [click.unstyle(line) for line in said.partition("1 wave")[0].splitlines()]
    assert max(map(len, table[:-2])) <= columns, said
    assert "sw1:vlan/10" in said


def test_the_shell_completes_commands_and_options() -> None:
    code = "import sys; sys.argv[0] = 'rackwright'; from rackwright.cli.main import main; main()"
    for typed, wanted in (("rackwright why", "why-waiting"), ("rackwright host dr", "drain"), ("rackwright watch --j", "--json")):  # fmt: skip
        asked = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **asked, "_RACKWRIGHT_COMPLETE": "bash_complete"},
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        assert f"plain,{wanted}" in done.stdout.splitlines(), done.stderr


def test_what_cannot_be_written_is_an_error_and_no_trace(where: Sequence[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "sequence", *where],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            check=False,
        )
    assert done.stderr == b"error: cannot write: No space left on device\n"
    assert done.returncode == 2


def test_a_closed_output_is_none(where: Sequence[str]) -> None:
    typed = f"exec {shlex.join([*COMMAND, 'sequence', *where])} >&-"
    done = subprocess.run(["sh", "-c", typed], stderr=subprocess.PIPE, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_who_reads_no_further_ends_it_like_any_command(where: Sequence[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    with subprocess.Popen(
        [*COMMAND, "sequence", *where], stdout=write, stderr=subprocess.PIPE, cwd=ROOT
    ) as command:
        os.close(write)
        assert command.stderr is not None
        assert command.stderr.read() == b""
    assert command.returncode == 128 + signal.SIGPIPE
