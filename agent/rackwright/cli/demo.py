"""demo: the whole of it on one machine, with simulated devices; no hardware, no root."""

from __future__ import annotations

import secrets as tokens
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rackwright.cli import options
from rackwright.cli.ask import show_status
from rackwright.cli.demo_processes import PATIENCE, Processes
from rackwright.cli.demo_site import DemoSite, free_port
from rackwright.cli.output import style_state
from rackwright.engine.files import replace
from rackwright.model.errors import Permanent, Unreachable

if TYPE_CHECKING:
    from rackwright.client import AdminClient

HOST = "admin1"
SERVERS = (HOST, "web1", "web2")
SECRETS = ("sw-a1", "pdu-a1-auth", "pdu-a1-priv", "ch-a1", "san-a1", "chap-web1", "chap-web2")
LOOK = 1.0
"""Seconds between two looks at the processes of a rack that runs on."""


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Work in DIR and keep it; on a terminal the rack runs on until Ctrl-C. [a temporary directory]",
)
def demo(directory: Path | None) -> int:
    """Converge a simulated rack: a switch, a PDU, a blade chassis, a storage array, three servers, a
    store on a git repository.

    Then commit a change, a server's new VLAN and volume, and see it arrive in order.
    """
    options.log_to_stderr()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    with ExitStack() as stack:
        if directory is None:
            base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rackwright-demo-")))
        else:
            if directory.exists() and any(directory.iterdir()):
                raise Permanent(f"{directory} is not empty; give a new directory")
            base = directory.absolute()
        rack = Rack(base)
        stack.callback(rack.processes.end)
        rack.prepare()
        rack.begin()
        rack.await_converged("the first converge", rack.commit)
        rack.show_places()
        say("What the store knows of every node:")
        show_status(rack.admin.status())
        since = time.time()
        rack.change()
        rack.await_converged("the change", rack.commit)
        say("How the change arrived, each step when it was verified:")
        rack.show_timeline(since)
        say("And what web2 has now:")
        etc = base / "root" / "web2" / "etc"
        click.echo((etc / "network/interfaces.d/eth0").read_text().rstrip())
        click.echo(f"data2: {(etc / 'iscsi/luns/data2').read_text().rstrip()}")
        say("The rack after the change:")
        show_status(rack.admin.status())
        rack.say_what_next(kept=directory is not None)
        if directory is not None and sys.stdin.isatty() and sys.stdout.isatty():
            rack.stay()
    return 0


def _leave(number: int, _frame: object) -> None:
    """End as on Ctrl-C: in order, with every process that we started."""
    raise SystemExit(128 + number)


def say(text: str) -> None:
    """A headline of the play."""
    click.echo(f"\n{click.style('▸ ' + text, bold=True)}")


