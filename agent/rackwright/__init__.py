"""Rackwright: converge a whole rack, servers and what cannot run an agent alike."""

__version__ = "0.1.0"
