"""One client of the switch bench: ``python -m bench.switch_clients WHO``, the work as JSON on its input.

Each gives every switch the same VLANs: connect, read what is there, configure what is missing, save.
Ours also reads back and keeps its ledger on disk. At the first meeting it asks each device for its facts
(version, ports, MAC table, neighbours), which the others do not: that is timed apart, as a dry run.
The libraries are imported, the inventory is read and the site compiled before the clock starts.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

KEPT_ROUNDS = 3
THREADS = 100
"""Of the peers; more make them slower on two cores."""


class Client(Protocol):
    """One way to do the work. Each method does it for all switches at once."""

    def meet(self) -> None:
        """Learn what is to be known of the devices before they are converged, and leave them."""

    def run(self) -> None:
        """Converge, over kept sessions where there are any."""

    def leave(self) -> None:
        """Close all sessions."""


class Ours:
    """All delegates in this process, as ``rackwright delegate … --site`` runs them."""

    def __init__(self, switches: list[dict[str, Any]], vlans: list[int], folder: Path) -> None:
        import rackwright_providers.switch.ios_discover
        import rackwright_providers.transport.cli_driver
        import rackwright_providers.transport.ssh_client  # noqa: F401
        from rackwright import delegate
        from rackwright.cli.stamp import SETTLED
        from rackwright.cli.tree import Tree, TreeSource
        from rackwright.loop import Pace
        from rackwright.provider import Registry

        site = folder / "site"
        site.mkdir()
        (site / "site.yaml").write_text(_site(switches, vlans))
        secrets = folder / "secrets"
        secrets.touch(mode=0o600)
        secrets.write_text("".join(f"{one['name']}: {one['password']}\n" for one in switches))
        registry = Registry.installed()
        time.sleep(SETTLED)  # or it would be compiled once more, for it has only just changed
        tree = Tree(site, registry, folder / "state")
        tree.checked()
        self._left = 0
        self._done = threading.Condition()
        self._trouble: list[str] = []
        self._started = False
        self._loops = delegate.loops(
            [switch["name"] for switch in switches],
            lambda node: TreeSource(tree, node),
            registry=registry,
            state=folder / "state",
            secrets=secrets,
            here="",
            pace=Pace(interval=3600.0, splay=0.0),
            stop=threading.Event(),
            report=self._heard,
        )

    def _heard(self, report: Any) -> None:
        with self._done:
            if report.exit_code:
                self._trouble.append(f"{report.node}: {report.error or report.outcomes}")
            self._left -= 1
            self._done.notify()

    def meet(self) -> None:
        with ThreadPoolExecutor(len(self._loops)) as pool:
            reports = list(pool.map(lambda loop: loop.runner.run(why_run=True), self._loops))
        if trouble := [f"{one.node}: {one.error}" for one in reports if one.exit_code]:
            raise RuntimeError("; ".join(trouble[:3]))

    def run(self) -> None:
        self._left = len(self._loops)
        for loop in self._loops:
            if self._started:
                loop.wake()
            else:
                loop.start()
        self._started = True
        with self._done:
            self._done.wait_for(lambda: self._left == 0)
        if self._trouble:
            raise RuntimeError("; ".join(self._trouble[:3]))

    def leave(self) -> None:
        with ThreadPoolExecutor(len(self._loops)) as pool:
            list(pool.map(lambda loop: loop.runner.close(), self._loops))


def _site(switches: list[dict[str, Any]], vlans: list[int]) -> str:
    nodes = "".join(
        f"---\nnode: {one['name']}\ntype: switch\nplatform: cisco_ios\nreach:\n"
        f"  - ssh: {{host: {one['host']}, port: {one['port']}, username: {one['username']}, "
        f"password: {{secret: {one['name']}}}, host_key: {one['host_key']}}}\n"
        for one in switches
    )
    wanted = ", ".join(f"{vlan}: {{name: bench{vlan}}}" for vlan in vlans)
    return (
        f"site: bench\n{nodes}---\nproposal: bench\nattributes: {{vlans: {{{wanted}}}}}\n"
        "deploy: {vlans: [type=switch]}\n"
    )


def bring(connection: Any, vlans: list[int]) -> None:
    """What netmiko users write."""
    shown = connection.send_command("show vlan brief")
    there = {line.split()[0] for line in shown.splitlines() if line[:1].isdigit()}
    missing = [vlan for vlan in vlans if str(vlan) not in there]
    if missing:
        connection.send_config_set(
            [line for vlan in missing for line in (f"vlan {vlan}", f"name bench{vlan}")]
        )
        connection.save_config()


class Netmiko:
    """Raw netmiko, a thread for each switch up to `THREADS`."""

    def __init__(self, switches: list[dict[str, Any]], vlans: list[int], folder: Path) -> None:
        import netmiko

        self._connect = netmiko.ConnectHandler
        self._switches, self._vlans = switches, vlans
        self._kept: dict[str, Any] = {}
        self._pool = ThreadPoolExecutor(min(THREADS, len(switches)))

    def meet(self) -> None:
        """Nothing to learn."""

    def _one(self, switch: dict[str, Any]) -> None:
        connection = self._kept.get(switch["name"])
        if connection is None:
            connection = self._connect(
                device_type="cisco_ios",
                host=switch["host"],
                port=switch["port"],
                username=switch["username"],
                password=switch["password"],
                conn_timeout=60,
                banner_timeout=60,
                auth_timeout=60,
            )
            self._kept[switch["name"]] = connection
        bring(connection, self._vlans)

    def run(self) -> None:
        list(self._pool.map(self._one, self._switches))

    def leave(self) -> None:
        list(self._pool.map(lambda connection: connection.disconnect(), self._kept.values()))
        self._kept = {}


class Nornir:
    """nornir with its netmiko plugin and its threaded runner."""

    def __init__(self, switches: list[dict[str, Any]], vlans: list[int], folder: Path) -> None:
        from nornir import InitNornir

        hosts = {
            one["name"]: {
                "hostname": one["host"],
                "port": one["port"],
                "username": one["username"],
                "password": one["password"],
                "platform": "cisco_ios",
                "connection_options": {
                    "netmiko": {
                        "extras": {"conn_timeout": 60, "banner_timeout": 60, "auth_timeout": 60}
                    }
                },
            }
            for one in switches
        }
        file = folder / "hosts.yaml"
        file.write_text(json.dumps(hosts))
        self._vlans = vlans
        self._nornir = InitNornir(
            runner={
                "plugin": "threaded",
                "options": {"num_workers": min(THREADS, len(switches))},
            },
            inventory={"plugin": "SimpleInventory", "options": {"host_file": str(file)}},
            logging={"enabled": False},
        )

    def meet(self) -> None:
        """Nothing to learn."""

    def run(self) -> None:
        def work(task: Any) -> None:
            bring(task.host.get_connection("netmiko", task.nornir.config), self._vlans)

        result = self._nornir.run(task=work)
        for failed in result.failed_hosts.values():
            raise RuntimeError(str(failed[0].exception))

    def leave(self) -> None:
        self._nornir.run(task=lambda task: task.host.close_connections())


CLIENTS: dict[str, Callable[[list[dict[str, Any]], list[int], Path], Client]] = {
    "rackwright": Ours,
    "netmiko": Netmiko,
    "nornir": Nornir,
}


def timed(work: Callable[[], None]) -> dict[str, float]:
    """Wall seconds, and CPU seconds of all threads of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def main() -> None:
    """Do the phases, print a JSON line for each; between them wait for a line of input."""
    job = json.loads(sys.stdin.readline())
    with tempfile.TemporaryDirectory(prefix="rw-bench-") as folder:
        client = CLIENTS[sys.argv[1]](job["switches"], job["vlans"], Path(folder))

        def kept() -> dict[str, float]:
            rounds = [timed(client.run) for _ in range(KEPT_ROUNDS)]
            return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}

        def new() -> dict[str, float]:
            client.leave()
            return timed(client.run)

        phases = {
            "meet": lambda: timed(client.meet),
            "first": lambda: timed(client.run),
            "kept": kept,
            "new": new,
        }
        for name, phase in phases.items():
            sys.stdin.readline()
            print(json.dumps({"phase": name, **phase()}), flush=True)
        sys.stdin.readline()
        client.leave()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"phase": "end", "peak": peak}), flush=True)


if __name__ == "__main__":
    main()
