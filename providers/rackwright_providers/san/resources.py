"""The nouns of storage arrays."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from msgspec import Meta

from rackwright.model.address import Address
from rackwright.model.resource import Resource
from rackwright.model.secret import Secret
from rackwright_providers.san import sizes

IQN = re.compile(
    r"(?:iqn\.\d{4}-\d{2}\.[a-z0-9.-]+(?::[^\s/\\;,\"'`$|&<>]*)?|(?:eui|naa)\.[0-9a-f]{16,32})"
)
"""RFC 7143, section 4.2.7: an iSCSI name, in lower case."""
VOLUME_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Volume(Resource, frozen=True, kw_only=True):
    """A volume. It grows and never shrinks; it is deleted only with ``destroy: true``."""

    kind: ClassVar[str] = "volume"
    listed: ClassVar[bool] = True

    size: str | int | None = None
    """Bytes, or ``10GiB``. Canonical: bytes as an int, in the array's own unit."""
    thin: bool | None = None
    pool: str | None = None

    def __post_init__(self) -> None:
        if not VOLUME_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} cannot be the name of a volume")
        if self.size is not None:
            sizes.parse(self.size)

    @property
    def bytes(self) -> int | None:
        """The size in bytes."""
        return None if self.size is None else sizes.parse(self.size)

    def loses(self, before: Resource) -> str:
        if not isinstance(before, Volume):
            return ""
        held = before.bytes
        if self.ensure == "absent":
            return f"the volume {self.name} holds data" + (f" ({sizes.show(held)})" if held else "")
        if held and self.bytes is not None and self.bytes < held:
            return f"the volume {self.name} would shrink from {sizes.show(held)} to {sizes.show(self.bytes)}"
        return ""


class Target(Resource, frozen=True, kw_only=True):
    """An iSCSI target of an array whose targets are made by hand; its name is its IQN."""

    kind: ClassVar[str] = "target"
    linked: ClassVar[bool] = True
    listed: ClassVar[bool] = True

    chap: str | None = None
    """The `chap` account that initiators log in with; ``none``: without."""
    state: Annotated[str, Meta(pattern="^ready$")] | None = None
    """Canonical and declared: ``ready``. Observed: also what is wrong with it, as the platform says
    it (``down``, ``unsaved``)."""

    def __post_init__(self) -> None:
        _require_iqn(self.name)

    def implied_needs(self) -> tuple[Address, ...]:
        return (Address("chap", self.chap),) if self.chap not in (None, "none") else ()


class Export(Resource, frozen=True, kw_only=True):
    """A volume shown to one initiator. Its name is ``VOLUME:INITIATOR``, e.g.
    ``export/data1:iqn.2026-11.example:web1``."""

    kind: ClassVar[str] = "export"
    listed: ClassVar[bool] = True

    lun: Annotated[int, Meta(ge=0, le=16383)] | None = None
    read_only: bool | None = None
    target: str | None = None
    """The `target` through which it is shown, where the array has such."""
    chap: str | None = None
    """The `chap` account that this initiator logs in with, where the array keeps it here."""

    def __post_init__(self) -> None:
        if not VOLUME_NAME.fullmatch(self.volume):
            raise ValueError(f"an export's name is VOLUME:INITIATOR, not {self.name!r}")
        _require_iqn(self.initiator)

    @property
    def volume(self) -> str:
        """The volume's name."""
        return self.name.partition(":")[0]

    @property
    def initiator(self) -> str:
        """The initiator's IQN."""
        return self.name.partition(":")[2]

    def implied_needs(self) -> tuple[Address, ...]:
        more = [Address("target", self.target)] if self.target else []
        more += [Address("chap", self.chap)] if self.chap else []
        return (Address("volume", self.volume), *more)

    def severs(self, before: Resource | None) -> bool:
        if self.ensure == "absent" or not isinstance(before, Export):
            return self.ensure == "absent"
        return any(
            getattr(self, name) is not None and getattr(self, name) != getattr(before, name)
            for name in ("lun", "target")
        ) or (self.read_only is True and before.read_only is False)


class Chap(Resource, frozen=True, kw_only=True):
    """A CHAP account (RFC 1994) of an array; its name is the user's."""

    kind: ClassVar[str] = "chap"

    password: Annotated[str, Secret] | None = None
    """Read back from the array, as itself or as a hash: what cannot be read back is not converged."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,62}", self.name):
            raise ValueError(f"{self.name!r} cannot be the name of a CHAP account")


def _require_iqn(name: str) -> None:
    if not IQN.fullmatch(name) or len(name) > 223:
        raise ValueError(
            f"{name!r} is not an iSCSI name (iqn.2026-11.com.example:name, lower case)"
        )


NOUNS = (Volume, Target, Export, Chap)
