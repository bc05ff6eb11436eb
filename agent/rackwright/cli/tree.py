"""A site's tree as a source of bundles, for agents and delegates that run without a store."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rackwright.cli.neighbours import Neighbours
from rackwright.cli.stamp import Kept, Stamp, look, recall, remember
from rackwright.engine.ledger import Ledger
from rackwright.model.bundle import Bundle, Gates
from rackwright.model.errors import InputError, Problem
from rackwright.model.facts import Facts
from rackwright.model.report import Report
from rackwright.provider import Registry

if TYPE_CHECKING:
    from rackwright_proposals.compile import Compiled
    from rackwright_proposals.evidence import Found, LinkState

LOOKED = 1.0
"""Seconds for which one look at the site's files serves all nodes of this process."""


class Tree:
    """One site on disk, compiled when it changed; shared by all nodes of this process."""

    def __init__(self, path: Path, registry: Registry, state: Path) -> None:
        if not path.is_dir():
            hint = "give a site's directory; `rackwright init DIR` makes a new one"
            raise InputError([Problem("there is no such directory", hint, str(path))])
        self.path, self._registry, self.state = path, registry, state
        self.neighbours = Neighbours(state)
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._now = Stamp("", "")
        """What the last look at the files gave."""
        self._kept: dict[str, Kept] = {}
        """What lies in the state directory under `_now`."""
        self._facts: dict[str, Facts] = {}
        """Sent, and not rendered with yet."""
        self._sent = False
        """Facts were sent since the last look, so `_now` does not say what bundles are made of."""
        self._compiled: Compiled | None = None
        self._judged: tuple[Compiled, tuple[LinkState, ...]] | None = None
        """The links, as told from the facts that went into that one."""
        self._site = ""
        """The site's stamp under which `_compiled` was made."""
        self._stale = False
        """The last look found something new for `_compiled`."""

    def compiled(self) -> Compiled:
        """The site with all facts known under the state directory, problems and all."""
        with self._lock:
            self._look()
            return self._up_to_date()

    def checked(self) -> Compiled:
        """The same. Raises InputError with every problem when there are any."""
        return _sound(self.compiled())

    def bundle(self, node: str) -> Bundle:
        """One node's bundle. Raises InputError when the site is wrong or has no such node."""
        with self._lock:
            self._look()
            kept = None if self._sent else self._recall(node)
            if kept is not None:
                return kept.bundle
            bundles = _sound(self._up_to_date()).bundles
            if node not in bundles:
                import difflib

                near = difflib.get_close_matches(node, bundles, 1)
                known = f"nodes: {', '.join(sorted(bundles))}"
                hint = f"did you mean {near[0]}?" if near else known
                raise InputError([Problem(f"the site has no node {node!r}", hint, str(self.path))])
            if not self._sent:
                now = Kept(self._now, bundles[node], self._contradicted(node))
                remember(self._file(node), now)
                self._kept[node] = now
            return bundles[node]

    def links(self) -> tuple[LinkState, ...]:
        """The links of the site, held against the facts known under the state directory. Raises
        InputError when the site is wrong."""
        with self._lock:
            self._look()
            return self._links()

    def contradicted(self, node: str) -> dict[str, str]:
        """The node's ports at which somebody else is seen than the site says, and why that is so."""
        with self._lock:
            self._look()
            kept = None if self._sent else self._recall(node)
            return kept.contradicted if kept is not None else self._contradicted(node)

    def _contradicted(self, node: str) -> dict[str, str]:
        from rackwright_proposals.evidence import contradicted

        return contradicted(self._links()).get(node, {})

    def _links(self) -> tuple[LinkState, ...]:
        from rackwright.model.resource import Resource
        from rackwright_proposals.evidence import judge

        compiled = _sound(self._up_to_date())
        if self._judged is None or self._judged[0] is not compiled:
            spelling = self._registry.nouns().get("port", Resource).spelling
            links = judge(compiled.bundles, found_under(self.state), spelling)
            self._judged = (compiled, links)
        return self._judged[1]

    def send_facts(self, node: str, facts: Facts) -> None:
        """Render with ``facts``, which lie in the node's state directory, from now on."""
        with self._lock:
            self._facts[node] = facts
            self._sent = True

    def _look(self) -> None:
        if time.monotonic() - self._looked < LOOKED:
            return
        now = look(self.path, self.state)
        if now != self._now or not now.settled:
            self._stale = True
            self._kept.clear()
        self._now, self._sent = now, False
        self._looked = time.monotonic()

    def _recall(self, node: str) -> Kept | None:
        kept = self._kept.get(node) or recall(self._file(node), self._now)
        if kept is not None:
            self._kept[node] = kept
        return kept

    def _file(self, node: str) -> Path:
        return self.state / node / "site-bundle.json"

    def _up_to_date(self) -> Compiled:
        from rackwright_proposals.compile import recompile

        old, same_site = self._compiled, bool(self._site) and self._site == self._now.site
        if old is None or (self._stale and not same_site):
            made, self._site = self._compile(), self._now.site
        elif self._stale:
            made = recompile(old, _facts_under(self.state))
        elif self._facts:
            made = recompile(old, self._facts)
        else:
            made = old
        self._stale = False
        self._facts = {}
        self._compiled = made
        return made

    def _compile(self) -> Compiled:
        from rackwright_proposals.compile import compile_site
        from rackwright_proposals.tree import Source, read_tree

        files = read_tree(self.path).files
        source = Source(files, commit_of(self.path) or _hash(files))
        facts = _facts_under(self.state)
        return compile_site(source, self._registry.nouns(), facts, self._registry.platforms)


