"""The gates of a site that is not in force yet, told from what is known of its nodes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from rackwright.cli.site_gates import SiteGates
from rackwright.engine.known import Known
from rackwright.engine.ledger import Entry, Ledger
from rackwright.model.bundle import Bundle, Declared, Deferred, Gates, Origin
from rackwright.model.site import Link, Node, Way

from ..engine.memory import bundle, declare


def node(name: str, *resources: Declared, deferred: tuple[str, ...] = ()) -> Bundle:
    made = bundle(*resources)
    origin = Origin(file="site.yaml", line=1)
    return msgspec.structs.replace(
        made,
        node=msgspec.structs.replace(made.node, name=name),
        deferred=tuple(Deferred(address=one, fact="x:y", origin=origin) for one in deferred),
    )


def holding(**needs: tuple[str, ...]) -> Known:
    entries = {
        f"thing/{name}": Entry(type="thing", data={"name": name}, needs=of, called=f"thing/{name}")
        for name, of in needs.items()
    }
    return Known(ledger=Ledger(entries=entries))


def gates(site: Mapping[str, Bundle], known: Mapping[str, Known], of: str) -> Gates:
    made = SiteGates(known)
    made.install(site, {}, (), {})
    return made.gates(of)


def test_who_is_about_to_go_holds_what_it_rests_on() -> None:
    site = {
        "sw": node("sw", declare("thing/v1"), declare("thing/v2")),
        "web1": node("web1", declare("thing/x"), deferred=("plug/?",)),
    }
    known = {
        "web1": holding(x=("sw:thing/v1", "thing/y"), y=("sw:thing/v2", "sw:thing/v9")),
        "gone": holding(z=("sw:thing/v1", "sw:thing/v9")),
    }
    assert gates(site, known, "sw").held == {
        # v1 stays, and so does who uses it; who is gone holds all that it rests on.
        "thing/v1": ("gone:thing/z",),
        "thing/v2": ("web1:thing/y",),
        "thing/v9": ("gone:thing/z", "web1:thing/y"),
    }


def test_a_need_is_met_at_the_digest_that_the_site_wants() -> None:
    vlan = declare("thing/v1", size=1)
    site = {"web1": node("web1", declare("thing/x", needs=[("sw:thing/v1", vlan.digest)]))}
    for digest, met in ((vlan.digest, {"sw:thing/v1": vlan.digest}), ("old", {})):
        known = {"sw": Known(verified={"thing/v1": digest})}
        assert gates(site, known, "web1").verified == met
    assert gates(site, {}, "web1").verified == {}
    assert gates(site, {}, "nobody") == Gates()


def rack(state: str = "on") -> dict[str, Bundle]:
    """A server with two uplinks to two switches, and a PDU that feeds it."""

    def managed(name: str, kind: str, peer: str, *resources: Declared) -> Bundle:
        reach = (Way(transport="ssh", options={"host": name}),)
        links = (Link(port="1", peer="web1", peer_port=peer),)
        about = Node(name=name, type=kind, platform="x", reach=reach, links=links)
        return Bundle(node=about, revision="r", resources=resources)

    web1 = Node(
        name="web1",
        type="server",
        platform="linux",
        links=(
            Link(port="eth0", peer="sw1", peer_port="1"),
            Link(port="eth1", peer="sw2", peer_port="1"),
            Link(port="psu1", peer="pdu1", peer_port="1"),
        ),
    )
    port: dict[str, Any] = {"mode": "access", "access_vlan": 20}
    return {
        "web1": Bundle(node=web1, revision="r"),
        "sw1": managed("sw1", "switch", "eth0", declared("port", **port)),
        "sw2": managed("sw2", "switch", "eth1", declared("port", **port)),
        "pdu1": managed("pdu1", "pdu", "psu1", declared("outlet", state=state)),
    }


def declared(kind: str, **fields: Any) -> Declared:
    origin = Origin(file="site.yaml", line=1)
    return Declared(type=kind, data={"name": "1", **fields}, digest=str(fields), origin=origin)


def seen(**more: Any) -> Known:
    now = time.time()
    return Known(last_run=now, heard=now, **more)


def test_one_side_has_the_turn_and_the_other_waits_for_it() -> None:
    known = {name: seen(verified={"port/1": "old"}) for name in ("sw1", "sw2")}
    made = SiteGates({**known, "web1": seen()})
    made.install(rack(), {}, (), {})
    assert made.gates("sw1").turns == {}
    assert made.gates("sw2").turns == {"1": ("sw1:port/1",)}


def test_who_could_not_be_read_just_now_has_the_other_side_wait() -> None:
    known = {
        "sw1": seen(verified={"port/1": str({"mode": "access", "access_vlan": 20})}),
        "sw2": seen(verified={"port/1": "old"}),
        "web1": seen(),
    }
    made = SiteGates(known)
    made.install(rack(), {}, (), {})
    assert made.gates("sw2").turns == {}
    made.note_read("sw1", "unreachable")
    assert made.gates("sw2").turns == {"1": ("sw1:port/1",)}
    made.note_read("sw1", "")
    assert made.gates("sw2").turns == {}
    # The other way round: it was silent for long, and is read now.
    silent = msgspec.structs.replace(known["sw1"], last_run=1.0, heard=1.0)
    made = SiteGates({**known, "sw1": silent})
    made.install(rack(), {}, (), {})
    assert made.gates("sw2").turns == {"1": ("sw1:port/1",)}
    made.note_read("sw1", "")
    assert made.gates("sw2").turns == {}


def test_the_last_feed_of_who_answers_is_told() -> None:
    lost = {"1": "web1 answers, and it has no other live feed"}
    silent = seen()
    long_ago = msgspec.structs.replace(silent, last_run=1.0, heard=1.0)
    retired = msgspec.structs.replace(silent, retired=True)
    for about, told in ((silent, lost), (long_ago, {}), (retired, {}), (Known(), {})):
        assert gates(rack(), {"web1": about, "pdu1": seen()}, "pdu1").last_feeds == told
