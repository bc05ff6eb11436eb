"""Packages: apt for real where it can reach its mirror, dnf against commands in software."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rackwright.model.errors import Permanent, Rejected
from rackwright_providers.server import packages
from rackwright_providers.server.software_resources import Package
from tests.server.converging import converge, look
from tests.server.fakes import DNF, RPM, Fakes

ROOT = Path("/")

DPKG = """\
bash\tamd64\tinstalled\t5.2.15-2+b7
libc6\tamd64\tinstalled\t2.36-9+deb12u4
libc6\ti386\tinstalled\t2.36-9+deb12u4
vim\tamd64\tconfig-files\t2:9.0.1378-2
half\tamd64\thalf-configured\t1.0-1
"""

# Written after rpm(8)'s query format; the versions are in the manner of RHEL 9.
RPM_ANSWER = """\
bash\tx86_64\t0\t5.1.8\t9.el9
glibc\tx86_64\t0\t2.34\t100.el9_4.2
glibc\ti686\t0\t2.34\t100.el9_4.2
package nosuch is not installed
kernel\tx86_64\t0\t5.14.0\t427.13.1.el9_4
kernel\tx86_64\t0\t5.14.0\t427.16.1.el9_4
openssl\tx86_64\t1\t3.0.7\t27.el9
"""


@pytest.mark.parametrize(
    ("name", "spellings"),
    [
        ("bash", ("5.2.15-2+b7",)),
        ("libc6", ("2.36-9+deb12u4",)),
        ("libc6:i386", ("2.36-9+deb12u4",)),
        ("vim", None),  # removed, its configuration left behind
        ("half", None),
        ("nosuch", None),
    ],
)
def test_what_dpkg_says(name: str, spellings: tuple[str, ...] | None) -> None:
    assert packages.from_dpkg(DPKG).get(name) == spellings


@pytest.mark.parametrize(
    ("name", "spelling"),
    [
        ("bash", "5.1.8-9.el9"),
        ("bash", "5.1.8"),
        ("glibc:i686", "2.34"),
        ("kernel", "5.14.0-427.16.1.el9_4"),
        ("openssl", "1:3.0.7-27.el9"),
    ],
)
def test_what_rpm_says(name: str, spelling: str) -> None:
    assert spelling in packages.from_rpm(RPM_ANSWER)[name]
    assert "nosuch" not in packages.from_rpm(RPM_ANSWER)


def test_what_apt_would_remove_beside() -> None:
    told = "Remv vim-gtk3 [2:9.0]\nRemv vim-common [2:9.0]\nInst nano (7.2)\n"
    assert packages.removed_too(told, ["vim-common"]) == ["vim-gtk3"]
    assert packages.removed_too(told, ["vim-common", "vim-gtk3:amd64"]) == []


@pytest.fixture
def redhat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    tree = ["tree", "x86_64", "0", "1.8.0", "10.el9"]
    jq = ["jq", "x86_64", "0", "1.6", "17.el9"]
    glibc = ["glibc", "x86_64", "0", "2.34", "100.el9"]
    fakes = Fakes(
        tmp_path, installed={"glibc": glibc}, repository={"tree": tree, "jq": jq}, needed={"glibc": "bash"}
    )  # fmt: skip
    fakes.add("rpm", RPM)
    fakes.add("dnf", DNF)
    fakes.use(monkeypatch, alone=True)
    return fakes


def test_dnf_installs_neighbours_in_one_transaction(redhat: Fakes, tmp_path: Path) -> None:
    wanted = [Package(name="tree", version="1.8.0"), Package(name="jq"), Package(name="glibc")]
    assert converge(ROOT, *wanted, state=tmp_path) == ["install tree=1.8.0 jq"]
    assert redhat.writes() == ["dnf install -y tree-1.8.0 jq"]
    assert look(ROOT, *wanted) == []
    assert look(ROOT, Package(name="tree", version="1.8.0-10.el9")) == []
    assert len(look(ROOT, Package(name="tree", version="1.9"))) == 1


def test_what_cannot_be_had_keeps_no_other_away(redhat: Fakes, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="Unable to find a match: nosuch") as raised:
        converge(
            ROOT, Package(name="tree"), Package(name="nosuch"), Package(name="jq"), state=tmp_path
        )
    assert "tree" not in str(raised.value)
    assert set(redhat.state["installed"]) == {"glibc", "tree", "jq"}


def test_dnf_removes(redhat: Fakes, tmp_path: Path) -> None:
    converge(ROOT, Package(name="tree"), Package(name="jq"), state=tmp_path)
    gone = [Package(name=name, ensure="absent") for name in ("tree", "jq")]
    assert converge(ROOT, *gone, state=tmp_path) == ["remove tree jq"]
    assert redhat.writes()[-1] == "dnf remove -y --noautoremove tree jq"
    assert converge(ROOT, *gone, state=tmp_path) == []


def test_what_others_need_is_not_removed_with_them(redhat: Fakes, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"glibc is needed by \(installed\) bash"):
        converge(ROOT, Package(name="glibc", ensure="absent"), state=tmp_path)
    assert redhat.writes() == []


def test_apt_does_not_remove_what_nobody_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    debian = Fakes(tmp_path)
    debian.add("dpkg-query", 'print("lib\\tamd64\\tinstalled\\t1.0")')
    debian.add("apt-get", 'print("Remv app [2.0]\\nRemv lib [1.0]")')
    debian.use(monkeypatch)
    with pytest.raises(Rejected, match="removing lib would remove app too"):
        converge(ROOT, Package(name="lib", ensure="absent"), state=tmp_path)
    (call,) = (call for call in debian.state["calls"] if "apt-get" in call)
    assert "--simulate" in call


def test_without_a_manager_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Fakes(tmp_path).use(monkeypatch, alone=True)
    with pytest.raises(Permanent, match="neither apt-get nor dnf is on PATH"):
        look(ROOT, Package(name="hello"))


@pytest.fixture
def hello() -> Iterator[str]:
    """A tiny package that is not installed before, nor after."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        pytest.skip("needs root and apt-get")
    if Path("/usr/bin/hello").exists():
        pytest.skip("hello is installed already and is not ours to remove")
    foretold = ["apt-get", "install", "--print-uris", "-y", "-q", "hello"]
    told = subprocess.run(foretold, capture_output=True, text=True, check=False)
    if told.returncode != 0:
        updated = subprocess.run(["apt-get", "update", "-q"], capture_output=True, check=False)
        told = subprocess.run(foretold, capture_output=True, text=True, check=False)
        if updated.returncode or told.returncode:
            pytest.skip(f"apt cannot reach its mirror: {told.stderr.strip()}")
    yield "hello"
    if Path("/usr/bin/hello").exists():
        subprocess.run(["apt-get", "purge", "-y", "-q", "hello"], capture_output=True, check=False)


@pytest.mark.root
@pytest.mark.apt
@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="no dpkg here")
@pytest.mark.proves("linux", "package", over="local", on="real", by="apt; dnf on a stand-in")
def test_apt_for_real(hello: str, tmp_path: Path) -> None:
    wanted = [Package(name=hello), Package(name="bash")]
    try:
        assert converge(ROOT, *wanted, state=tmp_path) == ["install hello"]
    except Rejected as error:
        if "Failed to fetch" in error.output or "Could not resolve" in error.output:
            pytest.skip(f"apt cannot reach its mirror: {error}")
        raise
    assert converge(ROOT, *wanted, state=tmp_path) == []
    (change,) = look(ROOT, Package(name=hello, version="0"))
    version = change.before.version  # type: ignore[union-attr]
    assert look(ROOT, Package(name=hello, version=version)) == []
    assert converge(ROOT, Package(name=hello, ensure="absent"), state=tmp_path) == ["remove hello"]
    assert not Path("/usr/bin/hello").exists()
