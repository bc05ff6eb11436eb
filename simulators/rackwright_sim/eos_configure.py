"""What the configuration commands of an EOS-like switch do. Each raises CliError for a refusal."""

from __future__ import annotations

import re

from rackwright_sim import modal_accounts
from rackwright_sim.eos_config import Config, Port, User
from rackwright_sim.eos_session import EosSession
from rackwright_sim.ios_config import ALL_VLANS, BadVlanList, parse_vlans
from rackwright_sim.ios_reply import CliError

_HOSTNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


def end(session: EosSession) -> None:
    session.leave()


def leave(session: EosSession) -> object:
    return session.exit()


def commit(session: EosSession) -> None:
    session.device.commit(session.name, None)
    session.leave()


def commit_timer(session: EosSession, timer: str) -> None:
    session.device.commit(session.name, seconds(timer))
    session.leave()


def abort(session: EosSession) -> None:
    session.device.abort(session.name)
    session.leave()


def seconds(timer: str) -> float:
    """Of ``hh:mm:ss``."""
    found = re.fullmatch(r"(\d+):(\d+):(\d+)", timer)
    if found is None:
        raise CliError("% Invalid input")
    return int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3])


def hostname(session: EosSession, name: str) -> None:
    if not _HOSTNAME.fullmatch(name):
        raise CliError("% Invalid hostname")
    session.config.hostname = name


def no_hostname(session: EosSession) -> None:
    session.config.hostname = "localhost"


def _ids(text: str) -> frozenset[int]:
    try:
        return frozenset(parse_vlans(text))
    except BadVlanList:
        raise CliError("% Invalid input") from None


def vlan(session: EosSession, text: str) -> None:
    ids = _ids(text)
    for number in ids - {1}:
        session.config.vlans.setdefault(number, "")
    session.vlans, session.mode = ids, "vlan"


def no_vlan(session: EosSession, text: str) -> None:
    ids = _ids(text)
    if 1 in ids:
        raise CliError("% Default VLAN 1 may not be deleted")
    for number in ids:
        session.config.vlans.pop(number, None)


def vlan_name(session: EosSession, name: str) -> None:
    for number in session.vlans:
        session.config.vlans[number] = "" if name == f"VLAN{number:04d}" else name


def no_vlan_name(session: EosSession) -> None:
    for number in session.vlans:
        session.config.vlans[number] = ""


def interface(session: EosSession, name: str) -> None:
    config = session.config
    if name.startswith("Port-Channel"):
        config.lags.setdefault(int(name.removeprefix("Port-Channel")), Port())
    elif name not in config.ports:
        config.svis.setdefault(name, [])
    session.interface, session.mode = name, "if"


def no_interface(session: EosSession, name: str) -> None:
    config = session.config
    if name.startswith("Port-Channel"):
        number = int(name.removeprefix("Port-Channel"))
        config.lags.pop(number, None)
        for port in config.members(number).values():
            port.channel, port.channel_mode = 0, ""
    elif name in config.ports:
        raise CliError("% Invalid input")
    else:
        config.svis.pop(name, None)


def _port(session: EosSession) -> Port:
    config: Config = session.config
    name = session.interface
    if name.startswith("Port-Channel"):
        return config.lags[int(name.removeprefix("Port-Channel"))]
    if name not in config.ports:
        raise CliError("% Invalid input")
    return config.ports[name]


def _switched(session: EosSession) -> Port:
    if session.interface.startswith("Management"):
        raise CliError("% Invalid input")
    return _port(session)


def description(session: EosSession, text: str) -> None:
    _port(session).description = text


def no_description(session: EosSession) -> None:
    _port(session).description = ""


def shutdown(session: EosSession) -> None:
    _port(session).shutdown = True


def no_shutdown(session: EosSession) -> None:
    _port(session).shutdown = False


def switchport(session: EosSession) -> None:
    _switched(session).switched = True


def no_switchport(session: EosSession) -> None:
    _port(session).switched = False


