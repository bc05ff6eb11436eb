"""What a commit to one node costs the store: its own, and nobody else's."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest

from rackwright_proposals.compile import compile_site
from rackwright_store import heap
from rackwright_store.compiling import SiteCompiler
from rackwright_store.database import Database
from rackwright_store.following import Following
from rackwright_store.git import Follower
from rackwright_store.service import Service

from .rack import Repository

SITE = {
    "site.yaml": "site: small\n",
    "roles.yaml": "role: notes\nattributes: {text: {type: string}}\nresources:\n"
    '  - {file: /note, content: "{{ text }}"}\n  - {file: /host, content: "{{ node.name }}"}\n',
    "proposals.yaml": "proposal: all\ndeploy: {notes: [type=server]}\n",
    **{
        f"nodes/h{n}.yaml": f"node: h{n}\ntype: server\nattributes: {{text: as ever}}\n"
        for n in range(4)
    },
}
EDITED = {"nodes/h1.yaml": "node: h1\ntype: server\nattributes: {text: another}\n"}


class Listening(Follower):
    """Notes how many blobs are read."""

    read = 0

    def _blobs(self, oids: Collection[str]) -> Mapping[str, bytes]:
        self.read += len(oids)
        return super()._blobs(oids)


async def followed(repo: Repository, data: Path) -> tuple[Service, Listening]:
    follower = Listening(str(repo.path), data / "mirror")
    compiler = SiteCompiler()
    following = Following(follower, compiler.belongs)
    service = Service(Database(data / "store.db"), following, compiler, "")
    await following.check(service.revisions)
    return service, follower


def test_only_what_it_touches_is_read_made_and_woken(repo: Repository, tmp_path: Path) -> None:
    async def go() -> None:
        first = repo.commit(SITE)
        service, follower = await followed(repo, tmp_path)
        try:
            assert follower.read == len(SITE)
            before = dict(service.live.bundles)
            waiters = {node: service.live.waiters.watch([node]) for node in before}
            second = repo.commit(EDITED)
            await service.following.check(service.revisions)
            assert follower.read == len(SITE) + 1
            assert {node for node, waiter in waiters.items() if waiter.changed} == {"h1"}
            after = service.live.bundles
            assert [node for node in after if after[node] is not before[node]] == ["h1"]
            assert [after[f"h{n}"].value.revision for n in range(3)] == [first, second, first]  # type: ignore[union-attr]
        finally:
            await service.stop()

    asyncio.run(go())


def test_after_a_refused_commit_it_goes_on_from_the_last_good(
    repo: Repository, tmp_path: Path
) -> None:
    async def go() -> None:
        repo.commit(SITE)
        service, _ = await followed(repo, tmp_path)
        try:
            before = dict(service.live.bundles)
            for wrong in ("node: [", "node: h1\ntype: server\nattributes: {text: 5}\n"):
                repo.commit({"nodes/h1.yaml": wrong})
                await service.following.check(service.revisions)
                assert service.revisions.refused is not None
                assert service.live.bundles == before
            repo.commit(EDITED)
            await service.following.check(service.revisions)
            assert service.revisions.refused is None
            after = service.live.bundles
            assert [node for node in after if after[node] is not before[node]] == ["h1"]
        finally:
            await service.stop()

    asyncio.run(go())


def test_the_compiler_is_given_what_is_in_force(
    repo: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def noted(*arguments: Any) -> Any:
        given.append(arguments[4])
        return compile_site(*arguments)

    monkeypatch.setattr("rackwright_store.compiling.compile_site", noted)

    async def go() -> None:
        repo.commit(SITE)
        service, _ = await followed(repo, tmp_path)
        try:
            first = service.revisions.compiled
            repo.commit(EDITED)
            await service.following.check(service.revisions)
            assert given == [None, first]
        finally:
            await service.stop()

    asyncio.run(go())


def test_what_is_in_force_is_kept_out_of_collections(
    repo: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled: list[int] = []
    monkeypatch.setattr(gc, "freeze", lambda: settled.append(1))
    monkeypatch.setattr(heap, "WORTH", 8)

    async def go() -> None:
        repo.commit(SITE)
        service, _ = await followed(repo, tmp_path)
        try:
            assert len(settled) == 1
            repo.commit(EDITED)
            await service.following.check(service.revisions)
            assert len(settled) == 1  # most of it stayed
        finally:
            await service.stop()

    asyncio.run(go())
