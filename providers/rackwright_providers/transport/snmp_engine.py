"""pysnmp behind one door: the process's SNMP engine, and one peer's exchanges on it.

Everything here runs on the I/O loop (`loop.call`). Requests go through pysnmp's RFC 3412
dispatcher rather than its high-level API, because that API keeps version 3 users by name alone: two
devices that have the same user name with different passphrases would take turns in replacing each
other's. Here a user belongs to the device's own engine id (RFC 3414), with keys localised to it.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pyasn1.error import PyAsn1Error
from pysnmp.carrier.asyncio.dgram import udp, udp6
from pysnmp.carrier.asyncio.dispatch import AsyncioDispatcher
from pysnmp.entity import config
from pysnmp.entity.engine import SnmpEngine
from pysnmp.error import PySnmpError
from pysnmp.proto import errind, rfc1902
from pysnmp.proto.api import v2c
from pysnmp.proto.error import StatusInformation

from rackwright.model.errors import Permanent, RackwrightError, Temporary, Unreachable
from rackwright.model.site import Snmp
from rackwright.provider import LeaseLike
from rackwright_providers.transport import snmp_discovery, snmp_pdus
from rackwright_providers.transport.snmp_value import Value

IN_FLIGHT = 64  # more at once is slower, not faster
TICK = 1.0
"""Seconds between two looks of pysnmp at what of its memory is too old."""
HOLD = 0.25
"""Seconds for which an unanswered request keeps its place among `IN_FLIGHT`. A request that only
waits costs no CPU, so a rack of dead devices must not take the places of live ones."""
REPORTS = 4
"""Reports (engine discovery, clock) that one request may be answered with before it is sent for good."""

AUTH = {
    "MD5": config.USM_AUTH_HMAC96_MD5,
    "SHA": config.USM_AUTH_HMAC96_SHA,
    "SHA224": config.USM_AUTH_HMAC128_SHA224,
    "SHA256": config.USM_AUTH_HMAC192_SHA256,
    "SHA384": config.USM_AUTH_HMAC256_SHA384,
    "SHA512": config.USM_AUTH_HMAC384_SHA512,
}
PRIV = {
    "DES": config.USM_PRIV_CBC56_DES,
    "AES": config.USM_PRIV_CFB128_AES,
    "AES192": config.USM_PRIV_CFB192_AES_BLUMENTHAL,
    "AES256": config.USM_PRIV_CFB256_AES_BLUMENTHAL,
}
V2C, V3 = 1, 3  # message processing models, RFC 3411 section 5
COMMUNITY_MODEL, USM = 2, 3  # security models
NO_AUTH, AUTH_NO_PRIV, AUTH_PRIV = 1, 2, 3  # security levels

REFUSED = {
    errind.UnknownUserName: "the device does not know this user name",
    errind.WrongDigest: "authentication failed: wrong `auth` passphrase or `auth_protocol`",
    errind.AuthenticationFailure: "authentication failed: wrong `auth` passphrase or `auth_protocol`",
    errind.DecryptionError: "decryption failed: wrong `priv` passphrase or `priv_protocol`",
    errind.UnsupportedSecurityLevel: "the device does not take this user at this security level",
}

PROBE = "1.3.6.1.2.1.1.3.0"
"""sysUpTime.0 (SNMPv2-MIB), which every agent has."""


def _guarded(function: Callable[..., Any]) -> Callable[..., None]:
    """``function`` without its exceptions. Whatever a datagram does to pysnmp's decoders, it is
    dropped like one that never came, and the request that waits is sent again; in the I/O loop the
    exception would end the clock of all sessions, or fill the log with the datagram."""

    def call(*arguments: Any) -> None:
        with suppress(Exception):
            function(*arguments)

    return call


class _Udp(udp.UdpAsyncioTransport):  # type: ignore[misc]
    def register_callback(self, callback: Any) -> None:
        super().register_callback(_guarded(callback))


class _Udp6(udp6.Udp6AsyncioTransport):  # type: ignore[misc]
    def register_callback(self, callback: Any) -> None:
        super().register_callback(_guarded(callback))


class _Dispatcher(AsyncioDispatcher):  # type: ignore[misc]
    def register_timer_callback(self, callback: Any, interval: float | None = None) -> None:
        super().register_timer_callback(_guarded(callback), interval)


@functools.lru_cache(maxsize=64)
def _master_key(auth: str, priv: str, passphrase: str) -> Any:
    """RFC 3414's key before it is localised: 7 ms of hashing, mostly alike for a whole rack."""
    secret = rfc1902.OctetString(passphrase)
    if priv:
        return config.PRIV_SERVICES[PRIV[priv]].hash_passphrase(AUTH[auth], secret)
    return config.AUTH_SERVICES[AUTH[auth]].hash_passphrase(secret)


