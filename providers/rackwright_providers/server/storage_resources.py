"""The nouns of a server's disks that come from a SAN: the session that brings them, and what is made
on them. (`mount` stands with the other nouns of servers.)"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, ClassVar, Literal

from msgspec import Meta
from msgspec.structs import force_setattr

from rackwright.model.address import Address
from rackwright.model.resource import Resource
from rackwright.model.secret import Secret

IQN = re.compile(
    r"(?:iqn\.\d{4}-\d{2}\.[a-z0-9.-]+(?::[a-z0-9.:_-]*)?|(?:eui|naa)\.[0-9a-f]{16,32})"
)
"""RFC 7143, 4.2.7, as far as it can be a file's name under /etc/iscsi."""
PORT = 3260
"""iscsi-target: IANA."""
LABELS = {"ext2": 16, "ext3": 16, "ext4": 16, "xfs": 12}
"""File systems that can be made, and how many bytes their labels have: mke2fs(8), mkfs.xfs(8)."""

_BY_PATH = re.compile(r"/dev/disk/by-path/ip-.+-iscsi-(?P<iqn>.+)-lun-\d+(?:-part\d+)?")
_ONE_LINE = Meta(pattern=r"^[^\s\0=#]+(?![\s\S])", description="no space, no '=', no '#'")


class IscsiSession(Resource, frozen=True, kw_only=True):
    """A session with an iSCSI target, which is its name. ``ensure: absent`` logs out and forgets it."""

    kind: ClassVar[str] = "iscsi_session"

    portal: str | None = None
    """The target's IP address and port: ``10.0.0.5:3260``, ``[fd00::5]:3260``; 3260 when left out."""
    username: Annotated[str, _ONE_LINE] | None = None
    """For CHAP; ``none``: without. Another one counts from the next login on."""
    password: Annotated[str, _ONE_LINE, Secret] | None = None
    startup: Literal["automatic", "manual"] | None = None
    """Whether it is logged in to at boot. Automatic when undeclared and made."""
    state: Literal["logged_in", "logged_out"] | None = None
    """Now. Logged in when undeclared."""

    def __post_init__(self) -> None:
        if not IQN.fullmatch(self.name) or len(self.name) > 223:
            raise ValueError(f"{self.name!r} is not an iSCSI name (iqn.2026-11.com.example:name)")
        if self.portal is not None:
            force_setattr(self, "portal", canonical_portal(self.portal))
        if self.ensure == "present":
            if self.portal is None:
                raise ValueError("an iSCSI session needs a portal")
            if self.state is None:
                force_setattr(self, "state", "logged_in")
            if self.username not in (None, "none") and self.password is None:
                raise ValueError("a username needs a password")

    def implied_needs(self) -> tuple[Address, ...]:
        return (
            Address("package", "open-iscsi"),
            Address("package", "iscsi-initiator-utils"),
            Address("file", "/etc/iscsi/initiatorname.iscsi"),
            Address("file", "/etc/iscsi/iscsid.conf"),
            Address("service", "iscsid"),
        )


class Filesystem(Resource, frozen=True, kw_only=True):
    """A file system on a device, or on an image file, which is its name.

    It is made only where there is provably nothing, and never taken away: what is not declared any
    more is let go as it is. So it is like a port, always there, with or without a file system.
    """

    kind: ClassVar[str] = "filesystem"
    fixture: ClassVar[bool] = True

    fstype: Annotated[str, Meta(pattern=r"^(ext[234]|xfs)(?![\s\S])")] | None = None
    """``ext2``, ``ext3``, ``ext4`` or ``xfs``; always needed. Observed: also what else is there, and
    ``none``."""
    label: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,16}(?![\s\S])")] | None = None

    def __post_init__(self) -> None:
        parts = self.name[1:].split("/")
        if not self.name.startswith("/") or any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"{self.name!r} is not an absolute path in its shortest form")
        if re.search(r"[\s\0]", self.name):
            raise ValueError(f"{self.name!r} holds a space")
        if self.ensure == "absent":
            raise ValueError(
                "a file system is never taken away: leave it out, and wipe the device by hand"
            )
        if self.fstype is None:
            raise ValueError("a file system needs an fstype")
        longest = LABELS.get(self.fstype, 0)
        if longest and self.label is not None and len(self.label) > longest:
            raise ValueError(f"a label of {self.fstype} has at most {longest} letters")

    def implied_needs(self) -> tuple[Address, ...]:
        return (Address("file", self.name), *device_needs(self.name))


def device_needs(device: str) -> tuple[Address, ...]:
    """The session that brings ``device``, where its name says which."""
    found = _BY_PATH.fullmatch(device)
    return (Address("iscsi_session", found["iqn"]),) if found else ()


def canonical_portal(text: str) -> str:
    """``address:port`` with the port, IPv6 in brackets. Raises ValueError."""
    host, _, port = (text, "", str(PORT)) if _bare(text) else text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        number = int(port)
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address and a port: 10.0.0.5:3260") from None
    if not 0 < number < 65536:
        raise ValueError(f"{text!r}: a port is 1 to 65535")
    return f"[{address}]:{number}" if address.version == 6 else f"{address}:{number}"


def _bare(text: str) -> bool:
    """Whether it is an address without a port."""
    try:
        ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


NOUNS = (IscsiSession, Filesystem)
