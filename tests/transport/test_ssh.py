"""SSH against a server whose every answer is chosen."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from rackwright.model.errors import Permanent, RackwrightError, Temporary, Unreachable
from rackwright.model.site import Ssh
from rackwright.provider import Surroundings
from rackwright_providers.transport import loop, ssh, ssh_client, ssh_connection
from rackwright_providers.transport.ssh_connection import Completed, SshConnection
from tests.transport.ssh_server import PASSWORD, Behaviour, line_to, ssh_server, tcp_server
from tests.waiting import until

WRONG = "wrong-battery-staple"


def text_of(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key().decode().split()[:2])


def options(server: Behaviour | int, **changes: Any) -> Ssh:
    port = server if isinstance(server, int) else server.port
    return Ssh(**{"host": "127.0.0.1", "port": port, "username": "rack", "password": PASSWORD, **changes})  # fmt: skip


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    return Surroundings(state=tmp_path / "state")


@pytest.fixture
def server() -> Iterator[Behaviour]:
    with ssh_server() as behaviour:
        yield behaviour


@pytest.fixture
def connection(server: Behaviour, around: Surroundings) -> Iterator[SshConnection]:
    made = ssh.open_ssh(options(server), around)
    yield made
    made.close()


def refused(wanted: Ssh, around: Surroundings, **more: Any) -> RackwrightError:
    with pytest.raises(RackwrightError) as caught:
        ssh.open_ssh(wanted, around, **more)
    message = str(caught.value)
    assert message.startswith(f"ssh 127.0.0.1:{wanted.port}: ")
    for secret in (wanted.password, wanted.key, wanted.enable):
        assert not secret or secret not in message
    return caught.value


# Host keys


def test_a_pinned_key_is_accepted_in_silence(
    server: Behaviour, around: Surroundings, caplog: pytest.LogCaptureFixture
) -> None:
    ssh.open_ssh(options(server, host_key=text_of(server.host_key)), around).close()
    assert caplog.records == []
    assert not around.state.exists()


def test_another_key_than_the_pinned_one_is_refused(
    server: Behaviour, around: Surroundings
) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    error = refused(options(server, host_key=text_of(other)), around)
    assert isinstance(error, Permanent)
    assert other.get_fingerprint() in str(error)
    assert server.host_key.get_fingerprint() in str(error)
    assert f"write host_key: {text_of(server.host_key)}" in str(error)
    assert server.tried == []  # no password went out


def test_the_first_key_is_trusted_loudly_and_kept(
    server: Behaviour, around: Surroundings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    ssh.open_ssh(options(server), around).close()
    assert server.host_key.get_fingerprint() in caplog.text
    kept = around.state / "known_hosts"
    assert kept.read_text() == f"[127.0.0.1]:{server.port} {text_of(server.host_key)}\n"
    assert kept.stat().st_mode & 0o777 == 0o600
    caplog.clear()
    ssh.open_ssh(options(server), around).close()
    assert caplog.records == []


def test_a_changed_key_is_refused_and_how_to_accept_it_is_said(around: Surroundings) -> None:
    with ssh_server() as first:
        ssh.open_ssh(options(first), around).close()
    with ssh_server(Behaviour(port=first.port)) as second:
        error = refused(options(second), around)
        assert isinstance(error, Permanent)
        for key in (first.host_key, second.host_key):
            assert key.get_fingerprint() in str(error)
        kept = around.state / "known_hosts"
        assert f"remove the line of [127.0.0.1]:{first.port} from {kept}" in str(error)
        assert second.tried == []
        kept.unlink()
        ssh.open_ssh(options(second), around).close()


def test_the_key_is_kept_even_if_the_login_fails(server: Behaviour, around: Surroundings) -> None:
    refused(options(server, password=WRONG), around)
    assert text_of(server.host_key) in (around.state / "known_hosts").read_text()


def test_a_second_key_type_does_not_look_like_another_device(around: Surroundings) -> None:
    rsa = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    both = {"server_host_keys": [asyncssh.generate_private_key("ssh-ed25519"), rsa]}

    async def start() -> Any:
        return await asyncssh.create_server(asyncssh.SSHServer, "127.0.0.1", 0, **both)

    listener = loop.call(start(), 10)
    try:
        wanted = options(listener.get_port(), host_key=text_of(rsa), password="")
        error = refused(wanted, around)  # this server lets nobody in; it is the key that counts
        assert "refuses login without password or key" in str(error)
    finally:
        loop.running().call_soon_threadsafe(listener.close)


def test_trust_that_cannot_be_read_is_not_replaced(server: Behaviour, around: Surroundings) -> None:
    kept = around.state / "known_hosts"
    kept.mkdir(parents=True)
    with pytest.raises(Permanent, match="cannot read the trusted host keys"):
        ssh.open_ssh(options(server), around)
    assert server.connections == []


def test_trust_that_cannot_be_kept_is_no_trust(
    server: Behaviour, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **kwargs: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Permanent, match="No space left on device; pin it with host_key"):
        ssh.open_ssh(options(server), around)
    until(lambda: all(connection.is_closed() for connection in server.connections))
    assert not (around.state / "known_hosts").exists()


def test_a_damaged_line_is_not_trusted(server: Behaviour, around: Surroundings) -> None:
    around.state.mkdir()
    (around.state / "known_hosts").write_text(f"[127.0.0.1]:{server.port} ssh-ed25519 AAAA\n")
    error = refused(options(server), around)
    assert "not an OpenSSH public key" in str(error)
    assert str(around.state / "known_hosts") in str(error)
    assert server.tried == []


@pytest.mark.parametrize("host_key", ["nonsense", "ssh-ed25519 AAAA", "ssh-ed25519"])
def test_a_host_key_that_is_none_is_said(
    server: Behaviour, around: Surroundings, host_key: str
) -> None:
    error = refused(options(server, host_key=host_key), around)
    assert "host_key is not an OpenSSH public key" in str(error)


# Logging in


@pytest.mark.parametrize("methods", [("password",), ("keyboard",), ("password", "keyboard")])
def test_password(methods: tuple[str, ...], around: Surroundings) -> None:
    with ssh_server(Behaviour(methods=methods)) as server:
        made = ssh.open_ssh(options(server), around)
        assert made.run(["true"]).status == 0
        made.close()
        error = refused(options(server, password=WRONG), around)
        assert isinstance(error, Permanent)
        assert "refuses password of user 'rack'" in str(error)
        assert len(server.tried) <= 1 + len(methods)  # each way once: no lock-out by retries


def test_key(around: Surroundings) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    other = asyncssh.generate_private_key("ssh-ed25519")
    with ssh_server(Behaviour(methods=("key",), accepts=text_of(key))) as server:
        text = key.export_private_key().decode()
        ssh.open_ssh(options(server, key=text, password=""), around).close()
        wrong = other.export_private_key().decode()
        error = refused(options(server, key=wrong, password=""), around)
        assert isinstance(error, Permanent)
        assert "refuses key" in str(error)


@pytest.mark.parametrize(
    "key",
    [
        "not a key",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n",
        asyncssh.generate_private_key("ssh-ed25519")
        .export_private_key("pkcs8-pem", passphrase="x")
        .decode(),
    ],
    ids=["text", "truncated", "passphrase"],
)
def test_a_key_that_cannot_be_read(server: Behaviour, around: Surroundings, key: str) -> None:
    error = refused(options(server, key=key), around)
    assert "not a private key that can be read without a passphrase" in str(error)


def test_nothing_of_the_users_own_is_used(
    around: Surroundings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    home = tmp_path / "home/.ssh"
    home.mkdir(parents=True)
    key.write_private_key(home / "id_ed25519")
    (home / "config").write_text("Host *\n  Port 1\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    with ssh_server(Behaviour(methods=("key",), accepts=text_of(key))) as server:
        (home / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {text_of(key)}\n")
        error = refused(options(server, password=""), around)
        assert "refuses login without password or key" in str(error)
        assert server.tried == []


@pytest.mark.filterwarnings("ignore:Diffie-Hellman over finite fields")
def test_old_algorithms_only_when_the_node_asks_for_them(around: Surroundings) -> None:
    old = Behaviour(
        host_key=asyncssh.generate_private_key("ssh-rsa", key_size=2048),
        algorithms={
            "kex_algs": ["diffie-hellman-group14-sha1"],
            "encryption_algs": ["aes128-cbc"],
            "mac_algs": ["hmac-sha1"],
            "signature_algs": ["ssh-rsa"],
        },
    )
    with ssh_server(old) as server:
        error = refused(options(server), around)
        assert isinstance(error, Permanent)
        assert "legacy: true" in str(error)
        made = ssh.open_ssh(options(server, legacy=True), around)
        assert made.run(["show"]).stdout == b"show"
        made.close()


# Ends that are no SSH server, or none that listens


def test_refused(around: Surroundings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = refused(options(port), around)
    assert isinstance(error, Unreachable)
    assert "connection refused" in str(error)


def test_a_name_that_nobody_knows(around: Surroundings) -> None:
    with pytest.raises(Unreachable, match="its name is not known"):
        ssh.open_ssh(Ssh(host="no-such-host.invalid", username="rack"), around)


def test_a_server_that_says_nothing(around: Surroundings) -> None:
    closed = threading.Event()

    def silent(end: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while end.recv(1024):
                pass
        closed.set()

    with tcp_server(silent) as port:
        error = refused(options(port), around, timeout=0.3)
        assert isinstance(error, Unreachable)
        assert closed.wait(5), "our end of the connection was left open"


def test_a_server_that_closes_at_once(around: Surroundings) -> None:
    with tcp_server(lambda end: end.close()) as port:
        error = refused(options(port), around)
        assert isinstance(error, Temporary)
        assert not isinstance(error, Permanent)


def test_what_is_not_ssh(around: Surroundings) -> None:
    def http(end: socket.socket) -> None:
        end.recv(1024)
        end.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        end.close()

    with tcp_server(http) as port:
        assert isinstance(refused(options(port), around), (Temporary, Permanent))


def test_a_server_that_dies_in_the_middle_of_the_handshake(around: Surroundings) -> None:
    def half(end: socket.socket) -> None:
        end.sendall(b"SSH-2.0-Cisco-1.25\r\n")
        end.recv(1024)
        end.close()

    with tcp_server(half) as port:
        assert isinstance(refused(options(port), around), Unreachable)


# Commands


@pytest.mark.parametrize(
    "argv",
    [
        ["plain"],
        ["two words", "a'b", 'c"d', "$HOME", "`id`", "new\nline", "", "日本", "*", "a;b"],
    ],
)
def test_arguments_arrive_as_they_are(connection: SshConnection, argv: list[str]) -> None:
    assert shlex.split(connection.run(argv).stdout.decode()) == argv


def test_status_output_and_input() -> None:
    async def handler(process: Any) -> None:
        data = await process.stdin.read()
        process.stdout.write(data.upper())
        process.stderr.write(b"\xff no text")
        process.exit(7)

    with ssh_server(Behaviour(handler=handler)) as server, opened(server) as made:
        done = made.run(["x"], stdin=b"input")
        assert done == Completed(7, b"INPUT", b"\xff no text")


def test_death_by_a_signal() -> None:
    async def handler(process: Any) -> None:
        process.exit_with_signal("KILL")

    with ssh_server(Behaviour(handler=handler)) as server, opened(server) as made:
        assert made.run(["x"]).status == 137


def test_ten_megabytes() -> None:
    block = os.urandom(64 * 1024)

    async def handler(process: Any) -> None:
        for _ in range(160):
            process.stdout.write(block)
            await process.stdout.drain()
        process.exit(0)

    with ssh_server(Behaviour(handler=handler)) as server, opened(server) as made:
        assert made.run(["x"]).stdout == block * 160


def test_endless_output_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_client, "EXEC_OUTPUT", 1 << 20)

    async def handler(process: Any) -> None:
        with contextlib.suppress(asyncssh.Error, OSError):
            while True:
                process.stdout.write(b"x" * 65536)
                await process.stdout.drain()

    with ssh_server(Behaviour(handler=handler)) as server, opened(server) as made:
        with pytest.raises(Permanent, match="more than 1 MiB"):
            made.run(["x"])
        assert made.alive()


def test_a_command_that_takes_too_long_is_told_to_end() -> None:
    ended = threading.Event()

    async def handler(process: Any) -> None:
        if process.command == "quick":
            process.exit(0)
            return
        await process.wait_closed()
        ended.set()

    with ssh_server(Behaviour(handler=handler)) as server, opened(server) as made:
        with pytest.raises(Unreachable, match=r"slow: no answer within 0.2 s"):
            made.run(["slow", PASSWORD], timeout=0.2)
        assert ended.wait(5)
        assert made.run(["quick"]).status == 0


def test_a_drop_in_the_middle_of_a_command() -> None:
    async def handler(process: Any) -> None:
        process.stdout.write(b"half")
        await asyncio.sleep(0)
        process.get_extra_info("connection").abort()

    with ssh_server(Behaviour(handler=handler)) as server, opened(server) as made:
        with pytest.raises(Unreachable) as caught:
            made.run(["x", PASSWORD])
        assert PASSWORD not in str(caught.value)
        assert not made.alive()
        with pytest.raises(Unreachable):
            made.run(["again"])


def test_no_session_free() -> None:
    with ssh_server(Behaviour(sessions=1)) as server, opened(server) as made:
        made.shell()
        with pytest.raises(Temporary, match="no more sessions") as caught:
            made.run(["x"])
        assert not isinstance(caught.value, Unreachable)


# Shells


def read_until(stream: Any, text: bytes) -> bytes:
    found = b""
    while text not in found:
        data = stream.read(5)
        assert data, f"only {found!r} came"
        found += data
    return found


def test_a_shell(connection: SshConnection) -> None:
    stream = connection.shell()
    assert stream.via == connection.via
    read_until(stream, b"sw1>")
    stream.write("größe\n".encode())
    assert read_until(stream, b"sw1>") == "said größe\nsw1>".encode()
    assert stream.read(0.05) == b""
    assert stream.alive()
    stream.close()
    until(lambda: not stream.alive())
    assert connection.alive()


def test_a_reader_wakes_when_the_device_hangs_up(
    server: Behaviour, connection: SshConnection
) -> None:
    stream = connection.shell()
    read_until(stream, b"sw1>")
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(stream.read, 60)
        loop.running().call_soon_threadsafe(server.connections[0].abort)
        with pytest.raises(Unreachable, match="has closed the session"):
            waiting.result(10)
    with pytest.raises(Unreachable):
        stream.write(b"x")
    assert not stream.alive()


def test_a_babbling_device_does_not_fill_our_memory() -> None:
    total = 8 << 20

    async def handler(process: Any) -> None:
        process.stdout.write(b"x" * total)
        await process.wait_closed()

    with ssh_server(Behaviour(handler=handler)) as server, opened(server) as made:
        stream = made.shell(80, 24, whole=False)
        until(lambda: stream._session._paused)
        assert len(stream._session.buffer) <= ssh_client.SHELL_BUFFER + ssh_client.WINDOW
        came = 0
        while came < total:
            came += len(stream.read(5))
        assert came == total


def test_a_shell_opened_alone_takes_its_connection_along(
    server: Behaviour, around: Surroundings
) -> None:
    stream = ssh.open_shell(options(server), around, width=132, height=50)
    read_until(stream, b"sw1>")
    stream.close()
    stream.close()
    until(lambda: server.connections[0].is_closed())


# Liveness


def test_alive_does_not_lie(monkeypatch: pytest.MonkeyPatch, around: Surroundings) -> None:
    monkeypatch.setattr(ssh_connection, "ALIVE_TIMEOUT", 0.3)
    with ssh_server() as server, line_to(server.port) as (port, cut):
        made = ssh.open_ssh(options(port), around)
        stream = made.shell()
        assert made.alive()
        assert stream.alive()
        cut.set()  # nothing is closed: only the answers stay away
        assert not made.alive()
        assert not stream.alive()
        made.close()


def test_close_never_raises(server: Behaviour, connection: SshConnection) -> None:
    loop.running().call_soon_threadsafe(server.connections[0].abort)
    until(lambda: not connection.alive())
    connection.close()
    connection.close()


def test_many_threads_connect_at_once(server: Behaviour, tmp_path: Path) -> None:
    def one(number: int) -> bytes:
        around = Surroundings(state=tmp_path / str(number))
        made = ssh.open_ssh(options(server), around)
        try:
            return made.run(["echo", str(number)]).stdout
        finally:
            made.close()

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(one, range(48))) == [f"echo {n}".encode() for n in range(48)]


@contextlib.contextmanager
def opened(server: Behaviour) -> Iterator[SshConnection]:
    wanted = options(server, host_key=text_of(server.host_key))
    made = ssh.open_ssh(wanted, Surroundings(state=Path("/nonexistent")))
    try:
        yield made
    finally:
        made.close()
