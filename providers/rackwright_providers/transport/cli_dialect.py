"""What the command line of one platform looks like, as data."""

from __future__ import annotations

import re
from dataclasses import dataclass

NEVER = re.compile(r"(?!)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One table a platform; hold it against the vendor's manual."""

    netmiko: str
    """netmiko's device type, whose driver knows the words of login, enable, paging and width."""
    read_verbs: frozenset[str]
    """First words of commands that change nothing."""
    read_commands: re.Pattern[str] = NEVER
    """Whole commands that change nothing, where the first word does not tell."""
    read_pipes_that_write: frozenset[str] = frozenset()
    """Words after ``|`` by which a read writes a file."""
    errors: re.Pattern[str]
    """A line of an answer that says that the command was not carried out."""
    login_refused: re.Pattern[str]
    """What a line's login says of a wrong name or password."""
    config_enter: str = ""
    """Empty: there is no configuration mode, every command is given at the one prompt."""
    config_leave: str = ""
    config_prompt: re.Pattern[str] = NEVER
    """Found in the prompt in every configuration mode, and in no other."""
    prompt: re.Pattern[bytes] | None = None
    """A whole prompt, where the usual form (``name>``, ``name(mode)#``) does not fit."""
    privileged: str
    """The last character of the prompt of one who may configure."""
    reads_privileged: bool = False
    """Reading needs that prompt too, and going there needs no secret on most devices."""
    save: str = ""
    """Empty: the device keeps what it is told by itself."""
    save_done: re.Pattern[str] = NEVER
    """Found in the answer to `save` when, and only when, it was saved."""
    save_busy: re.Pattern[str] = NEVER
    """Found in the answer when it may work later."""
    save_answers: tuple[tuple[re.Pattern[str], str], ...] = ()
    """Questions of the save command (at the end of what the device has said), and our answers."""
