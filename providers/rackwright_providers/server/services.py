"""Services, by systemd. Commands, properties and their values: systemctl(1), org.freedesktop.systemd1(5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Permanent
from rackwright.model.resource import Resource
from rackwright_providers.server.handler import LocalStep
from rackwright_providers.server.software_resources import Service
from rackwright_providers.transport.local import Host, Reader

RUNNING = frozenset({"active", "reloading", "refreshing"})
"""ActiveState of a unit that is up. One that is ``activating`` has not come up yet."""
ENABLED = frozenset({"enabled", "static", "alias", "indirect", "generated", "transient"})
"""UnitFileState for which ``systemctl is-enabled`` succeeds, runtime ones left out: they do not
outlive a boot."""

_SHOW = ("systemctl", "show", "--property=LoadState,ActiveState,UnitFileState", "--")
_TIMEOUT = 300.0


class ServiceHandler:
    """`Service`. A unit that is not there (yet) reads as stopped and not enabled: its package may
    come in the same run."""

    nouns: tuple[type[Resource], ...] = (Service,)
    root_only_files = False

    def read(self, host: Reader, wanted: Sequence[Resource]) -> Mapping[Address, Resource]:
        services = [one for one in wanted if isinstance(one, Service)]
        if not services:
            return {}
        try:
            shown = host.probe([*_SHOW, *(one.unit for one in services)])
        except Permanent:
            return {one.address: Service(name=one.name) for one in services}
        blocks = [properties(block) for block in shown.out.strip().split("\n\n")]
        if shown.code != 0 or len(blocks) != len(services):
            # Could not be read: whatever is done to one then fails with systemd's own words.
            return {one.address: Service(name=one.name) for one in services}
        return {
            one.address: observed(one, block) for one, block in zip(services, blocks, strict=True)
        }

    def render(self, changes: Sequence[Change]) -> Sequence[LocalStep]:
        return [step for change in changes for step in _steps(change)]


def properties(block: str) -> dict[str, str]:
    """``Name=value`` lines as a mapping."""
    return {key: value for key, _, value in (line.partition("=") for line in block.splitlines())}


def observed(wanted: Service, shown: Mapping[str, str]) -> Service:
    """``wanted`` as its properties say that it is."""
    state: Literal["running", "stopped"] = (
        "running" if shown.get("ActiveState") in RUNNING else "stopped"
    )
    return Service(
        name=wanted.name,
        state=state,
        enabled=shown.get("UnitFileState") in ENABLED,
        on_notify=wanted.on_notify,
    )


def _steps(change: Change) -> list[LocalStep]:
    service = change.after
    if not isinstance(service, Service):
        return []  # a service is never removed
    if change.action == "notify":
        if service.state == "stopped":
            return []
        # What is not running is not started by a notification, only by `state: running`.
        restart = "restart" if service.state == "running" else "try-restart"
        verbs = ["reload" if service.on_notify == "reload" else restart]
    else:
        verbs = []
        if "enabled" in change.field_names:
            verbs.append("enable" if service.enabled else "disable")
        if "state" in change.field_names:
            verbs.append("start" if service.state == "running" else "stop")
    if not verbs:
        return []
    text = "; ".join(f"systemctl {verb} {service.unit}" for verb in verbs)
    return [
        Systemctl(addresses=(change.address,), text=text, unit=service.unit, verbs=tuple(verbs))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Systemctl(LocalStep):
    """``systemctl`` verbs for one unit, after a daemon-reload when its file has changed."""

    unit: str
    verbs: tuple[str, ...]

    def apply(self, host: Host) -> None:
        shown = host.probe(["systemctl", "show", "--property=NeedDaemonReload", "--", self.unit])
        if properties(shown.out).get("NeedDaemonReload") == "yes":
            host.run(["systemctl", "daemon-reload"], timeout=_TIMEOUT)
        for verb in self.verbs:
            host.run(["systemctl", "--no-ask-password", verb, "--", self.unit], timeout=_TIMEOUT)
