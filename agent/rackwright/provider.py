"""The contract that providers implement, and their registry.

A provider is found by its platform's name through the entry point group ``rackwright.providers``;
the nouns (resource types) through ``rackwright.nouns``, so that lint knows every property without
importing any device library.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from rackwright import __version__
from rackwright.model.address import Address
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import Permanent
from rackwright.model.facts import Facts
from rackwright.model.resource import Resource
from rackwright.model.site import Way

S_contra = TypeVar("S_contra", bound="Session", contravariant=True)


class Session(Protocol):
    """An open way to a device. Kept between runs; checked by `alive` before use. One that learns by
    itself that the device has left it says so by a method ``gone() -> bool``, which sends nothing."""

    via: str
    """For reports: ``ssh 10.0.0.2:22``."""

    def alive(self) -> bool:
        """Whether it still answers. May ask the device; never raises."""

    def close(self) -> None:
        """Leave in order, as far as that is still possible. Never raises."""


class Recorder(Protocol):
    """Keeps what is said between a session and its device."""

    def stream(self, kind: str, stream: Any) -> Any:
        """``stream`` (of a ``ssh`` shell, a ``serial`` line), listened to."""

    def exchange(self, kind: str, request: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Keep one request (of ``exec``, ``snmp``, ``http``) and its answer."""


