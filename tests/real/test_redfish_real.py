"""The Redfish provider against sushy-tools' emulator, which nobody here wrote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rackwright.model.address import Address
from rackwright.model.change import Change, Wanted
from rackwright.model.errors import Permanent, RackwrightError, Rejected
from rackwright.model.report import FieldChange
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.chassis.redfish import Redfish
from rackwright_providers.chassis.resources import Blade
from rackwright_providers.transport.http import Unauthorized
from tests.chassis import sushy

PASSWORD = "s3cret-of-the-bmc"
PROVIDER = Redfish()
pytestmark = pytest.mark.skipif(bool(sushy.missing()), reason=sushy.missing() or "installed")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sushy.Emulator]:
    systems = {"web1": "Off", "web2": "On"}
    with sushy.emulator(tmp_path_factory.mktemp("sushy"), systems, PASSWORD) as found:
        yield found


def way(emulator: sushy.Emulator, **changes: object) -> Way:
    return Way(transport="http", options=emulator.options(**changes))


def around(*, writable: bool = True) -> Surroundings:
    return Surroundings(state=Path("/nonexistent"), writable=writable)


def update(after: Blade, *names: str) -> Change:
    fields = tuple(FieldChange(field=name) for name in names)
    before = Blade(name=after.name)
    return Change("update", after.address, before=before, after=after, fields=fields)


@pytest.mark.proves("redfish", "blade", over="http", on="real", by="sushy-tools")
def test_power_and_boot_device_are_switched_and_read_back(emulator: sushy.Emulator) -> None:
    with closing(PROVIDER.open(way(emulator), around())) as session:
        wanted = Wanted(frozenset({Blade}), {Address("blade", "web2-name"): Blade(name="x")})
        seen = PROVIDER.read(session, wanted)
        assert seen[Address("blade", "web1")] == Blade(name="web1", power="off", boot="disk")
        assert seen[Address("blade", "web2-name")] == Blade(name="web2-name", power="on", boot="disk")  # fmt: skip
        changes = [
            update(Blade(name="web1", power="on", boot="pxe"), "power", "boot"),
            update(Blade(name="web2-name", power="off", grace=60), "power"),
        ]
        steps = PROVIDER.render(changes, seen)
        PROVIDER.commit(session, steps)
    web1, web2 = (emulator.get(f"/redfish/v1/Systems/{name}") for name in ("web1", "web2"))
    assert (web1["PowerState"], web1["Boot"]["BootSourceOverrideTarget"]) == ("On", "Pxe")
    assert web2["PowerState"] == "Off"


def test_what_it_does_not_allow_is_said_before_it_is_sent(emulator: sushy.Emulator) -> None:
    with closing(PROVIDER.open(way(emulator), around())) as session:
        PROVIDER.read(session, Wanted(frozenset({Blade}), {}))
        steps = PROVIDER.render([update(Blade(name="web1", boot="bios"), "boot")], {})
        with pytest.raises(Rejected, match="allows Pxe, Cd"):
            PROVIDER.commit(session, steps)


def test_facts(emulator: sushy.Emulator) -> None:
    with closing(PROVIDER.open(way(emulator), around(writable=False))) as session:
        facts = PROVIDER.discover(session)
    assert facts.values["systems"]["web1"]["macs"] == ["52:54:00:00:00:00"]
    assert facts.values["systems"]["web2"]["health"] == "OK"
    assert {link.port for link in facts.links} == {"web1", "web2"}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"password": "wrong"}, Unauthorized),
        ({"fingerprint": "00" * 32}, Permanent),
        ({"fingerprint": ""}, Permanent),
    ],
)
def test_who_is_who(
    emulator: sushy.Emulator, changes: dict[str, object], kind: type[RackwrightError]
) -> None:
    with (
        pytest.raises(kind) as caught,
        closing(PROVIDER.open(way(emulator, **changes), around())) as session,
    ):
        PROVIDER.read(session, Wanted(frozenset({Blade}), {}))
    assert PASSWORD not in str(caught.value)
