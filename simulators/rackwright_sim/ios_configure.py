"""What configuration commands of an IOS-like switch do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from rackwright_sim.ios_config import (
    ALL_VLANS,
    DEFAULT_VLANS,
    BadVlanList,
    Port,
    Svi,
    default_vlan_name,
    parse_vlans,
    short_name,
)
from rackwright_sim.ios_reply import CliError
from rackwright_sim.ios_session import IosSession

VLAN_NAME = 32
_QUOTED = re.compile(r'"([^"]+)"')


def _names(session: IosSession) -> Iterator[str]:
    """What is configured: the interfaces, and of a Port-channel its members too, as on a Catalyst."""
    for name in session.interfaces:
        yield name
        yield from session.config.members(name)


def _ports(session: IosSession) -> Iterator[Port]:
    for name in _names(session):
        yield session.config.ports[name]


def _svi(session: IosSession) -> Svi:
    return session.config.svis[session.interfaces[0]]


def _vlan_list(text: str) -> frozenset[int]:
    try:
        return parse_vlans(text)
    except BadVlanList as error:
        raise CliError(str(error)) from None


def end(session: IosSession) -> None:
    session.leave()


def leave_config(session: IosSession) -> None:
    session.leave()


def leave_submode(session: IosSession) -> None:
    session.enter("config")


def vlan(session: IosSession, text: str) -> None:
    vlans = _vlan_list(text)
    session.enter("vlan")
    session.vlans = vlans


def no_vlan(session: IosSession, text: str) -> None:
    vlans = _vlan_list(text)
    for kept in sorted(vlans & DEFAULT_VLANS.keys()):
        raise CliError(f"%Default VLAN {kept} may not be deleted.")
    for gone in vlans:
        session.config.vlans.pop(gone, None)


def vlan_name(session: IosSession, text: str) -> None:
    quoted = _QUOTED.fullmatch(text)
    name = quoted[1] if quoted else text
    if len(name) > VLAN_NAME or (" " in name and not quoted):
        raise CliError("% Invalid input detected at '^' marker.")
    if len(session.vlans) != 1:
        raise CliError("% Command rejected: a name is for one VLAN, not for a range of them")
    (vlan,) = session.vlans
    if vlan in DEFAULT_VLANS:
        raise CliError(f"%Default VLAN {vlan} may not have its name changed.")
    for other, taken in session.config.vlans.items():
        if taken == name and other != vlan:
            raise CliError(f"% VLAN #{vlan} and #{other} have an identical name: {name}")
    session.vlan_name = name


def no_vlan_name(session: IosSession, name: str = "") -> None:
    session.vlan_name = ""


def interface(session: IosSession, name: str) -> None:
    if name.startswith("Port-channel"):
        session.config.add_channel(name)
    session.enter("if" if name in session.config.ports else "svi")
    if session.mode == "svi":
        session.config.svis.setdefault(name, Svi())
    session.interfaces = (name,)


def interface_range(session: IosSession, names: tuple[str, ...]) -> None:
    for name in names:
        if name not in session.config.ports:
            raise CliError(f"% Command rejected: {name} is not a switch port")
    session.enter("range")
    session.interfaces = names


def no_interface(session: IosSession, name: str) -> None:
    config = session.config
    if name.startswith("Port-channel"):
        for member in config.members(name):
            # Some switches shut them, lest they form a loop; who counts on it is found out here.
            port = config.ports[member]
            port.channel, port.channel_mode, port.shutdown = 0, "", True
        config.ports.pop(name, None)
        return
    if name in config.ports:
        raise CliError("% Removal of physical interfaces is not permitted.")
    config.svis.pop(name, None)


def default_interface(session: IosSession, name: str) -> str:
    if name in session.config.ports:
        session.config.ports[name] = Port()
    return f"Interface {name} set to default configuration\n"


def system_mtu(session: IosSession, size: int) -> None:
    session.config.system_mtu = size


def no_system_mtu(session: IosSession) -> None:
    session.config.system_mtu = 1500


def description(session: IosSession, text: str) -> None:
    for name in session.interfaces:
        session.config.ports[name].description = text


def no_description(session: IosSession, text: str = "") -> None:
    description(session, "")


def shutdown(session: IosSession) -> None:
    for name, port in zip(_names(session), _ports(session), strict=True):
        if port.shutdown:
            continue
        port.shutdown = True
        session.device.syslog(
            f"%LINK-5-CHANGED: Interface {name}, changed state to administratively down"
        )
        if session.device.cabled(name):
            session.device.syslog(
                f"%LINEPROTO-5-UPDOWN: Line protocol on Interface {name}, changed state to down"
            )


def no_shutdown(session: IosSession) -> None:
    for name, port in zip(_names(session), _ports(session), strict=True):
        if not port.shutdown:
            continue
        port.shutdown = False
        state = "up" if session.device.cabled(name) else "down"
        session.device.syslog(f"%LINK-3-UPDOWN: Interface {name}, changed state to {state}")
        if state == "up":
            session.device.syslog(
                f"%LINEPROTO-5-UPDOWN: Line protocol on Interface {name}, changed state to up"
            )


def mode_access(session: IosSession) -> None:
    _set_mode(session, "access")


def mode_trunk(session: IosSession) -> None:
    _set_mode(session, "trunk")


def mode_dynamic_auto(session: IosSession) -> None:
    _set_mode(session, "dynamic auto")


def mode_dynamic_desirable(session: IosSession) -> None:
    _set_mode(session, "dynamic desirable")


def _set_mode(session: IosSession, mode: str) -> None:
    for port in _ports(session):
        if port.nonegotiate and mode.startswith("dynamic"):
            raise CliError("Command rejected: Conflict between 'nonegotiate' and 'dynamic' status.")
        port.mode = mode


def access_vlan(session: IosSession, vlan: int) -> str:
    said = ""
    if vlan not in session.config.vlans:
        said = f"% Access VLAN does not exist. Creating vlan {vlan}\n"
        session.config.vlans[vlan] = default_vlan_name(vlan)
    for port in _ports(session):
        port.access = vlan
    return said


def no_access_vlan(session: IosSession, vlan: int = 1) -> None:
    for port in _ports(session):
        port.access = 1


def native_vlan(session: IosSession, vlan: int = 1) -> None:
    for port in _ports(session):
        port.native = vlan


def no_native_vlan(session: IosSession, vlan: int = 1) -> None:
    native_vlan(session)


def allowed_only(session: IosSession, text: str) -> None:
    vlans = _vlan_list(text)
    for port in _ports(session):
        port.allowed = vlans


def allowed_add(session: IosSession, text: str) -> None:
    vlans = _vlan_list(text)
    for port in _ports(session):
        port.allowed |= vlans


def allowed_remove(session: IosSession, text: str) -> None:
    vlans = _vlan_list(text)
    for port in _ports(session):
        port.allowed -= vlans


def allowed_except(session: IosSession, text: str) -> None:
    vlans = _vlan_list(text)
    for port in _ports(session):
        port.allowed = ALL_VLANS - vlans


def allowed_all(session: IosSession, text: str = "") -> None:
    for port in _ports(session):
        port.allowed = ALL_VLANS


def allowed_none(session: IosSession) -> None:
    for port in _ports(session):
        port.allowed = frozenset()


def nonegotiate(session: IosSession) -> None:
    for port in _ports(session):
        if port.mode.startswith("dynamic"):
            raise CliError("Command rejected: Conflict between 'nonegotiate' and 'dynamic' status.")
        port.nonegotiate = True


def no_nonegotiate(session: IosSession) -> None:
    for port in _ports(session):
        port.nonegotiate = False


def portfast(session: IosSession) -> None:
    for port in _ports(session):
        port.portfast = True


def no_portfast(session: IosSession) -> None:
    for port in _ports(session):
        port.portfast = False


def mtu(session: IosSession, size: int) -> None:
    for port in _ports(session):
        port.mtu = size


def no_mtu(session: IosSession, size: int = 1500) -> None:
    for port in _ports(session):
        port.mtu = None


def svi_description(session: IosSession, text: str) -> None:
    _svi(session).description = text


def no_svi_description(session: IosSession, text: str = "") -> None:
    _svi(session).description = ""


def svi_shutdown(session: IosSession) -> None:
    _svi(session).shutdown = True


def no_svi_shutdown(session: IosSession) -> None:
    _svi(session).shutdown = False


def ip_address(session: IosSession, address: str, mask: str) -> None:
    _svi(session).address = f"{address} {mask}"


def no_ip_address(session: IosSession, address: str = "", mask: str = "") -> None:
    _svi(session).address = ""


def channel_group(session: IosSession, number: int, *, mode: str) -> str | None:
    config, name, said = session.config, f"Port-channel{number}", None
    for member in session.interfaces:
        if member.startswith("Port-channel"):
            raise CliError("% Command rejected: a Port-channel cannot be a member of one")
        port = config.ports[member]
        others = {config.ports[other].channel_mode for other in config.members(name)}
        others -= {port.channel_mode} if port.channel == number else set()
        if port.channel not in (0, number):
            raise CliError(f"Command rejected: {member} is in channel group {port.channel} already")
        if any(_protocol(other) != _protocol(mode) for other in others):
            raise CliError(
                f"Command rejected: channel group {number} has members of another protocol"
            )
        if name not in config.ports:
            bundle = replace(port, description="", portfast=False)
            config.add_channel(name)
            config.ports[name] = bundle
            said = f"Creating a port-channel interface Port-channel {number}\n\n"
        port.channel, port.channel_mode = number, mode
        if why := _unlike(port, config.ports[name]):
            session.device.syslog(
                f"%EC-5-CANNOT_BUNDLE2: {short_name(member)} is not compatible with Po{number} "
                f"and will be suspended ({why} of {short_name(member)} is another)"
            )
    return said


def no_channel_group(session: IosSession, number: int = 0) -> None:
    for name in session.interfaces:
        port = session.config.ports[name]
        port.channel, port.channel_mode = 0, ""


def _protocol(mode: str) -> str:
    return {"active": "lacp", "passive": "lacp", "on": "none"}.get(mode, "pagp")


def _unlike(port: Port, bundle: Port) -> str:
    """In what a member differs from its bundle, as far as that hinders it."""
    for field in ("mode", "access", "native", "allowed", "mtu"):
        if getattr(port, field) != getattr(bundle, field):
            return field
    return ""
