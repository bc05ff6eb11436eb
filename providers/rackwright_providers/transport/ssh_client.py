"""The asyncssh side of SSH: algorithms, host key and password answers, the shell and exec channels.

Imported when the first connection is opened, never before: asyncssh takes long to import.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import warnings
from typing import Any

import asyncssh
from cryptography.utils import CryptographyDeprecationWarning

from rackwright.model.errors import Permanent, RackwrightError, Temporary, Unreachable
from rackwright.model.secret import Masker
from rackwright.model.site import Ssh

# About algorithms that only old devices need: whoever runs an agent can do nothing about them.
warnings.filterwarnings("ignore", category=CryptographyDeprecationWarning, module=r"asyncssh\b")

# Cheapest safe one first: curve25519 costs about a millisecond on both sides.
KEX = (
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group-exchange-sha256",
)
HOST_KEYS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
    "chacha20-poly1305@openssh.com",
)
MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "hmac-sha1",
)
# What old devices need and nothing else should: only with ``legacy: true``.
LEGACY_KEX = (
    "diffie-hellman-group-exchange-sha1",
    "diffie-hellman-group14-sha1",
    "diffie-hellman-group1-sha1",
)
LEGACY_HOST_KEYS = ("ssh-rsa",)
LEGACY_CIPHERS = ("aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc")
LEGACY_MACS = ("hmac-sha1-96", "hmac-md5", "hmac-md5-96")

WINDOW = 64 * 1024
"""Receive window of a channel, bytes: what a device may send ahead of us."""
PACKET = 32 * 1024
"""Largest packet we take, the least that RFC 4253 §6.1 asks of everyone."""
SHELL_BUFFER = 1024 * 1024
"""A shell that nobody reads is stopped here, so a babbling device cannot fill our memory."""
EXEC_OUTPUT = 64 * 1024 * 1024
"""More output than this of one command is refused."""


class Trust:
    """Which host key is expected of a device, and which one it showed."""

    def __init__(self, expected: str | None) -> None:
        """``expected``: OpenSSH public key text, or None to trust the key that is shown."""
        self.expected: asyncssh.SSHKey | None = None
        self.accepted: asyncssh.SSHKey | None = None
        self.refused: asyncssh.SSHKey | None = None
        if expected:
            try:
                self.expected = asyncssh.import_public_key(expected)
            except (asyncssh.KeyImportError, ValueError) as error:
                raise Permanent(f"host_key is not an OpenSSH public key: {error}") from None

    def judge(self, key: asyncssh.SSHKey) -> bool:
        """Whether ``key`` may be trusted."""
        if self.expected is not None and key.public_data != self.expected.public_data:
            self.refused = key
            return False
        self.accepted = key
        return True

    def algorithms(self, legacy: bool) -> list[str]:
        """Host key algorithms to offer, those of the expected key first: a device that has got a
        second key must not look like another device."""
        offered = HOST_KEYS + (LEGACY_HOST_KEYS if legacy else ())
        if self.expected is None:
            return list(offered)
        own = {name.decode("ascii") for name in self.expected.sig_algorithms}
        return sorted(offered, key=lambda name: name not in own)  # stable: keeps our preference


class Client(asyncssh.SSHClient):
    """Answers what a server asks while a connection is being made."""

    def __init__(self, options: Ssh, trust: Trust) -> None:
        self._password = options.password
        self._trust = trust
        self._asked = False
        self.connection: asyncssh.SSHClientConnection | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.connection = conn

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        return self._trust.judge(key)

    def kbdint_auth_requested(self) -> str | None:
        """Once: a second round with the same password only brings a lock-out nearer."""
        if not self._password or self._asked:
            return None
        self._asked = True
        return ""

    def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Any
    ) -> list[str] | None:
        """The password for the one hidden prompt; nothing to a banner without prompts."""
        if not prompts:
            return []
        hidden = [prompt for prompt, echo in prompts if not echo]
        return [self._password] if len(prompts) == len(hidden) == 1 else None


def client_options(options: Ssh, trust: Trust, client: Client, timeout: float) -> dict[str, Any]:
    """Arguments of `asyncssh.connect`. Nothing of the user's own ``~/.ssh`` or agent is used."""
    legacy = options.legacy
    keys = None
    if options.key:
        try:
            keys = [asyncssh.import_private_key(options.key)]
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError):
            # The library's own text may quote the key.
            raise Permanent(
                "key is not a private key that can be read without a passphrase"
            ) from None
    # "none" is tried by the protocol itself before these.
    methods = (["publickey"] if keys else []) + (
        ["password", "keyboard-interactive"] if options.password else []
    )
    return {
        "config": None,
        "username": options.username,
        "password": options.password or None,
        "client_keys": keys,
        "client_factory": lambda: client,
        "known_hosts": ([], [], []),  # no file: every key is asked of the client
        "x509_trusted_certs": None,
        "x509_trusted_cert_paths": [],
        "server_host_key_algs": trust.algorithms(legacy),
        "kex_algs": list(KEX + (LEGACY_KEX if legacy else ())),
        "encryption_algs": list(CIPHERS + (LEGACY_CIPHERS if legacy else ())),
        "mac_algs": list(MACS + (LEGACY_MACS if legacy else ())),
        "signature_algs": list(HOST_KEYS + (LEGACY_HOST_KEYS if legacy else ())),
        "compression_algs": ["none"],
        "preferred_auth": methods or ["none"],
        "host_based_auth": False,
        "gss_kex": False,
        "gss_auth": False,
        "gss_host": None,
        "agent_path": None,
        "agent_forwarding": False,
        "login_timeout": timeout,
        "client_version": "Rackwright",
    }


