"""What requests carry: their bodies, and how long they may be."""

from __future__ import annotations

from typing import Annotated

import msgspec

from rackwright_store.http import KIB, MIB

SMALL, FACTS, WATCH, LEDGER, REPORT = 64 * KIB, MIB, MIB, 8 * MIB, 8 * MIB
"""Longest bodies in bytes."""

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Epoch = Annotated[int, msgspec.Meta(ge=0)]
ETag = Annotated[str, msgspec.Meta(max_length=256)]


class Enrol(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /v1/enrol."""

    token: Text
    node: Text


class TokenRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /v1/tokens. ``ttl`` in seconds, at most thirty days."""

    nodes: Annotated[list[Text], msgspec.Meta(min_length=1, max_length=1000)]
    ttl: Annotated[float, msgspec.Meta(ge=1, le=2592000)] = 3600.0


class Retire(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /v1/nodes/{node}/retire."""

    who: Text
    why: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    force: bool = False
    dry_run: bool = False


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """One node that a process asks for."""

    instance: Text
    epoch: Epoch = 0


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /v1/leases."""

    process: Text
    want: Annotated[dict[Text, Wanted], msgspec.Meta(max_length=4000)] = {}
    release: Annotated[dict[Text, Epoch], msgspec.Meta(max_length=4000)] = {}


class Drained(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /v1/hosts/{host}/drain."""

    drain: bool
    who: Text


class Watched(msgspec.Struct, forbid_unknown_fields=True):
    """One node of a long poll."""

    node: Text
    credential: Text
    bundle: ETag = ""
    gates: ETag = ""
    epoch: Epoch = 0


class Wait(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /v1/wait. ``timeout`` in seconds."""

    watch: Annotated[list[Watched], msgspec.Meta(max_length=4000)]
    timeout: Annotated[float, msgspec.Meta(ge=0, le=300)] = 60.0
