"""kill -9 of an agent that converges files, at random instants: no file is ever half written, all that we
made goes when it is no longer declared, what was there before us stays, and no report is lost."""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rackwright.engine.files import replace

from .forker import Forker
from .killing import Killing
from .sites import deployed, left_behind, write_site

BATCHES, KILLS = 4, 15
FOREIGN = {
    "etc/hosts.allow": "sshd: 10.0.0.0/8\n# not ours\n",
    "srv/theirs/data.txt": "made by hand\n",
    "srv/note": "also made by hand\n",
}
SHARED = "/etc/hosts.allow"
"""A file of others in which one line is ours."""
FILES = [f"/srv/app/{number}.conf" for number in range(6)] + [f"/srv/{n}/f" for n in "abc"]
LINKS = ["/srv/current", "/srv/app/latest"]


@dataclass
class Host:
    """A root directory, a site for it, and every content that a file of it was ever to have."""

    root: Path
    site: Path
    killing: Killing
    ever: dict[str, set[str]] = field(default_factory=dict)
    want: list[dict[str, Any]] = field(default_factory=list)
    whole: set[tuple[str, int, int]] = field(default_factory=set)
    """Backups that were read, as they were then: path, inode, instant of the last change."""

    def declare(self, *resources: dict[str, Any]) -> None:
        """What the host is from now on."""
        self.want = list(resources)
        for item in resources:
            if "file" in item:
                self.ever.setdefault(item["file"], set()).add(item["content"])
        server = {"node": "web1", "type": "server"}
        write_site(self.site, server, *deployed("files", "server", "web1", resources))

    def tree(self) -> dict[str, Any]:
        """Everything under the root: files by content, directories and links by what they are."""
        found: dict[str, Any] = {}
        for path in self.root.rglob("*"):
            name = str(path.relative_to(self.root))
            if path.name.endswith(".rackwright-new"):
                continue
            if path.is_symlink():
                found[name] = ("link", str(path.readlink()))
            elif path.is_dir():
                found[name] = "directory"
            else:
                found[name] = path.read_text()
        return found

    def check_whole(self) -> None:
        """No file is anything but a whole version of it, at any instant."""
        for name, versions in self.ever.items():
            path = self.root / name.lstrip("/")
            try:
                body = path.read_text()
            except FileNotFoundError:
                continue
            assert body in versions, f"{name} is half written: {len(body)} characters"
        lines = (self.root / SHARED.lstrip("/")).read_text().splitlines()
        assert [line for line in lines if not line.startswith("ours: ")] == (
            FOREIGN["etc/hosts.allow"].splitlines()
        )
        assert all(line.endswith(".") for line in lines if line.startswith("ours: "))
        backups = self.killing.state / "web1" / "backups"
        for name, versions in self.ever.items():
            for kept in backups.glob(f"{name.lstrip('/')}.*"):
                with contextlib.suppress(FileNotFoundError):  # the oldest go
                    about = kept.stat()
                    seen = (str(kept), about.st_ino, about.st_ctime_ns)
                    if seen not in self.whole:
                        assert kept.read_text() in versions, f"{kept} is half written"
                        self.whole.add(seen)

    def check(self) -> None:
        """Run to the end: everything is there as declared, beside what was there before us."""
        self.killing.complete()
        expected: dict[str, Any] = {
            str(path): "directory" for name in FOREIGN for path in list(Path(name).parents)[:-1]
        }
        expected |= FOREIGN
        for item in self.want:
            if "file" in item:
                expected[item["file"].lstrip("/")] = item["content"]
            elif "directory" in item:
                expected[item["directory"].lstrip("/")] = "directory"
            elif "symlink" in item:
                expected[item["symlink"].lstrip("/")] = ("link", item["target"])
            else:
                expected["etc/hosts.allow"] += f"{item['line']}\n"
        assert self.tree() == expected
        # Of a file whose making was cut short, and that nobody has declared since, its only draft
        # stays until it is declared again or its directory goes.
        declared = {item.get("file", item.get("symlink")) for item in self.want}
        forgotten = {draft_of(self.root, name) for name in {*FILES, *LINKS} - declared}
        assert set(left_behind(self.root)) <= forgotten


def draft_of(root: Path, name: str) -> str:
    """Where the next version of a file is made."""
    path = root / name.lstrip("/")
    return str(path.with_name(f".{path.name}.rackwright-new"))


def revision(chance: random.Random) -> list[dict[str, Any]]:
    """Some of the files in one of their versions, some of the links, and perhaps the line."""
    some = chance.sample(FILES, chance.randrange(len(FILES)))
    directories = {str(Path(name).parent) for name in some} | {"/srv/app"}
    resources: list[dict[str, Any]] = [{"directory": name} for name in sorted(directories)]
    for name in some:
        size = chance.choice([1, 10, 40000])
        line = f"{name} version {chance.randrange(1000)}\n"
        resources.append({"file": name, "content": line * size})
    resources += [
        {"symlink": name, "target": chance.choice(["app", "theirs", "x"])}
        for name in LINKS
        if chance.random() < 0.6
    ]
    if chance.random() < 0.6:
        line = f"ours: {chance.randrange(100)}."
        resources.append({"line_in_file": "ours", "path": SHARED, "line": line, "match": "^ours: "})
    return resources


@pytest.fixture
def host(tmp_path: Path, state: Path, forker: Forker, chance: random.Random) -> Host:
    root, site = tmp_path / "root", tmp_path / "site"
    for name, text in FOREIGN.items():
        replace(root / name, text.encode(), mode=0o644)
    argv = ("agent", "--node", "web1", "--once", "--root", str(root), "--state", str(state))
    return Host(root, site, Killing(forker, chance, state, "web1", (*argv, "--site", str(site))))


@pytest.mark.parametrize("batch", range(BATCHES))
def test_killed_agent(host: Host, chance: random.Random, batch: int) -> None:
    host.declare(*revision(chance))
    host.check()
    while host.killing.killed < KILLS:
        host.declare(*revision(chance))
        host.killing.interrupt(watch=host.check_whole)
        if chance.random() < 0.5:
            host.check()
    host.declare()
    host.killing.interrupt(watch=host.check_whole)
    host.check()
    assert (host.killing.state / "web1" / "ledger.json").read_text() == "{}"
