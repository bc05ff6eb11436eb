"""The pysnmp side of `snmp_agent`: engine, users, and the responders that ask the agent."""

from __future__ import annotations

import bisect
import functools
import socket
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any, Protocol

from pysnmp.carrier.asyncio.dgram import udp, udp6
from pysnmp.entity import config
from pysnmp.entity.engine import SnmpEngine
from pysnmp.entity.rfc3413 import cmdrsp, context
from pysnmp.proto import rfc1902, rfc1905
from pysnmp.proto.rfc3412 import MsgAndPduDispatcher
from pysnmp.smi import error as smi_error
from pysnmp.smi.builder import MibBuilder
from pysnmp.smi.instrum import MibInstrumController

from rackwright_sim.snmp_objects import Access, Gauge, Objects, Oid, Path, Scalar, SetError, Ticks

AUTH = {
    "MD5": config.USM_AUTH_HMAC96_MD5,
    "SHA": config.USM_AUTH_HMAC96_SHA,
    "SHA224": config.USM_AUTH_HMAC128_SHA224,
    "SHA256": config.USM_AUTH_HMAC192_SHA256,
    "SHA384": config.USM_AUTH_HMAC256_SHA384,
    "SHA512": config.USM_AUTH_HMAC384_SHA512,
}
V2C, USM = 2, 3  # security models
PRIV = {
    "DES": config.USM_PRIV_CBC56_DES,
    "AES": config.USM_PRIV_CFB128_AES,
    "AES192": config.USM_PRIV_CFB192_AES_BLUMENTHAL,
    "AES256": config.USM_PRIV_CFB256_AES_BLUMENTHAL,
}


class Agent(Protocol):
    """Whom the transport and the responders ask; `rackwright_sim.snmp_agent.SnmpAgent` is one."""

    objects: Objects
    counters: Any
    max_bindings: int

    def arrived(self, datagram: bytes, handle: Callable[[], None]) -> None: ...
    def leaving(self, datagram: bytes) -> bytes: ...
    def write(self, bindings: Sequence[tuple[Path, Scalar]]) -> None: ...


def engine(engine_id: bytes, boots: int, access: Access) -> Any:
    """An authoritative engine that lets in whom ``access`` names."""
    made = SnmpEngine(msgAndPduDsp=MsgAndPduDispatcher(MibInstrumController(_Mibs())))
    # Set here rather than given to the constructor, which would write it below the system's /tmp.
    builder = made.get_mib_builder()
    (own_id, own_boots) = builder.import_symbols(
        "__SNMP-FRAMEWORK-MIB", "snmpEngineID", "snmpEngineBoots"
    )
    own_id.syntax = made.snmpEngineID = own_id.syntax.clone(engine_id)
    own_boots.syntax = own_boots.syntax.clone(boots)
    for community, name in _areas(access).items():
        config.add_v1_system(made, name, community, transportTag=b"")
    for user in access.users:
        config.add_v3_user(
            made,
            user.name,
            AUTH[user.auth_protocol],
            user.auth,
            PRIV[user.priv_protocol] if user.priv else config.USM_PRIV_NONE,
            user.priv or None,
        )
    return made


class _Mibs(MibBuilder):  # type: ignore[misc]
    """pysnmp compiles its MIBs from their sources, twice for every engine, which is nearly all the
    time that an engine takes to start. Here it is once for all engines."""

    def __init__(self) -> None:
        super().__init__()
        self._loaded: set[str] = set()

    def load_module(self, name: str, **context: Any) -> _Mibs:
        """Run the module ``name``, unless that was done. Raises MibNotFoundError."""
        if name not in self._loaded:
            code = _compiled(name)
            self._loaded.add(name)  # first, since modules import each other
            exec(code, {"__name__": name, "mibBuilder": self, "userCtx": context})  # noqa: S102 - pysnmp's modules are made to be run like this
        return self


@functools.cache
def _compiled(name: str) -> CodeType:
    for source in MibBuilder().get_mib_sources():
        try:
            code: CodeType = source.read(name)[0]
        except OSError:
            continue
        return code
    raise smi_error.MibNotFoundError(f"pysnmp has no module {name}")


def _areas(access: Access) -> dict[str, str]:
    """Security names by community."""
    return {name: f"area{at}" for at, name in enumerate((*access.read, *access.write))}


