"""A site's tree as a source of bundles, for agents and delegates that run without a store."""

from __future__ import annotations

import hashlib
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rackwright.cli.stamp import recall, remember, stamp
from rackwright.engine.ledger import Ledger
from rackwright.model.bundle import Bundle, Gates
from rackwright.model.errors import InputError, Problem
from rackwright.model.facts import Facts
from rackwright.model.report import Report
from rackwright.provider import Registry

if TYPE_CHECKING:
    from rackwright_proposals.compile import Compiled


class Tree:
    """One site on disk, compiled when it changed; shared by all nodes of this process."""

    def __init__(self, path: Path, registry: Registry, state: Path) -> None:
        self.path, self._registry, self.state = path, registry, state
        self._lock = threading.Lock()
        self._stamp = ""
        self._compiled: Compiled | None = None

    def compiled(self) -> Compiled:
        """The site with all facts known under the state directory, problems and all."""
        with self._lock:
            now = stamp(self.path, self.state)
            if self._compiled is None or now != self._stamp or not now:
                self._compiled, self._stamp = self._compile(), now
            return self._compiled

    def _compile(self) -> Compiled:
        from rackwright_proposals.compile import compile_site
        from rackwright_proposals.tree import Source, read_tree

        files = read_tree(self.path).files
        source = Source(files, commit_of(self.path) or _hash(files))
        facts = _facts_under(self.state)
        return compile_site(source, self._registry.nouns(), facts, self._registry.platforms)

    def checked(self) -> Compiled:
        """The same. Raises InputError with every problem when there are any."""
        compiled = self.compiled()
        if compiled.problems:
            raise InputError(compiled.problems)
        return compiled

    def bundle(self, node: str) -> Bundle:
        """One node's bundle. Raises InputError when the site is wrong or has no such node."""
        path, now = self.state / node / "site-bundle.json", stamp(self.path, self.state)
        kept = recall(path, now)
        if kept is not None:
            return kept
        bundles = self.checked().bundles
        if node not in bundles:
            import difflib

            near = difflib.get_close_matches(node, bundles, 1)
            hint = f"did you mean {near[0]}?" if near else f"nodes: {', '.join(sorted(bundles))}"
            raise InputError([Problem(f"the site has no node {node!r}", hint, str(self.path))])
        remember(path, now, bundles[node])
        return bundles[node]


class TreeSource:
    """One node of a `Tree`. Other nodes' verified resources are read from their state directories
    beside this node's, so that a need is met when its node was converged with the same ``--state``."""

    def __init__(self, tree: Tree, node: str) -> None:
        self._tree, self._node = tree, node
        self._last: Bundle | None = None

    def send_facts(self, facts: Facts) -> None:
        """They lie in the state directory, where the tree reads all nodes' facts."""

    def bundle(self) -> Bundle:
        self._last = self._tree.bundle(self._node)
        return self._last

    def gates(self) -> Gates:
        bundle = self._last or self.bundle()
        ledgers = _ledgers_under(self._tree.state)
        verified: dict[str, str] = {}
        for declared in bundle.resources:
            for need in declared.needs:
                node, colon, _ = need.address.partition("/")[0].partition(":")
                entries = ledgers[node].entries.values() if colon and node in ledgers else ()
                if any(entry.digest == need.digest and not entry.intent for entry in entries):
                    verified[need.address] = need.digest
        held: dict[str, list[str]] = {}
        for other, ledger in ledgers.items():
            for address, entry in ledger.entries.items():
                for rests_on in entry.needs if other != self._node else ():
                    owner, _, local = rests_on.partition(":")
                    if owner == self._node:
                        held.setdefault(local, []).append(f"{other}:{address}")
        return Gates(verified=verified, held={key: tuple(sorted(who)) for key, who in held.items()})

    def deliver(self, report: Report) -> None:
        """Nowhere to go: the state directory's ledger and facts are all that is kept."""

    def mirror(self, ledger: Ledger) -> None:
        """The ledger on disk is the only one."""

    def mirrored(self) -> Ledger | None:
        return None


def _facts_under(state: Path) -> dict[str, Facts]:
    class Found(msgspec.Struct):
        facts: Facts

    found: dict[str, Facts] = {}
    for path in state.glob("*/facts.json"):
        try:
            found[path.parent.name] = msgspec.json.decode(path.read_bytes(), type=Found).facts
        except (OSError, msgspec.DecodeError):
            continue
    return found


def _ledgers_under(state: Path) -> dict[str, Ledger]:
    found: dict[str, Ledger] = {}
    for path in state.glob("*/ledger.json"):
        try:
            found[path.parent.name] = msgspec.json.decode(path.read_bytes(), type=Ledger)
        except (OSError, msgspec.DecodeError):
            continue
    return found


def commit_of(path: Path) -> str:
    """The commit that a site's tree stands at; empty when it is not in git."""
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
    total = hashlib.sha256()
    for name in sorted(files):
        total.update(name.encode() + b"\0" + files[name] + b"\0")
    return "tree-" + total.hexdigest()[:12]
