"""Nodes are woken for every piece of news, and for none again and again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rackwright.client import Watch
from rackwright.loop import Loop, Pace
from rackwright.model.bundle import Bundle, Gates
from rackwright.model.errors import Unreachable
from rackwright.source import StoreSource
from rackwright.store_http import NotThere, WatchRefused
from rackwright.waker import AGAIN, LEASED_POLL, POLL, RARELY, Waker, Woken

from ..engine.memory import bundle, declare
from ..waiting import until
from .test_run import rig


class News:
    """A store with one node: what it has, as versions that a test puts."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.version = "one"
        self.what: Bundle = bundle(declare("thing/a"))
        self.fetched = self.told = 0
        self.polls: list[float] = []
        self.reading = threading.Event()
        """Clear: nobody gets a bundle."""
        self.reading.set()
        self.absent = self.gates_away = False
        self.gates_asked = 0

    def put(self, version: str) -> None:
        with self.changed:
            self.version = version
            self.changed.notify_all()

    def bundle(
        self, _node: str, _key: str, known: str, epoch: int = 0
    ) -> tuple[Bundle, str] | None:
        self.reading.wait(10)
        self.fetched += 1
        if self.absent:
            raise NotThere("there is no node dev1")
        return None if known == self.version else (self.what, self.version)

    def gates(self, _node: str, _key: str, epoch: int = 0) -> tuple[Gates, str]:
        self.gates_asked += 1
        if self.gates_away:
            raise Unreachable("the store is away")
        return Gates(), "open"

    def wait(self, watch: list[Watch], timeout: float) -> frozenset[str]:
        self.polls.append(timeout)

        def old() -> bool:
            has = (self.version, "" if self.absent else "open")
            return (watch[0].bundle, watch[0].gates) != has

        with self.changed:
            self.changed.wait_for(old, min(timeout, 0.05))
            found = frozenset({"dev1"} if old() else ())
            self.told += bool(found)
            return found

    def get_ledger(self, *_: Any, **__: Any) -> None: ...
    def put_facts(self, *_: Any, **__: Any) -> None: ...
    def put_ledger(self, *_: Any, **__: Any) -> None: ...
    def post_report(self, *_: Any, **__: Any) -> None: ...


class Woke:
    """A node whose loop runs when it is woken, and only then."""

    def __init__(self, store: News, state: Path) -> None:
        self.stop = threading.Event()
        runner, _, _ = rig(state, stop=self.stop)
        client: Any = store
        self.source = StoreSource(client, "dev1", "key", state / "dev1")
        runner.source = self.source
        self.loop = Loop(runner, Pace(interval=3600, splay=0))
        self.waker = Waker(client, [self.loop], self.stop)

    def __enter__(self) -> Woke:
        self.loop.start()
        until(lambda: self.loop.resting, what="its first run")
        self.waker.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.loop.wake()
        self.loop.thread.join(10)
        self.waker.thread.join(10)


@pytest.fixture
def store() -> Iterator[News]:
    made = News()
    yield made
    made.reading.set()


def test_news_that_is_taken_back_and_comes_again_wakes_again(store: News, tmp_path: Path) -> None:
    """A managed node goes from a host, and comes back to it before the host has looked."""
    with Woke(store, tmp_path) as node:
        before = store.fetched
        store.reading.clear()
        store.put("two")
        until(lambda: store.told == 1, what="it is woken")
        store.put("one")
        store.reading.set()
        until(lambda: store.fetched > before and node.loop.resting, what="it finds what it had")
        store.put("two")
        until(lambda: node.source.etag == "two", what="it has the news")


def test_a_node_that_is_busy_is_not_woken_again_and_again(store: News, tmp_path: Path) -> None:
    with Woke(store, tmp_path) as node:
        store.reading.clear()
        store.put("two")
        until(lambda: store.told == 1, what="it is woken")
        node.waker.thread.join(0.5)  # time enough for many more
        assert store.told == 1
        store.reading.set()
        until(lambda: node.source.etag == "two" and node.loop.resting, what="it has the news")


def test_one_that_could_not_fetch_its_news_is_woken_again_after_a_while() -> None:
    item = Watch("dev1", "key", "one")
    woken = Woken(item, 3, at=100.0)
    assert woken.underway(item, 3, 100.0 + AGAIN / 2)
    assert not woken.underway(item, 3, 100.0 + AGAIN)
    assert not woken.underway(item, 4, 100.0)
    assert not woken.underway(item._replace(bundle="two"), 3, 100.0)


def test_who_fetches_no_news_is_woken_for_them_less_and_less_often() -> None:
    item = Watch("dev1", "key", "one")
    woken = Woken(item, 3, at=100.0, times=2)
    assert woken.underway(item, 3, 100.0 + 3.9 * AGAIN)
    assert not woken.underway(item, 3, 100.0 + 4 * AGAIN)
    assert not Woken(item, 3, at=100.0, times=99).underway(item, 3, 100.0 + RARELY)


def test_a_node_that_is_not_in_the_site_yet_is_woken_when_it_is(
    store: News, tmp_path: Path
) -> None:
    """It was enrolled first, and committed then."""
    store.absent = True
    store.version = ""
    with Woke(store, tmp_path) as node:
        assert node.source.etag == node.source.gates_etag == ""
        until(lambda: len(store.polls) > 1, what="it is watched all the same")
        assert store.told == 0
        store.absent = False
        store.put("one")
        until(lambda: node.source.etag == "one", what="it has its first bundle")


