"""Rollouts: waves and their states as cases, who asks for what, and that no wave jumps the one before."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rackwright.model.bundle import Asked, Bundle, askers
from rackwright_proposals.documents import Amount
from rackwright_proposals.rolling import Reported, Staging, host_of, owned_of, staging_of
from rackwright_proposals.rollouts import Course, Rollout, Share, judge, waves_of
from tests.proposals.sites import BASE, cases, compiled, sound

CASES = cases("rollouts.yaml")


def course_of(case: dict[str, Any]) -> Course:
    rollout = Rollout(
        "p", tuple(case["nodes"]), case.get("canary", 0), case["at_once"], case.get("stop_on", 1)
    )
    shares = {node: Share(2) for node in (*case["nodes"], *case.get("leaving", ()))}
    for node in case.get("todo", ()):
        shares[node] = Share(2, (f"{node}:x/1",))
    for node, why in case.get("failed", {}).items():
        shares[node] = shares[node]._replace(failed=((f"{node}:x/1", why),))
    return judge(rollout, waves_of(rollout, case.get("leaving", ())), shares)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_case(case: dict[str, Any]) -> None:
    course = course_of(case)
    assert {" ".join(wave.nodes): wave.state for wave in course.waves} == case["waves"]
    assert course.state == case.get("state", course.state)
    assert course.stopped == case.get("stopped", course.stopped)
    for node, why in case.get("reasons", {}).items():
        assert course.reason(node) == why
    if "open" in case:
        assert [node for wave in course.waves for node in wave.nodes if course.turn(node)] == case["open"]  # fmt: skip
    assert sum(wave.total - wave.verified for wave in course.waves) == len(case.get("todo", ()))


names = [f"n{i}" for i in range(8)]
conditions = st.sampled_from([Share(1), Share(1, ("x",)), Share(1, ("x",), (("x", "no"),))])


@given(
    st.integers(0, 4),
    st.integers(1, 4),
    st.integers(1, 3),
    st.dictionaries(st.sampled_from(names), conditions),
)
def test_no_wave_goes_before_the_last_is_through(
    canary: int, at_once: int, stop_on: int, shares: dict[str, Share]
) -> None:
    rollout = Rollout("p", tuple(names[:6]), canary, at_once, stop_on)
    waves = waves_of(rollout, names[6:])
    assert sorted(node for wave in waves for node in wave) == names
    course = judge(rollout, waves, shares)
    for i in range(1, course.opened):
        earlier = [shares.get(node, Share()) for wave in waves[:i] for node in wave]
        failed = sum(bool(share.failed) for share in earlier)
        assert failed < stop_on
        assert sum(bool(share.todo or share.failed) for share in earlier) <= failed
        if stop_on == 1:
            assert not any(share.todo or share.failed for share in earlier)
    # And it does go on: what is held back has a reason among those whose turn it is.
    if course.opened < len(waves):
        mine = [shares.get(node, Share()) for wave in waves[: course.opened] for node in wave]
        assert any(share.todo or share.failed for share in mine)


@pytest.mark.parametrize(
    ("amount", "total", "found"),
    [
        (Amount(3), 100, 3),
        (Amount(10, percent=True), 100, 10),
        (Amount(10, percent=True), 19, 1),
        (Amount(10, percent=True), 3, 1),
        (Amount(100, percent=True), 7, 7),
        (Amount(50, percent=True), 7, 3),
    ],
)
def test_amounts(amount: Amount, total: int, found: int) -> None:
    assert amount.of(total) == found


SITE = (
    BASE
    + """
---
node: web2
type: server
---
node: web10
type: server
---
role: vlan-of
for: [server]
attributes: {vlan: {type: integer}}
resources:
  - vlan: "{{ vlan }}"
    on: "sw1"
  - file: /etc/vlan
    content: "vlan {{ vlan }}"