def attach(made: Any, family: int, agent: Agent) -> Any:
    """A transport of ``made`` on which every datagram passes through ``agent``."""
    six = family == socket.AF_INET6
    kind = udp6.Udp6AsyncioTransport if six else udp.UdpAsyncioTransport

    class Watched(kind):  # type: ignore[misc, valid-type]
        def datagram_received(self, datagram: bytes, address: Any) -> None:
            receive = super().datagram_received
            agent.arrived(datagram, lambda: receive(datagram, address))

        def send_message(self, datagram: Any, address: Any) -> None:
            left = agent.leaving(bytes(datagram))
            if left:
                super().send_message(left, address)

    transport = Watched()
    config.add_transport(made, udp6.DOMAIN_NAME if six else udp.DOMAIN_NAME, transport)
    return transport


def respond(made: Any, agent: Agent, access: Access) -> None:
    """Answer GET, GETNEXT, GETBULK and SET with ``agent``'s objects."""
    served = context.SnmpContext(made)
    served.unregister_context_name(b"")
    objects = _Instrumentation(agent, access)
    served.register_context_name(b"", objects)

    class Bulk(cmdrsp.BulkCommandResponder):  # type: ignore[misc]
        max_varbinds = agent.max_bindings

    for name, kind in (
        ("get", cmdrsp.GetCommandResponder),
        ("get_next", cmdrsp.NextCommandResponder),
        ("get_bulk", Bulk),
        ("set", cmdrsp.SetCommandResponder),
    ):
        _watched(kind, name, agent, objects)(made, served)


def _watched(kind: Any, name: str, agent: Agent, objects: _Instrumentation) -> Any:
    """``kind`` that counts its requests, and shows each of them one state of the device."""

    class Watched(kind):  # type: ignore[misc]
        def process_pdu(self, *arguments: Any) -> None:
            setattr(agent.counters, name, getattr(agent.counters, name) + 1)
            objects.look()
            super().process_pdu(*arguments)

    return Watched


class _Instrumentation:
    """What pysnmp's responders call. That a request is authenticated and encrypted as its user must
    be is checked by USM; who may write is checked here, since pysnmp's VACM lets those write who
    have no view to write in."""

    def __init__(self, agent: Agent, access: Access) -> None:
        self._agent = agent
        areas = _areas(access)
        self._writers = {(V2C, areas[community]) for community in access.write}
        self._writers |= {(USM, user.name) for user in access.users if user.write}
        self._held: dict[Path, Scalar] = {}
        self._order: list[Path] = []

    def look(self) -> None:
        """Take the device's objects as they are now."""
        self._held = self._agent.objects.values()
        self._order = sorted(self._held)

    def read_variables(self, *bindings: Any, **_asked: Any) -> list[Any]:
        held = self._held
        return [
            (name, _wired(held[tuple(name)]) if tuple(name) in held else rfc1905.noSuchInstance)
            for name, _ in bindings
        ]

    def read_next_variables(self, *bindings: Any, **_asked: Any) -> list[Any]:
        found = []
        for name, _ in bindings:
            place = bisect.bisect_right(self._order, tuple(name))
            if place == len(self._order):
                found.append((name, rfc1905.endOfMibView))
            else:
                path = self._order[place]
                found.append((rfc1902.ObjectName(path), _wired(self._held[path])))
        return found

    def write_variables(self, *bindings: Any, **asked: Any) -> Sequence[Any]:
        if not bindings:
            return ()
        request = asked["snmpEngine"].observer.get_execution_context(
            "rfc3412.receiveMessage:request"
        )
        if (int(request["securityModel"]), str(request["securityName"])) not in self._writers:
            raise smi_error.NoAccessError(name=bindings[0][0], idx=0)
        try:
            self._agent.write([(tuple(name), _plain(value)) for name, value in bindings])
        except SetError as refusal:
            kind = next(
                kind
                for kind, name in cmdrsp.CommandResponderBase.SMI_ERROR_MAP.items()
                if name == refusal.error
            )
            raise kind(name=bindings[refusal.index][0], idx=refusal.index) from None
        return bindings


def _wired(value: Scalar) -> Any:
    if isinstance(value, Oid):
        return rfc1902.ObjectIdentifier(value)
    if isinstance(value, str):
        return rfc1902.OctetString(value.encode())
    for kind, wire in (
        (Gauge, rfc1902.Gauge32),
        (Ticks, rfc1902.TimeTicks),
        (int, rfc1902.Integer32),
    ):
        if isinstance(value, kind):
            return wire(value)
    return rfc1902.OctetString(value)


def _plain(value: Any) -> Scalar:
    if value.tagSet == rfc1902.Integer32.tagSet:
        return int(value)
    if value.tagSet == rfc1902.OctetString.tagSet:
        return bytes(value)
    if value.tagSet == rfc1902.Gauge32.tagSet:
        return Gauge(value)
    return Oid(value.prettyPrint())
