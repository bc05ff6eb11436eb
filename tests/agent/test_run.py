"""One run of one node, from the source to the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rackwright.engine.files import run_lock
from rackwright.model.bundle import Gates
from rackwright.model.errors import InputError, Permanent, Unreachable
from rackwright.model.site import Node, Way
from rackwright.run import NodeRunner
from rackwright.vault import read_secrets

from ..engine.memory import Device, Plug, bundle, declare
from .fakes import FakeSource, Rig, RigRegistry


def rig(tmp_path: Path, *resources: Any, **more: Any) -> tuple[NodeRunner, FakeSource, Rig]:
    source, made = FakeSource(bundle(*resources)), Rig(Device())
    runner = NodeRunner(
        node="dev1", source=source, registry=RigRegistry(made), state=tmp_path / "dev1", **more
    )
    return runner, source, made


def ladder(source: FakeSource, *ways: Way) -> None:
    node = msgspec.structs.replace(source.what.node, reach=ways)
    source.what = msgspec.structs.replace(source.what, node=node)


def way(transport: str, **more: Any) -> Way:
    return Way(transport=transport, options={}, **more)


def test_the_session_is_kept_between_runs(tmp_path: Path) -> None:
    runner, source, made = rig(tmp_path, declare("thing/a"))
    assert [runner.run().exit_code for _ in range(3)] == [0, 0, 0]
    assert made.opened == [("local", True)]
    assert len(source.reports) == 3


def test_a_kept_session_that_lies_is_opened_again_once(tmp_path: Path) -> None:
    runner, _, made = rig(tmp_path, declare("thing/a"))
    runner.run()
    made.stale = True
    assert runner.run().exit_code == 0
    assert len(made.opened) == 2


def test_facts_are_sent_once_and_only_when_they_changed(tmp_path: Path) -> None:
    runner, source, _ = rig(tmp_path, declare("thing/a"))
    runner.run()
    runner.run()
    runner.run(fresh_facts=True)
    assert [facts.values for facts in source.facts] == [{"model": "M1"}]


def test_facts_found_while_the_store_is_away_are_sent_later(tmp_path: Path) -> None:
    runner, source, _ = rig(tmp_path, declare("thing/a"))
    source.away = True
    runner.run()
    assert source.facts == []
    source.away = False
    runner.run()
    assert [facts.values for facts in source.facts] == [{"model": "M1"}]


def test_facts_that_only_a_tree_was_told_of_are_sent_to_the_store_that_comes_later(
    tmp_path: Path,
) -> None:
    runner, tree, _ = rig(tmp_path, declare("thing/a"))
    tree.collects = False
    runner.run()
    runner.run()
    assert len(tree.facts) == 1, "the tree has them under the state directory"
    runner.source = store = FakeSource(tree.what)
    runner.run()
    runner.run()
    assert [facts.values for facts in store.facts] == [{"model": "M1"}]


def test_a_dry_run_goes_by_the_ledger_that_is_kept_elsewhere_and_does_not_bring_it_along(
    tmp_path: Path,
) -> None:
    runner, source, made = rig(tmp_path, declare("thing/a"), declare("thing/b"))
    runner.run()
    source.what = bundle(declare("thing/a"))
    runner.state = tmp_path / "elsewhere"
    report = runner.run(why_run=True)
    assert [item.address for item in report.outcomes if item.state == "removed"] == ["thing/b"]
    assert not (tmp_path / "elsewhere" / "ledger.json").exists()
    assert made.device.writes == ["create thing/a", "create thing/b"]


def test_the_next_way_is_used_when_one_fails_and_the_report_says_so(tmp_path: Path) -> None:
    runner, source, made = rig(tmp_path, declare("thing/a"))
    ladder(source, way("ssh"), way("serial"))
    made.dead["ssh"] = Unreachable("connection refused")
    report = runner.run()
    assert report.exit_code == 0
    assert report.via == "serial (connection refused)"


def test_all_ways_dead_is_unreachable_and_says_what_each_said(tmp_path: Path) -> None:
    runner, source, made = rig(tmp_path, declare("thing/a"))
    ladder(source, way("ssh"), way("serial"))
    made.dead = {"ssh": Unreachable("refused"), "serial": Permanent("no such line")}
    report = runner.run()
    assert (report.exit_code, report.error) == (4, "refused; no such line")
    assert source.reports == [report]


def test_a_way_of_another_host_is_not_used(tmp_path: Path) -> None:
    runner, source, made = rig(tmp_path, declare("thing/a"), here="admin2")
    ladder(source, way("serial", at="admin1"))
    report = runner.run()
    assert "from admin1 only" in report.error
    assert made.opened == []


def test_why_run_opens_a_session_that_cannot_write_and_keeps_no_report(tmp_path: Path) -> None:
    runner, source, made = rig(tmp_path, declare("thing/a"))
    report = runner.run(why_run=True)
    assert report.outcomes[0].state == "changed"
    assert made.opened == [("local", False)]
    assert made.device.writes == []
    assert source.reports == []
    assert not (tmp_path / "dev1" / "ledger.json").exists()


def test_reports_wait_on_disk_while_the_store_is_away(tmp_path: Path) -> None:
    runner, source, _ = rig(tmp_path, declare("thing/a"))
    source.away = True
    first = runner.run()
    assert len(list((tmp_path / "dev1" / "reports").glob("*.json"))) == 1
    source.away = False
    second = runner.run()
    assert [report.id for report in source.reports] == [first.id, second.id]
    assert list((tmp_path / "dev1" / "reports").glob("*.json")) == []


def test_two_runs_of_one_node_never_overlap(tmp_path: Path) -> None:
    runner, _, made = rig(tmp_path, declare("thing/a"))
    with run_lock(tmp_path / "dev1" / "run.lock"):
        report = runner.run()
    assert "another run of this node is under way" in report.error
    assert made.device.writes == []


def test_a_delegate_that_moves_takes_the_ledger_along(tmp_path: Path) -> None:
    runner, source, made = rig(tmp_path / "old", declare("thing/a"), declare("thing/b"))
    runner.run()
    elsewhere = NodeRunner(
        node="dev1", source=source, registry=RigRegistry(made), state=tmp_path / "new" / "dev1"
    )
    source.what = bundle(declare("thing/a"))
    assert elsewhere.run().count("removed") == 1
    assert {address.name for address in made.device.state} == {"a"}


def test_unknown_platform_is_said(tmp_path: Path) -> None:
    runner, source, _ = rig(tmp_path)
    source.what = msgspec.structs.replace(
        source.what, node=Node(name="dev1", type="switch", platform="plan9")
    )
    assert "no provider for platform 'plan9'" in runner.run().error


def secret_file(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_secrets_from_a_file_stay_texts(tmp_path: Path) -> None:
    path = secret_file(tmp_path / "secrets", "pin: 0042\nyes: on\n")
    assert read_secrets(path) == {"pin": "0042", "yes": "on"}


def test_secrets_from_a_directory(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir(mode=0o700)
    secret_file(tmp_path / "s" / "sw-a1", "hunter2\n")
    assert read_secrets(tmp_path / "s") == {"sw-a1": "hunter2"}


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        ("a: b\n", 0o644, "others can use it (mode 0644)"),
        ("a: [b\n", 0o600, "secrets:2:1"),
        ("- hunter2\n", 0o600, "not a mapping"),
    ],
)
def test_bad_secrets_are_refused_without_showing_them(
    tmp_path: Path, text: str, mode: int, says: str
) -> None:
    path = secret_file(tmp_path / "secrets", text, mode)
    with pytest.raises(InputError) as caught:
        read_secrets(path)
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_wrong_secrets_file_ends_the_run_as_wrong_input(tmp_path: Path) -> None:
    path = secret_file(tmp_path / "secrets", "a: b\n", 0o644)
    runner, source, _ = rig(tmp_path, declare("thing/a"), secrets=path)
    assert runner.run().exit_code == 1
    assert json.loads(msgspec.json.encode(source.reports[0]))["kind"] == "input"


def test_who_could_not_deliver_an_earlier_report_has_not_the_turn(tmp_path: Path) -> None:
    runner, source, made = rig(tmp_path, declare("plug/1", state="off"))
    plug = Plug(name="1", state="on")
    made.device.state[plug.address] = plug
    source.gate = Gates(given={"1": 1}, turns={"1": ("other:plug/1",)})
    source.away = True  # for reports alone
    assert runner.run().outcomes[0].state == "blocked"
    source.gate = Gates(given={"1": 2})
    assert runner.run().outcomes[0].state == "blocked"
    source.away = False
    assert runner.run().outcomes[0].state == "changed"
    assert len(source.reports) == 3
