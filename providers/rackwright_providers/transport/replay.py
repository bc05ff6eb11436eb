"""Recordings played as if they were devices: `open` gives a provider's session on one.

What is asked must have been asked when it was recorded. Streams answer line by line, in any order,
and in their own time: nobody waits. A recording can be played a few bytes at a time, and be cut off.
"""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rackwright.model import site, typed
from rackwright.model.errors import Permanent, Unreachable
from rackwright.provider import Registry, Surroundings
from rackwright_providers.transport import snmprec
from rackwright_providers.transport.recording import FORMAT, Head, plain_data
from rackwright_providers.transport.snmp_value import Value, numbers
from rackwright_providers.transport.ssh_connection import Completed, SshConnection

if TYPE_CHECKING:
    from rackwright_providers.transport.snmp_pdus import Answer

_NONCE = re.compile(rb"[0-9a-f]{8,}")
"""What a session makes up to find its place in what a device says; the recording has another one."""
SILENCE = 300.0
"""Seconds, of the recording's own time, after which a stream that is only listened to is over."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is in a file."""

    head: Head
    streams: tuple[tuple[str, tuple[tuple[str, bytes], ...]], ...]
    """Of each: the way, and its events, ``sent`` or ``came``."""
    exchanges: tuple[tuple[str, Mapping[str, Any], Mapping[str, Any]], ...]
    """Kind, request, answer."""
    mib: Mapping[str, Value]


def load(path: Path) -> Recorded:
    """The recording in a file. Raises Permanent when it is none, or of a format we do not know."""
    try:
        return parsed(path.read_bytes())
    except OSError as error:
        raise Permanent(f"{path}: {error.strerror}") from None
    except Permanent as error:
        raise Permanent(f"{path}: {error}") from None


def parsed(data: bytes) -> Recorded:
    """The recording that `recording.Recording.redacted` made. Raises as `load` does."""
    number = 1
    streams: list[tuple[str, list[tuple[str, bytes]]]] = []
    exchanges = []
    mib: dict[str, Value] = {}
    try:
        first, *rest = data.decode().rstrip("\n").split("\n")
        head = typed.decode(first, Head)
        if head.recording != FORMAT:
            raise Permanent(f"a recording of format {head.recording}; this reads {FORMAT}")
        for text in rest:
            number += 1
            line = json.loads(text)
            kind = next(iter(line))
            if kind == "open":
                streams.append((line[kind], []))
            elif kind in ("sent", "came"):
                streams[-1][1].append((kind, _bytes(line[kind])))
            elif kind == "snmprec":
                oid, value = snmprec.parsed(line[kind])
                mib[oid] = value
            else:
                exchanges.append((kind, line[kind], line["answer"]))
    except (ValueError, LookupError, TypeError, AttributeError, StopIteration) as error:
        raise Permanent(f"line {number}: not a recording: {error}") from None
    return Recorded(
        head,
        tuple((via, tuple(events)) for via, events in streams),
        tuple(exchanges),
        mib,
    )


def open(
    recorded: Recorded | Path, platform: str = "", *, chunk: int = 0, cut: int | None = None
) -> Any:
    """A read-only session of ``platform`` (default: what was recorded) on a recording.

    ``chunk``: so many bytes at a time; 0: all that there is. ``cut``: the device is gone after so
    many bytes, requests answered. Raises what the provider's `open` raises.
    """
    if isinstance(recorded, Path):
        recorded = load(recorded)
    player = Player(recorded, chunk=chunk, cut=cut)
    return player.open(platform)


