"""A node is not left with a host that does not converge it, nor with one that does not let go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rackwright_store import hosts as hosts_module
from rackwright_store import unasked

from .rack import Repository, Store, eventually, running
from .test_hosts import BOTH, NODES, SITE, enrolled, status

THREE = ["admin1", "admin2", "admin3"]


@pytest.fixture
def store(repo: Repository, tmp_path: Path) -> Iterator[Store]:
    repo.site(NODES, **{**SITE, "reach": {"sw1": BOTH}})
    with running(repo.path, tmp_path / "data") as found:
        yield found


def test_who_holds_what_is_to_go_elsewhere_is_told_with_its_renewal(store: Store) -> None:
    """Its agent may be dead, or busy for long."""
    one, two = enrolled(store, "admin1", "admin2")
    one.ask()
    given = one.ask("sw1")
    assert (given.held, given.leaving) == ({"sw1": 1}, {})
    two.ask()
    store.admin.drain("admin1", "me", drain=True)
    given = one.ask("sw1")
    assert (given.held, given.leaving) == ({"sw1": 1}, {"sw1": "the store places sw1 on admin2"})
    store.admin.drain("admin2", "me", drain=True)
    assert one.ask("sw1").leaving == {"sw1": "sw1 is placed nowhere"}
    store.admin.drain("admin1", "me", drain=False)
    assert one.ask("sw1").leaving == {}


def test_a_node_that_its_host_does_not_ask_for_goes_to_another(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's agent is dead, and its delegates give signs of life."""
    monkeypatch.setattr(unasked, "TAKEOVER", 0.2)
    one, two = enrolled(store, "admin1", "admin2")
    one.ask()
    two.ask()
    assert one.told() == ["sw1"]
    # Nobody has to ask again for that: the time alone moves it.
    eventually(lambda: two.told() == ["sw1"])
    assert one.told() == []
    assert two.ask("sw1").held == {"sw1": 1}
    assert status(store, "sw1")["error"] == ""
    two.run("sw1", "r1")
    two.ask(release={"sw1": 1})
    store.admin.drain("admin2", "me", drain=True)
    assert one.told() == ["sw1"]  # better than nobody
    said = "admin1: its delegates have not asked for it"
    eventually(lambda: said in status(store, "sw1")["error"])


def test_a_node_that_its_host_waits_for_stays_with_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = enrolled(store, "admin1", "admin2")
    one.ask()
    one.ask("sw1")
    two.ask()
    store.admin.drain("admin1", "me", drain=True)
    monkeypatch.setattr(unasked, "TAKEOVER", 0.0)
    for _ in range(3):
        two.ask()  # admin1 has yet to let go: not admin2's fault
        two.ask("sw1")  # asks, and is refused
    one.ask(release={"sw1": 1})
    assert "asked for it" not in status(store, "sw1")["error"]
    assert two.told() == ["sw1"]


def test_a_host_may_not_finish_for_ever_though_the_next_one_changes(
    repo: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change of mind gave it as long again."""
    ways = [{"network": "oob", "hosts": THREE}]
    nodes: dict[str, Any] = {name: {} for name in (*THREE, "sw1")}
    repo.site(nodes, hosts=THREE, reach={"sw1": ways}, lease=60)
    with running(repo.path, tmp_path / "data") as store:
        one, two, three = enrolled(store, *THREE)
        one.ask()
        one.ask("sw1")
        two.ask()
        three.ask()
        store.admin.drain("admin1", "me", drain=True)
        assert one.ask("sw1").held == {"sw1": 1}
        monkeypatch.setattr(hosts_module, "HANDOVER", 0.3)
        drained = "admin2" if "admin2" in one.ask("sw1").leaving.get("sw1", "") else "admin3"

        def refused() -> bool:
            nonlocal drained
            store.admin.drain(drained, "me", drain=True)
            drained = "admin3" if drained == "admin2" else "admin2"
            store.admin.drain(drained, "me", drain=False)
            return "sw1" in one.ask("sw1").refused

        eventually(refused, 5)
