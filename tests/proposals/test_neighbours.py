"""Relations in roles: what a role puts on a neighbour, and what is in what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from rackwright.cli.main import group
from rackwright.model.facts import Facts
from rackwright_proposals.compile import Compiled, recompile
from rackwright_proposals.why import WhyResource, why
from rackwright_store.gates import gates_of, rests_of, wants_of
from tests.proposals.sites import compiled, resources, sound

RACK = """
site: rack
---
node: sw1
type: switch
platform: cisco_ios
links: {e1: "n1:eth0", e2: "n2:eth0", e3: "n3:eth0"}
---
node: sw2
type: switch
platform: cisco_ios
links: {e1: "n1:eth1", e2: "n2:eth1"}
---
node: ch1
type: chassis
platform: apc_rpdu
links: {3: "n1:slot"}
---
node: n1
type: server
room: a
---
node: n2
type: server
in: ch1:1
---
node: n3
type: server
links: {slot: "ch1:20"}
"""
PORTS = """
role: server-port
for: [server]
attributes: {network: {type: object}}
defaults: {network: {}}
resources:
  - file: "/etc/net/{{ name }}"
    each: name, spec in network.items()
  - vlan: "{{ spec.vlan }}"
    each: name, spec in network.items()
    when: spec.vlan is defined
    on: peer(name)
  - port: "{{ peer(name).port }}"
    each: name, spec in network.items()
    when: spec.vlan is defined
    on: peer(name)
    access_vlan: "{{ spec.vlan }}"
    description: "{{ node.name }} {{ name }}"
  - service: net
  - service: syslog
    needs: []
---
proposal: ports
deploy: {server-port: [type=server]}
"""


def _networks(**networks: Mapping[str, Any]) -> str:
    """RACK with a network for each server named."""
    text = RACK
    for name, network in networks.items():
        attributes = {"network": {port: dict(spec) for port, spec in network.items()}}
        encoded = msgspec.json.encode(attributes).decode()
        text = text.replace(f"node: {name}\n", f"node: {name}\nattributes: {encoded}\n")
    return text


def _rack(**networks: Mapping[str, Any]) -> Compiled:
    return sound({"rack.yaml": _networks(**networks), "ports.yaml": PORTS})


def _needs(site: Compiled, node: str, address: str) -> dict[str, str]:
    return {need.address: need.digest for need in resources(site, node)[address].needs}


def test_a_vlan_is_written_once_on_the_server() -> None:
    site = _rack(n1={"eth0": {"vlan": 666}, "eth1": {"vlan": 7}}, n2={"eth0": {"vlan": 666}})
    switch = resources(site, "sw1")
    assert {address: item.data for address, item in switch.items()} == {
        "vlan/666": {"name": "666"},
        "port/e1": {"name": "e1", "access_vlan": 666, "description": "n1 eth0"},
        "port/e2": {"name": "e2", "access_vlan": 666, "description": "n2 eth0"},
    }
    assert set(resources(site, "sw2")) == {"vlan/7", "port/e1"}
    origin = switch["port/e2"].origin
    assert str(origin) == "ports.yaml:13@c0ffee"
    assert (origin.role, origin.proposal, origin.node) == ("server-port", "ports", "n2")
    assert resources(site, "n1")["service/net"].origin.node == ""


def test_what_follows_what_a_role_puts_on_neighbours() -> None:
    site = _rack(n1={"eth0": {"vlan": 666}, "eth1": {"vlan": 7}, "eth5": {}})
    one, two = resources(site, "sw1"), resources(site, "sw2")
    first = {f"sw1:{address}": one[address].digest for address in ("port/e1", "vlan/666")}
    second = {f"sw2:{address}": two[address].digest for address in ("port/e1", "vlan/7")}
    # The same item of the same `each`; without one, all; `needs: []` says that it follows nothing.
    assert _needs(site, "n1", "file//etc/net/eth0") == first
    assert _needs(site, "n1", "file//etc/net/eth1") == second
    assert _needs(site, "n1", "file//etc/net/eth5") == {}
    assert _needs(site, "n1", "service/net") == {**first, **second}
    assert _needs(site, "n1", "service/syslog") == {}


def test_what_is_written_on_the_entry_is_needed_too() -> None:
    role = """
