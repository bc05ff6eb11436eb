"""The powerman provider: its parsers, and its sessions with the simulated host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from rackwright.model import errors
from rackwright.model.change import Change
from rackwright.model.errors import Rejected, Unreachable
from rackwright.model.report import FieldChange
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.pdu import plain_pdu
from rackwright_providers.pdu import powerman_parse as pm
from rackwright_providers.pdu.powerman import Powerman
from rackwright_providers.pdu.resources import Outlet
from rackwright_sim.cli_ssh import BoxSsh
from rackwright_sim.faults import Faults
from rackwright_sim.powerman import PowermanHost
from tests.pdu.conftest import ALL
from tests.tables import table

CASES = table(Path(__file__).parent / "cases" / "powerman.yaml")
PROVIDER = Powerman()


@pytest.mark.parametrize("case", CASES["queries"])
def test_the_answer_to_a_query(case: dict[str, Any]) -> None:
    assert pm.states(case["text"]) == case["states"]


@pytest.mark.parametrize("case", CASES["failures"])
def test_what_a_status_means(case: dict[str, Any]) -> None:
    error = pm.failure("ssh h:22", case["status"], case["text"])
    assert type(error) is getattr(errors, case["error"])
    assert case["why"] in str(error)


def test_commands() -> None:
    assert PROVIDER.command("web1", "off") == "powerman --off web1"
    assert pm.query_argv("web1") == ("powerman", "--exprange", "--query", "web1")


@contextmanager
def session(host: PowermanHost, state: Path, *, writable: bool = True) -> Iterator[Any]:
    with BoxSsh(host, shell=False) as ssh:
        options = {"host": ssh.host, "port": ssh.port, "host_key": ssh.host_key}
        login = {"username": host.access.username, "password": host.access.password}
        way = Way(transport="ssh", options={**options, **login})
        with closing(PROVIDER.open(way, Surroundings(state=state, writable=writable))) as found:
            yield found


def change(name: str, power: str) -> list[Change]:
    after = Outlet(name=name, state=power)  # type: ignore[arg-type]
    fields = (FieldChange(field="state", old=None, new=power),)
    return [Change("update", after.address, Outlet(name=name), after, fields)]


def test_nodes_of_a_unit_that_is_away_are_unknown_and_the_others_are_told(tmp_path: Path) -> None:
    host = PowermanHost(("web1", "x1"), away=("x1",))
    with session(host, tmp_path) as opened:
        assert opened.states() == {"web1": "off", "x1": None}
        steps = PROVIDER.render(change("x1", "on"), {})
        with pytest.raises(Rejected, match="away: connect timeout"):
            PROVIDER.commit(opened, steps)
        PROVIDER.commit(opened, PROVIDER.render(change("web1", "on"), {}))
        assert host.nodes == {"web1": "on", "x1": "off"}
        assert PROVIDER.discover(opened).values == {"version": "2.3.27", "outlets": 2}


def test_a_command_that_changes_nothing_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain_pdu, "PATIENCE", 0.3)
    host = PowermanHost(faults=Faults(lie=True))
    said = r"outlet node1: .* command on.* the outlet is off"
    with session(host, tmp_path) as opened, pytest.raises(Rejected, match=said):
        PROVIDER.commit(opened, PROVIDER.render(change("node1", "on"), {}))


def test_reboot(tmp_path: Path) -> None:
    host = PowermanHost(("web1", "web2"))
    with session(host, tmp_path) as opened:
        PROVIDER.reboot(opened, "web1")
        assert host.nodes == {"web1": "on", "web2": "off"}
        with pytest.raises(Rejected, match="No such nodes: web9"):
            PROVIDER.reboot(opened, "web9")
        assert host.counters.writes == 1


def test_a_reader_cannot_write_and_a_lost_host_is_unreachable(tmp_path: Path) -> None:
    host = PowermanHost()
    with session(host, tmp_path, writable=False) as opened:
        assert len(PROVIDER.read(opened, ALL)) == 16
        assert not hasattr(opened, "switch")
        assert not hasattr(opened, "cycle")
        opened.close()
        with pytest.raises(Unreachable):
            opened.states()
