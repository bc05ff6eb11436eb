"""Recorded APC units behind snmpsim, through the whole engine, from a site's YAML: facts and plans
over v2c and over v3 with authentication and encryption, and not one write on the wire."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rackwright.cli.tree import Tree, TreeSource
from rackwright.provider import Registry
from rackwright.run import NodeRunner
from tests.real import parts

snmpsim_data = pytest.importorskip("snmpsim_data")
RESPONDER = Path(sys.executable).with_name("snmpsim-command-responder")
RECORDED = Path(snmpsim_data.__file__).parent / "data" / "UPS"
pytestmark = [
    pytest.mark.apt,
    pytest.mark.skipif(
        bool(parts.missing("snmpset", "setpriv", str(RESPONDER))),
        reason=parts.missing("snmpset", "setpriv", str(RESPONDER)),
    ),
]
UNITS = {"apc-7902b": ("AP7902B", 16), "apc-8641": ("AP8641", 24), "apc-8932": ("AP8932", 24)}
"""Model and number of outlets of each."""
STATE = "1.3.6.1.4.1.318.1.1.12.3.5.1.1.4"  # rPDUOutletStatusOutletState: on 1, off 2
LABEL = "1.3.6.1.4.1.318.1.1.12.3.5.1.1.2"  # rPDUOutletStatusOutletName
AUTH, PRIV = "auth-passphrase", "priv-passphrase"


@dataclass(frozen=True)
class Sim:
    """Every unit at a port of its own, over both versions."""

    ports: dict[str, int]
    log: Path

    def sets(self) -> int:
        """How many SETs it has been asked for, by its own log."""
        return self.log.read_text().count("flags: EXACT, SET")

    def reach(self, unit: str, version: str) -> dict[str, Any]:
        """What a site says of the way to a unit."""
        way: dict[str, Any] = {"host": "127.0.0.1", "port": self.ports[unit]}
        if version == "2c":
            return {**way, "community": {"secret": "community"}}
        secret = {"auth": {"secret": "auth"}, "priv": {"secret": "priv"}}
        return {**way, "version": "3", "username": "rackv3", **secret}


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sim]:
    where = tmp_path_factory.mktemp("snmpsim")
    (where / "cache").mkdir()
    ports: dict[str, int] = {}
    argv = [str(RESPONDER), f"--cache-dir={where / 'cache'}"]
    if os.geteuid() == 0:
        argv += ["--process-user=root", "--process-group=root"]
    with contextlib.ExitStack() as held:
        for unit in UNITS:
            probe = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            probe.bind(("127.0.0.1", 0))
            ports[unit] = probe.getsockname()[1]
    for number, unit in enumerate(UNITS):
        data = where / unit
        data.mkdir()
        for name in ("rack-ro", "self"):  # by community, and by v3 without a context
            shutil.copy(RECORDED / f"{unit}.snmprec", data / f"{name}.snmprec")
        argv += [f"--v3-engine-id=800000000102030{number}", "--v3-user=rackv3"]
        argv += [f"--v3-auth-key={AUTH}", "--v3-auth-proto=SHA"]
        argv += [f"--v3-priv-key={PRIV}", "--v3-priv-proto=AES"]
        argv += [f"--data-dir={data}", f"--agent-udpv4-endpoint=127.0.0.1:{ports[unit]}"]

    log = where / "log"

    def listens() -> bool:
        # It says so in its log before it does.
        bound = Path("/proc/net/udp").read_text().splitlines()[1:]
        return {f"0100007F:{port:04X}" for port in ports.values()} <= {
            line.split()[1] for line in bound
        }

    with parts.daemon(argv, log, ready=listens):
        yield Sim(ports, log)


def recorded(unit: str) -> dict[str, str]:
    """The recording's rows as text, by OID."""
    rows = {}
    for line in (RECORDED / f"{unit}.snmprec").read_text("latin-1").splitlines():
        oid, kind, value = line.split("|", 2)
        rows[oid] = bytes.fromhex(value).decode("latin-1") if kind == "4x" else value
    return rows


def runner(sim: Sim, unit: str, version: str, base: Path, outlets: dict[str, Any]) -> NodeRunner:
    """The engine on one unit, with the role library's ``outlets``."""
    way = sim.reach(unit, version)
    documents = [
        {"site": "power"},
        {"node": unit, "type": "pdu", "platform": "apc_rpdu", "reach": [{"snmp": way}]},
        {"proposal": "power", "attributes": {"outlets": outlets}, "deploy": {"outlets": [unit]}},
    ]
    site, state = base / "site", base / "state"
    site.mkdir()
    state.mkdir()
    (site / "site.yaml").write_text("\n---\n".join(map(json.dumps, documents)))
    (state / "secrets").touch(mode=0o600)
    (state / "secrets").write_text(f"community: rack-ro\nauth: {AUTH}\npriv: {PRIV}\n")
    registry = Registry.installed()
    return NodeRunner(
        node=unit,
        source=TreeSource(Tree(site, registry, state), unit),
        registry=registry,
        state=state / unit,
        secrets=state / "secrets",
    )


@pytest.mark.parametrize("version", ["2c", "3"])
@pytest.mark.parametrize("unit", UNITS)
def test_a_plan_for_a_recorded_unit(sim: Sim, unit: str, version: str, tmp_path: Path) -> None:
    rows, (model, count) = recorded(unit), UNITS[unit]
    word = {"1": "on", "2": "off"}
    other = {"1": "off", "2": "on"}
    outlets: dict[str, Any] = {
        str(n): {"state": word[rows[f"{STATE}.{n}"]], "label": rows[f"{LABEL}.{n}"]}
        for n in range(1, count + 1)
    }
    outlets["1"] = {"state": other[rows[f"{STATE}.1"]], "label": rows[f"{LABEL}.1"]}
    outlets["2"] = {"state": word[rows[f"{STATE}.2"]], "label": "web1"}
    before = sim.sets()
    planning = runner(sim, unit, version, tmp_path, outlets)
    report = planning.run(why_run=True)

    assert report.error == ""
    assert report.via == f"snmp 127.0.0.1:{sim.ports[unit]}"
    assert len(report.outcomes) == count
    changes = {
        outcome.address: [(change.field, change.old, change.new) for change in outcome.changes]
        for outcome in report.outcomes
        if outcome.state != "in_sync"
    }
    one, two = outlets["1"], outlets["2"]
    assert changes == {
        "outlet/1": [("state", word[rows[f"{STATE}.1"]], one["state"])],
        "outlet/2": [("label", rows[f"{LABEL}.2"], two["label"])],
    }
    assert list(planning.state.glob("*")) == []
    assert sim.sets() == before
    planning.run(fresh_facts=True)
    facts = json.loads((planning.state / "facts.json").read_text())["facts"]["values"]
    assert (facts["model"], facts["outlets"]) == (model, count)


def test_a_unit_that_takes_no_writes_is_not_said_to_be_converged(sim: Sim, tmp_path: Path) -> None:
    """A recording takes none; and this shows that `Sim.sets` would have seen one above."""
    unit = "apc-7902b"
    state = {"1": "off", "2": "on"}[recorded(unit)[f"{STATE}.1"]]
    before = sim.sets()
    report = runner(sim, unit, "2c", tmp_path, {"1": {"state": state}}).run()
    assert sim.sets() > before
    assert report.exit_code == 2
    (outcome,) = report.outcomes
    assert outcome.state == "failed"
    assert outcome.why
