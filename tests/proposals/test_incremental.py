"""A revision that is compiled from the one before it is what it is when compiled alone, whatever was edited."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rackwright.model.facts import Facts
from rackwright_proposals.compile import Compiled, compile_site, recompile
from rackwright_proposals.sequence import implied_of
from rackwright_proposals.tree import Source
from tests.proposals.nouns import NOUNS, PLATFORMS

DEEP = 2000 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 0
REACH = "reach: [{ssh: {host: 192.0.2.1, username: u}}]"
SWITCH = f"type: switch\nplatform: cisco_ios\n{REACH}"
OVER_OOB = f"type: switch\nplatform: cisco_ios\n{REACH[:-3]}, network: oob}}]"
OVER_LINE = (
    "type: switch\nplatform: cisco_ios\n"
    "reach: [{serial: {port: /dev/ttyS0, username: u}}, {ssh: {host: 192.0.2.1, username: u}, at: h3}]"
)
ABSENT = ""

FILES: Mapping[str, tuple[str, ...]] = {
    "site.yaml": (
        "site: s\nattributes: {motd: hello}",
        "site: s\nattributes: {motd: good bye}",
        "site: s\nattributes: {motd: hello}\nhandoff_deadline: 60\nlease: 30",
        "# a line more\nsite: s\nattributes: {motd: hello}\ndefaults: {server: {platform: linux}}",
        "site: s\nattributes: {motd: 1}",
    ),
    "nodes/sw1.yaml": (
        f"node: sw1\n{SWITCH}\nrack: r1",
        f"node: sw1\n{SWITCH}\nrack: r2\nattributes: {{uplink: 5}}",
        f"node: sw1\n{SWITCH}\nrack: r1\nlinks: {{9: sw2:9}}",
        f"node: sw1\n{SWITCH}\nrack: r1\nattributes: {{motd: its own}}\nlinks: {{8: nobody:9}}",
        "node: sw1\ntype: chassis\nplatform: cisco_ios\nrack: r1",
        f"node: sw1\n{OVER_OOB}\nrack: r1\nlinks: {{eth0: {{to: sw2:9, trust: declared}}}}",
        f"node: sw1\n{OVER_LINE}\nrack: r1",
    ),
    "nodes/sw2.yaml": (
        f"node: sw2\n{SWITCH}\nrack: r2",
        f"node: sw2\n{SWITCH}\nrack: r2\nin: c1",
        f"node: sw2\n{SWITCH}\nrack: r1\nattributes: {{uplink: 7}}",
        f"node: sw2\n{SWITCH}\nrack: r3",
        ABSENT,
    ),
    "nodes/c1.yaml": (
        f"node: c1\ntype: chassis\nplatform: apc_rpdu\n{REACH}",
        f"node: c1\ntype: chassis\nplatform: apc_rpdu\n{REACH}\nattributes: {{label: blades}}\nin: h3",
        f"node: c1\ntype: chassis\nplatform: apc_rpdu\n{REACH}\nattributes: {{label: 5}}",
        "node: c1\ntype: chassis",
    ),
    "nodes/h1.yaml": (
        "node: h1\ntype: server\nrack: r1\nlinks: {eth0: sw1:1}\nin: c1:1\nattributes: {vlan: 10}",
        "node: h1\ntype: server\nrack: r1\nlinks: {eth0: sw1:1}\nin: c1:2\nattributes: {vlan: 20}",
        "node: h1\ntype: server\nrack: r1\nlinks: {eth0: sw2:1}\nattributes: {vlan: 10, extra: a}",
        "node: h1\ntype: server\nrack: r1\nlinks: {eth0: sw1:2}\nattributes: {vlan: true}",
        "node: h1\ntype: server\nrack: r1\nlinks: {eth0: {to: sw1:1, trust: declared}}\n"
        "attributes: {vlan: 10, extra: b}",
        "node: h1\ntype: server\nrack: r1\nlinks: {eth0: sw1:1}\nin: c1:1\n"
        "attributes: {vlan: 10, extra: c, motd: mine}",
        ABSENT,
    ),
    "nodes/h2.yaml": (
        "node: h2\ntype: server\nrack: r2\nlinks: {eth0: sw2:2}\nattributes: {vlan: 10}",
        "node: h2\ntype: server\nrack: r1\nlinks: {eth0: sw1:3}\nattributes: {vlan: 20, needs_of: h1}",
        "node: h2\ntype: server\nrack: r1\nlinks: {eth0: sw1:1}\nattributes: {vlan: 20}",
        "node: h2\ntype: server\nrack: r1\nlinks: {eth0: sw1:3}\nattributes: {vlan: 10, needs_of: h2}",
        "node: h2\ntype: server\nrack: r1\nlinks: {eth0: sw2:2}\nattributes: {vlan: 10, needs_of: h1}",
        ABSENT,
    ),
    "nodes/h3.yaml": (
        "node: h3\ntype: server\nrack: r3",
        "node: h3\ntype: server\nrack: r3\nattributes: {extra: alone}",
        "node: h3\ntype: server\nrack: r3\nattributes: {extra: 1}",
        "node: h3\ntype: server\nrack: r3\noffers: {networks: [oob], serial: [/dev/ttyS0]}",
        "node: h3\ntype: server\nrack: r1\noffers: {networks: [else]}\nin: c1:4",
        ABSENT,
    ),
    "roles/port.yaml": (
        "role: port\nfor: [server]\nattributes: {vlan: {type: integer}, extra: {}, needs_of: {}, motd: {}}\nresources:\n"
        "  - {vlan: '{{ vlan }}', on: peer('eth0')}\n"
        "  - {port: \"{{ peer('eth0').port }}\", on: peer('eth0'), access_vlan: '{{ vlan }}'}\n"
        "  - {file: /etc/net, content: \"{{ template('net.j2') }}\"}\n"
        "  - {file: /etc/extra, when: extra is defined, content: '{{ extra }}'}\n"
        "  - {file: /etc/other, when: needs_of is defined, needs: ['{{ needs_of }}:file//etc/net']}\n",
        "role: port\nfor: [server]\nattributes: {vlan: {type: integer}, extra: {}, needs_of: {}}\nresources:\n"
        "  - {file: /etc/net, content: 'vlan {{ vlan }}', needs: [service/net]}\n"
        "  - {service: net, enabled: true}\n"
        "  - {file: /etc/fact, content: '{{ facts.kernel }}'}\n"
        "  - {file: /etc/where, content: \"{{ node.labels.rack }} {{ peer('eth0').labels.rack }}\"}\n",
        "role: port\nfor: [server]\nattributes: {vlan: {type: integer}, extra: {type: string}, needs_of: {}}\nresources:\n"
        "  - {port: '{{ node.name[1:] }}', on: sw2, description: by name}\n"
        "  - {file: /etc/net, content: \"{{ peer('eth0').facts.version | default('?') }}\"}\n",
    ),
    "roles/net.j2": (
        "{{ motd }}\n",
        "{{ motd }} {{ peer('eth0').labels.rack }}\n",
        "{{ nothing }}\n",
    ),
    "roles/switch.yaml": (
        "role: switch\nfor: [switch]\nattributes: {uplink: {}, motd: {}}\nresources:\n"
        '  - {file: /names, content: \'{{ node.labels.rack }} {{ links.values() | map(attribute="node") | join(",") }}\'}\n',
        "role: switch\nfor: [switch]\nattributes: {uplink: {}}\ndefaults: {uplink: 3}\nresources:\n"
        "  - each: port, link in links.items()\n    when: link.type == 'server'\n"
        "    file: '/of/{{ port }}'\n    content: '{{ link.attributes.extra | default(\"none\") }}'\n"
        "  - {vlan: '{{ uplink }}'}\n",
        "role: switch\nfor: [switch, chassis]\nattributes: {uplink: {}}\nresources:\n"
        "  - {vlan: 77, title: ours, needs: ['h1:file//etc/net']}\n"
        "  - {file: /up, content: \"{{ parent().attributes.label | default('no parent') }}\"}\n",
        "role: switch\nfor: [switch]\nattributes: {uplink: {}}\nresources:\n"
        "  - {vlan: 10, needs: ['h1:file//etc/net']}\n",
    ),
    "roles/holds.yaml": (
        "role: holds\nattributes: {label: {}}\nresources:\n"
        "  - {file: '/in/{{ child.slot }}', each: child in children(), content: '{{ child.labels.rack }}'}\n",
        "role: holds\nattributes: {label: {type: string}}\nresources:\n  - {vlan: '*', purge: true}\n",
    ),
    "proposals/a.yaml": (
        "proposal: a\ndeploy: {port: [h1, 'h2*'], switch: [type=switch]}",
        "proposal: a\ndeploy: {port: [rack=r1], switch: ['sw*'], holds: [c1]}",
        "proposal: a\ndeploy: {port: [h1], switch: [sw1]}\nattributes: {uplink: 12}",
        "proposal: a\ndeploy: {switch: [rack=r2], users: [type=server]}\n",
    ),
    "proposals/b.yaml": (
        ABSENT,
        "proposal: b\ndeploy: {port: [h1]}\nattributes: {motd: ours}",
        "proposal: b\ndeploy: {switch: [type=switch]}\nattributes: {uplink: 40}",
        "proposal: b\nrollout: {canary: 1, at_once: 50%}\ndeploy: {switch: [type=switch]}",
        "proposal: b\nrollout: {at_once: 1, stop_on: 2}\ndeploy: {port: [h2, h1], switch: [sw1]}",
        "proposal: b\ndeploy: {delegate-host: [h3], port: [h1]}",
    ),
    "roles/own-host.yaml": (
        ABSENT,
        "role: delegate-host\nfor: [server]\nresources: [{service: own, enabled: true}]",
        "role: delegate-host\nfor: [switch]\nresources: [{service: own, enabled: true}]",
    ),
    "old.yml": (ABSENT, "site: unread"),
}
"""Every file in the ways that it may be written; the first of each make a sound site."""

FACTS: tuple[Mapping[str, Facts], ...] = (
    {},
    {"h1": Facts(values={"kernel": "6.1"})},
    {"h1": Facts(values={"kernel": "6.2"}), "sw1": Facts(values={"version": "15.2"})},
)

edits = st.lists(
    st.one_of(
        st.sampled_from(
            [(path, number) for path, texts in FILES.items() for number in range(len(texts))]
        ),
        st.tuples(st.just("facts"), st.integers(0, len(FACTS) - 1)),
    ),
    min_size=1,
    max_size=10,
)


def source(chosen: Mapping[str, int]) -> Source:
    texts = {path: texts[chosen.get(path, 0)] for path, texts in FILES.items()}
    return Source({path: text.encode() for path, text in texts.items() if text}, "c0ffee")


def compiled(chosen: Mapping[str, int], before: Compiled | None = None) -> Compiled:
    facts = FACTS[chosen.get("facts", 0)]
    return compile_site(source(chosen), NOUNS, facts, PLATFORMS, before)


def told(made: Compiled) -> dict[str, Any]:
    """All that anybody uses of a compiled site, and in which order."""
    return {
        "problems": made.problems,
        "warnings": made.warnings,
        "bundles": [] if made.problems else list(made.bundles.items()),
        "nodes": [] if made.problems else list(made.nodes.items()),
        "links": made.links,
        "proposals": made.proposals,
        "implied": {} if made.problems else {
            node: {key: list(first) for key, first in sorted(of.items())}
            for node, of in implied_of(made).items()
        },
        "deadline": made.handoff_deadline,
        "lease": made.lease,
        "rollouts": made.rollouts,
        "origins": made.origins,
        "roles": {name: (role.mark, role.directory) for name, role in made.roles.items()},
        "site": made.site,
    }  # fmt: skip


def holds(base: Compiled, chosen: Mapping[str, int]) -> Compiled:
    """What comes of ``chosen`` after ``base``: the same as alone, also when facts change then."""
    after, alone = compiled(chosen, base), compiled(chosen)
    assert told(after) == told(alone)
    if not after.problems:
        other = FACTS[(chosen.get("facts", 0) + 1) % len(FACTS)]
        assert told(recompile(after, other)) == told(recompile(alone, other))
    return after


@settings(max_examples=DEEP or 20)
@given(edits)
def test_whatever_is_edited_the_result_is_that_of_the_whole(steps: list[tuple[str, int]]) -> None:
    chosen: dict[str, int] = {}
    base = compiled(chosen)
    assert not base.problems
    for path, number in steps:
        chosen[path] = number
        after = holds(base, chosen)
        base = base if after.problems else after  # a store goes on from the last that was good


BASES: Mapping[str, Mapping[str, int]] = {
    "the first": {},
    "who reads attributes, labels and facts of others": {
        "roles/switch.yaml": 1, "roles/net.j2": 1, "nodes/h2.yaml": 1, "nodes/h1.yaml": 0, "facts": 1,
    },
    "who is in what": {
        "roles/switch.yaml": 2, "nodes/sw2.yaml": 1, "nodes/c1.yaml": 1, "proposals/a.yaml": 1,
        "nodes/h2.yaml": 1,
    },
    "who puts things on a node by its name": {
        "roles/port.yaml": 2, "proposals/a.yaml": 1, "nodes/h2.yaml": 1,
    },
    "who needs what is far away": {"proposals/a.yaml": 1, "nodes/h2.yaml": 4},
    "a slot": {"proposals/a.yaml": 1, "nodes/h2.yaml": 1, "nodes/c1.yaml": 2},
    "not in any role yet": {"nodes/c1.yaml": 2, "roles/holds.yaml": 1, "nodes/h3.yaml": 3},
    "facts": {"roles/port.yaml": 1, "facts": 1},
    "on a node by its name": {"roles/port.yaml": 2, "facts": 2, "nodes/h2.yaml": 0},
    "proposals": {"proposals/b.yaml": 2, "proposals/a.yaml": 1, "nodes/sw1.yaml": 1, "nodes/h2.yaml": 1},
}  # fmt: skip


@pytest.mark.parametrize("name", BASES)
def test_each_single_edit(name: str) -> None:
    start = BASES[name]
    base = compiled(start)
    assert not base.problems, base.problems
    for path, texts in FILES.items():
        for number in range(len(texts)):
            holds(base, {**start, path: number})
    for number in range(len(FACTS)):
        holds(base, {**start, "facts": number})


@pytest.mark.parametrize(
    ("path", "number", "told_anew", "made_anew"),
    [
        ("nodes/h3.yaml", 1, set(), {"h3"}),  # an attribute that no role of it reads
        ("nodes/h1.yaml", 1, {"h1", "sw1", "c1"}, set()),  # VLAN and port there, the slot there
        ("nodes/h1.yaml", 4, {"h1", "sw1", "c1"}, set()),  # the link is one of both
        # What sw2 is decides whether h2 may put things there.
        ("nodes/sw2.yaml", 2, {"sw2"}, {"h2"}),
        ("roles/net.j2", 1, {"h1", "h2"}, {"sw1", "sw2"}),  # by the commit that their origins name
        ("proposals/b.yaml", 1, {"h1"}, {"sw1"}),
        ("old.yml", 1, set(), set()),
    ],
)
def test_what_an_edit_does_not_concern_stays_the_same_object(
    path: str, number: int, told_anew: set[str], made_anew: set[str]
) -> None:
    base = compiled({})
    after = compile_site(
        Source(source({path: number}).files, "decade"), NOUNS, None, PLATFORMS, base
    )
    assert not after.problems
    pairs = {name: (base.bundles[name], made) for name, made in after.bundles.items()}
    assert {name for name, (old, new) in pairs.items() if old.etag != new.etag} == told_anew
    moved = {name for name, (old, new) in pairs.items() if old is not new}
    assert moved == told_anew | made_anew
    assert all(pairs[name][1].revision == "decade" for name in moved)
