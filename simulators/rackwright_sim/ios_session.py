"""One session on an IOS-like switch: its mode, its prompt, and what its command lines answer.

Pure: `IosSession.run` takes a line and gives a `Reply`. Echo, paging and time are the terminal's.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rackwright_sim.ios_config import Config, default_vlan_name
from rackwright_sim.ios_counters import WRITING
from rackwright_sim.ios_filter import apply_filter
from rackwright_sim.ios_grammar import Match, Mismatch
from rackwright_sim.ios_reply import BREAK, END, CliError, Reply, refuses
from rackwright_sim.ios_switch import IosSwitch

PROMPT_NAME = 20  # configuration prompts show this much of the hostname
_DO = re.compile(r"\s*do\s+(?=\S)")
_PROMPTS = {
    "archive": "config-archive",
    "vlan": "config-vlan",
    "if": "config-if",
    "svi": "config-if",
    "range": "config-if-range",
}
_KINDS = {
    "show": "show",
    "configure": "config",
    "write": "save",
    "copy": "save",
    "erase": "save",
    "reload": "reload",
}
_INVALID = "% Invalid input detected at '^' marker."


class IosSession:
    """A logged-in line. ``origin`` names it in log messages: ``console`` or ``vty0 (10.0.0.9)``."""

    def __init__(
        self,
        device: IosSwitch,
        origin: str = "console",
        username: str = "",
        *,
        config: Config | None = None,
    ) -> None:
        self.device = device
        self.origin = origin
        self.username = username or device.options.username
        self.privileged = not device.options.enable
        self.mode = "exec"
        """``exec``, ``config``, or a configuration submode: ``archive``, ``vlan``, ``if``, ``svi``, ``range``."""
        self.monitor = False
        self.length = 24
        self.width = 80
        self.interfaces: tuple[str, ...] = ()
        """In an interface mode: those that it configures."""
        self.vlans: frozenset[int] = frozenset()
        """In VLAN mode: those that it configures, once it is left."""
        self.vlan_name: str | None = None
        self._config = config
        self._answer: Callable[[str], Reply] | None = None
        self._configured = 0

    @property
    def config(self) -> Config:
        """The configuration that commands change and most of them read."""
        return self._config or self.device.running

    @property
    def prompt(self) -> str:
        """As the device prints it."""
        name = self.device.running.hostname
        if self.mode == "exec":
            return f"{name}{'#' if self.privileged else '>'}"
        return f"{name[:PROMPT_NAME]}({_PROMPTS.get(self.mode, 'config')})#"

    def run(self, line: str) -> Reply:
        """One line, or `BREAK` (Ctrl-C), or a line that ends in `END` (Ctrl-Z)."""
        if self._severed:
            return Reply(cut=True)
        if line == BREAK:
            self._answer = None
            self.leave()
            return Reply()
        if self._answer:
            answer, self._answer = self._answer, None
            return self._noted(answer(line))
        if line.endswith(END):
            reply = self.run(line[:-1]) if line.strip(END).strip() else Reply()
            self.leave()
            return reply
        if not line.strip() or line.lstrip().startswith("!"):
            return Reply()
        return self._noted(self._command(line))

    def proceed(self, then: Callable[[], Reply]) -> Reply:
        """The rest of an answer that had a `Reply.then`."""
        return self._noted(then())

    def enter(self, mode: str) -> None:
        """Go to a configuration mode; what the last one left to do is done now."""
        self._apply_vlans()
        if self.mode == "exec" and self.device.faults.lie:
            self._config = self.device.scratch()
        self.mode = mode

    def leave(self) -> None:
        """Back to exec mode, as ``end``."""
        if self.mode == "exec":
            return
        self._apply_vlans()
        self.mode, self._config = "exec", None
        self.device.syslog(
            f"%SYS-5-CONFIG_I: Configured from console by {self.username} on {self.origin}"
        )

    def configure(self, line: str) -> str | Reply | Mismatch:
        """One configuring line, in the mode where we are. What it answers, ``""`` for nothing; a
        `Reply` when it asks.

        A submode that does not know the line leaves it to the global mode. Raises CliError.
        """
        found = self.device.grammars[self.mode].match(line, self.config)
        if isinstance(found, Mismatch) and self.mode != "config":
            wider = self.device.grammars["config"].match(line, self.config)
            if isinstance(wider, Match):
                self.enter("config")
                found = wider
            elif wider.words > found.words:
                found = wider
        if isinstance(found, Mismatch):
            return found
        answer: str | Reply | None = found.action(self, *found.arguments)
        return answer or ""

    def following(self, line: str) -> list[str]:
        """What can follow ``line``, for ``?``."""
        mode = self.mode
        if mode == "exec":
            mode = "privileged" if self.privileged else "user"
        return self.device.grammars[mode].following(line)

    def _noted(self, reply: Reply) -> Reply:
        self._answer = reply.answer
        return reply

    def _command(self, line: str) -> Reply:
        done = _DO.match(line)
        if self.mode == "exec" or done:
            start = done.end() if done else 0
            return self._execute(" " * start + line[start:])
        return self._configure_counted(line)

    def _execute(self, line: str) -> Reply:
        command, bar, filter_ = line.partition("|")
        grammar = self.device.grammars["privileged" if self.privileged else "user"]
        found = grammar.match(command, self.config)
        if isinstance(found, Mismatch):
            self._count("other", line, rejected=True)
            return Reply(self._complaint(found, line))
        kind = _KINDS.get(found.verb, "other")
        self._count(kind, line)
        if kind in WRITING and refuses(self.device.faults.reject_only, line):
            self.device.counters.rejected += 1
            return Reply(self._complaint(Mismatch("invalid"), line))
        try:
            answer = found.action(self, *found.arguments)
        except CliError as refusal:
            self.device.counters.rejected += 1
            return Reply(f"{refusal}\n")
        if isinstance(answer, Reply):
            return answer
        if bar and answer:
            filtered = apply_filter(filter_, answer)
            if filtered is None:
                return Reply(self._complaint(Mismatch("invalid", len(command) + 2), line))
            answer = filtered
        return Reply(answer or "")

    def _configure_counted(self, line: str) -> Reply:
        faults = self.device.faults
        leaving = line.split()[0].lower() in ("end", "exit")
        self._count("other" if leaving else "config", line)
        if not leaving and self.device.drops_now():
            return Reply(cut=True)
        if not leaving and (faults.reject or refuses(faults.reject_only, line)):
            self.device.counters.rejected += 1
            return Reply(self._complaint(Mismatch("invalid"), line))
        try:
            answer = self.configure(line)
        except CliError as refusal:
            self.device.counters.rejected += 1
            return Reply(f"{refusal}\n")
        if isinstance(answer, Mismatch):
            self.device.counters.rejected += 1
            return Reply(self._complaint(answer, line))
        if not leaving:
            self.device.counters.config_lines += 1
            self._configured += 1
            if faults.drop_after is not None and self._configured >= faults.drop_after:
                self.device.spend_drop()
                return Reply(cut=True)
            if self._severed:
                return Reply(cut=True)
        return answer if isinstance(answer, Reply) else Reply(answer)

    @property
    def _severed(self) -> bool:
        """Whether the way to who is logged in, ``vty0 (10.0.0.9)``, was cut."""
        _, found, address = self.origin.partition(" (")
        return bool(found) and not self.device.reaches(address.rstrip(")"))

    def _count(self, kind: str, line: str, *, rejected: bool = False) -> None:
        counters = self.device.counters
        counters.commands[kind] = counters.commands.get(kind, 0) + 1
        counters.rejected += rejected
        self.device.log.append((kind, line.strip()))

    def _complaint(self, found: Mismatch, line: str) -> str:
        if found.kind == "incomplete":
            return "% Incomplete command.\n\n"
        if found.kind == "ambiguous":
            return f'% Ambiguous command:  "{line.strip()}"\n'
        if self.mode == "exec" and not found.words and len(line.split()) == 1:
            # a lone word that is no command is taken for a host to telnet to
            return (
                f'Translating "{line.strip()}"\n\n% Bad IP address or host name\n'
                "% Unknown command or computer name, or unable to find computer address\n"
            )
        return f"{' ' * (len(self.prompt) + found.position)}^\n{_INVALID}\n\n"

    def _apply_vlans(self) -> None:
        """VLAN mode takes effect when it is left."""
        vlans, name = self.vlans, self.vlan_name
        self.vlans, self.vlan_name = frozenset(), None
        for vlan in vlans:
            self.config.vlans.setdefault(vlan, default_vlan_name(vlan))
        if name is not None:
            for vlan in vlans:
                self.config.vlans[vlan] = name or default_vlan_name(vlan)


def load(device: IosSwitch, blank: Config, text: str) -> Config:
    """``blank`` with the configuration of ``text`` taken in, as at boot: what is not known there
    is passed over."""
    session = IosSession(device, config=blank)
    session.mode = "config"
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("!"):
            continue
        try:
            session.configure(line)
        except CliError:
            continue
    session.enter("config")
    return blank
