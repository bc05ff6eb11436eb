"""The Redfish provider against sushy-tools' emulator, which nobody here wrote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from rackwright.model.address import Address
from rackwright.model.bundle import Bundle
from rackwright.model.change import Change, Wanted
from rackwright.model.errors import Permanent, RackwrightError, Rejected
from rackwright.model.facts import Facts
from rackwright.model.report import FieldChange
from rackwright.model.site import Link, Node, Way
from rackwright.provider import Surroundings
from rackwright_proposals.evidence import Found, judge
from rackwright_providers.chassis.redfish import Redfish
from rackwright_providers.chassis.resources import Blade
from rackwright_providers.transport.http_errors import Unauthorized
from tests.chassis import sushy

PASSWORD = "s3cret-of-the-bmc"
TURNED = "00112233-4455-6677-8899-aabbccddeeff"
PROVIDER = Redfish()
pytestmark = pytest.mark.skipif(bool(sushy.missing()), reason=sushy.missing() or "installed")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sushy.Emulator]:
    systems = {"web1": "Off", "web2": "On", TURNED: "Off"}
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
    assert {link.port for link in facts.links} == {"web1", "web2", TURNED}


def test_a_blade_is_known_by_its_uuid(emulator: sushy.Emulator) -> None:
    """What the emulator calls a UUID is what its systems are configured with."""
    with closing(PROVIDER.open(way(emulator), around(writable=False))) as session:
        facts = PROVIDER.discover(session)
    uuid = emulator.get(f"/redfish/v1/Systems/{TURNED}")["UUID"]
    link = Link(port=TURNED, peer="web3", peer_port="slot")
    other = Link(port="slot", peer="ch-a1", peer_port=TURNED)
    nodes = (
        Node(name="ch-a1", type="chassis", platform="redfish", links=(link,)),
        Node(name="web3", type="server", platform="linux", links=(other,)),
        Node(name="web4", type="server", platform="linux"),
    )
    bundles = {node.name: Bundle(node=node, revision="r1") for node in nodes}

    def judged(owner: str) -> tuple[str, str]:
        """The firmware of ``owner`` shows the UUID with its first fields the other way round."""
        seen = Facts(values={"dmi": {"uuid": str(UUID(bytes_le=UUID(uuid).bytes))}})
        states = judge(bundles, {"ch-a1": Found(facts, 0.0), owner: Found(seen, 0.0)}, str)
        (found,) = (one for one in states if one.port == TURNED and one.state != "found")
        return found.state, found.wrong[0]

    assert judged("web3") == ("proven", "")
    assert judged("web4") == ("contradicted", "web4 is seen there")


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
