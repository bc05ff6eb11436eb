"""ser2net: a real terminal server, which speaks RFC 2217 and plain TCP on a serial line."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.real import parts

NEEDS = ("ser2net",)


@dataclass(frozen=True)
class Ser2net:
    """One that runs."""

    url: str
    """Of the line that it serves."""
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def ser2net(run: Path, line: str, port: int, *, rfc2217: bool = True) -> Iterator[Ser2net]:
    """Serve ``line`` on the loopback's ``port`` to one client at a time."""
    run.mkdir(parents=True, exist_ok=True)
    telnet = "telnet(rfc2217)," if rfc2217 else ""
    # ser2net.yaml(5): `local` ignores modem lines, which a pty has not.
    config = {
        "accepter": f"{telnet}tcp,127.0.0.1,{port}",
        "connector": f"serialdev,{line},9600n81,local",
        "options": {"max-connections": 1, "kickolduser": False},
    }
    # YAML with one anchor, which it asks for.
    file = run / "ser2net.yaml"
    file.write_text(f"%YAML 1.1\n---\nconnection: &line {json.dumps(config)}\n")
    argv = ["ser2net", "-n", "-d", "-u", "-c", str(file), "-P", str(run / "pid")]

    def listens() -> bool:
        # Without connecting, which would open the line.
        found = psutil.net_connections("tcp4")
        return any(one.status == "LISTEN" and one.laddr.port == port for one in found)

    with parts.daemon(argv, run / "ser2net.out", ready=listens) as process:
        yield Ser2net(f"{'rfc2217' if rfc2217 else 'socket'}://127.0.0.1:{port}", process)
