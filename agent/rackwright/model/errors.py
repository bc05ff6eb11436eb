"""Errors, by what a caller may do about them.

Transports map every foreign exception to one of these, so nothing of paramiko,
asyncssh, pyserial, pysnmp or requests is ever seen above a transport.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class RackwrightError(Exception):
    """Base of all errors that Rackwright raises on purpose."""


class Temporary(RackwrightError):
    """It may work when tried again, not before ``delay`` seconds: session refused, device busy."""

    def __init__(self, message: str, *, delay: float = 5.0) -> None:
        super().__init__(message)
        self.delay = delay


class Unreachable(Temporary):
    """No session: connection refused, timed out, or lost in the middle."""


class NotAsked(Unreachable):
    """Nothing was asked of the device: the store gave no answer, or the lease on it had ended."""


class Permanent(RackwrightError):
    """Trying again changes nothing: rejected command, wrong credentials, unknown host key."""


class Unknown(Permanent):
    """There is no such thing, or nobody, as was named: a mistake of who named it."""


class Rejected(Permanent):
    """The device answered that it will not do this, and ``output`` is what it said."""

    def __init__(self, message: str, *, output: str = "") -> None:
        super().__init__(message)
        self.output = output


class Problem(NamedTuple):
    """One mistake in what users wrote, and where."""

    message: str
    hint: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    @property
    def where(self) -> str:
        """``file:line:column``, as far as known."""
        parts = [self.file or "<input>"]
        if self.line:
            parts.append(str(self.line))
            if self.column:
                parts.append(str(self.column))
        return ":".join(parts)

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.where}: {self.message}{hint}"


class InputError(RackwrightError):
    """What users wrote is wrong. Carries every problem found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)
