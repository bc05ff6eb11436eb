"""tgtd itself behind OpenSSH, its commands behind a gate; and our simulator of such a host."""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rackwright.model.site import Way
from rackwright_sim.cli_ssh import BoxSsh
from rackwright_sim.faults import Faults
from rackwright_sim.tgt import TgtHost as SimHost
from tests.san.tgtd import TgtHost, tgt_host

SECRETS = {"chap-web1": "chap-s3cret-web1"}


def patterns(address: str) -> str:
    """What commands look like that concern ``address``."""
    kind, _, name = address.partition("/")
    volume, _, initiator = name.partition(":")
    return {
        "": "",
        "volume": rf"^(dd|chmod|truncate|fallocate) .*/{name}\.img",
        "chap": rf"user={name}([, ]|$)",
        "target": rf"--targetname {name}( |$)",
        "export": rf"--initiator-name {initiator}( |$)|--backing-store .*/{volume}\.img",
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
                found[f"target/{name}"] = re.sub(r"(IET  |beaf).*", "", rest)
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
    ours = re.fullmatch(r"rackwright-(chap-)?(.*)\.(?:conf|secret)(?:\.new)?", path.name)
    if not ours:
        return path.name
    return f"chap/{ours[2]}" if ours[1] else f"target/{ours[2]}"


class Simulated:
    """The same of our simulator's."""

    def __init__(self, host: SimHost, port: int) -> None:
        self.host = host
        access = {"username": host.access.username, "password": host.access.password}
        self.ways = {
            "ssh": Way(transport="ssh", options={"host": "127.0.0.1", "port": port, **access})
        }
        self.secrets: Mapping[str, str] = {**SECRETS, "password": host.access.password}

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for iqn, target in self.host.tgtd.targets.items():
            luns = copy.deepcopy(target["luns"])
            found[f"target/{iqn}"] = {**target, "tid": 0, "luns": luns}
            for lun in luns.values():
                for initiator in target["initiators"]:
                    found[f"export/{Path(lun['path']).stem}:{initiator}"] = iqn
        found |= {f"chap/{name}": word for name, word in self.host.tgtd.accounts.items()}
        found |= {f"volume/{Path(path).stem}": size for path, size in self.host.sizes().items()}
        for path, text in self.host.files.items():
            found[_owner(Path(path))] = text
        return found

    def writes(self) -> int:
        return self.host.counters.writes

    def reject(self, address: str) -> None:
        self.host.faults = Faults(reject_only=patterns(address))

    def lose(self, after: int) -> None:
        self.host.faults = replace(self.host.faults, drop_before=after)


@contextlib.contextmanager
def sim(_: Path) -> Iterator[Simulated]:
    host = SimHost()
    host.put_volume("/srv/tgt/foreign.img", 65536)
    host.tgtd.account(0, 0, "user=somebody,password=else-1234567")
    host.tgtd.do("new", "target", {"--tid": "3", "--targetname": "iqn.2026-11.else:x"})
    lun = {"--tid": "3", "--lun": "1", "--backing-store": "/srv/tgt/foreign.img"}
    host.tgtd.do("new", "logicalunit", lun)
    host.tgtd.do("bind", "target", {"--tid": "3", "--initiator-address": "ALL"})
    host.tgtd.account(3, 3, "user=somebody")
    with BoxSsh(host, shell=False) as server:
        yield Simulated(host, server.port)


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


RIGS = {"real": real, "sim": sim}
PROVEN = {"real": "real: tgtd behind OpenSSH", "sim": "simulator"}
