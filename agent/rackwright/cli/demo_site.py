"""The site of `rackwright demo`: the lab example in a git repository, and a change of it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from importlib.resources import as_file, files
from pathlib import Path

from rackwright.model.errors import Permanent


class DemoSite:
    """A working tree under ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, serial: Path, listen: str) -> None:
        """Copy the example, with the serial line ``serial``, the store at ``listen`` and addresses that are
        free here."""
        if shutil.which("git") is None:
            raise Permanent("git is needed: the store follows a git repository")
        with as_file(files("rackwright_proposals")) as package:
            inside = package / "examples" / "lab"
            source = inside if inside.is_dir() else package.parent / "examples" / "lab"
            shutil.copytree(source, self.folder)
        devices = self.folder / "nodes" / "devices.yaml"
        text = devices.read_text()
        for port in (2222, 2223, 2224):
            text = text.replace(f"port: {port}", f"port: {free_port()}")
        text = text.replace("port: 1161", f"port: {free_port(socket.SOCK_DGRAM)}")
        devices.write_text(text.replace("/dev/ttyUSB0", str(serial)))
        _swap(self.folder / "nodes" / "servers.yaml", "/dev/ttyUSB0", str(serial))
        _swap(self.folder / "proposals" / "admin-hosts.yaml", "127.0.0.1:8417", listen)
        self._git("init", "--quiet", "--initial-branch=main")

    def change(self) -> None:
        """Give web2 a VLAN and a volume of its own, and its slot more power. It is not committed yet."""
        networks = self.folder / "proposals" / "networks.yaml"
        _edit(networks, "    666: {name: storage}\n", "    30: {name: backup}\n")
        servers = self.folder / "nodes" / "servers.yaml"
        _swap(servers, "vlan: 20, address: 10.0.20.12/24", "vlan: 30, address: 10.0.30.12/24")
        iqn = "iqn.2026-11.example.lab"
        array = self.folder / "proposals" / "storage.yaml"
        _edit(
            array,
            "    data1: {size: 10GiB, thin: true}\n",
            "    data2: {size: 20GiB, thin: true}\n",
        )
        _edit(
            array,
            f"    {iqn}:san-a1.web1: {{chap: web1}}\n",
            f"    {iqn}:san-a1.web2: {{chap: web2}}\n",
        )
        _edit(array, "    web1: {secret: chap-web1}\n", "    web2: {secret: chap-web2}\n")
        export = f"    data1:{iqn}:web1: {{target: '{iqn}:san-a1.web1', lun: 1}}\n"
        _edit(array, export, export.replace("data1", "data2").replace("web1", "web2"))
        name = f"  initiator: {iqn}:web2\n"
        lun = f"{{array: san-a1, target: '{iqn}:san-a1.web2', lun: 1}}"
        _edit(servers, name, f"  luns:\n    data2: {lun}\n")
        blades = self.folder / "proposals" / "blades.yaml"
        _swap(blades, "priority: 5", "priority: 1")

    def commit(self, message: str) -> str:
        """Commit all there is; the commit's name."""
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", message)
        return self._git("rev-parse", "HEAD")

    def diff(self, *, coloured: bool) -> list[str]:
        """What has changed since the last commit, line by line."""
        colour = "--color=always" if coloured else "--color=never"
        return self._git("diff", colour, "--unified=0").splitlines()

    def names(self) -> list[str]:
        """The files that git knows."""
        return self._git("ls-files").splitlines()

    def _git(self, *words: str) -> str:
        environment = {
            **os.environ,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "demo"),
            **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "demo@localhost"),
        }
        done = subprocess.run(
            ["git", "--no-pager", *words],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Permanent(f"git {words[0]}: {done.stderr.strip()}")
        return done.stdout.strip()


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port of the loopback interface that nobody has now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _edit(path: Path, after: str, line: str) -> None:
    """Put ``line`` behind the line ``after``."""
    _swap(path, after, after + line)


def _swap(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    if old not in text:
        raise Permanent(f"{path} is not as the demo knows it: {old.strip()!r} is not in it")
    path.write_text(text.replace(old, new, 1))
