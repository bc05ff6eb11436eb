"""A host with tgt in software: tgtadm and the few programs that a storage delegate runs, over SSH.

Output and messages are those of tgt 1.0.85; the programs know no more options than they are given.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from rackwright_sim.cli_box import Access, Box, Reply
from rackwright_sim.faults import Faults
from rackwright_sim.tgt_daemon import Tgtd, TgtError

POOL = "/srv/tgt"
CAPACITY = 2**42
"""Bytes of each pool."""
ROOT = "/etc/tgt/targets.conf"
NOT_FOUND = 127

_GROWN = re.compile(r"--size=>(\d+)")


class TgtHost(Box):
    """One host. New, it has an empty pool ``/srv/tgt`` and the configuration that Debian ships."""

    writing: ClassVar[re.Pattern[str]] = re.compile(
        r"^(?!tgtadm --version|tgtadm .*--op stat |df |sh -c 'tgtadm .*--op show )"
    )
    refusal = Reply(error="tgtadm: the simulator was told to refuse this\n", status=22)
    leaving: ClassVar[frozenset[str]] = frozenset()
    takes_input: ClassVar[bool] = True

    def __init__(
        self,
        *,
        pools: Sequence[str] = (POOL,),
        access: Access | None = None,
        faults: Faults | None = None,
        state: Path | None = None,
    ) -> None:
        data = {
            "tgtd": {"targets": {}, "accounts": {}},
            "files": {ROOT: "include /etc/tgt/conf.d/*.conf\n"},
            "volumes": {},
            "pools": list(pools),
        }
        super().__init__(data, access=access, faults=faults, state=state)
        self._given = b""

    @property
    def tgtd(self) -> Tgtd:
        """The daemon, as it is now."""
        return Tgtd(self.data["tgtd"], self.sizes())

    @property
    def files(self) -> dict[str, str]:
        """Configuration files by path."""
        found: dict[str, str] = self.data["files"]
        return found

    def sizes(self) -> dict[str, int]:
        """Bytes of each file of a pool, by path."""
        return {path: held["size"] for path, held in self.data["volumes"].items()}

    def restart_tgtd(self) -> None:
        """It forgets all that it was told."""
        with self._lock:
            self.data["tgtd"] = {"targets": {}, "accounts": {}}
            self.keep()

    def put_volume(self, path: str, size: int) -> None:
        """A file in a pool, all of it allocated, as somebody else would make it."""
        with self._lock:
            self.data["volumes"][path] = {"size": size, "allocated": size}
            self.keep()

    def run(self, command: str, given: bytes) -> Reply:
        """One command with its standard input."""
        with self._lock:
            self._given = given
            if command.startswith("perl "):
                # Its script is not of interest: what it sends to tgtd comes on standard input.
                told = given.decode().splitlines()
                return self.respond(f"perl {' '.join(line.split(',')[0] for line in told)} ")
            return self.respond(command)

    def answer(self, line: str) -> Reply:
        """What the command prints, and the status that it ends with."""
        program, *words = shlex.split(line)
        programs: Mapping[str, Callable[[list[str]], Reply]] = {
            "sh": self._sh,
            "tgtadm": self._tgtadm,
            "perl": self._perl,
            "grep": self._grep,
            "find": self._find,
            "df": self._df,
            "dd": self._dd,
            "chmod": lambda _: Reply(),
            "truncate": self._truncate,
            "fallocate": self._fallocate,
            "rm": self._rm,
            "printf": lambda said: Reply(said[0].replace(r"\0", "\0")),
            "true": lambda _: Reply(),
        }
        if program not in programs:
            return Reply(error=f"sh: 1: {program}: not found\n", status=NOT_FOUND)
        return programs[program](words)

    def _sh(self, words: list[str]) -> Reply:
        """A script that puts standard input in a file, or simple commands, a line each."""
        _, script, _, *given = words
        if "cat >" in script:
            self.files[given[0]] = self._given.decode()
            return Reply()
        said = ""
        for line in script.splitlines():
            command, _, otherwise = line.partition(" || ")
            reply = self.answer(command.replace('"$@"', shlex.join(given)))
            said += reply.text
            if reply.status and otherwise == "exit":
                return Reply(said, reply.status, reply.error)
        return Reply(said)

    def _tgtadm(self, words: list[str]) -> Reply:
        if words == ["--version"]:
            return Reply("1.0.85\n")
        options = dict(zip(words[::2], words[1::2], strict=True))
        try:
            return Reply(self.tgtd.do(options.pop("--op"), options.pop("--mode"), options))
        except TgtError as error:
            return Reply(error=f"tgtadm: {error}\n", status=22)

    def _perl(self, _: list[str]) -> Reply:
        for number, line in enumerate(self._given.decode().splitlines(), start=1):
            op, tid, text = line.split("\t", 2)
            try:
                self.tgtd.account(int(op), int(tid), text)
            except TgtError as error:
                said = f"tgtd answers {error.code} to request {number}\n"
                return Reply(error=said, status=255)
        return Reply()

    def _grep(self, words: list[str]) -> Reply:
        *places, chosen = words[2:]
        ours = chosen.startswith("--include")
        lines = [
            f"{path}\0{line}\n"
            for path, text in sorted(self.files.items())
            if any(path == word or path.startswith(f"{word}/") for word in places)
            if ("/rackwright-" in path and path.endswith(".conf")) == ours
            for line in text.splitlines()
            if re.search(words[1], line, re.IGNORECASE)
        ]
        return Reply("".join(lines), 0 if lines else 1)

    def _find(self, words: list[str]) -> Reply:
        if "-exec" in words:
            rows = [
                f"{hashlib.sha256(text.encode()).hexdigest()}  {path}\n"
                for path, text in sorted(self.files.items())
                if path.endswith(".secret")
            ]
            return Reply("".join(rows))
        pools = words[: words.index("-maxdepth")]
        lines = [
            f"{held['size']} {held['allocated'] // 512} {path}\n"
            for path, held in sorted(self.data["volumes"].items())
            if path.rpartition("/")[0] in pools
        ]
        missing = [pool for pool in pools if pool not in self.data["pools"]]
        errors = [f"find: '{pool}': No such file or directory\n" for pool in missing]
        return Reply("".join(lines), 1 if missing else 0, "".join(errors))

    def _df(self, words: list[str]) -> Reply:
        asked = words[words.index("--") + 1 :]
        rows, errors = ["1B-blocks Avail\n"], []
        for pool in asked:
            if pool not in self.data["pools"]:
                errors.append(f"df: {pool}: No such file or directory\n")
                continue
            used = sum(
                held["allocated"]
                for path, held in self.data["volumes"].items()
                if path.startswith(f"{pool}/")
            )
            rows.append(f"{CAPACITY} {CAPACITY - used}\n")
        return Reply("".join(rows), 1 if errors else 0, "".join(errors))

    def _dd(self, words: list[str]) -> Reply:
        options = dict(word.split("=", 1) for word in words)
        path = options["of"]
        if path in self.data["volumes"]:
            return Reply(error=f"dd: failed to open '{path}': File exists\n", status=1)
        if path.rpartition("/")[0] not in self.data["pools"]:
            said = f"dd: failed to open '{path}': No such file or directory\n"
            return Reply(error=said, status=1)
        self.data["volumes"][path] = {"size": 0, "allocated": 0}
        return Reply()

    def _truncate(self, words: list[str]) -> Reply:
        grown = _GROWN.fullmatch(words[0])
        held = self.data["volumes"].get(words[1])
        if grown is None or held is None:
            return Reply(error=f"truncate: cannot open {words[-1]}\n", status=1)
        held["size"] = max(held["size"], int(grown[1]))
        return Reply()

    def _fallocate(self, words: list[str]) -> Reply:
        held = self.data["volumes"].get(words[2])
        if held is None:
            return Reply(error=f"fallocate: cannot open {words[2]}\n", status=1)
        held["size"] = held["allocated"] = max(held["size"], int(words[1]))
        return Reply()

    def _rm(self, words: list[str]) -> Reply:
        for path in words[2:]:
            self.files.pop(path, None)
            self.data["volumes"].pop(path, None)
        return Reply()
