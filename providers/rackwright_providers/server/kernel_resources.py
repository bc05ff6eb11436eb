"""The nouns of what the kernel holds: parameters and mounts."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from msgspec import Meta
from msgspec.structs import force_setattr

from rackwright.model.address import Address
from rackwright.model.resource import Resource
from rackwright_providers.server import storage_resources
from rackwright_providers.server.resource_words import END, ONE_LINE, above, require, require_path

_SYSCTL = re.compile(r"[a-z0-9_]+([./][A-Za-z0-9_./*:@-]+)+")


class Sysctl(Resource, frozen=True, kw_only=True):
    """A kernel parameter, now and after the next boot: ``sysctl/net.ipv4.ip_forward``."""

    kind: ClassVar[str] = "sysctl"

    value: str | int | None = None
    """Its value. Fields are separated by one space, however the kernel shows them."""

    def __post_init__(self) -> None:
        good = _SYSCTL.fullmatch(self.name) and ".." not in self.name
        require(good, f"{self.name!r} cannot be a kernel parameter")
        require(self.value is not None or self.ensure == "absent", "a sysctl needs a value")
        if self.value is not None:
            force_setattr(self, "value", " ".join(str(self.value).split()))


class Mount(Resource, frozen=True, kw_only=True):
    """A file system at its mount point, which is its name. ``ensure: absent`` unmounts it and takes
    it out of fstab."""

    kind: ClassVar[str] = "mount"

    device: Annotated[str, ONE_LINE] | None = None
    """What is mounted: ``/dev/sdb1``, ``UUID=…``, ``host:/export``, ``tmpfs``."""
    fstype: Annotated[str, Meta(pattern=rf"^[A-Za-z0-9_.-]+{END}")] | None = None
    options: Annotated[str, Meta(pattern=rf"^[^\s\0]+{END}")] | None = None
    """Separated by commas; ``defaults`` when undeclared."""
    state: Literal["mounted", "unmounted"] | None = None
    """Now. Mounted when undeclared and made."""
    fstab: bool | None = None
    """At boot: a line of /etc/fstab. True when undeclared and made."""

    def __post_init__(self) -> None:
        require_path(self.name)
        if self.ensure == "present":
            require(self.device, "a mount needs a device")

    def implied_needs(self) -> tuple[Address, ...]:
        device = self.device or ""
        image = [Address("file", device), Address("filesystem", device)] if device else []
        brought = storage_resources.device_needs(device)
        return (Address("directory", self.name), *above(self.name), *image, *brought)

    def loses(self, before: Resource) -> str:
        if not isinstance(before, Mount) or before.state != "mounted":
            return ""
        leaves = self.ensure == "absent" or self.state == "unmounted"
        replaced = self.device not in (None, before.device)
        if before.fstype in ("tmpfs", "ramfs") and (leaves or replaced):
            return f"what is in {before.name} is in memory only and would be lost"
        return ""
