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
from rackwright.source import StoreSource
from rackwright.waker import AGAIN, LEASED_POLL, POLL, Waker, Woken

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

    def put(self, version: str) -> None:
        with self.changed:
            self.version = version
            self.changed.notify_all()

    def bundle(
        self, _node: str, _key: str, known: str, epoch: int = 0
    ) -> tuple[Bundle, str] | None:
        self.reading.wait(10)
        self.fetched += 1
        return None if known == self.version else (self.what, self.version)

    def gates(self, _node: str, _key: str, epoch: int = 0) -> tuple[Gates, str]:
        return Gates(), "open"

    def wait(self, watch: list[Watch], timeout: float) -> frozenset[str]:
        self.polls.append(timeout)
        with self.changed:
            self.changed.wait_for(lambda: watch[0].bundle != self.version, min(timeout, 0.05))
            found = frozenset({"dev1"} if watch[0].bundle != self.version else ())
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
        from rackwright.store_http import WatchRefused

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
