"""Every rig is recorded; the recording shows no secret and reads as the device does, also a byte at a
time; cut off anywhere it says so and never reads wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rackwright.model.change import Wanted
from rackwright.model.errors import Temporary
from rackwright.model.resource import Resource, secret_fields
from rackwright.model.secret import MASK
from rackwright.provider import AnyProvider, Surroundings
from rackwright_providers.transport import recording, replay

from .converging import Delegate
from .platforms import rigs
from .test_conformance import CASES, EVERY

CUTS = 200
"""Places where a recording is cut off, spread over all of it."""

Reading = tuple[dict[str, Any], Any]


@dataclass
class Kept:
    """A recording, what was read when it was made, and what must not be in it."""

    provider: AnyProvider
    body: bytes
    reading: Reading
    secrets: list[str]
    real: bool

    @cached_property
    def _parsed(self) -> replay.Recorded:
        return replay.parsed(self.body)

    def again(self, *, chunk: int = 0, cut: int | None = None) -> tuple[Reading, int]:
        """What is read from it, and how much of it that takes."""
        player = replay.Player(self._parsed, chunk=chunk, cut=cut)
        with closing(player.open()) as session:
            return read(self.provider, session), player.used


def read(provider: AnyProvider, session: Any) -> Reading:
    found = provider.read(session, Wanted(provider.resources, {}))
    return {
        str(address): plain(resource) for address, resource in found.items()
    }, msgspec.to_builtins(provider.discover(session))


def plain(resource: Resource) -> dict[str, Any]:
    """As data, with what is secret masked."""
    data: dict[str, Any] = msgspec.to_builtins(resource)
    return {key: MASK if key in secret_fields(type(resource)) else data[key] for key in data}


@pytest.fixture
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    platform, kind, transport = request.param
    with rigs(platform)[kind](tmp_path / "device") as rig:
        if transport not in rig.ways:
            pytest.skip(f"this rig is not reached over {transport}")
        delegate = Delegate(CASES[platform], rig, transport, tmp_path / "state")
        delegate.persist(delegate.case.declare)
        provider = delegate.provider
        recorder = recording.Recording()
        around = Surroundings(state=delegate.state, recorder=recorder)
        with closing(provider.open(delegate.way, around)) as session:
            found = provider.read(session, Wanted(provider.resources, {}))
            reading = (
                {str(address): plain(resource) for address, resource in found.items()},
                msgspec.to_builtins(provider.discover(session)),
            )
        assert len(recorder)
        secrets = [*rig.secrets.values(), *recording.secrets_of(found)]
        body = recorder.redacted("dut", platform, delegate.way, secrets, "2026-01-01")
        yield Kept(provider, body, reading, secrets, not hasattr(rig, "lose"))


every = pytest.mark.parametrize("kept", EVERY, indirect=True)


@every
def test_a_recording_reads_as_the_device_and_shows_no_secret(kept: Kept) -> None:
    shown = kept.body.decode()
    for secret in kept.secrets:
        assert secret not in shown
        assert secret.strip().replace("\n", "\\n") not in shown
        assert len(secret) < 4 or secret.encode().hex() not in shown
    whole, size = kept.again()
    assert whole == kept.reading
    assert kept.again(chunk=1)[0] == kept.reading

    if kept.real and len(shown) > 100_000:
        return
    unlike = 0
    for cut in range(0, size, max(1, size // CUTS)):
        try:
            found, _ = kept.again(cut=cut)
        except Temporary:
            continue
        # What nobody waits for (the last blank of a prompt) is not missed.
        assert found == kept.reading, cut
        unlike += 1
    assert unlike <= 3
