"""PortLists: which bits, which form, and what is never touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rackwright_providers.switch import portlist
from rackwright_providers.switch.portlist import Form

LISTS = st.binary(max_size=70)
PORTS = st.integers(1, 600)


def test_the_first_port_is_the_most_significant_bit() -> None:
    assert portlist.ports(bytes.fromhex("90")) == {1, 4}
    assert portlist.ports(bytes.fromhex("000180")) == {16, 17}
    assert portlist.changed(b"", [9], True) == bytes.fromhex("0080")
    assert portlist.changed(bytes.fromhex("ffff"), [9], False) == bytes.fromhex("ff7f")
    assert portlist.changed(bytes.fromhex("ff"), [9], False) == bytes.fromhex("ff")


@given(LISTS, PORTS, st.booleans())
def test_only_the_one_port_changes(data: bytes, port: int, member: bool) -> None:
    after = portlist.changed(data, [port], member)
    assert portlist.ports(after) ^ portlist.ports(data) <= {port}
    assert (port in portlist.ports(after)) == member
    assert len(after) in (len(data), (port + 7) // 8)
    assert len(after) >= len(data)


@given(LISTS, st.integers(0, 5))
def test_trailing_zeros_mean_nothing(data: bytes, zeros: int) -> None:
    assert portlist.same(data, data + bytes(zeros))
    assert portlist.ports(data) == portlist.ports(data + bytes(zeros))


ALL_IN_1 = dict.fromkeys(range(1, 25), 1)


@pytest.mark.parametrize(
    ("lists", "pvids", "known", "form"),
    [
        ({1: "ffffff"}, ALL_IN_1, range(1, 25), Form.BITMAP),
        ({1: "ffffff00000000"}, ALL_IN_1, range(1, 25), Form.BITMAP),
        ({1: "ffffffffff"}, ALL_IN_1, range(1, 25), Form.BITMAP),  # ports that the chassis lacks
        ({1: "0ff0", 7: ""}, {5: 1, 6: 1}, range(1, 17), Form.BITMAP),
        ({1: "", 2: ""}, {}, range(1, 25), Form.BITMAP),  # nothing speaks against it
        ({1: "00", 2: "00"}, {}, (), Form.BITMAP),
        # Trunks alone, whose untagged frames go nowhere, are ports for all that.
        ({1: "000000", 9: "ffffff"}, ALL_IN_1, range(1, 25), Form.BITMAP),
        ({1: "000000010018004200430044"}, ALL_IN_1, range(1, 29), Form.UNKNOWN),  # ICX 6430
        ({1: "000000010030"}, dict.fromkeys(range(1, 49), 1), range(1, 49), Form.UNKNOWN),
        ({1: "0000000000ffffff"}, ALL_IN_1, range(1, 25), Form.UNKNOWN),  # from the other end
        ({2: b"1,2,3".hex(), 3: b"24".hex(), 4: ""}, {}, range(1, 25), Form.NUMBERS),
        ({2: b"513".hex()}, {}, range(1, 25), Form.UNKNOWN),
        ({1: "30", 5: "35"}, {3: 1, 4: 1, 6: 5, 8: 5}, range(1, 9), Form.BITMAP),  # looks like text
    ],
)
def test_the_form_is_judged_by_what_else_the_agent_says(
    lists: dict[int, str], pvids: dict[int, int], known: range, form: Form
) -> None:
    data = {vlan: bytes.fromhex(text) for vlan, text in lists.items()}
    assert portlist.form(data, pvids, known) is form


def test_members_by_form() -> None:
    assert portlist.members(b"3, 17", Form.NUMBERS) == {3, 17}
    assert portlist.members(b"", Form.NUMBERS) == frozenset()
    assert portlist.members(b"\x80", Form.BITMAP) == {1}
    assert portlist.members(b"\x80", Form.UNKNOWN) is None
