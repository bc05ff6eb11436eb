"""Our simulated array of the Dot Hill family."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rackwright.model.site import Way
from rackwright_sim.dothill import DotHill, DotHillOptions
from rackwright_sim.faults import Faults

PASSWORD = "s3cret-of-the-array"


def patterns(address: str) -> str:
    """What paths look like that concern ``address``."""
    kind, _, name = address.partition("/")
    volume, _, initiator = name.partition(":")
    quoted = name.replace(":", "%3A")
    return {
        "": "",
        "volume": rf"/api/(create|expand|delete)/volumes?/(.*/)?{name} $",
        "chap": rf"/chap-record/name/{quoted}(/| )",
        "export": rf"map/volume/.*initiator/{initiator.replace(':', '%3A')}/{volume} $",
    }[kind]


class Array:
    """With a volume that is shown to somebody."""

    def __init__(self, array: DotHill) -> None:
        self.array = array
        options = {
            "url": array.server.url,
            "fingerprint": array.server.fingerprint,
            "username": "rack",
            "password": PASSWORD,
        }
        self.ways = {"http": Way(transport="http", options=options)}
        self.secrets: Mapping[str, str] = {"chap-web1": "s3cret-of-web1", "array": PASSWORD}

    def state(self) -> dict[str, Any]:
        data = copy.deepcopy(self.array.device.data)
        found: dict[str, Any] = {f"volume/{name}": held for name, held in data["volumes"].items()}
        found |= {f"export/{one['volume']}:{one['initiator']}": one for one in data["maps"]}
        found |= {f"chap/{name}": word for name, word in data["chap"].items()}
        mapped = {one["initiator"] for one in data["maps"]}
        return found | {
            # One that is told of for an export is part of it.
            f"initiator {name}": held
            for name, held in data["initiators"].items()
            if held["discovered"] or name not in mapped
        }

    def writes(self) -> int:
        return self.array.counters.writes

    def reject(self, address: str) -> None:
        self.array.faults = Faults(reject_only=patterns(address))

    def lose(self, after: int) -> None:
        self.array.faults = replace(self.array.faults, drop_before=after)


@contextlib.contextmanager
def dothill(options: DotHillOptions) -> Iterator[Array]:
    """Any such array."""
    with DotHill(options) as array:
        device = array.device
        device.put("foreign", 64 * 2**20)
        device.see("iqn.2026-11.else:x", "somebody")
        device.data["maps"].append(
            {"volume": "foreign", "initiator": "iqn.2026-11.else:x", "lun": 1, "access": "rw"}
        )
        device.see("iqn.2026-11.example:init-db1")
        device.data["chap"]["iqn.2026-11.else:x"] = "else-1234567"
        yield Array(array)


def array(_: Path) -> contextlib.AbstractContextManager[Array]:
    return dothill(DotHillOptions(password=PASSWORD))


RIGS = {"sim": array}
PROVEN = {"sim": "simulator"}
