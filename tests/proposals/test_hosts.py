"""Hosts: which can use which way to a node, what nobody could converge, and the site's lease."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from rackwright_proposals.compile import Compiled
from rackwright_proposals.schema import site_schema

from .nouns import NOUNS
from .sites import compiled, sound

SITE = """\
site: test
---
node: admin1
type: server
platform: linux
offers: {networks: [oob-a, oob-b], serial: [/dev/ttyUSB0]}
---
node: admin2
type: server
platform: linux
offers: {networks: [oob-a]}
---
node: sw1
type: switch
platform: cisco_ios
reach:
  - ssh: {host: 10.0.0.2}
    network: oob-a
  - serial: {port: /dev/ttyUSB0}
    at: admin1
  - serial: {port: /dev/ttyUSB0}
  - serial: {port: /dev/ttyUSB7}
  - serial: {port: "socket://10.0.0.9:2001"}
  - ssh: {host: 10.0.0.2}
---
node: sw2
type: switch
platform: cisco_ios
reach:
  - ssh: {host: 10.0.0.3}
    network: oob-b
---
role: delegate-host
for: [server]
resources: []
---
proposal: hosts
deploy:
  delegate-host: [admin2]
"""


def warnings(site: Compiled) -> list[tuple[int, str]]:
    # A role of the library may be called the same.
    return [
        (said.line, said.message) for said in site.warnings if "takes the place" not in said.message
    ]


def test_every_way_has_the_hosts_that_can_use_it() -> None:
    ways = sound(SITE).bundles["sw1"].node.reach
    assert [way.hosts for way in ways] == [
        ("admin1", "admin2"),
        ("admin1",),
        ("admin1",),
        (),
        (),
        (),
    ]
    assert sound(SITE).nodes["sw2"].reach[0].hosts == ("admin1",)


def test_an_offer_that_comes_changes_what_the_node_is_told() -> None:
    before = sound(SITE).bundles["sw2"]
    offered = SITE.replace("offers: {networks: [oob-a]}", "offers: {networks: [oob-a, oob-b]}")
    after = sound(offered).bundles["sw2"]
    assert after.node.reach[0].hosts == ("admin1", "admin2")
    assert after.etag != before.etag
    assert sound(offered).bundles["admin1"].etag == sound(SITE).bundles["admin1"].etag


def test_what_no_host_can_take_is_a_warning_at_its_line() -> None:
    assert warnings(sound(SITE)) == [
        (19, "'sw1' is reached from 'admin1', which has not the role 'delegate-host'"),
        (26, "no host with the role 'delegate-host' can reach 'sw2'"),
    ]
    hint = next(said.hint for said in sound(SITE).warnings if said.line == 26)
    assert hint == "deploy delegate-host on one that can, or offer its network on admin2"
    both = SITE.replace("delegate-host: [admin2]", "delegate-host: [admin1, admin2]")
    assert warnings(sound(both)) == []


def test_a_way_at_what_can_be_no_host_names_those_that_can() -> None:
    said = sound(SITE.replace("    at: admin1\n", "    at: sw2\n")).warnings
    assert [one.hint for one in said if "reached from 'sw2'" in one.message] == [
        "hosts are servers: admin2"
    ]


def test_without_any_host_delegates_are_started_by_hand() -> None:
    by_hand = SITE[: SITE.index("role: delegate-host")].removesuffix("---\n")
    assert warnings(sound(by_hand)) == []


def test_a_network_that_nobody_offers_is_of_use_to_nobody() -> None:
    site = SITE.replace("network: oob-b\n", "network: oob-c\n")
    assert sound(site).nodes["sw2"].reach[0].hosts == ()
    assert (26, "no host with the role 'delegate-host' can reach 'sw2'") in warnings(sound(site))


def test_where_nodes_stand() -> None:
    origin = sound(SITE).origins["sw2"]
    assert (origin.file, origin.line, origin.commit) == ("site.yaml", 26, "c0ffee")


def test_the_lease() -> None:
    assert sound(SITE).lease == 15.0
    assert sound(SITE.replace("site: test", "site: test\nlease: 60")).lease == 60.0
    editors = Draft202012Validator(site_schema(NOUNS))
    assert editors.is_valid({"site": "test", "lease": 60})
    assert not editors.is_valid({"site": "test", "lease": 1})


@pytest.mark.parametrize("value", ["1.9", "301", "-5", "soon", "true", "[15]"])
def test_a_wrong_lease(value: str) -> None:
    (problem,) = compiled(SITE.replace("site: test", f"site: test\nlease: {value}")).problems
    assert "lease of site 'test' must be a number of seconds from 2 to 300, not" in problem.message
    assert (problem.line, problem.hint) == (2, "e.g. lease: 15")
