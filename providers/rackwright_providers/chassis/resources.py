"""The nouns of blade chassis and of the management controllers of servers."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, structs

from rackwright.model.resource import Resource

GRACE = 120
"""Seconds that a blade may take to shut down by itself where the site does not say."""


class Blade(Resource, frozen=True, kw_only=True):
    """A slot with what is in it; its name is the slot's: ``blade/3``, or a system's id. What the
    slot holds (serial number, model, health) is facts."""

    kind: ClassVar[str] = "blade"
    fixture: ClassVar[bool] = True
    linked: ClassVar[bool] = True
    directives: ClassVar[frozenset[str]] = frozenset({"grace"})

    power: Literal["on", "off", "graceful_off", "force_off"] | None = None
    """``force_off`` is ``off`` also when the system answers. ``graceful_off`` asks the system to shut down, and cuts its power when it has not done so
    within ``grace`` seconds. Canonical: ``off`` with a ``grace``; see `canonical_power`."""
    grace: Annotated[int, Meta(ge=0, le=3600)] | None = None
    """Seconds; None with ``power: off`` cuts the power at once."""
    label: Annotated[str, Meta(max_length=63)] | None = None
    """The slot's name on the chassis."""
    boot: Literal["none", "pxe", "disk", "cdrom", "usb", "bios"] | None = None
    """What it starts from until it is told otherwise; ``none``: as its own setup says."""
    priority: Annotated[int, Meta(ge=1, le=9)] | None = None
    """Of its power, 1 first."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", self.name):
            raise ValueError(f"a blade's name is its slot's, not {self.name!r}")

    def severs(self, before: Resource | None) -> bool:
        gone = self.power in ("off", "graceful_off", "force_off")
        return gone and getattr(before, "power", None) != "off"


def canonical_power(blade: Blade) -> Blade:
    """``graceful_off`` as ``off`` with a grace and ``force_off`` as ``off`` at once, so that it can be
    compared with what is observed."""
    if blade.power == "graceful_off":
        grace = GRACE if blade.grace is None else blade.grace
        return structs.replace(blade, power="off", grace=grace)
    power = "off" if blade.power == "force_off" else blade.power
    return structs.replace(blade, power=power, grace=None)


NOUNS = (Blade,)