class TreeSource:
    """One node of a `Tree`. Other nodes' verified resources are read from their state directories
    beside this node's, so that a need is met when its node was converged with the same ``--state``."""

    collects = False

    def __init__(self, tree: Tree, node: str) -> None:
        self._tree, self._node = tree, node
        self._last: Bundle | None = None

    def send_facts(self, facts: Facts) -> None:
        self._tree.send_facts(self._node, facts)

    def bundle(self) -> Bundle:
        self._last = self._tree.bundle(self._node)
        return self._last

    def gates(self) -> Gates:
        gates = self._tree.neighbours.gates(self._node, self._last or self.bundle())
        contradicted = self._tree.contradicted(self._node)
        return msgspec.structs.replace(gates, contradicted=contradicted) if contradicted else gates

    def deliver(self, report: Report) -> None:
        """Nowhere to go: the state directory's ledger and facts are all that is kept."""

    def mirror(self, ledger: Ledger) -> None:
        """The ledger on disk is the only one; the nodes of this process hear of it."""
        self._tree.neighbours.note(self._node, ledger)

    def mirrored(self) -> Ledger | None:
        return None


def _sound(compiled: Compiled) -> Compiled:
    if compiled.problems:
        raise InputError(compiled.problems)
    return compiled


def _facts_under(state: Path) -> dict[str, Facts]:
    return {node: found.facts for node, found in found_under(state).items()}


def found_under(state: Path) -> dict[str, Found]:
    """The facts of all nodes that have converged with this state directory, and their times."""
    from rackwright_proposals.evidence import Found

    found: dict[str, Found] = {}
    for path in state.glob("*/facts.json"):
        try:
            found[path.parent.name] = msgspec.json.decode(path.read_bytes(), type=Found)
        except (OSError, msgspec.DecodeError):
            continue
    return found


def commit_of(path: Path) -> str:
    """The commit that a site's tree stands at; empty when it is not in git."""
    import subprocess  # a run of an unchanged site starts nothing

    try:
        done = subprocess.run(
            ["git", "-C", str(path), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _hash(files: Any) -> str:
    import hashlib

    total = hashlib.sha256()
    for name in sorted(files):
        total.update(name.encode() + b"\0" + files[name] + b"\0")
    return "tree-" + total.hexdigest()[:12]
