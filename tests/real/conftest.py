"""Skips, with the reason, what this machine cannot run; fixtures of the parts many tests share."""

from __future__ import annotations

import socket

import pytest

from tests.real import parts


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Network namespaces can be made; those of killed runs are gone."""
    reason = parts.no_namespaces()
    if reason:
        pytest.skip(reason)
    parts.sweep()


@pytest.fixture
def free_port() -> int:
    """A TCP port of the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
