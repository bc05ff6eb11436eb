"""The simulated EqualLogic group for a node of a site."""

from __future__ import annotations

from pathlib import Path

from rackwright_sim.cli_making import access_of, boxed
from rackwright_sim.making import Making, SimNode, kept_at


def equallogic(node: SimNode, state: Path | None) -> Making:
    """A group of the node's name, over SSH."""
    from rackwright_sim.equallogic import EqualLogic

    access, kept = access_of(node), kept_at(state, node)
    return boxed(node, EqualLogic(node.name, access=access, faults=node.faults, state=kept))