class Replay(Protocol):
    """Stands for a device: answers what was recorded of it. Raises Unreachable for anything else,
    and where the recording is cut off."""

    def stream(self, kind: str) -> Any:
        """The next stream that was recorded."""

    def exchange(self, kind: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer to a request."""


class LeaseLike(Protocol):
    """The right to talk to a device, which ends by itself."""

    def left(self) -> float:
        """Seconds for which something may still be sent; 0 or less once nothing may."""

    def check(self, needs: float = 0.0) -> None:
        """Raise Unreachable when there are not more than ``needs`` seconds left. Every transport asks
        right before each thing that it sends."""


class Surroundings(msgspec.Struct, frozen=True):
    """What a session may need besides its way."""

    state: Path
    """The node's own state directory (known hosts, backups)."""
    root: Path = Path("/")
    """``--root``: where file-like resources of a server are converged."""
    writable: bool = False
    """False: the session opened must be of a type that has no way to write."""
    stop: threading.Event = msgspec.field(default_factory=threading.Event)
    """Set when the process must leave: waits inside a session end early."""
    recorder: Recorder | None = None
    """Listens to the session."""
    replay: Replay | None = None
    """Instead of the device: nothing is connected to."""
    lease: LeaseLike | None = None
    """Nothing is sent once it has ended, whatever else works; None: no end."""


class Provider(Protocol[S_contra]):
    """One platform's way to read and change its resources.

    All methods that do I/O raise `Temporary` or `Permanent` and nothing else.
    """

    platform: str
    resources: frozenset[type[Resource]]
    transports: frozenset[str]
    """Keys of `rackwright.model.site.TRANSPORTS`, or ``local``."""
    atomic: bool
    """True: one `commit` of all steps, all or nothing. False: the engine commits step by step."""
    undoes: bool
    """The platform takes a change back by itself when it is not confirmed, so the path by which
    we reach it may be changed. Where that depends on the device, see `Trials`."""

    def open(self, way: Way, around: Surroundings) -> Any:
        """I/O: a session over ``way`` (secrets revealed). Without ``around.writable`` its type
        cannot write."""

    def canonical(self, resource: Resource) -> Resource:
        """Pure: ``resource`` in the device's own spelling and units (port names, sizes). Raises
        Permanent for what this platform can never hold."""

    def read(self, session: S_contra, wanted: Wanted) -> Mapping[Address, Resource]:
        """I/O: observe, in as few exchanges as the platform allows. What is not there is left out."""

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        """Pure: which of the planned ``changes`` the platform will not have, and why, where that
        shows only from all of them together (a VLAN that goes while a port still carries it)."""

    def render(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Sequence[Step]:
        """Pure: what would be sent, in the order of ``changes``."""

    def commit(self, session: S_contra, steps: Sequence[Step]) -> None:
        """I/O: send. Raises `Rejected` when the device refuses one of ``steps``."""

    def save(self, session: S_contra) -> bool:
        """I/O: running to startup. False where the platform has no such thing."""

    def carriers(
        self, session: S_contra, observed: Mapping[Address, Resource]
    ) -> Collection[Address]:
        """The resources that carry our own session, as far as the device itself can tell."""

    def discover(self, session: S_contra) -> Facts:
        """I/O: facts and link ends."""


AnyProvider = Provider[Any]


class Reboots(Protocol[S_contra]):
    """What a provider of outlets has besides, when they can be rebooted: somebody asks for that by
    the CLI, no declaration ever does."""

    def reboot(self, session: S_contra, name: str) -> None:
        """I/O: take the outlet's power away and give it back, and return when it is on again. A
        command that the device has pending for it is cancelled first.

        Raises Permanent for an outlet that is off, and Rejected when the device does not do it. When
        the session is told to stop it leaves no outlet without power that would not have got it back
        by the device itself, and raises Temporary.
        """


class Trials(Protocol[S_contra]):
    """What a provider has besides, when its platform takes back by itself only what it is sent on
    trial, and only where the device is set up for that. Its `Provider.undoes` is False."""

    def irrevocable(self, session: S_contra, changes: Sequence[Change]) -> Mapping[Address, str]:
        """I/O, reading only: which of ``changes``, all of which cut our path, this device could not
        take back, and why."""

    def commit_on_trial(self, session: S_contra, steps: Sequence[Step]) -> None:
        """I/O: as `Provider.commit`, for changes that cut our path. Returns when a new session has
        confirmed them.

        Raises Temporary when they could not be confirmed and are taken back, and Unreachable when
        the session is lost or the device still has to take them back.
        """


def trials(provider: Any) -> Trials[Any] | None:
    """``provider`` when it is a `Trials`; None when not."""
    found: Trials[Any] | None = provider if hasattr(provider, "commit_on_trial") else None
    return found


class Registry:
    """Providers by platform and nouns by type, looked up and imported when first asked for.

    Those of this distribution are found without looking through all that is installed, which takes
    longer than most runs.
    """

    def __init__(self) -> None:
        self._catalogue: dict[str, type[Resource]] | None = None

    @classmethod
    def installed(cls) -> Registry:
        """Everything that installed packages offer."""
        return cls()

    @property
    def platforms(self) -> tuple[str, ...]:
        """Names of all platforms, sorted."""
        found = set(_installed("rackwright.providers"))
        for folder in _installed(FOLDERS).values():
            found.update(importlib.import_module(folder).platforms())
        return tuple(sorted(found))

    def provider(self, platform: str) -> AnyProvider:
        """The provider of ``platform``. Raises Permanent when there is none."""
        group = "rackwright.providers"
        place = _ours(group).get(platform)
        try:
            if place is None:
                folders = {**_ours(FOLDERS), **_installed(FOLDERS)}
                for folder in map(importlib.import_module, folders.values()):
                    if platform in folder.platforms():
                        filed: AnyProvider = folder.provider(platform)
                        return filed
                place = _installed(group).get(platform)
            if place is not None:
                made: AnyProvider = _load(place)()
                return made
        except ImportError as error:
            raise Permanent(f"the provider of {platform!r} cannot be loaded: {error}") from error
        known = ", ".join(self.platforms)
        raise Permanent(f"no provider for platform {platform!r}; there are: {known}")

    def nouns(self) -> Mapping[str, type[Resource]]:
        """Every resource type by the name that users write."""
        if self._catalogue is None:
            found: dict[str, type[Resource]] = {}
            for place in _installed("rackwright.nouns").values():
                for noun in _load(place):
                    found[noun.kind] = noun
            self._catalogue = found
        return self._catalogue


FOLDERS = "rackwright.provider_folders"
"""Entry points of packages with a file a platform: ``platforms()`` names them, ``provider(name)``
makes one."""


def _installed(group: str) -> dict[str, str]:
    """Entry points of all that is installed: name → ``module:attribute``."""
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group=group)}


def _ours(group: str) -> dict[str, str]:
    """The same of this distribution alone, read where the packaging standards put them; empty when
    they are not there. importlib.metadata, which finds them anywhere, takes longer to import than
    a whole run."""
    for place in sys.path:
        file = Path(place) / f"rackwright-{__version__}.dist-info" / "entry_points.txt"
        try:
            text = file.read_text(encoding="utf-8")
        except OSError:
            continue
        _, _, section = text.partition(f"[{group}]\n")
        lines = section.partition("\n[")[0].splitlines()
        return {
            name.strip(): value.strip()
            for name, equals, value in (line.partition("=") for line in lines)
            if equals
        }
    return {}


def _load(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)
