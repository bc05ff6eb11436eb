"""The table of docs/platforms.md, made from the providers and from what tests say that they prove.

A cell is one platform's resource over one transport. What it was proven on comes from
``@pytest.mark.proves(platform, *nouns, over=…, on=…, by=…)`` on tests and from the rigs of the
conformance suite (``PROVEN`` of ``tests/conformance/rigs/PLATFORM.py``). ``python -m
tests.docs.platform_table`` writes it; a test holds the page against it.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rackwright.provider import AnyProvider, Registry
from tests.conformance.platforms import cases, over, rigs
from tests.conformance.rig import fields

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "platforms.md"
BEGIN, END = "<!-- table: made by `make docs` -->\n", "<!-- end of table -->\n"
KINDS = ("real", "recorded", "stand-in", "simulator")
"""Of proof, the best first."""
HEADINGS = {"ssh": "SSH", "snmp": "SNMP", "http": "HTTPS", "ipmi": "IPMI"}


class Proof(NamedTuple):
    """What one test or rig proves."""

    platform: str
    noun: str
    over: str
    on: str
    by: str


class WrongMark(Exception):
    """A mark that proves nothing; the text says where and why."""


def marked(tests: Path = ROOT / "tests") -> Iterator[Proof]:
    """The proofs of all ``pytest.mark.proves`` under ``tests``, which need not be imported for it."""
    for path in sorted(tests.rglob("test_*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.proves":
                try:
                    platform, *nouns = [ast.literal_eval(word) for word in call.args]
                    said = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
                    over, on, by = said["over"], said["on"], said["by"]
                except (ValueError, KeyError) as error:
                    raise WrongMark(f"{path}:{call.lineno}: {error!r}") from None
                if on not in KINDS or not nouns:
                    raise WrongMark(f"{path}:{call.lineno}: {ast.unparse(call)}")
                for noun in nouns:
                    yield Proof(platform, noun, over, on, by)


def rigged() -> Iterator[Proof]:
    """The proofs of the conformance suite."""
    for platform, case in cases().items():
        provider = Registry.installed().provider(platform)
        nouns = dict.fromkeys(noun for noun, _ in fields(case.declare))
        for kind, proven in proven_by(platform).items():
            assert kind in rigs(platform), f"{platform} has no rig {kind!r}"
            on, _, by = proven.partition(": ")
            for transport in over(platform, kind, provider.transports):
                for noun in nouns:
                    yield Proof(platform, noun, transport, on, by)


def proven_by(platform: str) -> dict[str, str]:
    """By kind of rig: ``simulator``, or ``real: tgtd``."""
    try:
        module = importlib.import_module(f"tests.conformance.rigs.{platform}")
    except ModuleNotFoundError:
        return dict.fromkeys(rigs(platform), "simulator")
    found: dict[str, str] = module.PROVEN
    return found


def table() -> str:
    """Markdown."""
    registry = Registry.installed()
    proofs = {*marked(), *rigged()}
    known = set(registry.platforms)
    lost = sorted({proof.platform for proof in proofs} - known)
    if lost:
        raise WrongMark(f"proofs of platforms that do not exist: {', '.join(lost)}")
    lines = ["| type | platform | resources | over | proven on |", "|---|---|---|---|---|"]
    for kind, platform in sorted((_type(registry, name), name) for name in known - {"auto"}):
        provider = registry.provider(platform)
        for transport in sorted(provider.transports):
            lines += _rows(kind, platform, provider, transport, proofs)
    return "\n".join(lines) + "\n"


def _type(registry: Registry, platform: str) -> str:
    """The type of node: the package that the platform's first noun is from."""
    module = next(iter(registry.provider(platform).resources)).__module__
    return module.split(".")[1]


def _rows(
    kind: str, platform: str, provider: AnyProvider, over: str, proofs: set[Proof]
) -> Iterator[str]:
    """One row for all nouns that were proven on the same."""
    by_proof: dict[str, list[str]] = {}
    for noun in sorted(noun.kind for noun in provider.resources):
        cell = _cell({p for p in proofs if (p.platform, p.noun, p.over) == (platform, noun, over)})
        by_proof.setdefault(cell, []).append(noun)
    for cell, nouns in by_proof.items():
        heading = HEADINGS.get(over, over)
        yield f"| {kind} | `{platform}` | {', '.join(nouns)} | {heading} | {cell} |"


def _cell(proofs: set[Proof]) -> str:
    said = {
        kind: "; ".join(sorted({proof.by for proof in proofs if proof.on == kind and proof.by}))
        for kind in KINDS
        if any(proof.on == kind for proof in proofs)
    }
    if not said:
        return "the vendor's manual only"
    words = [f"**real**: {said['real']}"] if "real" in said else []
    words += [f"recorded: {said['recorded']}"] if "recorded" in said else []
    words += [f"a stand-in that {said['stand-in']}"] if "stand-in" in said else []
    if "real" not in said and "simulator" in said:
        words.append("our simulator")
    return "; ".join(words)


def page(text: str, made: str) -> str:
    """``text`` of the page with its table replaced."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise WrongMark(f"{PAGE} has no place for the table")
    return f"{head}{BEGIN}{made}{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(), table()))
