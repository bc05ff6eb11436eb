"""One session on a simulated command line with modes: counting, faults. Pure; see `modal_access` for what
lies between it and a client."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from rackwright_sim.ios_grammar import Action, Grammar, Match, Mismatch
from rackwright_sim.ios_reply import BREAK, END, CliError, Reply, refuses
from rackwright_sim.modal_device import ModalDevice

LEAVING = ("end", "exit")
_DO = re.compile(r"\s*do\s+(?=\S)")


class ModalSession:
    """A logged-in line. A platform says what its modes know, how its prompt looks, what it answers
    to what it does not know."""

    KINDS: ClassVar[Mapping[str, str]]
    """Kind of an exec command by its first keyword, as `Counters.commands` has them."""
    INVALID: ClassVar[str]
    INCOMPLETE: ClassVar[str]
    AMBIGUOUS: ClassVar[str]

    def __init__(self, device: ModalDevice, origin: str = "console", username: str = "") -> None:
        self.device = device
        self.origin = origin
        self.username = username or device.options.username
        self.privileged = True
        self.mode = "exec"
        self.monitor = False
        self.length = 24
        self.width = 0  # lines wrap; they do not scroll as on IOS
        self.where = ""
        """The line that led to this submode; `Faults.reject_only` is looked for in both."""
        self._answer: Callable[[str], Reply] | None = None
        self._configured = 0

    @property
    def config(self) -> Any:
        """The configuration that commands read and change."""
        raise NotImplementedError

    @property
    def prompt(self) -> str:
        """As the device prints it."""
        raise NotImplementedError

    def pipe(self, filter_: str, answer: Any) -> str | None:
        """``answer`` as ``filter_`` (what stands after ``|``) lets it through; None: no such filter."""
        raise NotImplementedError

    def leave(self) -> None:
        """Back to exec mode, as ``end``."""
        self.mode, self.where = "exec", ""

    def exit(self) -> Reply | None:
        """One mode up; from exec mode out."""
        if self.mode == "exec":
            return Reply(close=True)
        if self.mode == "config":
            self.leave()
        else:
            self.mode, self.where = "config", ""
        return None

    def run(self, line: str) -> Reply:
        """One line, or `BREAK` (Ctrl-C), or a line that ends in `END` (Ctrl-Z)."""
        if line == BREAK:
            self._answer = None
            return Reply()
        if self._answer:
            answer, self._answer = self._answer, None
            return self._noted(answer(line))
        if line.endswith(END):
            self.leave()
            return Reply()
        if not line.strip() or line.lstrip().startswith("!"):
            return Reply()
        done = _DO.match(line)
        if self.mode == "exec" or done:
            return self._noted(self._execute(line[done.end() :] if done else line))
        return self._noted(self._configure(line))

    def proceed(self, then: Callable[[], Reply]) -> Reply:
        """The rest of an answer that had a `Reply.then`."""
        return self._noted(then())

    def following(self, line: str) -> list[str]:
        """What can follow ``line``, for ``?``."""
        return self.device.grammars[self._mode].following(line)

    def take(self, line: str) -> Any:
        """One configuring line; a submode leaves what it does not know to the global mode. A
        `Mismatch` when nobody knows it. Raises CliError."""
        found = self.device.grammars[self.mode].match(line, self.config)
        if isinstance(found, Mismatch) and self.mode != "config":
            wider = self.device.grammars["config"].match(line, self.config)
            if isinstance(wider, Match):
                self.mode, self.where = "config", ""
                found = wider
        if isinstance(found, Mismatch):
            return found
        before = self.mode
        answer = found.action(self, *found.arguments)
        if self.mode not in (before, "config", "exec") or (
            self.mode == before and line.strip().lower().startswith(("interface ", "vlan "))
        ):
            self.where = line.strip()
        return answer

    @property
    def _mode(self) -> str:
        return "user" if self.mode == "exec" and not self.privileged else self.mode

    def _noted(self, reply: Reply) -> Reply:
        self._answer = reply.answer
        return reply

    def _count(self, kind: str, line: str) -> None:
        counters = self.device.counters
        counters.commands[kind] = counters.commands.get(kind, 0) + 1
        self.device.log.append((kind, line.strip()))

    def _refused(self, text: str) -> Reply:
        self.device.counters.rejected += 1
        return Reply(text)

    def _forbidden(self, line: str) -> bool:
        """Whether `Faults.reject_only` says so: of the line, of the line after that of its submode,
        or of one of the VLANs in it."""
        rule, said = self.device.faults.reject_only, line.strip()
        each = said.replace("interface range vlan ", "vlan ")
        return any(refuses(rule, one) for one in (said, f"{self.where} / {said}", each))

    def _complaint(self, found: Mismatch) -> str:
        return {"incomplete": self.INCOMPLETE, "ambiguous": self.AMBIGUOUS}.get(
            found.kind, self.INVALID
        )

    def _execute(self, line: str) -> Reply:
        command, bar, filter_ = line.partition("|")
        mode = "exec" if self.privileged else "user"
        found = self.device.grammars[mode].match(command, self.config)
        if isinstance(found, Mismatch):
            self._count("other", line)
            return self._refused(self._complaint(found))
        kind = self.KINDS.get(found.verb, "other")
        self._count(kind, line)
        if kind in ("config", "save"):
            if self.device.drops_now():
                return Reply(cut=True)
            if self._forbidden(line):
                return self._refused(self.INVALID)
        try:
            answer = found.action(self, *found.arguments)
        except CliError as refusal:
            return self._refused(f"{refusal}\n")
        if isinstance(answer, Reply):
            return answer
        if bar:
            answer = self.pipe(filter_.strip(), answer)
            if answer is None:
                return self._refused(self.INVALID)
        return Reply(str(answer or ""))

    def _configure(self, line: str) -> Reply:
        device = self.device
        leaving = line.split()[0].lower() in LEAVING
        self._count("other" if leaving else "config", line)
        if not leaving:
            if device.drops_now():
                return Reply(cut=True)
            if device.faults.reject or self._forbidden(line):
                return self._refused(self.INVALID)
        try:
            answer = self.take(line)
        except CliError as refusal:
            return self._refused(f"{refusal}\n")
        if isinstance(answer, Mismatch):
            return self._refused(self._complaint(answer))
        if not leaving:
            device.counters.config_lines += 1
            self._configured += 1
            if device.drops_after(self._configured):
                return Reply(cut=True)
        return answer if isinstance(answer, Reply) else Reply(str(answer or ""))


def grammars(**tables: Mapping[str, Action]) -> dict[str, Grammar]:
    """A `Grammar` a mode, of its table."""
    return {mode: Grammar(table) for mode, table in tables.items()}
