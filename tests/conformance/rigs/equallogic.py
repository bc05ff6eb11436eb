"""Our simulated EqualLogic group."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rackwright.model.site import Way
from rackwright_sim.cli_ssh import BoxSsh
from rackwright_sim.equallogic import EqualLogic
from rackwright_sim.faults import Faults


def patterns(address: str) -> str:
    """What commands look like that concern ``address``."""
    kind, _, name = address.partition("/")
    volume, _, initiator = name.partition(":")
    return {
        "": "",
        "volume": rf"^volume (create|delete|select) {name}( size| offline| \d|$)",
        "chap": rf"^chapuser \w+ {name}( |$)",
        "export": rf"^volume select {volume} access .*initiator {initiator}( |$)",
    }[kind]


class Group:
    """With a volume that is shown to somebody, and to an address."""

    def __init__(self, box: EqualLogic, ssh: BoxSsh) -> None:
        self.box = box
        login = {"username": box.access.username, "password": box.access.password}
        where = {"host": ssh.host, "port": ssh.port, "host_key": ssh.host_key}
        self.ways = {"ssh": Way(transport="ssh", options={**where, **login})}
        self.secrets: Mapping[str, str] = {
            "chap-web1": "chap-s3cret-web1",
            "password": box.access.password,
        }

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, held in self.box.volumes.items():
            mine = copy.deepcopy(held)
            for record in mine.pop("records").values():
                key = f"export/{name}:{record['initiator']}" if record["initiator"] else name
                found[key] = record
            found[f"volume/{name}"] = mine
        return found | {f"chap/{name}": word for name, word in self.box.data["chap"].items()}

    def writes(self) -> int:
        return self.box.counters.writes

    def reject(self, address: str) -> None:
        self.box.faults = Faults(reject_only=patterns(address))

    def lose(self, after: int) -> None:
        self.box.faults = replace(self.box.faults, drop_before=after)


@contextlib.contextmanager
def group(_: Path) -> Iterator[Group]:
    box = EqualLogic(pools=("default", "fast"))
    box.put("foreign", 6000)
    box.answer("volume select foreign access create initiator iqn.2026-11.else:x authmethod none")
    box.answer("volume select foreign access create ipaddress 10.1.1.1 authmethod none")
    box.answer("chapuser create somebody password else-1234567 enable")
    with BoxSsh(box) as ssh:
        yield Group(box, ssh)


RIGS = {"sim": group}
PROVEN = {"sim": "simulator"}
