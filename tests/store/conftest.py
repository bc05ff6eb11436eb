from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import requests

from rackwright_store import following

from .conformity import check
from .rack import Repository


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "site")


@pytest.fixture(autouse=True)
def conforming(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer that comes through requests is held against the specification."""
    send = requests.Session.request

    def checked(self: Any, method: str, url: str, *args: Any, **options: Any) -> Any:
        answer = send(self, method, url, *args, **options)
        path = unquote(urlsplit(answer.url).path)
        content_type = answer.headers.get("Content-Type", "")
        if path.startswith("/v1/") and method != "HEAD":
            check(method, path, answer.status_code, answer.content, content_type)
        return answer

    monkeypatch.setattr(requests.Session, "request", checked)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Local branches are looked at more often than a person would care for."""
    monkeypatch.setattr(following, "LOCAL_POLL", 0.25)
