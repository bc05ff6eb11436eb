"""A process that has imported all of Rackwright and forks one that runs a command when asked.

A command that starts afresh spends most of its life on imports, so most random instants of it would be
spent on them too. ``python -m tests.system.forker`` reads JSON lines and answers each with one:

| asked | answer |
| --- | --- |
| ``{"run": [argument, …], "out": path, "err": path}`` | ``{"pid": N}`` |
| ``{"wait": N}`` | ``{"status": code}``, negative for the signal that ended it |
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

PRELOADED = (
    "asyncssh",
    "jinja2",
    "jsonschema",
    "netmiko",
    "netmiko.cisco.cisco_ios",
    "pysnmp.hlapi.v3arch.asyncio",
    "rackwright.cli.ask",
    "rackwright.cli.beside",
    "rackwright.cli.converge",
    "rackwright.cli.main",
    "rackwright.cli.store",
    "rackwright.cli.tree",
    "rackwright.client",
    "rackwright.delegate",
    "rackwright.hosting",
    "rackwright.run",
    "rackwright_proposals.compile",
    "rackwright_providers.chassis.resources",
    "rackwright_providers.pdu.resources",
    "rackwright_providers.pdu.snmp_pdu",
    "rackwright_providers.pdu.units.apc_rpdu",
    "rackwright_providers.san.resources",
    "rackwright_providers.server.files",
    "rackwright_providers.server.linux",
    "rackwright_providers.switch.cisco_ios",
    "rackwright_providers.switch.ios_discover",
    "rackwright_providers.transport.cli_driver",
    "rackwright_providers.transport.snmp",
    "rackwright_providers.transport.snmp_engine",
    "rackwright_providers.transport.ssh_client",
    "rackwright_store.app",
    "rackwright_store.compiling",
    "rackwright_store.server",
    "requests",
    "sqlalchemy.dialects.sqlite",
    "uvicorn",
    "uvicorn.protocols.http.h11_impl",
)
PR_SET_PDEATHSIG = 1
PATIENCE = 60.0
"""Seconds after which what was asked for counts as hung; idle machines need a hundredth of it."""


def main() -> None:
    """Serve until standard input ends."""
    gc.disable()
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()  # so that no command copies all of its pages to look for garbage
    gc.enable()
    print(json.dumps({"ready": True}), flush=True)
    for line in iter(sys.stdin.readline, ""):
        asked = json.loads(line)
        if "wait" in asked:
            _, status = os.waitpid(asked["wait"], 0)
            answer = {"status": os.waitstatus_to_exitcode(status)}
        else:
            pid = os.fork()
            if pid == 0:
                _become(asked["run"], asked["out"], asked["err"])
            answer = {"pid": pid}
        print(json.dumps(answer), flush=True)


def _become(argv: list[str], out: str, err: str) -> None:
    """Run the command as a process of its own would, and end with its exit code."""
    from rackwright.cli.main import main as rackwright

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for path, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), descriptor)
    code = 0
    try:
        rackwright(argv)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        code = 99
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


class Forked:
    """One command, running or ended."""

    def __init__(self, forker: Forker, pid: int, out: Path, err: Path) -> None:
        self._forker, self.pid, self.out, self.err = forker, pid, out, err
        self.status: int | None = None

    def signal(self, number: int) -> None:
        """Send it ``number``, unless it was waited for already."""
        if self.status is None:
            os.kill(self.pid, number)

    def wait(self) -> int:
        """Its exit code, negative for the signal that ended it."""
        if self.status is None:
            try:
                self.status = self._forker.ask(wait=self.pid)["status"]
            except TimeoutError:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"pid {self.pid} does not end\n{self.said()}") from None
            self._forker.running.pop(self.pid, None)
        return self.status

    def kill(self) -> int:
        """kill -9 it, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        return self.wait()

    def said(self) -> str:
        """What it printed on standard error."""
        return self.err.read_text(errors="replace")


class Forker:
    """The forker's other end. ``with`` ends all that it started."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._count = 0
        self.running: dict[int, Forked] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.system.forker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert self._process.stdout
        self._answers = b""
        assert self._read() == {"ready": True}

    def __enter__(self) -> Forker:
        return self

    def __exit__(self, *_: object) -> None:
        for left in list(self.running.values()):
            left.kill()
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()

    def start(self, *argv: str) -> Forked:
        """Begin ``rackwright ARGV``."""
        self._count += 1
        out, err = self._logs / f"{self._count}.out", self._logs / f"{self._count}.err"
        pid = self.ask(run=argv, out=str(out), err=str(err))["pid"]
        self.running[pid] = Forked(self, pid, out, err)
        return self.running[pid]

    def run(self, *argv: str) -> Forked:
        """Run ``rackwright ARGV`` to its end."""
        started = self.start(*argv)
        started.wait()
        return started

    def ask(self, **what: Any) -> Any:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout
        deadline = time.monotonic() + PATIENCE
        while b"\n" not in self._answers:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise TimeoutError
            got = os.read(self._process.stdout.fileno(), 65536)
            assert got, "the forker has died"
            self._answers += got
        line, _, self._answers = self._answers.partition(b"\n")
        return json.loads(line)


if __name__ == "__main__":
    main()
