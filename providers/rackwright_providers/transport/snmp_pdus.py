"""SNMP PDUs of pysnmp to and from plain values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pysnmp.proto import rfc1902
from pysnmp.proto.api import v2c

from rackwright_providers.transport.snmp_value import Kind, Value

Binding = tuple[str, Value | None]


@dataclass(frozen=True, slots=True)
class Answer:
    """A response PDU. A binding's value is None where the agent has no such object or instance, or
    no more of them."""

    status: int
    index: int
    bindings: tuple[Binding, ...]


class Peer(Protocol):
    """One device's exchanges. All methods raise `Unreachable`, `Temporary` or `Permanent` alone."""

    async def open(self) -> None:
        """Make contact."""

    async def close(self) -> None:
        """Forget the credentials."""

    async def get(self, oids: Sequence[str]) -> Answer:
        """GET."""

    async def bulk(self, oids: Sequence[str], repetitions: int) -> Answer:
        """GETBULK: up to ``repetitions`` rows of what follows ``oids``, row by row."""

    async def set(self, bindings: Sequence[tuple[str, Value]]) -> Answer:
        """SET."""


def request(kind: Any, oids: Iterable[str], api: Any = v2c.apiPDU) -> Any:
    """A request PDU of ``kind`` for ``oids``."""
    pdu = kind()
    api.set_defaults(pdu)
    api.set_varbinds(pdu, [(oid, _NULL) for oid in oids])
    return pdu


def decoded(pdu: Any, request_id: Any) -> Answer:
    """The response ``pdu``. Raises ValueError when it is not one to ``request_id``."""
    api = v2c.apiPDU
    if pdu.tagSet != v2c.ResponsePDU.tagSet or api.get_request_id(pdu) != request_id:
        raise ValueError("not the answer to this request")
    return Answer(
        int(api.get_error_status(pdu)),
        int(api.get_error_index(pdu, muteErrors=True)),
        tuple((str(name), _from_wire(value)) for name, value in api.get_varbinds(pdu)),
    )


_NULL = v2c.Null("")
_WIRED: dict[Kind, Any] = {
    "integer": rfc1902.Integer32,
    "octets": rfc1902.OctetString,
    "oid": rfc1902.ObjectIdentifier,
    "address": rfc1902.IpAddress,
    "counter32": rfc1902.Counter32,
    "unsigned32": rfc1902.Unsigned32,
    "ticks": rfc1902.TimeTicks,
    "opaque": rfc1902.Opaque,
    "counter64": rfc1902.Counter64,
}
_KINDS: dict[Any, Kind] = {kind.tagSet: name for name, kind in _WIRED.items()}


def _from_wire(value: Any) -> Value | None:
    kind = _KINDS.get(value.tagSet)
    if kind is None:  # noSuchObject, noSuchInstance, endOfMibView, unSpecified
        return None
    if kind in ("octets", "opaque"):
        return Value(kind, bytes(value))
    if kind in ("oid", "address"):
        return Value(kind, value.prettyPrint())
    return Value(kind, int(value))


def wired(value: Value) -> Any:
    """``value`` as pysnmp sends it."""
    return _WIRED[value.kind](value.data)
