"""Devices in software, for demos, tests and users' own CI."""
