"""One thing has one name, however each node's author spells it."""

from __future__ import annotations

import pytest

from rackwright.provider import Registry
from rackwright_proposals.compile import Compiled, compile_site
from rackwright_proposals.tree import Source

SITE = """
site: lab
---
node: sw1
type: switch
platform: cisco_ios
reach: [{ssh: {host: 10.0.0.2, username: rack, password: {secret: sw1}}}]
links: {%s: web1:eth0}
---
node: web1
type: server
---
role: ports
for: [switch]
resources:
  - vlan: "0666"
  - port: "%s"
    access_vlan: 666
    description: "{{ peer('Gi1/0/1').node }} on {{ links | list | first }}"
---
role: waits
for: [server]
resources:
  - file: /etc/net
    needs: ["sw1:port/%s", "sw1:vlan/666", "sw1:port/{{ peer('eth0').port }}"]
---
proposal: all
deploy: {ports: [sw1], waits: [web1]}
"""


def compiled(*ports: str) -> Compiled:
    nouns = Registry.installed().nouns()
    return compile_site(Source({"site.yaml": (SITE % ports).encode()}, "c0ffee"), nouns)


@pytest.mark.parametrize(
    "ports",
    [
        ("Gi1/0/1", "Gi1/0/1", "Gi1/0/1"),
        ("GigabitEthernet1/0/1", "Gi1/0/1", "GigabitEthernet1/0/1"),
        ("Gi1/0/1", "GigabitEthernet1/0/1", "Gi1/0/1"),
    ],
)
def test_ports_and_vlans_have_one_name_on_all_nodes(ports: tuple[str, str, str]) -> None:
    site = compiled(*ports)
    assert not site.problems, "\n".join(map(str, site.problems))
    told = {str(item.address): item for item in site.bundles["sw1"].resources}
    assert set(told) == {"vlan/666", "port/GigabitEthernet1/0/1"}
    assert told["port/GigabitEthernet1/0/1"].data["description"] == "web1 on GigabitEthernet1/0/1"
    (file,) = site.bundles["web1"].resources
    assert {need.address: need.digest for need in file.needs} == {
        "sw1:port/GigabitEthernet1/0/1": told["port/GigabitEthernet1/0/1"].digest,
        "sw1:vlan/666": told["vlan/666"].digest,
    }
    assert site.bundles["web1"].node.links[0].peer_port == "GigabitEthernet1/0/1"


def test_one_port_by_two_names_is_one_declaration() -> None:
    both = SITE.replace('  - vlan: "0666"', "  - port: Gi1/0/1\n    access_vlan: 667") % (
        "Gi1/0/1",
        "GigabitEthernet1/0/1",
        "Gi1/0/1",
    )
    found = compile_site(Source({"site.yaml": both.encode()}, ""), Registry.installed().nouns())
    assert "port/GigabitEthernet1/0/1 is declared twice" in "\n".join(map(str, found.problems))


def test_a_port_linked_under_two_names_is_used_twice() -> None:
    twice = SITE.replace("{%s: web1:eth0}", "{%s: web1:eth0, GigabitEthernet1/0/1: web1:eth1}") % (
        "Gi1/0/1",
        "Gi1/0/1",
        "Gi1/0/1",
    )
    found = compile_site(Source({"site.yaml": twice.encode()}, ""), Registry.installed().nouns())
    assert "port sw1:GigabitEthernet1/0/1 is used twice" in "\n".join(map(str, found.problems))
