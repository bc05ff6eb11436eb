"""A stand-in for a host on which powerman's client runs: its answers and exit statuses.

They are those of powerman 2.3.27 itself, which the tests hold beside it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from rackwright_sim.cli_box import Access, Box, Reply
from rackwright_sim.faults import Faults

VERSION = "2.3.27"
NODES = tuple(f"node{number}" for number in range(1, 17))
NOT_FOUND, NO_SUCH_NODES, COMMAND_WITH_ERRORS, QUERY_WITH_ERRORS = 127, 209, 210, 211
DONE = "Command completed successfully\n"
_ON = {"-1": "on", "--on": "on", "-0": "off", "--off": "off", "-c": "cycle", "--cycle": "cycle"}


class PowermanHost(Box):
    """One host. All nodes are off when it is new; those in ``away`` hang on a unit that does not
    answer."""

    writing: ClassVar[re.Pattern[str]] = re.compile(r" (?:-1|-0|-c|--on|--off|--cycle) ")
    refusal = Reply("pdu: connect timeout\nCommand completed with errors\n", COMMAND_WITH_ERRORS)
    leaving: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        nodes: Sequence[str] = NODES,
        *,
        away: Sequence[str] = (),
        access: Access | None = None,
        faults: Faults | None = None,
        state: Path | None = None,
    ) -> None:
        super().__init__(
            {"nodes": dict.fromkeys(nodes, "off")}, access=access, faults=faults, state=state
        )
        self.away = frozenset(away)

    @property
    def nodes(self) -> dict[str, Literal["on", "off"]]:
        """By name. Change them to play a person at the units."""
        found: dict[str, Literal["on", "off"]] = self.data["nodes"]
        return found

    def answer(self, line: str) -> Reply:
        """What the command prints, and the status that it ends with."""
        program, *words = shlex.split(line)
        if program != "powerman":
            return Reply(f"sh: 1: {program}: not found\n", NOT_FOUND)
        words = [word for word in words if word not in ("-x", "--exprange")]
        match words:
            case ["-V" | "--version"]:
                return Reply(f"{VERSION}\n", 1)
            case ["-l" | "--list"]:
                return Reply("".join(f"{name}\n" for name in sorted(self.nodes)))
            case ["-q" | "--query-all"]:
                return self._query(sorted(self.nodes))
            case ["-Q" | "--query", name] if name in self.nodes:
                return self._query([name])
            case [option, name] if option in _ON and name in self.nodes:
                return self._switch(name, _ON[option])
            case [_, name]:
                return Reply(f"No such nodes: {name}\n", NO_SUCH_NODES)
        return Reply("Usage: powerman [action] [targets]\n", 1)

    def _query(self, names: Sequence[str]) -> Reply:
        states = {name: "unknown" if name in self.away else self.nodes[name] for name in names}
        text = "".join(f"{name}: {state}\n" for name, state in states.items())
        if "unknown" in states.values():
            text = f"away: connect timeout\n{text}Query completed with errors\n"
            return Reply(text, QUERY_WITH_ERRORS)
        return Reply(text)

    def _switch(self, name: str, action: str) -> Reply:
        if name in self.away:
            return Reply(
                "away: connect timeout\nCommand completed with errors\n", COMMAND_WITH_ERRORS
            )
        self.nodes[name] = "off" if action == "off" else "on"
        return Reply(DONE)
