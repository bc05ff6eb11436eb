"""What the configuration commands of an OS10-like switch do. Each raises CliError for a refusal."""

from __future__ import annotations

import re

from rackwright_sim import modal_accounts
from rackwright_sim.ios_config import BadVlanList, parse_vlans
from rackwright_sim.ios_reply import CliError
from rackwright_sim.os10_config import LAST_VLAN, Config, Port, User
from rackwright_sim.os10_session import Os10Session

ROLES = ("sysadmin", "secadmin", "netadmin", "netoperator")
SHORTEST_PASSWORD = 9
ILLEGAL = '% Error: Illegal parameter at "^" marker.'
_HOSTNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")


def end(session: Os10Session) -> None:
    session.leave()


def leave(session: Os10Session) -> object:
    return session.exit()


def hostname(session: Os10Session, name: str) -> None:
    if not _HOSTNAME.fullmatch(name):
        raise CliError(ILLEGAL)
    session.config.hostname = name


def _ids(text: str) -> frozenset[int]:
    try:
        ids = frozenset(parse_vlans(text))
    except BadVlanList:
        raise CliError(ILLEGAL) from None
    if max(ids) > LAST_VLAN:
        raise CliError(ILLEGAL)
    return ids


def interface(session: Os10Session, name: str) -> None:
    config = session.config
    session.mode, session.interface = "if", name
    if name.startswith("vlan"):
        _make_vlans(config, frozenset({int(name[4:])}))
        session.mode = "vlan"
    elif name.startswith("port-channel"):
        config.lags.setdefault(int(name.removeprefix("port-channel")), Port())
    elif name not in config.ports:
        config.svis.setdefault(name, [])


def vlan_range(session: Os10Session, text: str) -> None:
    _make_vlans(session.config, _ids(text))
    session.mode, session.range = "range", text


def _make_vlans(config: Config, ids: frozenset[int]) -> None:
    for number in ids - {1}:
        config.vlans.setdefault(number, "")


def no_interface(session: Os10Session, name: str) -> None:
    config = session.config
    if name.startswith("vlan"):
        _remove_vlans(config, frozenset({int(name[4:])}))
    elif name.startswith("port-channel"):
        number = int(name.removeprefix("port-channel"))
        config.lags.pop(number, None)
        for port in config.members(number).values():
            _part(port)
    elif name in config.ports:
        raise CliError(ILLEGAL)
    else:
        config.svis.pop(name, None)


def no_vlan_range(session: Os10Session, text: str) -> None:
    _remove_vlans(session.config, _ids(text))


def _remove_vlans(config: Config, ids: frozenset[int]) -> None:
    """A trunk loses those that it had tagged, an access port falls back to the default VLAN."""
    if 1 in ids:
        raise CliError("% Error: Default VLAN cannot be deleted.")
    for number in ids:
        config.vlans.pop(number, None)
        config.svis.pop(f"vlan{number}", None)
    for port in (*config.ports.values(), *config.lags.values()):
        port.tagged -= ids
        if port.untagged in ids:
            port.untagged = 1


def _port(session: Os10Session) -> Port:
    config: Config = session.config
    name = session.interface
    if name.startswith("port-channel"):
        return config.lags[int(name.removeprefix("port-channel"))]
    if name not in config.ports:
        raise CliError(ILLEGAL)
    return config.ports[name]


def _switched(session: Os10Session) -> Port:
    port = _port(session)
    if session.interface.startswith("mgmt"):
        raise CliError("% Error: Unrecognized command.")
    if port.channel:
        raise CliError(f"% Error: Interface is a member of port-channel{port.channel}.")
    return port


def description(session: Os10Session, text: str) -> None:
    if text.startswith('"') and text.endswith('"'):
        text = text[1:-1]
    elif " " in text:
        raise CliError(ILLEGAL)
    if session.mode == "vlan":
        session.config.vlans[int(session.interface[4:])] = text
    else:
        _port(session).description = text


def no_description(session: Os10Session) -> None:
    if session.mode == "vlan":
        session.config.vlans[int(session.interface[4:])] = ""
    else:
        _port(session).description = ""


def shutdown(session: Os10Session) -> None:
    _port(session).shutdown = True


def no_shutdown(session: Os10Session) -> None:
    _port(session).shutdown = False


def nothing(session: Os10Session, text: str = "") -> None:
    """A line that says how it is anyway."""


def mtu(session: Os10Session, size: int) -> None:
    _port(session).mtu = size


