"""Run a store: the process behind ``rackwright store``."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import ipaddress
import logging
import os
import resource
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rackwright.model.errors import Permanent

if TYPE_CHECKING:
    from rackwright_store.revisions import Compiler

log = logging.getLogger(__name__)

DEFAULT_LISTEN = "127.0.0.1:8417"
KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 5
MAX_CONNECTIONS = 8192


class Ready(NamedTuple):
    """A store that answers."""

    url: str
    admin_credential: Path
    """The file that holds it."""
    stop: Callable[[], None]
    """Ends the serving, from any thread."""


def serve(
    site: str,
    listen: str = DEFAULT_LISTEN,
    data_dir: Path = Path("/var/lib/rackwright/store"),
    *,
    branch: str = "",
    db: str = "",
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    insecure_http: bool = False,
    on_ready: Callable[[Ready], None] | None = None,
    compiler: Compiler[Any] | None = None,
) -> None:
    """Serve ``site`` (a git repository's path or URL) until SIGTERM or SIGINT; blocks.

    Without TLS it listens on loopback alone: credentials travel in every request. Only
    ``insecure_http`` lifts that, for a network that is closed or encrypted by other means.
    ``on_ready`` is called once, when it answers. ``compiler`` replaces the usual one.

    Raises Permanent for what is wrong with the arguments or the data directory.
    """
    host, port = parse_listen(listen)
    context = _tls(tls_cert, tls_key)
    if context is None and not insecure_http and not is_loopback(host):
        raise Permanent(
            f"{listen} can be reached from other machines and there is no TLS: every credential would "
            "travel in clear; give --tls-cert and --tls-key, or --insecure-http if the network is "
            "encrypted by other means"
        )
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    database_path = _database_path(db, data_dir)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_locked(data_dir / "lock", data_dir))
        stack.enter_context(_locked(_beside(database_path), database_path))
        listener = stack.enter_context(_listening(host, port))
        shown = f"[{host}]" if ":" in host else host
        scheme = "https" if context else "http"
        url = f"{scheme}://{shown}:{listener.getsockname()[1]}"
        asyncio.run(
            _serve(
                site,
                listener,
                data_dir,
                url=url,
                branch=branch,
                database_path=database_path,
                context=context,
                on_ready=on_ready,
                compiler=compiler,
            )
        )


async def _serve(
    site: str,
    listener: socket.socket,
    data_dir: Path,
    *,
    url: str,
    branch: str,
    database_path: Path,
    context: ssl.SSLContext | None,
    on_ready: Callable[[Ready], None] | None,
    compiler: Compiler[Any] | None,
) -> None:
    # Imported here: 0.4 s that `rackwright --help` must not pay.
    import uvicorn

    from rackwright_store.app import build
    from rackwright_store.auth import admin_credential
    from rackwright_store.connection import BoundedProtocol
    from rackwright_store.database import Database
    from rackwright_store.following import Following
    from rackwright_store.git import Follower
    from rackwright_store.service import Service

    if compiler is None:
        from rackwright_store.compiling import SiteCompiler

        compiler = SiteCompiler()

    path, admin_hash = admin_credential(data_dir)
    follower = Follower(site, data_dir / "mirror.git", branch=branch)
    database = Database(database_path)
    following = Following(follower, compiler.belongs)
    service = Service(database, following, compiler, admin_hash)

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # ours are in place already; uvicorn's end by killing the process once more

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if on_ready is not None:
                on_ready(Ready(url, path, from_any_thread))

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            service.let_go()  # or every long poll would hold us until it times out
            await super().shutdown(sockets)

    config = uvicorn.Config(
        build(service),
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        limit_concurrency=MAX_CONNECTIONS,
    )
    config.load()
    config.ssl = context
    server = Server(config)
    loop = asyncio.get_running_loop()

    starting = asyncio.ensure_future(service.start())

    def leave() -> None:
        server.should_exit = True
        starting.cancel()

    def from_any_thread() -> None:
        with contextlib.suppress(RuntimeError):  # it has ended already
            loop.call_soon_threadsafe(leave)

    with contextlib.suppress(ValueError, NotImplementedError, RuntimeError):  # not the main thread
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, leave)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        if server.should_exit:
            return
        await server.serve(sockets=[listener])
    finally:
        await service.stop()


def parse_listen(listen: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT`` (``[::1]:8417`` for IPv6). Raises Permanent."""
    host, colon, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise Permanent(f"{listen!r} is not an address to listen on: write HOST:PORT")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tls(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise Permanent("TLS needs both: --tls-cert and --tls-key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key, password=_no_passphrase)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise Permanent(f"TLS certificate {cert} with key {key} cannot be used: {error}") from error
    return context


def _no_passphrase() -> str:
    raise ValueError("the key is locked with a passphrase, which a service cannot be asked for")


def _database_path(db: str, data_dir: Path) -> Path:
    if not db:
        return data_dir / "store.db"
    path = db.removeprefix("sqlite:///")
    if path == db or not path:
        raise Permanent(f"database {db.partition(':')[0]!r} is not supported: write sqlite:///PATH")
    return Path(path)


def _beside(database: Path) -> Path:
    real = database.resolve()
    return real.with_name(f"{real.name}.lock")


@contextlib.contextmanager
def _locked(lock: Path, what: Path) -> Iterator[None]:
    """Two stores on one data directory would take turns in undoing each other, and two on one database
    would each give the same leases."""
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Permanent(f"{what} cannot be used as the store's database: {lock}: {error.strerror}") from error  # fmt: skip
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Permanent(f"another store runs on {what}") from None
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    # A long poll holds a descriptor, and the usual limit of 1024 is for select(), not for us.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft not in (resource.RLIM_INFINITY, wanted) and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    listener = None
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # The protocol is named because asyncio turns Nagle's algorithm off only where it is, and
        # every answer would wait 40 ms for the delayed acknowledgement of its head.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise Permanent(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    with listener:
        yield listener