@dataclass(slots=True)
class Player:
    """A `rackwright.provider.Replay`."""

    recorded: Recorded
    chunk: int = 0
    cut: int | None = None
    used: int = 0
    """Bytes of streams read, and requests answered, so far."""
    _streams: int = 0
    _answers: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    _oids: list[tuple[int, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for kind, request, answer in self.recorded.exchanges:
            self._answers.setdefault(_key(kind, request), []).append(answer)
        self._oids = sorted(numbers(oid) for oid in self.recorded.mib)

    def open(self, platform: str = "") -> Any:
        """A read-only session of ``platform`` (default: what was recorded)."""
        head = self.recorded.head
        provider = Registry.installed().provider(platform or head.platform)
        way = site.Way(transport=head.transport, options=head.options)
        # Nothing is connected to, so nothing is kept there either.
        return provider.open(way, Surroundings(state=Path("/nonexistent"), replay=self))

    def stream(self, kind: str) -> PlayedStream:
        """See `rackwright.provider.Replay`."""
        if self._streams >= len(self.recorded.streams):
            raise Unreachable(f"{kind}: the recording has no further session")
        via, events = self.recorded.streams[self._streams]
        self._streams += 1
        return PlayedStream(self, via, events)

    def exchange(self, kind: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `rackwright.provider.Replay`."""
        self.spend(1)
        if kind == "snmp":
            return {"bindings": self._bindings(request)}
        answers = self._answers.get(_key(kind, plain_data(request)))
        if not answers:
            what = " ".join(map(str, request.get("argv", ()))) or " ".join(
                map(str, request.values())
            )
            raise Unreachable(f"{self.via}: the recording has no answer to {what!r}")
        return answers.pop(0) if len(answers) > 1 else answers[0]

    @property
    def via(self) -> str:
        """For reports."""
        head = self.recorded.head
        return f"{head.transport} recording of {head.node}"

    def spend(self, most: int) -> int:
        """How much of ``most`` may still be said. Raises Unreachable at the cut."""
        if self.cut is not None:
            most = min(most, self.cut - self.used)
            if most <= 0:
                raise Unreachable(f"{self.via}: cut off")
        self.used += most
        return most

    def _bindings(self, request: Mapping[str, Any]) -> list[tuple[str, Value | None]]:
        mib = self.recorded.mib
        if "get" in request:
            return [(oid, mib.get(oid)) for oid in request["get"]]
        found: list[tuple[str, Value | None]] = []
        at = [numbers(oid) for oid in request["bulk"]]
        for _ in range(request["repetitions"]):
            for column, after in enumerate(at):
                place = bisect.bisect_right(self._oids, after)
                if place == len(self._oids):
                    found.append((".".join(map(str, after)), None))  # endOfMibView
                    continue
                at[column] = self._oids[place]
                oid = ".".join(map(str, at[column]))
                found.append((oid, mib[oid]))
        return found


class PlayedStream:
    """A `Stream` with a clock of its own (`now`), which only runs while it is listened to in vain."""

    def __init__(self, player: Player, via: str, events: Sequence[tuple[str, bytes]]) -> None:
        self.via = via
        self._player, self._events = player, events
        self._next = 0
        self._pending = bytearray()
        self._coming = bytearray()
        self._nonces: dict[bytes, bytes] = {}
        self._clock = self._silence = 0.0
        self._closed = False
        self._hear()

    def now(self) -> float:
        """Seconds."""
        return self._clock

    def read(self, timeout: float) -> bytes:
        """See `Stream.read`."""
        if self._closed:
            raise Unreachable(f"{self.via}: closed")
        if timeout > 0:
            self._pending += self._coming
            self._coming.clear()
        if self._pending:
            count = self._player.spend(self._player.chunk or len(self._pending))
            data = bytes(self._pending[:count])
            del self._pending[:count]
            self._silence = 0.0
            return data
        self._clock += timeout
        self._silence += timeout
        if self._silence > SILENCE:
            raise Unreachable(f"{self.via}: the recording says no more")
        return b""

    def write(self, data: bytes) -> None:
        """See `Stream.write`. What was not recorded is Unreachable; a mere key press is ignored."""
        at = self._sent(data)
        if at is None:
            if len(data) > 1:
                raise Unreachable(f"{self.via}: the recording has no answer to {data.decode()!r}")
            return
        self._silence = 0.0
        self._next = at + 1
        self._hear()

    def _sent(self, data: bytes) -> int | None:
        """Where ``data`` was sent: next, or later, or before."""
        wanted = ("sent", data)
        if self._next < len(self._events) and self._events[self._next] == wanted:
            return self._next
        if len(data) == 1:
            return None
        places = [at for at, event in enumerate(self._events) if event == wanted]
        if not places and (alike := _NONCE.sub(b"\0", data)) != data:
            places = [
                at
                for at, (kind, kept) in enumerate(self._events)
                if kind == "sent" and _NONCE.sub(b"\0", kept) == alike
            ]
        at = next((at for at in places if at >= self._next), places[0] if places else None)
        if at is not None:
            pairs = zip(_NONCE.findall(self._events[at][1]), _NONCE.findall(data), strict=True)
            self._nonces.update((kept, said) for kept, said in pairs if kept != said)
        return at

    def _hear(self) -> None:
        """All that came before the next thing was sent. It takes its time, so a read that does not
        wait has none of it yet."""
        while self._next < len(self._events) and self._events[self._next][0] == "came":
            data = self._events[self._next][1]
            for kept, said in self._nonces.items():
                data = data.replace(kept, said)
            self._coming += data
            self._next += 1

    def alive(self) -> bool:
        """See `Stream.alive`."""
        return not self._closed

    def close(self) -> None:
        """See `Stream.close`."""
        self._closed = True


class ReplayedConnection(SshConnection):
    """An SSH connection to a recording."""

    def __init__(self, player: Any) -> None:
        self.via = player.via
        self._player = player

    def run(self, argv: Sequence[str], stdin: bytes = b"", timeout: float = 30.0) -> Completed:
        answer = self._player.exchange("exec", {"argv": list(argv), "stdin": stdin})
        return Completed(answer["status"], _bytes(answer["stdout"]), _bytes(answer["stderr"]))

    def shell(self, width: int = 511, height: int = 1000, *, whole: bool = False) -> Any:
        return self._player.stream("ssh")

    def alive(self) -> bool:
        return True

    def close(self) -> None:
        pass


class ReplayedPeer:
    """An SNMP `Peer` that is a recording."""

    def __init__(self, player: Any) -> None:
        self._player = player

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def get(self, oids: Sequence[str]) -> Answer:
        return self._answer({"get": oids})

    async def bulk(self, oids: Sequence[str], repetitions: int) -> Answer:
        return self._answer({"bulk": oids, "repetitions": repetitions})

    async def set(self, bindings: Iterable[tuple[str, Value]]) -> Answer:
        raise Permanent("a recording cannot be written to")

    def _answer(self, request: Mapping[str, Any]) -> Answer:
        from rackwright_providers.transport.snmp_pdus import Answer

        return Answer(0, 0, tuple(self._player.exchange("snmp", request)["bindings"]))


def text_of(kept: Any) -> str:
    """A text of an answer as it was."""
    return _bytes(kept).decode(errors="replace")


def _bytes(kept: Any) -> bytes:
    """What `recording` has made of a text or of bytes."""
    if isinstance(kept, list):
        return b"".join(map(_bytes, kept))
    if isinstance(kept, dict):
        return bytes.fromhex(kept["hex"])
    return str(kept).encode()


def _key(kind: str, request: Mapping[str, Any]) -> str:
    return json.dumps([kind, request], sort_keys=True)
