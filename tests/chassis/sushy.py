"""sushy-tools' Redfish emulator with its fake driver, over TLS and basic authentication."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.transport.http_server import Certificate, certificate

# As `sushy-emulator --fake`, but on a port of the kernel's choice, and with its dice loaded: its
# power changes land after 1 to 11 s, here within one.
LAUNCH = """
import random, sys
import werkzeug.serving as serving
from sushy_tools.emulator import main
random.randint = lambda least, most: least
made = serving.make_server
def make_server(*args, **kwargs):
    server = made(*args, **kwargs)
    print("port", server.port, flush=True)
    return server
serving.make_server = make_server
sys.exit(main.main())
"""


def missing() -> str:
    """Reason to skip; empty when it is installed."""
    return "" if importlib.util.find_spec("sushy_tools") else "not installed: sushy-tools"


@dataclass(frozen=True)
class Emulator:
    """Where it answers."""

    port: int
    tls: Certificate
    password: str

    def options(self, **changes: object) -> dict[str, Any]:
        """Options of the ``http`` transport."""
        options: dict[str, Any] = {
            "url": f"https://127.0.0.1:{self.port}",
            "username": "rack",
            "password": self.password,
            "fingerprint": self.tls.fingerprint,
        }
        return {**options, **changes}

    def get(self, path: str) -> Any:
        """A resource, read around the provider."""
        token = base64.b64encode(f"rack:{self.password}".encode()).decode()
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}{path}", headers={"Authorization": f"Basic {token}"}
        )
        context = ssl.create_default_context(cadata=self.tls.pem)
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return json.load(answer)


@contextlib.contextmanager
def emulator(where: Path, systems: Mapping[str, str], password: str) -> Iterator[Emulator]:
    """Running, with ``systems``: PowerState by Id."""
    import bcrypt

    tls = certificate(where / "tls.pem")
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    (where / "users").write_text(f"rack:{hashed}\n")
    fake = [
        {"uuid": name, "name": f"{name}-name", "power_state": power, "nics": [{"mac": f"52:54:00:00:00:{at:02x}"}]}
        for at, (name, power) in enumerate(systems.items())
    ]  # fmt: skip
    config = {
        "SUSHY_EMULATOR_AUTH_FILE": str(where / "users"),
        "SUSHY_EMULATOR_FAKE_SYSTEMS": fake,
        "SUSHY_EMULATOR_LISTEN_PORT": 0,
        "SUSHY_EMULATOR_STATE_DIR": str(where),
    }
    (where / "sushy.conf").write_text(
        "".join(f"{name} = {value!r}\n" for name, value in config.items())
    )
    argv = [sys.executable, "-c", LAUNCH, "--config", str(where / "sushy.conf"), "--fake"]
    argv += ["-i", "127.0.0.1", "--ssl-certificate", str(tls.file), "--ssl-key", str(tls.file)]  # fmt: skip
    log = where / "sushy.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, cwd=where
        )
    try:
        yield Emulator(_port(process, log), tls, password)
    finally:
        process.terminate()
        process.wait(5)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith("port "):
                return int(line.split()[1])
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        time.sleep(0.02)
    raise AssertionError(log.read_text(errors="replace")[-2000:])
