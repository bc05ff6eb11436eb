"""Found links into a site: what is written, what is left, and that nothing else changes."""

from __future__ import annotations

from typing import Any

import pytest

from rackwright_proposals.adopt import Adoption, adoptable, written
from rackwright_proposals.evidence import Evidence, LinkState
from tests.proposals.sites import BASE, sound


def link(near: str, far: str, state: Any = "found", **more: Any) -> LinkState:
    (node, _, port), (peer, _, peer_port) = near.partition(":"), far.partition(":")
    ends = {"node": node, "port": port, "peer": peer, "peer_port": peer_port}
    return LinkState(**ends, state=state, evidence=(Evidence("seen", 1.0),), **more)


def test_only_what_no_declared_link_speaks_of_is_adopted() -> None:
    found = adoptable(
        [
            link("sw1:e1", "web1:eth0", "proven"),
            link("sw1:e2", "web2:eth0"),
            link("sw1:e3", "web1:eth0"),
            link("sw1:e1", "web2:eth1"),
            link("sw1:e4", "phone:1", known=False),
            link("sw1:e5", "web9:"),
            link("ch1:1", "web2:", how="slot"),
            link("sw1:e7", "web3:eth0"),
            link("sw1:e8", "web3:eth0"),
        ]
    )
    assert [(item.node, item.port, item.to) for item in found.links] == [
        ("sw1", "e2", "web2:eth0"),
        ("ch1", "1", "web2:slot"),
    ]
    assert found.left == (
        "sw1:e3 to web1:eth0: web1:eth0 is declared to sw1:e1",
        "sw1:e1 to web2:eth1: sw1:e1 is declared to web1:eth0",
        "sw1:e4 to phone:1: the site has no node 'phone'",
        "sw1:e5 to web9: which port of web9 it is, is not told",
        "sw1:e7 to web3:eth0: web3:eth0 is seen at several",
        "sw1:e8 to web3:eth0: web3:eth0 is seen at several",
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "node: n1\ntype: server\nlinks: # cables\n    # the first\n    e1: web1:eth5  # old\nroom: a\n",
            "node: n1\ntype: server\nlinks: # cables\n    # the first\n"
            '    "7": web1:eth2\n    e2: web1:eth1\n    e1: web1:eth5  # old\nroom: a\n',
        ),
        (
            "# about n1\nnode: n1  # its name\n# its type\ntype: server\n",
            "# about n1\nnode: n1  # its name\n# its type\n"
            'links:\n  "7": web1:eth2\n  e2: web1:eth1\ntype: server\n',
        ),
        (
            "node: n0\r\ntype: server\r\n---\r\nnode: n1\r\ntype: server\r\n",
            "node: n0\r\ntype: server\r\n---\r\nnode: n1\r\n"
            'links:\r\n  "7": web1:eth2\r\n  e2: web1:eth1\r\ntype: server\r\n',
        ),
        ("{node: n1, type: server}\n", None),
        ("node: n1\ntype: server\nlinks: {e1: web1:eth5}\n", None),
        ("node: n1\ntype: server\nlinks:\n", None),
    ],
)
def test_lines_are_added_and_no_other_is_touched(before: str, after: str | None) -> None:
    wanted = [Adoption("n1", "7", "web1:eth2", ""), Adoption("n1", "e2", "web1:eth1", "")]
    files = {"base.yaml": BASE.encode(), "n1.yaml": before.encode()}
    changed, left = written(files, wanted)
    if after is None:
        assert (changed, len(left)) == ({}, 1)
        assert "by hand" in left[0]
        return
    assert changed == {"n1.yaml": after.encode()}
    site = sound({"base.yaml": BASE, "n1.yaml": after})
    assert {("7", "eth2"), ("e2", "eth1")} <= {
        (one.port, one.peer_port) for one in site.nodes["n1"].links
    }


@pytest.mark.parametrize("port", ["1", "on", "Gi1/0/1", "iqn.2026-11.example:a", "a b", "é", "- x", "#", "null", "0x1f", "1:30"])  # fmt: skip
def test_any_port_is_read_back_as_it_was(port: str) -> None:
    wanted = [Adoption("sw2", port, f"web1:x{port}", "")]
    text = BASE + "---\nnode: sw2\ntype: server\n"
    changed, _ = written({"base.yaml": text.encode()}, wanted)
    (one,) = sound(changed["base.yaml"].decode()).nodes["sw2"].links
    assert (one.port, one.peer, one.peer_port) == (port, "web1", f"x{port}")


def test_a_node_that_is_nowhere_is_told() -> None:
    changed, left = written({"base.yaml": BASE.encode()}, [Adoption("gone", "e1", "web1:x", "")])
    assert (changed, len(left)) == ({}, 1)
