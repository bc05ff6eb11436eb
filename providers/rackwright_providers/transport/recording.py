"""Sessions kept as a file: what was sent and what came, without secrets.

A file is JSON, one line each: a head (`Head`), then for every stream its ``open``, ``sent`` and
``came``, a line of the screen a line of the file, then requests and their answers (``exec``,
``http``), then the values of the MIB (``snmprec``: ``OID|TYPE|VALUE``, as snmpsim plays them). What is
not UTF-8 is ``{"hex": "…"}``. `replay` plays it.

Nothing touches the disk here, and nothing leaves `Recording` but what `Redactor` has gone through.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from rackwright import __version__
from rackwright.model.resource import Resource, secret_fields
from rackwright.model.site import TRANSPORTS, Way
from rackwright.provider import Recorder
from rackwright_providers.transport import snmprec
from rackwright_providers.transport.redaction import Redactor
from rackwright_providers.transport.snmp_value import Value, numbers
from rackwright_providers.transport.stream import Stream

if TYPE_CHECKING:
    from rackwright_providers.transport.snmp_pdus import Answer, Peer

FORMAT = 1


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a recording."""

    recording: int
    """The format's version, `FORMAT`."""
    node: str
    platform: str
    transport: str
    date: str
    """Of the day, ISO 8601."""
    rackwright: str
    """Version that recorded it."""
    options: dict[str, Any]
    """Of the way; secrets masked."""


class Recording:
    """A `rackwright.provider.Recorder` that keeps everything in memory. One thread at a time."""

    def __init__(self) -> None:
        self._streams: list[tuple[str, list[tuple[str, bytes]]]] = []
        self._exchanges: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = []
        self._mib: dict[str, Value] = {}

    def __len__(self) -> int:
        """How much was said: writes and reads of streams, requests, values of a MIB."""
        said = sum(len(events) for _, events in self._streams)
        return said + len(self._exchanges) + len(self._mib)

    def stream(self, kind: str, stream: Stream) -> Stream:
        """See `Recorder.stream`."""
        events: list[tuple[str, bytes]] = []
        self._streams.append((stream.via, events))
        return _Heard(stream, events)

    def exchange(self, kind: str, request: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """See `Recorder.exchange`."""
        if kind == "snmp":
            for oid, value in answer["bindings"]:
                if value is not None:
                    self._mib.setdefault(oid, value)
        else:
            self._exchanges.append((kind, request, answer))

    def redacted(
        self, node: str, platform: str, way: Way, secrets: Sequence[str], date: str
    ) -> bytes:
        """The file. ``way`` has its secrets revealed; ``secrets`` are those of the site and of what
        the provider read (`secrets_of`)."""
        hidden = {
            name: str(way.options[name]) for name in _secret_names(way) if way.options.get(name)
        }
        redactor = Redactor([*secrets, *hidden.values()])
        masked = {name: redactor.label(value) for name, value in hidden.items()}
        head = Head(
            recording=FORMAT,
            node=node,
            platform=platform,
            transport=way.transport,
            date=date,
            rackwright=__version__,
            options={**_options(way, redactor), **masked},
        )
        lines = [msgspec.to_builtins(head), *self._entries(redactor)]
        return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines).encode()

    def _entries(self, redactor: Redactor) -> Iterator[dict[str, Any]]:
        for via, events in self._streams:
            yield {"open": via}
            # Each direction as a whole: what came may have come in pieces.
            kept: dict[str, list[bytes]] = {}
            for direction in ("sent", "came"):
                pieces = [data for kind, data in events if kind == direction]
                kept[direction] = redactor.pieces(pieces, shown=direction == "came")[::-1]
            came = b""
            for direction, _ in events:
                data = kept[direction].pop()
                if direction == "came":
                    came += data
                    continue
                yield from ({"came": line} for line in _lines(came))
                came = b""
                yield {"sent": _plain(data)}
            yield from ({"came": line} for line in _lines(came))
        for kind, request, answer in self._exchanges:
            yield {
                kind: plain_data(request, redactor),
                "answer": plain_data(answer, redactor, shown=True),
            }
        for oid in sorted(self._mib, key=numbers):
            value = self._mib[oid]
            if isinstance(value.data, bytes):
                value = Value(value.kind, *redactor.pieces([value.data], shown=False))
            yield {"snmprec": snmprec.line(oid, value)}


class _Heard:
    """A `Stream` that is listened to."""

    def __init__(self, stream: Stream, events: list[tuple[str, bytes]]) -> None:
        self.via = stream.via
        self._stream, self._events = stream, events

    def read(self, timeout: float) -> bytes:
        data = self._stream.read(timeout)
        if data:
            self._events.append(("came", data))
        return data

    def write(self, data: bytes) -> None:
        self._events.append(("sent", data))
        self._stream.write(data)

    def alive(self) -> bool:
        return self._stream.alive()

    def close(self) -> None:
        self._stream.close()


class RecordedPeer:
    """An SNMP `Peer` that is listened to."""

    def __init__(self, peer: Peer, recorder: Recorder) -> None:
        self._peer, self._recorder = peer, recorder

    async def open(self) -> None:
        await self._peer.open()

    async def close(self) -> None:
        await self._peer.close()

    async def get(self, oids: Sequence[str]) -> Answer:
        return self._kept({"get": tuple(oids)}, await self._peer.get(oids))

    async def bulk(self, oids: Sequence[str], repetitions: int) -> Answer:
        request = {"bulk": tuple(oids), "repetitions": repetitions}
        return self._kept(request, await self._peer.bulk(oids, repetitions))

    async def set(self, bindings: Sequence[tuple[str, Value]]) -> Answer:
        return await self._peer.set(bindings)

    def _kept(self, request: Mapping[str, Any], answer: Answer) -> Answer:
        if not answer.status:
            self._recorder.exchange("snmp", request, {"bindings": answer.bindings})
        return answer


def secrets_of(found: Mapping[Any, Resource]) -> list[str]:
    """What a provider read and marks as secret. What stands for a text that it could not read (NULs)
    is none."""
    return [
        value
        for resource in found.values()
        for name in secret_fields(type(resource))
        if isinstance(value := getattr(resource, name), str) and value.isprintable()
    ]


def _secret_names(way: Way) -> list[str]:
    kind: Any = TRANSPORTS[way.transport]
    return [name for name in kind.__struct_fields__ if name in secret_fields(kind)]


def _options(way: Way, redactor: Redactor) -> dict[str, Any]:
    """Those that are not secret. One that reads as a secret does (a username that is the password
    too) is typed as that, so it is masked as that."""
    return {
        name: redactor.text(value) if isinstance(value, str) else value
        for name, value in way.options.items()
    }


def plain_data(value: Any, redactor: Redactor | None = None, *, shown: bool = False) -> Any:
    """Data as JSON can have it; texts and bytes of several lines are lists of lines."""
    if isinstance(value, Mapping):
        return {str(key): plain_data(item, redactor, shown=shown) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_data(item, redactor, shown=shown) for item in value]
    if isinstance(value, (str, bytes)):
        data = value.encode(errors="surrogateescape") if isinstance(value, str) else value
        if redactor is not None:
            (data,) = redactor.pieces([data], shown=shown)
        lines = _lines(data)
        return lines if len(lines) > 1 else (lines or [""])[0]
    return value


def _lines(data: bytes) -> list[Any]:
    """A line each, with its end."""
    return [_plain(line) for line in re.findall(rb"[^\n]*\n|[^\n]+", data)]


def _plain(data: bytes) -> Any:
    """As text, or in hex where it is not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"hex": data.hex()}
