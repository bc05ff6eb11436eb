"""Expressions: native types, what is undefined, what is not known yet, and bounds."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rackwright_proposals.expressions import (
    ExpressionError,
    FactsMap,
    NotYet,
    compile_expression,
    compile_text,
    new_scope,
)

SCOPE = {
    "mode": "0644",
    "port": 10,
    "ratio": 0.5,
    "flag": False,
    "empty": None,
    "vlans": {"666": {"name": "storage"}, "10": {}},
    "names": ["b", "a"],
    "secret": lambda name: f"⟦secret:{name}⟧",
    "facts": FactsMap("n1", {"cpus": 4, "nics": {"eth0": {"mac": "00:11"}}}),
}


def _run(text: str) -> object:
    return compile_text(text)(new_scope(SCOPE))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ mode }}", "0644"),
        ("{{ '10' }}", "10"),
        ("{{ '[1, 2]' }}", "[1, 2]"),
        ("{{ 'None' }}", "None"),
        ("{{ port }}", 10),
        ("{{ port + 1 }}", 11),
        ("{{ ratio }}", 0.5),
        ("{{ flag }}", False),
        ("{{ empty }}", None),
        ("{{ names }}", ["b", "a"]),
        ("{{ vlans }}", {"666": {"name": "storage"}, "10": {}}),
        ("{{ vlans[666].name }}", "storage"),
        ("{{ names | sort | list }}", ["a", "b"]),
        ("{{ range(3) }}", [0, 1, 2]),
        ("{{ vlans.keys() }}", ["666", "10"]),
        ("{{ (1, 2) }}", [1, 2]),
        # Anything around it makes text.
        (" {{ port }}", " 10"),
        ("{{ port }}/{{ mode }}", "10/0644"),
        ("[{{ empty }}]", "[]"),
        ("{{ 'x' if flag }}-", "-"),
        ("{# nothing #}a", "a"),
        ("{% for n in names %}{{ n }},{% endfor %}", "b,a,"),
        ("{{ secret('box') }}", "⟦secret:box⟧"),
        ("{{ port ~ ':' ~ mode }}", "10:0644"),
        ("{{ '%04d' % port }}", "0010"),
        ("{{ '* %s' % mode }}", "* 0644"),
        # Missing keys may be compared, defaulted and asked for.
        ("{{ vlans.x is defined }}", False),
        ("{{ vlans.x != 'a' }}", True),
        ("{{ vlans.x == 'a' }}", False),
        ("{{ vlans.x.y.z | default(5) }}", 5),
        ("{{ nothing | default('d') }}", "d"),
        ("{{ nothing.at.all | default('d') }}", "d"),
        # Facts.
        ("{{ facts.nics.eth0.mac }}", "00:11"),
        ("{{ facts.nics.eth1.mac | default('?') }}", "?"),
        ("{{ facts.disks is defined }}", False),
        ("{{ facts.nics }}", {"eth0": {"mac": "00:11"}}),
    ],
)
def test_values(text: str, value: object) -> None:
    found = _run(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ nothing }}", "'nothing' is undefined"),
        ("{{ prot }}", "'prot' is undefined"),
        ("{{ [1, nothing] }}", "'nothing' is undefined"),
        ("{{ {'a': nothing} }}", "'nothing' is undefined"),
        ("{{ nothing == 1 }}", "'nothing' is undefined"),
        ("a{{ vlans.x }}", "this map has no 'x'"),
        ("{{ vlans.x.y }}", "this map has no 'x'"),
        ("{{ vlans.x + 1 }}", "this map has no 'x'"),
        ("{% if vlans.x %}{% endif %}", "this map has no 'x'"),
        ("{% for a in vlans.x %}{% endfor %}", "this map has no 'x'"),
        ("{{ port.x }}", "has no attribute 'x'"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ 'a' + 1 }}", "can only concatenate"),
        ("{{ secret }}", "not a value"),
        ("{{ 1e308 * 10 }}", "no resource can hold"),
        ("{{ names.append(1) }}", "not allowed"),
        ("{{ vlans.clear() }}", "not allowed"),
        ("{{ ''.__class__ }}", "not allowed"),
        ("{{ secret.__globals__ }}", "not allowed"),
        ("{{ lipsum() }}", "'lipsum' is undefined"),
        ("{% include 'x' %}", "use template()"),
        ("{{ 'x' * 9999999 }}", "not allowed"),
        ("{{ 9 ** 9999999 }}", "not allowed"),
        ("{{ '%9999999d' % 1 }}", "not allowed"),
        ("{{ '{:9999999}'.format(1) }}", "not allowed"),
        ("{{ 'x'.ljust(9999999) }}", "not allowed"),
        ("{{ 'x' | center(9999999) }}", "not allowed"),
        ("{{ [1] | batch(9999999, 0) | list }}", "not allowed"),
        ("{{ ([mode * 9999] * 9999) | join }}", "not allowed"),
        ("{{ (mode * 99999) | replace('0', mode * 99999) }}", "not allowed"),
        (
            "{% set n = namespace(x=mode) %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
            "not allowed",
        ),
        (
            "{% set n = namespace(x=9) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}",
            "not allowed",
        ),
        ("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", "turns"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "without end"),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        _run(text)
    assert message in str(caught.value)


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(ExpressionError) as caught:
        _run("{{ prot }}")
    assert caught.value.hint == "did you mean 'port'?"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("{{ facts.disks }}", "disks"),
        ("{{ facts.disks.sda.size }}", "disks.sda.size"),
        ("{{ facts.nics.eth1 }}", "nics.eth1"),
        ("{{ facts['nics']['eth0']['speed'] + 1 }}", "nics.eth0.speed"),
        ("a{{ facts.disks }}", "disks"),
        ("{% if facts.disks %}{% endif %}", "disks"),
        ("{% for d in facts.disks %}{% endfor %}", "disks"),
        ("{{ facts.disks == 1 }}", "disks"),
        ("{{ [facts.disks] }}", "disks"),
    ],
)
def test_what_is_missing_from_facts_is_not_known_yet(text: str, path: str) -> None:
    with pytest.raises(NotYet) as caught:
        _run(text)
    assert (caught.value.node, caught.value.path) == ("n1", path)


def test_a_bare_expression_has_no_braces() -> None:
    assert compile_expression("port > 5")(new_scope(SCOPE)) is True
    with pytest.raises(ExpressionError, match="as it is"):
        compile_expression("{{ port }}")


@given(
    st.lists(
        st.sampled_from(
            [
                "{{ ",
                " }}",
                "{% ",
                " %}",
                "{#",
                "#}",
                "for ",
                " in ",
                "if ",
                "end",
                "endfor",
                "set ",
                "macro ",
                "facts",
                "vlans",
                "names",
                "port",
                "mode",
                ".",
                "[",
                "]",
                "(",
                ")",
                "x",
                "1",
                "'",
                '"',
                " ",
                "=",
                "==",
                "~",
                "+",
                "**",
                "*",
                "%",
                "|",
                "default",
                "nothing",
                ",",
                "{",
                "}",
                ":",
                "\n",
                " is defined",
                "range",
            ]
        ),
        max_size=14,
    ).map("".join)
)
def test_no_text_crashes(text: str) -> None:
    with contextlib.suppress(ExpressionError, NotYet):
        _run(text)


@pytest.mark.parametrize("depth", [150, 5000])
def test_deep_expressions_are_refused(depth: int) -> None:
    with pytest.raises(ExpressionError):
        _run("{{ " + "(" * depth + "nothing" + ")" * depth + " }}")


def test_scopes_are_not_changed_by_expressions() -> None:
    before = repr(SCOPE["vlans"])
    _run("{% set vlans = 5 %}{{ vlans }}{% set node = 1 %}")
    assert repr(SCOPE["vlans"]) == before
