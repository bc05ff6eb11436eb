"""A host that the MAC table has behind a LAG is reached through that LAG."""

from __future__ import annotations

from rackwright.engine.ports import leading_to
from rackwright.model.address import Address
from rackwright.model.bundle import Gates
from rackwright.model.site import Node
from rackwright.provider import Registry


def test_a_lag_of_the_mac_table_carries_the_path() -> None:
    node = Node(name="sw-a", type="switch", platform="cisco_ios", reach=(), links=())
    gates = Gates(paths={"admin1": ("GigabitEthernet1/0/1", "Port-channel1")})
    found = leading_to("admin1", node, gates, Registry().provider("cisco_ios"))
    assert {Address("lag", "1"), Address("port", "GigabitEthernet1/0/1")} <= found.keys()
