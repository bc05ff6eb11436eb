"""Where values and resources come from."""

from __future__ import annotations

import pytest

from rackwright.model.errors import InputError
from rackwright_proposals.why import WhyResource, WhyValue, why
from tests.proposals.sites import sound
from tests.proposals.test_render import FACTS, SITE

SITE_OF_ALL = sound({**SITE, "facts.yaml": FACTS})


def test_a_value_and_what_it_overrides() -> None:
    found = why(SITE_OF_ALL, "sw1", "vlans.666.name")
    assert isinstance(found, WhyValue)
    assert found.value == "storage"
    assert str(found.origin) == "base.yaml:40@c0ffee"
    assert [(said.level, said.by) for said in found.said] == [("proposal", "base")]


def test_a_map_tells_each_leaf() -> None:
    found = why(SITE_OF_ALL, "sw1", "vlans")
    assert isinstance(found, WhyValue)
    assert found.origin is None
    assert [(said.level, said.by) for said in found.said] == [
        ("role defaults", "nets"),
        ("proposal", "base"),
    ]
    assert {path: str(origin) for path, origin in found.leaves.items()} == {
        "vlans.10.name": "base.yaml:40@c0ffee",
        "vlans.666.name": "base.yaml:40@c0ffee",
    }


def test_a_resource() -> None:
    found = why(SITE_OF_ALL, "sw1", "vlan/666")
    assert isinstance(found, WhyResource)
    assert found.data == {"name": "666", "title": "storage"}
    assert str(found.origin) == "base.yaml:26@c0ffee"
    assert (found.role, found.proposals) == ("nets", ("base",))
    assert found.needed_by == ("web1:file//etc/net",)
    assert why(SITE_OF_ALL, "web1", "file//etc/net").needs == (  # type: ignore[union-attr]
        "file//etc/motd",
        "sw1:port/e1",
        "sw1:vlan/666",
    )


def test_a_deferred_resource() -> None:
    found = why(SITE_OF_ALL, "web1", "file//etc/cpus")
    assert isinstance(found, WhyResource)
    assert found.waits_for == "web1:cpus"


@pytest.mark.parametrize(
    ("node", "path", "hint"),
    [
        ("sw2", "vlans", "did you mean 'sw1'?"),
        ("sw1", "vlan", "did you mean 'vlans'?"),
        ("sw1", "vlans.66.name", "did you mean 'vlans.666.name'?"),
        ("sw1", "vlans.666.nmae", "did you mean 'vlans.666.name'?"),
        ("sw1", "vlan/66", "did you mean 'vlan/666'?"),
        ("web1", "file//etc/mtd", "did you mean 'file//etc/motd'?"),
    ],
)
def test_the_nearest_right_path_is_offered(node: str, path: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        why(SITE_OF_ALL, node, path)
    assert caught.value.problems[0].hint == hint
