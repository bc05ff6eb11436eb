"""A server from one commit: power, slot, VLAN and port, volume and export, and its own session with the LUN.
And back, in the other direction, with nothing else touched."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.real import bring_up, parts
from tests.real.bring_up import PATIENCE, SECRETS, SITE, BringUp

pytestmark = [
    pytest.mark.root,
    pytest.mark.apt,
    pytest.mark.usefixtures("namespaces"),
    pytest.mark.skipif(bool(bring_up.unable()), reason=bring_up.unable()),
]
TARGET = "iqn.2026-11.example:data1"
EXPORT = "export/data1:iqn.2026-11.example:h1"
UP = (
    ("pdu-a1", "outlet/h1", "changed"),
    ("ch-a1", "blade/0x84", "changed"),
    ("sw-a1", "port/p1", "changed"),
    ("san-a1", EXPORT, "changed"),
    ("h1", f"iscsi_session/{TARGET}", "changed"),
)
"""Each comes after the one before it."""
DOWN = (
    ("h1", f"iscsi_session/{TARGET}", "removed"),
    ("san-a1", EXPORT, "removed"),
    ("sw-a1", "port/p1", "changed"),
)
POWER = (("ch-a1", "blade/0x84", "changed"), ("pdu-a1", "outlet/h1", "changed"))
WAITS = {
    "san-a1": {f"h1:iscsi_session/{TARGET}"},
    "sw-a1": {"h1:interface/eth0", f"san-a1:{EXPORT}"},
    "ch-a1": {"h1:interface/eth0", f"h1:iscsi_session/{TARGET}"},
    "pdu-a1": {"ch-a1:blade/0x84"},
}
"""Who waits for what on the way down, until h1 has let go."""


@pytest.fixture
def rack() -> Iterator[BringUp]:
    with bring_up.bring_up() as made:
        yield made


def documents(*names: str) -> dict[str, str]:
    return {f"{name}.yaml": (SITE / f"{name}.yaml").read_text() for name in names}


def in_this_order(rack: BringUp, since: float, *steps: tuple[str, str, str]) -> None:
    """By the reports. A run may have begun to look before: it asks what is verified when it has looked."""
    reports = [rack.report(node, address, state, since) for node, address, state in steps]
    for (first, then), (step, after) in zip(
        itertools.pairwise(reports), itertools.pairwise(steps), strict=True
    ):
        assert first["finished"] <= then["finished"], (step, after)


def let_go_in_this_order(rack: BringUp, since: float, *steps: tuple[str, str, str]) -> None:
    """By the reports. What is let go of is told by the ledger, which goes out right before the report."""
    reports = [rack.report(node, address, state, since) for node, address, state in steps]
    for first, then in itertools.pairwise(reports):
        assert first["started"] < then["started"]
        assert first["finished"] <= then["finished"]


def on_the_parts(rack: BringUp, since: float, *patterns: str) -> None:
    """By the parts themselves."""
    times = [rack.when(pattern, since) for pattern in patterns]
    assert times == sorted(times), [event for event in rack.events() if event.time > since]


@contextlib.contextmanager
def standing_still(rack: BringUp, name: str) -> Iterator[None]:
    """The agent of a server does nothing, and goes on where it was."""
    agent = psutil.Process(rack.processes[name].pid)
    agent.suspend()
    try:
        yield
    finally:
        agent.resume()


def sees_the_lun(rack: BringUp, host: str, account: str) -> bool:
    """Whether somebody who gives h1's name on ``host`` reaches its LUN."""
    url = f"iscsi://{account}10.66.7.1:3260/{TARGET}/1"
    argv = ["timeout", "3", "iscsi-inq", "-i", "iqn.2026-11.example:h1", url]
    inside = ["ip", "netns", "exec", rack.machines[host].ns]
    return subprocess.run([*inside, *argv], capture_output=True).returncode == 0