def mapped(
    error: BaseException, via: str, options: Ssh, client: Client | None = None
) -> RackwrightError:
    """What ``error`` of asyncssh or the socket means to a caller. Secrets are masked."""
    secrets = Masker((options.password, options.key, options.enable))
    if isinstance(error, asyncssh.ChannelOpenError):
        return Temporary(
            f"{via}: no further session on this connection: {secrets.text(error.reason)}"
        )
    if isinstance(error, asyncssh.PermissionDenied):
        return Permanent(f"{via}: {_denied(options)}")
    if isinstance(error, asyncssh.KeyExchangeFailed):
        hint = (
            "" if options.legacy else "; if the device is old, allow its algorithms: legacy: true"
        )
        return Permanent(f"{via}: {secrets.text(error.reason)}{hint}")
    if isinstance(error, asyncssh.DisconnectError):
        return _disconnected(error, via, options, client, secrets)
    if isinstance(error, (TimeoutError, OSError)):
        return Unreachable(f"{via}: {_socket_reason(error)}")
    return Permanent(f"{via}: {secrets.text(str(error)) or type(error).__name__}")


def _denied(options: Ssh) -> str:
    tried = [name for name in ("key", "password") if getattr(options, name)]
    what = " and ".join(tried) or "login without password or key"
    return f"the device refuses {what} of user {options.username!r}"


def _disconnected(
    error: asyncssh.DisconnectError, via: str, options: Ssh, client: Client | None, secrets: Masker
) -> RackwrightError:
    reason = secrets.text(error.reason)
    connection = client.connection if client else None
    if error.code == asyncssh.DISC_TOO_MANY_CONNECTIONS or "too many session" in reason.lower():
        return Temporary(f"{via}: {reason}", delay=10.0)
    if (
        "authentication failures" in reason.lower()
    ):  # OpenSSH's MaxAuthTries, sent as a protocol error
        return Permanent(f"{via}: {_denied(options)}")
    if client is not None and connection is not None:
        greeted = connection.get_extra_info("server_version") is not None
        if isinstance(error, asyncssh.ConnectionLost) and not greeted:
            if "timeout" in reason.lower():
                return Unreachable(f"{via}: connected, but nothing answers there")
            return Temporary(
                f"{via}: closed before its greeting: no session free, or not SSH", delay=10.0
            )
        if (
            isinstance(error, (asyncssh.ProtocolError, asyncssh.ProtocolNotSupported))
            and not greeted
        ):
            return Permanent(f"{via}: what answers is not SSH 2: {reason}")
    return Unreachable(f"{via}: {reason}")


def _socket_reason(error: BaseException) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, socket.gaierror):
        return f"its name is not known: {error.strerror}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


class ExecSession(asyncssh.SSHClientSession[bytes]):
    """Collects one command's output. Lives on the loop."""

    def __init__(self, ended: asyncio.Future[int]) -> None:
        self.ended = ended
        self._channel: Any = None
        self._size = 0
        self.out: list[bytes] = []
        self.err: list[bytes] = []
        self._status: int | None = None

    def connection_made(self, chan: Any) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self._size += len(data)
        if self._size > EXEC_OUTPUT:
            self._fail(Permanent(f"more than {EXEC_OUTPUT >> 20} MiB of output"))
            self._channel.abort()
            return
        (self.err if datatype == asyncssh.EXTENDED_DATA_STDERR else self.out).append(data)

    def exit_status_received(self, status: int) -> None:
        self._status = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self._status = signal_status(signal)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None or self._status is None:
            self._fail(exc or asyncssh.ConnectionLost("the command ended without an exit status"))
        elif not self.ended.done():
            self.ended.set_result(self._status)

    def _fail(self, error: Exception) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)


def signal_status(name: str) -> int:
    """The exit status that a shell gives to a death by signal ``name`` (``KILL`` → 137)."""
    number = getattr(signal, f"SIG{name}", None)
    return 128 + int(number) if number is not None else 255


class ShellSession(asyncssh.SSHClientSession[bytes]):
    """Fills a buffer on the loop; a blocked reader in another thread wakes at once."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.buffer = bytearray()
        self.closed = False
        self.error: Exception | None = None
        self._channel: Any = None
        self._paused = False

    def connection_made(self, chan: Any) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        with self.changed:
            self.buffer += data
            self.changed.notify_all()
            if len(self.buffer) >= SHELL_BUFFER and not self._paused:
                self._paused = True
                self._channel.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        with self.changed:
            self.closed, self.error = True, exc
            self.changed.notify_all()

    def take(self, timeout: float) -> tuple[bytes, bool]:
        """From a reader's thread: what has arrived, and whether reading has to be resumed."""
        with self.changed:
            if not self.buffer and not self.closed:
                self.changed.wait_for(lambda: self.buffer or self.closed, timeout)
            data = bytes(self.buffer)
            self.buffer.clear()
            resume, self._paused = self._paused, False
            return data, resume
