"""A generated site of racks: ten nodes, a hundred links and about a thousand resources each.

A rack is two switches, a PDU, a storage array and six servers. Every server has twelve network interfaces, six to
each switch, two power supplies and two iSCSI paths; what it needs of its neighbours is written on it, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rackwright_proposals.tree import Source

NODES = 10
"""Of one rack."""
LINKS = 100
SERVERS = 6
NICS = 12
VOLUMES = 4
VLANS = 90
FILES = 52
ACCOUNTS = 10
SYSCTLS = {
    f"net.ipv4.conf.eth{number}.{what}": 1
    for number in range(NICS)
    for what in ("rp_filter", "log_martians")
}


def source(nodes: int) -> Source:
    """A site of ``nodes`` nodes, a file each."""
    files = {"site.yaml": "site: bench\nattributes: {motd: all alike}\n", **_proposals()}
    for rack in range(nodes // NODES):
        files |= _rack(f"r{rack}", f"r{rack + 1}" if rack + 1 < nodes // NODES else "")
    return Source({path: text.encode() for path, text in files.items()}, "bench")


class Edit(NamedTuple):
    """One commit, from a site that `source` made."""

    what: str
    """In words, of the commit and of the one that takes it back."""
    files: Mapping[str, bytes]
    concerned: frozenset[str]
    """The nodes whose bundles it changes."""
    few: bool = True
    """They are as many however large the site is."""


def edits(whole: Source) -> dict[str, Edit]:
    """Commits to ``whole`` by name."""
    nodes = sorted({path[6:-5] for path in whole.files if path.startswith("nodes/")})
    left = frozenset(name for name in nodes if name.endswith("-sw0"))
    host, switch = "r0-h0", "r0-sw0"
    other = next((name for name in sorted(left) if name != switch), "r0-sw1")
    new = f"r0-h{SERVERS}"
    own = _replaced(
        whole,
        f"nodes/{host}.yaml",
        ("eth0: {vlan: 100}", "eth0: {vlan: 189}"),
        ("/srv/bench/0: ", "/srv/bench/new: "),
    )
    link = _replaced(
        whole, f"nodes/{host}.yaml", ("links:\n", f"links:\n  eth{NICS}: {switch}:Gi1/0/48\n")
    )
    cables = [(f"eth{n}: {switch}:Gi1/0/{n // 2 + 1}\n", n) for n in range(0, NICS, 2)]
    moved = _replaced(
        whole,
        f"nodes/{host}.yaml",
        *((old, f"eth{n}: {other}:Gi1/0/{43 + n // 2}\n") for old, n in cables),
    )
    vlan = ("vlans:\n", f"vlans:\n    {101 + VLANS}: {{name: more}}\n")
    shared = _replaced(whole, "proposals/left.yaml", vlan)
    staged = _replaced(
        whole,
        "proposals/left.yaml",
        vlan,
        ("deploy:", "rollout: {canary: 1, at_once: 10%}\ndeploy:"),
    )
    servers = [f"r0-h{n}" for n in range(SERVERS + 1)]
    joined = {
        **whole.files,
        f"nodes/{new}.yaml": _server(new, "r0").encode(),
        "nodes/r0-pdu.yaml": _pdu("r0", servers).encode(),
        "nodes/r0-san.yaml": _array("r0", servers).encode(),
    }
    around = {"r0-sw0", "r0-sw1", "r0-pdu", "r0-san"}
    return {
        "own": Edit("a VLAN and a file of a server", own, frozenset({host, switch})),
        "link": Edit("a link", link, frozenset({host, switch})),
        "moved": Edit(
            "six links of a server to another switch", moved, frozenset({host, switch, other})
        ),
        "node": Edit(
            "a server with its links, power and volumes", joined, frozenset({new, *around})
        ),
        "shared": Edit("a VLAN of a proposal for a tenth of the nodes", shared, left, few=False),
        "staged": Edit("the same, with a rollout", staged, left, few=False),
    }


def _replaced(whole: Source, path: str, *pairs: tuple[str, str]) -> dict[str, bytes]:
    """The files of ``whole``, with the first of each pair of texts in ``path`` replaced by the second."""
    text = whole.files[path].decode()
    for old, new in pairs:
        if old not in text:
            raise RuntimeError(f"{path} has no {old!r}")
        text = text.replace(old, new, 1)
    return {**whole.files, path: text.encode()}


def _proposals() -> dict[str, str]:
    vlans = "".join(f"    {100 + n}: {{name: net-{100 + n}}}\n" for n in range(VLANS))
    accounts = "".join(f"    user{n}: {{shell: /bin/sh}}\n" for n in range(ACCOUNTS))
    sysctls = "".join(f"    {name}: {value}\n" for name, value in SYSCTLS.items())
    return {
        "proposals/switches.yaml": (
            "proposal: switches\ndeploy: {switch-base: [type=switch], vlans: [type=switch]}\n"
            "attributes:\n  ntp_servers: [192.0.2.1, 192.0.2.2]\n"
            f"  syslog_servers: [192.0.2.3]\n  vlans:\n{vlans}"
        ),
        "proposals/left.yaml": (
            "proposal: left\ndeploy: {vlans: ['*-sw0']}\n"
            f"attributes:\n  vlans:\n    {100 + VLANS}: {{name: left}}\n"
        ),
        "proposals/servers.yaml": (
            "proposal: servers\ndeploy:\n  base-server: [type=server]\n  users: [type=server]\n"
            "  sysctls: [type=server]\n  files: [type=server]\n  server-port: [type=server]\n"
            "  san-luns: [type=server]\n"
            f"attributes:\n  users:\n{accounts}  sysctls:\n{sysctls}"
        ),
        "proposals/storage.yaml": "proposal: storage\ndeploy: {volumes: [type=san]}\n",
        "proposals/power.yaml": "proposal: power\ndeploy: {outlets: [type=pdu]}\n",
    }


def _rack(rack: str, following: str) -> dict[str, str]:
    servers = [f"{rack}-h{n}" for n in range(SERVERS)]
    files = {
        f"nodes/{rack}-sw{n}.yaml": _switch(f"{rack}-sw{n}", rack, following, n) for n in (0, 1)
    }
    files[f"nodes/{rack}-pdu.yaml"] = _pdu(rack, servers)
    files[f"nodes/{rack}-san.yaml"] = _array(rack, servers)
    return {**files, **{f"nodes/{name}.yaml": _server(name, rack) for name in servers}}


def _reached(name: str, kind: str, platform: str, way: str, rack: str) -> str:
    return f"node: {name}\ntype: {kind}\nplatform: {platform}\nrack: {rack}\nreach:\n  - {way}\n"


def _switch(name: str, rack: str, following: str, number: int) -> str:
    way = f"ssh: {{host: {name}.example.org, username: rack, password: {{secret: sw}}}}"
    links = ""
    if number == 0:
        # The last rack leads to no other, and has two more between its own switches.
        pairs = (1, 2) if following else (1, 2, 5, 6)
        links = "".join(f"  TenGigabitEthernet1/1/{n}: {rack}-sw1:Te1/1/{n}\n" for n in pairs)
    if following:
        links += f"  TenGigabitEthernet1/1/3: {following}-sw{number}:Te1/1/4\n"
    return _reached(name, "switch", "cisco_ios", way, rack) + (f"links:\n{links}" if links else "")


def _pdu(rack: str, servers: list[str]) -> str:
    outlets = [(n, server, psu) for n, (server, psu) in enumerate(_supplies(servers), start=1)]
    links = "".join(f"  {n}: {server}:psu{psu}\n" for n, server, psu in outlets)
    states = "".join(f"    {n}: {{state: 'on'}}\n" for n, _, _ in outlets)
    way = f"snmp: {{host: {rack}-pdu.example.org, community: {{secret: pdu}}}}"
    return (
        _reached(f"{rack}-pdu", "pdu", "apc_rpdu", way, rack)
        + f"links:\n{links}attributes:\n  outlets:\n{states}"
    )


def _supplies(servers: list[str]) -> list[tuple[str, int]]:
    return [(server, psu) for server in servers for psu in (1, 2)]


def _iqn(name: str, path: int) -> str:
    return f"iqn.2026-11.org.example:{name}.{path}"


def _array(rack: str, servers: list[str]) -> str:
    links = "".join(
        f"  {_iqn(f'{rack}-san', path)}.{server}: {server}:{_iqn(server, path)}\n"
        for server in servers
        for path in (0, 1)
    )
    volumes = "".join(
        f"    {server}-{n}: {{size: 10GiB}}\n" for server in servers for n in range(VOLUMES)
    )
    exports = "".join(
        f"    {server}-{n}:{_iqn(server, 0)}: {{lun: {n}}}\n"
        for server in servers
        for n in range(VOLUMES)
    )
    way = f"ssh: {{host: {rack}-san.example.org, username: root, password: {{secret: san}}}}"
    return (
        _reached(f"{rack}-san", "san", "tgt", way, rack)
        + f"links:\n{links}attributes:\n  volumes:\n{volumes}  exports:\n{exports}"
    )


def _server(name: str, rack: str) -> str:
    number = int(name.rpartition("h")[2])
    links = "".join(
        f"  eth{n}: {rack}-sw{n % 2}:Gi1/0/{number * NICS // 2 + n // 2 + 1}\n" for n in range(NICS)
    )
    network = "".join(f"    eth{n}: {{vlan: {100 + n}}}\n" for n in range(NICS))
    luns = "".join(
        f"    {name}-{n}: {{array: {rack}-san, target: {_iqn(f'{rack}-san', 0)}.{name}.{n}, "
        f"portal: '192.0.2.9:3260', lun: {n}, fstype: ext4, mount: /mnt/{n}}}\n"
        for n in range(VOLUMES)
    )
    files = "".join(f"    /srv/bench/{n}: {{content: '{name} {n}'}}\n" for n in range(FILES))
    return (
        f"node: {name}\ntype: server\nrack: {rack}\nlinks:\n{links}attributes:\n"
        f"  initiator: {_iqn(name, 0)}\n  network:\n{network}  luns:\n{luns}  files:\n{files}"
    )
