"""The agent's side: errors mapped, nothing of the environment let in, TLS."""

from __future__ import annotations

import datetime
import ipaddress
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rackwright.client import AdminClient, StoreClient, Watch
from rackwright.model.errors import NotAsked, Permanent, Unknown
from rackwright.model.facts import Facts
from rackwright.model.report import Report
from rackwright.store_http import NotAllowed, NotThere, Unfit, WatchRefused

from .rack import Repository, running, start


class Answers(BaseHTTPRequestHandler):
    """Answers what the test says, and notes what it was asked."""

    protocol_version = "HTTP/1.1"
    status, body, headers_out = 200, b"{}", {}  # type: ignore[var-annotated]
    seen: list[dict[str, str]] = []  # noqa: RUF012
    hang_up = 0

    def answer(self) -> None:
        cls = type(self)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        cls.seen.append({"path": self.path, **dict(self.headers)})
        if cls.hang_up:
            cls.hang_up -= 1
            self.close_connection = True
            return
        self.send_response(cls.status)
        for name, value in cls.headers_out.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(cls.body)))
        self.end_headers()
        self.wfile.write(cls.body)

    do_GET = do_PUT = do_POST = answer

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def peer() -> Iterator[Any]:
    handler = type("Handler", (Answers,), {"seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        handler.url = f"http://127.0.0.1:{server.server_address[1]}"  # type: ignore[attr-defined]
        yield handler
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def conforming() -> None:
    """The peer of these tests is no store, and need not answer as one."""


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (400, b'{"error": "no", "hint": "mend it"}', Unfit, r"no \(mend it\)"),
        (401, b'{"error": "who?", "hint": "enrol"}', NotAllowed, r"who\? \(enrol\)"),
        (403, b'{"error": "not yours", "hint": ""}', NotAllowed, "not yours"),
        (404, b"<html>nginx</html>", NotAllowed, "answered 404"),
        (404, b'{"error": "no such node", "hint": ""}', NotThere, "no such node"),
        (413, b'{"error": "too long", "hint": ""}', Unfit, "too long"),
        (413, b"<html>nginx</html>", Unfit, "answered 413"),
        (400, b"<html>nginx</html>", Permanent, "answered 400"),
        (429, b"", NotAsked, "answered 429"),
        (500, b'{"error": "internal error", "hint": ""}', NotAsked, "internal error"),
        (502, b"<html>", NotAsked, "answered 502"),
        (503, b'{"error": "not yet", "hint": ""}', NotAsked, "not yet"),
        (301, b"", Permanent, "not a store"),
        (200, b"<html>hello</html>", NotAsked, "not a bundle"),
        (200, b'{"node": 3}', NotAsked, "not a bundle"),
        (200, b"\xff\xfe", NotAsked, "not a bundle"),
    ],
)
def test_answers_become_errors(peer: Any, status: int, body: bytes, error: Any, said: str) -> None:
    peer.status, peer.body, peer.headers_out = status, body, {"Location": "http://127.0.0.1:1/"}
    with pytest.raises(error, match=said) as caught:
        StoreClient(peer.url).bundle("n", "credential")
    assert type(caught.value) is error
    assert len(peer.seen) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_admin_credential_is_wrong_input(peer: Any, status: int) -> None:
    peer.status, peer.body = status, b'{"error": "no", "hint": "look there"}'
    admin = AdminClient(peer.url, "credential")
    for call in (admin.status, admin.links, lambda: admin.retire("n"), lambda: admin.drain("n", "me", drain=True), lambda: admin.create_token(["n"])):  # fmt: skip
        with pytest.raises(Unknown, match=r"no \(look there\)"):
            call()
    peer.status, peer.body = 404, b'{"error": "no such node", "hint": ""}'
    with pytest.raises(NotThere):
        admin.node("n")


def test_nobody_there() -> None:
    client = StoreClient("http://127.0.0.1:1")
    for call in (
        lambda: client.bundle("n", "c"),
        lambda: client.put_facts("n", "c", Facts()),
        lambda: client.enrol("t", "n"),
        lambda: client.wait([Watch("n", "c")], 1),
    ):
        with pytest.raises(NotAsked, match="Connection refused"):
            call()
    assert not AdminClient("http://127.0.0.1:1", "c").healthy()


