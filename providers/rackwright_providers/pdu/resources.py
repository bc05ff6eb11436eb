"""The nouns of power distribution units."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from rackwright.model.resource import Resource

SECONDS = Meta(ge=-1, le=7200)


class Outlet(Resource, frozen=True, kw_only=True):
    """An outlet; its name in the address is its number: ``outlet/3``. It is always there."""

    kind: ClassVar[str] = "outlet"
    fixture: ClassVar[bool] = True

    state: Literal["on", "off"] | None = None
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
        if not (self.name.isascii() and self.name.isdecimal() and 1 <= int(self.name) <= 999):
            raise ValueError(f"an outlet's name is its number, 1 to 999, not {self.name!r}")

    @property
    def index(self) -> int:
        """The outlet's number."""
        return int(self.name)

    def severs(self, before: Resource | None) -> bool:
        return self.state == "off" and getattr(before, "state", None) != "off"


NOUNS = (Outlet,)
