"""Who may do what, and what is refused."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from rackwright.client import Watch
from rackwright.model.errors import Permanent
from rackwright.model.report import Outcome, Report
from rackwright.store_http import WatchRefused
from rackwright_store import connection, http

from .conformity import document
from .rack import Agent, Repository, Store, eventually, running

SITE = {
    "a": {"file/x": {"data": {"content": "secret of a"}}},
    "b": {"file/x": {"data": {"content": "secret of b"}}, "file/y": {"needs": ["a:file/x"]}},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    tmp_path = tmp_path_factory.mktemp("http")
    repo = Repository(tmp_path / "site")
    repo.site(SITE)
    with running(repo.path, tmp_path / "data") as found:
        yield found


@pytest.fixture(scope="module")
def agents(store: Store) -> dict[str, Agent]:
    return store.agent("a", "b")


def ask(
    store: Store, method: str, path: str, credential: str = "", **more: Any
) -> requests.Response:
    headers = {"Authorization": f"Bearer {credential}"} if credential else {}
    headers |= more.pop("headers", {})
    with requests.Session() as session:
        return session.request(method, store.url + path, headers=headers, timeout=30, **more)


REPORT = {"id": "r", "node": "b", "started": 1, "finished": 2}
BODIES: dict[str, Any] = {
    "putFacts": {"values": {"os": "x"}},
    "putLedger": {"entries": {"file/x": {"needs": ["a:file/x"]}}},
    "postReport": REPORT,
    "wait": {"timeout": 0, "watch": []},
    "lease": {"process": "p", "want": {"b": {"instance": "i"}}},
    "drainHost": {"drain": False, "who": "me"},
    "enrol": {"token": "x", "node": "b"},
    "createToken": {"nodes": ["b"]},
    "retireNode": {"who": "me", "dry_run": True},
}


def operations() -> list[tuple[str, str, str, str]]:
    """(operation id, method, path of node b, tag) of everything that the specification has."""
    found = []
    for template, item in document()["paths"].items():
        path = template.replace("{node}", "b").replace("{id}", "r").replace("{path}", "there")
        path = path.replace("{host}", "b")
        for method in ("get", "put", "post", "delete"):
            if method in item:
                said = item[method]
                found.append((said["operationId"], method.upper(), path, said["tags"][0]))
    return found


@pytest.mark.parametrize(("name", "method", "path", "tag"), operations(), ids=lambda value: str(value))  # fmt: skip
def test_who_may_do_what(
    store: Store, agents: dict[str, Agent], name: str, method: str, path: str, tag: str
) -> None:
    """Every operation, on node b's data, as everybody who is not meant to."""
    body = json.dumps(BODIES[name]) if name in BODIES else None
    seen = {
        who: ask(store, method, path, credential, data=body).status_code
        for who, credential in {
            "nobody": "",
            "a stranger": "x" * 43,
            "node a": agents["a"].credential,
            "node b": agents["b"].credential,
            "the admin": store.admin_credential,
        }.items()
    }
    if name == "wait":
        # Its credentials are in the body, one a node.
        assert set(seen.values()) == {200}
        item = {"node": "b", "bundle": "", "gates": ""}
        for credential in ("x" * 43, agents["a"].credential, store.admin_credential):
            watch = json.dumps({"timeout": 0, "watch": [{**item, "credential": credential}]})
            refused = ask(store, method, path, store.admin_credential, data=watch)
            assert (refused.status_code, refused.json()["nodes"]) == (403, ["b"])
    elif name == "lease":
        # It is about whoever asks: what of others he may have is told one by one.
        assert seen == {"nobody": 401, "a stranger": 401, "node a": 200, "node b": 200, "the admin": 403}  # fmt: skip
        answer = ask(store, method, path, agents["a"].credential, data=body).json()
        assert (answer["held"], list(answer["refused"])) == ({}, ["b"])
    elif tag == "agent":
        assert (seen["nobody"], seen["a stranger"]) == (401, 401)
        assert (seen["node a"], seen["the admin"]) == (403, 403)
        assert seen["node b"] in ((200, 404) if name == "getLedger" else (200, 204))
    elif tag == "admin":
        assert (seen["nobody"], seen["a stranger"]) == (401, 401)
        assert (seen["node a"], seen["node b"]) == (403, 403)
        assert seen["the admin"] in (200, 201, 404)
    else:
        assert tag == "open"
        assert set(seen.values()) <= {200, 202, 403}


