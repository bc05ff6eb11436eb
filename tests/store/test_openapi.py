"""The specification itself, and whatever schemathesis makes of it, against a real store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from .conformity import document
from .rack import Agent, Repository, Store, running

schema = schemathesis.openapi.from_dict(document())


@pytest.fixture(scope="module")
def rack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Agent]]:
    tmp_path = tmp_path_factory.mktemp("openapi")
    repo = Repository(tmp_path / "site")
    repo.site({"n": {"file/x": {}}})
    with running(repo.path, tmp_path / "data") as store:
        yield store, store.agent("n")["n"]


@schema.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_operation_answers_as_specified(case: Any, rack: tuple[Store, Agent]) -> None:
    store, agent = rack
    if case.path.startswith(("/v1/nodes/{node}/",)) and "agent" in case.operation.definition.raw["tags"]:  # fmt: skip
        case.path_parameters = {**(case.path_parameters or {}), "node": "n"}
    if case.path.endswith("/retire"):
        case.path_parameters = {"node": "gone"}  # our agent stays enrolled
    if case.path == "/v1/wait" and isinstance(case.body, dict):
        case.body["timeout"] = 0
    admin = "admin" in case.operation.definition.raw["tags"]
    credential = store.admin_credential if admin else agent.credential
    case.call_and_validate(
        base_url=store.url,
        headers={**(case.headers or {}), "Authorization": f"Bearer {credential}"},
        checks=[
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_headers_conformance,
            response_schema_conformance,
        ],
    )


def test_the_store_serves_its_specification(rack: tuple[Store, Agent]) -> None:
    import requests

    store, _ = rack
    with requests.Session() as session:
        answer = session.request("GET", f"{store.url}/v1/openapi.json", timeout=20)
    assert answer.json() == document()


def test_every_route_is_in_the_specification_and_the_other_way_round() -> None:
    from rackwright_store.app import build

    class Nothing:
        """Stands for a service that nobody asks."""

        def __getattr__(self, name: str) -> Nothing:
            return self

    app = build(Nothing())  # type: ignore[arg-type]
    routes = {
        (method, route.path.replace("{path:path}", "{path}"))
        for route in app.routes
        for method in route.methods or ()  # type: ignore[attr-defined]
        if method != "HEAD"
    }
    said = {
        (method.upper(), path)
        for path, item in document()["paths"].items()
        for method in item
        if method in ("get", "put", "post", "delete", "patch")
    }
    assert routes == said
