"""The HTTP transport against a server that answers, refuses, lies, redirects and hangs up."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rackwright.model.errors import Permanent, RackwrightError, Rejected, Temporary, Unreachable
from rackwright.model.site import Http
from rackwright.provider import Surroundings
from rackwright_providers.transport import http, http_session
from rackwright_providers.transport.http import (
    HttpReader,
    HttpSession,
    open_http,
)
from rackwright_providers.transport.http_errors import HttpRefused, Lost, Unauthorized

from .http_server import Certificate, Device, Reply, Respond, certificate, device

PASSWORD = "hunter2-very-secret"


def around(*, writable: bool = False) -> Surroundings:
    return Surroundings(state=Path("/nonexistent"), writable=writable)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls") / "device.pem")


@contextmanager
def session(
    respond: Respond, *, writable: bool = False, timeout: float = 5.0, **more: Any
) -> Iterator[tuple[HttpReader, Device]]:
    with device(respond) as found:
        options = Http(url=found.url, username="rack", password=PASSWORD, timeout=timeout)
        with closing(open_http(options, around(writable=writable), **more)) as opened:
            yield opened, found


def fails(respond: Respond, *, method: str = "GET") -> RackwrightError:
    with session(respond, writable=True) as (opened, _):
        assert isinstance(opened, HttpSession)
        opened.use_basic()
        with pytest.raises(RackwrightError) as caught:
            opened.get("/x") if method == "GET" else opened.request(method, "/x", json={})
    return caught.value


# Whom it talks to


def test_a_certificate_that_nobody_vouches_for_gets_no_request(tls: Certificate) -> None:
    with device(lambda *_: Reply(), tls) as found:
        for more in ({}, {"fingerprint": "ab" * 32}):
            opened = open_http(Http(url=found.url, password=PASSWORD, **more), around())
            opened.use_basic()
            with pytest.raises(Permanent, match="certificate"):
                opened.get("/x")
    assert found.asked == []


@pytest.mark.parametrize("how", ["ca", "fingerprint", "with colons"])
def test_a_pinned_or_signed_certificate_is_taken(tls: Certificate, how: str) -> None:
    pin = tls.fingerprint.upper()
    given = {
        "ca": {"ca": tls.pem},
        "fingerprint": {"fingerprint": tls.fingerprint},
        "with colons": {"fingerprint": ":".join(pin[at : at + 2] for at in range(0, 64, 2))},
    }[how]
    with device(lambda *_: Reply(body=b'{"a": 1}'), tls) as found:
        options = msgspec.convert({"url": found.url, **given}, Http)
        with closing(open_http(options, around())) as opened:
            assert opened.get("/x").json() == {"a": 1}
            assert opened.via == found.url.replace("://", " ")


def test_a_wrong_pin_is_told_with_the_right_one(tls: Certificate) -> None:
    with device(lambda *_: Reply(), tls) as found:
        opened = open_http(Http(url=found.url, fingerprint="ab" * 32), around())
        with pytest.raises(Permanent, match=tls.fingerprint):
            opened.get("/x")


def test_the_name_in_the_certificate_counts_unless_it_is_pinned(tmp_path: Path) -> None:
    other = certificate(tmp_path / "other.pem", "bmc.example")
    with device(lambda *_: Reply(), other) as found:
        opened = open_http(Http(url=found.url, ca=other.pem), around())
        with pytest.raises(Permanent, match="certificate is not valid"):
            opened.get("/x")
        open_http(Http(url=found.url, fingerprint=other.fingerprint), around()).get("/x")


def test_the_system_authorities_do_not_count_beside_a_ca(
    tls: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = certificate(tmp_path / "other.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.file))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls.file))
    with device(lambda *_: Reply(), tls) as found:
        open_http(Http(url=found.url), around()).get("/x")
        with pytest.raises(Permanent, match="not trusted"):
            open_http(Http(url=found.url, ca=other.pem), around()).get("/x")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://10.0.0.5", "plain HTTP"),
        ("http://bmc.example", "plain HTTP"),
        ("ftp://10.0.0.5", "no URL"),
        ("https://", "no URL"),
        ("https://h:99999", "no URL"),
        ("https://rack:secret@10.0.0.5", "credentials are"),
        ("https://10.0.0.5/bmc", "https://host:port"),
    ],
)
def test_urls_that_cannot_be(url: str, why: str) -> None:
    with pytest.raises(Permanent, match=why) as caught:
        open_http(Http(url=url), around())
    assert "secret" not in str(caught.value)


def test_plain_http_stays_on_this_host() -> None:
    for url in ("http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"):
        open_http(Http(url=url), around()).close()


@pytest.mark.parametrize("text", ["no pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])  # fmt: skip
def test_a_ca_that_is_none(text: str) -> None:
    with pytest.raises(Permanent, match="PEM"):
        open_http(Http(url="https://h", ca=text), around())


def test_a_pin_is_sha256() -> None:
    for pin in ("ab" * 20, "zz" * 32, "ab:" * 32):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"url": "https://h", "fingerprint": pin}, Http)
    with pytest.raises(Permanent, match="SHA-256"):
        open_http(Http(url="https://h", fingerprint="ab" * 16), around())


# What is sent


def test_what_is_not_reading_is_never_sent_by_a_reader() -> None:
    with session(lambda *_: Reply()) as (opened, found):
        assert type(opened) is HttpReader
        assert not hasattr(opened, "request")
        for method in ("POST", "PATCH", "PUT", "DELETE", "HEAD"):
            with pytest.raises(Permanent, match="not reading"):
                opened.ask(method, "/x", json={})
        assert found.asked == []


def test_a_platform_says_what_reading_is() -> None:
    def reads(method: str, path: str) -> bool:
        return (method, path.split("/")[1]) in {("GET", "show"), ("POST", "login")}

    with session(lambda *_: Reply(), reads=reads) as (opened, found):
        opened.get("/show/volumes")
        opened.ask("POST", "/login", json={"a": 1})
        with pytest.raises(Permanent, match="not reading"):
            opened.get("/delete/volume/a")
        assert found.lines() == ["GET /show/volumes", "POST /login"]
        assert found.asked[1][3] == b'{"a": 1}'


@pytest.mark.parametrize(
    "path",
    ["x", "", "@evil/", "/show/../set/x", "/show/%0a\n", "/a b", "/show/.", "/a\\b", "/ü", "/a#b"],
)
def test_paths_that_would_become_others(path: str) -> None:
    with session(lambda *_: Reply(), reads=lambda *_: True) as (opened, found):
        with pytest.raises(Permanent, match="no path on the device"):
            opened.get(path)
        assert found.asked == []


def test_credentials_and_headers() -> None:
    with session(lambda *_: Reply(), writable=True) as (opened, found):
        assert isinstance(opened, HttpSession)
        opened.use_basic()
        opened.get("/x", headers={"Accept": "application/json"})
        opened.headers = {"X-Auth-Token": "t0ken"}
        opened.request("PATCH", "/x", json={"é": 1}, headers={"If-Match": '"1"'})
        opened.request("POST", "/y", data={"a": "b c"})
    first, second, third = (headers for _, _, headers, _ in found.asked)
    assert first["authorization"].startswith("Basic ")
    assert first["accept"] == "application/json"
    assert second["x-auth-token"] == "t0ken"
    assert second["if-match"] == '"1"'
    assert "authorization" not in second
    assert third["content-type"] == "application/x-www-form-urlencoded"
    assert opened.headers == {}
    assert len(found.connections) == 1


def test_the_environment_plays_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with session(lambda *_: Reply()) as (opened, found):
        opened.get("/x")
    assert "authorization" not in found.asked[0][2]


# What comes back


@pytest.mark.parametrize(
    ("status", "kind", "delay"),
    [
        (400, HttpRefused, None),
        (401, Unauthorized, None),
        (403, Permanent, None),
        (404, HttpRefused, None),
        (409, HttpRefused, None),
        (412, Temporary, 5.0),
        (429, Temporary, 17.0),
        (500, Temporary, 5.0),
        (501, HttpRefused, None),
        (503, Temporary, 17.0),
    ],
)
def test_what_a_status_means(status: int, kind: type[RackwrightError], delay: float | None) -> None:
    headers = {"Retry-After": "17"} if delay == 17 else {}
    error = fails(lambda *_: Reply(status, b"<h1>out of</h1> fuel", headers))
    assert isinstance(error, kind), error
    if delay is not None:
        assert isinstance(error, Temporary)
        assert error.delay == delay
    if kind is HttpRefused:
        assert isinstance(error, HttpRefused)
        assert error.status == status
        assert "out of fuel" in str(error)


def test_a_write_that_the_device_fails_at_is_refused() -> None:
    error = fails(lambda *_: Reply(500, b"no such slot"), method="PATCH")
    assert isinstance(error, HttpRefused)
    assert "no such slot" in str(error)


def test_no_secret_in_any_error() -> None:
    def echo(method: str, path: str) -> Reply:
        return Reply(400, f"{PASSWORD} and s3ssion and {found.asked[-1][2]}".encode())

    with session(echo) as (opened, found):
        opened.use_basic()
        opened.hide("s3ssion")
        with pytest.raises(HttpRefused) as caught:
            opened.get("/login/s3ssion")
    said = str(caught.value) + caught.value.output
    sent = found.asked[0][2]["authorization"]
    assert not any(secret in said for secret in (PASSWORD, "s3ssion", sent)), said
    assert "********" in said


def test_a_secret_of_an_answer_is_not_recorded() -> None:
    kept: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = []

    class Recorder:
        def exchange(
            self, transport: str, request: Mapping[str, Any], answer: Mapping[str, Any]
        ) -> None:
            assert transport == "http"
            kept.append((request, answer))

    with session(lambda *_: Reply(body=b'{"key": "abc123"}')) as (opened, _):
        opened._recorder = Recorder()
        opened.ask("GET", "/login", secret=lambda answer: str(answer.json()["key"]))
        opened.get("/abc123/x")
    assert kept == [
        (
            {"method": "GET", "path": "/login"},
            {"status": 200, "headers": {}, "text": '{"key": "********"}'},
        ),
        (
            {"method": "GET", "path": "/********/x"},
            {"status": 200, "headers": {}, "text": '{"key": "********"}'},
        ),
    ]


def test_redirects_stay_on_the_device() -> None:
    where = {"/a": "/b?c=1", "/evil": "https://evil.example/x", "/loop": "/loop"}

    def respond(method: str, path: str) -> Reply:
        target = where.get(path)
        return Reply(308, b"", {"Location": target}) if target else Reply(body=path.encode())

    with session(respond, writable=True) as (opened, found):
        assert isinstance(opened, HttpSession)
        assert opened.get("/a").text == "/b?c=1"
        with pytest.raises(Rejected, match=r"evil\.example"):
            opened.get("/evil")
        with pytest.raises(Rejected, match="redirects"):
            opened.get("/loop")
        asked = len(found.asked)
        with pytest.raises(Rejected, match="redirected"):
            opened.request("POST", "/a", json={})
        assert len(found.asked) == asked + 1


def test_a_redirect_leads_to_nothing_that_does_not_read() -> None:
    def respond(method: str, path: str) -> Reply:
        return Reply(302, b"", {"Location": "/delete/volume"})

    reads = {"reads": lambda method, path: path.startswith("/show")}
    with session(respond, **reads) as (opened, found):
        with pytest.raises(Permanent, match="not reading"):
            opened.get("/show/x")
        assert found.lines() == ["GET /show/x"]


def test_what_is_no_json() -> None:
    with session(lambda *_: Reply(body=b"<html>")) as (opened, _), pytest.raises(Rejected, match="JSON"):  # fmt: skip
        opened.get("/x").json()
    with session(lambda *_: Reply(body=b"[" * 100_000)) as (opened, _), pytest.raises(Rejected):
        opened.get("/x").json()


def test_an_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LARGEST", 1000)
    error = fails(lambda *_: Reply(body=b"x" * 1001))
    assert isinstance(error, Rejected)
    assert "more than 1000 bytes" in str(error)
    monkeypatch.setattr(http, "LONGEST", -1.0)
    assert isinstance(fails(lambda *_: Reply()), Unreachable)


# When it does not come back


def test_an_answer_that_is_cut_is_not_an_answer() -> None:
    for cut in (0, 1, 5):
        error = fails(lambda *_, cut=cut: Reply(body=b"123456", cut=cut))  # type: ignore[misc]
        assert isinstance(error, Unreachable), (cut, error)


def test_nobody_there_and_nobody_answering() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        opened = open_http(Http(url=url), around())
        with pytest.raises(Unreachable, match="refused"):
            opened.get("/x")
        assert not opened.alive()
        probe.listen()
        opened = open_http(Http(url=url, timeout=0.1), around())
        with pytest.raises(Unreachable, match="timed out"):
            opened.get("/x")


def test_what_is_no_http() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        threading.Thread(target=serve, daemon=True).start()
        opened = open_http(Http(url=f"http://127.0.0.1:{server.getsockname()[1]}"), around())
        with pytest.raises(Permanent, match="no HTTP"):
            opened.get("/x")


def test_a_kept_connection_that_was_closed_is_opened_again_to_read() -> None:
    with session(lambda *_: Reply(), writable=True) as (opened, found):
        assert isinstance(opened, HttpSession)
        opened.get("/x")
        found.connections[-1].shutdown(socket.SHUT_RDWR)
        assert opened.alive()
        assert found.lines() == ["GET /x", "GET /"]


def test_a_write_is_sent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    real = http_session.exchange

    def lost(session: Any, via: str, request: http_session.Request, **more: Any) -> Any:
        sent.append(request.method)
        if len(sent) in (2, 4):
            raise Lost("cut")
        return real(session, via, request, **more)

    monkeypatch.setattr(http_session, "exchange", lost)
    with session(lambda *_: Reply(), writable=True) as (opened, _):
        assert isinstance(opened, HttpSession)
        opened.get("/x")
        opened.get("/x")  # once more, after the cut
        with pytest.raises(Unreachable):
            opened.request("POST", "/x")
    assert sent == ["GET", "GET", "GET", "POST"]


def test_a_session_that_the_device_ended_is_not_alive() -> None:
    with session(lambda *_: Reply(401)) as (opened, _):
        assert not opened.alive()


def test_told_to_stop() -> None:
    with session(lambda *_: Reply()) as (opened, found):
        opened.stop.set()
        with pytest.raises(Temporary, match="stop"):
            opened.get("/x")
        assert found.asked == []


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [("", 5, 5), ("0", 1, 1), ("99999", 3600, 3600), ("soon", 5, 5), ("Thu, 01 Jan 1970 00:00:00 GMT", 1, 1)],
)  # fmt: skip
def test_retry_after(text: str, least: float, most: float) -> None:
    assert least <= http._retry_after(text) <= most
