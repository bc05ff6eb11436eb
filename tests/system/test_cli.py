"""The commands as a user runs them: exit codes, JSON, signals, and no traceback on wrong input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from .forker import Forked, Forker
from .simulators import ROOT, pdu, reach, simulated, switch
from .sites import deployed, eventually, ledger, write_secrets, write_site
from .stores import Store, free_port, store

STORE = "http://127.0.0.1:9"
"""Nobody listens there."""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A server with a file, and a switch that is not there."""
    gone: dict[str, Any] = {"host": "127.0.0.1", "port": free_port(), "username": "rack"}
    gone["password"] = {"secret": "device"}
    write_secrets(tmp_path / "state")
    write_site(
        tmp_path / "site",
        {"node": "web1", "type": "server"},
        {"node": "sw1", "type": "switch", "platform": "cisco_ios", "reach": [{"ssh": gone}]},
        *deployed("files", "server", "web1", [{"file": "/a", "content": "a\n"}]),
        *deployed("net", "switch", "sw1", [{"vlan": "10", "title": "x"}]),
    )
    (tmp_path / "root").mkdir()
    return tmp_path / "site"


@contextmanager
def prepared(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Wrong things to name, by what cases call them."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x\n")
    (tmp_path / "typo").mkdir()
    (tmp_path / "typo" / "site.yaml").write_text("site: x\n---\nnode: a\ntpye: server\n")
    (tmp_path / "binary").mkdir()
    (tmp_path / "binary" / "site.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "open-secrets").write_text("a: b\n")
    (tmp_path / "open-secrets").chmod(0o644)
    (tmp_path / "list-secrets").write_text("- hunter2\n")
    (tmp_path / "list-secrets").chmod(0o600)
    (tmp_path / "damaged" / "web1").mkdir(parents=True)
    (tmp_path / "damaged" / "web1" / "ledger.json").write_text("{not json")
    (tmp_path / "key").write_text("no such key\n".replace(" ", "-"))
    (tmp_path / "no-key").write_bytes(b"\xff\n")
    yield {"T": str(tmp_path), "SITE": str(tmp_path / "site"), "STATE": str(tmp_path / "state")}


WRONG: list[tuple[str, int, str]] = [
    # what is typed, the exit code, what must be said
    ("comverge", 1, "There is no command 'comverge'"),
    ("statsu", 1, "Did you mean status?"),
    ("lint {T}/none", 1, "{T}/none"),
    ("lint {T}/file", 1, "{T}/file"),
    ("lint {T}/empty", 1, "no .yaml file"),
    ("lint {T}/typo", 1, "site.yaml:3:1"),
    ("lint {T}/binary", 1, "site.yaml"),
    ("lint --colour", 1, "--colour"),
    ("plan", 1, "--site"),
    ("plan web1", 1, "--site"),
    ("plan --site {T}/typo --state {STATE}", 1, "site.yaml:3:1"),
    ("plan --site {T}/none --state {STATE}", 1, "{T}/none"),
    ("plan --site {SITE} --state {T}/damaged", 2, "is damaged"),
    ("plan --site {SITE} --state {STATE} --secrets {T}/open-secrets", 1, "mode 0644"),
    ("plan --site {SITE} --state {STATE} --store {STORE} --credential {T}/key", 4, "127.0.0.1:9"),
    ("plan web1 --site {SITE} --state {STATE} --store {STORE}", 1, "leave NODE out"),
    ("plan --site {SITE} --state {STATE}", 4, "neither read nor known: sw1"),
    ("plan web1 --site {T}/none --state {STATE}", 1, "{T}/none"),
    ("plan web9 --site {SITE} --state {STATE}", 1, "did you mean web1?"),
    ("plan ../../etc --site {SITE} --state {STATE}", 1, "no node"),
    ("plan web1 --site {SITE} --state {T}/file", 1, "{T}/file"),
    ("plan web1 --site {SITE} --state {T}/damaged", 2, "is damaged"),
    ("plan web1 --site {SITE} --state {STATE} --root {T}/none", 2, "{T}/none"),
    ("plan web1 --site {SITE} --state {STATE} --secrets {T}/open-secrets", 1, "mode 0644"),
    ("plan web1 --site {SITE} --state {STATE} --secrets {T}/list-secrets", 1, "not a mapping"),
    ("plan sw1 --site {SITE} --state {STATE}", 4, "refused"),
    ("agent --once --state {STATE}", 1, "--store"),
    ("agent --once --state {STATE} --store {STORE} --site {SITE}", 1, "--site"),
    ("agent --once --node web1 --state {STATE} --store {STORE} --token t", 4, "127.0.0.1:9"),
    ("agent --once --node web1 --state {STATE} --store {STORE}", 2, "not enrolled"),
    ("agent --once --node web1 --state {STATE} --store ftp://x --token t", 2, "not a store's URL"),
    ("agent --once --node web1 --state {STATE} --store {STORE} --ca {T}/none", 1, "--ca"),
    ("agent --once --node nobody --site {SITE} --state {STATE}", 1, "no node 'nobody'"),
    ("agent --once --node web1 --site {SITE} --state {STATE} --interval 0", 1, "--interval"),
    ("agent --once --node web1 --site {SITE} --state {STATE} --interval x", 1, "--interval"),
    ("agent --once --node web1 --site {T}/typo --state {STATE}", 1, "site.yaml:3:1"),
    ("delegate --site {SITE}", 1, "NODE"),
    ("delegate sw1 sw9 --once --site {SITE} --state {STATE}", 1, "sw9"),
    ("delegate sw1 --once --site {SITE} --state {STATE}", 4, "refused"),
    ("discover sw1 --site {SITE} --state {STATE}", 4, "refused"),
    ("discover sw9 --site {SITE} --state {STATE}", 1, "did you mean sw1?"),
    ("why web1", 1, "NODE:PATH"),
    ("why web9 a --site {SITE}", 1, "web9"),
    ("store --site {T}/none --listen 127.0.0.1:0 --data {T}/data", 2, "{T}/none"),
    ("store --site {SITE} --listen nowhere --data {T}/data", 2, "HOST:PORT"),
    ("store --site {SITE} --listen 0.0.0.0:0 --data {T}/data", 2, "TLS"),
    ("store --listen 127.0.0.1:0 --data {T}/data", 1, "--site"),
    ("status", 1, "--store"),
    ("status --store {STORE}", 1, "admin credential"),
    ("status --store {STORE} --credential {T}/none", 1, "{T}/none"),
    (
        "status --store {STORE} --credential {T}/no-key",
        1,
        "{T}/no-key: error: this is no admin credential",
    ),
    (
        "status --store {STORE} --credential {T}/empty/../open-secrets",
        1,
        "this is no admin credential",
    ),
    ("sequence", 1, "Give --site SITE or --store URL"),
    ("rollout", 1, "Give --site SITE or --store URL"),
    ("links", 1, "Give --site SITE or --store URL"),
    ("why web1 a", 1, "Give --site SITE or --store URL"),
    ("status --store {STORE} --credential {T}/key", 4, "127.0.0.1:9"),
    ("runs --limit 0 --store {STORE}", 1, "--limit"),
    ("node web1 --store nonsense --credential {T}/key", 2, "not a store's URL"),
    ("token create --store {STORE} --credential {T}/key", 1, "NODE"),
    ("token create web1 --ttl 0 --store {STORE} --credential {T}/key", 1, "--ttl"),
    ("sim --site {T}/typo", 1, "site.yaml:3:1"),
    ("sim --site {SITE} --fault sw1=dance", 1, "--fault"),
    ("sim --site {SITE} --fault sw9=hang", 1, "--fault"),
    ("sim --site {SITE} --fault sw1=drop_after:x", 1, "drop_after"),
    ("init {T}/site", 1, "not empty"),
    ("init {T}/file", 1, "{T}/file"),
    ("demo --dir {T}/site", 2, "not empty"),
]


@pytest.mark.parametrize(("typed", "code", "says"), WRONG, ids=[case[0] for case in WRONG])
def test_wrong_input_ends_as_a_sentence(
    typed: str, code: int, says: str, site: Path, tmp_path: Path, forker: Forker
) -> None:
    with prepared(tmp_path) as words:
        words["STORE"] = STORE
        ended = forker.run(*typed.format(**words).split())
        said = ended.said() + ended.out.read_text()
        assert "Traceback" not in said, said
        assert "a fault in Rackwright" not in said
        assert "hunter2" not in said
        assert says.format(**words) in said
        assert ended.status == code, said


def test_a_new_site_lints_and_plans(tmp_path: Path, forker: Forker) -> None:
    made = tmp_path / "new"
    assert forker.run("init", str(made)).status == 0
    assert forker.run("lint", str(made)).status == 0
    assert json.loads(forker.run("lint", str(made), "--json").out.read_text()) == []
    node = os.uname().nodename.split(".")[0] or "localhost"
    where = ("--site", str(made), "--state", str(tmp_path / "state"), "--root", str(tmp_path))
    planned = forker.run("plan", node, *where)
    assert planned.status == 0, planned.said()
    assert "would be created" in planned.out.read_text()
    assert planned.out.read_text().endswith(" would be changed\n")  # it has changed nothing
    assert json.loads(forker.run("plan", node, *where, "--json").out.read_text())[0]["why_run"]


def test_a_typo_is_told_with_its_place_and_the_right_word(tmp_path: Path, forker: Forker) -> None:
    file = {"file": "/a", "contnet": "a\n"}
    write_site(
        tmp_path / "site",
        {"node": "web1", "type": "server"},
        *deployed("files", "server", "web1", [file]),
    )
    linted = forker.run("lint", str(tmp_path / "site"))
    assert linted.status == 1
    assert "site.yaml:1" in linted.said()
    assert "content" in linted.said().partition("hint:")[2]
    found = json.loads(forker.run("lint", str(tmp_path / "site"), "--json").out.read_text())
    assert found[0]["severity"] == "error"
    assert found[0]["line"] > 1
    assert found[0]["column"] > 1


def test_exit_codes_of_a_converge(tmp_path: Path, state: Path, forker: Forker) -> None:
    nodes = (switch("sw1"), pdu("pdu1"))
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "taken").mkdir()
    write_secrets(state)
    where = ("--once", "--site", str(tmp_path / "site"), "--state", str(state))
    agent = ("agent", "--node", "web1", "--root", str(tmp_path / "root"), *where)
    with simulated(tmp_path / "devices", *nodes) as devices:

        def code(*files: dict[str, Any]) -> int:
            write_site(
                tmp_path / "site",
                *(reach(node, devices) for node in nodes),
                {"node": "web1", "type": "server"},
                *deployed("net", "switch", "sw1", [{"vlan": "10", "title": "x"}]),
                *deployed("files", "server", "web1", files),
            )
            return forker.run(*agent).status or 0

        needing = {"file": "/b", "content": "b\n", "needs": ["sw1:vlan/10"]}
        assert code({"file": "/a", "content": "a\n"}) == 0
        assert code({"file": "/taken", "content": "a\n"}) == 2
        assert code(needing) == 3
        # Met on this host, by the delegate that shares the state directory.
        assert forker.run("delegate", "sw1", "pdu1", *where).status == 0
        assert code(needing) == 0
        # Another PDU password than the device's: nothing answers.
        (state / "secrets").write_text("device: wrong\n")
        assert forker.run("delegate", "pdu1", *where).status == 4
        assert forker.run("delegate", "sw1", *where).status == 2


