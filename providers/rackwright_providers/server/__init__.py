"""Servers: what an agent converges on the node it runs on."""
