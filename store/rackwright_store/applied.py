"""What a mirrored ledger says was applied. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rackwright.model import typed


class Applied(msgspec.Struct):
    """One entry of a ledger."""

    data: dict[str, Any]
    digest: str = ""
    called: str = ""
    intent: str = ""
    """Begun and not seen to be done."""


class _Ledger(msgspec.Struct):
    entries: dict[str, Applied] = {}


def applied_of(body: bytes) -> Mapping[str, Applied]:
    """The entries of a ledger (JSON) by the ``type/name`` of the site. What is no ledger has none."""
    try:
        entries = typed.decode(body, _Ledger).entries
    except msgspec.DecodeError:
        return {}
    return {entry.called or ours: entry for ours, entry in entries.items()}
