"""Configuration of an IOS-like switch that is not about ports: name, time, log, SNMP, accounts."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address

from rackwright_sim.ios_accounts import TYPES, Account, hashed
from rackwright_sim.ios_reply import CliError, Reply
from rackwright_sim.ios_session import IosSession

_HOSTNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
_HASHED = re.compile(r"[589] (\$[589]\$\S+)")
_PRIVILEGE = re.compile(r"privilege (\d+) ?")
_ALGORITHM = re.compile(r"algorithm-type (\S+) secret ")
PLAIN_SECRET = "scrypt"
"""The algorithm where none is asked for, as on IOS XE 17."""


def hostname(session: IosSession, name: str) -> str | None:
    session.config.hostname = name
    if not _HOSTNAME.fullmatch(name):
        return "% Hostname contains one or more illegal characters.\n\n"
    return None


def ntp_server(session: IosSession, text: str) -> None:
    _, host, more = _host(text)
    session.config.ntp[host] = more


def no_ntp_server(session: IosSession, text: str) -> None:
    if session.config.ntp.pop(_host(text)[1], None) is None:
        raise CliError("%NTP: unrecognized peer")


def logging_host(session: IosSession, text: str) -> None:
    word, host, more = _host(text)
    session.config.logging[word + host] = more


def no_logging_host(session: IosSession, text: str) -> None:
    word, host, more = _host(text)
    if session.config.logging.get(word + host) == more:
        del session.config.logging[word + host]


def _host(text: str) -> tuple[str, str, str]:
    """A word of the address family, the address as it is shown, and the rest with a blank before."""
    family, _, named = text.partition(" ")
    word = f"{family} " if family in ("ip", "ipv6") and named else ""
    host, blank, more = text.removeprefix(word).partition(" ")
    try:
        return word, str(IPv6Address(host)).upper(), (blank + more).rstrip()
    except AddressValueError:
        return word, host, (blank + more).rstrip()


def community(session: IosSession, text: str, more: str = "") -> None:
    words = more.split()
    how = next((word for word in words if word.upper() in ("RO", "RW")), "ro")
    rest = [word for word in words if word.upper() not in ("RO", "RW")]
    session.config.communities[text] = " ".join([how.upper(), *rest])


def no_community(session: IosSession, text: str, more: str = "") -> None:
    session.config.communities.pop(text, None)


def username(session: IosSession, name: str, more: str = "") -> str | None:
    account = session.config.accounts.get(name, Account())
    privilege, secret = account.privilege, account.secret
    rest = more
    if found := _PRIVILEGE.match(rest):
        if int(found[1]) > 15:
            raise CliError("% Invalid privilege level")
        privilege, rest = int(found[1]), rest[found.end() :]
    if found := _ALGORITHM.match(rest):
        if found[1] not in TYPES:
            raise CliError(f"% Invalid algorithm type {found[1]}")
        secret = hashed(TYPES[found[1]], rest[found.end() :])
    elif rest.startswith("secret "):
        given = rest.removeprefix("secret ")
        if found := _HASHED.fullmatch(given):
            secret = found[1]
        elif re.match(r"\d+ ", given) and not given.startswith("0 "):
            raise CliError("ERROR: The secret you entered is not a valid encrypted secret.")
        else:
            secret = hashed(TYPES[PLAIN_SECRET], given.removeprefix("0 "))
    elif rest not in ("", "nopassword"):
        raise CliError("% Invalid input detected at '^' marker.")
    session.config.accounts[name] = Account(privilege, secret)
    return None


def no_username(session: IosSession, name: str, more: str = "") -> Reply:
    def answer(line: str) -> Reply:
        if line.strip().lower() in ("", "y"):
            session.config.accounts.pop(name, None)
        return Reply()

    question = (
        "This operation will remove all username related configurations with same name."
        "Do you want to continue? [confirm]"
    )
    return Reply(question=question, answer=answer)
