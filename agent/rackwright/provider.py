"""The contract that providers implement, and their registry.

A provider is found by its platform's name through the entry point group ``rackwright.providers``;
the nouns (resource types) through ``rackwright.nouns``, so that lint knows every property without
importing any device library.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from rackwright.model.address import Address
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import Permanent, RackwrightError
from rackwright.model.facts import Facts
from rackwright.model.resource import Resource
from rackwright.model.site import Way

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

S_contra = TypeVar("S_contra", bound="Session", contravariant=True)


class Session(Protocol):
    """An open way to a device. Kept between runs; checked by `alive` before use."""

    via: str
    """For reports: ``ssh 10.0.0.2:22``."""

    def alive(self) -> bool:
        """Whether it still answers. May ask the device; never raises."""

    def close(self) -> None:
        """Leave in order, as far as that is still possible. Never raises."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a session may need besides its way."""

    state: Path
    """The node's own state directory (known hosts, backups)."""
    root: Path = Path("/")
    """``--root``: where file-like resources of a server are converged."""
    writable: bool = False
    """False: the session opened must be of a type that has no way to write."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when the process must leave: waits inside a session end early."""


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
    we reach it may be changed."""

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
        return tuple(sorted(point.name for point in _all("rackwright.providers")))

    def provider(self, platform: str) -> AnyProvider:
        """The provider of ``platform``. Raises Permanent when there is none."""
        point = next(
            (
                point
                for found in (_ours, _all)
                for point in found("rackwright.providers")
                if point.name == platform
            ),
            None,
        )
        if point is None:
            known = ", ".join(self.platforms)
            raise Permanent(f"no provider for platform {platform!r}; there are: {known}")
        try:
            made: AnyProvider = point.load()()
        except ImportError as error:
            raise Permanent(f"the provider of {platform!r} cannot be loaded: {error}") from error
        return made

    def nouns(self) -> Mapping[str, type[Resource]]:
        """Every resource type by the name that users write."""
        if self._catalogue is None:
            found: dict[str, type[Resource]] = {}
            for point in _all("rackwright.nouns"):
                for noun in point.load():
                    found[noun.kind] = noun
            self._catalogue = found
        return self._catalogue


def _ours(group: str) -> Iterable[EntryPoint]:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        return distribution("rackwright").entry_points.select(group=group)
    except PackageNotFoundError:
        return ()


def _all(group: str) -> Iterable[EntryPoint]:
    from importlib.metadata import entry_points

    return entry_points(group=group)


__all__ = [
    "AnyProvider",
    "Provider",
    "RackwrightError",
    "Registry",
    "Session",
    "Surroundings",
]