def mode_access(session: EosSession) -> None:
    _switched(session).mode = "access"


def mode_trunk(session: EosSession) -> None:
    _switched(session).mode = "trunk"


def access_vlan(session: EosSession, number: int) -> None:
    _switched(session).access = number


def native_vlan(session: EosSession, number: int) -> None:
    _switched(session).native = number


def allowed(session: EosSession, text: str) -> None:
    words = {"all": ALL_VLANS, "none": frozenset[int]()}
    _switched(session).allowed = words[text] if text in words else _ids(text)


def allowed_add(session: EosSession, text: str) -> None:
    _switched(session).allowed |= _ids(text)


def allowed_remove(session: EosSession, text: str) -> None:
    _switched(session).allowed -= _ids(text)


def channel_group(session: EosSession, number: int, how: str) -> None:
    if how not in ("active", "passive", "on"):
        raise CliError("% Invalid input")
    port = _switched(session)
    others = [member for member in session.config.members(number).values() if member is not port]
    if any((how == "on") != (member.channel_mode == "on") for member in others) or (
        port.channel == number and how != port.channel_mode
    ):
        raise CliError("% Cannot change mode; remove all members and try again.")
    session.config.lags.setdefault(number, Port())
    port.channel, port.channel_mode = number, how


def no_channel_group(session: EosSession) -> None:
    port = _port(session)
    port.channel, port.channel_mode = 0, ""


def ip_address(session: EosSession, text: str) -> None:
    line = f"ip address {text}"
    name = session.interface
    lines = session.config.svis[name] if name in session.config.svis else _port(session).more
    lines[:] = [*(kept for kept in lines if not kept.startswith("ip address")), line]


def ntp_server(session: EosSession, host: str, rest: str = "") -> None:
    session.config.ntp[host] = f" {rest}" if rest else ""


def no_ntp_server(session: EosSession, host: str, rest: str = "") -> None:
    session.config.ntp.pop(host, None)


def logging_host(session: EosSession, text: str) -> None:
    line = f"logging host {text}"
    if line not in session.config.logging:
        session.config.logging.append(line)


def no_logging_host(session: EosSession, text: str) -> None:
    line = f"logging host {text}"
    if line in session.config.logging:
        session.config.logging.remove(line)


def community(session: EosSession, text: str, rest: str = "ro") -> None:
    session.config.communities[text] = rest


def no_community(session: EosSession, text: str) -> None:
    session.config.communities.pop(text, None)


def username(session: EosSession, name: str, text: str) -> None:
    users = session.config.users
    user = users.get(name)
    new = User() if user is None else user
    words = text.split()
    told = False
    while words:
        word = words.pop(0)
        if word == "privilege" and words and words[0].isdecimal() and int(words[0]) <= 15:
            new.privilege = int(words.pop(0))
        elif word == "role" and words:
            new.role = words.pop(0)
        elif word == "nopassword":
            new.secret, told = "", True
        elif word == "secret" and words:
            kind = words.pop(0) if len(words) > 1 else "0"
            if len(words) != 1 or kind not in ("0", "sha512"):
                raise CliError("% Invalid input")
            given = words.pop(0)
            new.secret, told = given if kind == "sha512" else modal_accounts.hashed(given), True
        else:
            raise CliError("% Invalid input")
    if user is None and not told:
        raise CliError("% Incomplete command")
    users[name] = new


def no_username(session: EosSession, name: str) -> None:
    if session.config.users.pop(name, None) is None:
        raise CliError("% User not present")


def spanning_tree(session: EosSession, text: str) -> None:
    _keep(session, "spanning-tree mode", f"spanning-tree {text}")


def transceiver(session: EosSession, text: str) -> None:
    _keep(session, "transceiver", f"transceiver {text}")


def _keep(session: EosSession, head: str, line: str) -> None:
    kept = session.config.more
    kept[:] = [*(one for one in kept if not one.startswith(head)), line]
