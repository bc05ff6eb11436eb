"""The role library and the example sites, with the nouns that are installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from rackwright.model.facts import Facts
from rackwright.provider import Registry
from rackwright_proposals.compile import Compiled, compile_site
from rackwright_proposals.load import load
from rackwright_proposals.marks import Problems
from rackwright_proposals.schema import site_schema
from rackwright_proposals.site_files import library_roles
from rackwright_proposals.tree import Source, read_library, read_tree
from tests.proposals.sites import resources

EXAMPLES = Path(__file__).parents[2] / "proposals" / "examples"
REGISTRY = Registry.installed()


def _compile(source: Source, facts: dict[str, Facts] | None = None) -> Compiled:
    made = compile_site(source, REGISTRY.nouns(), facts, REGISTRY.platforms)
    assert made.problems == ()
    return made


SITE = """
site: s
attributes:
  files: {/etc/a: {content: x, mode: '0600', owner: root}}
  directories: {/srv: {mode: '0750'}}
  symlinks: {/etc/b: a}
  sysctls: {net.ipv4.ip_forward: 1}
  groups: {ops: {gid: 900}}
  users:
    bob: {uid: 1001, groups: [ops], shell: /bin/sh, password_hash: {secret: bob}}
    eve: {ensure: absent}
  authorized_keys:
    bob:laptop: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1IkGzBbnXXb2mEBqIGuDpjSzN5KbnjQ1CMCvK8TkMm
  packages: [lldpd]
  hosts: {192.0.2.9: [other]}
---
node: web1
type: server
attributes:
  network: {eth0: {vlan: 666, addresses: [10.0.0.1/24], mtu: 9000}, eth1: {}}
  initiator: iqn.2026-11.example:web1
  delegate_host: {store: "https://store.example:8417", ca: /etc/rackwright/ca.crt}
  luns:
    data1:
      array: san1
      target: iqn.2026-11.example:san1
      portal: 192.0.2.5:3260
      lun: 1
      username: rack
      password: {secret: chap}
      fstype: ext4
      mount: /srv/data
---
node: web2
type: server
---
node: sw1
type: switch
platform: cisco_ios
links: {e1: "web1:eth0", e2: "web2:eth0", e3: "pdu1:net"}
attributes: {address: 192.0.2.2}
---
node: pdu1
type: pdu
links: {3: "web1:psu1"}
---
node: ch1
type: chassis
links: {2: "web1:slot"}
---
node: san1
type: san
---
proposal: p
attributes:
  blades: {2: {power: 'on', boot: pxe}, 3: {power: graceful_off, grace: 60, label: spare, priority: 9}}
  volumes: {data1: {size: 10GiB, pool: A, thin: true}, old: {state: deleted}}
  exports: {"data1:iqn.2026-11.example:web1": {lun: 1, target: "iqn.2026-11.example:san1"}}
  targets: {"iqn.2026-11.example:san1": {chap: rack}}
  chap_accounts: {rack: {secret: chap}}
  lags: {10: {members: [e3, e4], mode: trunk, allowed_vlans: "8,666"}}
  ntp_servers: [192.0.2.1, 192.0.2.3]
  syslog_servers: [192.0.2.1]
  snmp_communities: {watch: {community: {secret: snmp}}}
  local_users: {rack: {password: {secret: login}, privilege: 15}}
  vlans: {666: {name: storage}, 7: {state: retired}, 8: {}}
  outlets: {3: {state: 'on', on_delay: 5}, 4: {state: 'off', label: spare}}
DEFAULT
deploy:
  vlans: [sw1]
  access-ports: [sw1]
  server-network: [web1]
  server-port: [web1]
  lags: [sw1]
  switch-base: [sw1]
  blades: [ch1]
  volumes: [san1]
  outlets: [pdu1]
  users: [web1]
  files: [web1]
  sysctls: [web1]
  san-luns: [web1]
  base-server: [web1]
  delegate-host: [web1]