@dataclass(slots=True)
class _User:
    keys: tuple[str, ...]
    sessions: int = 0


@dataclass(slots=True)
class _Engine:
    """One pysnmp engine with what sessions have put into it."""

    pysnmp: Any = field(default_factory=SnmpEngine)
    communities: dict[str, str] = field(default_factory=dict)
    homes: dict[bytes, tuple[Any, ...]] = field(default_factory=dict)
    """Remote engine id → the address that has it."""
    users: dict[tuple[bytes, str], _User] = field(default_factory=dict)

    async def transport(self, family: int) -> tuple[int, ...]:
        """The domain for addresses of ``family``, its socket opened when first asked for."""
        module, kind = (udp6, _Udp6) if family == socket.AF_INET6 else (udp, _Udp)
        domain: tuple[int, ...] = module.DOMAIN_NAME
        if config.get_transport(self.pysnmp, domain) is None:
            loop = asyncio.get_running_loop()
            if self.pysnmp.transport_dispatcher is None:
                self.pysnmp.register_transport_dispatcher(_Dispatcher(loop=loop, timeout=TICK))
            made = kind(loop=loop)
            config.add_transport(self.pysnmp, domain, made)
            await loop.create_datagram_endpoint(lambda: made, family=family)
        return domain

    def community(self, community: str) -> str:
        """The security name that stands for ``community``."""
        name = self.communities.get(community)
        if name is None:
            name = self.communities[community] = f"community{len(self.communities)}"
            config.add_v1_system(self.pysnmp, name, community, transportTag=b"")
        return name

    def peer_id(self, domain: tuple[int, ...], address: tuple[Any, ...]) -> bytes:
        """The engine id seen at ``address``, empty when none is known."""
        model = self.pysnmp.message_processing_subsystems[V3]
        found = model.get_peer_engine_info(domain, address)[0]
        return bytes(found) if found else b""

    def add_user(self, engine_id: bytes, address: tuple[Any, ...], options: Snmp) -> bool:
        """Make the user known for that engine. False where this would disturb another session: the
        same engine id at another address (a cloned device), or the same user with other keys."""
        keys = (options.auth, options.auth_protocol, options.priv, options.priv_protocol)
        known = self.users.get((engine_id, options.username))
        if self.homes.get(engine_id, address) != address or (known and known.keys != keys):
            return False
        if known is None:
            auth, priv = AUTH[options.auth_protocol], config.USM_PRIV_NONE
            remote = rfc1902.OctetString(engine_id)
            master = _master_key(options.auth_protocol, "", options.auth)
            auth_key, priv_key = config.AUTH_SERVICES[auth].localize_key(master, remote), None
            if options.priv:
                priv = PRIV[options.priv_protocol]
                master = _master_key(options.auth_protocol, options.priv_protocol, options.priv)
                priv_key = config.PRIV_SERVICES[priv].localize_key(auth, master, remote)
            config.add_v3_user(
                self.pysnmp,
                options.username,
                auth,
                auth_key,
                priv,
                priv_key,
                securityEngineId=remote,
                authKeyType=config.USM_KEY_TYPE_LOCALIZED,
                privKeyType=config.USM_KEY_TYPE_LOCALIZED,
            )
            known = self.users[engine_id, options.username] = _User(keys)
        known.sessions += 1
        self.homes[engine_id] = address
        return True

    def drop_user(self, engine_id: bytes, username: str) -> None:
        """One session less; with the last one the keys are forgotten."""
        user = self.users[engine_id, username]
        user.sessions -= 1
        if user.sessions:
            return
        del self.users[engine_id, username]
        config.delete_v3_user(self.pysnmp, username, rfc1902.OctetString(engine_id))
        if all(engine != engine_id for engine, _ in self.users):
            del self.homes[engine_id]


