"""Sites for tests: files as text, compiled with the nouns of these tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rackwright.model.bundle import Declared
from rackwright.model.facts import Facts
from rackwright_proposals.compile import Compiled, compile_site
from rackwright_proposals.tree import Source
from tests.proposals.nouns import NOUNS, PLATFORMS
from tests.tables import table

HERE = Path(__file__).parent
BASE = (HERE / "base.yaml").read_text()


def compiled(
    files: Mapping[str, str] | str, commit: str = "c0ffee", facts: Mapping[str, Facts] | None = None
) -> Compiled:
    """Compile files, or one file."""
    files = {"site.yaml": files} if isinstance(files, str) else files
    source = Source({name: text.encode() for name, text in files.items()}, commit)
    return compile_site(source, NOUNS, facts, PLATFORMS)


def sound(
    files: Mapping[str, str] | str, commit: str = "c0ffee", facts: Mapping[str, Facts] | None = None
) -> Compiled:
    """The same, of a site without a problem."""
    made = compiled(files, commit, facts)
    assert not made.problems, "\n".join(map(str, made.problems))
    return made


def resources(site: Compiled, node: str) -> dict[str, Declared]:
    """What a node is told, by address."""
    return {str(item.address): item for item in site.bundles[node].resources}


def cases(name: str) -> list[dict[str, object]]:
    """A table of cases."""
    found: list[dict[str, object]] = table(HERE / name)
    return found
