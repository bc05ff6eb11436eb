"""What a line of a simulated command line is answered, and when it is refused."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from rackwright_sim.ios_config import BadVlanList, parse_vlans

BREAK, END = "\x03", "\x1a"
_VLAN_LIST = re.compile(r"(no )?vlan (\S+)")


class CliError(Exception):
    """The device refuses a line that it understood; the text is what it answers."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a line answers, in this order: `text`, a wait of `pause` seconds, what `then` answers."""

    text: str = ""
    pause: float = 0.0
    then: Callable[[], Reply] | None = None
    question: str = ""
    """Instead of the prompt: what is asked. The next line goes to `answer`."""
    answer: Callable[[str], Reply] | None = None
    hidden: bool = False
    """The answer is not echoed."""
    close: bool = False
    """The session ends in order."""
    cut: bool = False
    """The session is gone at once, without a word."""


def refuses(pattern: str, line: str) -> bool:
    """Whether `Faults.reject_only` says so of ``line``. A list of VLANs counts as one line for each
    of them, so ``vlan 666$`` refuses ``vlan 600-700`` too."""
    if not pattern:
        return False
    said = line.strip()
    lines = [said]
    if found := _VLAN_LIST.fullmatch(said):
        with contextlib.suppress(BadVlanList):  # it will be refused for that
            lines += [f"{found[1] or ''}vlan {vlan}" for vlan in parse_vlans(found[2])]
    return any(re.search(pattern, one) for one in lines)
