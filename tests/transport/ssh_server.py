"""An SSH server in this process whose every answer a test can choose, and TCP ends that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from rackwright_providers.transport import loop

PASSWORD = "correct-horse-Ü"


@dataclass
class Behaviour:
    """What the server does, and what it saw."""

    host_key: asyncssh.SSHKey = field(
        default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519")
    )
    methods: tuple[str, ...] = ("password",)
    """Of password, keyboard, key."""
    accepts: str = ""
    """Public key that may log in."""
    sessions: int = 100
    """Channels that a connection may have."""
    handler: Callable[[Any], Any] | None = None
    """Coroutine function of one session; see asyncssh's process_factory."""
    algorithms: dict[str, Any] = field(default_factory=dict)
    tried: list[str] = field(default_factory=list)
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    port: int = 0


class _Server(asyncssh.SSHServer):
    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.open = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.behaviour.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        return bool(self.behaviour.methods)

    def password_auth_supported(self) -> bool:
        return "password" in self.behaviour.methods

    def validate_password(self, username: str, password: str) -> bool:
        self.behaviour.tried.append("password")
        return password == PASSWORD

    def kbdint_auth_supported(self) -> bool:
        return "keyboard" in self.behaviour.methods

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        self.behaviour.tried.append("keyboard")
        return "Rack", "", "en", [("Kennwort: ", False)]

    def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        return list(responses) == [PASSWORD]

    def public_key_auth_supported(self) -> bool:
        return "key" in self.behaviour.methods

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self.behaviour.tried.append("key")
        return key.export_public_key().decode().split()[1] in self.behaviour.accepts

    def session_requested(self) -> Any:
        if self.open >= self.behaviour.sessions:
            raise asyncssh.ChannelOpenError(4, "no more sessions")  # resource shortage
        self.open += 1
        return asyncssh.SSHServerProcess(self.behaviour.handler or _prompt, None, 3, True)


async def _prompt(process: Any) -> None:
    """Without a command: prompts and repeats. With one: prints it and ends with status 0."""
    if process.command is not None:
        process.stdout.write(process.command.encode())
        process.exit(0)
        return
    process.stdout.write(b"sw1>")
    while line := await process.stdin.readline():
        process.stdout.write(b"said " + line + b"sw1>")


@contextlib.contextmanager
def ssh_server(behaviour: Behaviour | None = None) -> Iterator[Behaviour]:
    """Listens on the loopback; everything is closed at the end."""
    behaviour = behaviour or Behaviour()

    async def start() -> Any:
        return await asyncssh.create_server(
            lambda: _Server(behaviour),
            "127.0.0.1",
            behaviour.port,
            server_host_keys=[behaviour.host_key],
            encoding=None,
            line_editor=False,
            **behaviour.algorithms,
        )

    async def stop() -> None:
        server.close()
        for connection in behaviour.connections:
            connection.abort()
        await asyncio.sleep(0)

    server = loop.call(start(), 10)
    behaviour.port = server.get_port()
    try:
        yield behaviour
    finally:
        loop.call(stop(), 10)


@contextlib.contextmanager
def tcp_server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port where ``answer`` gets each connection, in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                held.append(connection)
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        for connection in held:
            connection.close()


@contextlib.contextmanager
def line_to(port: int) -> Iterator[tuple[int, threading.Event]]:
    """A wire to ``port`` that goes silent, without closing, when the event is set."""
    cut = threading.Event()
    ends: list[socket.socket] = []

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not cut.is_set():
                    sink.sendall(data)

    def wire(near: socket.socket) -> None:
        far = socket.create_connection(("127.0.0.1", port))
        ends.append(far)
        threading.Thread(target=pump, args=(far, near), daemon=True).start()
        pump(near, far)

    with tcp_server(wire) as wired:
        yield wired, cut
        for end in ends:
            end.close()
