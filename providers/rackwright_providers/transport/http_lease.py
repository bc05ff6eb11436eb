"""HTTP connections under a lease: their sockets are `leased.LeasedSocket`, also below TLS."""

from __future__ import annotations

import socket

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from rackwright.provider import LeaseLike
from rackwright_providers.transport import leased


def guard(session: requests.Session, lease: LeaseLike) -> None:
    """Have every connection that ``session`` opens send nothing after the end of ``lease``. What is
    written to a TLS socket is checked by the context, see `leased.tls_context`."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return leased.guarded(super()._new_conn(), lease)

    class Tls(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return leased.guarded(super()._new_conn(), lease)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    for adapter in session.adapters.values():
        if isinstance(adapter, HTTPAdapter):
            adapter.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}
