"""The sites of the model: what may be wanted, and its YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SWITCHES = ("sw1", "sw2")
PDUS = ("pdu1", "pdu2")
ARRAY = "san1"
CHASSIS = "ch1"
SERVERS = ("h1", "h2", "h3")
MANAGED = (*SWITCHES, *PDUS, CHASSIS, ARRAY)
NETWORKS = {"admin1": "oob-a", "admin2": "oob-a, oob-b", "admin3": "oob-b"}
HOSTS = tuple(NETWORKS)
"""They converge what is managed."""
WAYS = {
    "sw1": "network: oob-a",
    "pdu1": "network: oob-a",
    "sw2": "network: oob-b",
    "pdu2": "network: oob-b",
    "ch1": "network: oob-b",
    "san1": "at: admin1",
}
"""To the managed nodes; `ARRAY` has one more."""
NODES = (*MANAGED, *HOSTS, *SERVERS)
OWN_PORTS = {"admin1": "40", "admin2": "41"}
"""Host → the port of the first switch on which it is."""
VOLUMES = ("a", "b")
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
role: slots
for: [chassis]
attributes: {slots: {type: object}}
defaults: {slots: {}}
resources:
  - {blade: "{{ id }}", each: "id, power in slots.items()", power: "{{ power }}"}
---
role: keeps
for: [san]
attributes: {volumes: {type: object}}
defaults: {volumes: {}}
resources:
  - {volume: "{{ id }}", each: "id, spec in volumes.items()", size: "{{ spec.size }}", destroy: "{{ spec.destroy }}"}
---
role: oob
for: [switch]
attributes: {oob: {type: integer}}
resources:
  - {vlan: "{{ oob }}"}
  - {port: "40", access_vlan: "{{ oob }}"}
  - {port: "41", access_vlan: "{{ oob }}"}
---
role: tuned
for: [server]
attributes: {release: {type: integer}}
resources:
  - {setting: release, value: "{{ release }}"}
  - {setting: "of-{{ node.name }}", on: peer('eth0'), value: "{{ release }}"}
---
role: delegate-host
for: [server]
resources: []
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

    release: int = 1
    """What goes out to one server after the other."""
    servers: dict[str, Server | None] = field(
        default_factory=lambda: {name: Server() for name in SERVERS}
    )
    outlets: dict[str, dict[int, str]] = field(default_factory=lambda: {name: {} for name in PDUS})
    slots: dict[int, str] = field(default_factory=dict)
    volumes: dict[str, tuple[int, bool]] = field(default_factory=dict)
    """Size, and whether it may be destroyed."""
    oob: int = 50
    """The VLAN in which the hosts are that reach the first switch through itself."""
    trusted: set[str] = field(default_factory=set)
    """Servers whose links are as the site says, whatever is seen."""

    @property
    def there(self) -> list[str]:
        """The servers in the site."""
        return [name for name, server in self.servers.items() if server is not None]

    def files(self) -> Mapping[str, bytes]:
        """As a commit has it."""
        documents: dict[str, Any] = {"site.yaml": "site: model", "roles.yaml": ROLES}
        there = self.there
        texts = [
            "proposal: all\n"
            f"deploy: {{feeds: [type=pdu], slots: [{CHASSIS}], keeps: [{ARRAY}], oob: [{SWITCHES[0]}]}}\n",
            f"proposal: hosts\ndeploy: {{delegate-host: {list(HOSTS)}}}\n",
        ]
        if there:
            texts += [
                f"proposal: servers\ndeploy: {{wired: {there}}}\n",
                f"proposal: release\nattributes: {{release: {self.release}}}\n"
                f"deploy: {{tuned: {there}}}\nrollout: {{canary: 1, at_once: 1}}\n",
            ]
        documents["proposals.yaml"] = "---\n".join(texts)
        for name, networks in NETWORKS.items():
            text = f"node: {name}\ntype: server\nplatform: memory\noffers: {{networks: [{networks}]}}\n"
            if name in OWN_PORTS:
                text += f"links: {{eth0: '{SWITCHES[0]}:{OWN_PORTS[name]}'}}\n"
            documents[f"nodes/{name}.yaml"] = text
        kinds = {"switch": SWITCHES, "pdu": PDUS, "chassis": (CHASSIS,), "san": (ARRAY,)}
        for kind, names in kinds.items():
            for name in names:
                text = f"node: {name}\ntype: {kind}\nplatform: memory\n"
                text += f"reach:\n  - ssh: {{host: {name}}}\n    {WAYS[name]}\n"
                if name == ARRAY:
                    text += f"  - ssh: {{host: {name}-b}}\n    network: oob-b\n"
                if kind == "pdu":
                    links = "".join(f"  {name_[1:]}: {name_}:psu{name[3:]}\n" for name_ in there)
                    states = "".join(f"    {n}: '{to}'\n" for n, to in self.outlets[name].items())
                    text += f"links:\n{links}" if links else ""
                    text += f"attributes:\n  outlets:\n{states}" if states else ""
                text += self._attributes(name)
                documents[f"nodes/{name}.yaml"] = text
        for name, server in self.servers.items():
            if server is not None:
                documents[f"nodes/{name}.yaml"] = _server(name, server, name in self.trusted)
        return {path: text.encode() for path, text in documents.items()}

    def _attributes(self, name: str) -> str:
        if name == SWITCHES[0]:
            return f"attributes: {{oob: {self.oob}}}\n"
        if name == CHASSIS and self.slots:
            slots = ", ".join(f"{number}: '{to}'" for number, to in self.slots.items())
            return f"attributes: {{slots: {{{slots}}}}}\n"
        if name == ARRAY and self.volumes:
            volumes = "".join(
                f"    {id}: {{size: {size}, destroy: {str(destroy).lower()}}}\n"
                for id, (size, destroy) in self.volumes.items()
            )
            return f"attributes:\n  volumes:\n{volumes}"
        return ""


def _server(name: str, server: Server, trusted: bool) -> str:
    number = name[1:]
    trust = ", trust: declared" if trusted else ""
    nics = "".join(f"    {nic}: {vlan}\n" for nic, vlan in server.nics.items())
    text = f"node: {name}\ntype: server\nplatform: memory\nin: {CHASSIS}:{number}\nlinks:\n"
    text += f"  eth0: {{to: 'sw1:{number}'{trust}}}\n  eth1: {{to: 'sw2:{number}'{trust}}}\n"
    text += "attributes:\n  x: 1\n"
    text += f"  network:\n{nics}" if nics else ""
    text += f"  share: {server.share}\n" if server.share is not None else ""
    text += f"  after: {server.after}\n" if server.after else ""
    return text