def test_a_server_comes_from_one_commit_and_goes_again(rack: BringUp) -> None:
    h0, h1 = rack.machines["h0"], rack.machines["h1"]
    h0.io("write -P 0x5a 0 1M")
    before = rack.untouched()
    agent = rack.processes["h0"].pid

    began = time.time()
    rack.settled(rack.push("h1", documents("h1-node", "h1")))
    in_this_order(rack, began, *UP)
    on_the_parts(
        rack,
        began,
        r"^pdu on 1$",
        r"^blade 0x84 power 1 fed$",
        r"^switch ,new,p1,667$",
        rf"^array tgtadm .*--op bind .*--initiator-name {EXPORT.partition(':')[2]}",
        rf"^h1 login {TARGET}$",
    )
    on_the_parts(rack, began, "^switch .*rackwright-vlan-667", "^switch ,new,p1,667$")
    on_the_parts(rack, began, r"^array .*/data1\.img", "^array tgtadm .*--op bind ")
    assert min(run["started"] for run in rack.admin().runs("h1")) > rack.when("^blade 0x84", began)
    h1.io("write -P 0x77 0 8M", "read -P 0x77 0 8M")
    account = f"h1%{SECRETS['chap-h1']}@"
    assert sees_the_lun(rack, "h1", account)
    assert not sees_the_lun(rack, "h1", "")
    assert not sees_the_lun(rack, "h0", account)
    with_h1 = rack.untouched()
    assert {key for key in before if with_h1[key] != before[key]} == {
        "outlets",
        "power",
        "root",
        "array",
        "configuration",
        "volumes",
    }
    assert with_h1["array"].startswith(before["array"])

    began = time.time()
    with standing_still(rack, "h1"):
        commit = rack.push("No h1", {"h1.yaml": None})
        for node, waits in WAITS.items():
            parts.until(lambda: waits <= {*rack.node(node)["waits_for"]}, PATIENCE, f"{node} waits")  # noqa: B023
        assert [event for event in rack.events() if event.time > began] == []
    rack.settled(commit, refused="san-a1")
    parts.until(lambda: rack.pdu.nodes()["h1"] == "off", PATIENCE, "the outlet of h1 is off")
    let_go_in_this_order(rack, began, *DOWN)
    let_go_in_this_order(rack, began, DOWN[0], POWER[0])
    in_this_order(rack, began, *POWER)
    on_the_parts(
        rack,
        began,
        rf"^h1 logout {TARGET}$",
        r"^array tgtadm .*--op unbind ",
        "^switch ,new,p1,998$",
    )
    on_the_parts(rack, began, "^h1 logout", "^blade 0x84 shutdown 1", "^pdu off 1$")
    assert not any(event.what.startswith("blade 0x84 power") for event in rack.events() if event.time > began)  # fmt: skip
    let_go_in_this_order(
        rack, began, ("h1", "interface/eth0", "released"), ("sw-a1", "vlan/667", "removed")
    )
    (held,) = [
        outcome
        for outcome in rack.reports("san-a1", began)[-1]["outcomes"]
        if outcome["address"] == "volume/data1"
    ]
    assert held["state"] == "refused"
    assert "holds data (8 MiB); say `destroy: true`" in held["why"]
    assert (rack.array.srv / "tgt" / "data1.img").read_bytes() == b"\x77" * 2**23

    rack.settled(rack.push("Its data is not needed", documents("data1-deleted")))
    assert not (rack.array.srv / "tgt" / "data1.img").exists()

    rack.push("h1 is sold", {"h1-node.yaml": None, "data1-deleted.yaml": None})
    rack.admin().poke()
    assert "h1 is retired" in rack.command("node", "retire", "h1", "--yes")
    rack.settled(rack.head())
    assert rack.untouched() == before
    h0.io("read -P 0x5a 0 1M")
    assert [event.what for event in rack.events() if event.what.startswith("h0 ")] == [
        "h0 login iqn.2026-11.example:data0"
    ]
    assert rack.processes["h0"].pid == agent
    for name, report in rack.run_now("h0").items():
        assert {outcome["state"] for outcome in report["outcomes"]} == {"in_sync"}, name
