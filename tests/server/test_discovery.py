"""Facts: recorded trees and outputs, this machine, and a real lldpd."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rackwright.model.facts import FoundLink
from rackwright_providers.server import discovery, lldp
from rackwright_providers.transport.local import Reader
from tests.real import parts
from tests.server import inside

LLDP = Path(__file__).parent / "data/lldp"

ONE = [("eth0", "h-bqb", "eth0")]
TWO = [("eth0", "h-bqb", "eth0"), ("eth1", "h-bqb", "eth1")]


@pytest.mark.parametrize(
    ("recording", "links"),
    [
        ("none.json", []),
        ("none.json0", []),
        ("one.json", ONE),
        ("one.json0", ONE),
        ("two.json", TWO),
        ("two.json0", TWO),
        (
            "several_on_a_port.json",
            [
                ("eth0", "phone", "00:04:f2:00:00:01"),
                ("eth0", "sw-a1", "Ethernet1"),
                ("eth1", "00:1b:54:aa:bb:02", "ge-0/0/0"),
            ],
        ),
    ],
)
def test_neighbours_of_recorded_outputs(recording: str, links: list[tuple[str, str, str]]) -> None:
    found = lldp.neighbours((LLDP / recording).read_text())
    assert found == tuple(FoundLink(port=a, peer=b, peer_port=c) for a, b, c in links)


@pytest.mark.parametrize(
    "output",
    [
        "",
        "garbage",
        "[]",
        "null",
        '{"lldp": 7}',
        '{"lldp": {"interface": ["eth0", null, {"eth0": 3}]}}',
    ],
)
def test_no_output_is_an_error(output: str) -> None:
    assert lldp.neighbours(output) == ()


def test_any_cut_of_an_output_is_no_error() -> None:
    text = (LLDP / "two.json").read_text()
    for end in range(0, len(text), 7):
        lldp.neighbours(text[:end])


def tree(base: Path, files: dict[str, str], links: dict[str, str] | None = None) -> Path:
    for name, content in files.items():
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    for name, target in (links or {}).items():
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    return base


def test_disks(tmp_path: Path) -> None:
    block = "sys/block"
    tree(
        tmp_path,
        {
            f"{block}/loop0/size": "2048",
            f"{block}/ram0/size": "2048",
            f"{block}/dm-0/size": "2048",
            f"{block}/md0/size": "2048",
            f"{block}/sr0/size": "2048",
            f"{block}/sr0/device/model": "DVD",
            f"{block}/sdb/size": "0",  # a card reader without a card
            f"{block}/sdb/device/model": "Reader",
            f"{block}/sda/size": "1953525168\n",
            f"{block}/sda/queue/rotational": "1\n",
            f"{block}/sda/device/model": "ST1000NM0011    \n",
            f"{block}/sda/device/vendor": "ATA     \n",
            f"{block}/nvme0n1/size": "1000215216",
            f"{block}/nvme0n1/queue/rotational": "0",
            f"{block}/nvme0n1/device/model": "SAMSUNG MZVLB512",
            f"{block}/nvme0n1/device/serial": "S3RGNX0K",
            f"{block}/nvme0c0n1/size": "1000215216",
            f"{block}/nvme0c0n1/hidden": "1",
            f"{block}/nvme0c0n1/device/model": "SAMSUNG MZVLB512",
            f"{block}/vda/size": "41943040",
            f"{block}/vda/serial": "disk-1",
            f"{block}/vda/queue/rotational": "1",
            f"{block}/vda/device/vendor": "0x1af4",
        },
    )
    page = b"\0\x80\0\x14            Z1N0ABCD"
    (tmp_path / block / "sda/device/vpd_pg80").write_bytes(page)
    assert discovery.disks(tmp_path) == {
        "nvme0n1": {
            "size": 512110190592,
            "model": "SAMSUNG MZVLB512",
            "serial": "S3RGNX0K",
            "rotational": False,
        },
        "sda": {
            "size": 1000204886016,
            "model": "ST1000NM0011",
            "vendor": "ATA",
            "serial": "Z1N0ABCD",
            "rotational": True,
        },
        "vda": {"size": 21474836480, "serial": "disk-1", "rotational": True},
    }
    assert list(discovery.disks(tmp_path)) == ["nvme0n1", "sda", "vda"]


def test_nics(tmp_path: Path) -> None:
    net = "sys/class/net"
    tree(
        tmp_path,
        {
            f"{net}/lo/mtu": "65536",
            f"{net}/bonding_masters": "bond0",
            f"{net}/vethab12cd3/mtu": "1500",
            f"{net}/docker0/mtu": "1500",
            f"{net}/br-0123456789ab/mtu": "1500",
            f"{net}/bond0/mtu": "9000",
            f"{net}/bond0/address": "52:54:00:00:00:01",
            f"{net}/bond0/speed": "20000",
            f"{net}/eth1/mtu": "1500",
            f"{net}/eth1/speed": "-1",
            f"{net}/eth0/mtu": "9000\n",
            f"{net}/eth0/address": "52:54:00:00:00:01\n",
            f"{net}/eth0/speed": "10000\n",
            "sys/devices/pci/eth0/vendor": "0x8086",
            "sys/bus/pci/drivers/ixgbe/bind": "",
        },
        {
            f"{net}/eth0/device": "../../../devices/pci/eth0",
            "sys/devices/pci/eth0/driver": "../../../bus/pci/drivers/ixgbe",
        },
    )
    assert discovery.nics(tmp_path, {"bond0": ["192.0.2.1/24"], "lo": ["127.0.0.1/8"]}) == {
        "bond0": {
            "mac": "52:54:00:00:00:01",
            "mtu": 9000,
            "speed": 20000,
            "addresses": ["192.0.2.1/24"],
        },
        "eth0": {
            "mac": "52:54:00:00:00:01",
            "mtu": 9000,
            "speed": 10000,
            "driver": "ixgbe",
            "addresses": [],
        },
        "eth1": {"mtu": 1500, "addresses": []},
    }


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({}, "none"),
        ({"proc/cpuinfo": "flags\t: fpu vme hypervisor sse\n"}, "vm-other"),
        ({"proc/cpuinfo": "flags\t: fpu vme\nbugs\t: no hypervisor\n"}, "none"),
        ({"sys/class/dmi/id/sys_vendor": "QEMU"}, "qemu"),
        ({"sys/class/dmi/id/product_name": "KVM", "sys/class/dmi/id/sys_vendor": "QEMU"}, "kvm"),
        ({"sys/class/dmi/id/product_name": "VMware Virtual Platform"}, "vmware"),
        ({"sys/class/dmi/id/product_name": "Virtual Machine"}, "microsoft"),
        (
            {"sys/class/dmi/id/sys_vendor": "Dell Inc.", "sys/class/dmi/id/product_name": "R640"},
            "none",
        ),
        ({"sys/hypervisor/type": "xen\n"}, "xen"),
        ({"run/systemd/container": "lxc\n", "sys/class/dmi/id/sys_vendor": "QEMU"}, "lxc"),
        ({".dockerenv": ""}, "docker"),
    ],
)
def test_virtualization(tmp_path: Path, files: dict[str, str], kind: str) -> None:
    assert discovery.virtualization(tree(tmp_path, files)) == kind


def test_firmware_that_says_nothing(tmp_path: Path) -> None:
    folder = "sys/class/dmi/id"
    tree(
        tmp_path,
        {
            f"{folder}/sys_vendor": "Dell Inc.\n",
            f"{folder}/product_serial": "ABC1234\n",
            f"{folder}/product_uuid": "4C4C4544-0032-3010-8033-B9C04F4D4D32\n",
            f"{folder}/product_name": "To Be Filled By O.E.M.\n",
            f"{folder}/board_name": "\n",
        },
    )
    assert discovery.dmi(tmp_path) == {
        "vendor": "Dell Inc.",
        "serial": "ABC1234",
        "uuid": "4C4C4544-0032-3010-8033-B9C04F4D4D32",
    }


@pytest.mark.parametrize(
    ("cpuinfo", "model"),
    [
        (
            "processor\t: 0\nmodel\t\t: 167\nmodel name\t: Intel(R)  Xeon(R) CPU\n",
            "Intel(R) Xeon(R) CPU",
        ),
        ("processor\t: 0\ncpu\t\t: POWER9, altivec supported\n", "POWER9, altivec supported"),
        ("processor\t: 0\nBogoMIPS\t: 50.00\n", None),
    ],
)
def test_cpu(tmp_path: Path, cpuinfo: str, model: str | None) -> None:
    assert discovery.cpu(tree(tmp_path, {"proc/cpuinfo": cpuinfo})).get("model") == model


@pytest.mark.parametrize(
    ("hostname", "hosts", "name"),
    [
        ("web1.example.net", "", "web1.example.net"),
        ("web1", "127.0.1.1 web1.example.net web1 # web1", "web1.example.net"),
        ("web1", "127.0.1.1 web1 web1.example.net", ""),
        ("web1", "# 127.0.1.1 web1.example.net web1\n::1 localhost\n\n", ""),
    ],
)
def test_fqdn(hostname: str, hosts: str, name: str) -> None:
    assert discovery.fqdn(hostname, hosts) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            "## generated\nInitiatorName=iqn.1993-08.org.debian:01:ab\n",
            "iqn.1993-08.org.debian:01:ab",
        ),
        ("#InitiatorName=iqn.1993-08.org.debian:01:ab\n", ""),
        ("GenerateName=yes\n", ""),
    ],
)
def test_the_name_as_an_iscsi_initiator(tmp_path: Path, text: str, name: str) -> None:
    base = tree(tmp_path, {"etc/iscsi/initiatorname.iscsi": text})
    assert discovery.iscsi_name(base) == name


def test_the_targets_that_it_is_logged_in_to(tmp_path: Path) -> None:
    files = {"etc/iscsi/initiatorname.iscsi": "InitiatorName=iqn.x:default\n"}
    for number, state, address in (
        (1, "LOGGED_IN", "10.0.0.5"),
        (2, "FAILED", "10.0.0.6"),
        (12, "LOGGED_IN", "2001:db8::5"),
    ):
        session = f"sys/class/iscsi_session/session{number}"
        connection = f"sys/class/iscsi_connection/connection{number}:0"
        files[f"{session}/targetname"] = f"iqn.x:t{number}\n"
        files[f"{session}/state"] = f"{state}\n"
        files[f"{connection}/persistent_address"] = f"{address}\n"
        files[f"{connection}/persistent_port"] = "3260\n"
    files["sys/class/iscsi_session/session12/initiatorname"] = "iqn.x:web1\n"
    found = discovery.iscsi_sessions(tree(tmp_path, files))
    assert [(one.port, one.peer, one.peer_port, one.how) for one in found] == [
        ("iqn.x:default", "iqn.x:t1", "10.0.0.5:3260", "iqn"),
        ("iqn.x:web1", "iqn.x:t12", "[2001:db8::5]:3260", "iqn"),
    ]
    assert discovery.iscsi_sessions(tmp_path / "nothing") == ()


def test_this_machine_is_the_same_twice_and_plain_data() -> None:
    first = discovery.discover(Reader())
    time.sleep(0.01)
    second = discovery.discover(Reader())
    assert msgspec.json.encode(first) == msgspec.json.encode(second)
    values: dict[str, Any] = json.loads(msgspec.json.encode(first))["values"]
    assert values["hostname"] == os.uname().nodename
    assert values["kernel"] == os.uname().release
    assert values["cpu"]["count"] >= 1
    assert values["memory"]["total"] > 1 << 20
    assert values["platform"]["system"] == "Linux"
    assert values["platform"]["distribution"]
    assert "lo" not in values["nics"]
    assert list(values) == sorted(values)


@pytest.fixture
def neighbours(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Two hosts with a cable between eth0 and eth0, and lldpd on each: namespace by name."""
    reason = parts.no_namespaces() or parts.missing("lldpd", "lldpcli", "unshare", "nsenter")
    if reason:
        pytest.skip(reason)
    with ExitStack() as stack:
        a, b = (stack.enter_context(parts.namespace(role)) for role in ("lldp-a", "lldp-b"))
        parts.cable(a, "eth0", b, "eth0")
        pids = {}
        for name, ns in (("host-a", a), ("host-b", b)):
            # Sockets and pid file are in /run, so each has a /run of its own; its hostname too.
            start = f"hostname {name} && mount -t tmpfs none /run && exec lldpd -d -I eth0"
            argv = ["unshare", "-u", "-m", "sh", "-c", start]
            process = stack.enter_context(parts.daemon(argv, tmp_path / name, ns=ns))
            pids[name] = str(process.pid)
        for pid in pids.values():
            parts.until(Path(f"/proc/{pid}/root/run/lldpd.socket").exists, what="lldpd's socket")
            parts.command([*enter(pid), "lldpcli", "configure", "lldp", "tx-interval", "1"])
        yield pids


def enter(pid: str) -> list[str]:
    return ["nsenter", "-t", pid, "-m", "-n", "-u"]


@pytest.mark.root
@pytest.mark.apt
def test_a_real_lldpd(neighbours: dict[str, str]) -> None:
    for name, other in (("host-a", "host-b"), ("host-b", "host-a")):

        def seen(pid: str = neighbours[name], other: str = other) -> bool:
            parts.command([*enter(neighbours[other]), "lldpcli", "update"])  # send it now
            return other in parts.command([*enter(pid), "lldpcli", "show", "neighbors"])

        parts.until(seen, 45.0, f"{other} is seen")
        inside.call("", see, other, wrapper=enter(neighbours[name]))


def see(other: str) -> None:
    """Beside an lldpd: discovery sees ``other``, and which of its ports."""
    facts = discovery.discover(Reader())
    assert facts.links == (FoundLink(port="eth0", peer=other, peer_port="eth0"),)
    assert list(facts.values["nics"]) == ["eth0"]
    assert facts.values["nics"]["eth0"]["speed"] == 10000
    assert "default_route" not in facts.values
