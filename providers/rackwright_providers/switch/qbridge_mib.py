"""The MIB objects that platform ``qbridge`` reads and writes, by the names that their MIBs give them."""

from __future__ import annotations

from typing import Final

# SNMPv2-MIB (RFC 3418)
SYS_DESCR: Final = "1.3.6.1.2.1.1.1.0"
SYS_OBJECT_ID: Final = "1.3.6.1.2.1.1.2.0"
SYS_NAME: Final = "1.3.6.1.2.1.1.5.0"

# IF-MIB (RFC 2863): ifTable and ifXTable, by ifIndex
IF_DESCR: Final = "1.3.6.1.2.1.2.2.1.2"
IF_TYPE: Final = "1.3.6.1.2.1.2.2.1.3"
IF_PHYS_ADDRESS: Final = "1.3.6.1.2.1.2.2.1.6"
IF_ADMIN_STATUS: Final = "1.3.6.1.2.1.2.2.1.7"
IF_OPER_STATUS: Final = "1.3.6.1.2.1.2.2.1.8"
IF_NAME: Final = "1.3.6.1.2.1.31.1.1.1.1"
IF_HIGH_SPEED: Final = "1.3.6.1.2.1.31.1.1.1.15"  # Mbit/s
IF_ALIAS: Final = "1.3.6.1.2.1.31.1.1.1.18"  # DisplayString, 0 to 64 octets
ALIAS_LENGTH: Final = 64
UP, DOWN = 1, 2  # ifAdminStatus, ifOperStatus
ETHERNET_TYPES: Final = frozenset({6, 117, 161})  # ethernetCsmacd, gigabitEthernet, ieee8023adLag

# BRIDGE-MIB (RFC 4188): dot1dBasePortTable, by dot1dBasePort, which is not ifIndex
BASE_PORT_IF_INDEX: Final = "1.3.6.1.2.1.17.1.4.1.2"

# Q-BRIDGE-MIB (RFC 4363)
TP_FDB_PORT: Final = "1.3.6.1.2.1.17.7.1.2.2.1.2"  # by dot1qFdbId and address
TP_FDB_STATUS: Final = "1.3.6.1.2.1.17.7.1.2.2.1.3"
LEARNED: Final = 3
VLAN_FDB_ID: Final = "1.3.6.1.2.1.17.7.1.4.2.1.3"  # by dot1qVlanTimeMark and dot1qVlanIndex
VLAN_NAME: Final = (
    "1.3.6.1.2.1.17.7.1.4.3.1.1"  # dot1qVlanStaticName: SnmpAdminString, 0 to 32 octets
)
VLAN_NAME_LENGTH: Final = 32
VLAN_EGRESS: Final = "1.3.6.1.2.1.17.7.1.4.3.1.2"  # dot1qVlanStaticEgressPorts
VLAN_UNTAGGED: Final = "1.3.6.1.2.1.17.7.1.4.3.1.4"  # dot1qVlanStaticUntaggedPorts
VLAN_STATUS: Final = "1.3.6.1.2.1.17.7.1.4.3.1.5"  # dot1qVlanStaticRowStatus
PVID: Final = "1.3.6.1.2.1.17.7.1.4.5.1.1"  # dot1qPvid: Unsigned32, by dot1dBasePort
ACTIVE, NOT_IN_SERVICE, NOT_READY, CREATE_AND_GO, DESTROY = 1, 2, 3, 4, 6  # RowStatus, RFC 2579

NAMES: Final = {
    SYS_NAME: "sysName.0",
    IF_ADMIN_STATUS: "ifAdminStatus",
    IF_ALIAS: "ifAlias",
    VLAN_NAME: "dot1qVlanStaticName",
    VLAN_EGRESS: "dot1qVlanStaticEgressPorts",
    VLAN_UNTAGGED: "dot1qVlanStaticUntaggedPorts",
    VLAN_STATUS: "dot1qVlanStaticRowStatus",
    PVID: "dot1qPvid",
}
"""What is written, as people read it in a plan."""

# LLDP-MIB (IEEE 802.1AB-2005)
LLDP_LOC_PORT_SUBTYPE: Final = "1.0.8802.1.1.2.1.3.7.1.2"  # by lldpLocPortNum
LLDP_LOC_PORT_ID: Final = "1.0.8802.1.1.2.1.3.7.1.3"
LLDP_LOC_PORT_DESC: Final = "1.0.8802.1.1.2.1.3.7.1.4"
LLDP_REM_CHASSIS_SUBTYPE: Final = "1.0.8802.1.1.2.1.4.1.1.4"  # by time mark, lldpLocPortNum, index
LLDP_REM_CHASSIS_ID: Final = "1.0.8802.1.1.2.1.4.1.1.5"
LLDP_REM_PORT_SUBTYPE: Final = "1.0.8802.1.1.2.1.4.1.1.6"
LLDP_REM_PORT_ID: Final = "1.0.8802.1.1.2.1.4.1.1.7"
LLDP_REM_PORT_DESC: Final = "1.0.8802.1.1.2.1.4.1.1.8"
LLDP_REM_SYS_NAME: Final = "1.0.8802.1.1.2.1.4.1.1.9"
PORT_BY_MAC, PORT_BY_ADDRESS, PORT_BY_NAME, PORT_BY_LOCAL = 3, 4, 5, 7  # LldpPortIdSubtype
CHASSIS_BY_MAC, CHASSIS_BY_ADDRESS = 4, 5  # LldpChassisIdSubtype

# ENTITY-MIB (RFC 6933): entPhysicalTable
ENT_DESCR: Final = "1.3.6.1.2.1.47.1.1.1.1.2"
ENT_CLASS: Final = "1.3.6.1.2.1.47.1.1.1.1.5"
ENT_NAME: Final = "1.3.6.1.2.1.47.1.1.1.1.7"
ENT_SERIAL: Final = "1.3.6.1.2.1.47.1.1.1.1.11"
ENT_MODEL: Final = "1.3.6.1.2.1.47.1.1.1.1.13"
ENT_CHASSIS, ENT_STACK = 3, 11  # entPhysicalClass

# IP-MIB (RFC 4293, and MIB-II before it): by ifIndex and IPv4 address
ARP_MAC: Final = "1.3.6.1.2.1.4.22.1.2"  # ipNetToMediaPhysAddress
