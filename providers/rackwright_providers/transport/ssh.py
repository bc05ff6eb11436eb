"""Connecting over SSH, on the shared event loop, with host keys that are always checked.

A host key is pinned by ``host_key``, or else trusted on first use, said loudly and kept in the
node's state directory; another key after that is refused. Only the credentials of the node's own
``reach`` are used: no agent, nothing of ``~/.ssh``.
"""

from __future__ import annotations

import logging
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rackwright.model.errors import Permanent, Unreachable
from rackwright.model.site import Ssh
from rackwright.provider import LeaseLike, Surroundings
from rackwright_providers.transport import known_hosts, leased, loop
from rackwright_providers.transport.ssh_connection import (
    CONNECT_TIMEOUT,
    LEASED_TIMEOUT,
    SshConnection,
)
from rackwright_providers.transport.stream import Stream

if TYPE_CHECKING:
    import asyncssh

log = logging.getLogger(__name__)


def open_ssh(
    options: Ssh, around: Surroundings, *, timeout: float = CONNECT_TIMEOUT
) -> SshConnection:
    """Connect and log in. Any thread may call it, several at once.

    Raises Unreachable (refused, timed out, reset), Temporary (no session free) or Permanent
    (wrong credentials, another host key than the trusted one, no common algorithm).
    """
    if around.replay is not None:
        from rackwright_providers.transport.replay import ReplayedConnection

        return ReplayedConnection(around.replay)
    from rackwright_providers.transport import ssh_client

    host = f"[{options.host}]" if ":" in options.host else options.host
    via = f"ssh {host}:{options.port}"
    store = around.state / known_hosts.FILE_NAME
    pinned = options.host_key or known_hosts.look_up(store, options.host, options.port)
    try:
        trust = ssh_client.Trust(pinned)
        client = ssh_client.Client(options, trust)
        arguments = ssh_client.client_options(options, trust, client, timeout)
    except Permanent as error:
        where = f" (of {store})" if pinned and not options.host_key else ""
        raise Permanent(f"{via}: {error}{where}") from None
    connection = None
    try:
        connected = _connect(options, arguments, timeout, around.lease)
        connection = SshConnection(connected, via, options, around.recorder, around.lease)
    except Unreachable as error:
        raise Unreachable(f"{via}: {error}") from None
    except Exception as error:  # noqa: BLE001  mapped, so that nothing foreign leaks
        if trust.refused and trust.expected:
            text = _changed(options, trust.refused, trust.expected, store)
            raise Permanent(f"{via}: {text}") from None
        raise ssh_client.mapped(error, via, options, client) from None
    finally:
        # Also when the login failed: the password went to whoever holds this key.
        if trust.accepted and pinned is None:
            try:
                _trust_first(options, trust.accepted, store, via)
            except Permanent:  # not kept is not trusted
                if connection is not None:
                    connection.close()
                raise
    return connection


def _connect(
    options: Ssh, arguments: dict[str, Any], timeout: float, lease: LeaseLike | None
) -> asyncssh.SSHClientConnection:
    import asyncssh

    # Here and not on the loop: a slow name server delays this node alone.
    end = time.monotonic() + timeout
    if lease is None:
        plain = socket.create_connection((options.host, options.port), timeout)
    else:
        lease.check()
        shorter = min(timeout, LEASED_TIMEOUT)
        plain = socket.create_connection((options.host, options.port), shorter)
        plain = leased.guarded(plain, lease)
    left = max(end - time.monotonic(), 1.0)

    async def log_in() -> asyncssh.SSHClientConnection:
        try:
            return await asyncssh.connect(options.host, options.port, sock=plain, **arguments)
        except BaseException:
            plain.close()  # on the loop: until now its descriptor may be watched there
            raise

    return loop.call(log_in(), left)


def _trust_first(options: Ssh, key: asyncssh.SSHKey, store: Path, via: str) -> None:
    text = _key_text(key)
    known_hosts.remember(store, options.host, options.port, text)
    log.warning(
        "%s: trusting the host key %s on first use; kept in %s. To pin it write host_key: %s",
        via,
        key.get_fingerprint(),
        store,
        text,
    )


def _key_text(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key().decode("ascii").split()[:2])


def _changed(options: Ssh, shown: asyncssh.SSHKey, expected: asyncssh.SSHKey, store: Path) -> str:
    if options.host_key:
        mend = f"write host_key: {_key_text(shown)}"
    else:
        pattern = known_hosts.host_pattern(options.host, options.port)
        mend = f"remove the line of {pattern} from {store}"
    return (
        f"the host key has changed: expected {expected.get_fingerprint()}, "
        f"got {shown.get_fingerprint()}. Someone may be listening in. "
        f"If the device was replaced or reset on purpose, {mend}"
    )


def open_shell(
    options: Ssh, around: Surroundings, *, width: int = 511, height: int = 1000
) -> Stream:
    """Connect, log in and start the device's command line. Closing it closes the connection.
    Raises as `open_ssh` does."""
    connection = open_ssh(options, around)
    try:
        return connection.shell(width, height, whole=True)
    except BaseException:
        connection.close()
        raise
