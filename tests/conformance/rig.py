"""What a platform brings to the conformance suite: a case (data) and a rig (a device)."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import msgspec
import yaml

from rackwright.model.site import Way

HERE = Path(__file__).parent

Written = dict[str, Any]
"""A resource as a role's author writes it: ``{vlan: "666", title: storage}``."""


class Impossible(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the platform can never hold: nothing is sent for it, and the reason is said."""

    declare: Written
    why: str
    """A piece of the reason."""


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``cases/PLATFORM.yaml``. Everything is declared to a device as the rig starts it."""

    platform: str
    declare: tuple[Written, ...]
    """One of each noun at least; each needs a change on a new device."""
    then: tuple[Written, ...] = ()
    """What is declared next: other values. What can be made and is left out here is removed."""
    reject: tuple[str, ...] = ()
    """Canonical addresses out of `declare` that the rig can refuse. What rests on one fails too. One
    that is always there (a port) must be in `then` with another value."""
    impossible: tuple[Impossible, ...] = ()
    ends: tuple[tuple[Written, ...], ...] = ()
    """The ends of every range, a declaration each."""
    names: tuple[Written, ...] = ()
    """Long names and unicode: each is held as it is, or refused with a reason."""
    vlans: str = ""
    """All VLANs that can be made, ``2-1001,1006-4094``; empty where there are none."""


class RealRig(Protocol):
    """One device that is software nobody here wrote: it cannot be told to refuse or to hang up."""

    ways: Mapping[str, Way]
    """By transport; passwords in clear."""
    secrets: Mapping[str, str]
    """What the case refers to as ``{secret: NAME}``, and the passwords of the ways."""

    def state(self) -> Mapping[str, Any]:
        """All that the device holds that a converge could change, read around the provider: resources
        by canonical address (``vlan/666``), and anything else by any other key. What changes by
        itself is left out."""


class Rig(RealRig, Protocol):
    """One simulated device, and what the suite may do to it behind the provider's back."""

    def writes(self) -> int:
        """How many commands or requests that change something the device has been sent."""

    def reject(self, address: str) -> None:
        """From now on the device refuses what concerns ``address``; empty: nothing any more."""

    def lose(self, after: int) -> None:
        """Once, the session is lost when the ``after``-th write from now on arrives, before it is
        carried out: 0 is the first."""


Maker = Callable[[Path], AbstractContextManager[RealRig]]
"""Starts a new device; the path is a temporary directory of its own."""


class Sites(yaml.CSafeLoader):
    """YAML 1.2 as sites are read: ``on`` and ``off`` are words."""


Sites.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
Sites.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))


def load_case(path: Path) -> Case:
    """The case in a file. Raises msgspec.ValidationError."""
    return msgspec.convert(yaml.load(path.read_text(), Sites), Case)


def held(value: Any) -> dict[str, Any]:
    """The fields of a simulator's dataclass as they are now. ``asdict`` would copy each of the 4,094
    numbers in a frozen set."""
    return {one.name: copy.copy(getattr(value, one.name)) for one in dataclasses.fields(value)}


def fields(items: Sequence[Written]) -> list[tuple[str, dict[str, Any]]]:
    """(noun, fields with the name) of each."""
    made = []
    for item in items:
        noun, name = next(iter(item.items()))
        rest = {key: value for key, value in item.items() if key != noun}
        made.append((noun, {"name": str(name), **rest}))
    return made
