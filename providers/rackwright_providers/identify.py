"""Which platform a device is: by its sysObjectID, or by what it shows and answers at a login.

What tells a platform stands with the platform: ``object_ids`` (prefixes of sysObjectID), ``signs``
(regular expressions found in what a device shows or answers) and ``probe`` (a command that only
such a host has and that changes nothing) are attributes of its provider.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from rackwright.model import typed
from rackwright.model.errors import Permanent, RackwrightError, Rejected, Temporary
from rackwright.model.site import Http, Serial, Snmp, Ssh, Way
from rackwright.provider import AnyProvider, Registry, Surroundings
from rackwright_providers.transport.cli_dialect import Dialect

if TYPE_CHECKING:
    from rackwright_providers.transport.ssh_connection import SshConnection
    from rackwright_providers.transport.stream import Stream

log = logging.getLogger(__name__)

AUTO = "auto"

SYSTEM_OBJECT_ID = "1.3.6.1.2.1.1.2.0"  # sysObjectID.0, SNMPv2-MIB

ANY_CLI = Dialect(
    # Logs in on most lines and shells; what it prepares (width, paging) is the session's own.
    netmiko="cisco_ios",
    read_verbs=frozenset({"show", "version", "racadm"}),
    errors=re.compile(r"(?!)"),
    login_refused=re.compile(r"Login invalid|Authentication failed|Access denied|Login incorrect"),
    prompt=re.compile(rb"(?:[^\s>#$][^\r\n]{0,80})?[>#$] ?"),
    privileged="#",
)
QUESTIONS = ("show version", "version", "racadm getmodinfo")
"""Asked in turn until an answer tells; none of them changes anything anywhere."""
QUIET = 1.0
"""Seconds of silence after which a device has said what it says by itself."""
GLANCE = 4096
"""Bytes of it that are looked at."""
PAGES = ("/redfish/v1/", "/")
"""Read without writing, likewise."""


class Candidate(NamedTuple):
    """What tells one platform."""

    platform: str
    transports: frozenset[str]
    object_ids: tuple[str, ...] = ()
    signs: tuple[str, ...] = ()
    probe: tuple[str, ...] = ()


class Finding(NamedTuple):
    """A platform, and by what it was told."""

    platform: str
    by: str


def candidates(providers: Iterable[AnyProvider]) -> tuple[Candidate, ...]:
    """Those of ``providers`` that can be told."""
    return tuple(
        Candidate(
            provider.platform,
            provider.transports,
            tuple(getattr(provider, "object_ids", ())),
            tuple(getattr(provider, "signs", ())),
            tuple(getattr(provider, "probe", ())),
        )
        for provider in providers
    )


def by_object_id(object_id: str, known: Iterable[Candidate]) -> Finding | None:
    """The platform with the longest prefix of ``object_id``. Pure."""
    fitting = [
        (len(prefix), candidate.platform)
        for candidate in known
        for prefix in candidate.object_ids
        if f"{object_id}.".startswith(f"{prefix}.")
    ]
    return Finding(max(fitting)[1], f"sysObjectID {object_id}") if fitting else None


def by_text(text: str, known: Iterable[Candidate]) -> Finding | None:
    """The platform one of whose signs is in ``text``; None when no one's is, and when those of
    several are. Pure."""
    found: dict[str, str] = {}
    for candidate in known:
        for sign in candidate.signs:
            match = re.search(sign, text)
            if match:
                found.setdefault(candidate.platform, match[0].strip()[:60])
    if len(found) != 1:
        return None
    ((platform, shown),) = found.items()
    return Finding(platform, f"it shows {shown!r}")


def identify(way: Way, around: Surroundings) -> Finding:
    """I/O, reading only: the platform of the device at ``way`` (secrets revealed).

    Raises what the transport raises, and Permanent when nothing tells.
    """
    around = msgspec.structs.replace(around, writable=False)
    registry = Registry.installed()
    usable: dict[str, AnyProvider] = {}
    for name in registry.platforms:
        if name in (AUTO, "linux"):
            continue
        try:
            provider = registry.provider(name)
        except Permanent as error:  # somebody's package that is broken must not hide the others
            log.warning("%s", error)
            continue
        if way.transport in provider.transports:
            usable[name] = provider
    if len(usable) == 1:
        return Finding(next(iter(usable)), f"nothing else is reached over {way.transport}")
    known = candidates(usable.values())
    if way.transport == "snmp":
        return _over_snmp(way, around, known, usable)
    if way.transport == "http":
        found = _over_http(way, around, known)
    else:
        found = _over_cli(way, around, known)
    if found is None:
        names = ", ".join(sorted(usable))
        raise Permanent(
            f"{way.transport}: nothing tells which platform this is; say `platform:` (one of {names})"
        )
    return found


def _over_snmp(
    way: Way, around: Surroundings, known: tuple[Candidate, ...], usable: Mapping[str, AnyProvider]
) -> Finding:
    from rackwright_providers.transport.snmp import open_snmp

    session = open_snmp(_options(way, Snmp), around)
    try:
        value = session.get(SYSTEM_OBJECT_ID).get(SYSTEM_OBJECT_ID)
        object_id = value.text if value else ""
        found = by_object_id(object_id, known)
        if found:
            return found
        for name, provider in usable.items():
            recognises: Any = getattr(provider, "recognises", None)
            if recognises and recognises(session):
                return Finding(
                    name, f"what it serves (its sysObjectID is {object_id or 'missing'})"
                )
    finally:
        session.close()
    raise Permanent(
        f"snmp: sysObjectID {object_id or '(missing)'} is of no platform known here; say `platform:` "
        f"(one of {', '.join(sorted(usable))})"
    )


def _over_cli(way: Way, around: Surroundings, known: tuple[Candidate, ...]) -> Finding | None:
    from rackwright_providers.transport.cli import open_cli

    try:
        found = by_text(_at_a_glance(way, around), known)
        if found:
            return found
        session = open_cli(way, around, ANY_CLI)
    except Temporary:  # some hosts give no shell, only commands
        found = _by_probe(way, around, known) if way.transport == "ssh" else None
        if found is None:
            raise
        return found
    text = session.prompt
    try:
        for question in QUESTIONS:
            found = by_text(text, known)
            if found:
                return found
            try:
                text += "\n" + session.run(question)
            except Rejected as refusal:
                text += f"\n{refusal.output}"
        found = by_text(text, known)
    finally:
        session.close()
    return found or (_by_probe(way, around, known) if way.transport == "ssh" else None)


def _at_a_glance(way: Way, around: Surroundings) -> str:
    """What a device shows by itself: at an SSH login, and on a line at a line feed."""
    from rackwright_providers.transport.serial import open_serial
    from rackwright_providers.transport.ssh import open_shell

    stream: Stream
    if way.transport == "serial":
        stream = open_serial(_options(way, Serial), around)
        stream.write(b"\n")
    else:
        stream = open_shell(_options(way, Ssh), around)
    shown = b""
    try:
        while len(shown) < GLANCE and (more := stream.read(QUIET)):
            shown += more
    finally:
        stream.close()
    return shown.decode(errors="replace")


def _by_probe(way: Way, around: Surroundings, known: tuple[Candidate, ...]) -> Finding | None:
    """For hosts with a real shell: the one platform whose command is there."""
    from rackwright_providers.transport.ssh import open_ssh

    connection = open_ssh(_options(way, Ssh), around)
    try:
        found = [
            candidate
            for candidate in known
            if candidate.probe and _succeeds(connection, candidate.probe)
        ]
    finally:
        connection.close()
    if len(found) != 1:
        return None
    return Finding(found[0].platform, f"it has {found[0].probe[0]}")


def _succeeds(connection: SshConnection, command: Sequence[str]) -> bool:
    try:
        return connection.run(command).status == 0
    except Temporary:  # it does not take the command at all
        return False


def _over_http(way: Way, around: Surroundings, known: tuple[Candidate, ...]) -> Finding | None:
    from rackwright_providers.transport.http import open_http

    session = open_http(_options(way, Http), around)
    text = ""
    try:
        for page in PAGES:
            try:
                text += session.get(page).text
            except RackwrightError as error:
                text += f"\n{error}"
            found = by_text(text, known)
            if found:
                return found
    finally:
        session.close()
    return None


def _options(way: Way, kind: Any) -> Any:
    try:
        return typed.convert(way.options, kind)
    except msgspec.ValidationError as error:
        raise Permanent(f"{way.transport}: {error}") from None
