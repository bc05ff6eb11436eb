"""Two admin hosts, one of which dies, is cut off, or stands still: never do two write, and what can be
reached is converged again.

That it is so within the lease and five seconds is measured by ``python -m bench failover``.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from tests.real import admin_hosts, parts
from tests.real.admin_hosts import HOSTS, LEASE, PDU, SWITCHES, AdminHosts, share
from tests.real.served import PATIENCE

pytestmark = [
    pytest.mark.root,
    pytest.mark.apt,
    pytest.mark.usefixtures("namespaces"),
    pytest.mark.skipif(
        bool(parts.missing(*admin_hosts.NEEDS)), reason=parts.missing(*admin_hosts.NEEDS)
    ),
    pytest.mark.xdist_group("admin_hosts"),
]
ONE, OTHER = HOSTS


@pytest.fixture(scope="module")
def shared(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminHosts]:
    """Both hosts, running."""
    with admin_hosts.admin_hosts(tmp_path_factory.mktemp("hosts")) as made:
        yield made


@pytest.fixture
def hosts(shared: AdminHosts) -> Iterator[AdminHosts]:
    """Both hosts with a switch each, and nobody ever wrote beside another."""
    share(shared)
    yield shared
    never_two_at_once(shared)


def never_two_at_once(hosts: AdminHosts) -> None:
    """By the switches' journals no write of one host overlaps or interrupts those of another, and by
    the store's record each was under the lease of the host that wrote."""
    for name, switch in hosts.switches.items():
        writes = switch.writes()
        for before, after in itertools.pairwise(writes):
            if before.host != after.host:
                assert before.ended < after.began, (name, before, after)
        tenures = hosts.tenures(name)
        for write in writes:
            under = [host for at, host in tenures if at <= write.began]
            assert under[-1:] == [write.host], (name, write, tenures)


def held_by(hosts: AdminHosts, host: str) -> list[str]:
    """The switches that ``host`` holds."""
    found = [node for node, holder in hosts.holders().items() if holder == host]
    return sorted(set(found) & set(SWITCHES))


def taken_over(hosts: AdminHosts, names: list[str]) -> None:
    """Wait until the second host mends ``names``, which were the first one's. That one may have mended
    them once more, while its lease lasted."""

    def its_own() -> bool:
        hosts.mends(*names)
        return all(hosts.switches[name].writers()[-1] == OTHER for name in names)

    parts.until(its_own, PATIENCE, f"{OTHER} mends {', '.join(names)}")


def test_each_has_its_share_and_a_line_pins(hosts: AdminHosts) -> None:
    holders = hosts.holders()
    assert holders[PDU] == ONE
    assert sorted(holders[name] for name in SWITCHES) == [ONE, OTHER]
    assert hosts.line.plugs()["1"] == "on"


def test_one_is_killed(hosts: AdminHosts) -> None:
    names = held_by(hosts, ONE)
    assert names
    hosts.kill(ONE)
    try:
        taken_over(hosts, names)
        parts.until(lambda: PDU not in hosts.holders(), PATIENCE, "the PDU's lease has ended")
        assert hosts.node(PDU)["state"] == "unplaced"
        said = hosts.command("status")
        assert f"its only host {ONE} has not been heard" in said
        assert hosts.line.path in said
    finally:
        hosts.start(ONE)


def test_one_is_cut_off_from_the_store(hosts: AdminHosts) -> None:
    """It can reach the switch all the while, and sees that it drifts."""
    names = held_by(hosts, ONE)
    assert names
    with hosts.cut_from_store(ONE):
        taken_over(hosts, names)
        for _ in range(3):
            hosts.mends(*names)
        for name in names:
            assert hosts.switches[name].writers()[-1] == OTHER


def test_one_is_cut_off_from_the_device(hosts: AdminHosts) -> None:
    names = held_by(hosts, ONE)
    assert names
    with hosts.cut_from_devices(ONE):
        taken_over(hosts, names)
        assert hosts.holders()[PDU] == ONE  # its line is not cut


def test_both_are_cut_off_from_the_device(hosts: AdminHosts) -> None:
    """Nobody can reach it: that is what is said, until somebody can."""
    names = held_by(hosts, ONE)
    assert names
    with hosts.cut_from_devices(ONE), hosts.cut_from_devices(OTHER):
        for name in names:
            hosts.switches[name].drift()

        def said() -> bool:
            return all("no host can reach it" in hosts.node(name)["error"] for name in names)

        parts.until(said, PATIENCE, "the status says that nobody can reach it")
    hosts.mends(*names)


def test_one_stands_still_for_longer_than_its_lease_and_goes_on(hosts: AdminHosts) -> None:
    names = held_by(hosts, ONE)
    assert names
    for name in names:  # it is in the middle of something
        hosts.switches[name].drift()
    with hosts.paused(ONE):
        began = time.monotonic()
        taken_over(hosts, names)
        parts.until(lambda: time.monotonic() - began > LEASE + 1, PATIENCE)
    for _ in range(3):
        hosts.mends(*names)
    # It may have its share again by now, with a lease of its own: `never_two_at_once` looks.


def test_the_store_is_away_for_longer_than_a_lease(hosts: AdminHosts) -> None:
    """The switches can be reached all the while, and drift; nobody may touch them until somebody can say
    whose they are."""
    hosts.store.kill()
    ended = time.time() + LEASE
    parts.until(lambda: time.time() > ended, PATIENCE)
    for _ in range(4):
        for switch in hosts.switches.values():
            switch.drift()
        again = time.monotonic() + 0.5
        parts.until(lambda again=again: time.monotonic() > again, PATIENCE)  # type: ignore[misc]
    assert not any(switch.mended() for switch in hosts.switches.values())
    for switch in hosts.switches.values():
        assert [write for write in switch.writes() if write.began > ended] == []
    hosts.store.start()
    parts.until(lambda: all(switch.mended() for switch in hosts.switches.values()), PATIENCE)


def test_a_host_is_drained(hosts: AdminHosts) -> None:
    names = held_by(hosts, ONE)
    assert names
    with pytest.raises(parts.PartError, match=PDU):  # the line holds the PDU there
        hosts.command("host", "drain", ONE, "--timeout", "15")
    try:
        assert held_by(hosts, ONE) == []
        taken_over(hosts, names)
    finally:
        hosts.command("host", "resume", ONE)
