"""Addresses: ``[node:]type/name``, e.g. ``sw-a1:vlan/666`` or ``file//etc/motd``."""

from __future__ import annotations

import re
from typing import NamedTuple

NODE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62})")
TYPE_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Address(NamedTuple):
    """Which resource, and of which node; ``node`` is empty where the node is understood."""

    type: str
    name: str
    node: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``[node:]type/name``. Raises ValueError that says what is wrong with it."""
        head, slash, name = text.partition("/")
        if not slash or not name:
            raise ValueError(f"{text!r} is not an address: write [node:]type/name")
        node, colon, kind = head.rpartition(":")
        if colon and not NODE_NAME.fullmatch(node):
            raise ValueError(f"{text!r} is not an address: {node!r} cannot be a node's name")
        if not TYPE_NAME.fullmatch(kind):
            raise ValueError(f"{text!r} is not an address: {kind!r} cannot be a resource type")
        return cls(kind, name, node)

    def on(self, node: str) -> Address:
        """The same resource, of ``node``."""
        return self._replace(node=node)

    @property
    def local(self) -> Address:
        """The same resource without its node."""
        return self._replace(node="") if self.node else self

    def __str__(self) -> str:
        text = f"{self.type}/{self.name}"
        return f"{self.node}:{text}" if self.node else text
