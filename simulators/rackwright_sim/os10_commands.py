"""The commands of an OS10-like switch, one table a mode, held against Dell's SmartFabric OS10 User
Guide and the templates of Ansible's collection dellemc.os10."""

from __future__ import annotations

from rackwright_sim import os10_configure as put
from rackwright_sim import os10_show as do
from rackwright_sim.ios_grammar import Action
from rackwright_sim.modal_session import grammars

EXEC: dict[str, Action] = {
    "configure terminal": do.configure,
    "copy running-configuration startup-configuration": do.write_memory,
    "exit": do.logout,
    "show interface status": do.interface_status,
    "show ip arp <ip>": do.ip_arp,
    "show lldp neighbors": do.lldp_neighbors,
    "show mac address-table": do.mac_address_table,
    "show running-configuration": do.running,
    "show startup-configuration": do.startup,
    "show users": do.users,
    "show version": do.version,
    "terminal length <0-100000>": do.terminal_length,
    "write memory": do.write_memory,
}
CONFIG: dict[str, Action] = {
    "end": put.end,
    "exit": put.leave,
    "hostname <word64>": put.hostname,
    "interface <iface>": put.interface,
    "interface range vlan <vlans>": put.vlan_range,
    "no interface <iface>": put.no_interface,
    "no interface range vlan <vlans>": put.no_vlan_range,
    "ntp server <word>": put.ntp_server,
    "ntp server <word> <line>": put.ntp_server,
    "no ntp server <word>": put.no_ntp_server,
    "logging server <line>": put.logging_server,
    "no logging server <line>": put.no_logging_server,
    "snmp-server community <word> <line>": put.community,
    "no snmp-server community <word> <line>": put.no_community,
    "username <word> password <word> role <word>": put.username,
    "username <word> password <word> role <word> priv-lvl <0-15>": put.username,
    "no username <word>": put.no_username,
    "iscsi <line>": put.iscsi,
    "spanning-tree <line>": put.spanning_tree,
}
VLAN: dict[str, Action] = {
    "end": put.end,
    "exit": put.leave,
    "description <line>": put.description,
    "no description": put.no_description,
    "no shutdown": put.nothing,
    "ip address <line>": put.ip_address,
}
RANGE: dict[str, Action] = {"end": put.end, "exit": put.leave, "no shutdown": put.nothing}
INTERFACE: dict[str, Action] = {
    "end": put.end,
    "exit": put.leave,
    "description <line>": put.description,
    "no description": put.no_description,
    "shutdown": put.shutdown,
    "no shutdown": put.no_shutdown,
    "mtu <1280-65535>": put.mtu,
    "no switchport": put.no_switchport,
    "switchport mode access": put.mode_access,
    "switchport mode trunk": put.mode_trunk,
    "switchport access vlan <1-4093>": put.access_vlan,
    "no switchport access vlan": put.no_access_vlan,
    "switchport trunk allowed vlan <vlans>": put.allowed,
    "no switchport trunk allowed vlan <vlans>": put.no_allowed,
    "channel-group <1-1024> mode <word>": put.channel_group,
    "no channel-group": put.no_channel_group,
    "ip address <line>": put.ip_address,
}
GRAMMARS = grammars(exec=EXEC, config=CONFIG, vlan=VLAN, range=RANGE, **{"if": INTERFACE})
