"""Rendering: needs, deferred facts, what wakes whom, and that nothing dangles."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rackwright.model.address import Address
from rackwright.model.bundle import Bundle, Need
from rackwright.model.facts import Facts
from rackwright.model.resource import digest
from rackwright_proposals.compile import Compiled, recompile
from tests.proposals.sites import BASE, compiled, resources, sound

WAITING = """
role: ports
for: [switch]
resources:
  - port: "{{ port }}"
    each: port, link in links.items()
    mode: access
    access_vlan: 666
    description: "{{ link.node }} {{ link.port }}"
---
role: waits
for: [server]
resources:
  - file: /etc/net
    content: "{{ peer('eth0').node }} {{ template('net.j2') }}"
    needs: ["{{ peer('eth0').node }}:port/{{ peer('eth0').port }}", "sw1:vlan/666", file//etc/motd]
    notifies: [service/net]
  - service: net
    enabled: true
---
proposal: waits
deploy: {ports: [sw1], waits: [web1]}
"""
SITE = {"base.yaml": BASE, "waits.yaml": WAITING, "net.j2": "at {{ links.eth0.port }}\n"}


def test_a_bundle_has_all_that_the_agent_needs() -> None:
    site = sound(SITE)
    told = resources(site, "web1")
    net, switch = told["file//etc/net"], resources(site, "sw1")

    assert net.data == {"name": "/etc/net", "content": "sw1 at e1\n"}
    assert net.digest == digest("file", net.data)
    assert {need.address: need.digest for need in net.needs} == {
        "file//etc/motd": "",
        "sw1:port/e1": switch["port/e1"].digest,
        "sw1:vlan/666": switch["vlan/666"].digest,
    }
    assert net.notifies == ("service/net",)
    assert str(net.origin) == "waits.yaml:14@c0ffee"
    assert (net.origin.role, net.origin.proposal) == ("waits", "waits")
    assert switch["port/e1"].data["description"] == "web1 eth0"
    assert switch["vlan/666"].data["title"] == "storage"

    node = site.bundles["sw1"].node
    assert node.reach[0].options == {"host": "10.0.0.1", "password": "⟦secret:sw1⟧"}
    assert [(link.port, link.peer, link.peer_port) for link in node.links] == [
        ("e1", "web1", "eth0")
    ]
    assert site.bundles["web1"].node.platform == "linux"
    assert site.bundles["web1"].roles == ("waits", "web")
    assert site.proposals["waits"].deploy == {"ports": ("sw1",), "waits": ("web1",)}
    assert str(site.proposals["waits"].origin) == "waits.yaml:21@c0ffee"


def test_bundles_survive_the_wire() -> None:
    for bundle in sound(SITE).bundles.values():
        data = msgspec.json.encode(bundle)
        again = msgspec.json.decode(data, type=Bundle)
        assert again.etag == bundle.etag
        for item in again.resources:
            assert digest(item.type, item.data) == item.digest


def test_an_unrelated_commit_wakes_nobody() -> None:
    before = sound(SITE, "c1")
    changed = {
        **SITE,
        "base.yaml": "# a comment\n\n" + BASE.replace("room: b", "room: c\nrack: r1"),
        "more.yaml": "proposal: more\nattributes: {vlans: {7: {state: retired}}}\ndeploy: {nets: [sw1]}\n",
    }
    after = sound(changed, "c2")
    assert after.bundles["web1"].revision == "c2"
    for node in ("web1", "sw1"):
        assert after.bundles[node].etag == before.bundles[node].etag


def test_a_changed_need_wakes_who_needs_it() -> None:
    before = sound(SITE)
    after = sound({**SITE, "base.yaml": BASE.replace("name: storage", "name: iscsi")})
    assert after.bundles["sw1"].etag != before.bundles["sw1"].etag
    assert after.bundles["web1"].etag != before.bundles["web1"].etag
    again = sound({**SITE, "base.yaml": BASE.replace("name: front", "name: outside")})
    assert again.bundles["sw1"].etag != before.bundles["sw1"].etag
    assert again.bundles["web1"].etag == before.bundles["web1"].etag


FACTS = """
role: facts
for: [server]
resources:
  - file: /etc/cpus
    content: "{{ facts.cpus }} CPUs"
  - file: "/etc/{{ facts.serial }}"
  - file: /etc/default
    content: "{{ facts.serial | default('none') }}"
  - service: "{{ name }}"
    each: name in facts.services
  - file: /etc/peer
    when: facts.cpus > 2
    content: "{{ peer('eth0').facts.version }}"
    needs: [file//etc/cpus, "file//etc/default"]
---
role: on-switch
for: [switch]
resources:
  - vlan: 1
    needs: ["web1:file//etc/peer", "web1:service/a", "web1:file//etc/default"]
---
proposal: facts
deploy: {facts: [web1], on-switch: [sw1]}
"""


def test_what_reads_an_unknown_fact_is_deferred() -> None:
    site = sound({"base.yaml": BASE, "facts.yaml": FACTS})
    bundle = site.bundles["web1"]
    assert [(item.address, item.fact) for item in bundle.deferred] == [
        ("file//etc/cpus", "web1:cpus"),
        ("file/?", "web1:serial"),
        ("service/?", "web1:services"),
        ("file/?", "web1:cpus"),
    ]
    assert str(bundle.deferred[0].origin) == "facts.yaml:5@c0ffee"
    assert resources(site, "web1")["file//etc/default"].data["content"] == "none"
    # What needs a deferred resource is kept, and cannot be met yet.
    assert [bool(need.digest) for need in resources(site, "sw1")["vlan/1"].needs] == [
        True,
        False,
        False,
    ]


def test_facts_render_what_waited_and_nothing_else_is_touched() -> None:
    site = sound({"base.yaml": BASE, "facts.yaml": FACTS})
    known = Facts(values={"cpus": 4, "serial": "abc", "services": ["b", "a"]})

    first = recompile(site, {"web1": known})
    assert not first.problems
    assert [item.fact for item in first.bundles["web1"].deferred] == ["sw1:version"]
    assert set(resources(first, "web1")) == {
        "file//etc/motd",
        "file//etc/cpus",
        "file//etc/abc",
        "file//etc/default",
        "service/b",
        "service/a",
    }

    second = recompile(first, {"sw1": Facts(values={"version": "15.2"})})
    assert resources(second, "web1")["file//etc/peer"].data["content"] == "15.2"
    assert not second.bundles["web1"].deferred

    third = recompile(second, {"web1": known})
    assert all(third.bundles[node] is second.bundles[node] for node in second.bundles)


def test_rendering_with_facts_is_the_same_from_the_start() -> None:
    facts = {
        "web1": Facts(values={"cpus": "4", "serial": "abc", "services": ["a"]}),
        "sw1": Facts(values={"version": "1"}),
    }
    files = {"base.yaml": BASE, "facts.yaml": FACTS.replace("facts.cpus > 2", "facts.cpus == '4'")}
    at_once = sound(files, facts=facts)
    step = sound(files)
    for node, found in facts.items():
        step = recompile(step, {node: found})
    assert step.bundles == at_once.bundles


def test_facts_that_break_a_role_are_told_and_can_be_mended() -> None:
    files = {"base.yaml": BASE, "facts.yaml": FACTS}
    broken = recompile(sound(files), {"web1": Facts(values={"services": [""]})})
    assert [problem.line for problem in broken.problems] == [10]
    mended = recompile(broken, {"web1": Facts(values={"services": ["a"]})})
    assert not mended.problems
    assert "service/a" in resources(mended, "web1")


def test_purge_and_destroy() -> None:
    role = """
role: purges
resources:
  - vlan: '*'
    purge: true
    when: node.type == 'switch'
  - vlan: 5
    destroy: true
    ensure: absent
---
proposal: purges
deploy: {purges: ['*']}
"""
    site = sound({"base.yaml": BASE, "purges.yaml": role})
    assert site.bundles["sw1"].purge == ("vlan",)
    assert site.bundles["web1"].purge == ()
    gone = resources(site, "web1")["vlan/5"]
    assert gone.destroy
    assert gone.data == {"name": "5", "ensure": "absent"}


def test_the_same_resource_of_two_roles_is_one_with_both_needs() -> None:
    role = """
role: again
resources:
  - file: /etc/motd
    content: hello
    needs: [service/net]
  - service: net
---
proposal: again
deploy: {again: [web1]}
"""
    site = sound({"base.yaml": BASE, "again.yaml": role})
    told = [item for item in site.bundles["web1"].resources if item.data["name"] == "/etc/motd"]
    assert [[need.address for need in item.needs] for item in told] == [["service/net"]]


@pytest.mark.parametrize(
    ("selector", "nodes"),
    [
        ("web1", {"web1"}),
        ("web*", {"web1", "web2", "web10"}),
        ("web?", {"web1", "web2"}),
        ("web[12]", {"web1", "web2"}),
        ("*", {"web1", "web2", "web10"}),
        ("type=server", {"web1", "web2", "web10"}),
        ("room=a", {"web2"}),
        ("room=a,type=server", {"web2"}),
        ("rack=r*, room=b", {"web10"}),
        ("name=web1*", {"web1", "web10"}),
        ("disk.size=10", {"web2"}),
        ("tags=x", {"web1", "web2"}),
        ("ha=true", {"web10"}),
        ("platform=linux", {"web1"}),
    ],
)
def test_selectors(selector: str, nodes: set[str]) -> None:
    more = f"""
node: web2
type: server
room: a
attributes: {{disk: {{size: 10}}, tags: [y, x]}}
---
node: web10
type: server
room: b
rack: r7
ha: true
---
role: chosen
for: [server]
---
proposal: chosen
deploy: {{chosen: ["{selector}"]}}
"""
    base = BASE.replace("room: b", "room: b\nplatform: linux\nattributes: {tags: [x]}")
    site = sound({"base.yaml": base, "more.yaml": more})
    assert {name for name, bundle in site.bundles.items() if "chosen" in bundle.roles} == nodes


_ROLE = """
role: r{index}
resources:
{entries}
---
proposal: p{index}
deploy: {{r{index}: [{nodes}]}}
"""


@st.composite
def _sites(draw: st.DrawFn) -> dict[str, str]:
    """Roles whose needs often name something that is there, sometimes by way of a fact."""
    files = {"base.yaml": BASE}
    addresses = st.sampled_from(
        [
            "file//a",
            "file//b",
            "service/s",
            "web1:file//a",
            "sw1:file//b",
            "sw1:vlan/10",
            "sw1:vlan/11",
            "sw1:service/s",
            "nobody:file//a",
        ]
    )
    for index in range(draw(st.integers(1, 3))):
        entries = []
        for _ in range(draw(st.integers(1, 3))):
            name = draw(st.sampled_from(["file: /a", "file: /b", "service: s"]))
            needs = draw(st.lists(addresses, max_size=2))
            fact = draw(st.sampled_from(["", "", "facts.x == 1", "facts.y"]))
            entries.append(
                f"  - {name}\n    needs: {needs}\n" + (f"    when: {fact}\n" if fact else "")
            )
        nodes = draw(st.sampled_from(["web1", "sw1", "'*'"]))
        files[f"{index}.yaml"] = _ROLE.format(index=index, entries="".join(entries), nodes=nodes)
    return files


def _dangling(site: Compiled) -> list[Any]:
    found = []
    for name, bundle in site.bundles.items():
        for item in bundle.resources:
            for need in item.needs:
                address = Address.parse(need.address)
                there = site.bundles.get(address.node or name)
                if there is None:
                    found.append((name, item, need))
                    continue
                digests = {str(other.address): other.digest for other in there.resources}
                waiting = {other.address for other in there.deferred}
                key = str(address.local)
                if key in digests:
                    right = need.digest == (digests[key] if address.node else "")
                else:
                    right = not need.digest and bool(waiting & {key, f"{address.type}/?"})
                if not right:
                    found.append((name, item, need))
    return found


@given(_sites(), st.dictionaries(st.sampled_from(["web1", "sw1"]), st.integers(0, 1), max_size=2))
def test_no_need_dangles(files: dict[str, str], known: dict[str, int]) -> None:
    site = compiled(files)
    facts = {node: Facts(values={"x": value}) for node, value in known.items()}
    for made in (site, recompile(site, facts)):
        if not made.problems:
            assert _dangling(made) == []
        else:
            assert all(problem.line for problem in made.problems)


def test_a_fact_cannot_name_a_secret() -> None:
    """What a device says of itself must not make another node put its own secrets in."""
    role = """
role: told
for: [server]
resources:
  - file: /etc/told
    content: "{{ peer('eth0').facts.name }} {{ peer('eth0').facts.ports | join(',') }}"
---
proposal: told
deploy: {told: [web1]}
"""
    facts = {"sw1": Facts(values={"name": "⟦secret:root⟧", "ports": {"⟦secret:root⟧": 1}})}
    site = sound({**SITE, "told.yaml": role}, facts=facts)
    content = resources(site, "web1")["file//etc/told"].data["content"]
    assert content == "[secret:root⟧ [secret:root⟧"


def test_its_own_name_in_a_need_makes_no_difference() -> None:
    """Nobody verifies a node's own resources for it, so such a need would never be met."""
    role = """
role: own
for: [switch]
resources:
  - vlan: "77"
  - vlan: "78"
    needs: ["{{ node.name }}:vlan/77"]
---
proposal: own
deploy: {own: [sw1]}
"""
    site = sound({**SITE, "own.yaml": role})
    assert resources(site, "sw1")["vlan/78"].needs == (Need(address="vlan/77"),)