def test_a_store_that_does_not_answer_in_time(peer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    from rackwright import store_http as module

    monkeypatch.setattr(module, "READ_SECONDS", 0.2)
    monkeypatch.setattr(module.StoreHttp.send, "__kwdefaults__", {**module.StoreHttp.send.__kwdefaults__, "read": 0.2})  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as mute:
        client = StoreClient(f"http://127.0.0.1:{mute.getsockname()[1]}")
        with pytest.raises(NotAsked, match=r"^http://127.0.0.1:\d+: no answer within 0.2 s$"):
            client.bundle("n", "c")


def test_a_kept_connection_that_was_closed_is_tried_once_more(peer: Any) -> None:
    client = StoreClient(peer.url)
    peer.hang_up, peer.body = 1, b'{"etag": "e"}'
    assert client.put_facts("n", "c", Facts()) == "e"
    peer.hang_up = 2
    with pytest.raises(NotAsked):
        client.put_facts("n", "c", Facts())
    peer.hang_up, peer.seen[:] = 1, []
    with pytest.raises(NotAsked):
        client.enrol("token", "n")
    assert len(peer.seen) == 1


def test_the_environment_changes_nothing(
    peer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login bob password stolen\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    peer.body = b'{"changed": []}'
    client = StoreClient(peer.url)
    client.wait([])
    client.post_report("n", "mine", Report(id="1", node="n", started=1, finished=2))
    assert "Authorization" not in peer.seen[0]
    assert peer.seen[1]["Authorization"] == "Bearer mine"


def test_redirects_do_not_carry_credentials_away(peer: Any) -> None:
    peer.status, peer.headers_out = 307, {"Location": f"{peer.url}/elsewhere"}
    with pytest.raises(Permanent):
        StoreClient(peer.url).bundle("n", "credential")
    assert [seen["path"] for seen in peer.seen] == ["/v1/nodes/n/bundle"]


def test_refused_nodes_of_a_poll_are_named(peer: Any) -> None:
    peer.status, peer.body = 403, json.dumps({"error": "no", "hint": "", "nodes": ["a"]}).encode()
    with pytest.raises(WatchRefused) as caught:
        StoreClient(peer.url).wait([Watch("a", "c")])
    assert caught.value.nodes == {"a"}


@pytest.mark.parametrize(
    "url", ["", "store:8417", "ftp://store", "http://", "https://u:p@store", "http://store/?x=1"]
)
def test_what_is_no_store_url_is_said(url: str) -> None:
    with pytest.raises(Permanent):
        StoreClient(url)


def test_importing_the_client_does_not_import_requests() -> None:
    code = "import sys, rackwright.client; sys.exit('requests' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def authority(directory: Path, names: list[str]) -> tuple[Path, Path, Path]:
    """CA, certificate and key files of a self-made authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    directory.mkdir()
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def certificate(subject: str, public: Any, is_ca: bool) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
        sans = [
            x509.IPAddress(ipaddress.ip_address(n)) if n[0].isdigit() else x509.DNSName(n)
            for n in names
        ]
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(sans), critical=False)
            .sign(ca_key, hashes.SHA256())
        )

    files = directory / "ca.pem", directory / "cert.pem", directory / "key.pem"
    pem = serialization.Encoding.PEM
    files[0].write_bytes(certificate("test authority", ca_key.public_key(), True).public_bytes(pem))
    files[1].write_bytes(certificate("store", key.public_key(), False).public_bytes(pem))
    files[2].write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca, cert, key = authority(tmp_path / "ca", ["127.0.0.1"])
    other, _, _ = authority(tmp_path / "other", ["elsewhere.example"])
    repo = Repository(tmp_path / "site")
    repo.site({"n": {}})
    # With TLS it may be reached from anywhere.
    store = start(repo.path, tmp_path / "data", listen="0.0.0.0:0", tls_cert=cert, tls_key=key)
    try:
        url = store.url.replace("0.0.0.0", "127.0.0.1")
        assert url.startswith("https://")
        admin = AdminClient(url, store.admin_credential, ca=str(ca))
        token = admin.create_token(["n"])["token"]
        client = StoreClient(url, ca=str(ca))
        credential = client.enrol(token, "n")
        assert client.bundle("n", credential)
        for untrusting in (StoreClient(url), StoreClient(url, ca=str(other))):
            with pytest.raises(Permanent, match="TLS failed"):
                untrusting.bundle("n", credential)
        with pytest.raises(Permanent, match="TLS failed"):  # a name that it does not have
            StoreClient(url.replace("127.0.0.1", "localhost"), ca=str(ca)).bundle("n", credential)
        with pytest.raises(Permanent, match="nowhere"):
            StoreClient(url, ca="/nowhere.pem").bundle("n", credential)
        # The environment neither adds an authority to the one that was named nor replaces it.
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
        monkeypatch.setenv("CURL_CA_BUNDLE", str(other))
        assert StoreClient(url, ca=str(ca)).bundle("n", credential)
        with pytest.raises(NotAsked):
            StoreClient(url.replace("https", "http")).bundle("n", credential)
        admin.close()
        client.close()
    finally:
        store.end()
    with running(repo.path, tmp_path / "plain") as plain, pytest.raises(NotAsked):
        StoreClient(plain.url.replace("http", "https"), ca=str(ca)).bundle("n", credential)
