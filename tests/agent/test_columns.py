"""Tables on terminals of any width."""

from __future__ import annotations

import re

import click
from hypothesis import given
from hypothesis import strategies as st

from rackwright.cli.columns import Layout, layout, table_lines, width, wrapped

HEAD = ["node", "state", "evidence", "age"]
ROWS = [
    ["sw-a1", click.style("proven", fg="green"), "sw-a1 sees web1 eth0 on Gi1/0/1 by LLDP", "3 s ago"],
    ["", "", "web1 sees sw-a1 Gi1/0/1 on eth0 by LLDP", "4 s ago"],
    ["sw-b1", "unseen", "", ""],
]  # fmt: skip


def shown(room: int | None) -> list[str]:
    return [click.unstyle(line) for line in table_lines(HEAD, ROWS, room)]


def test_what_has_room_is_one_line_a_row() -> None:
    wide = [
        "NODE   STATE   EVIDENCE                                 AGE",
        "sw-a1  proven  sw-a1 sees web1 eth0 on Gi1/0/1 by LLDP  3 s ago",
        "               web1 sees sw-a1 Gi1/0/1 on eth0 by LLDP  4 s ago",
        "sw-b1  unseen",
    ]
    assert shown(None) == wide
    assert shown(63) == wide


def test_a_wide_column_is_wrapped() -> None:
    assert shown(48)[:3] == [
        "NODE   STATE   EVIDENCE                  AGE",
        "sw-a1  proven  sw-a1 sees web1 eth0 on   3 s ago",
        "               Gi1/0/1 by LLDP",
    ]


def test_what_has_no_room_hangs_below() -> None:
    assert shown(40) == [
        "NODE   STATE   AGE",
        "sw-a1  proven  3 s ago",
        "    evidence  sw-a1 sees web1 eth0 on",
        "              Gi1/0/1 by LLDP",
        "               4 s ago",
        "    evidence  web1 sees sw-a1 Gi1/0/1 on",
        "              eth0 by LLDP",
        "sw-b1  unseen",
    ]


def test_no_column_is_narrowed_to_nothing() -> None:
    assert layout([6, 30, 50], 80) == Layout(((0, 6), (1, 30), (2, 40)), ())
    assert layout([6, 30, 50], 58) == Layout(((0, 6), (1, 24), (2, 24)), ())
    assert layout([6, 30, 50], 57) == Layout(((0, 6), (1, 30)), (2,))
    assert layout([60, 5], 20) == Layout(((0, 20),), (1,))


def test_colours_go_on_on_the_next_line() -> None:
    cell = f"at {click.style('one two', fg='red')} end"
    assert wrapped(cell, 6) == ["at \x1b[31mone\x1b[0m", "\x1b[31mtwo\x1b[0m", "end"]


def test_an_address_is_broken_where_it_has_parts() -> None:
    assert wrapped("after san-a1:export/data1:iqn.example:web1, b", 20) == [
        "after",
        "san-a1:export/data1:",
        "iqn.example:web1, b",
    ]


words = st.text(st.sampled_from("ab/:, "), max_size=60)


@given(
    st.lists(st.tuples(words, st.sampled_from(["", "red", "green"])), max_size=4),
    st.integers(1, 30),
)
def test_nothing_is_lost_and_nothing_is_too_wide(parts: list[tuple[str, str]], size: int) -> None:
    cell = "".join(click.style(text, fg=colour) if colour else text for text, colour in parts)
    pieces = wrapped(cell, size)
    assert all(width(piece) <= size for piece in pieces)
    assert re.sub(r"\s", "", click.unstyle("".join(pieces))) == re.sub(r"\s", "", click.unstyle(cell))  # fmt: skip
    colours = [(text, colour) for text, colour in parts if text.strip()]
    if len(colours) == 1 and colours[0][1]:
        assert all(piece.lstrip().startswith("\x1b") for piece in pieces if piece.strip())
