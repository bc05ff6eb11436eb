"""The commands of an IOS-like switch, one table a mode, held against Cisco's command reference."""

from __future__ import annotations

from functools import partial

from rackwright_sim import ios_configure as put
from rackwright_sim import ios_exec as do
from rackwright_sim import ios_identity as identity
from rackwright_sim import ios_management as manage
from rackwright_sim import ios_show as show
from rackwright_sim import ios_trial as trial
from rackwright_sim.ios_grammar import Action, Grammar

USER: dict[str, Action] = {
    "enable": do.enable,
    "disable": do.disable,
    "exit": do.logout,
    "logout": do.logout,
    "quit": do.logout,
    "terminal length <0-512>": do.terminal_length,
    "terminal width <0-512>": do.terminal_width,
    "terminal monitor": do.terminal_monitor,
    "terminal no monitor": do.terminal_no_monitor,
    "show interfaces": show.interfaces,
    "show interfaces status": show.interfaces_status,
    "show interfaces switchport": show.interfaces_switchport,
    "show interfaces <iface>": show.interfaces,
    "show interfaces <iface> status": show.interfaces_status,
    "show interfaces <iface> switchport": show.interfaces_switchport,
    "show inventory": identity.inventory,
    "show ip arp": show.ip_arp,
    "show ip arp <ip>": show.ip_arp,
    "show ip interface brief": show.ip_interface_brief,
    "show lldp neighbors detail": show.lldp_neighbors_detail,
    "show mac address-table": show.mac_address_table,
    "show mac address-table dynamic": show.mac_address_table,
    "show mac address-table address <mac>": show.mac_address_table,
    "show privilege": show.privilege,
    "show users": show.users,
    "show version": identity.version,
    "show vlan": show.vlan,
    "show vlan brief": show.vlan_brief,
}
PRIVILEGED: dict[str, Action] = {
    **USER,
    "configure": do.configure,
    "configure confirm": trial.confirm,
    "configure revert now": trial.revert_now,
    "configure terminal": do.configure_terminal,
    "configure terminal revert timer <1-120>": trial.begin,
    "copy running-config startup-config": do.copy_running_startup,
    "reload": do.reload,
    "show archive config rollback timer": trial.timer,
    "show running-config": show.running_config,
    "show running-config interface <iface>": show.running_config,
    "show startup-config": show.startup_config,
    "write": do.write_memory,
    "write erase": do.write_erase,
    "write memory": do.write_memory,
}
CONFIG: dict[str, Action] = {
    "end": put.end,
    "exit": put.leave_config,
    "archive": trial.archive,
    "hostname <word63>": manage.hostname,
    "logging host <line>": manage.logging_host,
    "logging <ip>": manage.logging_host,
    "no logging host <line>": manage.no_logging_host,
    "ntp server <line>": manage.ntp_server,
    "no ntp server <line>": manage.no_ntp_server,
    "snmp-server community <word>": manage.community,
    "snmp-server community <word> <line>": manage.community,
    "no snmp-server community <word>": manage.no_community,
    "no snmp-server community <word> <line>": manage.no_community,
    "username <word64>": manage.username,
    "username <word64> <line>": manage.username,
    "no username <word64>": manage.no_username,
    "no username <word64> <line>": manage.no_username,
    "vlan <vlans>": put.vlan,
    "no vlan <vlans>": put.no_vlan,
    "interface <iface>": put.interface,
    "interface range <range>": put.interface_range,
    "no interface <iface>": put.no_interface,
    "default interface <iface>": put.default_interface,
    "system mtu <1500-9198>": put.system_mtu,
    "no system mtu": put.no_system_mtu,
}
ARCHIVE: dict[str, Action] = {
    "end": put.end,
    "exit": put.leave_submode,
    "path <word>": trial.path,
    "no path": trial.no_path,
    "no path <word>": trial.no_path,
}
VLAN: dict[str, Action] = {
    "end": put.end,
    "exit": put.leave_submode,
    "name <line>": put.vlan_name,
    "no name": put.no_vlan_name,
    "no name <word32>": put.no_vlan_name,
}
INTERFACE: dict[str, Action] = {
    "end": put.end,
    "exit": put.leave_submode,
    "description <line>": put.description,
    "no description": put.no_description,
    "no description <line>": put.no_description,
    "shutdown": put.shutdown,
    "no shutdown": put.no_shutdown,
    "switchport mode access": put.mode_access,
    "switchport mode trunk": put.mode_trunk,
    "switchport mode dynamic auto": put.mode_dynamic_auto,
    "switchport mode dynamic desirable": put.mode_dynamic_desirable,
    "no switchport mode": put.mode_dynamic_auto,
    "switchport access vlan <1-4094>": put.access_vlan,
    "no switchport access vlan": put.no_access_vlan,
    "no switchport access vlan <1-4094>": put.no_access_vlan,
    "switchport trunk native vlan <1-4094>": put.native_vlan,
    "no switchport trunk native vlan": put.no_native_vlan,
    "no switchport trunk native vlan <1-4094>": put.no_native_vlan,
    "switchport trunk allowed vlan <vlans>": put.allowed_only,
    "switchport trunk allowed vlan add <vlans>": put.allowed_add,
    "switchport trunk allowed vlan all": put.allowed_all,
    "switchport trunk allowed vlan except <vlans>": put.allowed_except,
    "switchport trunk allowed vlan none": put.allowed_none,
    "switchport trunk allowed vlan remove <vlans>": put.allowed_remove,
    "no switchport trunk allowed vlan": put.allowed_all,
    "no switchport trunk allowed vlan <vlans>": put.allowed_all,
    "switchport nonegotiate": put.nonegotiate,
    "no switchport nonegotiate": put.no_nonegotiate,
    **{
        f"channel-group <1-128> mode {mode}": partial(put.channel_group, mode=mode)
        for mode in ("active", "auto", "desirable", "on", "passive")
    },
    "no channel-group": put.no_channel_group,
    "no channel-group <1-128>": put.no_channel_group,
    "spanning-tree portfast": put.portfast,
    "no spanning-tree portfast": put.no_portfast,
    "mtu <1500-9198>": put.mtu,
    "no mtu": put.no_mtu,
    "no mtu <1500-9198>": put.no_mtu,
}
SVI: dict[str, Action] = {
    "end": put.end,
    "exit": put.leave_submode,
    "description <line>": put.svi_description,
    "no description": put.no_svi_description,
    "no description <line>": put.no_svi_description,
    "shutdown": put.svi_shutdown,
    "no shutdown": put.no_svi_shutdown,
    "ip address <ip> <ip>": put.ip_address,
    "no ip address": put.no_ip_address,
    "no ip address <ip> <ip>": put.no_ip_address,
}
# Keywords of a Catalyst that are not run here, so that what is ambiguous there is so here.
USER_ELSEWHERE = {
    "": "access-enable clear connect help lock login ping resume ssh systat telnet traceroute where",
    "show": "aaa arp authentication cdp clock flash: history hosts idprom ipv6 line logging memory "
    "module platform power processes sessions snmp ssh stacks switch vrf vtp",
    "show ip": "route traffic",
    "show lldp": "entry errors interface traffic",
    "show vlan": "access-map filter group id internal mtu name private-vlan remote-span summary",
    "show interfaces": "accounting counters description etherchannel trunk transceiver",
}
PRIVILEGED_ELSEWHERE = {
    **USER_ELSEWHERE,
    "": USER_ELSEWHERE[""] + " archive cd clock debug delete dir erase format mkdir monitor more "
    "no pwd rename request rmdir send setup test undebug verify vlan",
    "show": USER_ELSEWHERE["show"] + " access-lists buffers calendar configuration controllers "
    "debugging environment errdisable etherchannel file spanning-tree storm-control tech-support",
    "configure": "memory network overwrite-network replace",
    "configure revert": "timer",
    "configure terminal": "lock",
    "show archive": "log",
    "show archive config": "differences incremental-diffs",
    "copy": "flash: ftp: scp: startup-config tftp:",
}
CONFIG_ELSEWHERE = {
    "": "aaa access-list alias banner boot cdp clock crypto enable errdisable ip ipv6 key "
    "line lldp logging mac monitor ntp policy-map power privilege radius router sdm service "
    "snmp-server spanning-tree tacacs-server username vrf vtp",
}
INTERFACE_ELSEWHERE = {
    "": "arp bandwidth cdp channel-group channel-protocol default delay duplex ip keepalive lldp load-interval "
    "logging mab mdix media-type power priority-queue service-policy snmp speed srr-queue "
    "storm-control",
    "switchport": "autostate backup block host port-security priority private-vlan protected voice",
    "switchport mode": "dot1q-tunnel private-vlan",
    "switchport trunk": "pruning",
}
GRAMMARS: dict[str, Grammar] = {
    "user": Grammar(USER, USER_ELSEWHERE),
    "privileged": Grammar(PRIVILEGED, PRIVILEGED_ELSEWHERE),
    "config": Grammar(CONFIG, CONFIG_ELSEWHERE),
    "archive": Grammar(ARCHIVE, {"": "default log maximum rollback time-period write-memory"}),
    "vlan": Grammar(VLAN, {"": "mtu private-vlan remote-span shutdown state"}),
    "if": Grammar(INTERFACE, INTERFACE_ELSEWHERE),
    "range": Grammar(INTERFACE, INTERFACE_ELSEWHERE),
    "svi": Grammar(SVI, {"": "arp bandwidth delay load-interval logging mtu standby"}),
}