"""


DISK = "/dev/disk/by-path/ip-192.0.2.5:3260-iscsi-iqn.2026-11.example:san1-lun-1"


def _library(default: str = "") -> Compiled:
    return _compile(Source({"site.yaml": SITE.replace("DEFAULT", default).encode()}))


@pytest.mark.parametrize(
    ("node", "address", "data"),
    [
        ("sw1", "vlan/666", {"title": "storage"}),
        ("sw1", "vlan/8", {}),
        (
            "sw1",
            "port/e1",
            {"admin": "up", "mode": "access", "access_vlan": 666, "description": "web1 eth0"},
        ),
        ("pdu1", "outlet/3", {"state": "on", "label": "web1", "on_delay": 5}),
        ("pdu1", "outlet/4", {"state": "off", "label": "spare"}),
        (
            "web1",
            "iscsi_session/iqn.2026-11.example:san1",
            {
                "portal": "192.0.2.5:3260",
                "username": "rack",
                "password": "⟦secret:chap⟧",
                "state": "logged_in",
            },
        ),
        ("web1", f"filesystem/{DISK}", {"fstype": "ext4"}),
        ("web1", "mount//srv/data", {"device": DISK, "fstype": "ext4", "options": "_netdev"}),
        ("ch1", "blade/2", {"power": "on", "boot": "pxe", "label": "web1"}),
        (
            "ch1",
            "blade/3",
            {"power": "graceful_off", "grace": 60, "label": "spare", "priority": 9},
        ),
        ("san1", "volume/data1", {"size": "10GiB", "pool": "A", "thin": True}),
        ("san1", "volume/old", {"ensure": "absent"}),
        (
            "san1",
            "export/data1:iqn.2026-11.example:web1",
            {"lun": 1, "target": "iqn.2026-11.example:san1"},
        ),
        ("san1", "target/iqn.2026-11.example:san1", {"chap": "rack"}),
        ("san1", "chap/rack", {"password": "⟦secret:chap⟧"}),
        (
            "sw1",
            "lag/10",
            {
                "members": ("e3", "e4"),
                "lacp": "active",
                "mode": "trunk",
                "allowed_vlans": "8,666",
            },
        ),
        ("sw1", "hostname/sw1", {}),
        ("sw1", "ntp_server/192.0.2.1", {"prefer": True}),
        ("sw1", "ntp_server/192.0.2.3", {"prefer": False}),
        ("sw1", "syslog_server/192.0.2.1", {}),
        ("sw1", "snmp_community/watch", {"community": "⟦secret:snmp⟧", "access": "ro"}),
        ("sw1", "local_user/rack", {"password": "⟦secret:login⟧", "privilege": 15}),
        ("web1", "interface/eth0", {"state": "up", "addresses": ("10.0.0.1/24",), "mtu": 9000}),
        ("web1", "interface/eth1", {"state": "up"}),
        ("web1", "file//etc/a", {"content": "x", "mode": "0600", "owner": "root"}),
        ("web1", "directory//srv", {"mode": "0750"}),
        ("web1", "symlink//etc/b", {"target": "a"}),
        ("web1", "sysctl/net.ipv4.ip_forward", {"value": "1"}),
        ("web1", "group/ops", {"gid": 900}),
        (
            "web1",
            "user/bob",
            {"uid": 1001, "groups": ("ops",), "shell": "/bin/sh", "password_hash": "⟦secret:bob⟧"},
        ),
        ("web1", "user/eve", {"ensure": "absent"}),
        ("web1", "package/lldpd", {}),
        ("web1", "host_entry/192.0.2.9", {"hostnames": ("other",)}),
        ("web1", "host_entry/192.0.2.2", {"hostnames": ("sw1",)}),
        ("web1", "service/rackwright-delegates", {"state": "running", "enabled": True}),
    ],
)
def test_what_the_library_declares(node: str, address: str, data: dict[str, Any]) -> None:
    name = address.partition("/")[2]
    assert resources(_library(), node)[address].data == {"name": name, **data}


def test_a_delegate_host_has_the_daemon_and_what_is_not_placed_there_goes() -> None:
    site = _library()
    unit = resources(site, "web1")["file//etc/systemd/system/rackwright-delegates.service"]
    (command,) = [line for line in unit.data["content"].splitlines() if "ExecStart" in line]
    assert command == (
        "ExecStart=/opt/rackwright/bin/rackwright delegates --node web1 --store "
        "https://store.example:8417 --state /var/lib/rackwright --ca /etc/rackwright/ca.crt"
    )
    assert unit.notifies == ("service/rackwright-delegates",)
    assert site.bundles["web1"].purge == ("delegate",)
    other = SITE.replace("DEFAULT", "").replace("ca: /etc/rackwright/ca.crt", "manager: none")
    made = resources(_compile(Source({"site.yaml": other.encode()})), "web1")
    assert not [address for address in made if "rackwright-delegates" in address]


def test_relations_are_written_once() -> None:
    site = _library()
    switch = resources(site, "sw1")
    needs = {need.address: need.digest for need in resources(site, "web1")["interface/eth0"].needs}
    assert needs == {
        "sw1:port/e1": switch["port/e1"].digest,
        "sw1:vlan/666": switch["vlan/666"].digest,
    }
    assert "vlan/7" not in switch
    assert "port/e2" not in switch
    assert "port/e3" not in switch
    assert resources(site, "web1")["interface/eth1"].needs == ()


RACK = """
site: s
---
node: web1
type: server
attributes: {network: {eth0: {vlan: 666, addresses: [10.0.0.1/24]}, eth1: {mtu: 9000}}}
---
node: sw1
type: switch
platform: cisco_ios
links: {e1: "web1:eth0"}
---
proposal: p
"""


WHOLE = """
site: s
---
node: h1
type: server
in: ch1:5
attributes:
  network: {eth0: {vlan: 667, addresses: [10.66.7.11/24]}}
  initiator: iqn.2026-11.example:h1
  disks:
    data1:
      array: san1
      size: 1GiB
      target: iqn.2026-11.example:data1
      portal: 10.66.7.1:3260
      lun: 1
      via: eth0
      username: h1
      password: {secret: chap}
      fstype: ext4
      mount: /srv/data