def test_what_a_store_is_asked(tmp_path: Path, forker: Forker) -> None:
    documents = [
        {"node": "web1", "type": "server", "attributes": {"colour": "red"}},
        *deployed("files", "server", "web1", [{"file": "/a", "content": "a\n"}]),
    ]
    with store(forker, tmp_path, *documents) as made:
        admin = ("--store", made.url, "--credential", str(tmp_path / "store" / "admin.credential"))

        def answer(*words: str) -> Any:
            ended = forker.run(*words, *admin, "--json")
            assert ended.status == 0, ended.said()
            plain = forker.run(*words, *admin)
            assert plain.status == 0, plain.said()
            return json.loads(ended.out.read_text())

        assert answer("status")["nodes"][0]["state"] == "never seen"
        wrong = tmp_path / "wrong.credential"
        wrong.write_text("nobody's")
        denied = forker.run("status", *admin[:3], str(wrong))
        assert (denied.status, denied.out.read_text()) == (1, "")
        assert "data directory" in denied.said()
        token = answer("token", "create", "web1")["token"]
        (tmp_path / "root").mkdir()
        where = ("--root", str(tmp_path / "root"), "--state", str(tmp_path / "state"))
        agent = ("agent", "--node", "web1", "--once", "--store", made.url, *where)
        assert forker.run(*agent, "--token", token).status == 0
        assert answer("status")["nodes"][0]["state"] == "changed"
        assert answer("node")[0]["node"] == "web1"
        assert list(answer("node", "web1")["verified"]) == ["file//a"]
        assert answer("runs", "web1")[0]["counts"] == {"changed": 1}
        assert answer("proposal")[0]["proposal"] == "files"
        assert answer("links") == []
        for typed in ("node", "why-waiting", "host show", "host drain", "host resume", "rollout"):
            unknown = forker.run(*typed.split(), "nobody", *admin)
            assert unknown.status == 1, typed
            assert "'nobody'" in unknown.said(), typed
            assert "<input>" not in unknown.said(), typed
        used = forker.run(*agent[:2], "web1", *agent[3:], "--state", str(tmp_path / "x"), "--token", token)  # fmt: skip
        assert used.status == 2
        assert "Traceback" not in used.said()
        made.down()
        assert forker.run("status", *admin).status == 4
        # The last bundle is there, so the agent goes on without the store.
        assert forker.run(*agent).status == 0


