"""The SNMP transport against the simulated PDU, and against an agent that misbehaves on the wire."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto import rfc1905
from pysnmp.proto.api import v2c

from rackwright.model.errors import Permanent, RackwrightError, Rejected, Unreachable
from rackwright.model.site import Snmp
from rackwright.provider import Surroundings
from rackwright_providers.transport import snmp, snmp_pdus
from rackwright_providers.transport.snmp import SnmpReader, SnmpSession, Value, integer, octets
from rackwright_sim.apc_rpdu import ApcRpdu, RpduOptions
from rackwright_sim.faults import Faults
from rackwright_sim.snmp_objects import Access, User

NAME = "1.3.6.1.2.1.1.5.0"  # sysName.0
OUTLETS = "1.3.6.1.4.1.318.1.1.12.3.5.1.1"  # rPDUOutletStatusEntry
LABEL = "1.3.6.1.4.1.318.1.1.12.3.4.1.1.2"  # rPDUOutletConfigOutletName
STATE = f"{OUTLETS}.4"
AROUND = Surroundings(state=Path("/nonexistent"), writable=True)
V3 = {"version": "3", "username": "rack", "auth": "rack-auth-1", "priv": "rack-priv-1"}


def reach(sim: ApcRpdu, **options: Any) -> SnmpSession:
    """A writable session with ``sim``; version 2c unless ``options`` say otherwise."""
    given = {
        "host": sim.agent.host,
        "port": sim.port,
        "community": "private",
        "timeout": 0.5,
        "retries": 1,
    } | options
    session = snmp.open_snmp(Snmp(**given), AROUND)
    assert isinstance(session, SnmpSession)
    return session


def loopback_has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("options", [{}, V3], ids=["v2c", "v3"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_reads_walks_and_writes(options: dict[str, Any], host: str) -> None:
    if host == "::1" and not loopback_has_ipv6():
        pytest.skip("no IPv6 on the loopback")
    with ApcRpdu(RpduOptions(name="pdu-a1", outlets=5), host=host) as sim:
        session = reach(sim, **options)
        assert session.get(NAME, "1.3.6.1.2.1.1.99.0") == {NAME: Value("octets", b"pdu-a1")}
        assert [v.number for v in session.walk(STATE).values()] == [1] * 5
        session.set({f"{LABEL}.2": octets("web1")})
        assert session.get(f"{LABEL}.2")[f"{LABEL}.2"].text == "web1"
        assert session.alive()
        session.close()


def test_a_reader_has_no_way_to_write() -> None:
    with ApcRpdu() as sim:
        around = Surroundings(state=Path("/nonexistent"))
        reader = snmp.open_snmp(Snmp(host="127.0.0.1", port=sim.port, community="private"), around)
        assert type(reader) is SnmpReader
        assert not hasattr(reader, "set")


@pytest.mark.parametrize("outlets", [1, 7, 24, 25, 26, 60])
def test_a_walk_ends_with_its_columns(outlets: int) -> None:
    with ApcRpdu(RpduOptions(outlets=outlets)) as sim:
        # Requests are counted: a busy machine must not make one of them be sent twice.
        found = reach(sim, timeout=30).walk(STATE, LABEL, f"{OUTLETS}.5")
        assert len(found) == 3 * outlets
        assert list(found) == sorted(found, key=snmp.numbers)
        assert sim.counters.get_next == 0
        assert sim.counters.get_bulk <= outlets // 25 + 1


def test_an_agent_that_cuts_its_answers_is_asked_again() -> None:
    with ApcRpdu(RpduOptions(outlets=24)) as sim:
        sim.agent.max_bindings = 200
        whole = reach(sim, timeout=30).walk(STATE, LABEL)
    with ApcRpdu(RpduOptions(outlets=24)) as sim:
        assert reach(sim, timeout=30).walk(STATE, LABEL, repetitions=5) == whole
        assert sim.counters.get_bulk == 5


@pytest.mark.parametrize(
    ("oid", "value", "name"),
    [
        (f"{STATE}.1", integer(2), "notWritable"),
        (f"{LABEL}.1", integer(2), "wrongType"),
        (f"{LABEL}.1", octets("x" * 60), "wrongLength"),
        (f"{LABEL}.99", octets("x"), "noCreation"),
        ("1.3.6.1.4.1.318.1.1.12.3.4.1.1.4.1", integer(9000), "wrongValue"),
    ],
)
def test_a_refused_set_names_object_and_error(oid: str, value: Value, name: str) -> None:
    with ApcRpdu() as sim, pytest.raises(Rejected, match=f"SET {oid}: {name}") as caught:
        reach(sim).set({oid: value})
    assert caught.value.output == name


def test_a_refused_binding_is_named_among_several() -> None:
    with ApcRpdu() as sim:
        before = sim.outlets[1].label
        with pytest.raises(
            Rejected, match=r"1\.3\.6\.1\.4\.1\.318\.1\.1\.12\.3\.4\.1\.1\.4\.1: wrongValue"
        ):
            reach(sim).set(
                {f"{LABEL}.1": octets("x"), "1.3.6.1.4.1.318.1.1.12.3.4.1.1.4.1": integer(9000)}
            )
        assert sim.outlets[1].label == before


CREDENTIALS = [
    ({"community": "wrong-community"}, Unreachable, "no answer .wrong community"),
    ({**V3, "username": "nobody-here"}, Permanent, "does not know this user name"),
    ({**V3, "auth": "wrong-auth-pass"}, Permanent, "authentication failed: wrong `auth`"),
    ({**V3, "auth_protocol": "SHA256"}, Permanent, "authentication failed: wrong `auth`"),
    ({**V3, "priv": "wrong-priv-pass"}, Permanent, "decryption failed: wrong `priv`"),
    ({**V3, "priv": ""}, Permanent, "at this security level"),
    ({**V3, "auth": ""}, Permanent, "needs a `username` and an `auth`"),
    ({"community": ""}, Permanent, "needs a `community`"),
]


@pytest.mark.parametrize(("options", "kind", "message"), CREDENTIALS, ids=str)
def test_wrong_credentials_are_named_and_never_shown(
    options: dict[str, Any],
    kind: type[RackwrightError],
    message: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with ApcRpdu() as sim, pytest.raises(kind, match=message) as caught:
        reach(sim, timeout=0.3, retries=0, **options)
    told = f"{caught.value!r} {caught.value} {caplog.text}"
    for secret in ("wrong-community", "wrong-auth-pass", "wrong-priv-pass", *V3.values()):
        if secret not in ("3", "rack"):
            assert secret not in told


@pytest.mark.parametrize("auth", ["MD5", "SHA", "SHA224", "SHA256", "SHA384", "SHA512"])
@pytest.mark.parametrize("priv", ["", "DES", "AES", "AES192", "AES256"])
def test_every_protocol(auth: str, priv: str) -> None:
    user = User("u", "auth-pass-1", "priv-pass-1" if priv else "", auth, priv or "AES")
    with ApcRpdu(RpduOptions(access=Access(users=(user,)))) as sim:
        session = reach(
            sim,
            version="3",
            username="u",
            auth=user.auth,
            auth_protocol=auth,
            priv=user.priv,
            priv_protocol=priv or "AES",
        )
        assert session.alive()


def test_one_user_name_with_other_keys_on_each_device() -> None:
    """USM keys belong to an engine id; nobody's session may replace another's."""
    sims = [
        ApcRpdu(
            RpduOptions(access=Access(users=(User("rack", f"auth-{n}-pass", f"priv-{n}-pass"),)))
        )
        for n in range(4)
    ]
    with sims[0], sims[1], sims[2], sims[3]:

        def work(number: int) -> int:
            session = reach(
                sims[number],
                timeout=5.0,
                **{**V3, "auth": f"auth-{number}-pass", "priv": f"priv-{number}-pass"},
            )
            for _ in range(10):
                assert session.alive()
            with pytest.raises(Permanent):
                reach(
                    sims[number],
                    timeout=5.0,
                    retries=0,
                    **{**V3, "auth": f"auth-{number + 1}-pass"},
                )
            assert session.alive()
            session.close()
            return number

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(work, range(4))) == [0, 1, 2, 3]


def test_cloned_devices_with_one_engine_id() -> None:
    with ApcRpdu(RpduOptions(name="one")) as one, ApcRpdu(RpduOptions(name="two")) as model:
        twin = ApcRpdu(
            RpduOptions(
                name="two", access=Access(users=(User("rack", "other-auth-1", "other-priv-1"),))
            )
        )
        del model
        twin.agent._engine_id = one.agent._engine_id
        twin.agent._boots = 7
        with twin:
            first = reach(one, **V3)
            second = reach(twin, **{**V3, "auth": "other-auth-1", "priv": "other-priv-1"})
            for _ in range(3):
                assert first.get(NAME)[NAME].text == "one"
                assert second.get(NAME)[NAME].text == "two"
            first.close()
            assert second.alive()
            second.close()


def test_a_device_that_restarts_keeps_its_session(tmp_path: Path) -> None:
    with ApcRpdu(state=tmp_path / "pdu.json") as sim:
        session = reach(sim, **V3)
        port = sim.port
    with ApcRpdu(state=tmp_path / "pdu.json", port=port):
        assert session.alive()


def test_another_device_at_the_address_needs_a_new_session() -> None:
    with ApcRpdu() as sim:
        session = reach(sim, **V3)
        port = sim.port
    with ApcRpdu(RpduOptions(name="new"), port=port) as sim:
        assert not session.alive()
        with pytest.raises(Unreachable):
            session.get(NAME)
        session.close()
        assert reach(sim, **V3).get(NAME)[NAME].text == "new"


def test_no_answer_is_unreachable_and_garbage_too() -> None:
    with ApcRpdu() as sim:
        session = reach(sim, timeout=0.3, retries=0)
        for faults in (Faults(hang=True), Faults(garbage=True), Faults(refuse=True)):
            sim.faults = faults
            assert not session.alive()
            with pytest.raises(Unreachable):
                session.get(NAME)
        sim.faults = Faults()
        assert session.alive()


def test_a_lost_answer_is_asked_for_again() -> None:
    with ApcRpdu(faults=Faults(drop_after=1)) as sim:
        reach(sim).set({f"{LABEL}.1": octets("x")})
        assert sim.counters.set == 2
        assert sim.outlets[1].label == "x"


def test_dead_devices_delay_no_live_one() -> None:
    """More dead ones than requests may be in flight at once; none of them is over when a live
    device has answered."""
    with ApcRpdu() as alive, ApcRpdu(faults=Faults(hang=True)) as dead:
        good = [reach(alive) for _ in range(10)]
        with ThreadPoolExecutor(80) as pool, ThreadPoolExecutor(10) as few:
            bad = [
                pool.submit(lambda: reach(dead, timeout=3, retries=0).alive()) for _ in range(80)
            ]
            while dead.counters.datagrams < 64:
                time.sleep(0.01)
            assert all(work.result() for work in [few.submit(one.alive) for one in good])
            assert not any(future.done() for future in bad)
            for future in bad:
                assert isinstance(future.exception(), Unreachable)


def test_unknown_host_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="no-such-host"):
        snmp.open_snmp(Snmp(host="no-such-host.invalid", community="x"), AROUND)


Reply = Callable[[Any, Any], list[bytes]]
"""(the request's message, a well-formed answer to it) → the datagrams that are sent back."""


@contextmanager
def agent(reply: Reply, values: dict[str, str]) -> Iterator[int]:
    """A v2c agent that answers from ``values``, through ``reply``. Yields its port."""
    held = {snmp.numbers(oid): value for oid, value in values.items()}

    def after(oid: tuple[int, ...]) -> tuple[Any, Any]:
        later = sorted(key for key in held if key > oid)
        return (later[0], v2c.OctetString(held[later[0]])) if later else (oid, v2c.EndOfMibView())

    def answer(message: Any) -> Any:
        pdu = message[2].getComponent()
        names = [tuple(name) for name, _ in v2c.apiPDU.get_varbinds(pdu)]
        response = v2c.GetResponsePDU()
        v2c.apiPDU.set_defaults(response)
        v2c.apiPDU.set_request_id(response, v2c.apiPDU.get_request_id(pdu))
        if pdu.tagSet == rfc1905.GetBulkRequestPDU.tagSet:
            found = []
            for _ in range(min(int(pdu[2]), 8)):
                row = [after(name) for name in names]
                names = [name for name, _ in row]
                found += row
        else:
            found = [
                (n, v2c.OctetString(held[n]) if n in held else v2c.NoSuchInstance()) for n in names
            ]
        v2c.apiPDU.set_varbinds(response, found)
        return response

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                try:
                    datagram, sender = server.recvfrom(65535)
                except OSError:
                    return
                if not datagram:
                    return
                message, _ = decoder.decode(datagram, asn1Spec=rfc1905_message())
                for back in reply(message, answer(message)):
                    server.sendto(back, sender)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bell:
            bell.sendto(b"", server.getsockname())
        thread.join(5)


def rfc1905_message() -> Any:
    from pysnmp.proto import api

    return api.PROTOCOL_MODULES[api.SNMP_VERSION_2C].Message()


def packed(message: Any, pdu: Any) -> bytes:
    """``pdu`` in a message like ``message``."""
    from pysnmp.proto.api import v2c as module

    made = rfc1905_message()
    module.apiMessage.set_defaults(made)
    module.apiMessage.set_community(made, module.apiMessage.get_community(message))
    module.apiMessage.set_pdu(made, pdu)
    return bytes(encoder.encode(made))


def hostile(port: int, **options: Any) -> SnmpSession:
    session = snmp.open_snmp(
        Snmp(
            **{"host": "127.0.0.1", "port": port, "community": "c", "timeout": 0.3, "retries": 0}
            | options
        ),
        AROUND,
    )
    assert isinstance(session, SnmpSession)
    return session


UP = {"1.3.6.1.2.1.1.3.0": "1"}
TABLE = UP | {f"1.3.6.1.9.1.{n}": str(n) for n in range(1, 40)}


def changed(message: Any, pdu: Any, **parts: Any) -> list[bytes]:
    for part, value in parts.items():
        getattr(v2c.apiPDU, f"set_{part}")(pdu, value)
    return [packed(message, pdu)]


def test_the_well_formed_agent_of_these_tests() -> None:
    with agent(lambda message, pdu: [packed(message, pdu)], TABLE) as port:
        assert len(hostile(port).walk("1.3.6.1.9")) == 39


def test_cut_and_bent_answers_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """Every beginning of an answer, and answers with bytes changed, then the true one."""
    chance = random.Random(1)

    def reply(message: Any, pdu: Any) -> list[bytes]:
        whole = packed(message, pdu)
        cut = [whole[:end] for end in range(1, len(whole))]
        bent = []
        for _ in range(100):
            data = bytearray(whole)
            for _ in range(chance.randint(1, 4)):
                # Past version, community and request id: what is altered there is another answer.
                data[chance.choice([0, 1, 2, 3, 4])] = chance.randrange(256)
            bent.append(bytes(data))
        noise = [chance.randbytes(chance.randint(1, 80)) for _ in range(100)]
        return [data for data in (*cut, *bent, *noise) if data != whole] + [whole]

    with agent(reply, TABLE) as port:
        session = hostile(port, timeout=5)
        for _ in range(3):
            assert session.get("1.3.6.1.9.1.7")["1.3.6.1.9.1.7"].text == "7"
    assert "Traceback" not in caplog.text


BAD_ANSWERS: list[tuple[str, Reply, type[RackwrightError]]] = [
    ("wrong request id", lambda m, p: changed(m, p, request_id=1), Unreachable),
    ("an error", lambda m, p: changed(m, p, error_status=5, error_index=1), Rejected),
    (
        "an error out of range",
        lambda m, p: changed(m, p, error_status=5, error_index=999),
        Rejected,
    ),
    ("an unknown error", lambda m, p: changed(m, p, error_status=18, error_index=0), Rejected),
    ("not allowed", lambda m, p: changed(m, p, error_status=16, error_index=1), Rejected),
    ("nothing at all", lambda m, p: [], Unreachable),
    ("an empty datagram", lambda m, p: [b""], Unreachable),
    ("the request itself", lambda m, p: [packed(m, m[2].getComponent())], Unreachable),
]


@pytest.mark.parametrize(("what", "reply", "kind"), BAD_ANSWERS, ids=[c[0] for c in BAD_ANSWERS])
def test_bad_answers_are_errors_of_ours(
    what: str, reply: Reply, kind: type[RackwrightError], caplog: pytest.LogCaptureFixture
) -> None:
    with agent(reply, TABLE) as port, pytest.raises(kind):
        hostile(port).get("1.3.6.1.9.1.1")
    assert "Traceback" not in caplog.text


def test_a_response_to_another_request_is_none() -> None:
    """Version 3 finds the request by the message's id; the PDU's own must fit as well."""
    pdu = v2c.GetResponsePDU()
    v2c.apiPDU.set_defaults(pdu)
    own = v2c.apiPDU.get_request_id(pdu)
    assert snmp_pdus.decoded(pdu, own).bindings == ()
    with pytest.raises(ValueError, match="not the answer"):
        snmp_pdus.decoded(pdu, own + 1)


def only_bulk(change: Callable[[Any], list[tuple[str, Any]]]) -> Reply:
    """Answers GETBULK with ``change``'s bindings, all else truly."""

    def reply(message: Any, pdu: Any) -> list[bytes]:
        if message[2].getComponent().tagSet == rfc1905.GetBulkRequestPDU.tagSet:
            v2c.apiPDU.set_varbinds(pdu, change(message[2].getComponent()))
        return [packed(message, pdu)]

    return reply


def counting(pdu: Any) -> list[tuple[str, Any]]:
    """A table without end."""
    (name, _), *_ = v2c.apiPDU.get_varbinds(pdu)
    last = tuple(name)[6] if len(name) > 6 else 0
    return [(f"1.3.6.1.9.1.{last + n}", v2c.OctetString("x")) for n in range(1, 100)]


BAD_WALKS: list[tuple[str, Callable[[Any], list[tuple[str, Any]]]]] = [
    ("do not increase", lambda pdu: [("1.3.6.1.9.1.5", v2c.OctetString("x"))] * 3),
    (
        "do not increase",
        lambda pdu: [
            ("1.3.6.1.9.1.9", v2c.Null("")),
            ("1.3.6.1.9.1.5", v2c.OctetString("x")),
            ("1.3.6.1.9.1.3", v2c.OctetString("x")),
        ][1:],
    ),
    ("with nothing", lambda pdu: []),
    ("more than 1000 values", counting),
]


@pytest.mark.parametrize(("message", "change"), BAD_WALKS)
def test_walks_end(
    message: str,
    change: Callable[[Any], list[tuple[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snmp, "MOST", 1000)
    with agent(only_bulk(change), TABLE) as port, pytest.raises(Permanent, match=message):
        hostile(port).walk("1.3.6.1.9")


def test_old_manners_a_missing_object_does_not_hide_the_others() -> None:
    def reply(message: Any, pdu: Any) -> list[bytes]:
        names = [str(name) for name, _ in v2c.apiPDU.get_varbinds(message[2].getComponent())]
        missing = [at for at, name in enumerate(names, 1) if name not in TABLE]
        if missing:
            return changed(message, pdu, error_status=2, error_index=missing[0])
        return [packed(message, pdu)]

    with agent(reply, TABLE) as port:
        found = hostile(port).get(
            "1.3.6.1.9.1.1", "1.3.6.1.9.9.1", "1.3.6.1.9.1.2", "1.3.6.1.9.9.2"
        )
        assert {value.text for value in found.values()} == {"1", "2"}


def test_too_big_is_asked_for_in_parts() -> None:
    def reply(message: Any, pdu: Any) -> list[bytes]:
        request = message[2].getComponent()
        bulk = request.tagSet == rfc1905.GetBulkRequestPDU.tagSet
        wanted = int(request[2]) if bulk else len(v2c.apiPDU.get_varbinds(request))
        if wanted > 3:
            v2c.apiPDU.set_varbinds(pdu, [])
            return changed(message, pdu, error_status=1)
        return [packed(message, pdu)]

    oids = [f"1.3.6.1.9.1.{n}" for n in range(1, 30)]
    with agent(reply, TABLE) as port:
        session = hostile(port)
        assert set(session.get(*oids)) == set(oids)
        assert len(session.walk("1.3.6.1.9")) == 39
