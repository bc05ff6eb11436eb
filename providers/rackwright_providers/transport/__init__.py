"""How bytes travel: ssh, serial, snmp, local. Foreign exceptions are mapped here."""
