"""The engine around interfaces, routes, kernel parameters and mounts of a real kernel."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rackwright.engine.converge import Job, converge
from rackwright.engine.ledger import LedgerFile
from rackwright.model.bundle import Bundle, Declared, Gates, Origin
from rackwright.model.resource import Resource, digest, to_data
from rackwright.model.site import Node, Way
from rackwright.provider import Surroundings
from rackwright_providers.server import kernel, mounts
from rackwright_providers.server.kernel_resources import Mount, Sysctl
from rackwright_providers.server.linux import Linux
from rackwright_providers.server.network_resources import Interface, Route
from tests.server import inside


def run(
    state: Path, *resources: Resource, why_run: bool = False, destroy: bool = False
) -> dict[str, str]:
    """One converge: state by address, with the reason where there is one."""
    bundle = Bundle(
        node=Node(name="web1", type="server", platform="linux"),
        revision="r",
        resources=tuple(
            Declared(
                type=one.kind,
                data=to_data(one),
                digest=digest(one.kind, to_data(one)),
                origin=Origin(file="site.yaml", line=number),
                destroy=destroy,
            )
            for number, one in enumerate(resources, 1)
        ),
    )
    linux = Linux()
    around = Surroundings(state=state, writable=not why_run)
    with closing(linux.open(Way(transport="local", options={}), around)) as session:
        job = Job(bundle=bundle, gates=Gates(), secrets={}, why_run=why_run)
        report = converge(job, linux, session, LedgerFile(state / "ledger.json"))
    assert not report.error, report.error
    return {
        one.address: f"{one.state}: {one.why}" if one.why else one.state for one in report.outcomes
    }


def ip(*argv: str) -> str:
    return subprocess.run(["ip", *argv], check=True, capture_output=True, text=True).stdout


def everything(folder: str) -> None:
    """In a network and a mount namespace of its own."""
    state = Path(folder)
    kernel.FOLDER, mounts.FSTAB = f"{folder}/sysctl.d", f"{folder}/fstab"
    ip("link", "add", "eth0", "type", "veth", "peer", "name", "far")
    ip("link", "set", "far", "up")
    ip("route", "add", "blackhole", "10.99.0.0/16")
    wanted = (
        Route(name="10.8.0.0/16", via="10.0.0.1", dev="eth0"),  # after its interface, not before
        Interface(name="eth0", state="up", mtu=1400, addresses=("10.0.0.5/24",)),
        Sysctl(name="net.ipv4.conf.eth0.rp_filter", value=2),
        Mount(name=f"{folder}/data", device="tmpfs", fstype="tmpfs", options="size=1m"),
    )
    names = [str(one.address) for one in wanted]
    assert run(state, *wanted, why_run=True) == dict.fromkeys(names, "changed")
    assert "10.0.0.5" not in ip("addr")
    assert not list(state.iterdir()), "a why-run writes nothing"
    assert run(state, *wanted) == dict.fromkeys(names, "changed")
    assert run(state, *wanted) == dict.fromkeys(names, "in_sync")

    # The path out is not cut.
    gateway = Route(name="default", via="10.0.0.1", dev="eth0")
    assert run(state, *wanted, gateway)["route/default"] == "changed"
    cut = run(state, Interface(name="eth0", state="down"), *wanted[2:], gateway)
    assert cut["interface/eth0"].startswith("refused: this carries the path")
    assert "state UP" in ip("link", "show", "eth0")

    # What is in memory is lost with its mount: not unasked.
    assert run(state, *wanted[:3], gateway)["mount/" + wanted[3].name].startswith("refused")
    run(state, *wanted, destroy=True)

    # No longer declared: what we made goes, the rest is left alone.
    assert run(state)["mount/" + wanted[3].name] == "removed"
    assert "10.8.0.0" not in ip("route")
    assert "blackhole 10.99.0.0/16" in ip("route")
    assert "10.0.0.5/24" in ip("addr", "show", "eth0")  # a fixture is let go as it is
    assert not Path(folder, "data").is_mount()
    assert not list(Path(kernel.FOLDER).iterdir())


@pytest.fixture
def ns() -> Iterator[str]:
    yield from inside.namespace()


@pytest.mark.root
def test_everything(ns: str, tmp_path: Path) -> None:
    inside.call(ns, everything, str(tmp_path), wrapper=["unshare", "-m"])
