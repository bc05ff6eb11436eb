"""tgtd itself behind OpenSSH, its commands behind a gate; and our simulator of such a host."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.san.tgtd import TgtHost, tgt_host

SECRETS = {"chap-web1": "chap-s3cret-web1"}


def patterns(address: str) -> str:
    """What commands look like that concern ``address``."""
    kind, _, name = address.partition("/")
    volume, _, initiator = name.partition(":")
    return {
        "": "",
        "volume": rf"^(dd|chmod|truncate|fallocate) .*/{name}\.img",
        "chap": rf"user={name}[, ]",
        "target": rf"--targetname {name} ",
        "export": rf"--initiator-name {initiator} |--backing-store .*/{volume}\.img",
    }[kind]


class Host:
    """With a target and a volume of somebody else's."""

    def __init__(self, host: TgtHost) -> None:
        self.host = host
        self.ways = {"ssh": host.way}
        self.secrets: Mapping[str, str] = {**SECRETS, "key": str(host.way.options["key"])}

    def state(self) -> dict[str, Any]:
        """Each target as tgtd shows it, without its number; each volume, account and file."""
        found: dict[str, Any] = {}
        for block in re.split(
            r"^Target \d+: ", self.host.adm("show", "--mode", "target"), flags=re.M
        ):
            name, _, rest = block.partition("\n")
            if name:
                found[f"target/{name}"] = re.sub(r"(?:IET  |beaf).*", "", rest)
            for initiator in re.findall(r"^        (iqn\S+)$", rest, re.M):
                for path in re.findall(r"path: \S+/(\S+)\.img", rest):
                    found[f"export/{path}:{initiator}"] = name
        for line in self.host.adm("show", "--mode", "account").splitlines()[1:]:
            found[f"chap/{line.strip()}"] = True
        for path in sorted(self.host.srv.rglob("*.img")):
            found[f"volume/{path.stem}"] = path.stat().st_size
        for path in sorted(self.host.etc.rglob("*")):
            if path.is_file():
                found[_owner(path)] = path.read_text()
        return found

    def writes(self) -> int:
        return len((self.host.run / "gate" / "writes").read_text().split())

    def reject(self, address: str) -> None:
        (self.host.run / "gate" / "refuse").write_text(patterns(address))

    def lose(self, after: int) -> None:
        (self.host.run / "gate" / "lose").write_text(str(after))


def _owner(path: Path) -> str:
    """The resource that a configuration file is part of."""
    ours = re.fullmatch(r"rackwright-(chap-)?(.*)\.(?:conf|secret)(\.new)?", path.name)
    if not ours:
        return path.name
    return f"chap/{ours[2]}" if ours[1] else f"target/{ours[2]}"


@contextlib.contextmanager
def real(_: Path) -> Iterator[Host]:
    with tgt_host() as host:
        foreign = host.srv / "tgt" / "foreign.img"
        foreign.write_bytes(b"somebody else's".ljust(65536, b"\0"))
        host.adm("new", "--mode", "account", "--user", "somebody", "--password", "else-1234567")
        host.adm("new", "--mode", "target", "--tid", "3", "-T", "iqn.2026-11.else:x")
        lun = ("--mode", "logicalunit", "--tid", "3", "--lun", "1")
        host.adm("new", *lun, "-b", "/srv/tgt/foreign.img")
        host.adm("bind", "--mode", "target", "--tid", "3", "-I", "ALL")
        host.adm("bind", "--mode", "account", "--tid", "3", "--user", "somebody")
        yield Host(host)


RIGS = {"real": real}
PROVEN = {"real": "real: tgtd behind OpenSSH"}