def test_no_answer_tells_which_nodes_there_are(store: Store, agents: dict[str, Agent]) -> None:
    there = ask(store, "GET", "/v1/nodes/b/bundle", agents["a"].credential)
    nowhere = ask(store, "GET", "/v1/nodes/nowhere/bundle", agents["a"].credential)
    assert (there.status_code, there.content) == (nowhere.status_code, nowhere.content)
    wrong = [
        ask(store, "POST", "/v1/enrol", data=json.dumps({"token": "x", "node": node}))
        for node in ("b", "nowhere")
    ]
    assert wrong[0].content == wrong[1].content


@pytest.mark.parametrize(
    "path",
    ["/v1/nodes/a/../b/bundle", "/v1/nodes/a%2F..%2Fb/bundle", "/v1/nodes/a/bundle/../../b/bundle",
     "//v1/nodes/b/bundle", "/v1/nodes/b%00/bundle", "/v1/nodes/B/bundle", "/v1/nodes/b/bundle/",
     "/v1/nodes/%62/bundle", "/v1/nodes/a/bundle?node=b", "/v1/nodes//bundle"],
)  # fmt: skip
def test_no_spelling_of_a_path_leads_to_another_node(
    store: Store, agents: dict[str, Agent], path: str
) -> None:
    host, port = store.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            f"Authorization: Bearer {agents['a'].credential}\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    assert b"secret of b" not in answer
    assert b"Traceback" not in answer


def test_a_report_speaks_for_its_own_node_alone(store: Store, agents: dict[str, Agent]) -> None:
    a = agents["a"]
    about_b = Report(id="r1", node="b", started=1, finished=2)
    with pytest.raises(Permanent, match="not of a"):
        a.report(about_b)
    forged = Outcome(address="b:file/x", state="in_sync", digest="x")
    with pytest.raises(Permanent, match="not a resource of a"):
        a.report(Report(id="r1", node="a", started=1, finished=2, outcomes=(forged,)))
    # An id that another node has used is no obstacle, and overwrites nothing.
    agents["b"].report(Report(id="same", node="b", started=1, finished=2, via="b's"))
    a.report(Report(id="same", node="a", started=1, finished=2, via="a's"))
    assert store.admin.report("b", "same")["via"] == "b's"
    assert store.admin.report("a", "same")["via"] == "a's"


def test_a_need_is_met_and_outdated_by_reports_in_any_order(
    store: Store, agents: dict[str, Agent]
) -> None:
    now = time.time()
    agents["a"].converged("n1", now)
    assert set(agents["b"].gates()[0].verified) == {"a:file/x"}
    failed = Outcome(address="file/x", state="failed", why="the disk is full")
    late = Report(id="n0", node="a", started=1, finished=now - 5, outcomes=(failed,))
    agents["a"].report(late)
    assert agents["b"].gates()[0].verified
    assert store.admin.status()["nodes"][0]["state"] == "converged"
    agents["a"].report(Report(id="n2", node="a", started=1, finished=now + 1, outcomes=(failed,)))
    assert not agents["b"].gates()[0].verified
    said = store.admin.status()["nodes"][0]
    assert (said["state"], said["error"], said["outstanding"]) == (
        "failed",
        "file/x failed: the disk is full",
        1,
    )
    agents["a"].converged("n1", now + 2)  # known already: says nothing new
    assert not agents["b"].gates()[0].verified


def test_enrolling_again_ends_the_old_credential(store: Store) -> None:
    old = store.agent("a")["a"]
    new = store.agent("a")["a"]
    assert new.bundle()
    with pytest.raises(Permanent, match="nobody's"):
        old.bundle()
    with pytest.raises(WatchRefused) as caught:
        store.client.wait([Watch("a", old.credential), new.watch()])
    assert caught.value.nodes == {"a"}


@pytest.fixture(autouse=True)
def fresh(request: pytest.FixtureRequest) -> None:
    """Tests that enrol a node again end the shared agents' credentials; these come back here."""
    if {"agents", "store"} <= set(request.fixturenames):
        store, agents = request.getfixturevalue("store"), request.getfixturevalue("agents")
        if ask(store, "GET", "/v1/nodes/a/gates", agents["a"].credential).status_code == 401:
            agents.update(store.agent("a", "b"))