---
node: sw1
type: switch
platform: openvswitch
links: {p1: "h1:eth0"}
---
node: pdu1
type: pdu
platform: apc_rpdu
links: {3: "h1:psu1"}
---
node: pdu2
type: pdu
platform: apc_rpdu
links: {4: "h1:psu2"}
---
node: ch1
type: chassis
platform: ipmi
---
node: san1
type: san
platform: tgt
---
proposal: h1
attributes: {power: {state: 'POWER'}}
deploy:
  server-power: [h1]
  server-port: [h1]
  server-volumes: [h1]
"""
"""A server, and all that belongs to it, written once."""


def _whole(power: str) -> Compiled:
    return _compile(Source({"s.yaml": WHOLE.replace("POWER", power).encode()}))


def test_power_is_left_alone_until_somebody_says_what_it_is_to_be() -> None:
    said_nowhere = WHOLE.replace("attributes: {power: {state: 'POWER'}}\n", "")
    site = _compile(Source({"s.yaml": said_nowhere.encode()}))
    assert not any(resources(site, node) for node in ("pdu1", "pdu2", "ch1"))
    by_the_site = said_nowhere.replace(
        "site: s\n", "site: s\nattributes: {power: {state: 'off'}}\n"
    )
    site = _compile(Source({"s.yaml": by_the_site.encode()}))
    assert resources(site, "ch1")["blade/5"].data["power"] == "graceful_off"


def _needs(site: Compiled, node: str, address: str) -> set[str]:
    return {need.address for need in resources(site, node)[address].needs}


def test_a_server_brings_all_that_belongs_to_it_along() -> None:
    site = _whole("on")
    assert {
        node: set(resources(site, node)) for node in ("pdu1", "pdu2", "ch1", "sw1", "san1")
    } == {
        "pdu1": {"outlet/3"},
        "pdu2": {"outlet/4"},
        "ch1": {"blade/5"},
        "sw1": {"vlan/667", "port/p1"},
        "san1": {
            "chap/h1",
            "volume/data1",
            "target/iqn.2026-11.example:data1",
            "export/data1:iqn.2026-11.example:h1",
        },
    }
    assert resources(site, "pdu1")["outlet/3"].data == {"name": "3", "state": "on"}
    assert resources(site, "ch1")["blade/5"].data == {"name": "5", "power": "on"}
    assert _needs(site, "ch1", "blade/5") == {"pdu1:outlet/3", "pdu2:outlet/4"}
    assert _needs(site, "sw1", "port/p1") == {"ch1:blade/5"}
    assert _needs(site, "h1", "interface/eth0") == {
        "ch1:blade/5",
        "sw1:port/p1",
        "sw1:vlan/667",
    }
    assert _needs(site, "san1", "export/data1:iqn.2026-11.example:h1") == {"sw1:port/p1"}
    assert _needs(site, "h1", "iscsi_session/iqn.2026-11.example:data1") == {
        "ch1:blade/5",
        "interface/eth0",
        *(f"san1:{key}" for key in resources(site, "san1")),
    }


def test_power_goes_off_from_the_slot_to_the_outlets() -> None:
    site = _whole("off")
    assert resources(site, "ch1")["blade/5"].data == {"name": "5", "power": "graceful_off"}
    assert _needs(site, "ch1", "blade/5") == set()
    for pdu, outlet in (("pdu1", "outlet/3"), ("pdu2", "outlet/4")):
        data = resources(site, pdu)[outlet].data
        assert (data["state"], data["power"]) == ("off", "force_off")
        assert _needs(site, pdu, outlet) == {"ch1:blade/5"}
    # Nothing of the server waits for a slot that is off.
    assert _needs(site, "sw1", "port/p1") == set()
    assert _needs(site, "h1", "interface/eth0") == {"sw1:port/p1", "sw1:vlan/667"}


def test_arrays_that_make_their_targets_keep_the_account_with_the_export() -> None:
    made = WHOLE.replace("      lun: 1\n", "      lun: 1\n      make_target: false\n")
    site = _compile(Source({"s.yaml": made.replace("POWER", "on").encode()}))
    export = resources(site, "san1")["export/data1:iqn.2026-11.example:h1"]
    assert export.data["chap"] == "h1"
    assert "target" not in export.data
    assert "target/iqn.2026-11.example:data1" not in resources(site, "san1")


def test_a_server_brings_its_port_and_vlan_along() -> None:
    """The role server-port gives what three roles give that are deployed on both ends."""
    one = "deploy: {server-port: [web1]}"
    three = (
        "attributes: {vlans: {666: {}}}\n"
        "deploy: {vlans: [sw1], access-ports: [sw1], server-network: [web1]}"
    )
    made, expected = (_compile(Source({"s.yaml": (RACK + end).encode()})) for end in (one, three))
    for node in ("web1", "sw1"):
        told, known = resources(made, node), resources(expected, node)
        assert told.keys() == known.keys()
        for address, item in told.items():
            assert (item.digest, item.needs) == (known[address].digest, known[address].needs)
    assert {item.origin.node for item in made.bundles["sw1"].resources} == {"web1"}


def test_ports_of_servers_that_name_no_vlan_get_the_default() -> None:
    switch = resources(_library("  default_vlan: 8"), "sw1")
    assert switch["port/e2"].data["access_vlan"] == 8
    assert switch["port/e1"].data["access_vlan"] == 666
    assert "port/e3" not in switch


def test_every_library_role_is_used_here_and_described() -> None:
    sites = (_library(), _whole("on"))
    used = {role for site in sites for bundle in site.bundles.values() for role in bundle.roles}
    assert used == set(library_roles())
    assert all(library_roles().values())


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.iterdir()))
def test_the_examples_are_right(name: str) -> None:
    made = _compile(read_tree(EXAMPLES / name))
    assert made.warnings == ()
    assert any(bundle.resources for bundle in made.bundles.values())


def test_the_lab_hands_off_from_switch_to_server() -> None:
    site = _compile(read_tree(EXAMPLES / "lab"))
    switch = resources(site, "sw-a1")
    net = resources(site, "web1")["file//etc/network/interfaces.d/eth0"]
    assert {need.address: need.digest for need in net.needs} == {
        f"sw-a1:{address}": switch[address].digest
        for address in ("port/GigabitEthernet1/0/1", "vlan/666")
    }
    rootless = {"file", "directory", "symlink", "line_in_file", "host_entry"}
    for node in ("web1", "web2"):
        assert {item.type for item in site.bundles[node].resources} <= rootless


def test_the_editors_schema_takes_what_the_compiler_takes() -> None:
    schema = site_schema(REGISTRY.nouns())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    files = {**read_library().files}
    for name in ("minimal", "lab"):
        files |= read_tree(EXAMPLES / name).files
    for file, content in files.items():
        if file.endswith(".yaml"):
            for document in load(file, content, Problems()):
                assert validator.is_valid(document), file


@pytest.mark.parametrize(
    "text",
    [
        "nod: x",
        "node: x",
        "node: x\ntype: switch\nreach: []",
        "node: x\ntype: switch\nreach: [{ssh: {host: h, password: clear}}]",
        "node: x\ntype: switch\nlinks: {a: b}",
        "role: x\nresources: [{file: /x, contents: y}]",
        "role: x\nresources: [{file: /x, mode: 644}]",
        "role: x\nresouces: []",
        "proposal: x",
        "proposal: x\ndeploy: {r: n}",
    ],
)
def test_the_editors_schema_refuses(text: str) -> None:
    (document,) = load("f.yaml", text.encode(), Problems())
    assert not Draft202012Validator(site_schema(REGISTRY.nouns())).is_valid(document)
