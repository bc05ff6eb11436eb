"""powerman's own parts: vpcd on a serial line, and powermand driving vpcd on a host with sshd."""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.real import parts


@dataclass(frozen=True)
class Line:
    """A pty with vpcd at its other end."""

    path: str

    def plugs(self) -> dict[str, str]:
        """What vpcd says when it is asked by hand, nobody else being on the line."""
        return {
            number: state.lower()
            for number, state in re.findall(r"plug (\d+): (ON|OFF)", self.say("stat *"))
        }

    def say(self, command: str) -> str:
        """The answer to a command, typed by hand."""
        line = os.open(self.path, os.O_RDWR | os.O_NOCTTY)
        try:
            os.write(line, f"\nlogin\n{command}\nend-of-it\n".encode())
            seen, deadline = "", time.monotonic() + 10
            while not re.search(r"UNKNOWN: end-of-it\n\d+ vpc> \Z", seen):
                if time.monotonic() > deadline:
                    raise parts.PartError(f"vpcd does not answer: {seen!r}")
                if select.select([line], [], [], 0.2)[0]:
                    seen += os.read(line, 4096).decode()
            return seen
        finally:
            os.close(line)


@contextlib.contextmanager
def vpcd(run: Path) -> Iterator[Line]:
    """vpcd with all of its plugs off. Skips where it is not installed."""
    reason = parts.missing("vpcd", "socat", "setpriv")
    if reason:
        pytest.skip(reason)
    run.mkdir(parents=True, exist_ok=True)
    path = run / "vpcd"
    argv = ["socat", f"PTY,link={path},raw,echo=0", "EXEC:/usr/sbin/vpcd,pty,raw,echo=0"]
    with parts.daemon(argv, run / "socat.out", ready=path.exists):
        # As long as one has it open, the line is not hung up when others close it.
        held = os.open(path, os.O_RDWR | os.O_NOCTTY)
        try:
            yield Line(str(path))
        finally:
            os.close(held)


@dataclass(frozen=True)
class Host:
    """A host with powermand, and how it is reached over SSH."""

    options: dict[str, Any]
    server: str
    """powermand's own address."""
    plugged: tuple[str, ...]

    def nodes(self) -> dict[str, str]:
        """What powermand says of the nodes on vpcd when it is asked by hand."""
        query = ["-x", "-Q", ",".join(self.plugged)]
        shown = parts.command(["powerman", "-h", self.server, *query])
        return dict(re.findall(r"^(\S+): +(on|off|unknown)$", shown, re.MULTILINE))


@contextlib.contextmanager
def powermand(
    run: Path, nodes: Sequence[str], more: Sequence[str] = (), unit: str = "/usr/sbin/vpcd"
) -> Iterator[Host]:
    """powermand with one node a plug, all off, and more lines of its configuration; ``unit`` is the
    command that speaks as vpcd does. Skips where it is not installed."""
    reason = parts.missing("powermand", "powerman", "vpcd", "sshd", "setpriv")
    if reason:
        pytest.skip(reason)
    run.mkdir(parents=True, exist_ok=True)
    port, ssh_port = _free_port(), _free_port()
    server = f"127.0.0.1:{port}"
    config = [f'listen "{server}"', 'include "/etc/powerman/vpc.dev"']
    config += [f'device "pdu" "vpc" "{unit} |&"']
    config += [f'node "{name}" "pdu" "{plug}"' for plug, name in enumerate(nodes)]
    (run / "powerman.conf").write_text("".join(f"{line}\n" for line in [*config, *more]))
    # The client asks the default port; on this host it has another, as with a powermand elsewhere.
    programs = run / "bin"
    programs.mkdir()
    wrapper = programs / "powerman"
    wrapper.write_text(f'#!/bin/sh\nexec /usr/bin/powerman -h {server} "$@"\n')
    wrapper.chmod(0o755)

    def answers() -> bool:
        try:
            return "off" in parts.command([str(wrapper), "-Q", nodes[0]])
        except parts.PartError:
            return False

    argv = ["/usr/sbin/powermand", "-f", "-c", str(run / "powerman.conf")]
    env = {"PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin"}
    with (
        parts.daemon(argv, run / "powermand.out", ready=answers),
        parts.sshd(run / "ssh", port=ssh_port, env=env) as ssh,
    ):
        yield Host(ssh.options(), server, tuple(nodes))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
