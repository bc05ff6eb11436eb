"""A router behind a real terminal server: ser2net, over RFC 2217 and over plain TCP."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.errors import Permanent, Temporary
from rackwright.model.site import Serial, Way
from rackwright.provider import Surroundings
from rackwright_providers.transport.serial import open_serial
from tests.conformance.converging import Delegate, states, told
from tests.conformance.platforms import cases
from tests.real import consoles, parts
from tests.real.restartable import Restartable
from tests.real.ser2net import NEEDS, Ser2net, ser2net

pytestmark = [
    pytest.mark.root,
    pytest.mark.apt,
    pytest.mark.usefixtures("namespaces"),
    pytest.mark.skipif(
        bool(parts.missing(*NEEDS, *consoles.NEEDS)),
        reason=parts.missing(*NEEDS, *consoles.NEEDS),
    ),
]
PASSWORD = "correct-horse"
CASE = cases()["linux_frr"]


class Behind:
    """A router whose console is on a terminal server, which can be killed."""

    def __init__(
        self, router: consoles.Frr, make: Callable[[], contextlib.AbstractContextManager[Ser2net]]
    ) -> None:
        self.router = router
        self.server = Restartable(make)
        login = {"username": "rack", "password": PASSWORD}
        self.ways = {
            "serial": Way(transport="serial", options={"port": self.server.running.url, **login})
        }
        self.secrets = {"password": PASSWORD}

    def state(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def behind(
    request: pytest.FixtureRequest, namespaces: None, tmp_path: Path, free_port: int
) -> Iterator[Behind]:
    with contextlib.ExitStack() as stack:
        ns = stack.enter_context(parts.namespace("router"))
        far = stack.enter_context(parts.namespace("far"))
        for number in (1, 2):
            parts.cable(ns, f"lan{number}", far, f"eth{number}")
        router = stack.enter_context(consoles.frr(ns))
        with (router.run / "vtysh.conf").open("a") as settings:
            settings.write("service integrated-vtysh-config\n")
        line = stack.enter_context(
            consoles.console(router, tmp_path / "console", password=PASSWORD)
        )
        # Somebody has to have the line open, or it hangs up when ser2net closes it.
        stack.enter_context(open(line, "r+b", buffering=0))  # noqa: PTH123
        rfc2217 = request.param == "rfc2217"
        made = Behind(
            router, lambda: ser2net(tmp_path / "ser2net", line, free_port, rfc2217=rfc2217)
        )
        stack.callback(made.server.close)
        yield made


@pytest.mark.parametrize("behind", ["rfc2217"], indirect=True)
@pytest.mark.proves(
    "linux_frr",
    "hostname",
    "port",
    over="serial",
    on="real",
    by="FRR vtysh behind ser2net (RFC 2217)",
)
def test_it_converges_and_survives_the_loss_of_the_server(behind: Behind, tmp_path: Path) -> None:
    agent = Delegate(CASE, behind, "serial", tmp_path / "state")
    first = agent.run(CASE.declare)
    assert set(states(first).values()) == {"changed"}, told(first)
    assert first.saved
    assert not behind.router.is_up("lan1")
    second = agent.run(CASE.declare)
    assert set(states(second).values()) == {"in_sync"}, told(second)

    session = agent.session()
    try:
        assert session.alive()
        behind.server.kill()
        parts.until(lambda: not session.alive(), what="the session knows that it is lost")
        with pytest.raises(Temporary):
            session.run("show version")
    finally:
        session.close()
    with pytest.raises(Temporary, match="refused"):
        agent.session()
    behind.server.start()
    third = agent.persist(CASE.then)
    assert set(states(third).values()) == {"changed"}, told(third)
    assert behind.router.is_up("lan1")


@pytest.mark.parametrize("behind", ["rfc2217", "socket"], indirect=True)
def test_a_line_that_somebody_has_is_tried_later(behind: Behind, tmp_path: Path) -> None:
    options = Serial(port=behind.ways["serial"].options["port"])
    around = Surroundings(state=tmp_path)
    agent = Delegate(CASE, behind, "serial", tmp_path / "state")
    somebody = open_serial(options, around)
    try:
        with pytest.raises(Temporary):
            agent.session()
        assert somebody.alive()
    finally:
        somebody.close()
    agent.session().close()


@pytest.mark.parametrize("url", ["rfc2217://127.0.0.1", "rfc2217://127.0.0.1:1?nonsense=1"])
def test_a_url_that_makes_no_sense(url: str, tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="not a serial line"):
        open_serial(Serial(port=url), Surroundings(state=tmp_path))
