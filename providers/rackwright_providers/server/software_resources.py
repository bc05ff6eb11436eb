"""The nouns of what a server runs: packages, units, jobs, commands, delegates."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from msgspec import Meta
from msgspec.structs import force_setattr

from rackwright.model.address import NODE_NAME, Address
from rackwright.model.resource import Resource
from rackwright_providers.server.resource_words import (
    ABSOLUTE,
    ACCOUNT,
    END,
    ONE_LINE,
    SECONDS,
    above,
    require,
)

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*(:[a-z0-9-]+)?")
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")


class Package(Resource, frozen=True, kw_only=True):
    """A package of the distribution's own manager (apt or dnf)."""

    kind: ClassVar[str] = "package"

    version: Annotated[str, Meta(pattern=rf"^[A-Za-z0-9.+:~^_-]+{END}")] | None = None
    """Exactly this version, as the manager spells it. Undeclared: any; what is there is kept."""

    def __post_init__(self) -> None:
        require(_PACKAGE.fullmatch(self.name), f"{self.name!r} cannot be a package's name")


class Service(Resource, frozen=True, kw_only=True):
    """A systemd unit; without a suffix it is a ``.service``. It is never made or removed."""

    kind: ClassVar[str] = "service"
    fixture: ClassVar[bool] = True
    directives: ClassVar[frozenset[str]] = frozenset({"on_notify"})

    state: Literal["running", "stopped"] | None = None
    enabled: bool | None = None
    """Started at boot."""
    on_notify: Literal["restart", "reload"] = "restart"
    """What happens once, at the end of a run, when a resource that notifies it has changed."""

    def __post_init__(self) -> None:
        good = _UNIT.fullmatch(self.name) and not self.name.startswith("-")
        require(good, f"{self.name!r} cannot be a unit's name")

    @property
    def unit(self) -> str:
        """The unit's full name."""
        suffix = self.name.rpartition(".")[2]
        return self.name if suffix in _UNIT_TYPES else f"{self.name}.service"


_UNIT_TYPES = frozenset(  # systemd.unit(5)
    [
        "service",
        "socket",
        "device",
        "mount",
        "automount",
        "swap",
        "target",
        "path",
        "timer",
        "slice",
        "scope",
    ]
)


class Cron(Resource, frozen=True, kw_only=True):
    """A cron job, in a file of its own: ``/etc/cron.d/rackwright-NAME``."""

    kind: ClassVar[str] = "cron"

    schedule: (
        Annotated[
            str,
            Meta(
                pattern=r"^(@(reboot|yearly|annually|monthly|weekly|daily|midnight|hourly)"
                rf"|[^\s@]+( +[^\s]+){{4}}){END}",
                description="five fields, or one of @hourly, @daily, @reboot …",
            ),
        ]
        | None
    ) = None
    """Minute, hour, day, month, weekday; or ``@daily`` and the like."""
    command: Annotated[str, ONE_LINE] | None = None
    """A shell command. As ever in crontabs, ``%`` must be written ``\\%``."""
    user: Annotated[str, ACCOUNT] | None = None
    """Who runs it; root when undeclared."""
    environment: dict[str, Annotated[str, ONE_LINE]] | None = None
    """Variables for the command; all of them."""

    def __post_init__(self) -> None:
        good = _IDENTIFIER.fullmatch(self.name)  # cron skips files whose names have other signs
        require(good, f"{self.name!r} cannot be a cron job's name: letters, digits, '_' and '-'")
        if self.ensure == "present":
            require(self.schedule and self.command, "a cron job needs a schedule and a command")
        if self.schedule:
            force_setattr(self, "schedule", " ".join(self.schedule.split()))
        for key in self.environment or {}:
            good = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key)
            require(good, f"{key!r} cannot be a variable's name")

    @property
    def path(self) -> str:
        """The job's file."""
        return f"/etc/cron.d/rackwright-{self.name}"

    def implied_needs(self) -> tuple[Address, ...]:
        return (Address("user", self.user or "root"), *above(self.path))


class Exec(Resource, frozen=True, kw_only=True):
    """A command that runs when it is needed: until ``creates`` is there or ``unless`` succeeds,
    and once whenever a resource that notifies it has changed. Its name is any identifier.

    A plan does not evaluate ``unless`` and ``only_if``: it says that the command would run unless.
    """

    kind: ClassVar[str] = "exec"
    fixture: ClassVar[bool] = True
    directives: ClassVar[frozenset[str]] = frozenset(
        ["creates", "unless", "only_if", "cwd", "user", "environment", "timeout"]
    )

    command: str | None = None
    """For ``/bin/sh -c``. Always needed. Observed: empty while it is still to run."""
    creates: Annotated[str, ABSOLUTE] | None = None
    """What it makes: it does not run when this path exists."""
    unless: str | None = None
    """It does not run when this command succeeds. ``true``: it runs only when notified."""
    only_if: str | None = None
    """It runs only when this command succeeds."""
    cwd: Annotated[str, ABSOLUTE] | None = None
    """Working directory of all three commands; ``/`` when undeclared."""
    user: Annotated[str, ACCOUNT] | None = None
    """Who runs all three commands; who runs the agent when undeclared."""
    environment: dict[str, str] | None = None
    """Variables beside the usual ones."""
    timeout: Annotated[float, SECONDS] = 300.0
    """Seconds."""

    def __post_init__(self) -> None:
        require(self.command is not None, "an exec needs a command")
        require(
            self.creates or self.unless,
            "an exec needs creates or unless: how else would it know that it is done?",
        )

    def implied_needs(self) -> tuple[Address, ...]:
        user = [Address("user", self.user)] if self.user else []
        where = [Address("directory", self.cwd), *above(self.cwd)] if self.cwd else []
        return (*user, *where)


class Delegate(Resource, frozen=True, kw_only=True):
    """A managed node that this admin host converges. The store declares it, where it places the node;
    its name is the node's."""

    kind: ClassVar[str] = "delegate"
    listed: ClassVar[bool] = True

    state: Literal["running"] = "running"
    """Observed as nothing while it is half there: declared here without a daemon that has taken it up,
    or taken away and not let go yet."""

    def __post_init__(self) -> None:
        require(NODE_NAME.fullmatch(self.name), f"{self.name!r} cannot be a node's name")

    def implied_needs(self) -> tuple[Address, ...]:
        return (Address("service", "rackwright-delegates"),)
