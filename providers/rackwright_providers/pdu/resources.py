"""The nouns of power distribution units."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from rackwright.model.resource import Resource

SECONDS = Meta(ge=-1, le=7200)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Outlet(Resource, frozen=True, kw_only=True):
    """An outlet; its name in the address is its number: ``outlet/3``. It is always there.

    Where several units are chained or a unit counts its outlets by feed, the first unit's are numbers
    and the others have the whole index: ``outlet/2.3``, see the platform. Where outlets are told by
    names, it is that: ``outlet/web1``.
    """

    kind: ClassVar[str] = "outlet"
    fixture: ClassVar[bool] = True
    linked: ClassVar[bool] = True
    directives: ClassVar[frozenset[str]] = frozenset({"power"})

    state: Literal["on", "off"] | None = None
    power: Literal["force_off"] | None = None
    """With ``state: off``: also when a node that answers has no other live feed."""
    label: Annotated[str, Meta(max_length=63)] | None = None
    """The outlet's name on the unit."""
    on_delay: Annotated[int, SECONDS] | None = None
    """Seconds from the unit's own start, or from a delayed command, to this outlet's power; -1 means
    never. ``state`` is switched at once."""
    off_delay: Annotated[int, SECONDS] | None = None
    """Seconds from a delayed command to this outlet's end of power; -1 means never."""
    reboot_delay: Annotated[int, Meta(ge=0, le=7200)] | None = None
    """Seconds without power during a reboot."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(
                f"an outlet's name is its number (2.3 in a chain of units) or its node's name, "
                f"not {self.name!r}"
            )

    @property
    def index(self) -> int:
        """The outlet's number on its unit. Raises ValueError where outlets have names."""
        return int(self.name.rpartition(".")[2])

    def severs(self, before: Resource | None) -> bool:
        return self.state == "off" and getattr(before, "state", None) != "off"


NOUNS = (Outlet,)
"""PDUs."""