@pytest.mark.parametrize("once", [True, False])
def test_control_c_ends_in_order(once: bool, tmp_path: Path, state: Path, forker: Forker) -> None:
    """In the middle of a run: a session that answers slowly is under way."""
    node = switch("sw1", latency=0.1)
    write_secrets(state)
    with simulated(tmp_path / "devices", node) as devices:
        vlans = [{"vlan": str(vlan), "title": f"v{vlan}"} for vlan in range(10, 60)]
        write_site(
            tmp_path / "site", reach(node, devices), *deployed("net", "switch", "sw1", vlans)
        )
        where = ("--site", str(tmp_path / "site"), "--state", str(state))
        run = forker.start("delegate", "sw1", *where, *(("--once",) if once else ()))
        eventually(lambda: devices.writes()["sw1"] > 4)
        run.signal(signal.SIGINT)
        assert run.wait() == (130 if once else 0), run.said()
        assert "Traceback" not in run.said()
        running = devices.running("sw1")
        assert running.count(" name v") < len(vlans)
        assert running.count(" name v") == len(ledger(state, "sw1").entries)
        assert running == devices.startup("sw1")


def test_the_store_ends_at_control_c(tmp_path: Path, forker: Forker) -> None:
    made = Store(forker, tmp_path)
    made.commit({"node": "web1", "type": "server"}, poke=False)
    made.up()
    process: Forked | None = made.process
    assert process
    made.down(signal.SIGINT)
    assert process.status == 0, process.said()


