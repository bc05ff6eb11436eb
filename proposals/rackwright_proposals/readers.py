"""Documents out of marked data: what each kind may say, and everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from rackwright.model.lease import LEASE_SECONDS, LONGEST_LEASE, SHORTEST_LEASE
from rackwright_proposals.documents import (
    HANDOFF_DEADLINE,
    KINDS,
    Deployment,
    Documents,
    LinkEnd,
    NodeDocument,
    Place,
    ProposalDocument,
    RoleDocument,
    SiteDocument,
    Target,
)
from rackwright_proposals.entries import BUILT_IN, Nouns, read_entry
from rackwright_proposals.marks import Map, Problems, Seq, origin_of
from rackwright_proposals.merge import Branch, layer
from rackwright_proposals.names import nearest, suggest
from rackwright_proposals.reach import read_reach
from rackwright_proposals.rollout_reader import read_rollout
from rackwright_proposals.schemas import check_schemas
from rackwright_proposals.shape import (
    as_list,
    as_map,
    as_text,
    as_texts,
    check_keys,
    name_of,
    typename,
)

NODE_KEYS = ("node", "type", "platform", "reach", "links", "in", "offers", "attributes")
SITE_KEYS = ("site", "attributes", "defaults", "handoff_deadline", "lease")
ROLE_KEYS = ("role", "description", "for", "attributes", "defaults", "resources")
PROPOSAL_KEYS = ("proposal", "attributes", "deploy", "rollout")


TAKEN = {
    "secrets": "agents keep their secrets under that name beside their nodes' directories",
    "store": "a store keeps its data under that name beside the nodes' directories",
}
"""Names that nodes cannot have, with the reason."""


def read_documents(
    loaded: Iterable[Map],
    nouns: Nouns,
    commit: str,
    problems: Problems,
    *,
    library: bool = False,
    before: Documents | None = None,
) -> Documents:
    """All documents by kind and name; the first of two of one name stays.

    What ``before`` (without a problem) was read from the same maps is taken from there."""
    known = before.written if before else {}
    documents = Documents()
    for document in loaded:
        kind = next(iter(document))
        if kind not in KINDS:
            _note_unknown_kind(document, kind, problems)
            continue
        name = name_of(kind, document, problems)
        same = documents.of(kind)
        if name in same:
            problems.add(
                f"{kind} {name!r} is declared twice, first at {same[name].mark}", document.mark
            )
            continue
        if not name:
            # It is read all the same, so that its other errors are told too.
            _read(kind, "?", document, nouns, commit, problems, library)
            continue
        if before and known.get((kind, name)) is document:
            same[name] = before.of(kind)[name]
        else:
            same[name] = _read(kind, name, document, nouns, commit, problems, library)
        documents.written[kind, name] = document
    return documents


def _note_unknown_kind(document: Map, kind: str, problems: Problems) -> None:
    later = next((key for key in document if key in KINDS), "")
    if later and not nearest(kind, KINDS):
        hint = f"the kind comes first: put {later!r} before {kind!r}"
    else:
        hint = suggest(kind, KINDS)
    problems.add(f"there is no kind of document {kind!r}", document.key_at(kind), hint)


def _read(
    kind: str,
    name: str,
    document: Map,
    nouns: Nouns,
    commit: str,
    problems: Problems,
    library: bool,
) -> Any:
    if kind == "site":
        return _read_site(name, document, commit, problems)
    if kind == "node":
        return _read_node(name, document, commit, problems)
    if kind == "proposal":
        return _read_proposal(name, document, commit, problems)
    return _read_role(name, document, nouns, commit, problems, library)


def _read_site(name: str, document: Map, commit: str, problems: Problems) -> SiteDocument:
    of = f"site {name!r}"
    check_keys("a site", document, SITE_KEYS, problems)
    platforms: dict[str, str] = {}
    defaults = as_map(of, document, "defaults", problems)
    for kind in defaults:
        settings = as_map("defaults", defaults, kind, problems)
        check_keys("the default of a node type", settings, ("platform",), problems)
        if "platform" in settings:
            value = as_text("platform", settings["platform"], settings.at("platform"), problems)
            platforms[kind] = value
    return SiteDocument(
        name=name,
        mark=document.mark,
        attributes=_attributes(of, document, "attributes", commit, problems),
        platforms=platforms,
        handoff_deadline=_read_deadline(of, document, problems),
        lease=_read_lease(of, document, problems),
    )


def _read_deadline(of: str, document: Map, problems: Problems) -> float:
    value = document.get("handoff_deadline", HANDOFF_DEADLINE)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 1:
        return float(value)
    what = str(value) if isinstance(value, (int, float)) else typename(value)
    problems.add(
        f"handoff_deadline of {of} must be a number of seconds from 1 on, not {what}",
        document.at("handoff_deadline"),
        "e.g. handoff_deadline: 900",
    )
    return HANDOFF_DEADLINE


def _read_lease(of: str, document: Map, problems: Problems) -> float:
    value = document.get("lease", LEASE_SECONDS)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and SHORTEST_LEASE <= value <= LONGEST_LEASE:
        return float(value)
    what = str(value) if number else typename(value)
    problems.add(
        f"lease of {of} must be a number of seconds from {SHORTEST_LEASE:g} to {LONGEST_LEASE:g}, "
        f"not {what}",
        document.at("lease"),
        f"e.g. lease: {LEASE_SECONDS:g}",
    )
    return LEASE_SECONDS


def _read_node(name: str, document: Map, commit: str, problems: Problems) -> NodeDocument:
    of = f"node {name!r}"
    if name in TAKEN:
        problems.add(f"no node can be called {name!r}", document.mark, TAKEN[name])
    before = len(problems)
    labels = _read_labels(of, document, problems)
    links = _read_links(of, document, problems)
    within = _read_within(of, document, problems)
    placed = len(problems) == before
    kind = ""
    if "type" in document:
        kind = as_text(f"type of {of}", document["type"], document.at("type"), problems)
    else:
        close = nearest("type", labels)
        hint = f"did you mean 'type' by {close!r}?" if close else "e.g. type: server"
        problems.add(f"{of} has no type", document.mark, hint)
    platform = ""
    if "platform" in document:
        platform = as_text(
            f"platform of {of}", document["platform"], document.at("platform"), problems
        )
    ways, marks = read_reach(of, document, problems)
    offers = as_map(of, document, "offers", problems)
    check_keys("offers", offers, ("networks", "serial"), problems)
    return NodeDocument(
        name=name,
        mark=document.mark,
        attributes=_attributes(of, document, "attributes", commit, problems),
        type=kind,
        platform=platform,
        platform_mark=document.at("platform"),
        reach=ways,
        reach_marks=marks,
        reached="reach" in document,
        links=links,
        within=within,
        placed=placed,
        networks=as_texts("offers", offers, "networks", problems),
        serial=as_texts("offers", offers, "serial", problems),
        labels=labels,
    )


def _read_labels(of: str, document: Map, problems: Problems) -> dict[str, str]:
    labels: dict[str, str] = {}
    for key, value in document.items():
        if key in NODE_KEYS:
            continue
        close = nearest(key, [known for known in NODE_KEYS if len(known) > 2], cutoff=0.8)
        if isinstance(value, (Map, Seq)) or value is None:
            hint = f"did you mean {close!r}?" if close else "a label has a single value"
            problems.add(f"{of} has no {key!r}", document.key_at(key), hint)
        elif close and close not in document:
            problems.add(f"{of} has no {key!r}", document.key_at(key), f"did you mean {close!r}?")
        else:
            labels[key] = str(value).lower() if isinstance(value, bool) else str(value)
    return labels


def _read_links(of: str, document: Map, problems: Problems) -> tuple[LinkEnd, ...]:
    links = as_map(of, document, "links", problems)
    ends = []
    for port, value in links.items():
        mark, trust = links.at(port), False
        if isinstance(value, Map):
            written, trust = value, _trusted(port, value, problems)
            value, mark = written.get("to"), written.at("to")
            if value is None:
                problems.add(f"the link of {port} has no far end", mark, "write to: node:port")
                continue
        if not isinstance(value, str):
            problems.add(
                f"the link of {port} must be a text, not {typename(value)}",
                mark,
                'write it as "node:port"',
            )
            continue
        peer, colon, peer_port = value.partition(":")
        if peer and not colon and document.get("type") == "pdu":
            peer_port = f"{document.get('node')}/{port}"  # nobody has to name a power supply
        elif not peer or not peer_port:
            problems.add(f"{value!r} is not the far end of a link", mark, "write it as node:port")
            continue
        key = links.key_at(port)
        ends.append(LinkEnd(port, peer, peer_port, key, mark, "declared" if trust else ""))
    return tuple(ends)


def _trusted(port: str, written: Map, problems: Problems) -> bool:
    """Whether the long form of a link says `trust: declared`."""
    check_keys(f"the link of {port}", written, ("to", "trust"), problems)
    if "trust" not in written:
        return False
    trusted = bool(written["trust"] == "declared")
    if not trusted:
        message = f"trust of the link of {port} can only be declared, not {written['trust']!r}"
        hint = "leave it out to go by what the devices see"
        problems.add(message, written.at("trust"), hint)
    return trusted


def _read_within(of: str, document: Map, problems: Problems) -> Place | None:
    if "in" not in document:
        return None
    mark = document.at("in")
    text = as_text(f"in of {of}", document["in"], mark, problems)
    node, colon, slot = text.partition(":")
    if text and (not node or (colon and not slot)):
        problems.add(f"{text!r} is not a place", mark, "write in: NODE or in: NODE:SLOT")
        return None
    return Place(node, slot, mark) if text else None


def _read_role(
    name: str, document: Map, nouns: Nouns, commit: str, problems: Problems, library: bool
) -> RoleDocument:
    of = f"role {name!r}"
    check_keys("a role", document, ROLE_KEYS, problems)
    if "for" in document and document["for"] == []:
        problems.add(f"for of {of} is empty", document.at("for"), "leave it out to mean any type")
    attributes = as_map(of, document, "attributes", problems)
    schema = check_schemas(name, attributes, problems)
    for key in attributes:
        if key in BUILT_IN:
            problems.add(
                f"an attribute cannot be named {key!r}, which is built in", attributes.key_at(key)
            )
    description = document.get("description", "")
    if "description" in document:
        description = as_text(
            f"description of {of}", description, document.at("description"), problems
        )
    defaults = _attributes(of, document, "defaults", commit, problems, role=name)
    for key, kid in defaults.kids.items():
        if key not in schema:
            hint = suggest(key, list(schema), "it has")
            problems.add(f"{of} has no attribute {key!r} to give a default", kid.mark, hint)
    entries = as_list(of, document, "resources", problems)
    read = [
        read_entry(name, entry, entries.at(i), nouns, problems) for i, entry in enumerate(entries)
    ]
    return RoleDocument(
        name=name,
        mark=document.mark,
        attributes=defaults,
        types=as_texts(of, document, "for", problems),
        schema=schema,
        resources=tuple(entry for entry in read if entry),
        directory=str(PurePosixPath(document.mark.file).parent),
        description=description,
        library=library,
        complete=all(read),
    )


def _read_proposal(name: str, document: Map, commit: str, problems: Problems) -> ProposalDocument:
    of = f"proposal {name!r}"
    check_keys("a proposal", document, PROPOSAL_KEYS, problems)
    deploy = as_map(of, document, "deploy", problems)
    misspelt = any(
        nearest(key, PROPOSAL_KEYS) == "deploy" for key in document if key not in PROPOSAL_KEYS
    )
    if not deploy and not misspelt and isinstance(document.get("deploy", deploy), Map):
        problems.add(
            f"{of} deploys nothing",
            document.at("deploy"),
            "add deploy: {ROLE: [NODE, …]}; its attributes reach the nodes named there",
        )
    deployments = []
    for role in deploy:
        items = as_list("deploy", deploy, role, problems)
        if not items and isinstance(deploy[role], Seq):
            problems.add(f"role {role!r} is deployed nowhere", deploy.at(role))
        texts = [
            Target(text, items.at(i))
            for i, item in enumerate(items)
            if (text := as_text("a node or selector", item, items.at(i), problems))
        ]
        deployments.append(Deployment(role, deploy.key_at(role), tuple(texts)))
    return ProposalDocument(
        name=name,
        mark=document.mark,
        attributes=_attributes(of, document, "attributes", commit, problems, proposal=name),
        deploy=tuple(deployments),
        rollout=read_rollout(of, document, problems),
    )


def _attributes(
    of: str,
    document: Map,
    key: str,
    commit: str,
    problems: Problems,
    *,
    role: str = "",
    proposal: str = "",
) -> Branch:
    written = as_map(of, document, key, problems)
    mark = written.mark
    return layer(written, origin_of(mark, commit, role=role, proposal=proposal), problems)
