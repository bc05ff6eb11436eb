"""SNMP: a session that can only read, and the one that can also write.

SNMPv2c and SNMPv3 (authNoPriv, authPriv; unprotected version 3 is refused). Blocking, for one thread
at a time; the datagrams are the I/O loop's, on one SNMP engine for the whole process. The SNMP
library is imported when the first session opens.
"""

from __future__ import annotations

import threading
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from rackwright.model.errors import Permanent, RackwrightError, Rejected, Temporary
from rackwright.model.site import Snmp
from rackwright.provider import Surroundings
from rackwright_providers.transport import loop
from rackwright_providers.transport.snmp_value import (
    Value,
    error_name,
    integer,
    numbers,
    octets,
    unsigned,
)

if TYPE_CHECKING:
    from rackwright_providers.transport.snmp_pdus import Answer, Peer

__all__ = [
    "SnmpReader",
    "SnmpSession",
    "Value",
    "integer",
    "numbers",
    "octets",
    "open_snmp",
    "unsigned",
]

T = TypeVar("T")

UP_TIME = "1.3.6.1.2.1.1.3.0"  # sysUpTime.0, SNMPv2-MIB
GET_SIZE = 24
"""OIDs in one GET: an answer of 24 short values fits the 484 octets that every agent must take."""
MOST = 100_000
"""Values in one walk; a device that sends more is not telling of its tables."""
QUEUE = 60.0
"""Seconds that a request may wait for its place among the requests in flight."""

_TOO_BIG, _NO_SUCH_NAME, _RESOURCE = 1, 2, 13  # error-status, RFC 3416


def via(options: Snmp) -> str:
    """The way, for reports: ``snmp 10.0.0.9:161``."""
    host = f"[{options.host}]" if ":" in options.host else options.host
    return f"snmp {host}:{options.port}"


class SnmpReader:
    """A session without any method that writes."""

    def __init__(self, peer: Peer, options: Snmp, stop: threading.Event) -> None:
        self.via = via(options)
        """For reports."""
        self.stop = stop
        """Set when the process must leave: who waits between requests waits on this."""
        self.remembered: dict[str, int] = {}
        """What a provider remembers from one run to the next, as long as the session is kept."""
        self._peer = peer
        # A first try, its retries, and the reports that version 3 may answer with before it answers.
        self._limit = (options.timeout + 0.2) * (options.retries + 6) + QUEUE

    def connect(self) -> None:
        """Make contact; `open_snmp` has done it."""
        try:
            self._call(self._peer.open())
        except BaseException:
            self.close()
            raise

    def get(self, *oids: str) -> dict[str, Value]:
        """The values of ``oids``, in as few requests as go; what the agent does not have is left out.

        Raises Unreachable when nothing answers, Permanent for credentials, Rejected when the agent
        answers with an error.
        """
        found: dict[str, Value] = {}
        left = [oids[at : at + GET_SIZE] for at in range(0, len(oids), GET_SIZE)]
        while left:
            asked = left.pop()
            answer = self._call(self._peer.get(asked))
            if answer.status == _TOO_BIG and len(asked) > 1:
                half = len(asked) // 2
                left += [asked[:half], asked[half:]]
            elif answer.status == _NO_SUCH_NAME and 0 < answer.index <= len(asked):
                # SNMPv1 manners: one object is missing, so none is answered.
                left.append(asked[: answer.index - 1] + asked[answer.index :])
            elif answer.status:
                raise self._rejected("GET", answer, asked)
            else:
                found |= {
                    oid: value
                    for oid, value in answer.bindings
                    if value is not None and oid in asked
                }
            left = [some for some in left if some]
        return found

    def walk(self, *bases: str, repetitions: int = 25) -> dict[str, Value]:
        """Everything under ``bases``, which are read side by side by GETBULK (the columns of a table,
        say), in the order of the MIB.

        Raises as `get` does, and Permanent when the agent answers with OIDs that do not increase or
        without end.
        """
        found: dict[str, Value] = {}
        at = {base: base for base in bases}
        while at:
            names = tuple(at)
            answer = self._call(self._peer.bulk(tuple(at.values()), repetitions))
            if answer.status == _TOO_BIG and repetitions > 1:
                repetitions //= 2
                continue
            if answer.status == _NO_SUCH_NAME:  # how SNMPv1 says that the MIB ends here
                break
            if answer.status:
                raise self._rejected("GETBULK", answer, tuple(at.values()))
            if not answer.bindings:
                raise Permanent(f"{self.via}: the agent answers GETBULK with nothing")
            self._take(answer, names, at, found)
            if len(found) > MOST:
                raise Permanent(f"{self.via}: more than {MOST} values under {', '.join(bases)}")
        return dict(sorted(found.items(), key=lambda item: numbers(item[0])))

    def _take(
        self, answer: Answer, bases: Sequence[str], at: dict[str, str], found: dict[str, Value]
    ) -> None:
        """Enter ``answer``, whose values come row by row, a column a base; leave in ``at`` the bases
        that have more, each with its last OID."""
        for number, (oid, value) in enumerate(answer.bindings):
            base = bases[number % len(bases)]
            if base not in at:
                continue
            if value is None or not oid.startswith(base + "."):
                del at[base]
                continue
            if numbers(oid) <= numbers(at[base]):
                raise Permanent(f"{self.via}: the agent's OIDs do not increase: {oid}")
            at[base] = oid
            found[oid] = value

    def alive(self) -> bool:
        """Whether the device answers. Asks it; never raises."""
        try:
            return UP_TIME in self.get(UP_TIME)
        except RackwrightError:
            return False

    def close(self) -> None:
        """Forget the credentials. Never raises."""
        with suppress(RackwrightError):
            self._call(self._peer.close())

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return loop.call(work, self._limit)

    def _rejected(self, what: str, answer: Answer, oids: Sequence[str]) -> RackwrightError:
        """The error for a response with an error-status."""
        at = oids[answer.index - 1] if 0 < answer.index <= len(oids) else ", ".join(oids)
        name = error_name(answer.status)
        message = f"{self.via}: {what} {at}: {name}"
        if answer.status == _RESOURCE:
            return Temporary(message)
        return Rejected(message, output=name)


