"""A site's tree as a source: what is kept from run to run, and what makes it stale."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
import pytest

from rackwright.cli import neighbours, tree
from rackwright.cli.stamp import look
from rackwright.cli.tree import Tree, TreeSource
from rackwright.engine.ledger import Entry, Ledger, LedgerFile
from rackwright.model.errors import InputError
from rackwright.model.facts import Facts
from rackwright.provider import Registry, _installed, _ours
from rackwright.vault import read_secrets

SITE = """
site: lab
---
node: h1
type: server
---
node: h2
type: server
---
role: motd
attributes: {greeting: {type: string}}
resources:
  - file: /etc/motd
    content: "{{ greeting }}"
  - file: /etc/issue
    content: "{{ facts.kernel }}"
    needs: ["h2:file//etc/motd"]
---
role: plain
attributes: {greeting: {type: string}}
resources:
  - file: /etc/motd
    content: "{{ greeting }}"
---
proposal: all
attributes: {greeting: hello}
deploy: {motd: [h1], plain: [h2]}
"""
LONG_AGO = time.time() - 3600


@pytest.fixture(autouse=True)
def _look_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "LOOKED", 0.0)
    monkeypatch.setattr(neighbours, "LOOKED", 0.0)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    write(folder, SITE, LONG_AGO)
    return folder


def write(folder: Path, text: str, when: float) -> None:
    file = folder / "site.yaml"
    file.write_text(text)
    os.utime(file, (when, when))


def a_tree(site: Path) -> Tree:
    return Tree(site, Registry.installed(), site.parent / "state")


def contents(made: Tree, node: str = "h1") -> dict[str, str]:
    return {item.data["name"]: item.data["content"] for item in made.bundle(node).resources}


def keep_facts(state: Path, node: str, facts: Facts, when: float) -> None:
    file = state / node / "facts.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.encode({"at": when, "facts": facts, "sent": True}))
    os.utime(file, (when, when))


def test_a_changed_site_is_seen_by_the_same_process(site: Path) -> None:
    made = a_tree(site)
    assert contents(made) == {"/etc/motd": "hello"}
    write(site, SITE.replace("hello", "good day"), LONG_AGO + 60)
    assert contents(made) == {"/etc/motd": "good day"}


def test_an_unchanged_site_is_not_compiled_again(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled = look(site, site.parent / "state")._replace(site="as it was")
    monkeypatch.setattr(tree, "look", lambda *_: settled)
    assert contents(a_tree(site)) == {"/etc/motd": "hello"}
    another = a_tree(site)
    monkeypatch.setattr(another, "_compile", lambda: pytest.fail("it was compiled"))
    assert contents(another) == {"/etc/motd": "hello"}
    changed = settled._replace(site="as it is")
    monkeypatch.setattr(tree, "look", lambda *_: changed)
    with pytest.raises(pytest.fail.Exception, match="it was compiled"):
        contents(another)


def test_facts_are_rendered_with_when_sent_and_when_another_process_found_them(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, state = a_tree(site), site.parent / "state"
    assert made.bundle("h1").deferred
    found = Facts(values={"kernel": "6.1"})
    keep_facts(state, "h1", found, LONG_AGO)
    with monkeypatch.context() as patch:
        patch.setattr(tree, "LOOKED", 3600.0)  # so it is not from the file that they are known
        TreeSource(made, "h1").send_facts(found)
        assert contents(made)["/etc/issue"] == "6.1"
    keep_facts(state, "h1", Facts(values={"kernel": "6.2"}), LONG_AGO + 60)
    assert contents(made)["/etc/issue"] == "6.2"
    assert contents(a_tree(site))["/etc/issue"] == "6.2"


def test_an_unknown_node(site: Path) -> None:
    with pytest.raises(InputError, match="did you mean h1"):
        a_tree(site).bundle("h11")


def test_gates_follow_the_ledgers_beside(site: Path) -> None:
    state = site.parent / "state"
    keep_facts(state, "h1", Facts(values={"kernel": "6.1"}), LONG_AGO)
    made = a_tree(site)
    h1, h2 = TreeSource(made, "h1"), TreeSource(made, "h2")
    digest = made.bundle("h2").resources[0].digest
    entry = Entry(type="file", data={"name": "/etc/motd"}, digest=digest)
    assert not h1.gates().verified
    h2.mirror(Ledger(entries={"file//etc/motd": entry}))  # of this process
    assert h1.gates().verified == {}, "a ledger counts when it is on disk"
    LedgerFile(state / "h2" / "ledger.json").store(Ledger(entries={"file//etc/motd": entry}))
    assert h1.gates().verified == {"h2:file//etc/motd": digest}
    begun = msgspec.structs.replace(entry, intent="update")
    h2.mirror(Ledger(entries={"file//etc/motd": begun}))
    LedgerFile(state / "h2" / "ledger.json").store(Ledger(entries={"file//etc/motd": begun}))
    assert not h1.gates().verified

    assert not h2.gates().held
    resting = msgspec.structs.replace(
        entry, needs=("h2:file//etc/motd", "h2:file//gone", "file//etc")
    )
    LedgerFile(state / "h1" / "ledger.json").store(Ledger(entries={"file//etc/issue": resting}))
    # What is declared to stay is not held, whoever rests on it.
    assert h2.gates().held == {"file//gone": ("h1:file//etc/issue",)}


def test_secrets_are_read_again_when_they_change(tmp_path: Path) -> None:
    file = tmp_path / "secrets"
    assert read_secrets(file) == {}
    file.touch(mode=0o600)
    for value in ("one", "two"):  # of one length, within one tick of the clock
        file.write_text(f"pin: {value}\n")
        assert read_secrets(file) == {"pin": value}
    file.chmod(0o644)
    with pytest.raises(InputError, match="others can use it"):
        read_secrets(file)
    file.unlink()
    assert read_secrets(file) == {}


def test_our_own_entry_points_are_those_that_are_installed() -> None:
    for group in ("rackwright.providers", "rackwright.nouns"):
        ours = _ours(group)
        assert "linux" in ours or "switch" in ours
        assert ours.items() <= _installed(group).items()
