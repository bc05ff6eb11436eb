"""``purge: true``: what nobody declares goes, what the platform keeps to itself stays."""

from __future__ import annotations

import pytest

from rackwright.model.errors import RackwrightError
from rackwright.provider import Registry
from rackwright_providers.switch.resources import Port

from .converging import states, told
from .rig import Written
from .test_conformance import EVERY, Bench, bench

__all__ = ["bench"]

PURGED = ("vlan", "lag")
SWITCHES = [
    param
    for param in EVERY
    if {"vlan", "lag"}
    & {noun.kind for noun in Registry.installed().provider(param.values[0][0]).resources}
]


def kept(bench: Bench, address: str) -> bool:
    """Whether the platform says that this is its own."""
    noun, _, name = address.partition("/")
    kinds = {kind.kind: kind for kind in bench.delegate.provider.resources}
    try:
        bench.delegate.provider.canonical(kinds[noun](name=name))
    except RackwrightError:
        return True
    return False


def carried(port: Written) -> frozenset[int]:
    """The VLANs that a declared port names."""
    given = {key: value for key, value in port.items() if key in ("access_vlan", "native_vlan")}
    return Port(name="x", allowed_vlans=port.get("allowed_vlans"), **given).vlans()


@pytest.mark.parametrize("bench", SWITCHES, indirect=True)
def test_only_what_is_declared_or_the_platforms_own_is_left(bench: Bench) -> None:
    kinds = {kind.kind for kind in bench.delegate.provider.resources} & set(PURGED)
    # Something that is there, that nobody will declare, and that we did not make.
    assert bench.delegate.run(bench.case.declare).exit_code == 0
    bench.delegate.ledger.path.unlink()
    before = {key for key in bench.rig.state() if key.partition("/")[0] in kinds}
    own = {key for key in before if kept(bench, key)}
    ports = [item for item in bench.case.then if next(iter(item)) == "port"]
    vlans = {str(vlan) for item in ports for vlan in carried(item)}
    declared = [{"vlan": vlan} for vlan in sorted(vlans) if not kept(bench, f"vlan/{vlan}")]
    report = bench.delegate.run([*ports, *declared], purge=sorted(kinds))
    refused = {address for address, state in states(report).items() if state == "refused"}
    assert not report.error, told(report)
    for outcome in report.outcomes:
        assert outcome.state != "refused" or "carried" in outcome.why, outcome
    left = {key for key in bench.rig.state() if key.partition("/")[0] in kinds}
    wanted = {f"vlan/{item['vlan']}" for item in declared}
    assert left == own | wanted | (refused & before), told(report)
    assert before - left, "the case has nothing to purge"
