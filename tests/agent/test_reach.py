"""The ladder of ways to a node: down when one fails, up again when a better one is back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rackwright import reach
from rackwright.model.errors import Permanent, Unreachable
from rackwright.model.site import Node, Way
from rackwright.provider import Surroundings

from ..engine.memory import Device, Line
from .fakes import Rig

SSH = Way(transport="ssh", options={"host": "10.0.0.1"})
OTHER = Way(transport="ssh", options={"host": "10.0.0.2"})
SERIAL = Way(transport="serial", options={"port": "/dev/ttyS0"})


@dataclass
class Session(Line):
    """One that tells whether it was closed, and may be dead."""

    dead: bool = False
    closed: bool = False

    def alive(self) -> bool:
        return not self.dead

    def close(self) -> None:
        self.closed = True


class Doors(Rig):
    """Opens such sessions."""

    def open(self, way: Any, around: Any) -> Any:
        return Session(super().open(way, around).device, via=way.transport)


class Ladder:
    """A node, its ways, and time that passes when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *ways: Way) -> None:
        self.now = 1000.0
        monkeypatch.setattr(reach.time, "monotonic", lambda: self.now)
        self.rig = Doors(Device())
        self.reach = reach.Reach(self.rig)
        self.node = Node(name="sw1", type="switch", platform="memory", reach=ways)

    def session(self) -> Session:
        found: Session = self.reach.session(self.node, {}, Surroundings(state=Path("/nonexistent")))
        return found

    def tried(self) -> list[str]:
        """Transports tried since it was last asked."""
        tried = [transport for transport, _ in self.rig.opened]
        self.rig.opened.clear()
        return tried


def test_down_and_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = Ladder(monkeypatch, SSH, SERIAL)
    first = ladder.session()
    assert (first.via, ladder.reach.note) == ("ssh", "")
    ladder.rig.dead["ssh"] = Unreachable("ssh 10.0.0.1:22: connection refused")
    first.dead = True
    second = ladder.session()
    assert second.via == "serial"
    assert ladder.reach.note == "ssh 10.0.0.1:22: connection refused"
    assert ladder.tried() == ["ssh", "ssh", "serial"]

    ladder.now += reach.RETRY_BETTER - 1
    assert ladder.session() is second
    assert ladder.tried() == []
    ladder.now += 2
    # Tried again in vain: what works stays as it is, and the reason is told anew.
    ladder.rig.dead["ssh"] = Permanent("ssh 10.0.0.1:22: the host key has changed")
    assert ladder.session() is second
    assert not second.closed
    assert ladder.tried() == ["ssh"]
    assert ladder.reach.note == "ssh 10.0.0.1:22: the host key has changed"
    assert ladder.session() is second
    assert ladder.tried() == []

    ladder.now += reach.RETRY_BETTER + 1
    ladder.rig.dead.clear()
    third = ladder.session()
    assert (third.via, ladder.reach.note) == ("ssh", "")
    assert second.closed
    assert ladder.session() is third


def test_a_way_of_the_same_kind_is_left_before_a_better_one_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ladder = Ladder(monkeypatch, SSH, OTHER)
    opened: list[Session] = []

    def open_(way: Way, around: Surroundings) -> Session:
        if way == SSH and (len(opened) < 1 or not opened[-1].closed):
            raise Unreachable("no session free")
        opened.append(Session(ladder.rig.device, via=way.options["host"]))
        return opened[-1]

    monkeypatch.setattr(ladder.rig, "open", open_)
    assert ladder.session().via == "10.0.0.2"
    ladder.now += reach.RETRY_BETTER + 1
    assert ladder.session().via == "10.0.0.1"
    assert [line.closed for line in opened] == [True, False]


def test_no_further_way_is_tried_when_the_process_must_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ladder = Ladder(monkeypatch, SSH, SERIAL)
    around = Surroundings(state=Path("/nonexistent"))
    ladder.rig.dead = {"ssh": Unreachable("ssh: no answer"), "serial": Unreachable("no prompt")}
    around.stop.set()
    with pytest.raises(Unreachable, match=r"^ssh: no answer$"):
        ladder.reach.session(ladder.node, {}, around)
    assert ladder.tried() == ["ssh"]


def test_what_all_ways_say_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = Ladder(monkeypatch, SSH, SERIAL)
    ladder.rig.dead = dict.fromkeys(("ssh", "serial"), Permanent("secret 'x' is not there"))
    with pytest.raises(Permanent, match=r"^secret 'x' is not there$"):
        ladder.session()


def test_when_none_works_it_says_what_each_said(monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = Ladder(monkeypatch, SSH, SERIAL)
    ladder.rig.dead = {"ssh": Permanent("wrong password"), "serial": Unreachable("no line")}
    with pytest.raises(Unreachable, match="wrong password; no line"):
        ladder.session()
    ladder.rig.dead = {"ssh": Permanent("wrong password"), "serial": Permanent("wrong too")}
    with pytest.raises(Permanent, match="wrong password; wrong too"):
        ladder.session()


def test_a_way_that_the_site_takes_away_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = Ladder(monkeypatch, SSH)
    first = ladder.session()
    ladder.node = Node(name="sw1", type="switch", platform="memory", reach=(SERIAL,))
    assert ladder.session().via == "serial"
    assert first.closed


def test_only_ways_that_this_host_can_use(monkeypatch: pytest.MonkeyPatch) -> None:
    far = Way(transport="ssh", options={"host": "10.0.0.1"}, network="oob", hosts=("admin2",))
    ladder = Ladder(monkeypatch, far, SERIAL)
    assert ladder.session().via == "ssh"  # where we are is not known
    for here, via in (("admin2", "ssh"), ("admin1", "serial")):
        ladder.reach = reach.Reach(ladder.rig, here)
        assert ladder.session().via == via
    ladder.node = Node(name="sw1", type="switch", platform="memory", reach=(far,))
    with pytest.raises(Permanent, match="can be reached from admin2 only, and this is admin1"):
        ladder.session()