def mode_access(session: Os10Session) -> None:
    port = _switched(session)
    port.switched, port.trunk, port.tagged = True, False, frozenset()
    port.untagged = port.untagged or 1


def mode_trunk(session: Os10Session) -> None:
    port = _switched(session)
    port.switched = port.trunk = True


def no_switchport(session: Os10Session) -> None:
    port = _port(session)
    port.switched, port.trunk, port.tagged = False, False, frozenset()


def access_vlan(session: Os10Session, number: int) -> None:
    _there(session, frozenset({number}))
    port = _switched(session)
    if not port.switched:
        raise CliError("% Error: Interface is not in switchport mode.")
    port.untagged = number


def no_access_vlan(session: Os10Session) -> None:
    port = _switched(session)
    port.untagged = None if port.trunk else 1


def allowed(session: Os10Session, text: str) -> None:
    """Adds to the list."""
    ids = _ids(text)
    port = _switched(session)
    if not port.trunk:
        raise CliError("% Error: Interface is not in trunk mode.")
    _there(session, ids)
    port.tagged |= ids


def no_allowed(session: Os10Session, text: str) -> None:
    _switched(session).tagged -= _ids(text)


def _there(session: Os10Session, ids: frozenset[int]) -> None:
    missing = ids - {1} - session.config.vlans.keys()
    if missing and session.instead is None:
        raise CliError(f"% Error: VLAN {min(missing)} does not exist.")


def channel_group(session: Os10Session, number: int, how: str) -> None:
    if how not in ("active", "passive", "on"):
        raise CliError(ILLEGAL)
    port = _port(session)
    if number not in session.config.lags:
        raise CliError(f"% Error: port-channel{number} does not exist.")
    others = [member for member in session.config.members(number).values() if member is not port]
    if port.channel or any((how == "on") != (other.channel_mode == "on") for other in others):
        raise CliError("% Error: Mode conflicts with that of the port-channel.")
    port.channel, port.channel_mode = number, how
    port.switched, port.trunk, port.tagged, port.untagged = False, False, frozenset(), 1


def no_channel_group(session: Os10Session) -> None:
    _part(_port(session))


def _part(port: Port) -> None:
    port.channel, port.channel_mode, port.switched = 0, "", True


def ip_address(session: Os10Session, text: str) -> None:
    line = f"ip address {text}"
    name = session.interface
    lines = (
        _port(session).more
        if name in session.config.ports
        else session.config.svis.setdefault(name, [])
    )
    lines[:] = [*(kept for kept in lines if not kept.startswith("ip address")), line]


def ntp_server(session: Os10Session, host: str, rest: str = "") -> None:
    session.config.ntp[host] = f" {rest}" if rest else ""


def no_ntp_server(session: Os10Session, host: str, rest: str = "") -> None:
    session.config.ntp.pop(host, None)


def logging_server(session: Os10Session, text: str) -> None:
    line = f"logging server {text}"
    if line not in session.config.logging:
        session.config.logging.append(line)


def no_logging_server(session: Os10Session, text: str) -> None:
    line = f"logging server {text}"
    if line in session.config.logging:
        session.config.logging.remove(line)


def community(session: Os10Session, text: str, rest: str) -> None:
    if rest.split()[0] not in ("ro", "rw"):
        raise CliError(ILLEGAL)
    session.config.communities[text] = rest


def no_community(session: Os10Session, text: str, rest: str) -> None:
    session.config.communities.pop(text, None)


def username(
    session: Os10Session, name: str, password: str, role: str, level: int | None = None
) -> None:
    if role not in ROLES:
        raise CliError(ILLEGAL)
    if not password.startswith("$6$"):
        if len(password) < SHORTEST_PASSWORD:
            raise CliError("% Error: Password fail: it is WAY too short")
        password = modal_accounts.hashed(password)
    session.config.users[name] = User(password, role, level)


def no_username(session: Os10Session, name: str) -> None:
    if session.config.users.pop(name, None) is None:
        raise CliError("% Error: User does not exist.")


def spanning_tree(session: Os10Session, text: str) -> None:
    _keep(session, "spanning-tree mode", f"spanning-tree {text}")


def iscsi(session: Os10Session, text: str) -> None:
    _keep(session, "iscsi", f"iscsi {text}")


def _keep(session: Os10Session, head: str, line: str) -> None:
    kept = session.config.more
    kept[:] = [*(one for one in kept if not one.startswith(head)), line]
