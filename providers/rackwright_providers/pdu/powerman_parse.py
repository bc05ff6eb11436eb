"""powerman's client: its commands, its answers, its exit statuses.

Options are those of powerman(1) 2.3. The statuses are the numbers of the daemon's protocol, which the
client ends with (seen with 2.3.27); targets are node names alone, never host ranges.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from rackwright.model.errors import Permanent, RackwrightError, Rejected, Temporary
from rackwright_providers.pdu.plain_pdu import Power
from rackwright_providers.pdu.resources import NAME

PROGRAM = "powerman"
OPTIONS: dict[Power, str] = {"on": "--on", "off": "--off"}
CYCLE = "--cycle"
QUERY_ALL = (PROGRAM, "--exprange", "--query-all")
VERSION = (PROGRAM, "--version")

NO_SUCH_NODES = 209
QUERY_WITH_ERRORS = 211
"""Some unit did not answer; its nodes are ``unknown``, the others are told."""
NOT_FOUND = 127

_LINE = re.compile(r"(\S+):\s+(on|off|unknown)")
_STATES: Mapping[str, Power | None] = {"on": "on", "off": "off", "unknown": None}
_NO_DAEMON = re.compile(r"could not connect|connection refused", re.IGNORECASE)


def switch_argv(name: str, power: Power) -> tuple[str, ...]:
    """The command that switches one node."""
    return (PROGRAM, OPTIONS[power], name)


def cycle_argv(name: str) -> tuple[str, ...]:
    """The command that reboots one node."""
    return (PROGRAM, CYCLE, name)


def query_argv(name: str) -> tuple[str, ...]:
    """The command that asks for one node's state; ``--exprange`` must come first."""
    return (PROGRAM, "--exprange", "--query", name)


def states(output: str) -> dict[str, Power | None]:
    """Nodes by name in the answer to a query. Nodes whose names cannot be an outlet's are left out."""
    found: dict[str, Power | None] = {}
    for line in output.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match and NAME.fullmatch(match[1]):
            found[match[1]] = _STATES[match[2]]
    return found


def version(output: str) -> str:
    """``2.3.27``; empty when it is not told."""
    found = re.search(r"\d+(?:\.\d+)+", output)
    return found[0] if found else ""


def failure(via: str, status: int, said: str) -> RackwrightError:
    """What a status other than 0 means."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    text = "; ".join(lines[-4:]) or f"status {status}"
    if status == NOT_FOUND:
        return Permanent(f"{via}: there is no powerman there: {text}")
    if _NO_DAEMON.search(said):
        return Temporary(f"{via}: powermand does not answer: {text}")
    return Rejected(f"powerman: {text}", output=said)
