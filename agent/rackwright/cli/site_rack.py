"""A site together with what is there besides what it declares: what is to go, and what is left of nodes
that it does not have any more. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from rackwright.engine.known import Known
from rackwright.engine.ledger import Entry
from rackwright.model import typed
from rackwright.model.address import Address
from rackwright.model.bundle import Bundle, Declared, Need, Origin
from rackwright.model.resource import Resource
from rackwright_proposals.rack import Rack
from rackwright_proposals.sequence import Implied, graph_of


def rack_of(
    going: Mapping[str, Iterable[str]],
    bundles: Mapping[str, Bundle],
    implied: Implied,
    parents: Mapping[str, str],
    known: Mapping[str, Known],
    nouns: Mapping[str, type[Resource]],
) -> Rack:
    """The site with what is there besides: it hangs off a change as long as it is there. ``going`` is
    what each node is to lose, as far as no ledger says it."""
    left = {name: left_by(about) for name, about in known.items()}
    for name, addresses in going.items():
        left.setdefault(name, []).extend(map(_bare, addresses))
    whole: dict[str, Bundle] = dict(bundles)
    more: dict[str, dict[str, Collection[str]]] = {name: dict(of) for name, of in implied.items()}
    for name, items in left.items():
        base = bundles.get(name) or known[name].bundle
        if base is None:
            continue
        resources = {str(item.address): item for item in base.resources} if name in bundles else {}
        for item in items:
            key = str(item.address)
            if key not in resources:
                resources[key] = item
                first = _implied(item, nouns)
                if first:
                    more.setdefault(name, {})[key] = first
        whole[name] = msgspec.structs.replace(base, resources=tuple(resources.values()))
    cabled = {kind for kind, noun in nouns.items() if noun.linked} | {"interface"}
    return Rack(whole, graph_of(whole, more), parents, cabled)


def _bare(address: str) -> Declared:
    """What is to go and stands in no ledger."""
    kind, _, name = address.partition("/")
    return Declared(type=kind, data={"name": name}, digest="", origin=Origin(file="", line=0))


def left_by(about: Known) -> list[Declared]:
    """What a node has by its ledger, or by what was verified of the bundle in force."""
    if about.ledger is not None:
        origin = Origin(file="", line=0)
        return [
            Declared(
                type=entry.type,
                data={**entry.data, "name": _name(entry)},
                digest=entry.digest,
                origin=origin,
                needs=tuple(Need(address=need) for need in entry.needs),
            )
            for entry in about.ledger.entries.values()
        ]
    in_force = about.bundle.resources if about.bundle else ()
    return [item for item in in_force if str(item.address) in about.verified]


def _name(entry: Entry) -> str:
    """As the site writes it."""
    return Address.parse(entry.called).name if entry.called else str(entry.data["name"])


def _implied(item: Declared, nouns: Mapping[str, type[Resource]]) -> list[str]:
    noun = nouns.get(item.type)
    if noun is None:
        return []
    try:
        return [str(need) for need in typed.convert(item.data, noun).implied_needs()]
    except msgspec.ValidationError:
        return []  # written by another version whose noun had other fields