_engines = [_Engine()]
"""The first serves everything; more are made only where engine ids or users collide."""
_places: asyncio.Semaphore | None = None


class Peer:
    """One device's exchanges. All methods raise `Unreachable`, `Temporary` or `Permanent` alone."""

    def __init__(self, options: Snmp, via: str, lease: LeaseLike | None = None) -> None:
        """No datagram, nor one sent again, leaves after the end of ``lease``."""
        self._options = options
        self._via = via
        self._permit = _always if lease is None else lease.check
        self._engine: _Engine
        self._engine_id = b""
        self._domain: tuple[int, ...] = ()
        self._address: tuple[Any, ...] = ()
        self._model, self._security, self._level = V2C, COMMUNITY_MODEL, NO_AUTH
        self._name = ""

    async def open(self) -> None:
        """Resolve the host, make the credentials known to an engine, and see whether the device
        answers to them."""
        options = self._options
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                options.host, options.port, type=socket.SOCK_DGRAM
            )
            family, *_, self._address = found[0]
            if options.version == "2c":
                self._engine = _engines[0]
                self._domain = await self._engine.transport(family)
                self._name = self._engine.community(options.community)
            else:
                await self._open_v3(family)
        except TimeoutError:
            raise self._explained(errind.RequestTimedOut()) from None
        except OSError as error:
            raise Unreachable(f"{self._via}: {error.strerror or error}") from None
        try:
            await self._request(snmp_pdus.request(v2c.GetRequestPDU, [PROBE]))
        except _Reported as report:
            indication = report.indication
            silent = isinstance(indication, errind.RequestTimedOut)
            if silent and self._level == AUTH_PRIV and await self._answers_unencrypted():
                indication = errind.DecryptionError()
            raise self._explained(indication) from None

    async def _open_v3(self, family: int) -> None:
        options = self._options
        engine_id = await snmp_discovery.engine_id(
            self._address, options.timeout, options.retries, self._permit
        )
        for number in range(len(_engines) + 1):
            if number == len(_engines):
                _engines.append(_Engine())
            engine = self._engine = _engines[number]
            self._domain = await engine.transport(family)
            remembered = engine.peer_id(self._domain, self._address)
            if remembered in (b"", engine_id) and engine.add_user(
                engine_id, self._address, options
            ):
                break
        self._engine_id, self._name = engine_id, options.username
        self._model, self._security = V3, USM
        self._level = AUTH_PRIV if options.priv else AUTH_NO_PRIV

    async def _answers_unencrypted(self) -> bool:
        """Whether it answers what is signed but not encrypted: many drop what they cannot decrypt."""
        self._level = AUTH_NO_PRIV
        try:
            await self._request(snmp_pdus.request(v2c.GetRequestPDU, [PROBE]))
        except _Reported as report:
            return isinstance(report.indication, errind.UnsupportedSecurityLevel)
        return True

    async def close(self) -> None:
        """Forget the user's keys."""
        if self._engine_id:
            self._engine.drop_user(self._engine_id, self._options.username)
            self._engine_id = b""

    async def get(self, oids: Sequence[str]) -> snmp_pdus.Answer:
        """GET."""
        return await self._ask(snmp_pdus.request(v2c.GetRequestPDU, oids))

    async def bulk(self, oids: Sequence[str], repetitions: int) -> snmp_pdus.Answer:
        """GETBULK: up to ``repetitions`` rows of what follows ``oids``, row by row."""
        pdu = snmp_pdus.request(v2c.GetBulkRequestPDU, oids, v2c.apiBulkPDU)
        v2c.apiBulkPDU.set_max_repetitions(pdu, repetitions)
        return await self._ask(pdu)

    async def set(self, bindings: Sequence[tuple[str, Value]]) -> snmp_pdus.Answer:
        """SET."""
        pdu = snmp_pdus.request(v2c.SetRequestPDU, ())
        try:
            wired = [(oid, snmp_pdus.wired(value)) for oid, value in bindings]
            v2c.apiPDU.set_varbinds(pdu, wired)
        except PyAsn1Error:
            names = ", ".join(oid for oid, _ in bindings)
            raise Permanent(f"{self._via}: SET {names}: the value does not fit its type") from None
        return await self._ask(pdu)

    async def _ask(self, pdu: Any) -> snmp_pdus.Answer:
        try:
            return await self._request(pdu)
        except _Reported as report:
            raise self._explained(report.indication) from None

    def _explained(self, indication: Any) -> RackwrightError:
        for kind, why in REFUSED.items():
            if isinstance(indication, kind):
                return Permanent(f"{self._via}: {why}")
        if isinstance(indication, (errind.UnknownEngineID, errind.UnknownSecurityName)):
            return Unreachable(f"{self._via}: another SNMP engine answers there now")
        if isinstance(indication, errind.NotInTimeWindow):
            return Temporary(f"{self._via}: the device's SNMP clock cannot be followed")
        if isinstance(indication, errind.RequestTimedOut):
            hint = "" if self._model == V3 else " (wrong community, or this host is not allowed?)"
            return Unreachable(f"{self._via}: no answer{hint}")
        if isinstance(indication, errind.ParseError):
            return Unreachable(f"{self._via}: what it answers is no SNMP response")
        return Unreachable(f"{self._via}: {type(indication).__name__}")

    async def _request(self, pdu: Any) -> snmp_pdus.Answer:
        tries, reports = self._options.retries + 1, 0
        while True:
            indication, answer = await self._exchange(pdu)
            if indication is None:
                try:
                    return snmp_pdus.decoded(answer, v2c.apiPDU.get_request_id(pdu))
                except (PyAsn1Error, PySnmpError, ValueError):
                    indication = errind.ParseError()
            if isinstance(indication, (errind.RequestTimedOut, errind.ParseError)):
                tries -= 1
                if tries:
                    continue
            elif isinstance(indication, (errind.UnknownEngineID, errind.NotInTimeWindow)):
                reports += 1
                if reports <= REPORTS:
                    continue
            raise _Reported(indication)

    async def _exchange(self, pdu: Any) -> tuple[Any, Any]:
        """One datagram out and its answer: (what went wrong, None) or (None, the response PDU)."""
        global _places
        if _places is None:
            _places = asyncio.Semaphore(IN_FLIGHT)
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[tuple[Any, Any]] = loop.create_future()
        await _places.acquire()
        release = _once(_places.release)
        timer = loop.call_later(HOLD, release)
        engine, handle = self._engine.pysnmp, None
        try:
            self._permit()
            handle = engine.message_dispatcher.send_pdu(
                engine,
                self._domain,
                self._address,
                self._model,
                self._security,
                rfc1902.OctetString(self._name),
                self._level,
                None,  # the context: the device's own
                rfc1902.OctetString(""),
                1,  # PDUs of SNMPv2
                pdu,
                True,
                60 / TICK + self._options.timeout / TICK,  # ours ends first
                _deliver,
                answered,
            )
            async with asyncio.timeout(self._options.timeout):
                return await answered
        except TimeoutError:
            return errind.RequestTimedOut(), None
        except StatusInformation as status:
            return status["errorIndication"], None
        except (PyAsn1Error, PySnmpError) as error:
            raise Permanent(f"{self._via}: cannot be sent: {type(error).__name__}") from None
        finally:
            if handle is not None and (not answered.done() or answered.cancelled()):
                engine.message_dispatcher.release_state_information(engine, handle, self._model)
            timer.cancel()
            release()


class _Reported(Exception):
    """Something other than a response came, or nothing."""

    def __init__(self, indication: Any) -> None:
        super().__init__()
        self.indication = indication


def _always() -> None:
    """Without a lease there is no end."""


def _deliver(*arguments: Any) -> None:
    """pysnmp's call when a request is over (RFC 3412 processResponsePdu)."""
    pdu, status, _handle, answered = arguments[-4:]
    if not answered.done():
        answered.set_result((status["errorIndication"], None) if status else (None, pdu))


def _once(function: Callable[[], None]) -> Callable[[], None]:
    left = [function]

    def call() -> None:
        if left:
            left.pop()()

    return call
