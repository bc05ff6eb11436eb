"""Services, against a systemctl in software, and the real one where systemd runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rackwright.model.change import Change
from rackwright.model.errors import Permanent, Rejected
from rackwright_providers.server import linux
from rackwright_providers.server.services import ServiceHandler, observed
from rackwright_providers.server.software_resources import Service
from tests.server.converging import converge, look
from tests.server.fakes import SYSTEMCTL, Fakes

ROOT = Path("/")


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    off = {"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "disabled"}
    on = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
    fakes = Fakes(tmp_path, units={"off.service": off, "on.service": on, "tick.timer": dict(off)})
    fakes.add("systemctl", SYSTEMCTL)
    fakes.use(monkeypatch)
    monkeypatch.setattr(linux, "SYSTEMD", tmp_path)
    return fakes


CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({"name": "off", "state": "running", "enabled": True}, ["enable off.service", "start off.service"]),
    ({"name": "off", "state": "running"}, ["start off.service"]),
    ({"name": "off", "enabled": False}, []),
    ({"name": "on", "state": "running", "enabled": True}, []),
    ({"name": "on", "state": "stopped", "enabled": False}, ["disable on.service", "stop on.service"]),
    ({"name": "on.service", "state": "stopped"}, ["stop on.service"]),
    ({"name": "tick.timer", "enabled": True}, ["enable tick.timer"]),
    ({"name": "gone", "state": "stopped", "enabled": False}, []),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "verbs"), CASES)
@pytest.mark.proves("linux", "service", over="local", on="stand-in", by="answers as systemctl does")
def test_case(fields: dict[str, Any], verbs: list[str], systemd: Fakes, tmp_path: Path) -> None:
    service = Service(**fields)
    texts = converge(ROOT, service, state=tmp_path)
    assert texts == (["; ".join(f"systemctl {verb}" for verb in verbs)] if verbs else [])
    assert [call.replace(" -- ", " ") for call in systemd.writes()] == [
        f"systemctl --no-ask-password {verb}" for verb in verbs
    ]
    assert look(ROOT, service) == []


def test_all_units_are_read_by_one_command(systemd: Fakes) -> None:
    look(ROOT, *(Service(name=name, state="stopped") for name in ("off", "gone", "tick.timer")))
    assert len(systemd.state["calls"]) == 1


def test_a_unit_that_is_not_there_fails_in_systemds_words(systemd: Fakes, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"Unit gone\.service not found"):
        converge(ROOT, Service(name="gone", state="running"), state=tmp_path)


def test_a_changed_unit_file_is_read_again_first(systemd: Fakes, tmp_path: Path) -> None:
    state = systemd.state
    state["units"]["off.service"]["NeedDaemonReload"] = "yes"
    systemd.write(state)
    converge(ROOT, Service(name="off", state="running"), state=tmp_path)
    assert systemd.writes()[0] == "systemctl daemon-reload"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"state": "running"}, "systemctl restart x.service"),
        ({}, "systemctl try-restart x.service"),
        ({"state": "running", "on_notify": "reload"}, "systemctl reload x.service"),
        ({"state": "stopped"}, None),
    ],
)
def test_a_notification(fields: dict[str, Any], text: str | None) -> None:
    service = Service(name="x", **fields)
    steps = ServiceHandler().render([Change("notify", service.address, None, service)])
    assert [step.text for step in steps] == ([text] if text else [])


@pytest.mark.parametrize(
    ("active", "file", "state", "enabled"),
    [
        ("active", "enabled", "running", True),
        ("reloading", "static", "running", True),
        ("activating", "indirect", "stopped", True),
        ("failed", "disabled", "stopped", False),
        ("inactive", "masked", "stopped", False),
        ("active", "enabled-runtime", "running", False),
        ("inactive", "", "stopped", False),
    ],
)
def test_what_systemd_says(active: str, file: str, state: str, enabled: bool) -> None:
    seen = observed(Service(name="x"), {"ActiveState": active, "UnitFileState": file})
    assert (seen.state, seen.enabled) == (state, enabled)


def test_without_systemd_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux, "SYSTEMD", tmp_path / "missing")
    with pytest.raises(Permanent, match=r"no systemd here: .*/missing is missing"):
        look(ROOT, Service(name="x", state="running"))


@pytest.mark.root
@pytest.mark.skipif(not linux.SYSTEMD.is_dir(), reason="systemd does not run here")
def test_the_real_one_is_read() -> None:
    wanted = Service(name="systemd-journald", state="running")
    assert look(ROOT, wanted) == []
