"""The graph of needs, its waves, and what comes before and after."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rackwright_proposals.sequence import Graph, graph_of, grouped, implied_of
from tests.proposals.sites import compiled, sound

SITE = """
site: test
---
node: sw1
type: switch
platform: cisco_ios
reach: [{ssh: {host: 10.0.0.1}}]
---
{node: web1, type: server}
---
role: net
for: [switch]
resources:
  - vlan: "20"
  - vlan: "30"
  - port: Gi1
    access_vlan: 30
---
role: web
for: [server]
resources:
  - file: /etc/net
    content: x
    needs: ["sw1:port/Gi1"]
  - file: /etc/motd
    content: "{{ facts.os }}"
  - service: net
    needs: [file//etc/net, file//etc/motd]
---
proposal: all
deploy: {net: [sw1], web: [web1]}
"""
NET, MOTD, SERVICE = "web1:file//etc/net", "web1:file//etc/motd", "web1:service/net"


def of_site(text: str) -> Graph:
    site = sound(text)
    return graph_of(site.bundles, implied_of(site))


def test_the_graph_of_a_site() -> None:
    graph = of_site(SITE)
    assert graph.needs["sw1:port/Gi1"] == ("sw1:vlan/30",)  # nobody wrote that
    assert graph.needs[NET] == ("sw1:port/Gi1",)
    assert set(graph.needs[SERVICE]) == {NET, MOTD}  # one of them is deferred
    assert [set(wave) for wave in graph.waves] == [
        {"sw1:vlan/20", "sw1:vlan/30", MOTD},
        {"sw1:port/Gi1"},
        {NET},
        {SERVICE},
    ]
    assert graph.longest == ("sw1:vlan/30", "sw1:port/Gi1", NET, SERVICE)
    assert graph.before([NET]) == {"sw1:port/Gi1", "sw1:vlan/30"}
    assert graph.after(["sw1:vlan/30"]) == {"sw1:port/Gi1", NET, SERVICE}
    assert graph.after(graph.of("sw1")) == {NET, SERVICE}
    assert graph.before(graph.of("sw1")) == frozenset()
    assert graph.of("nobody") == ()


def test_what_is_absent_goes_the_other_way_round() -> None:
    text = SITE.replace('- vlan: "30"', '- vlan: "30"\n    ensure: absent').replace(
        "    access_vlan: 30", "    ensure: present\n    mode: access"
    )
    gone = text.replace("    content: x\n", "    ensure: absent\n").replace(
        '- vlan: "20"', '- vlan: "20"\n    ensure: absent\n    needs: [vlan/30]'
    )
    graph = of_site(gone)
    assert graph.needs["sw1:vlan/30"] == ("sw1:vlan/20",)
    assert graph.needs["sw1:vlan/20"] == ()
    assert graph.needs[NET] == ()  # it goes, and waits for nothing that stays


def test_what_is_leaving_goes_after_its_users() -> None:
    site = sound(SITE)
    leaving = {"sw1:vlan/9": ["web1:mount/x", "elsewhere:mount/y"], "web1:mount/x": []}
    graph = graph_of(site.bundles, implied_of(site), leaving)
    assert graph.needs["sw1:vlan/9"] == ("web1:mount/x",)


def test_a_circle_stays_an_error_with_its_path() -> None:
    wrong = SITE.replace('- vlan: "30"', '- vlan: "30"\n    needs: ["web1:service/net"]')
    said = [problem.message for problem in compiled(wrong).problems]
    assert any("needs go in a circle" in text and "sw1:port/Gi1" in text for text in said)


@pytest.mark.parametrize(
    ("steps", "shown"),
    [
        ([], []),
        (["vlan/20"], ["vlan/20"]),
        (["vlan/20", "vlan/30", "port/1"], ["vlan/20 and 1 more", "port/1"]),
        (["a:vlan/1", "b:vlan/1"], ["a:vlan/1", "b:vlan/1"]),
        (["file//a:b/c", "file//d"], ["file//a:b/c and 1 more"]),
    ],
)
def test_groups(steps: list[str], shown: list[str]) -> None:
    assert grouped(steps) == shown


@st.composite
def graphs(draw: st.DrawFn) -> Mapping[str, tuple[str, ...]]:
    names = [f"n:t/{i}" for i in range(draw(st.integers(0, 12)))]
    return {name: tuple(draw(st.sets(st.sampled_from(names), max_size=4))) for name in names}


@given(graphs())
def test_waves_hold_every_step_once_and_end_on_anything(
    needs: Mapping[str, tuple[str, ...]],
) -> None:
    graph = Graph(needs)
    flat = [step for wave in graph.waves for step in wave]
    assert sorted(flat) == sorted(needs)
    number = {step: i for i, wave in enumerate(graph.waves) for step in wave}
    in_order = all(number[need] < number[step] for step in needs for need in needs[step])
    if in_order:
        assert len(graph.longest) == len(graph.waves)
        assert all(a in needs[b] for a, b in zip(graph.longest, graph.longest[1:], strict=False))
    for wave in graph.waves[:-1]:
        for step in wave:
            assert all(number[need] < number[step] for need in needs[step])
    for step in needs:
        assert graph.before([step]) == {s for s in needs if step in graph.after([s])} - {step}


def test_the_deadline_of_handoffs() -> None:
    assert sound(SITE).handoff_deadline == 900.0
    said = SITE.replace("site: test", "site: test\nhandoff_deadline: 60")
    assert sound(said).handoff_deadline == 60.0


@pytest.mark.parametrize("value", ["0", "-5", "soon", "true", "[900]"])
def test_a_wrong_deadline(value: str) -> None:
    wrong = SITE.replace("site: test", f"site: test\nhandoff_deadline: {value}")
    (problem,) = compiled(wrong).problems
    assert (
        "handoff_deadline of site 'test' must be a number of seconds from 1 on" in problem.message
    )
    assert problem.line == 3
