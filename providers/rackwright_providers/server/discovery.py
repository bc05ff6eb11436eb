"""Facts about this server: what it is, not how it is doing.

Nothing here changes by itself: a changed fact makes the store render again. /proc and /sys are read
below ``base``, so that a recorded tree can be read as well; addresses, sizes and counts come from
psutil, the distribution from distro.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rackwright.model.errors import RackwrightError
from rackwright.model.facts import Facts, FoundLink
from rackwright_providers.server import lldp
from rackwright_providers.server.gateways import default_routes

if TYPE_CHECKING:
    from rackwright_providers.transport.local import Reader

SECTOR = 512
"""Bytes that /sys/block/*/size counts by, whatever the disk's own sectors (sysfs-block)."""

_NOT_OURS = re.compile(r"lo$|((veth|cali|lxc|vnet|tap)[0-9a-f]|docker|virbr|br-[0-9a-f]{12}$)")
"""Interfaces that container and VM managers make and take away as they please."""

_DMI = {
    "vendor": "sys_vendor",
    "product": "product_name",
    "serial": "product_serial",
    "uuid": "product_uuid",
    "board": "board_name",
    "bios": "bios_version",
}
"""Fact → file of /sys/class/dmi/id."""

_UNKNOWN = frozenset(
    [
        "",
        "none",
        "not specified",
        "to be filled by o.e.m.",
        "default string",
        "system serial number",
    ]
)
"""What firmware says when nobody has told it (lower case)."""

# How the values of /sys/class/dmi/id begin on a virtual machine, as systemd-detect-virt(1) has them.
_HYPERVISORS = (
    ("KVM", "kvm"),
    ("OpenStack", "kvm"),
    ("KubeVirt", "kvm"),
    ("Amazon EC2", "amazon"),
    ("QEMU", "qemu"),
    ("VMware", "vmware"),
    ("VMW", "vmware"),
    ("innotek GmbH", "oracle"),
    ("VirtualBox", "oracle"),
    ("Xen", "xen"),
    ("Bochs", "bochs"),
    ("Parallels", "parallels"),
    ("BHYVE", "bhyve"),
    ("Hyper-V", "microsoft"),
    ("Virtual Machine", "microsoft"),
    ("Apple Virtualization", "apple"),
    ("Google Compute Engine", "google"),
)


def discover(host: Reader) -> Facts:
    """What the running machine is (also under ``--root``), and its LLDP neighbours. Two looks at an
    unchanged machine are equal."""
    base = Path("/")
    values: dict[str, Any] = {
        "hostname": os.uname().nodename,
        "kernel": os.uname().release,
        "platform": _platform(),
        "cpu": cpu(base) | _cpu_counts(),
        "memory": _memory(),
        "disks": disks(base),
        "nics": nics(base, _addresses()),
        "virtualization": virtualization(base),
        "dmi": dmi(base),
    }
    initiator = iscsi_name(base)
    if initiator:
        values["iscsi"] = {"initiator": initiator}
    name = fqdn(values["hostname"], _text(base / "etc/hosts"))
    if name:
        values["fqdn"] = name
    for key, family in (("default_route", 4), ("default_route6", 6)):
        for route in default_routes(base, family)[:1]:
            values[key] = {"dev": route.dev, "via": route.via}
    links = (*_neighbours(host), *iscsi_sessions(base))
    return Facts(values=dict(sorted(values.items())), links=tuple(sorted(links)))


def fqdn(hostname: str, hosts: str) -> str:
    """The full name, as far as /etc/hosts (its text) knows it; nobody is asked. Empty if unknown."""
    if "." in hostname:
        return hostname
    for line in hosts.splitlines():
        names = line.partition("#")[0].split()[1:]
        if hostname in names and "." in names[0]:
            return names[0]
    return ""


def cpu(base: Path) -> dict[str, Any]:
    """The model, by the name that each architecture has for it."""
    for line in _text(base / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Processor", "cpu", "cpu model") and value.strip():
            return {"model": " ".join(value.split())}
    return {}


def disks(base: Path) -> dict[str, dict[str, Any]]:
    """Disks with a device behind them, by name: no loops, RAM disks, optical drives or parts of
    others (RAID, LVM). ``size`` in bytes."""
    found = {}
    for path in _entries(base / "sys/block"):
        size = _number(path / "size")
        if not (path / "device").exists() or path.name.startswith(("sr", "fd")) or not size:
            continue
        if _text(path / "hidden") == "1":  # one path of a multipath NVMe
            continue
        serial = _text(path / "device/serial") or _text(path / "serial")
        found[path.name] = _known(
            size=size * SECTOR,
            model=_text(path / "device/model"),
            vendor=_text(path / "device/vendor") if path.name.startswith("sd") else "",
            serial=serial or _unit_serial(path / "device/vpd_pg80"),
            rotational=_text(path / "queue/rotational") == "1",
        )
    return found


def nics(base: Path, addresses: Mapping[str, list[str]]) -> dict[str, dict[str, Any]]:
    """Interfaces by name, without the loopback and those of containers and VMs. ``speed`` in Mbit/s,
    left out while there is no link."""
    found = {}
    for path in _entries(base / "sys/class/net"):
        physical = (path / "device").exists()
        if not path.is_dir() or (not physical and _NOT_OURS.match(path.name)):
            continue
        speed = _number(path / "speed")
        driver = path / "device/driver"
        found[path.name] = _known(
            mac=_text(path / "address"),
            mtu=_number(path / "mtu"),
            speed=speed if speed and speed > 0 else None,
            driver=driver.resolve().name if driver.exists() else "",
            addresses=addresses.get(path.name, []),
        )
    return found


def dmi(base: Path) -> dict[str, str]:
    """Vendor, product, serial number …, as far as the firmware says and we may read it."""
    return {
        fact: value
        for fact, file in _DMI.items()
        for value in (_text(base / "sys/class/dmi/id" / file),)
        if value.lower() not in _UNKNOWN
    }


def iscsi_name(base: Path) -> str:
    """The iSCSI name of this machine as an initiator, from open-iscsi's file (iscsid(8)), which only
    root may read; empty where there is none."""
    found = re.search(
        r"^InitiatorName=(\S+)", _text(base / "etc/iscsi/initiatorname.iscsi"), re.MULTILINE
    )
    return found[1] if found else ""


def iscsi_sessions(base: Path) -> tuple[FoundLink, ...]:
    """The targets that this machine is logged in to, each at its portal, as scsi_transport_iscsi shows
    them (Linux, drivers/scsi/scsi_transport_iscsi.c). Our end is called by our iSCSI name."""
    found = set()
    for session in _entries(base / "sys/class/iscsi_session"):
        target = _text(session / "targetname")
        ours = _text(session / "initiatorname") or iscsi_name(base)
        if _text(session / "state") != "LOGGED_IN" or not target or not ours:
            continue
        number = session.name.removeprefix("session")
        for connection in _entries(base / "sys/class/iscsi_connection"):
            if connection.name.startswith(f"connection{number}:"):
                address = _text(connection / "persistent_address")
                host = f"[{address}]" if ":" in address else address
                portal = f"{host}:{_text(connection / 'persistent_port')}"
                found.add(FoundLink(port=ours, peer=target, peer_port=portal, how="iqn"))
    return tuple(sorted(found))


def virtualization(base: Path) -> str:
    """The container manager or hypervisor by systemd-detect-virt's name for it, or ``none``."""
    container = _text(base / "run/systemd/container")
    if container:
        return container
    for file, manager in (("run/.containerenv", "podman"), (".dockerenv", "docker")):
        if (base / file).exists():
            return manager
    if _text(base / "sys/hypervisor/type") == "xen":
        return "xen"
    for file in ("product_name", "sys_vendor", "board_vendor", "bios_vendor", "product_version"):
        value = _text(base / "sys/class/dmi/id" / file)
        for prefix, name in _HYPERVISORS:
            if value.startswith(prefix):
                return name
    flags = re.search(r"^flags\s*:.*\bhypervisor\b", _text(base / "proc/cpuinfo"), re.MULTILINE)
    return "vm-other" if flags else "none"


def _platform() -> dict[str, str]:
    import distro

    # lsb_release and uname would be commands to run; os-release has all of it.
    found = distro.LinuxDistribution(include_lsb=False, include_uname=False)
    system, _, _, _, machine = os.uname()
    return _known(system=system, distribution=found.id(), version=found.version(), machine=machine)


def _cpu_counts() -> dict[str, int]:
    import psutil

    return _known(count=psutil.cpu_count(), physical=psutil.cpu_count(logical=False))


def _memory() -> dict[str, int]:
    import psutil

    return {"total": psutil.virtual_memory().total}


def _addresses() -> dict[str, list[str]]:
    """``address/length`` by interface; without IPv6 link-local ones, which are of no use elsewhere."""
    import psutil

    found: dict[str, list[str]] = {}
    for name, entries in psutil.net_if_addrs().items():
        known = []
        for entry in entries:
            try:
                address = ipaddress.ip_address(entry.address.partition("%")[0])
                mask = int(ipaddress.ip_address(entry.netmask or "none"))
            except ValueError:  # a MAC address, or without a mask
                continue
            if not (address.version == 6 and address.is_link_local):
                known.append((address.version, int(address), f"{address}/{mask.bit_count()}"))
        found[name] = [text for *_, text in sorted(known)]
    return found


def _neighbours(host: Reader) -> tuple[FoundLink, ...]:
    """What lldpd has heard; nothing where there is none, or we may not ask it."""
    if not shutil.which("lldpcli"):
        return ()
    try:
        answer = host.probe(["lldpcli", "-f", "json", "show", "neighbors"], timeout=5)
    except RackwrightError:
        return ()
    return lldp.neighbours(answer.out) if answer.code == 0 else ()


def _known(**facts: Any) -> dict[str, Any]:
    """Those that are known."""
    return {name: value for name, value in facts.items() if value not in (None, "")}


def _entries(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(folder.iterdir())
    except OSError:
        return


def _text(path: Path) -> str:
    """Empty when it is not there, may not be read, or is about to say nothing (EINVAL)."""
    try:
        return path.read_text(errors="replace").strip("\0 \t\r\n")
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    try:
        return int(_text(path))
    except ValueError:
        return None


def _unit_serial(path: Path) -> str:
    """The SCSI unit serial number page (SPC-4, 7.8.18): four octets of header, then the text."""
    try:
        return path.read_bytes()[4:].decode("ascii", "replace").strip("\0 ")
    except OSError:
        return ""
