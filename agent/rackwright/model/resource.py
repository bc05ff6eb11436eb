"""Resources: one typed desired (or observed) thing on one node.

A noun (``vlan``, ``file``, ``outlet``) is a subclass of `Resource`. The same type holds what is
declared and what is observed. A declared field that is None is not declared: it is neither
compared nor written. An observed field that is None could not be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar, get_type_hints

import msgspec

from rackwright.model import typed
from rackwright.model.address import Address

R = TypeVar("R", bound="Resource")


class Resource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Base of all nouns. Subclasses set `kind` and add fields, all optional and None by default."""

    kind: ClassVar[str] = ""
    """The type as users write it."""
    fixture: ClassVar[bool] = False
    """True for what is always there (a port, an outlet): it is updated, never made or removed."""
    linked: ClassVar[bool] = False
    """True for what a link's port names (a port, an outlet, a slot): while somebody else is seen there
    than the site says, it is not changed."""
    listed: ClassVar[bool] = False
    """True for what a platform can list whole (VLANs, not files), so that ``purge`` can concern it."""
    directives: ClassVar[frozenset[str]] = frozenset()
    """Fields that say how rather than what; they are not compared with what is observed."""

    name: str
    ensure: Literal["present", "absent"] = "present"

    @property
    def address(self) -> Address:
        """This resource's address, without a node."""
        return Address(self.kind, self.name)

    @classmethod
    def spelling(cls, name: str) -> str:
        """One spelling of ``name`` for all nodes, where a thing has several (``Gi1/0/1``)."""
        return name

    def implied_needs(self) -> tuple[Address, ...]:
        """Resources of the same node that must come first where they are declared too."""
        return ()

    def severs(self, before: Resource | None) -> bool:
        """Whether going from ``before`` (observed) to this cuts traffic or power that ran through it.

        With ``ensure: absent`` this is the removal. The guard asks it of the path to the device.
        """
        return self.ensure == "absent"

    def loses(self, before: Resource) -> str:
        """What data would be lost by going from ``before`` to this; empty when none."""
        return ""


def declared_fields(resource: Resource) -> dict[str, Any]:
    """The fields that ``resource`` declares and that are compared: not name, ensure, directives, None."""
    skip = type(resource).directives
    return {
        name: value
        for name in resource.__struct_fields__
        if name not in ("name", "ensure") and name not in skip
        for value in (getattr(resource, name),)
        if value is not None
    }


def secret_fields(kind: type[Resource]) -> frozenset[str]:
    """Names of the fields annotated ``Secret``: never shown, whatever they hold."""
    found = _SECRET_FIELDS.get(kind)
    if found is None:
        hints = get_type_hints(kind, include_extras=True)
        found = frozenset(name for name in kind.__struct_fields__ if _has_secret(hints[name]))
        _SECRET_FIELDS[kind] = found
    return found


_SECRET_FIELDS: dict[type[Resource], frozenset[str]] = {}


def _has_secret(hint: Any) -> bool:
    for meta in getattr(hint, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta) and (meta.extra or {}).get("secret"):
            return True
    return any(_has_secret(arg) for arg in getattr(hint, "__args__", ()))


def to_data(resource: Resource) -> dict[str, Any]:
    """Plain data of ``resource`` (no ``type`` key), fields at their default left out."""
    data: dict[str, Any] = msgspec.to_builtins(resource)
    return data


def from_data(kind: type[R], data: Mapping[str, Any]) -> R:
    """A resource from plain data. Raises msgspec.ValidationError with the path of what is wrong."""
    return typed.convert(data, kind)


def digest(kind: str, data: Mapping[str, Any]) -> str:
    """Digest of a resource as rendered: two revisions that want the same give the same digest."""
    import hashlib  # an agent is told digests, and this loads OpenSSL

    body = msgspec.json.encode([kind, data], order="sorted")
    return hashlib.sha256(body).hexdigest()[:32]
