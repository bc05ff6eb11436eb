"""Redfish resources as values, and what is sent for a change. Pure.

Names and values are those of DMTF's schemas (DSP8010), of ``ComputerSystem`` where nothing else is
said: AssetTag, PowerState, Boot, ``#ComputerSystem.Reset``; DSP0266 has the protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import msgspec

from rackwright.model import typed
from rackwright.model.errors import Rejected
from rackwright_providers.chassis.resources import Blade

ROOT = "/redfish/v1/"
"""The service root; it may be read without credentials."""

Boot = Literal["none", "pxe", "disk", "cdrom", "usb", "bios"]

BOOT: Mapping[Boot, tuple[str, ...]] = {
    "none": ("None",),
    "pxe": ("Pxe",),
    "disk": ("Hdd",),
    "cdrom": ("Cd", "CD/DVD"),
    "usb": ("Usb", "UsbKey"),
    "bios": ("BiosSetup",),
}
"""BootSourceOverrideTarget: the schema's value, then what a service with Redfish 1.0 calls it (a
recorded Supermicro X10)."""
BOOT_BY_TARGET: Mapping[str, Boot] = {
    target: boot for boot, targets in BOOT.items() for target in targets
}

RESETS: Mapping[str, tuple[str, ...]] = {
    "on": ("On", "ForceOn"),
    "off": ("ForceOff",),
    "graceful": ("GracefulShutdown",),
}
"""ResetType, the first that the system allows. PushPowerButton is none of them: it does one thing to
a system that is on and another to one that is off."""

POWER: Mapping[str, Literal["on", "off"]] = {"On": "on", "Off": "off"}
"""PowerState; anything else is on its way."""


class System(msgspec.Struct, frozen=True, kw_only=True):
    """A ComputerSystem as it was read."""

    path: str
    id: str
    name: str = ""
    etag: str = ""
    power: str = ""
    """PowerState."""
    label: str | None = None
    """AssetTag; None where the system has none."""
    boot: Boot | None = None
    """None: a target that we have no word for."""
    targets: tuple[str, ...] = ()
    """BootSourceOverrideTarget's allowable values; empty when it does not say."""
    modes: tuple[str, ...] = ()
    """BootSourceOverrideEnabled's, likewise."""
    reset: str = ""
    """Path of ComputerSystem.Reset; empty where it cannot be."""
    resets: tuple[str, ...] = ()
    """ResetType's allowable values; empty when it does not say."""
    reset_info: str = ""
    """Path of the ActionInfo that says it instead."""
    data: Mapping[str, Any] = {}

    def blade(self, name: str) -> Blade:
        """As the resource ``name``."""
        return Blade(name=name, power=POWER.get(self.power), label=self.label, boot=self.boot)

    def resets_for(self, what: str) -> str:
        """The ResetType for a key of `RESETS`; empty where the system allows none."""
        return next((one for one in RESETS[what] if not self.resets or one in self.resets), "")


def system(data: Any, etag: str = "") -> System:
    """Out of its JSON. Raises Rejected when it is no ComputerSystem."""
    data = entry(data)
    path, name = text(data, "@odata.id"), text(data, "Id")
    if not path or not name:
        raise Rejected("a system has no @odata.id or no Id", output=str(data)[:200])
    boot = entry(data.get("Boot"))
    action = entry(entry(data.get("Actions")).get("#ComputerSystem.Reset"))
    return System(
        path=path,
        id=name,
        name=text(data, "Name"),
        etag=etag or text(data, "@odata.etag"),
        power=text(data, "PowerState"),
        # null is how a service says that there is a tag and nothing on it.
        label=text(data, "AssetTag").strip() if "AssetTag" in data else None,
        boot=_boot(boot),
        targets=texts(boot.get("BootSourceOverrideTarget@Redfish.AllowableValues")),
        modes=texts(boot.get("BootSourceOverrideEnabled@Redfish.AllowableValues")),
        reset=text(action, "target"),
        resets=texts(action.get("ResetType@Redfish.AllowableValues")),
        reset_info=text(action, "@Redfish.ActionInfo"),
        data=data,
    )


def _boot(boot: Mapping[str, Any]) -> Boot | None:
    """What it starts from until told otherwise: an override for the next start only is none."""
    enabled, target = (
        text(boot, "BootSourceOverrideEnabled"),
        text(boot, "BootSourceOverrideTarget"),
    )
    if enabled in ("Disabled", "Once") or target == "None":
        return "none"
    return BOOT_BY_TARGET.get(target) if enabled == "Continuous" else None


def boot_change(boot: Boot, target: System) -> dict[str, Any]:
    """The body of the PATCH. Raises Rejected for what the system does not allow."""
    if boot == "none":
        return {"Boot": {"BootSourceOverrideEnabled": "Disabled"}}
    known = [one for one in BOOT[boot] if not target.targets or one in target.targets]
    if not known:
        allowed = ", ".join(target.targets)
        raise Rejected(f"{target.id} does not start from {BOOT[boot][0]}; it allows {allowed}")
    if target.modes and "Continuous" not in target.modes:
        allowed = ", ".join(target.modes)
        raise Rejected(f"{target.id} takes a boot device only as {allowed}, not Continuous")
    return {
        "Boot": {"BootSourceOverrideEnabled": "Continuous", "BootSourceOverrideTarget": known[0]}
    }


def action_values(data: Any) -> tuple[str, ...]:
    """ResetType's allowable values in an ActionInfo."""
    for parameter in entry(data).get("Parameters") or ():
        if text(entry(parameter), "Name") == "ResetType":
            return texts(entry(parameter).get("AllowableValues"))
    return ()


def members(data: Any) -> tuple[Mapping[str, Any], ...]:
    """Of a collection."""
    return tuple(entry(item) for item in entry(data).get("Members") or ())


def expands(root: Any) -> bool:
    """Whether a collection is answered with its members in it for ``$expand=.($levels=1)``."""
    features = entry(entry(root).get("ProtocolFeaturesSupported"))
    return entry(features.get("ExpandQuery")).get("NoLinks") is True


def says(body: str) -> str:
    """The words in the body of an error: the messages of its ExtendedInfo, or its own."""
    try:
        error = entry(entry(typed.decode(body, object)).get("error"))
    except (msgspec.DecodeError, RecursionError):
        return ""
    info = error.get("@Message.ExtendedInfo")
    items: Sequence[Any] = info if isinstance(info, list) else [info]
    told = [text(entry(item), "Message") for item in items]
    return " ".join(one for one in told if one) or text(error, "message")


def link(data: Any, *names: str) -> str:
    """The ``@odata.id`` at the end of ``names``; empty where there is none."""
    for name in names:
        data = entry(data).get(name)
    return text(entry(data), "@odata.id")


def entry(value: Any) -> Mapping[str, Any]:
    """``value`` if it is an object, else an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def text(data: Mapping[str, Any], name: str) -> str:
    """``name`` of ``data`` if it is a string, else an empty one."""
    found = data.get(name)
    return found if isinstance(found, str) else ""


def texts(value: Any) -> tuple[str, ...]:
    """The strings in ``value`` if it is an array."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
