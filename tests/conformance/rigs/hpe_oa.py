"""Our simulated Onboard Administrator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from rackwright_sim.cli_blades import ChassisOptions
from rackwright_sim.cli_ssh import BoxSsh
from rackwright_sim.hpe_oa import HpeOa

from .blades import ChassisRig


@contextlib.contextmanager
def enclosure(_: Path) -> Iterator[ChassisRig]:
    box = HpeOa(ChassisOptions(model="ProLiant BL460c Gen9"))
    with BoxSsh(box) as ssh:
        ways = {"ssh": {"host": ssh.host, "port": ssh.port, "host_key": ssh.host_key}}
        yield ChassisRig(box, ways, r" {}(?: force)?$")


RIGS = {"sim": enclosure}
PROVEN = {"sim": "simulator"}