class SnmpSession(SnmpReader):
    """A session that can also write."""

    def set(self, values: Mapping[str, Value] | Iterable[tuple[str, Value]]) -> None:
        """Set all ``values`` in one request. Raises Rejected, with the OID and the error's name,
        when the agent refuses. That it answered well does not mean that it did it: read it back."""
        bindings = list(values.items() if isinstance(values, Mapping) else values)
        oids = [oid for oid, _ in bindings]
        answer = self._call(self._peer.set(bindings))
        if answer.status:
            raise self._rejected("SET", answer, oids)
        for oid, value in answer.bindings:
            if value is None:
                raise Rejected(f"{self.via}: SET {oid}: no such object", output="noSuchInstance")


def open_snmp(options: Snmp, around: Surroundings) -> SnmpReader:
    """A session with a device that answers: `SnmpSession` if ``around.writable``, else `SnmpReader`.

    Raises Unreachable when nothing answers (for version 2c a wrong community looks like that too),
    Permanent when the device refuses the user or a passphrase, or the options lack one.
    """
    if options.version == "2c" and not options.community:
        raise Permanent("SNMP version 2c needs a `community`")
    if options.version == "3" and not (options.username and options.auth):
        raise Permanent("SNMP version 3 needs a `username` and an `auth` passphrase")
    kind = SnmpSession if around.writable else SnmpReader
    session = kind(_peer(options, around), options, around.stop)
    session.connect()
    return session


def _peer(options: Snmp, around: Surroundings) -> Peer:
    if around.replay is not None:
        from rackwright_providers.transport.replay import ReplayedPeer

        return ReplayedPeer(around.replay)
    from rackwright_providers.transport import snmp_engine

    peer = snmp_engine.Peer(options, via(options), around.lease)
    if around.recorder is None:
        return peer
    from rackwright_providers.transport.recording import RecordedPeer

    return RecordedPeer(peer, around.recorder)
