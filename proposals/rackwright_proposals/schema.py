"""JSON Schema (2020-12) of a site's documents, for editors that check YAML while it is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from rackwright.model.lease import LONGEST_LEASE, SHORTEST_LEASE
from rackwright.model.resource import Resource, secret_fields
from rackwright.model.site import TRANSPORTS
from rackwright_proposals.entries import META
from rackwright_proposals.properties import alias_of
from rackwright_proposals.shape import NAME

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]

_NAME: Schema = {"type": "string", "pattern": f"^{NAME.pattern}$"}
_TEXTS: Schema = {"type": "array", "items": {"type": "string"}}
_SECRET: Schema = {
    "type": "object",
    "properties": {"secret": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$"}},
    "required": ["secret"],
    "additionalProperties": False,
}
_EXPRESSION: Schema = {"type": "string", "pattern": r"\{\{|\{%"}
_EXPRESSIONS: Schema = {"type": "array", "contains": _EXPRESSION}
_ATTRIBUTES: Schema = {"type": "object"}
_FAR_END: Schema = {"type": "string", "pattern": "^[^:]+:.+$"}
_META: dict[str, Schema] = {
    "each": {
        "type": "string",
        "pattern": r"^\s*\w+(\s*,\s*\w+)*\s+in\s",
        "description": "NAME in EXPRESSION",
    },
    "when": {"type": ["string", "boolean"], "description": "an expression, without braces"},
    "on": {"type": "string", "description": "the node that it goes on: its name, or an expression"},
    "needs": {**_TEXTS, "description": "[node:]type/name of what must come first"},
    "notifies": {**_TEXTS, "description": "type/name of what restarts or reloads once, at the end"},
    "destroy": {"anyOf": [{"type": "boolean"}, _EXPRESSION], "description": "data may be lost"},
    "purge": {"type": "boolean", "description": "the type's undeclared rest is ours too"},
}


def site_schema(nouns: Mapping[str, type[Resource]]) -> Schema:
    """The schema of one document of a site; every document of a file is one."""
    definitions: dict[str, Any] = {}
    entries = [_entry(noun, definitions) for _, noun in sorted(nouns.items())]
    kinds = {"site": _site(), "node": _node(definitions), "role": _role(), "proposal": _proposal()}
    definitions["resource"] = {"anyOf": entries}
    definitions.update(kinds)
    return {
        "$schema": DIALECT,
        "title": "A document of a Rackwright site",
        "type": "object",
        "oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in kinds],
        "$defs": definitions,
    }


def _site() -> Schema:
    platform = {"type": "object", "properties": {"platform": _NAME}, "additionalProperties": False}
    return _document(
        "site",
        {
            "attributes": _ATTRIBUTES,
            "defaults": {
                "type": "object",
                "additionalProperties": platform,
                "description": "by node type",
            },
            "handoff_deadline": {
                "type": "number",
                "minimum": 1,
                "description": "seconds after which a wait for another node is overdue",
            },
            "lease": {
                "type": "number",
                "minimum": SHORTEST_LEASE,
                "maximum": LONGEST_LEASE,
                "description": "seconds for which a host may converge a managed node unrenewed",
            },
        },
    )


def _node(definitions: dict[str, Any]) -> Schema:
    offers = {
        "type": "object",
        "properties": {"networks": _TEXTS, "serial": _TEXTS},
        "additionalProperties": False,
    }
    ways = {"type": "array", "minItems": 1, "items": {"oneOf": _ways(definitions)}}
    schema = _document(
        "node",
        {
            "type": {"type": "string", "examples": ["server", "switch", "pdu", "chassis", "san"]},
            "platform": {"type": "string"},
            "reach": {**ways, "description": "best first; the next is tried when one fails"},
            "links": {
                "type": "object",
                "additionalProperties": {
                    "anyOf": [
                        _FAR_END,
                        {
                            "type": "object",
                            "properties": {"to": _FAR_END, "trust": {"const": "declared"}},
                            "required": ["to"],
                            "additionalProperties": False,
                        },
                    ]
                },
                "description": "port to node:port; trust: declared where what is seen is wrong",
            },
            "in": {"type": "string", "description": "NODE or NODE:SLOT that it is in"},
            "offers": offers,
            "attributes": _ATTRIBUTES,
        },
        required=["type"],
    )
    # Any further key is a label for selectors.
    schema["additionalProperties"] = {"type": ["string", "number", "boolean"]}
    return schema


def _ways(definitions: dict[str, Any]) -> list[Schema]:
    ways = []
    for name, kind in TRANSPORTS.items():
        (fields,), parts = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
        definitions.update(parts)
        options = definitions[fields["$ref"].rpartition("/")[2]]
        for key in secret_fields(cast("type[Resource]", kind)):
            options["properties"][key] = _SECRET
        ways.append(
            {
                "type": "object",
                "properties": {name: fields, "network": _NAME, "at": _NAME},
                "required": [name],
                "additionalProperties": False,
            }
        )
    return ways


def _role() -> Schema:
    return _document(
        "role",
        {
            "description": {"type": "string"},
            "for": {**_TEXTS, "minItems": 1, "description": "types of node; any without it"},
            "attributes": {"type": "object", "additionalProperties": {"$ref": DIALECT}},
            "defaults": _ATTRIBUTES,
            "resources": {"type": "array", "items": {"$ref": "#/$defs/resource"}},
        },
    )


def _proposal() -> Schema:
    targets = {**_TEXTS, "minItems": 1, "description": "names, globs, key=value,… or *"}
    deploy = {"type": "object", "minProperties": 1, "additionalProperties": targets}
    percent = {"type": "string", "pattern": "^(100|[1-9][0-9]?)%$"}
    rollout = {
        "type": "object",
        "properties": {
            "canary": {
                "anyOf": [{"type": "integer", "minimum": 0}, percent],
                "description": "nodes of the first wave",
            },
            "at_once": {
                "anyOf": [{"type": "integer", "minimum": 1}, percent],
                "description": "nodes of each further wave",
            },
            "stop_on": {
                "type": "integer",
                "minimum": 1,
                "description": "failed nodes at which no further wave goes",
            },
        },
        "anyOf": [{"required": ["canary"]}, {"required": ["at_once"]}],
        "additionalProperties": False,
        "description": "wave by wave, each when the last is verified",
    }
    return _document(
        "proposal",
        {
            "attributes": _ATTRIBUTES,
            "deploy": {**deploy, "description": "role to nodes"},
            "rollout": rollout,
        },
        required=["deploy"],
    )


def _document(
    kind: str, properties: dict[str, Schema], required: list[str] | None = None
) -> Schema:
    return {
        "type": "object",
        "properties": {kind: _NAME, **properties},
        "required": [kind, *(required or [])],
        "additionalProperties": False,
    }


def _entry(noun: type[Resource], definitions: dict[str, Any]) -> Schema:
    _, parts = msgspec.json.schema_components([noun], ref_template="#/$defs/{name}")
    own = parts.pop(noun.__name__)
    definitions.update(parts)
    fields = {name: schema for name, schema in own["properties"].items() if name != "name"}
    properties = {
        name: {"anyOf": [schema, _EXPRESSION, _SECRET, _EXPRESSIONS]}
        for name, schema in fields.items()
    }
    if alias := alias_of(noun):
        properties["name"] = properties[alias]
    identity = {"type": ["string", "integer"], "description": own.get("description", "")}
    return {
        "title": noun.kind,
        "type": "object",
        "properties": {noun.kind: identity, **properties, **{key: _META[key] for key in META}},
        "required": [noun.kind],
        "additionalProperties": False,
    }
