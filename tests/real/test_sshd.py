"""The SSH transport against OpenSSH's own server."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from rackwright.model.errors import Permanent, RackwrightError, Temporary, Unreachable
from rackwright.model.site import Ssh
from rackwright.provider import Surroundings
from rackwright_providers.transport import ssh, ssh_connection
from rackwright_providers.transport.ssh_connection import Completed, SshConnection
from rackwright_providers.transport.stream import Stream
from tests.real import parts

pytestmark = [
    pytest.mark.apt,
    pytest.mark.skipif(
        bool(parts.missing("sshd", "ssh-keygen", "setpriv")),
        reason=parts.missing("sshd", "ssh-keygen", "setpriv"),
    ),
]


@pytest.fixture
def door(tmp_path: Path, free_port: int) -> Iterator[parts.Sshd]:
    with parts.sshd(tmp_path / "sshd", port=free_port, lines=["MaxSessions 2"]) as running:
        yield running


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    return Surroundings(state=tmp_path / "state")


@contextlib.contextmanager
def opened(door: parts.Sshd, around: Surroundings, **changes: object) -> Iterator[SshConnection]:
    made = ssh.open_ssh(Ssh(**door.options(**changes)), around)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.close()


def refused(door: parts.Sshd, around: Surroundings, **changes: object) -> RackwrightError:
    with pytest.raises(RackwrightError) as caught, opened(door, around, **changes):
        pass
    return caught.value


def session_processes(door: parts.Sshd) -> list[psutil.Process]:
    """The processes that serve connections."""
    return psutil.Process(door.process.pid).children()


def test_commands(door: parts.Sshd, around: Surroundings) -> None:
    with opened(door, around) as made:
        assert made.via == f"ssh 127.0.0.1:{door.port}"
        assert made.run(["printf", "%s|", "a b", "$HOME", "it's"]).stdout == b"a b|$HOME|it's|"
        assert made.run(["sh", "-c", "echo no >&2; exit 7"]) == Completed(7, b"", b"no\n")
        assert made.run(["cat"], stdin=b"\x00\xff\n").stdout == b"\x00\xff\n"
        assert made.run(["sh", "-c", "kill -KILL $$"]).status == 137
        ten_megabytes = made.run(["head", "-c", "10485760", "/dev/zero"]).stdout
        assert ten_megabytes == bytes(10 << 20)
        assert made.alive()


def test_trust_on_first_use_then_a_changed_key(
    door: parts.Sshd, around: Surroundings, tmp_path: Path
) -> None:
    with opened(door, around, host_key=""):
        pass
    kept = (around.state / "known_hosts").read_text()
    assert kept == f"[127.0.0.1]:{door.port} {door.host_key}\n"
    found = parts.command(
        ["ssh-keygen", "-F", f"[127.0.0.1]:{door.port}", "-f", str(around.state / "known_hosts")]
    )
    assert door.host_key in found  # OpenSSH's own tools read it
    other, public = parts.ssh_key(tmp_path / "other", "ecdsa")
    (around.state / "known_hosts").write_text(f"[127.0.0.1]:{door.port} {public}\n")
    error = refused(door, around, host_key="")
    assert isinstance(error, Permanent)
    shown = parts.command(["ssh-keygen", "-lf", str(tmp_path / "other.pub")]).split()[1]
    real = parts.command(["ssh-keygen", "-lf", str(tmp_path / "sshd/host_key.pub")]).split()[1]
    assert shown in str(error)
    assert real in str(error)
    assert other not in str(error)


def test_wrong_credentials(door: parts.Sshd, around: Surroundings, tmp_path: Path) -> None:
    key, _ = parts.ssh_key(tmp_path / "stranger")
    error = refused(door, around, key=key)
    assert isinstance(error, Permanent)
    assert "refuses key" in str(error)
    error = refused(door, around, key="", password="wrong-staple")
    assert isinstance(error, Permanent)
    assert "refuses password" in str(error)
    assert "wrong-staple" not in str(error)


def test_no_session_free(door: parts.Sshd, around: Surroundings) -> None:
    with opened(door, around) as made:
        first, second = made.shell(), made.shell()
        with pytest.raises(Temporary) as caught:
            made.run(["true"])
        assert not isinstance(caught.value, Unreachable)
        first.close()
        parts.until(lambda: _runs(made), what="a session is free again")
        assert second.alive()


def _runs(made: SshConnection) -> bool:
    try:
        return made.run(["true"]).status == 0
    except Temporary:
        return False


def test_a_server_killed_in_the_middle_of_a_command(
    door: parts.Sshd, around: Surroundings, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    with opened(door, around) as made, ThreadPoolExecutor(1) as other:
        running = other.submit(made.run, ["sh", "-c", f"echo half; touch {started}; sleep 60"])
        parts.until(started.exists)
        (serving,) = session_processes(door)
        for process in [serving, *serving.children(recursive=True)]:
            process.kill()
        with pytest.raises(Unreachable):
            running.result(10)
        assert not made.alive()


def test_a_server_killed_in_the_middle_of_a_shell(door: parts.Sshd, around: Surroundings) -> None:
    with opened(door, around) as made:
        stream = made.shell()
        stream.write(b"echo $((6*7))\n")
        seen = b""
        while b"42" not in seen:
            seen += stream.read(10)
        (serving,) = session_processes(door)
        serving.send_signal(signal.SIGKILL)
        with pytest.raises(Unreachable):
            _drain(stream)
        assert not stream.alive()


def _drain(stream: Stream) -> None:
    while True:
        stream.read(10)


def test_a_frozen_server_is_not_alive(
    door: parts.Sshd, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_connection, "ALIVE_TIMEOUT", 0.5)
    with opened(door, around) as made:
        assert made.alive()
        frozen = [
            process
            for serving in session_processes(door)
            for process in (serving, *serving.children(recursive=True))
        ]
        for process in frozen:
            process.suspend()
        try:
            assert not made.alive()
            with pytest.raises(Unreachable, match="no answer within"):
                made.run(["true"], timeout=0.3)
        finally:
            for process in frozen:
                process.resume()


def test_a_terminal_has_the_size_that_was_asked_for(door: parts.Sshd, around: Surroundings) -> None:
    with opened(door, around) as made:
        stream = made.shell(width=200, height=50)
        stream.write(b"stty size; exit\n")
        seen = b""
        with contextlib.suppress(Unreachable):
            end = time.monotonic() + 20
            while time.monotonic() < end:
                seen += stream.read(1)
        assert b"50 200" in seen


def test_the_environment_of_the_server(
    tmp_path: Path, free_port: int, around: Surroundings
) -> None:
    env = {"OVS_RUNDIR": str(tmp_path / "with space")}
    with (
        parts.sshd(tmp_path / "sshd", port=free_port, env=env) as door,
        opened(door, around) as made,
    ):
        assert made.run(["printenv", "OVS_RUNDIR"]).stdout.decode() == f"{env['OVS_RUNDIR']}\n"


def test_no_descriptor_is_left_behind(door: parts.Sshd, around: Surroundings) -> None:
    def once() -> None:
        with opened(door, around) as made:
            made.run(["true"])
            made.shell()
        refused(door, around, host_key="", key="", password="x")

    once()  # what is opened for good, is opened now
    before = _descriptors()
    for _ in range(5):
        once()
    parts.until(lambda: _descriptors() <= before)


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
