"""What an agent answers to SNMPv2c messages (RFC 3416, section 4.2)."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import replace

from rackwright_sim import snmp_ber as ber
from rackwright_sim.snmp_agent import Access, Path, Scalar, SetError, SnmpAgent

COUNTED = {
    ber.GET: "get",
    ber.GET_NEXT: "get_next",
    ber.GET_BULK: "get_bulk",
    ber.SET: "set",
}


class View:
    """The device's objects, and their order, at one instant."""

    def __init__(self) -> None:
        self.held: dict[Path, Scalar] = {}
        self.order: list[Path] = []

    def look(self, agent: SnmpAgent) -> None:
        """Take them as they are now."""
        held = agent.objects.values()
        if held is not self.held or len(held) != len(self.order):
            self.held, self.order = held, sorted(held)

    def after(self, path: Path) -> Path | None:
        """The name that follows ``path``."""
        place = bisect.bisect_right(self.order, path)
        return self.order[place] if place < len(self.order) else None


class Responder:
    """Answers what comes from communities that ``access`` names; others get no answer."""

    def __init__(self, agent: SnmpAgent, access: Access) -> None:
        self._agent = agent
        self._access = access
        self._view = View()

    def takes(self, datagram: bytes) -> bool:
        """Whether the datagram is of this version."""
        return ber.is_v2c(datagram)

    def answer(self, datagram: bytes) -> bytes:
        """The datagram that answers this one; empty where none does."""
        try:
            asked = ber.decoded(datagram)
        except ValueError:
            return b""
        access, counted = self._access, COUNTED.get(asked.kind)
        if asked.community not in (*access.read, *access.write) or not counted:
            return b""
        counters = self._agent.counters
        setattr(counters, counted, getattr(counters, counted) + 1)
        answer = replace(asked, kind=ber.RESPONSE, first=0, second=0)
        if asked.kind == ber.SET:
            try:
                self._write(asked)
            except SetError as refusal:
                status = ber.ERRORS.index(refusal.error)
                if refusal.error == "tooBig":
                    answer = replace(answer, first=status, bindings=())
                else:
                    answer = replace(answer, first=status, second=refusal.index + 1)
        else:
            self._view.look(self._agent)
            answer = replace(answer, bindings=tuple(self._read(asked)))
        return ber.encoded(answer)

    def _write(self, asked: ber.Message) -> None:
        if asked.community not in self._access.write:
            raise SetError("noAccess")
        bindings = []
        for position, (path, value) in enumerate(asked.bindings):
            try:
                bindings.append((path, ber.plain(value)))
            except ValueError:
                raise SetError("wrongType", position) from None
        if bindings:
            self._agent.write(bindings)

    def _read(self, asked: ber.Message) -> Sequence[ber.Coded]:
        names = [path for path, _ in asked.bindings]
        if asked.kind == ber.GET:
            held = self._view.held
            return [
                (name, ber.wired(held[name]) if name in held else ber.NO_SUCH_INSTANCE)
                for name in names
            ]
        if asked.kind == ber.GET_NEXT:
            return self._next(names)
        single = max(asked.first, 0)
        found, row = self._next(names[:single]), names[single:]
        most = self._agent.max_bindings // len(row) if row else 0
        for _ in range(min(max(asked.second, 0), most)):
            after = self._next(row)
            found += after
            row = [path for path, _ in after]
        return found

    def _next(self, names: Sequence[Path]) -> list[ber.Coded]:
        found = []
        for name in names:
            path = self._view.after(name)
            value = ber.END_OF_MIB_VIEW if path is None else ber.wired(self._view.held[path])
            found.append((path or name, value))
        return found
