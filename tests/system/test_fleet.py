"""Fifty switches under one delegate process: one is dead, one hangs, one lies and one takes no packets.
The others converge as they do without them, and the status says of each of the four what is wrong."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from rackwright_sim.control import ask

from .forker import Forker
from .simulators import ROOT
from .sites import deployed, eventually
from .stores import Store, free_port, store

GOOD = [f"sw{number}" for number in range(1, 48)]
LIES, HANGS = "sw48", "sw49"
DEAD, DROPS = "dead", "drops"
BAD = (LIES, HANGS, DEAD, DROPS)


@contextmanager
def farm() -> Iterator[tuple[int, dict[str, dict[str, Any]]]]:
    """Simulated switches in a process of their own: the control port, and each as it is reached."""
    with subprocess.Popen(
        [sys.executable, "-m", "rackwright_sim.farm", "--count", "49"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            assert process.stdout
            lines = [json.loads(process.stdout.readline()) for _ in range(51)]
            yield lines[0]["control"], {line["name"]: line for line in lines[1:-1]}
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def nobody_accepts() -> Iterator[int]:
    """A port whose backlog is full: further connections get no answer at all."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def documents(
    devices: dict[str, dict[str, Any]], nodes: list[str], vlans: list[int]
) -> list[dict[str, Any]]:
    """A site of ``nodes``, all with the same VLANs."""
    found: list[dict[str, Any]] = []
    for name in nodes:
        reach = {key: devices[name][key] for key in ("host", "port", "username")}
        ssh = {**reach, "password": {"secret": "device"}}
        found.append(
            {"node": name, "type": "switch", "platform": "cisco_ios", "reach": [{"ssh": ssh}]}
        )
    role = [{"vlan": str(vlan), "title": f"net-{vlan}"} for vlan in vlans]
    role += [{"port": "GigabitEthernet1/0/1", "mode": "access", "access_vlan": vlans[0]}]  # type: ignore[dict-item]
    vlans_role, proposal = deployed("net", "switch", "", role)
    return [*found, vlans_role, {**proposal, "deploy": {"net": nodes}}]


@contextmanager
def delegated(
    tmp_path: Path, forker: Forker, devices: dict[str, dict[str, Any]], nodes: list[str]
) -> Iterator[Store]:
    """A store, and one delegate process for all ``nodes``."""
    tmp_path.mkdir()
    secrets = tmp_path / "secrets"
    secrets.touch(0o600)
    secrets.write_text("device: rack\n")
    with store(forker, tmp_path, *documents(devices, nodes, [10, 20])) as made:
        delegate = forker.start(
            "delegate", *nodes, "--store", made.url, "--token", made.token(*nodes),
            "--state", str(tmp_path / "state"), "--secrets", str(secrets), "--json",
            "--interval", "3600", "--splay", "0",
        )  # fmt: skip
        try:
            yield made
        finally:
            delegate.kill()


def lacking(made: Store, control: int, vlan: str) -> list[dict[str, Any]]:
    """The good switches that have not ``vlan``, or of which the store does not know it, as the status has
    them."""
    running = ask(control, "running")
    return [
        {**line, "on the switch": vlan in running[line["node"]]}
        for line in made.admin.status()["nodes"]
        if line["node"] in GOOD
        and not (
            line["state"] in ("changed", "converged")
            and not line["pending"]
            and vlan in running[line["node"]]
        )
    ]


def await_converged(made: Store, control: int, vlan: str) -> None:
    """Wait until all good switches have ``vlan``, and the store knows it; for as long as one after the other
    gets there: on a busy machine all of them together take minutes. Otherwise the error says who lacks
    what."""
    left = lacking(made, control, vlan)
    while left:
        fewest = len(left)

        def fewer() -> bool:
            nonlocal left
            left = lacking(made, control, vlan)
            return len(left) < fewest  # noqa: B023 - asked at once

        try:
            eventually(fewer, pause=0.25)  # to look is work for those who are waited for
        except AssertionError:
            raise AssertionError(json.dumps(left, indent=1)) from None


def work(control: int) -> dict[str, Any]:
    """What was asked of each good switch."""
    counters = ask(control, "counters")
    return {name: (counters[name]["sessions"], counters[name]["commands"]) for name in GOOD}


@pytest.mark.timeout(600)
def test_a_dead_a_hanging_and_a_lying_switch_delay_no_other(tmp_path: Path, forker: Forker) -> None:
    with farm() as (control, devices), delegated(tmp_path / "a", forker, devices, GOOD) as made:
        await_converged(made, control, "name net-20")
        alone = work(control)
    with (
        farm() as (control, devices),
        nobody_accepts() as port,
    ):
        devices[DEAD] = {**devices["sw1"], "port": free_port()}
        devices[DROPS] = {**devices["sw1"], "port": port}
        ask(control, "faults", name=LIES, faults={"lie": True})
        ask(control, "faults", name=HANGS, faults={"hang": True})
        nodes = [*BAD, *GOOD]
        with delegated(tmp_path / "b", forker, devices, nodes) as made:
            await_converged(made, control, "name net-20")
            # The one that hangs is still being waited for.
            assert made.node(HANGS)["state"] == "never seen"
            assert work(control) == alone

            # A change arrives at the good ones while the bad ones are waited for, or back off.
            made.commit(*documents(devices, nodes, [10, 20, 30]))
            await_converged(made, control, "name net-30")

            states = {
                name: eventually(lambda name=name: told(made, name))  # type: ignore[misc]
                for name in BAD
            }
            assert states[DEAD]["state"] == "unreachable"
            assert "refused" in states[DEAD]["error"]
            assert states[DROPS]["state"] == "unreachable"
            assert "no answer" in states[DROPS]["error"]
            assert states[HANGS]["state"] == "unreachable"
            assert "login: it does not answer" in states[HANGS]["error"]
            assert states[LIES]["state"] == "failed"
            assert "accepted it, but when read back" in states[LIES]["error"]
            print(json.dumps({name: found["error"] for name, found in states.items()}, indent=1))


def told(made: Store, name: str) -> dict[str, Any] | None:
    line = made.node(name)
    return line if line["error"] else None
