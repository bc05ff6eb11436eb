"""What the store has placed on a host, where the host is converged or planned from a tree: no tree says
what that is, so it stays as it is."""

from __future__ import annotations

import msgspec

from rackwright.engine.ledger import Ledger
from rackwright.model.bundle import Bundle, Declared, Need, Origin
from rackwright.model.resource import digest

ROLE = "delegate-host"
"""The role of hosts on which a store places managed nodes."""
TYPE = "delegate"


def with_placed(bundle: Bundle, ledger: Ledger) -> Bundle:
    """``bundle`` of a host with the delegates that the host has by its ``ledger``; of any other node
    as it is."""
    if ROLE not in bundle.roles:
        return bundle
    declared = {(item.type, item.data["name"]) for item in bundle.resources}
    placed = tuple(
        Declared(
            type=TYPE,
            data={"name": name},
            digest=digest(TYPE, {"name": name}),
            origin=Origin(file="", line=0, role=ROLE),
            needs=tuple(Need(address=need) for need in entry.needs),
        )
        for entry in ledger.entries.values()
        if entry.type == TYPE
        for name in (entry.address.name,)
        if (TYPE, name) not in declared
    )
    return msgspec.structs.replace(bundle, resources=(*bundle.resources, *placed))
