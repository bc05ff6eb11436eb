"""The nouns: what may be declared, and what is said of what may not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rackwright.model.resource import from_data, secret_fields, to_data
from rackwright_providers.server.account_resources import public_key
from rackwright_providers.server.file_resources import Directory
from rackwright_providers.server.linux import HANDLERS
from rackwright_providers.server.network_resources import Interface, Route
from rackwright_providers.server.resources import NOUNS

KINDS = {noun.kind: noun for noun in NOUNS}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGIpxbnQmSkUy7eY1kb5cMxPjkyR3+1vJD5oSNzZ3m0n"

WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("file", {"name": "etc/motd"}, "'etc/motd' is not an absolute path"),
    ("file", {"name": "/etc//motd"}, "is not in its shortest form"),
    ("file", {"name": "/etc/../motd"}, "is not in its shortest form"),
    ("file", {"name": "/etc/motd/"}, "is not in its shortest form"),
    ("file", {"name": "/a\nb"}, "holds a line break"),
    ("file", {"name": "/x", "mode": 644}, "Expected `str | null`, got `int` - at `$.mode`"),
    ("file", {"name": "/x", "mode": "0999"}, "at `$.mode`"),
    ("file", {"name": "/x", "mode": "0644\n"}, "at `$.mode`"),
    ("file", {"name": "/x", "owner": "a b"}, "at `$.owner`"),
    ("file", {"name": "/x", "contents": "x"}, "unknown field `contents`"),
    ("symlink", {"name": "/x"}, "a symlink needs a target"),
    ("line_in_file", {"name": "x", "line": "y"}, "needs path and line"),
    ("line_in_file", {"name": "x", "path": "/p", "line": "a\nb"}, "at `$.line`"),
    ("line_in_file", {"name": "x", "path": "/p", "line": "a", "match": "("}, "no regular expression"),
    ("host_entry", {"name": "10.0.0.256", "hostnames": ["a"]}, "is not an IP address"),
    ("host_entry", {"name": "fe80:0::1", "hostnames": ["a"]}, "write 'fe80:0::1' as 'fe80::1'"),
    ("host_entry", {"name": "10.0.0.1"}, "needs hostnames"),
    ("host_entry", {"name": "10.0.0.1", "hostnames": ["a b"]}, "at `$.hostnames[0]`"),
    ("package", {"name": "-y"}, "cannot be a package's name"),
    ("package", {"name": "a", "version": "1 2"}, "at `$.version`"),
    ("service", {"name": "--now"}, "cannot be a unit's name"),
    ("service", {"name": "x", "state": "started"}, "Invalid enum value 'started'"),
    ("service", {"name": "x", "enabled": "yes"}, "Expected `bool | null`"),
    ("user", {"name": "a:b"}, "cannot be a user's name"),
    ("user", {"name": "a", "home": "/a:b"}, "at `$.home`"),
    ("user", {"name": "a", "password_hash": "x\nroot:y"}, "at `$.password_hash`"),
    ("user", {"name": "a", "uid": -1}, "at `$.uid`"),
    ("group", {"name": "-g"}, "cannot be a group's name"),
    ("authorized_key", {"name": "bob", "key": KEY}, "'bob' is not of the form user:id"),
    ("authorized_key", {"name": "bob:x"}, "needs a key"),
    ("authorized_key", {"name": "bob:x", "key": "hello"}, "not an OpenSSH public key"),
    ("authorized_key", {"name": "bob:x", "key": f"{KEY}\n{KEY}"}, "not an OpenSSH public key"),
    ("authorized_key", {"name": "bob:x", "key": "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAA"}, "not of type ssh-rsa"),
    ("cron", {"name": "a.b", "schedule": "@daily", "command": "x"}, "cannot be a cron job's name"),
    ("cron", {"name": "a", "schedule": "* * * *", "command": "x"}, "at `$.schedule`"),
    ("cron", {"name": "a", "schedule": "@weakly", "command": "x"}, "at `$.schedule`"),
    ("cron", {"name": "a", "schedule": "@daily", "command": "x\n* * * * * root y"}, "at `$.command`"),
    ("cron", {"name": "a", "schedule": "@daily"}, "needs a schedule and a command"),
    ("cron", {"name": "a", "schedule": "@daily", "command": "x", "environment": {"A B": "x"}}, "'A B'"),
    ("sysctl", {"name": "../../etc/passwd", "value": 1}, "cannot be a kernel parameter"),
    ("sysctl", {"name": "net.ipv4.ip_forward"}, "needs a value"),
    ("mount", {"name": "/mnt"}, "needs a device"),
    ("mount", {"name": "/mnt", "device": "x", "options": "a b"}, "at `$.options`"),
    ("interface", {"name": "eth0", "addresses": ["10.0.0.1"]}, "lacks its prefix length"),
    ("interface", {"name": "a/b"}, "cannot be an interface's name"),
    ("interface", {"name": "eth0", "mtu": 10}, "at `$.mtu`"),
    ("route", {"name": "10.0.0.1/8", "via": "10.0.0.1"}, "has host bits set"),
    ("route", {"name": "default"}, "needs via or dev"),
    ("exec", {"name": "x", "command": "y"}, "needs creates or unless"),
    ("exec", {"name": "x", "command": "y", "only_if": "z"}, "needs creates or unless"),
    ("exec", {"name": "x", "unless": "z"}, "needs a command"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "data", "why"), WRONG, ids=lambda v: v if isinstance(v, str) else ""
)
def test_what_is_wrong_is_said(kind: str, data: dict[str, Any], why: str) -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        from_data(KINDS[kind], data)
    assert why in str(raised.value)


CANONICAL: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("file", {"name": "/x", "mode": "644"}, {"mode": "0644"}),
    ("user", {"name": "x", "groups": ["b", "a", "b"]}, {"groups": ["a", "b"]}),
    ("cron", {"name": "x", "schedule": "1  2 *   * *", "command": "y"}, {"schedule": "1 2 * * *"}),
    ("sysctl", {"name": "kernel.x", "value": 1}, {"value": "1"}),
    ("sysctl", {"name": "net.ipv4.tcp_rmem", "value": "4096\t87380  6291456"}, {"value": "4096 87380 6291456"}),
    ("interface", {"name": "e", "addresses": ["fe80::0:1/64", "10.0.0.5/24", "10.0.0.5/24"]},
     {"addresses": ["10.0.0.5/24", "fe80::1/64"]}),
    ("route", {"name": "default", "via": "fe80:0::1"}, {"via": "fe80::1"}),
    ("authorized_key", {"name": "bob:x", "key": f"  {KEY} bob@laptop "}, {"key": KEY}),
    ("authorized_key", {"name": "bob:x", "key": "⟦secret:k⟧"}, {"key": "⟦secret:k⟧"}),
    ("user", {"name": "bob", "password_hash": "⟦secret:bob⟧"}, {"password_hash": "⟦secret:bob⟧"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "data", "canonical"), CANONICAL)
def test_two_spellings_of_one_thing_are_one(
    kind: str, data: dict[str, Any], canonical: dict[str, Any]
) -> None:
    made = from_data(KINDS[kind], data)
    assert msgspec.json.decode(msgspec.json.encode(made)) == {**data, **canonical}
    assert from_data(KINDS[kind], to_data(made)) == made


def test_every_noun_has_a_handler_and_a_schema() -> None:
    assert set(KINDS) == set(HANDLERS)
    for noun in NOUNS:
        assert noun.__doc__
        msgspec.json.schema(noun)
    assert secret_fields(KINDS["user"]) == {"password_hash"}


NEEDS: list[tuple[str, dict[str, Any], set[str]]] = [
    ("file", {"name": "/srv/www/a", "owner": "bob", "group": "web"},
     {"directory//srv/www", "directory//srv", "mount//srv", "symlink//srv", "user/bob", "group/web"}),
    ("directory", {"name": "/srv/www"}, {"directory//srv"}),
    ("user", {"name": "bob", "group": "a", "groups": ["b"], "home": "/srv/bob"},
     {"group/a", "group/b", "mount//srv"}),
    ("authorized_key", {"name": "bob:x", "key": KEY}, {"user/bob"}),
    ("mount", {"name": "/srv", "device": "/img"}, {"directory//srv", "directory//", "file//img"}),
    ("host_entry", {"name": "10.0.0.1", "hostnames": ["a"]}, {"file//etc/hosts"}),
    ("line_in_file", {"name": "x", "path": "/etc/a", "line": "b"}, {"file//etc/a"}),
    ("route", {"name": "default", "dev": "eth0"}, {"interface/eth0"}),
    ("exec", {"name": "x", "command": "a", "unless": "b", "user": "bob", "cwd": "/srv"},
     {"user/bob", "directory//srv"}),
    ("cron", {"name": "x", "schedule": "@daily", "command": "y", "user": "bob"}, {"user/bob"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "data", "needs"), NEEDS)
def test_what_comes_first(kind: str, data: dict[str, Any], needs: set[str]) -> None:
    found = {str(address) for address in from_data(KINDS[kind], data).implied_needs()}
    assert needs <= found
    assert str(from_data(KINDS[kind], data).address) not in found


def test_a_directory_that_holds_things_is_not_lost_in_silence() -> None:
    gone = Directory(name="/srv", ensure="absent")
    assert gone.loses(Directory(name="/srv", holds=2)) == "2 entries in /srv"
    assert gone.loses(Directory(name="/srv", holds=0)) == ""
    assert Directory(name="/srv", mode="0700").loses(Directory(name="/srv", holds=2)) == ""


def test_what_cuts_traffic() -> None:
    up = Interface(name="e", state="up", mtu=1500, addresses=("10.0.0.5/24",))
    assert Interface(name="e", state="down").severs(up)
    assert Interface(name="e", mtu=1400).severs(up)
    assert Interface(name="e", addresses=("10.0.0.6/24",)).severs(up)
    assert not Interface(name="e", addresses=("10.0.0.5/24", "10.0.0.6/24"), mtu=9000).severs(up)
    route = Route(name="default", via="10.0.0.1", dev="e")
    assert Route(name="default", via="10.0.0.2").severs(route)
    assert Route(name="default", via="10.0.0.1", ensure="absent").severs(route)
    assert not Route(name="default", via="10.0.0.1").severs(route)
    assert not Route(name="default", via="10.0.0.1").severs(None)


def test_a_key_with_options_and_quotes() -> None:
    line = f'from="*.lab,10.0.0.0/8",command="sh -c \\"a b\\"" {KEY} a comment'
    assert public_key(line) == f'from="*.lab,10.0.0.0/8",command="sh -c \\"a b\\"" {KEY}'
    assert public_key(f"{KEY} x").split() == KEY.split()
