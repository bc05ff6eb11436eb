"""The platform ``linux``: the server that the agent runs on."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from rackwright.model.address import Address
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import Permanent
from rackwright.model.resource import Resource
from rackwright_providers.server.handler import LocalStep
from rackwright_providers.server.resources import NOUNS
from rackwright_providers.transport.local import Host, Reader

if TYPE_CHECKING:
    from rackwright.model.facts import Facts
    from rackwright.model.site import Way
    from rackwright.provider import Surroundings
    from rackwright_providers.server.handler import Handler

HANDLERS: Mapping[str, tuple[str, str]] = {
    "file": ("files", "FileHandler"),
    "directory": ("files", "FileHandler"),
    "symlink": ("files", "FileHandler"),
    "line_in_file": ("lines", "LineHandler"),
    "host_entry": ("lines", "LineHandler"),
    "package": ("packages", "PackageHandler"),
    "service": ("services", "ServiceHandler"),
    "group": ("accounts", "AccountHandler"),
    "user": ("accounts", "AccountHandler"),
    "authorized_key": ("authorized_keys", "AuthorizedKeyHandler"),
    "cron": ("cron", "CronHandler"),
    "sysctl": ("kernel", "SysctlHandler"),
    "mount": ("mounts", "MountHandler"),
    "interface": ("network", "NetworkHandler"),
    "route": ("network", "NetworkHandler"),
    "exec": ("commands", "ExecHandler"),
    "iscsi_session": ("iscsi", "IscsiHandler"),
    "filesystem": ("filesystems", "FilesystemHandler"),
    "delegate": ("delegates", "DelegateHandler"),
}
"""Type → module and class of its handler, imported when a run needs it."""

SYSTEMD = Path("/run/systemd/system")
"""There when systemd runs this system: sd_booted(3)."""

NOTIFIED = frozenset({"service", "exec"})
"""Types for which a notification means something."""

_CARRY = frozenset({"interface", "route"})


class Linux:
    """Converges this host, or with ``around.root`` the files of a tree."""

    platform = "linux"
    resources: frozenset[type[Resource]] = frozenset(NOUNS)
    transports = frozenset({"local"})
    atomic = False
    undoes = False

    def __init__(self) -> None:
        self._handlers: dict[tuple[str, str], Handler] = {}
        self._root = Path("/")

    def open(self, way: Way, around: Surroundings) -> Reader:
        """A `Host`, or a `Reader` that cannot write. The root is remembered for `canonical`."""
        if way.transport not in self.transports:
            raise Permanent(f"a Linux server is converged by its own agent, not by {way.transport}")
        session = (
            Host(around.root, state=around.state, stop=around.stop)
            if around.writable
            else Reader(around.root, state=around.state, stop=around.stop)
        )
        self._root = session.root
        return session

    def canonical(self, resource: Resource) -> Resource:
        """As it is: nouns normalise themselves. Raises Permanent for what cannot be converged here."""
        why = self._hindrance(resource.kind)
        if why:
            raise Permanent(why)
        return resource

    def read(self, session: Reader, wanted: Wanted) -> Mapping[Address, Resource]:
        by_handler: dict[tuple[str, str], list[Resource]] = {}
        for resource in wanted.resources.values():
            if not self._hindrance(resource.kind):
                by_handler.setdefault(HANDLERS[resource.kind], []).append(resource)
        for kind in wanted.types:
            if kind.listed:  # its handler gives all that there are, whichever are wanted
                by_handler.setdefault(HANDLERS[kind.kind], [])
        found: dict[Address, Resource] = {}
        for place, resources in by_handler.items():
            found.update(self._handler(place).read(session, resources))
        return found

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        return {}

    def render(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Sequence[LocalStep]:
        return list(self._render(change for change in changes if change.action != "release"))

    def _render(self, changes: Iterator[Change]) -> Iterator[LocalStep]:
        for place, group in groupby(changes, key=lambda change: HANDLERS[change.address.type]):
            together = list(group)
            for change in together:
                if change.action == "notify" and change.address.type not in NOTIFIED:
                    raise Permanent(f"{change.address} has nothing to restart or to reload")
            yield from self._handler(place).render(together)

    def commit(self, session: Reader, steps: Sequence[Step]) -> None:
        """The steps in their order. Raises Permanent when told to leave between two of them."""
        if not isinstance(session, Host):
            raise Permanent("this session cannot write")
        for number, step in enumerate(steps):
            if number and session.stop.is_set():
                raise Permanent("the agent was told to leave")
            if not isinstance(step, LocalStep):
                raise Permanent(f"{step.text!r} is no step of a Linux server")
            step.apply(session)

    def save(self, session: Reader) -> bool:
        return False

    def carriers(
        self, session: Reader, observed: Mapping[Address, Resource]
    ) -> Collection[Address]:
        """Interfaces and routes that carry our way to the store, where such are to be changed."""
        if not session.live or not any(address.type in _CARRY for address in observed):
            return ()
        from rackwright_providers.server import network

        return network.carriers(session)

    def discover(self, session: Reader) -> Facts:
        from rackwright_providers.server import discovery

        return discovery.discover(session)

    def _hindrance(self, kind: str) -> str:
        """Why resources of ``kind`` cannot be converged here; empty when they can."""
        if self._root != Path("/"):
            if self._handler(HANDLERS[kind]).root_only_files:
                return ""
            return f"{kind} changes the running system, which {self._root} is not"
        if kind == "service" and not SYSTEMD.is_dir():
            return f"no systemd here: {SYSTEMD} is missing"
        if kind == "package":
            from rackwright_providers.server import packages

            if not packages.manager():
                return "no package manager here: neither apt-get nor dnf is on PATH"
        return ""

    def _handler(self, place: tuple[str, str]) -> Handler:
        handler = self._handlers.get(place)
        if handler is None:
            module, name = place
            try:
                loaded = importlib.import_module(f"rackwright_providers.server.{module}")
            except ImportError as error:
                raise Permanent(f"{module} cannot be loaded: {error}") from error
            handler = self._handlers[place] = getattr(loaded, name)()
        return handler
