"""A managed node on a serial line, through the whole engine: getty's login, FRR's command line, real
links; over a pty and over TCP, as terminal servers have it; and with the line unplugged."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from rackwright.cli.tree import Tree, TreeSource
from rackwright.model.report import Report
from rackwright.provider import Registry
from rackwright.run import NodeRunner
from tests.real import consoles, parts

pytestmark = [
    pytest.mark.root,
    pytest.mark.apt,
    pytest.mark.usefixtures("namespaces"),
    pytest.mark.skipif(
        bool(parts.missing(*consoles.NEEDS)),
        reason=parts.missing(*consoles.NEEDS),
    ),
]
PORT = "lan1"
"""What IOS calls no kind of port, so that its name is left as FRR has it."""
PASSWORD = "correct-horse"


@dataclass
class Line:
    """A node on a line that can be unplugged, and that shows what was typed."""

    base: Path
    router: consoles.Frr
    port: str
    """As the site has it."""
    plug: Callable[[], contextlib.AbstractContextManager[Path]]
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    log: Path = Path()

    def connect(self) -> None:
        """Plug the line in."""
        self.log = self.stack.enter_context(self.plug())

    def unplug(self) -> None:
        """As somebody does who trips over it."""
        self.stack.close()

    def declare(self, **properties: str) -> TreeSource:
        """Make the site say so of the port; the source that has it from there."""
        way = {"port": self.port, "username": "rack", "password": {"secret": "console"}}
        documents = [
            {"site": "lines"},
            {"node": "r1", "type": "switch", "platform": "cisco_ios", "reach": [{"serial": way}]},
            {"role": "ports", "for": ["switch"], "resources": [{"port": PORT, **properties}]},
            {"proposal": "ports", "deploy": {"ports": ["r1"]}},
        ]
        site = self.base / "site"
        site.mkdir(exist_ok=True)
        (site / "site.yaml").write_text("\n---\n".join(map(json.dumps, documents)))
        return TreeSource(Tree(site, Registry.installed(), self.base / "state"), "r1")

    def runner(self, source: TreeSource) -> NodeRunner:
        """The engine that manages the node, as a delegate has it."""
        state = self.base / "state"
        state.mkdir(exist_ok=True)
        (state / "secrets").touch(mode=0o600)
        (state / "secrets").write_text(f"console: {PASSWORD}\n")
        return NodeRunner(
            node="r1",
            source=source,
            registry=Registry.installed(),
            state=state / "r1",
            secrets=state / "secrets",
        )

    def typed(self) -> str:
        """What went over the line since it was plugged in, both ways."""
        return self.log.read_text(errors="replace")

    def description(self) -> str:
        """Of the port, as FRR shows it elsewhere."""
        shown = parts.command([*self.router.vtysh, "-c", f"show interface {PORT}"])
        return next((x.partition(": ")[2] for x in shown.splitlines() if "Description:" in x), "")

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """zebra stands still, and with it every command that asks it."""
        process = psutil.Process(int((self.router.run / "zebra.pid").read_text()))
        process.suspend()
        try:
            yield
        finally:
            process.resume()


@pytest.fixture(params=["pty", "socket"])
def line(
    request: pytest.FixtureRequest, namespaces: None, tmp_path: Path, free_port: int
) -> Iterator[Line]:
    with contextlib.ExitStack() as stack:
        ns = stack.enter_context(parts.namespace("router"))
        far = stack.enter_context(parts.namespace("far"))
        parts.cable(ns, PORT, far, "eth0")
        router = stack.enter_context(consoles.frr(ns))
        # One file for all daemons: then `write memory` ends as it does on IOS, with [OK].
        with (router.run / "vtysh.conf").open("a") as settings:
            settings.write("service integrated-vtysh-config\n")
        by_hand = ["configure terminal", f"interface {PORT}", "description by hand"]
        parts.command([*router.vtysh, *(word for text in by_hand for word in ("-c", text))])
        console = stack.enter_context(
            consoles.console(router, tmp_path / "console", password=PASSWORD)
        )
        # Somebody has to have the line open, or it hangs up when our end is closed.
        stack.enter_context(open(console, "r+b", buffering=0))  # noqa: PTH123
        if request.param == "pty":
            port, ours = str(tmp_path / "ttyUSB0"), f"PTY,link={tmp_path}/ttyUSB0,raw,echo=0"
        else:
            port = f"socket://127.0.0.1:{free_port}"
            ours = f"TCP-LISTEN:{free_port},bind=127.0.0.1,reuseaddr"

        @contextlib.contextmanager
        def plug() -> Iterator[Path]:
            log = tmp_path / "typed"
            log.write_bytes(b"")
            argv = ["socat", "-d", "-d", "-v", ours, f"FILE:{console},raw,echo=0"]
            ready = ("PTY is", "listening on")
            with parts.daemon(
                argv, log, ready=lambda: any(word in log.read_text() for word in ready)
            ):
                yield log

        made = Line(tmp_path, router, port, plug)
        stack.callback(made.unplug)
        made.connect()
        yield made


def outcomes(report: Report) -> dict[str, str]:
    assert not report.error, report.error
    return {outcome.address: outcome.state for outcome in report.outcomes}


def test_a_port_over_the_line(line: Line) -> None:
    runner = line.runner(line.declare(description="to web1", admin="down"))
    try:
        assert line.router.is_up(PORT)
        dry = runner.run(why_run=True)
        assert outcomes(dry) == {f"port/{PORT}": "changed"}
        assert "configure terminal" not in line.typed()
        assert line.router.is_up(PORT)
        parts.until(lambda: not line.router.in_use(), what="the dry run has logged out")
        line.unplug()
        line.connect()

        report = runner.run()
        assert outcomes(report) == {f"port/{PORT}": "changed"}
        assert report.via == f"serial {line.port}"
        assert report.saved
        assert not line.router.is_up(PORT)
        assert line.description() == "to web1"
        assert "configure terminal" in line.typed()
        assert "write memory" in line.typed()

        before = len(line.typed())
        second = runner.run()
        assert outcomes(second) == {f"port/{PORT}": "in_sync"}
        typed = line.typed()[before:]
        assert "show running-config" in typed
        assert "configure terminal" not in typed
        assert "write memory" not in typed

        runner.source = line.declare(description="to web1", admin="up")
        assert outcomes(runner.run()) == {f"port/{PORT}": "changed"}
        assert line.router.is_up(PORT)
        assert PASSWORD not in f"{report}{second}"
    finally:
        runner.close()


def test_the_line_is_unplugged_in_the_middle(line: Line) -> None:
    runner = line.runner(line.declare(description="to web1"))
    try:
        assert outcomes(runner.run()) == {f"port/{PORT}": "changed"}
        runner.source = line.declare(description="to web2")
        before = len(line.typed())
        with line.frozen(), ThreadPoolExecutor(1) as other:
            running = other.submit(runner.run)
            parts.until(
                lambda: "show running-config" in line.typed()[before:], what="the run is under way"
            )
            line.unplug()
            lost = running.result(30)
        assert lost.kind == "unreachable"
        assert line.port in lost.error
        away = runner.run()
        assert away.kind == "unreachable"
        assert line.port in away.error
        assert line.description() == "to web1"

        line.connect()
        report = runner.run()
        assert outcomes(report) == {f"port/{PORT}": "changed"}
        assert line.description() == "to web2"
        assert outcomes(runner.run()) == {f"port/{PORT}": "in_sync"}
    finally:
        runner.close()
