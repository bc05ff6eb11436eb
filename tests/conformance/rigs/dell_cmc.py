"""Our simulated CMC, over SSH and on its serial line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from rackwright_sim.cli_line import PtyLine
from rackwright_sim.cli_ssh import BoxSsh
from rackwright_sim.cli_terminal import console
from rackwright_sim.dell_cmc import DellCmc

from .blades import ChassisRig


@contextlib.contextmanager
def chassis(run: Path) -> Iterator[ChassisRig]:
    box = DellCmc()
    with BoxSsh(box) as ssh, PtyLine(run / "cmc", console(box)) as line:
        ways = {
            "ssh": {"host": ssh.host, "port": ssh.port, "host_key": ssh.host_key},
            "serial": {"port": str(line.link)},
        }
        yield ChassisRig(box, ways, r"(?:server-{0}$|-i {0} )")


RIGS = {"sim": chassis}
PROVEN = {"sim": "simulator"}