class Rack:
    """A site in git, its simulated devices, a store, agents and a host's delegates: one process each."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self._site = DemoSite(base / "site")
        self.processes = Processes(base)
        self.commit = ""
        self._listen = f"127.0.0.1:{free_port()}"
        self._serving = False
        self._admin: AdminClient | None = None

    @property
    def admin(self) -> AdminClient:
        """The store, as its admin."""
        if self._admin is None:
            from rackwright.client import AdminClient

            key = (self.base / "store" / "admin.credential").read_text().strip()
            self._admin = AdminClient(f"http://{self._listen}", key)
        return self._admin

    def prepare(self) -> None:
        """Make the site's repository from the lab example, with addresses that are free here."""
        say("A site in git, from the lab example")
        self._site.make(self.base / "ttyUSB0", self._listen)
        # CHAP wants at least twelve characters (RFC 7143, section 12.1.4), and letters and digits do.
        body = "".join(f"{name}: {tokens.token_hex(8)}\n" for name in SECRETS)
        replace(self.base / "state" / "secrets", body.encode())
        for server in SERVERS:
            (self.base / "root" / server / "etc").mkdir(parents=True)
            (self.base / "root" / server / "srv").mkdir()
        self._save("The lab")
        for line in self._site.names():
            click.echo(f"  {line}")

    def begin(self) -> None:
        """Start the devices, the store, the agents and the admin host's delegates."""
        say(f"Simulated devices, a store, three agents, and the delegates of {HOST}")
        start, state = self.processes.start, str(self.base / "state")
        secrets = ("--secrets", f"{state}/secrets")
        start(
            "sim", "--site", str(self._site.folder), *secrets, "--state", str(self.base / "devices"),
            until="devices are up",
        )  # fmt: skip
        start(
            "store", "--site", str(self._site.folder), "--listen", self._listen,
            "--data", str(self.base / "store"), until="store at ",
        )  # fmt: skip
        self._serving = True
        reach = ("--store", f"http://{self._listen}", "--state", state, *secrets)
        for server in SERVERS:
            root = ("--root", str(self.base / "root" / server))
            token = self.admin.create_token([server])["token"]
            start("agent", "--node", server, *root, *reach, token=token, name=server)
        # On a host of its own systemd does that: the role delegate-host installs the service.
        start("delegates", "--node", HOST, *reach)

    def show_places(self) -> None:
        """What the store has placed where."""
        for host in self.admin.hosts()["hosts"]:
            names = [item["node"] for item in host["nodes"]]
            say(
                f"The store places {', '.join(names)} on {host['host']}: its agent starts them there"
            )

    def change(self) -> None:
        """Commit a new VLAN and a new volume for web2."""
        say(
            "A change: web2 gets a VLAN and a volume of its own, and its slot more power. One commit"
        )
        self._site.change()
        for line in self._site.diff(coloured=sys.stdout.isatty()):
            if not click.unstyle(line).startswith(("diff ", "index ", "--- ")):
                click.echo(f"  {line}")
        self._save("VLAN 30 and a volume for web2")

    def await_converged(self, what: str, commit: str) -> None:
        """Wait until every node has verified all that ``commit`` says. Raises Permanent."""
        with _waiting(what) as tell:
            deadline = time.monotonic() + PATIENCE
            while True:
                status = self._status()
                nodes = status["nodes"] if status else []
                force = (status["store"].get("in_force") or {}).get("commit") if status else None
                left = [
                    n for n in nodes if n["pending"] or n["state"] not in ("converged", "changed")
                ]
                if status and force == commit and nodes and not left:
                    return
                tell(", ".join(f"{n['node']} {n['state']}" for n in left) or "the store")
                self.processes.check()
                if time.monotonic() > deadline:
                    if status:
                        show_status(status)
                    raise Permanent(
                        f"{what} did not end within {PATIENCE:.0f} s; see {self.base}/*.log"
                    )
                time.sleep(0.1)

    def show_timeline(self, since: float) -> None:
        """What changed after ``since``, in the order in which it was verified."""
        events = []
        for run in self.admin.runs(limit=100):
            if run["finished"] < since:
                continue
            report = self.admin.report(run["node"], run["id"])
            events += [
                (run["finished"], run["node"], outcome)
                for outcome in report.get("outcomes", [])
                if outcome["state"] in ("changed", "removed", "failed", "blocked")
            ]
        for when, node, outcome in sorted(events, key=lambda event: event[0]):
            why = f"  {_short(outcome['why'])}" if outcome.get("why") else ""
            click.echo(
                f"  +{when - since:4.1f} s  {node:<7} {_short(outcome['address']):<44} "
                f"{style_state(outcome['state'])}{why}"
            )

    def say_what_next(self, *, kept: bool) -> None:
        """Where to go from here."""
        say("Done. Try next:")
        click.echo("  rackwright init my-site && rackwright lint my-site    your own site")
        if not kept:
            click.echo(
                "  rackwright demo --dir DIR                             the same, to look around in"
            )
        click.echo("  docs/writing-a-proposal.md                            how a site is written")
        if kept:
            click.echo(f"  git -C {self._site.folder} log, {self.base}/*.log, {self.base}/state")

    def stay(self) -> None:
        """Run on until Ctrl-C, to be looked at from another terminal."""
        say("It runs on until Ctrl-C. In another terminal:")
        click.echo(f"  export RACKWRIGHT_STORE=http://{self._listen}")
        click.echo(f"  export RACKWRIGHT_ADMIN={self.base / 'store' / 'admin.credential'}")
        click.echo(
            "  rackwright status; rackwright sequence; rackwright links; rackwright host list"
        )
        click.echo(f"  change {self._site.folder}, git commit, and: rackwright watch")
        interrupted = threading.Event()
        signal.signal(signal.SIGINT, lambda *_: interrupted.set())
        while not interrupted.wait(LOOK):
            self.processes.check()
        click.echo("")

    def _status(self) -> dict[str, Any] | None:
        try:
            return self.admin.status()
        except Unreachable:
            return None

    def _save(self, message: str) -> None:
        self.commit = self._site.commit(message)
        if self._serving:
            self.admin.poke()


@contextmanager
def _waiting(what: str) -> Iterator[Callable[[str], None]]:
    """Say what is waited for: a spinner on a terminal, plain lines elsewhere."""
    began = time.time()
    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status(what) as spinner:
            yield lambda text: spinner.update(f"{what}: {text}")
    else:
        click.echo(f"  waiting for {what}")
        yield lambda _text: None
    click.echo(f"  {what} took {time.time() - began:.1f} s")


def _short(address: str) -> str:
    return address.replace("iqn.2026-11.example.lab:", "…:")
