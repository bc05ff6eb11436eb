"""The transport ladder on real software: a router behind OpenSSH, and its console behind ser2net."""

from __future__ import annotations

import contextlib
import json
import shlex
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from rackwright import reach
from rackwright.cli.tree import Tree, TreeSource
from rackwright.model.report import Report
from rackwright.provider import Registry
from rackwright.run import NodeRunner
from rackwright_providers.transport.cli import CliReader
from tests.real import consoles, parts, ser2net
from tests.real.restartable import Restartable

NEEDED = ("sshd", *ser2net.NEEDS, *consoles.NEEDS)
pytestmark = [
    pytest.mark.root,
    pytest.mark.apt,
    pytest.mark.usefixtures("namespaces"),
    pytest.mark.skipif(bool(parts.missing(*NEEDED)), reason=parts.missing(*NEEDED)),
]
PASSWORD = "correct-horse"


class Rack:
    """A router with two ways in, and the runner that manages it."""

    def __init__(
        self,
        base: Path,
        router: consoles.Frr,
        line: str,
        make: Callable[[], contextlib.AbstractContextManager[parts.Sshd]],
    ) -> None:
        self.base, self.router, self.line = base, router, line
        self.sshd = Restartable(make)
        door = self.sshd.running
        self.ssh = f"ssh {door.host}:{door.port}"
        self.ways: list[dict[str, Any]] = [
            {"ssh": door.options(key={"secret": "key"})},
            {"serial": {"port": line, "username": "rack", "password": {"secret": "console"}}},
        ]
        state = base / "state"
        state.mkdir()
        (state / "secrets").touch(mode=0o600)
        (state / "secrets").write_text(json.dumps({"console": PASSWORD, "key": door.key}))
        self.runner = NodeRunner(
            node="r1",
            source=self.declaring("as it was"),
            registry=Registry.installed(),
            state=state / "r1",
            secrets=state / "secrets",
        )

    def declaring(self, description: str) -> TreeSource:
        """The site says so of lan1."""
        node = {"node": "r1", "type": "switch", "platform": "linux_frr", "reach": self.ways}
        port = {"port": "lan1", "description": description}
        documents = [
            {"site": "ladder"},
            node,
            {"role": "ports", "for": ["switch"], "resources": [port]},
            {"proposal": "ports", "deploy": {"ports": ["r1"]}},
        ]
        site = self.base / "site"
        site.mkdir(exist_ok=True)
        (site / "site.yaml").write_text("\n---\n".join(map(json.dumps, documents)))
        return TreeSource(Tree(site, Registry.installed(), self.base / "state"), "r1")

    def run(self, description: str) -> Report:
        """Converge until the router has that description."""
        self.runner.source = self.declaring(description)
        report = self.runner.run()
        assert not report.error, report.error
        assert self.description() == description
        return report

    def description(self) -> str:
        """Of lan1, as FRR shows it elsewhere."""
        shown = parts.command([*self.router.vtysh, "-c", "show interface lan1"])
        return next((x.partition(": ")[2] for x in shown.splitlines() if "Description:" in x), "")


@pytest.fixture(params=["pty", "socket", "rfc2217"])
def rack(
    request: pytest.FixtureRequest, namespaces: None, tmp_path: Path, free_port: int
) -> Iterator[Rack]:
    with contextlib.ExitStack() as stack:
        ns = stack.enter_context(parts.namespace("router"))
        far = stack.enter_context(parts.namespace("far"))
        parts.cable(ns, "lan1", far, "eth0")
        router = stack.enter_context(consoles.frr(ns))
        with (router.run / "vtysh.conf").open("a") as settings:
            settings.write("service integrated-vtysh-config\n")
        line = stack.enter_context(
            consoles.console(router, tmp_path / "console", password=PASSWORD)
        )
        # Somebody has to have the line open, or it hangs up when the last one closes it.
        stack.enter_context(open(line, "r+b", buffering=0))  # noqa: PTH123
        if request.param != "pty":
            rfc2217 = request.param == "rfc2217"
            server = ser2net.ser2net(tmp_path / "ser2net", line, free_port, rfc2217=rfc2217)
            line = stack.enter_context(server).url
        address = stack.enter_context(parts.management(ns))
        force = f"ForceCommand env PAGER=cat {shlex.join(router.vtysh)}"
        made = Rack(
            tmp_path,
            router,
            line,
            lambda: parts.sshd(tmp_path / "sshd", ns=ns, host=address, lines=[force]),
        )
        stack.callback(made.sshd.close)
        stack.callback(made.runner.close)
        yield made


def test_ssh_then_serial_then_ssh_again(rack: Rack, monkeypatch: pytest.MonkeyPatch) -> None:
    report = rack.run("over ssh")
    assert report.via == rack.ssh

    rack.sshd.kill()
    report = rack.run("over the line")
    assert report.via.startswith(f"serial {rack.line} ({rack.ssh}: ")
    assert "refused" in report.via
    assert report.saved

    # It stays where it is until it is time to look again, and while looking is in vain.
    rack.sshd.start()
    assert rack.run("still over the line").via.startswith(f"serial {rack.line} ")
    monkeypatch.setattr(reach, "RETRY_BETTER", 0.0)
    rack.sshd.kill()
    rack.runner._reach._better_at = 0.0  # type: ignore[union-attr]  a minute has passed
    assert rack.run("and still").via.startswith(f"serial {rack.line} ({rack.ssh}: ")

    rack.sshd.start()
    report = rack.run("over ssh again")
    assert report.via == rack.ssh
    assert PASSWORD not in str(report)
    # The line is free for others again: we have logged out and left.
    parts.until(lambda: _free(rack), what="the console is left")


@pytest.mark.parametrize("rack", ["rfc2217"], indirect=True)
def test_ssh_that_goes_in_the_middle_of_a_run(rack: Rack, monkeypatch: pytest.MonkeyPatch) -> None:
    rack.run("over ssh")
    rack.runner.source = rack.declaring("over the line")
    asked = threading.Event()
    run = CliReader.run

    def noted(self: CliReader, command: str, timeout: float = 30.0) -> str:
        asked.set()
        return run(self, command, timeout)

    monkeypatch.setattr(CliReader, "run", noted)
    zebra = psutil.Process(int((rack.router.run / "zebra.pid").read_text()))
    with ThreadPoolExecutor(1) as other:
        zebra.suspend()  # and with it every command that asks it
        try:
            running = other.submit(rack.runner.run)
            assert asked.wait(30)
            rack.sshd.kill()
        finally:
            zebra.resume()
        report = running.result(60)
    # Nothing had been sent, so it was done over the line at once.
    assert not report.error, report.error
    assert report.via.startswith(f"serial {rack.line} ({rack.ssh}: ")
    assert rack.description() == "over the line"


def _free(rack: Rack) -> bool:
    """Only our own SSH session runs vtysh."""
    wanted = rack.router.vtysh
    running = psutil.process_iter(["cmdline"])
    return sum((p.info["cmdline"] or [])[: len(wanted)] == wanted for p in running) == 1