def test_a_token_is_for_its_nodes_once_and_for_a_time(store: Store) -> None:
    made = store.admin.create_token(["a"], ttl=1)
    token = made["token"]
    with pytest.raises(Permanent, match="wrong, expired, used"):
        store.client.enrol(token, "b")
    eventually(lambda: time.time() > made["expires"])
    with pytest.raises(Permanent, match="rackwright token create"):
        store.client.enrol(token, "a")
    with pytest.raises(Permanent, match="no node 'typo' in the site"):
        store.admin.create_token(["typo"])


def test_secrets_are_hashed_at_rest_and_files_are_private(store: Store, agents: dict[str, Agent]) -> None:  # fmt: skip
    token = store.admin.create_token(["a"])["token"]
    data = store.ready.admin_credential.parent
    assert store.ready.admin_credential.stat().st_mode & 0o777 == 0o600
    for secret in (token, agents["a"].credential, store.admin_credential):
        for file in data.glob("store.db*"):
            assert file.stat().st_mode & 0o777 == 0o600
            assert secret.encode() not in file.read_bytes()


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("PUT", "facts", http.MIB),
        ("PUT", "ledger", 8 * http.MIB),
        ("POST", "reports", 8 * http.MIB),
    ],
)
def test_bodies_are_bounded(
    store: Store, agents: dict[str, Agent], method: str, path: str, limit: int
) -> None:
    url, who = f"/v1/nodes/b/{path}", agents["b"].credential
    frame = {"facts": b'{"values":{"x":"%s"}}', "ledger": b'{"entries":{},"x":"%s"}',
             "reports": b'{"id":"big","node":"b","started":1,"finished":2,"via":"%s"}'}[path]  # fmt: skip
    fits = frame % (b"a" * (limit - len(frame) + 2))
    assert len(fits) == limit
    assert ask(store, method, url, who, data=fits).status_code in (200, 204)
    try:
        assert ask(store, method, url, who, data=b" " + fits).status_code == 413
        # Also when the length is not announced.
        parts = iter([fits, b" ", b" "])
        assert ask(store, method, url, who, data=parts).status_code == 413
    except requests.ConnectionError:
        pass  # the store hung up while we were still sending
    assert ask(store, "PUT", "/v1/nodes/b/facts", who, data=b"{}").status_code == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"values": 3}', b'{"links": [{"port": 1}]}',
     b"[" * 100000, b'{"values":' + b'{"a":' * 5000 + b"1" + b"}" * 5001, b'{"values":{"x":1e999}}',
     b'{"values":{"x":"\\ud800 "}}', b'{"values":{"x":"\\ud800"}}'],
)  # fmt: skip
@pytest.mark.parametrize("path", ["facts", "ledger", "reports"])
def test_what_is_not_what_it_must_be_is_refused(
    store: Store, agents: dict[str, Agent], body: bytes, path: str
) -> None:
    method = "POST" if path == "reports" else "PUT"
    answer = ask(store, method, f"/v1/nodes/b/{path}", agents["b"].credential, data=body)
    if path == "ledger" and body.startswith(b"{") and answer.status_code == 204:
        return  # a ledger is opaque: any JSON object without wrong entries is one
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert "Traceback" not in answer.text