def test_help_of_every_command(forker: Forker) -> None:
    from rackwright.cli.main import COMMANDS

    for name in COMMANDS:
        shown = forker.run(name, "--help")
        assert shown.status == 0
        assert "Usage" in shown.out.read_text()


@pytest.mark.timeout(180)
def test_demo(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from rackwright.cli.main import main; main()", "demo", "--dir", str(tmp_path / "d")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The store places ch-a1, pdu-a1, san-a1, sw-a1 on admin1" in done.stdout
    for log in (tmp_path / "d").glob("*.log"):
        assert "Traceback" not in log.read_text(), log
    arrived = done.stdout.partition("How the change arrived")[2]
    changed = [
        line.partition(" s ")[2].split()[:2]
        for line in arrived.splitlines()
        if line.endswith("changed")
    ]
    order = [" ".join(words) for words in changed]
    last = "web2 file//etc/network/interfaces.d/eth0"
    assert order.index("sw-a1 vlan/30") < order.index(last), done.stdout
    assert order.index("sw-a1 port/GigabitEthernet1/0/2") < order.index(last), done.stdout
    lun = "web2 file//etc/iscsi/luns/data2"
    assert order.index("san-a1 export/data2:…:web2") < order.index(lun), done.stdout
    assert "ch-a1 blade/2" in order, done.stdout
    assert "Try next" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_that_is_stopped_leaves_nothing_running(number: int, tmp_path: Path) -> None:
    def parts() -> int:
        """How many processes name this demo's directory."""
        count = 0
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it has just ended
                count += str(tmp_path).encode() in path.read_bytes()
        return count

    code = "from rackwright.cli.main import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "demo", "--dir", str(tmp_path / "d")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout
        while "rackwright delegates" not in process.stdout.readline():
            assert process.poll() is None
        assert parts() > 4
        process.send_signal(number)
        process.stdout.read()
        assert process.wait(30) in (130, 143)
    eventually(lambda: not parts())