role: more
resources:
  - vlan: 5
    on: sw1
    needs: [vlan/6, "{{ node.name }}:file//etc/first"]
    notifies: [vlan/6]
  - vlan: 6
    on: sw1
    destroy: true
  - file: /etc/first
    needs: []
  - file: /etc/then
    needs: [file//etc/first]
  - file: /etc/gone
    needs: [file//etc/then]
---
proposal: more
deploy: {more: [n1]}
"""
    site = sound({"rack.yaml": RACK, "more.yaml": role})
    # An address without a node is of the node that the resource goes on.
    first = resources(site, "n1")["file//etc/first"]
    assert _needs(site, "sw1", "vlan/5") == {"vlan/6": "", "n1:file//etc/first": first.digest}
    assert resources(site, "sw1")["vlan/5"].notifies == ("vlan/6",)
    assert resources(site, "sw1")["vlan/6"].destroy
    assert set(_needs(site, "n1", "file//etc/then")) == {
        "file//etc/first",
        "sw1:vlan/5",
        "sw1:vlan/6",
    }


def test_what_is_to_be_absent_there_is_not_waited_for() -> None:
    role = """
role: absent
resources:
  - vlan: 5
    on: sw1
    ensure: absent
  - vlan: 6
    on: sw1
  - file: /etc/a
  - file: /etc/b
    ensure: absent
---
proposal: absent
deploy: {absent: [n1]}
"""
    site = sound({"rack.yaml": RACK, "absent.yaml": role})
    assert set(_needs(site, "n1", "file//etc/a")) == {"sw1:vlan/6"}
    assert _needs(site, "n1", "file//etc/b") == {}


@pytest.mark.parametrize(
    ("on", "nodes"),
    [
        ("peer('eth1')", {"sw2"}),
        ("parent()", {"ch1"}),
        ("sw2", {"sw2"}),
        ("node-1.a", {"node-1.a"}),
        ("node", set()),  # a name in scope comes first, and this one is no neighbour
        ("node.name", {"n1"}),
        ("peer('eth0') if node.labels.room == 'a' else parent()", {"sw1"}),
        ("parent().node", {"ch1"}),
    ],
)
def test_the_nodes_that_on_can_name(on: str, nodes: set[str]) -> None:
    more = f"""
node: node-1.a
type: switch
platform: cisco_ios
---
node: node
type: switch
platform: cisco_ios
---
role: gives
resources:
  - vlan: 5
    on: {on}
---
proposal: gives
deploy: {{gives: [n1]}}
"""
    site = compiled({"rack.yaml": RACK, "more.yaml": more})
    assert bool(site.problems) == (not nodes)
    if nodes:
        assert {name for name in site.bundles if "vlan/5" in resources(site, name)} == nodes


def test_on_follows_each() -> None:
    role = """
role: gives
resources:
  - port: "{{ port }}"
    each: port, link in links.items()
    on: link
---
role: below
resources:
  - file: "/etc/{{ node.name }}/{{ child.slot }}"
    each: child in children()
    on: child
---
proposal: gives
deploy: {gives: [n2], below: [ch1]}
"""
    site = sound({"rack.yaml": RACK, "more.yaml": role})
    assert set(resources(site, "sw1")) == {"port/eth0"}
    assert set(resources(site, "sw2")) == {"port/eth1"}
    assert set(resources(site, "ch1")) == {"port/slot"}
    for name, slot in (("n1", 3), ("n2", 1), ("n3", 20)):
        assert f"file//etc/ch1/{slot}" in resources(site, name)


def test_what_is_in_what() -> None:
    role = """
role: reads
resources:
  - file: /etc/parent
    when: parent() is defined
    content: "{{ parent().node }} {{ parent().type }} {{ parent().slot }}."
  - file: /etc/children
    when: children()
    content: "{{ children() | map(attribute='node') | join(' ') }}"
  - file: /etc/slot
    when: "'slot' in links"
    content: "{{ peer('slot').node }} {{ peer('slot').port }}"
  - file: /etc/facts
    when: node.name == 'n1'
    content: "{{ parent().facts.model }} {{ parent().attributes.site_wide }}"
---
proposal: reads
deploy: {reads: [type=server, ch1]}
"""
    rack = RACK.replace("site: rack", "site: rack\nattributes: {site_wide: yes}")
    rack += "in: n2\n---\nnode: n10\ntype: server\n"  # n3 says it is in n2, the chassis otherwise
    assert "'n3' is in 'ch1'" in str(compiled({"rack.yaml": rack}).problems)
    rack = rack.replace('links: {slot: "ch1:20"}', "")
    site = sound({"rack.yaml": rack, "reads.yaml": role})

    def content(node: str, file: str) -> Any:
        item = resources(site, node).get(f"file//etc/{file}")
        return item and item.data["content"]

    assert content("n1", "parent") == "ch1 chassis 3."
    assert content("n2", "parent") == "ch1 chassis 1."
    assert content("n3", "parent") == "n2 server ."
    assert content("n10", "parent") is None
    assert content("ch1", "children") == "n2 n1"  # by slot
    assert content("n2", "children") == "n3"
    assert content("n1", "slot") == "ch1 3"
    assert content("n2", "slot") == "ch1 1"
    assert [deferred.fact for deferred in site.bundles["n1"].deferred] == ["ch1:model"]

    found = recompile(site, {"ch1": Facts(values={"model": "m"})})
    assert resources(found, "n1")["file//etc/facts"].data["content"] == "m yes"
    assert found.bundles["n2"] is site.bundles["n2"]


def test_why_tells_who_put_it_there() -> None:
    site = _rack(n1={"eth0": {"vlan": 666}}, n2={"eth0": {"vlan": 666}})
    port, vlan = why(site, "sw1", "port/e1"), why(site, "sw1", "vlan/666")
    assert isinstance(port, WhyResource)
    assert isinstance(vlan, WhyResource)
    assert (port.put_by, port.role, port.proposals) == ("n1", "server-port", ("ports",))
    assert port.needed_by == ("n1:file//etc/net/eth0", "n1:service/net")
    assert (vlan.put_by, [origin.node for origin in vlan.also]) == ("n1", ["n2"])


def test_the_command_tells_who_put_it_there(tmp_path: Path) -> None:
    text = _networks(n1={"eth0": {"vlan": 666}}, n2={"eth0": {"vlan": 666}})
    (tmp_path / "site.yaml").write_text(text + "---" + PORTS)
    said = CliRunner().invoke(
        group,
        ["why", "sw1", "vlan/666", "--site", str(tmp_path), "--state", str(tmp_path / "state")],
    )
    assert said.exit_code == 0, said.output
    lines = {tuple(line.split(maxsplit=3)) for line in said.output.splitlines()[1:]}
    assert ("put", "here", "by", "n1") in lines
    assert any("by role server-port of n2" in line for line in said.output.splitlines())


def test_who_says_less_is_content_with_who_says_more() -> None:
    nets = """
role: nets
for: [switch]
resources:
  - vlan: 666
    name: storage
    needs: [port/e9]
  - port: e9
---
proposal: nets
deploy: {nets: [sw1]}
"""
    files = {"rack.yaml": _networks(n1={"eth0": {"vlan": 666}}), "ports.yaml": PORTS}
    site = sound({**files, "nets.yaml": nets})
    vlan = resources(site, "sw1")["vlan/666"]
    assert vlan.data == {"name": "666", "title": "storage"}
    assert (vlan.origin.role, vlan.origin.node) == ("nets", "")
    assert _needs(site, "sw1", "vlan/666") == {"port/e9": ""}
    assert _needs(site, "n1", "file//etc/net/eth0")["sw1:vlan/666"] == vlan.digest


def test_removal_goes_backwards() -> None:
    """The server's file goes before the port: the switch holds it while n1's ledger rests on it."""
    before = _rack(n1={"eth0": {"vlan": 666}}, n2={"eth0": {"vlan": 7}})
    ledger = msgspec.json.encode(
        {
            "entries": {
                address: {"needs": [need.address for need in item.needs]}
                for address, item in resources(before, "n1").items()
            }
        }
    )
    after = _rack(n2={"eth0": {"vlan": 7}})
    assert set(resources(after, "sw1")) == {"vlan/7", "port/e2"}
    wants = wants_of(after.bundles["sw1"])
    held = gates_of("sw1", wants, {}, [("n1", rests_of("n1", ledger))]).held
    assert held == {
        "port/e1": ("n1:file//etc/net/eth0", "n1:service/net"),
        "vlan/666": ("n1:file//etc/net/eth0", "n1:service/net"),
    }
    assert gates_of("sw1", wants, {}, [("n1", rests_of("n1", b'{"entries": {}}'))]).held == {}


FOUND = """
role: found
for: [server]
resources:
  - vlan: "{{ id }}"
    each: id in facts.vlans
    on: peer('eth0')
  - port: "{{ nic.port }}"
    each: nic in facts.nics
    on: peer(nic.name)
  - service: "{{ facts.service }}"
    on: sw2
  - file: /etc/after
---
proposal: found
deploy: {found: [n1]}
"""


def test_a_fact_of_the_server_changes_what_its_neighbour_has() -> None:
    site = sound({"rack.yaml": RACK, "found.yaml": FOUND})
    # Nobody knows yet where the port goes: it may come on any neighbour, and is not taken away.
    assert [(item.address, item.fact) for item in site.bundles["sw1"].deferred] == [
        ("vlan/?", "n1:vlans"),
        ("port/?", "n1:nics"),
    ]
    assert [item.address for item in site.bundles["sw2"].deferred] == ["port/?", "service/?"]
    assert [item.address for item in site.bundles["ch1"].deferred] == ["port/?"]
    assert site.bundles["n1"].deferred == ()
    assert _needs(site, "n1", "file//etc/after") == {
        "ch1:port/?": "",
        "sw1:port/?": "",
        "sw1:vlan/?": "",
        "sw2:port/?": "",
        "sw2:service/?": "",
    }

    known = Facts(values={"vlans": [5], "nics": [{"name": "eth1", "port": "e7"}], "service": "s"})
    found = recompile(site, {"n1": known})
    assert not found.problems
    assert set(resources(found, "sw1")) == {"vlan/5"}
    assert set(resources(found, "sw2")) == {"port/e7", "service/s"}
    assert set(_needs(found, "n1", "file//etc/after")) == {
        "sw1:vlan/5",
        "sw2:port/e7",
        "sw2:service/s",
    }
    assert not any(found.bundles[name].deferred for name in ("sw1", "sw2", "ch1"))
    assert found.bundles["n2"] is site.bundles["n2"]

    moved = recompile(found, {"n1": Facts(values={**known.values, "vlans": [6]})})
    assert set(resources(moved, "sw1")) == {"vlan/6"}
    assert moved.bundles["sw2"] is found.bundles["sw2"]
    same = recompile(moved, {"n1": Facts(values={**known.values, "vlans": [6], "x": 1})})
    assert all(same.bundles[name] is moved.bundles[name] for name in moved.bundles)


def test_facts_that_two_disagree_by_are_told_and_can_be_mended() -> None:
    role = """
role: says
for: [server]
resources:
  - vlan: 5
    on: sw1
    name: "{{ facts.title }}"
---
proposal: says
deploy: {says: [n1, n2]}
"""
    site = sound({"rack.yaml": RACK, "says.yaml": role})
    one = recompile(site, {"n1": Facts(values={"title": "a"})})
    two = recompile(one, {"n2": Facts(values={"title": "b"})})
    assert "vlan/5 of sw1 is to be two things: n1 wants title 'a'" in two.problems[0].message
    mended = recompile(two, {"n2": Facts(values={"title": "a"})})
    assert not mended.problems
    assert resources(mended, "sw1")["vlan/5"].data["title"] == "a"


def test_a_circle_that_facts_make_is_told_and_can_be_mended() -> None:
    role = """
role: says
for: [server]
resources:
  - vlan: 5
    on: sw1
    needs: ["{{ 'n1:file//etc/a' if facts.late else none }}"]
  - file: /etc/a
  - file: /etc/b
---
proposal: says
deploy: {says: [n1]}
"""
    files = {"rack.yaml": RACK, "says.yaml": role}
    site = sound(files, facts={"n1": Facts(values={"late": False})})
    circle = recompile(site, {"n1": Facts(values={"late": True})})
    assert "needs go in a circle: n1:file//etc/a → sw1:vlan/5" in circle.problems[0].message
    assert not recompile(circle, {"n1": Facts(values={"late": False})}).problems


def test_a_circle_that_facts_make_is_found_wherever_on_its_node_it_is() -> None:
    role = """
role: says
for: [server]
resources:
  - file: /etc/a
  - file: /etc/b
    needs: ["{{ 'file//etc/c' if facts.late else none }}"]
  - file: /etc/c
    needs: [file//etc/b]
---
proposal: says
deploy: {says: [n1]}
"""
    site = sound(
        {"rack.yaml": RACK, "says.yaml": role}, facts={"n1": Facts(values={"late": False})}
    )
    (problem,) = recompile(site, {"n1": Facts(values={"late": True})}).problems
    assert "needs go in a circle: n1:file//etc/b → n1:file//etc/c" in problem.message


_SPEC = st.fixed_dictionaries({}, optional={"vlan": st.sampled_from([5, 6, 7])})
_NETWORK = st.dictionaries(st.sampled_from(["eth0", "eth1"]), _SPEC)
_CABLES = {
    ("n1", "eth0"): ("sw1", "e1"),
    ("n1", "eth1"): ("sw2", "e1"),
    ("n2", "eth0"): ("sw1", "e2"),
    ("n2", "eth1"): ("sw2", "e2"),
}


def _by_hand(networks: Mapping[str, Mapping[str, Any]]) -> str:
    """What PORTS gives for ``networks``, each resource written out on the node that has it."""
    entries: dict[str, list[str]] = {"sw1": [], "sw2": [], "n1": [], "n2": [], "n3": []}
    for server in ("n1", "n2", "n3"):
        whole: list[str] = []
        for port, spec in networks.get(server, {}).items():
            needs: list[str] = []
            if "vlan" in spec:
                switch, there = _CABLES[server, port]
                entries[switch].append(f"- vlan: {spec['vlan']}")
                entries[switch].append(
                    f"- port: {there}\n  access_vlan: {spec['vlan']}\n"
                    f"  description: {server} {port}"
                )
                needs = [f"{switch}:vlan/{spec['vlan']}", f"{switch}:port/{there}"]
            entries[server].append(f"- file: /etc/net/{port}\n  needs: {needs}")
            whole += needs
        entries[server].append(f"- service: net\n  needs: {whole}")
        entries[server].append("- service: syslog")
    documents = [
        f"role: of-{node}\nresources:\n" + "\n".join(of) for node, of in entries.items() if of
    ]
    deploy = {f"of-{node}": [node] for node, of in entries.items() if of}
    documents.append(f"proposal: hand\ndeploy: {msgspec.json.encode(deploy).decode()}")
    return "\n---\n".join(documents) + "\n"


@settings(max_examples=60)
@given(st.fixed_dictionaries({"n1": _NETWORK, "n2": _NETWORK}))
def test_it_is_as_if_written_by_hand_on_the_neighbour(networks: dict[str, Any]) -> None:
    derived = _rack(**networks)
    by_hand = sound({"rack.yaml": RACK, "hand.yaml": _by_hand(networks)})
    for node in derived.bundles:
        told, expected = resources(derived, node), resources(by_hand, node)
        assert told.keys() == expected.keys()
        for address, item in told.items():
            other = expected[address]
            assert (item.data, item.digest, item.needs) == (other.data, other.digest, other.needs)


_FACTS = st.fixed_dictionaries(
    {},
    optional={
        "vlans": st.lists(st.sampled_from([5, 6, ""]), max_size=2, unique=True),
        "nics": st.lists(
            st.fixed_dictionaries(
                {
                    "name": st.sampled_from(["eth0", "eth1", "slot", "eth9"]),
                    "port": st.sampled_from(["e1", "e2"]),
                }
            ),
            max_size=2,
        ),
        "service": st.sampled_from(["a", "b"]),
    },
)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["n1", "n2", "sw1"]), _FACTS), max_size=5))
def test_facts_one_by_one_or_all_at_once(steps: list[tuple[str, dict[str, Any]]]) -> None:
    files = {"rack.yaml": RACK, "found.yaml": FOUND.replace("[n1]", "[n1, n2]")}
    step, facts = sound(files), {}
    for node, values in steps:
        facts[node] = Facts(values=values)
        step = recompile(step, {node: facts[node]})
        at_once = compiled(files, facts=facts)
        assert step.problems == at_once.problems
        assert step.bundles == at_once.bundles or step.problems


def test_an_outlet_needs_no_power_supplys_name() -> None:
    pdus = """
site: rack
---
node: pdu1
type: pdu
platform: apc_rpdu
links: {1: n1, 2: n1, 3: {to: "n1:psu1"}, 4: {to: n2, trust: declared}}
---
node: n1
type: server
---
node: n2
type: server
"""
    site = sound(pdus)
    assert [(link.port, link.peer, link.peer_port) for link in site.bundles["pdu1"].node.links] == [
        ("1", "n1", "pdu1/1"),
        ("2", "n1", "pdu1/2"),
        ("3", "n1", "psu1"),
        ("4", "n2", "pdu1/4"),
    ]
    ends = {link.port: link.peer_port for link in site.bundles["n1"].node.links}
    assert ends == {"pdu1/1": "1", "pdu1/2": "2", "psu1": "3"}
