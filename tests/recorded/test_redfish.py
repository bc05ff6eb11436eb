"""Redfish trees, read as from a service: ``$RACKWRIGHT_RECORDED/redfish_ctl`` (github.com/spyroot;
Supermicro's are captured from controllers, HPE's is from its own emulator) and
``Redfish-Mockup-Server`` (github.com/DMTF; an example that DMTF wrote)."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path

import pytest

from rackwright.model.change import Wanted
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.chassis.redfish import Redfish
from rackwright_providers.chassis.resources import Blade
from tests.transport.http_server import Reply, Respond, device

RECORDED = Path(os.environ.get("RACKWRIGHT_RECORDED", "/nonexistent"))
SETS = {
    "redfish_ctl/tests/supermicro_x10_fixtures": ("1", "none", None),
    "redfish_ctl/tests/supermicro_fixtures": ("System_0", "none", ""),
    "redfish_ctl/tests/hpe_fixtures": ("1", "none", ""),
    "redfish_ctl/tests/idrac_fixtures": ("System.Embedded.1", "none", None),
    "Redfish-Mockup-Server/public-rackmount1": ("437XR1138R2", "none", "Chicago-45Z-2381"),
}
"""Set → a system of it, its boot device and label."""


def replay(folder: Path) -> Respond:
    """``/redfish/v1/Systems/1`` is in ``_redfish_v1_Systems_1.json``, or in ``Systems/1/index.json``."""

    def respond(method: str, path: str) -> Reply:
        plain = path.partition("?")[0].rstrip("/")
        inner = plain.removeprefix("/redfish/v1").strip("/")
        for file in (folder / f"{plain.replace('/', '_')}.json", folder / inner / "index.json"):
            if file.is_file():
                return Reply(body=file.read_bytes())
        return Reply(404, b'{"error": {"message": "no such resource"}}')

    return respond


@pytest.mark.proves("redfish", "blade", over="http", on="recorded", by="Supermicro X10SDV and GB300")  # fmt: skip
@pytest.mark.parametrize("recording", SETS, ids=lambda name: name.rpartition("/")[2])
def test_every_system_of_a_recording_is_read(recording: str) -> None:
    folder = RECORDED / recording
    if not folder.is_dir():
        pytest.skip("RACKWRIGHT_RECORDED names no directory with it")
    name, boot, label = SETS[recording]
    provider = Redfish()
    with device(replay(folder)) as found:
        way = Way(transport="http", options={"url": found.url})
        around = Surroundings(state=Path("/nonexistent"))
        with closing(provider.open(way, around)) as session:
            wanted = Wanted(frozenset({Blade}), {})
            blades = provider.read(session, wanted)
            assert blades == provider.read(session, wanted)
            facts = provider.discover(session)
    assert Blade(name=name, power="on", boot=boot, label=label) in blades.values()  # type: ignore[arg-type]
    assert {method for method, _, _, _ in found.asked} == {"GET"}
    assert name in facts.values["systems"]
    described = facts.values["systems"][name]
    assert described.keys() <= {
        "name", "manufacturer", "model", "serial", "sku", "uuid", "bios", "host_name", "health", "macs"
    }  # fmt: skip
    assert json.dumps(facts.values)
