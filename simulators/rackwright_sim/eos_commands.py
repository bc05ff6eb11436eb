"""The commands of an EOS-like switch, one table a mode, held against Arista's EOS User Manual."""

from __future__ import annotations

from rackwright_sim import eos_configure as put
from rackwright_sim import eos_show as do
from rackwright_sim.ios_grammar import Action
from rackwright_sim.modal_session import grammars

USER: dict[str, Action] = {
    "enable": do.enable,
    "disable": do.disable,
    "exit": do.logout,
    "logout": do.logout,
    "quit": do.logout,
    "terminal length <0-32767>": do.terminal_length,
    "terminal width <10-32767>": do.terminal_width,
    "show hostname": do.hostname,
    "show interfaces status": do.interfaces_status,
    "show ip arp <ip>": do.ip_arp,
    "show lldp neighbors detail": do.lldp_neighbors_detail,
    "show mac address-table": do.mac_address_table,
    "show users": do.users,
    "show version": do.version,
    "show vlan": do.vlan,
}
EXEC: dict[str, Action] = {
    **USER,
    "configure session <word>": do.configure_session,
    "configure session <word> abort": do.session_abort,
    "configure session <word> commit": do.session_commit,
    "configure session <word> commit timer <word>": do.session_timer,
    "copy running-config startup-config": do.write_memory,
    "show configuration sessions": do.sessions,
    "show configuration sessions detail": do.sessions,
    "show running-config": do.running_config,
    "show session-config named <word> diffs": do.session_diffs,
    "show startup-config": do.startup_config,
    "write": do.write_memory,
    "write memory": do.write_memory,
}
CONFIG: dict[str, Action] = {
    "abort": put.abort,
    "commit": put.commit,
    "commit timer <word>": put.commit_timer,
    "end": put.end,
    "exit": put.leave,
    "hostname <word64>": put.hostname,
    "no hostname": put.no_hostname,
    "vlan <vlans>": put.vlan,
    "no vlan <vlans>": put.no_vlan,
    "interface <iface>": put.interface,
    "no interface <iface>": put.no_interface,
    "ntp server <word>": put.ntp_server,
    "ntp server <word> <line>": put.ntp_server,
    "no ntp server <word>": put.no_ntp_server,
    "no ntp server <word> <line>": put.no_ntp_server,
    "logging host <line>": put.logging_host,
    "no logging host <line>": put.no_logging_host,
    "snmp-server community <word>": put.community,
    "snmp-server community <word> <line>": put.community,
    "no snmp-server community <word>": put.no_community,
    "username <word> <line>": put.username,
    "no username <word>": put.no_username,
    "spanning-tree <line>": put.spanning_tree,
    "transceiver <line>": put.transceiver,
}
VLAN: dict[str, Action] = {
    "end": put.end,
    "exit": put.leave,
    "name <word32>": put.vlan_name,
    "no name": put.no_vlan_name,
}
INTERFACE: dict[str, Action] = {
    "end": put.end,
    "exit": put.leave,
    "description <line>": put.description,
    "no description": put.no_description,
    "shutdown": put.shutdown,
    "no shutdown": put.no_shutdown,
    "switchport": put.switchport,
    "no switchport": put.no_switchport,
    "switchport mode access": put.mode_access,
    "switchport mode trunk": put.mode_trunk,
    "switchport access vlan <1-4094>": put.access_vlan,
    "switchport trunk native vlan <1-4094>": put.native_vlan,
    "switchport trunk allowed vlan <vlans>": put.allowed,
    "switchport trunk allowed vlan add <vlans>": put.allowed_add,
    "switchport trunk allowed vlan remove <vlans>": put.allowed_remove,
    "channel-group <1-2000> mode <word>": put.channel_group,
    "no channel-group": put.no_channel_group,
    "ip address <line>": put.ip_address,
}
GRAMMARS = grammars(user=USER, exec=EXEC, config=CONFIG, vlan=VLAN, **{"if": INTERFACE})
