"""The case and the rigs of every platform, wherever they come from."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from rackwright_providers.pdu import units
from rackwright_providers.transport import cli_driver, serial

from . import outlet_tables
from .rig import Case, Maker, RealRig, load_case

HERE = Path(__file__).parent


def cases() -> Mapping[str, Case]:
    """All cases by platform; a platform that is one table and has no file gets a case from it."""
    found = {path.stem: load_case(path) for path in sorted((HERE / "cases").glob("*.yaml"))}
    assert all(case.platform == name for name, case in found.items())
    for platform in units.platforms():
        if platform not in found:
            found[platform] = outlet_tables.case(platform, units.provider(platform).table)
    return found


def rigs(platform: str) -> Mapping[str, Maker]:
    """The rigs of ``platform`` by ``sim``, ``real`` or another word for ids: ``RIGS`` of the module
    ``tests.conformance.rigs.PLATFORM``, or made from its table where it has one and no such module."""
    found: Mapping[str, Maker]
    if platform in units.platforms() and not (HERE / "rigs" / f"{platform}.py").exists():
        found = outlet_tables.rigs(units.provider(platform).table)
    else:
        found = importlib.import_module(f"tests.conformance.rigs.{platform}").RIGS
    return {kind: _hurried(maker) for kind, maker in found.items()}


def over(platform: str, kind: str, transports: Iterable[str]) -> list[str]:
    """Those of ``transports`` over which a rig is run: ``OVER`` of its module, or all."""
    if not (HERE / "rigs" / f"{platform}.py").exists():
        return sorted(transports)
    module = importlib.import_module(f"tests.conformance.rigs.{platform}")
    chosen: Mapping[str, Collection[str]] = getattr(module, "OVER", {})
    return sorted(set(transports) & set(chosen.get(kind, transports)))


def _hurried(maker: Maker) -> Maker:
    """With lines that answer at once: it is not the waits of a thousand logins that are looked at."""

    @contextmanager
    def started(where: Path) -> Iterator[RealRig]:
        with (
            patch.object(serial, "SLICE", 0.02),
            patch.object(cli_driver, "NUDGE", 0.3),
            patch.object(cli_driver, "SETTLE", 0.05),
            maker(where) as rig,
        ):
            yield rig

    return started