def test_etags(store: Store, agents: dict[str, Agent]) -> None:
    who = agents["b"].credential
    first = ask(store, "GET", "/v1/nodes/b/bundle", who)
    etag = first.headers["ETag"]
    assert etag.startswith('"')
    for known in (etag, f'"x", {etag}', f"W/{etag}", "*"):
        again = ask(store, "GET", "/v1/nodes/b/bundle", who, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
    for known in ('"other"', etag.strip('"'), ""):
        again = ask(store, "GET", "/v1/nodes/b/bundle", who, headers={"If-None-Match": known})
        assert again.content == first.content


def test_unknown_paths_and_methods_answer_in_json(store: Store) -> None:
    for method, path, status in (("GET", "/", 404), ("DELETE", "/v1/nodes", 405), ("GET", "/v1/poke", 405)):  # fmt: skip
        answer = ask(store, method, path, store.admin_credential)
        assert answer.status_code == status
        assert set(answer.json()) == {"error", "hint"}


def test_admin_views(store: Store, agents: dict[str, Agent]) -> None:
    admin = store.admin
    assert admin.healthy()
    assert [node["node"] for node in admin.nodes()] == ["a", "b"]
    assert admin.node("b")["bundle"]["node"]["name"] == "b"
    assert admin.proposals()[0]["proposal"] == "one"
    assert admin.why("b", "there") == {"node": "b", "path": "there"}
    assert admin.links() == []
    agents["b"].converged("w1", time.time(), why_run=True)
    assert admin.runs("b", 1)[0]["why_run"] is True
    assert admin.report("b", "w1")["outcomes"]
    for wrong in ("/v1/runs?limit=0", "/v1/runs?limit=x", "/v1/runs?node=%00"):
        assert ask(store, "GET", wrong, store.admin_credential).status_code == 400
    with pytest.raises(Permanent, match="look again"):
        admin.why("b", "nowhere")
    with pytest.raises(Permanent, match="no node 'c'"):
        admin.node("c")


@pytest.mark.parametrize(
    ("name", "sent", "answered"),
    [
        ("nothing at all", b"", b""),
        ("half a head", b"GET /v1/health HTTP/1.1\r\nHo", b""),
        ("half a body", b"POST /v1/enrol HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", b"408"),
        ("half a second request", b"GET /v1", b'{"ok":true}'),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
    ],
)  # fmt: skip
def test_nobody_holds_a_connection_without_using_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str, sent: bytes, answered: bytes
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(http, "BODY_SECONDS", 0.3)
    host, port = store.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as line:
        got = b""
        if name == "half a second request":
            line.sendall(b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
            while b"true" not in got:
                got += line.recv(65536)
        line.sendall(sent)
        try:
            while part := line.recv(65536):
                got += part
        except ConnectionResetError:
            pass
    assert answered in got
    assert b"Traceback" not in got


def test_who_does_not_read_is_dropped(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STALL_SECONDS", 0.3)
    host, port = store.url.removeprefix("http://").split(":")
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        line.settimeout(20)
        line.connect((host, int(port)))
        request = b"GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"

        def hung_up() -> bool:
            try:
                line.sendall(request)
            except (ConnectionResetError, BrokenPipeError):
                return True
            return False

        eventually(hung_up)
    assert store.admin.healthy()


def test_a_second_store_on_the_same_data_is_refused(store: Store, tmp_path: Path) -> None:
    repo = Repository(tmp_path / "site")
    repo.site(SITE)
    with (
        pytest.raises(Permanent, match="another store runs"),
        running(repo.path, store.ready.admin_credential.parent),
    ):
        pass


def test_a_second_store_on_the_same_database_is_refused(tmp_path: Path) -> None:
    """Each would give the same leases."""
    repo = Repository(tmp_path / "site")
    repo.site(SITE)
    (tmp_path / "link").symlink_to(tmp_path)
    with (
        running(repo.path, tmp_path / "one", db=f"sqlite:///{tmp_path}/x.db"),
        pytest.raises(Permanent, match="another store runs on"),
        running(repo.path, tmp_path / "two", db=f"sqlite:///{tmp_path}/link/x.db"),
    ):
        pass


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"listen": "0.0.0.0:0"}, "there is no TLS"),
        ({"listen": "nonsense"}, "HOST:PORT"),
        ({"listen": "127.0.0.1:99999"}, "HOST:PORT"),
        ({"listen": "192.0.2.1:80", "insecure_http": True}, "cannot listen"),
        ({"db": "postgresql://u:pw@h/x"}, "database 'postgresql' is not supported"),
        ({"db": "sqlite:////nowhere/store.db"}, "cannot be used as the store's database"),
        ({"tls_cert": Path("/nowhere")}, "both"),
        ({"tls_cert": Path("/nowhere"), "tls_key": Path("/nowhere")}, "cannot be used"),
    ],
)
def test_wrong_options_are_said(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    repo = Repository(tmp_path / "site")
    repo.site(SITE)
    with pytest.raises(Permanent, match=said), running(repo.path, tmp_path / "data", **options):
        pass


def test_a_deleted_admin_credential_is_replaced_at_the_next_start(tmp_path: Path) -> None:
    repo = Repository(tmp_path / "site")
    repo.site(SITE)
    with running(repo.path, tmp_path / "data") as one:
        old = one.admin_credential
    with running(repo.path, tmp_path / "data") as two:
        assert two.admin_credential == old
        two.ready.admin_credential.unlink()
    with running(repo.path, tmp_path / "data", db=f"sqlite:///{tmp_path}/other.db") as three:
        assert three.admin_credential != old
        assert ask(three, "GET", "/v1/status", old).status_code == 401
        assert (tmp_path / "other.db").exists()