def test_a_node_that_is_taken_out_of_the_site_is_not_woken_again_and_again(
    store: News, tmp_path: Path
) -> None:
    with Woke(store, tmp_path) as node:
        store.absent = True
        store.put("")
        until(lambda: node.source.etag == "" and node.loop.resting, what="it knows")
        told, polls = store.told, len(store.polls)
        until(lambda: len(store.polls) > polls + 2, what="it asks on")
        assert store.told == told


def test_gates_that_nobody_could_vouch_for_are_asked_for_again(
    store: News, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They hold back what may be open, and at the store nothing changes any more."""
    monkeypatch.setattr("rackwright.waker.AGAIN", 0.1)
    with Woke(store, tmp_path) as node:
        store.gates_away = True
        node.loop.wake()
        until(lambda: store.gates_asked > 1 and node.loop.resting, what="a run without the store")
        asked, store.gates_away = store.gates_asked, False
        until(lambda: store.gates_asked > asked and node.loop.resting, what="a run with it")
        assert node.source.gates_etag == "open"


class Broken(News):
    """Its first answers are a fault of ours."""

    faults = 2

    def wait(self, watch: list[Watch], timeout: float) -> frozenset[str]:
        if self.faults:
            self.faults -= 1
            raise ValueError("a bug")
        return super().wait(watch, timeout)


def test_a_bug_does_not_leave_nodes_unwoken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rackwright.waker.STORE_BACK_OFF", 0.01)
    store = Broken()
    with Woke(store, tmp_path) as node:
        store.put("two")
        until(lambda: node.source.etag == "two", what="it has the news")
    assert store.faults == 0


class Forgetful(News):
    """Knows no credential but one."""

    key = "new"

    def wait(self, watch: list[Watch], timeout: float) -> frozenset[str]:
        if watch[0].credential != self.key:
            raise WatchRefused("not your credential", ["dev1"])
        return super().wait(watch, timeout)


def test_a_node_that_is_enrolled_anew_is_woken_again(tmp_path: Path) -> None:
    store = Forgetful()
    with Woke(store, tmp_path) as node:
        until(lambda: "dev1" in node.waker._refused, what="it is refused")
        node.waker._refused["dev1"] = node.waker._refused["dev1"]._replace(at=0.0)
        node.source._renewed = lambda: "new"
        until(lambda: node.source.credential == "new", what="it takes the new one")
        store.put("two")
        until(lambda: node.source.etag == "two", what="it has the news")


def test_a_credential_that_is_good_again_is_tried_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rackwright.waker.REFUSED", 0.1)
    store = Forgetful()
    with Woke(store, tmp_path) as node:
        until(lambda: "dev1" in node.waker._refused, what="it is refused")
        store.key = "key"
        store.put("two")
        until(lambda: node.source.etag == "two", what="it has the news")


class Counting:
    """A store that takes no more nodes in a poll than it can."""

    def __init__(self, stop: threading.Event) -> None:
        self.seen: set[str] = set()
        self.stop, self.most = stop, 0

    def wait(self, watch: list[Watch], timeout: float) -> frozenset[str]:
        self.seen |= {item.node for item in watch}
        self.most = max(self.most, len(watch))
        assert timeout <= 1.0
        if len(self.seen) == 25:
            self.stop.set()
        return frozenset()


def test_more_nodes_than_a_poll_takes_are_watched_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rackwright.waker.LARGEST", 10)
    stop = threading.Event()
    client: Any = Counting(stop)
    loops = []
    for number in range(25):
        runner, _, _ = rig(tmp_path / str(number), stop=stop)
        runner.node = f"n{number}"
        runner.source = source = StoreSource(client, runner.node, "key", tmp_path)
        source.etag = source.gates_etag = "x"
        loops.append(Loop(runner, Pace()))
    waker = Waker(client, loops, stop)
    waker.thread.start()
    waker.thread.join(10)
    assert len(client.seen) == 25
    assert client.most <= 10


@pytest.mark.parametrize(("roles", "longest"), [((), POLL), (("delegate-host",), LEASED_POLL)])
def test_a_host_asks_again_soon(
    store: News, tmp_path: Path, roles: tuple[str, ...], longest: float
) -> None:
    """What it does not hear of keeps a node from the other hosts."""
    store.what = msgspec.structs.replace(store.what, roles=roles)
    with Woke(store, tmp_path):
        until(lambda: store.polls, what="it asks")
    assert store.polls[0] == longest


class Refusing:
    """A store that refuses a long poll and names nobody."""

    def __init__(self, stop: threading.Event) -> None:
        self.polls, self.stop = 0, stop

    def wait(self, _watch: object, _timeout: float) -> frozenset[str]:
        self.polls += 1
        if self.polls > 20:
            self.stop.set()
        raise WatchRefused("no", [])


def test_a_refusal_that_names_nobody_makes_no_hot_loop(tmp_path: Path) -> None:
    stop = threading.Event()
    runner, _, _ = rig(tmp_path, declare("thing/a"), stop=stop)
    client: Any = Refusing(stop)
    runner.source = StoreSource(client, "dev1", "key", tmp_path)
    runner.source.etag = runner.source.gates_etag = "x"
    waker = Waker(client, [Loop(runner, Pace())], stop)
    waker.thread.start()
    waker.thread.join(1.0)
    assert client.polls == 1
    stop.set()
    waker.thread.join(10)
