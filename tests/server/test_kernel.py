"""Kernel parameters: names, files, and a live one (in a network namespace of its own)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rackwright.model.change import Change
from rackwright.model.errors import Rejected
from rackwright_providers.server import kernel
from rackwright_providers.server.kernel import SysctlHandler
from rackwright_providers.server.kernel_resources import Sysctl
from rackwright_providers.transport.local import Host
from tests.server import inside

HANDLER = SysctlHandler()


@pytest.mark.parametrize(
    ("name", "path", "file"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward", "net.ipv4.ip_forward"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward", "net.ipv4.ip_forward"),
        # sysctl.d(5): the two separators trade places when the dot comes first.
        ("net.ipv4.conf.eth0/1.mtu", "net/ipv4/conf/eth0.1/mtu", "net.ipv4.conf.eth0%2e1.mtu"),
        ("net/ipv4/conf/eth0.1/mtu", "net/ipv4/conf/eth0.1/mtu", "net.ipv4.conf.eth0%2e1.mtu"),
        ("net.ipv4.conf.*.rp_filter", "net/ipv4/conf/*/rp_filter", "net.ipv4.conf.%2a.rp_filter"),
        ("a.//.//.b", "a/b", "a.b"),  # would climb out of /proc/sys
    ],
)
def test_a_name_is_one_path_and_one_file_however_it_is_spelled(
    name: str, path: str, file: str
) -> None:
    assert "/".join(kernel.parts(name)) == path
    assert kernel.file_of(name) == f"/etc/sysctl.d/90-rackwright-{file}.conf"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("net.ipv4.ip_forward = 1\n", "1"),
        ("net/ipv4/ip_forward=1", "1"),
        ("-net.ipv4.ip_forward = 1\n", "1"),
        ("# net.ipv4.ip_forward = 1\n", ""),
        ("; net.ipv4.ip_forward = 1\n", ""),
        ("net.ipv4.ip_forward = 0\nnet.ipv4.ip_forward =  1  \n", "1"),
        ("net.ipv4.ip_forwarding = 1\n\ngarbage\n=\n", ""),
    ],
)
def test_value_in_a_file(text: str, value: str) -> None:
    assert kernel.value_in(text, "net.ipv4.ip_forward") == value


@pytest.mark.parametrize("name", ["net.ipv4.ip_forward", "net/ipv4/conf/eth0.1/mtu", "a.b.*.c"])
def test_what_is_written_is_what_is_read(name: str) -> None:
    assert (
        kernel.value_in(kernel.file_text(name, "4096 87380 6291456"), name) == "4096 87380 6291456"
    )


def converge(host: Host, resource: Sysctl) -> str:
    """The steps that it took, as text."""
    before = HANDLER.read(host, [resource]).get(resource.address)
    if before == resource:
        return ""
    action = "update" if before else "create"
    steps = HANDLER.render(
        [Change(action, resource.address, before=before, after=resource)]  # type: ignore[arg-type]
    )
    for step in steps:
        step.apply(host)
    assert HANDLER.read(host, [resource])[resource.address] == resource
    return "\n".join(step.text for step in steps)


def remove(host: Host, resource: Sysctl) -> None:
    for step in HANDLER.render([Change("remove", resource.address, before=resource)]):
        step.apply(host)


def test_under_a_root_it_is_the_file_alone(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    host = Host(tmp_path)
    wanted = Sysctl(name="vm.swappiness", value=10)
    assert "sysctl -w 'vm.swappiness=10'" in converge(host, wanted)
    file = tmp_path / "etc/sysctl.d/90-rackwright-vm.swappiness.conf"
    assert file.read_text().splitlines()[1] == "vm.swappiness = 10"
    assert converge(host, wanted) == ""
    assert converge(host, Sysctl(name="vm/swappiness", value="20"))
    assert "vm.swappiness = 20" in file.read_text()
    file.write_text("vm.swappiness = 30\n")
    assert converge(host, Sysctl(name="vm.swappiness", value="20"))
    remove(host, wanted)
    assert not file.exists()
    assert HANDLER.read(host, [wanted]) == {}


def live(folder: str) -> None:
    """Run in a network namespace of its own; net.* are its own there."""
    kernel.FOLDER = folder
    host = Host(Path("/"))
    wanted = Sysctl(name="net.ipv4.tcp_rmem", value="4096 65536 1000000")
    path = Path("/proc/sys/net/ipv4/tcp_rmem")
    assert converge(host, wanted)
    assert path.read_text() == "4096\t65536\t1000000\n"  # the kernel's spelling
    assert converge(host, wanted) == ""
    path.write_text("4096 65536 2000000")  # somebody else's
    assert converge(host, wanted)
    assert "1000000" in path.read_text()
    file = Path(kernel.file_of(wanted.name))
    file.unlink()
    assert converge(host, wanted)
    assert file.exists()
    remove(host, wanted)
    assert path.read_text() == "4096\t65536\t1000000\n"  # until the next boot

    every = Sysctl(name="net.ipv4.conf.*.rp_filter", value=2)
    assert converge(host, every)
    paths = list(Path("/proc/sys/net/ipv4/conf").glob("*/rp_filter"))
    assert len(paths) >= 3  # all, default, lo
    assert {one.read_text() for one in paths} == {"2\n"}

    for name, value in (("net.ipv4.ip_forward", "many"), ("net.ipv4.no_such_thing", "1")):
        with pytest.raises(Rejected, match=re.escape(name)):
            converge(host, Sysctl(name=name, value=value))
        assert not Path(kernel.file_of(name)).exists()  # or the next boot would try it again


@pytest.fixture
def ns() -> Iterator[str]:
    yield from inside.namespace()


@pytest.mark.root
@pytest.mark.proves(
    "linux", "sysctl", over="local", on="real", by="the kernel, in a network namespace"
)
def test_live(ns: str, tmp_path: Path) -> None:
    inside.call(ns, live, str(tmp_path))
