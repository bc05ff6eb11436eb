"""Holds every answer that a test gets against the specification."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from rackwright_store.app import specification


@cache
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(specification())
    return found


@cache
def _paths() -> list[tuple[re.Pattern[str], str]]:
    found = []
    # The longest literal text first, so that /v1/nodes/{node}/bundle is not taken for a node.
    for template in sorted(document()["paths"], key=lambda t: (-t.count("/"), "{" in t)):
        pattern = re.escape(template).replace(r"\{path\}", ".+")
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", pattern)
        found.append((re.compile(pattern, re.DOTALL), template))
    return found


def operation(method: str, path: str) -> dict[str, Any] | None:
    for pattern, template in _paths():
        if pattern.fullmatch(path):
            found: dict[str, Any] | None = document()["paths"][template].get(method.lower())
            return found
    return None


def check(method: str, path: str, status: int, body: bytes, content_type: str) -> None:
    """Assert that the specification has this answer."""
    known = operation(method, path)
    if known is None:
        assert status in (404, 405), f"{method} {path} is not in the specification: {status}"
        assert set(json.loads(body)) == {"error", "hint"}
        return
    assert str(status) in known["responses"], f"{method} {path} may not answer {status}: {body!r}"
    answer = _resolved(known["responses"][str(status)])
    if "content" not in answer:
        assert not body, f"{method} {path} {status} has a body"
        return
    assert content_type == "application/json"
    schema = answer["content"]["application/json"]["schema"]
    _validator(json.dumps(schema)).validate(json.loads(body))


@cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator({**json.loads(schema), "components": document()["components"]})


def _resolved(found: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in found:
        name = found["$ref"].rpartition("/")[2]
        answer: dict[str, Any] = document()["components"]["responses"][name]
        return answer
    return found
