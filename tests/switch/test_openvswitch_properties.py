"""From any state of a port to any declared one: what is sent makes it so, and nothing is left to do."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rackwright.model.change import Change
from rackwright.model.report import FieldChange
from rackwright.model.resource import declared_fields
from rackwright_providers.switch import ovs_ports
from rackwright_providers.switch.openvswitch import OpenVSwitch, OvsStep
from rackwright_providers.switch.resources import Port

ovs = OpenVSwitch()

ids = st.integers(1, 4094)
rows = st.fixed_dictionaries(
    {
        "name": st.just("p1"),
        "vlan_mode": st.sampled_from(
            [[], "access", "trunk", "native-tagged", "native-untagged", "dot1q-tunnel"]
        ),
        "tag": st.one_of(st.just([]), st.integers(0, 4095)),
        "trunks": st.one_of(st.lists(st.integers(0, 4095), unique=True, max_size=5), ids),
        "external_ids": st.dictionaries(st.sampled_from(["description", "owner"]), st.text()),
    }
)
text = st.text(max_size=40)
accesses = st.builds(Port, name=st.just("p1"), access_vlan=ids, description=st.none() | text)
trunks = st.builds(
    Port,
    name=st.just("p1"),
    mode=st.just("trunk"),
    native_vlan=st.none() | ids,
    allowed_vlans=st.none() | st.sampled_from(["all", "none"]) | st.lists(ids, max_size=4).map(tuple),
    description=st.none() | text,
)  # fmt: skip


def applied(row: dict[str, Any], commands: tuple[tuple[str, ...], ...]) -> dict[str, Any]:
    """``row`` after ``commands``, as ovs-vsctl understands them."""
    row = {**row, "external_ids": dict(row["external_ids"])}
    for verb, table, name, *words in commands:
        assert (table, name) == ("Port", "p1")
        if verb == "remove":
            column, key = words
            row[column].pop(key, None)
            continue
        for word in words:
            column, value = word.split("=", 1)
            if ":" in column:
                column, key = column.split(":", 1)
                row[column][key] = json.loads(value)
            else:
                row[column] = value if value.isalpha() or "-" in value else json.loads(value)
    return row


@settings(max_examples=1000, deadline=None)
@given(rows, accesses | trunks)
@example(
    {"name": "p1", "vlan_mode": "native-tagged", "tag": 1, "trunks": 2, "external_ids": {}},
    Port(name="p1", allowed_vlans=(1, 2)),
)
def test_plan_then_commit_then_plan_is_empty(row: dict[str, Any], wanted: Port) -> None:
    declared = ovs.canonical(wanted)
    assert isinstance(declared, Port)
    before = ovs_ports.port_of(row, {})

    def left(seen: Port) -> dict[str, Any]:
        fields = declared_fields(declared)
        return {name: want for name, want in fields.items() if getattr(seen, name) != want}

    fields = tuple(
        FieldChange(field=name, old=getattr(before, name), new=want)
        for name, want in left(before).items()
    )
    if not fields:
        return
    steps = ovs.render([Change("update", declared.address, before, declared, fields)], {})
    commands: tuple[tuple[str, ...], ...] = ()
    for step in steps:
        assert isinstance(step, OvsStep)
        commands += step.commands
    after = applied(row, commands)
    assert left(ovs_ports.port_of(after, {})) == {}
    theirs = {key: value for key, value in row["external_ids"].items() if key == "owner"}
    assert {k: v for k, v in after["external_ids"].items() if k == "owner"} == theirs
    if after["vlan_mode"] == "access":  # ovs-vswitchd.conf.db(5): must be empty
        assert after["trunks"] == [] or not {"mode", "access_vlan"} & {f.field for f in fields}
    if after["vlan_mode"] == "trunk":
        assert after["tag"] == [] or not {"mode", "native_vlan"} & {f.field for f in fields}
