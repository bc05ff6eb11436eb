"""vpcd and powerman themselves: what our providers do is seen by vpcd and by powerman's own client."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.change import Change, Wanted
from rackwright.model.errors import Rejected, Temporary
from rackwright.model.report import FieldChange
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.pdu.plain_pdu import PlainPdu
from rackwright_providers.pdu.powerman import Powerman
from rackwright_providers.pdu.resources import Outlet
from rackwright_providers.pdu.vpcd import Vpcd
from rackwright_sim.vpcd import Vpcd as Simulated
from rackwright_sim.vpcd import VpcdLine
from tests.real import parts, power

pytestmark = pytest.mark.apt
ALL = Wanted(frozenset({Outlet}), {})


def opened(provider: PlainPdu, transport: str, options: dict[str, Any], state: Path) -> Any:
    around = Surroundings(state=state, writable=True, stop=threading.Event())
    return closing(provider.open(Way(transport=transport, options=options), around))  # type: ignore[type-var]


def switch(provider: PlainPdu, session: Any, name: str, state: str) -> None:
    after = Outlet(name=name, state=state)  # type: ignore[arg-type]
    fields = (FieldChange(field="state", old=None, new=state),)
    change = Change("update", after.address, Outlet(name=name), after, fields)
    provider.commit(session, provider.render([change], {}))


@pytest.mark.proves("vpcd", "outlet", over="serial", on="real", by="vpcd (powerman)")
def test_a_plug_of_vpcd_on_a_pty(tmp_path: Path) -> None:
    with power.vpcd(tmp_path) as line:
        with opened(Vpcd(), "serial", {"port": line.path}, tmp_path) as session:
            assert len(Vpcd().read(session, ALL)) == 16
            switch(Vpcd(), session, "0", "on")
            switch(Vpcd(), session, "15", "on")
            with pytest.raises(Rejected, match="BADVAL: 16"):
                session.switch("16", "on")
        assert {plug for plug, state in line.plugs().items() if state == "on"} == {"0", "15"}
        with opened(Vpcd(), "serial", {"port": line.path}, tmp_path) as session:
            switch(Vpcd(), session, "15", "off")
            Vpcd().reboot(session, "0")
        assert {plug for plug, state in line.plugs().items() if state == "on"} == {"0"}


def test_the_stand_in_answers_as_vpcd_does(tmp_path: Path) -> None:
    """Prompts, numbers and words, byte for byte, of all that is ever sent, and more."""
    words = ["login", "stat *", "on 3", "stat 3", "off 3", "on 99", "stat 16", "bogus", "login", ""]
    with power.vpcd(tmp_path / "real") as real:
        said = [without_prompts(real.say(word)) for word in words]
    with VpcdLine(Simulated(), tmp_path / "sim") as line:
        simulated = power.Line(str(line.link))
        assert [without_prompts(simulated.say(word)) for word in words] == said


def without_prompts(answer: str) -> str:
    """Without those that wait for us: the first is shown before anybody listens."""
    return re.sub(r"\A(?:\d+ vpc> )+", "", answer)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[power.Host]:
    """With a unit that does not answer, and an alias."""
    impatient = tmp_path / "gone.dev"
    vpc = Path("/etc/powerman/vpc.dev")
    if vpc.exists():
        given = vpc.read_text()
        impatient.write_text(
            re.sub(r"timeout\s+5.0", "timeout 0.3", given.replace('"vpc"', '"gone"'))
        )
    more = [
        f'include "{impatient}"',
        'device "away" "gone" "/bin/false |&"',
        'node "x1" "away" "1"',
        'alias "both" "web[1-2]"',
    ]
    with power.powermand(tmp_path / "host", ("web1", "web2", "db-a.rack"), more) as found:
        yield found


@pytest.mark.proves("powerman", "outlet", over="ssh", on="real", by="powermand with vpcd")
def test_nodes_of_powermand_over_ssh(host: power.Host, tmp_path: Path) -> None:
    provider = Powerman()
    with opened(provider, "ssh", host.options, tmp_path) as session:
        seen = provider.read(session, ALL)
        assert {str(address): outlet.state for address, outlet in seen.items()} == {  # type: ignore[attr-defined]
            "outlet/web1": "off",
            "outlet/web2": "off",
            "outlet/db-a.rack": "off",
            "outlet/x1": None,  # its unit does not answer
        }
        switch(provider, session, "web1", "on")
        switch(provider, session, "db-a.rack", "on")
        provider.reboot(session, "web2")
        assert host.nodes() == {"web1": "on", "web2": "on", "db-a.rack": "on"}
        switch(provider, session, "web1", "off")
        assert host.nodes() == {"web1": "off", "web2": "on", "db-a.rack": "on"}
        with pytest.raises(Rejected, match="away: connect timeout"):
            switch(provider, session, "x1", "on")
        with pytest.raises(Rejected, match="No such nodes: web9"):
            provider.reboot(session, "web9")
        with pytest.raises(Rejected, match="no node both"):
            provider.reboot(session, "both")
        assert host.nodes() == {"web1": "off", "web2": "on", "db-a.rack": "on"}
        facts = provider.discover(session).values
        assert facts["outlets"] == 4
        assert facts["version"] in parts.command(["powermand", "-V"])


def test_no_powermand_is_temporary(host: power.Host, tmp_path: Path) -> None:
    with opened(Powerman(), "ssh", host.options, tmp_path) as session:
        wrapper = tmp_path / "host" / "bin" / "powerman"
        wrapper.write_text('#!/bin/sh\nexec /usr/bin/powerman -h 127.0.0.1:1 "$@"\n')
        with pytest.raises(Temporary, match="powermand does not answer"):
            session.states()