---
proposal: tenant
attributes: {vlan: 20, text: of the tenant}
deploy: {vlan-of: ["web*"]}
rollout: {canary: 1, at_once: 50%, stop_on: 2}
"""
)


def test_what_a_site_says_of_its_rollouts() -> None:
    assert sound(SITE).rollouts == {"tenant": Rollout("tenant", ("web1", "web2", "web10"), 1, 1, 2)}
    assert sound(BASE).rollouts == {}


def asked(bundle: Bundle, address: str) -> set[tuple[str, tuple[str, ...]]]:
    item = next(item for item in bundle.resources if str(item.address) == address)
    return {(one.node, one.proposals) for one in askers(item)}


def test_who_asks_for_what() -> None:
    bundles = sound(SITE).bundles
    # Of those who put one thing on a neighbour all are told.
    assert asked(bundles["sw1"], "vlan/20") == {
        ("web1", ("tenant",)),
        ("web2", ("tenant",)),
        ("web10", ("tenant",)),
    }
    assert asked(bundles["web2"], "file//etc/vlan") == {("", ("tenant",))}
    # Nothing is added where the origin says it all.
    own = {str(item.address): item.asked for item in bundles["web2"].resources}
    assert own["file//etc/vlan"] == ()
    # `text` is set by a proposal that did not put the role there: its rollout decides all the same.
    assert asked(bundles["web1"], "file//etc/motd") == {("", ("base", "tenant"))}
    assert asked(bundles["sw1"], "vlan/10") == {("", ("base",))}


def test_who_asks_wakes_nobody() -> None:
    alone = sound(SITE.replace("rollout: {", "# {"))
    assert {name: b.etag for name, b in alone.bundles.items()} == {
        name: b.etag for name, b in sound(SITE).bundles.items()
    }


def test_purge_is_somebodys_too() -> None:
    text = SITE + (
        "---\nrole: tidy\nresources: [{vlan: '*', purge: true}]\n"
        "---\nproposal: tidy\ndeploy: {tidy: [sw1]}\nrollout: {at_once: 1}\n"
    )
    bundle = sound(text).bundles["sw1"]
    assert bundle.purge_asked == {"vlan": (Asked("", ("tidy",)),)}
    assert "vlan/*" in [item.address for item in staging_of(bundle, {"tidy"}).items]


def test_what_somebody_wants_at_once_is_not_staged() -> None:
    more = "---\nproposal: now\nattributes: {vlan: 20}\ndeploy: {vlan-of: [web10]}\n"
    bundles = sound(SITE).bundles
    assert [item.address for item in staging_of(bundles["sw1"], {"tenant"}).items] == ["vlan/20"]
    # web10 has it by both proposals: that is still one who asks, and the rollout decides.
    both = sound(SITE + more).bundles["sw1"]
    assert [item.address for item in staging_of(both, {"tenant"}).items] == ["vlan/20"]
    own = SITE.replace("10: {name: front}", "10: {name: front}, 20: {name: front}")
    assert staging_of(sound(own).bundles["sw1"], {"tenant"}).items == ()


def test_what_is_deferred_does_not_leave() -> None:
    staging = Staging(declared=frozenset({"vlan/1"}), deferred=frozenset({"vlan/2", "file/?"}))
    assert [a for a in ("vlan/1", "vlan/2", "vlan/3", "file//a") if staging.leaves(a)] == ["vlan/3"]


def test_what_others_of_its_own_node_rest_on_goes_after_them() -> None:
    asked = (Asked("", ("tenant",)),)
    declared = {"asked": asked, "needs": ["vlan/30", "sw1:vlan/40", "web1:vlan/50"]}
    entries = {"vlan/20": {"asked": asked}, "port/1": declared}
    owned = owned_of(msgspec.json.encode({"entries": entries}))
    host = host_of("sw1", Staging(), owned, Reported(waits=["vlan/20"]), ["vlan/10"], {"tenant"})
    assert host is not None
    assert set(host.left) == {"vlan/20", "port/1"}
    assert set(host.rested) == {"vlan/10", "vlan/20", "vlan/30", "vlan/40"}


AGAINST = """
---
node: web2
type: server
---
role: first
resources: [{file: /etc/first, content: x, needs: ["web2:file//etc/second"]}]
---
role: second
resources: [{file: /etc/second, content: x}]
---
proposal: both
deploy: {first: [web1], second: [web2]}
rollout: {canary: 1}
"""


def test_needs_against_the_order_of_waves_are_an_error() -> None:
    (problem,) = compiled(BASE + AGAINST).problems
    assert problem.message == (
        "the rollout of 'both' would wait for itself: wave 2 of both → web1:file//etc/first → "
        "web2:file//etc/second → wave 2 of both"
    )
    assert problem.line == len((BASE + AGAINST).splitlines())
    assert "make the waves larger" in problem.hint
    # In one wave, or with the waves the other way round, there is no circle.
    sound(BASE + AGAINST.replace("canary: 1", "at_once: 2"))
    swapped = AGAINST.replace("first: [web1], second: [web2]", "first: [web2], second: [web1]")
    sound(BASE + swapped.replace("web2:file//etc/second", "web1:file//etc/second"))


def test_rollouts_that_wait_for_each_other_are_an_error() -> None:
    other = (
        "---\nrole: third\nresources: [{file: /etc/third, content: x, needs: ['web2:file//etc/fourth']}]\n"
        "---\nrole: fourth\nresources: [{file: /etc/fourth, content: x, needs: [file//etc/fifth]}]\n"
        "---\nrole: fifth\nresources: [{file: /etc/fifth, content: x}]\n"
        "---\nproposal: one\ndeploy: {third: [web1], fifth: [web2]}\nrollout: {canary: 1}\n"
        "---\nproposal: two\ndeploy: {fourth: [web2]}\nrollout: {canary: 1}\n"
    )
    node = AGAINST.partition("---\nrole: first")[0]
    (problem,) = compiled(BASE + node + other).problems
    assert "the rollout of 'one' would wait for itself" in problem.message
    assert "web2:file//etc/fourth → web2:file//etc/fifth" in problem.message
