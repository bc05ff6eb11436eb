"""A store with the real compiler, on YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from rackwright.model.errors import Permanent
from rackwright_store.compiling import SiteCompiler

from .rack import Repository, eventually, running

SITE = """
site: lab
---
node: sw-a1
type: switch
platform: cisco_ios
reach:
  - ssh: {host: 10.0.0.2, username: rack, password: {secret: sw-a1}}
links:
  GigabitEthernet1/0/1: web1:eth0
---
node: web1
type: server
platform: linux
---
role: storage-vlans
for: [switch]
attributes:
  vlans: {type: object}
resources:
  - vlan: "{{ id }}"
    each: id, spec in vlans.items()
    title: "{{ spec.name }}"
---
role: motd
attributes:
  greeting: {type: string}
resources:
  - file: /etc/motd
    content: "{{ greeting }} from {{ facts.kernel }}"
  - file: /etc/issue
    content: hello
    needs: ["sw-a1:vlan/666"]
"""
PROPOSAL = """
proposal: tenants
attributes:
  vlans: {666: {name: storage}}
  greeting: hello
deploy:
  storage-vlans: [sw-a1]
  motd: [web1]
"""


def test_a_real_site(repo: Repository, tmp_path: Path) -> None:
    repo.commit({"site.yaml": SITE, "proposals/tenants.yaml": PROPOSAL, "README.md": "no YAML"})
    with running(repo.path, tmp_path / "data", compiler=SiteCompiler()) as store:
        admin = store.admin
        assert admin.status()["store"]["refused"] is None
        agents = store.agent("sw-a1", "web1")
        vlan = agents["sw-a1"].must().resources[0]
        assert (str(vlan.address), vlan.data["title"]) == ("vlan/666", "storage")
        assert agents["sw-a1"].must().node.reach[0].options["password"] == "⟦secret:sw-a1⟧"
        web = agents["web1"].must()
        assert [str(item.address) for item in web.resources] == ["file//etc/issue"]
        assert web.deferred[0].address == "file//etc/motd"
        etag = agents["web1"].facts(kernel="6.1")
        web = agents["web1"].must()
        assert web.etag == etag
        assert {item.data.get("content") for item in web.resources} == {"hello", "hello from 6.1"}

        assert not agents["web1"].gates()[0].verified
        agents["sw-a1"].converged("r1", 10)
        assert agents["web1"].gates()[0].verified == {"sw-a1:vlan/666": vlan.digest}

        assert admin.proposals()[0]["deploy"] == {"storage-vlans": ["sw-a1"], "motd": ["web1"]}
        why = admin.why("sw-a1", "vlans.666.name")
        assert why["value"] == "storage"
        assert why["origin"]["file"] == "proposals/tenants.yaml"
        assert admin.why("web1", "file//etc/issue")["needs"] == ["sw-a1:vlan/666"]
        assert admin.why("sw-a1", "vlan/666")["needed_by"] == ["web1:file//etc/issue"]
        with pytest.raises(Permanent, match="no 'vlanz'"):
            admin.why("sw-a1", "vlanz")
        ends = {(row["node"], row["port"]): row for row in admin.links()}
        assert ends["sw-a1", "GigabitEthernet1/0/1"]["peer"] == "web1"
        assert admin.node("web1")["bundle"]["attributes"]["greeting"]["origin"]["line"] == 5

        repo.commit({"proposals/tenants.yaml": PROPOSAL.replace("[sw-a1]", "[sw-a2]")})
        refused = eventually(lambda: admin.status()["store"]["refused"])
        assert "proposals/tenants.yaml:7:19" in [said["where"] for said in refused["problems"]]
        assert agents["web1"].must() == web
    with running(repo.path, tmp_path / "data", compiler=SiteCompiler()) as store:
        agents["web1"].client = store.client
        assert agents["web1"].bundle(etag) is None
