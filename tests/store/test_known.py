"""What a store tells whoever plans a site without being able to look."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from rackwright.client import AdminClient
from rackwright.engine.known import Known
from rackwright.model.errors import Permanent

from .rack import Repository, eventually, running

LEDGER = {"file/x": {"type": "file", "data": {"name": "x"}, "needs": ["sw1:vlan/1"]}}


def test_what_is_known_of_every_node_in_the_site_and_out_of_it(
    repo: Repository, tmp_path: Path
) -> None:
    vlan = {"vlan/1": {"data": {"title": "t"}}}
    repo.site({"sw1": vlan, "web1": {"file/x": {}}, "web2": {}})
    with running(repo.path, tmp_path / "data") as store:
        agents = store.agent("sw1", "web1", "web2")
        agents["sw1"].converged("r1", 10.0)
        agents["sw1"].facts(model="C3")
        agents["web1"].ledger(LEDGER)
        digest = agents["sw1"].must().resources[0].digest

        admin = store.admin
        found = admin.known()
        assert found["commit"] == repo.git("rev-parse", "HEAD")
        assert set(found["nodes"]) == {"sw1", "web1", "web2"}
        switch = found["nodes"]["sw1"]
        assert switch["verified"] == {"vlan/1": digest}
        assert switch["last_run"] == 10.0
        assert switch["facts"]["values"] == {"model": "C3"}
        assert switch["facts_at"] > 0
        assert switch["bundle"]["resources"][0]["data"] == {"name": "1", "title": "t"}
        assert switch["ledger"] is None
        assert found["nodes"]["web1"]["ledger"]["entries"] == LEDGER
        assert found["nodes"]["web2"]["last_run"] is None
        assert (switch["standing"], switch["removed"], switch["retired"]) == ({}, [], False)
        assert switch["heard"] > 0
        # Whoever plans reads it all back.
        told = msgspec.convert(found["nodes"], dict[str, Known])
        assert told["sw1"].seen
        assert told["sw1"].bundle is not None
        assert told["web1"].ledger is not None

        repo.site({"sw1": vlan})
        eventually(lambda: store.head() == repo.git("rev-parse", "HEAD"))
        left = eventually(lambda: "web2" not in admin.known()["nodes"] and admin.known()["nodes"])
        assert set(left) == {"sw1", "web1"}, "who has left nothing is not there"
        assert left["web1"]["bundle"] is None
        assert left["web1"]["ledger"]["entries"] == LEDGER
        admin.retire("web1", who="test")
        assert set(admin.known()["nodes"]) == {"sw1"}

        stranger = AdminClient(store.url, agents["sw1"].credential)
        with pytest.raises(Permanent, match="for the admin"):
            stranger.known()
        stranger.close()
