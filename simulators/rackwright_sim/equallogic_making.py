"""The simulated EqualLogic group for a node of a site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rackwright_sim.run import SimNode, _Making


def equallogic(node: SimNode, state: Path | None) -> _Making:
    """A group of the node's name, over SSH."""
    from rackwright_sim import cli_making, run
    from rackwright_sim.equallogic import EqualLogic

    access, kept = cli_making._access(node), run._kept(state, node)
    return cli_making._making(
        node, EqualLogic(node.name, access=access, faults=node.faults, state=kept)
    )
