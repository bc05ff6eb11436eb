"""The sites of the model: what may be wanted, and its YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SWITCHES = ("sw1", "sw2")
PDUS = ("pdu1", "pdu2")
ARRAY = "san1"
SERVERS = ("h1", "h2", "h3")
MANAGED = (*SWITCHES, *PDUS, ARRAY)
NODES = (*MANAGED, *SERVERS)
VLANS = (10, 20, 30)
BY_HAND = "vlan/30"
"""Is on every switch before anybody declares it: it may be adopted, and never goes."""

ROLES = """
role: wired
for: [server]
attributes: {network: {type: object}, share: {type: integer}, after: {type: string}}
defaults: {network: {}}
resources:
  - {vlan: "{{ vlan }}", each: "nic, vlan in network.items()", on: peer(nic)}
  - {port: "{{ peer(nic).port }}", each: "nic, vlan in network.items()", on: peer(nic), access_vlan: "{{ vlan }}"}
  - {share: "{{ node.name }}", when: share is defined, on: san1, size: "{{ share }}"}
  - {nic: "{{ nic }}", each: "nic, vlan in network.items()", vlan: "{{ vlan }}"}
  - {mount: data, when: share is defined, size: "{{ share }}"}
  - {mark: up}
  - {app: main, when: after is defined, after: "{{ after }}", needs: ["{{ after }}:mark/up"]}
---
role: feeds
for: [pdu]
attributes: {outlets: {type: object}}
defaults: {outlets: {}}
resources:
  - {outlet: "{{ id }}", each: "id, state in outlets.items()", state: "{{ state }}"}
---
proposal: all
deploy: {wired: [type=server], feeds: [type=pdu]}
"""


@dataclass
class Server:
    """What is wanted of one server."""

    nics: dict[str, int] = field(default_factory=dict)
    share: int | None = None
    after: str = ""


@dataclass
class Site:
    """What is wanted of all; a server that is None is not in the site."""

    servers: dict[str, Server | None] = field(
        default_factory=lambda: {name: Server() for name in SERVERS}
    )
    outlets: dict[str, dict[int, str]] = field(default_factory=lambda: {name: {} for name in PDUS})

    def files(self) -> Mapping[str, bytes]:
        """As a commit has it."""
        documents: dict[str, Any] = {"site.yaml": "site: model", "roles.yaml": ROLES}
        there = [name for name, server in self.servers.items() if server is not None]
        for kind, names in (("switch", SWITCHES), ("pdu", PDUS), ("san", (ARRAY,))):
            for name in names:
                text = f"node: {name}\ntype: {kind}\nplatform: memory\nreach: [{{ssh: {{host: {name}}}}}]\n"
                if kind == "pdu":
                    links = "".join(f"  {name_[1:]}: {name_}:psu{name[3:]}\n" for name_ in there)
                    states = "".join(f"    {n}: '{to}'\n" for n, to in self.outlets[name].items())
                    text += f"links:\n{links}" if links else ""
                    text += f"attributes:\n  outlets:\n{states}" if states else ""
                documents[f"nodes/{name}.yaml"] = text
        for name, server in self.servers.items():
            if server is not None:
                documents[f"nodes/{name}.yaml"] = _server(name, server)
        return {path: text.encode() for path, text in documents.items()}


def _server(name: str, server: Server) -> str:
    number = name[1:]
    nics = "".join(f"    {nic}: {vlan}\n" for nic, vlan in server.nics.items())
    text = f"node: {name}\ntype: server\nplatform: memory\nlinks:\n"
    text += f"  eth0: sw1:{number}\n  eth1: sw2:{number}\nattributes:\n  x: 1\n"
    text += f"  network:\n{nics}" if nics else ""
    text += f"  share: {server.share}\n" if server.share is not None else ""
    text += f"  after: {server.after}\n" if server.after else ""
    return text
