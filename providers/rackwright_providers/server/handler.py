"""How one family of server resources is read and changed; `linux.Linux` is made of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from rackwright.model.address import Address
from rackwright.model.change import Change, Step
from rackwright.model.resource import Resource

if TYPE_CHECKING:
    from rackwright_providers.transport.local import Host, Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStep(Step):
    """One step on this host. ``apply`` does it; it raises Rejected or Temporary."""

    def apply(self, host: Host) -> None:
        """I/O."""
        raise AssertionError(f"{type(self).__name__} does not say how it is applied")


class Handler(Protocol):
    """One family of nouns."""

    nouns: tuple[type[Resource], ...]
    root_only_files: bool
    """True: works under ``--root DIR`` (file-like). False: it changes the live system, and is
    refused, with the reason, when the root is not ``/``."""

    def read(self, host: Reader, wanted: Sequence[Resource]) -> Mapping[Address, Resource]:
        """I/O: what is there of ``wanted``; what is not there is left out."""

    def render(self, changes: Sequence[Change]) -> Sequence[LocalStep]:
        """Pure: the steps for ``changes``, in their order; neighbours may be joined into one."""
