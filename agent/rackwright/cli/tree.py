"""A site's tree as a source of bundles, for agents and delegates that run without a store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rackwright.cli.last_run import note_run
from rackwright.cli.neighbours import Neighbours
from rackwright.cli.placed import ROLE, with_placed
from rackwright.cli.stamp import Kept, Stamp, look, recall, remember
from rackwright.engine.ledger import Ledger, LedgerFile
from rackwright.model import typed
from rackwright.model.bundle import Bundle, Gates
from rackwright.model.errors import InputError, Problem
from rackwright.model.facts import Facts
from rackwright.model.report import Report
from rackwright.provider import Registry

if TYPE_CHECKING:
    from rackwright.cli.rolling import Turns
    from rackwright_proposals.compile import Compiled
    from rackwright_proposals.evidence import Found, LinkState
    from rackwright_proposals.paths import Paths
    from rackwright_proposals.redundancy import Groups

LOOKED = 1.0
"""Seconds for which one look at the site's files serves all nodes of this process."""


class Tree:
    """One site on disk, compiled when it changed; shared by all nodes of this process."""

    def __init__(self, path: Path, registry: Registry, state: Path) -> None:
        _require_directory(path)
        self.path, self._registry, self.state = path, registry, state
        self.neighbours = Neighbours(state)
        self._turns: Turns | None = None
        """None until a rollout is met: most sites have none."""
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
        self._judged: tuple[Compiled, tuple[LinkState, ...], Paths] | None = None
        """The links and the paths over them, as told from the facts that went into that one."""
        self._groups: tuple[Mapping[str, Bundle], Groups] | None = None
        """What is redundant in these."""
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
                self._expect(kept.rollouts)
                return kept.bundle
            compiled = _sound(self._up_to_date())
            bundles, names = compiled.bundles, tuple(compiled.rollouts)
            self._expect(names)
            if node not in bundles:
                raise no_such_node(node, bundles, self.path)
            if not self._sent:
                now = self._keep(node)
                remember(self._file(node), now)
                self._kept[node] = now
            return bundles[node]

    def _keep(self, node: str) -> Kept:
        from rackwright.cli.beside import Beside, beside
        from rackwright_proposals.evidence import contradicted
        from rackwright_proposals.redundancy import Groups, groups_of

        compiled = _sound(self._up_to_date())
        bundles = compiled.bundles
        links, paths = self._led()
        if self._groups is None or self._groups[0] is not bundles:
            found = Groups(groups_of({name: item.node for name, item in bundles.items()}))
            self._groups = (bundles, found)
        near = beside(node, bundles, self._groups[1], self._spelling())
        return Kept(
            self._now,
            bundles[node],
            contradicted(links).get(node, {}),
            dict(paths.get(node, {})),
            msgspec.Raw(b"null" if near == Beside() else msgspec.json.encode(near)),
            tuple(compiled.rollouts),
        )

    def links(self) -> tuple[LinkState, ...]:
        """The links of the site, held against the facts known under the state directory. Raises
        InputError when the site is wrong."""
        with self._lock:
            self._look()
            return self._links()

    def gates(self, node: str, known: Gates) -> Gates:
        """``known`` with what the links of ``node`` say: what is contradicted there, the paths over it,
        whose turn it is, and the last live feeds."""
        with self._lock:
            self._look()
            kept = None if self._sent else self._recall(node)
            if kept is None:
                kept = self._keep(node)
        gates = msgspec.structs.replace(known, contradicted=kept.contradicted, paths=kept.paths)
        if bytes(kept.beside) == b"null":
            return gates
        from rackwright.cli.beside import Beside, gates_beside

        near = typed.decode(kept.beside, Beside)
        return gates_beside(node, near, self.state, gates)

    def _links(self) -> tuple[LinkState, ...]:
        return self._led()[0]

    def _led(self) -> tuple[tuple[LinkState, ...], Paths]:
        """The links, and the paths over them."""
        from rackwright_proposals.evidence import judge
        from rackwright_proposals.paths import paths_of

        compiled = _sound(self._up_to_date())
        if self._judged is None or self._judged[0] is not compiled:
            spelling = self._spelling()
            found = found_under(self.state)
            links = judge(compiled.bundles, found, spelling)
            paths = paths_of(compiled.bundles, links, found, spelling)
            self._judged = (compiled, links, paths)
        return self._judged[1:]

    def _spelling(self) -> Callable[[str], str]:
        """What gives the one name of a switch's port."""
        from rackwright.model.resource import Resource

        return self._registry.nouns().get("port", Resource).spelling

    def later(self, node: str, bundle: Bundle) -> dict[str, str]:
        """What of ``bundle`` waits for its turn in a rollout, as in `Gates.later`."""
        with self._lock:
            self._look()
            kept = None if self._sent else self._recall(node)
            names = kept.rollouts if kept else tuple(_sound(self._up_to_date()).rollouts)
            turns = self._expect(names)
            if turns is None or turns.settled(node, bundle, names):
                return {}
            compiled = _sound(self._up_to_date())
            return turns.later(node, compiled.bundles, compiled.rollouts)

    def rollouts(self) -> list[dict[str, Any]]:
        """Every rollout and where it stands. Raises InputError when the site is wrong."""
        from rackwright_store.rollouts import rollouts_data

        with self._lock:
            self._look()
            compiled = _sound(self._up_to_date())
            turns = self._expect(compiled.rollouts)
            if turns is None:
                return []
            return rollouts_data(turns.rolling(compiled.bundles, compiled.rollouts))

    def note_report(self, report: Report) -> None:
        """A run of this process came to its end."""
        with self._lock:
            turns = self._turns
        if turns is not None:
            turns.note_report(report)

    def note_ledger(self, node: str, ledger: Ledger) -> None:
        """``node`` has this ledger now."""
        self.neighbours.note(node, ledger)
        with self._lock:
            turns = self._turns
        if turns is not None:
            turns.note_ledger(node, ledger)

    def _expect(self, rollouts: Collection[str]) -> Turns | None:
        """What looks after ``rollouts``; None while there is nothing to look after."""
        if rollouts and self._turns is None:
            from rackwright.cli.rolling import Turns

            self._turns = Turns(self.state)
        return self._turns

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
        return compile_tree(self.path, self._registry, _facts_under(self.state))


def compile_tree(path: Path, registry: Registry, facts: Mapping[str, Facts]) -> Compiled:
    """The site at ``path`` with ``facts``, problems and all. Raises InputError when there is no such
    directory."""
    from rackwright_proposals.compile import compile_site
    from rackwright_proposals.tree import Source, read_tree

    _require_directory(path)
    files = read_tree(path).files
    source = Source(files, commit_of(path) or _hash(files))
    return compile_site(source, registry.nouns(), facts, registry.platforms)


def no_such_node(node: str, known: Collection[str], path: Path) -> InputError:
    """What to raise where the site at ``path`` has only ``known``."""
    import difflib

    near = difflib.get_close_matches(node, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"nodes: {', '.join(sorted(known))}"
    return InputError([Problem(f"the site has no node {node!r}", hint, str(path))])


def _require_directory(path: Path) -> None:
    if not path.is_dir():
        hint = "give a site's directory; `rackwright init DIR` makes a new one"
        raise InputError([Problem("there is no such directory", hint, str(path))])


class TreeSource:
    """One node of a `Tree`. Other nodes' verified resources are read from their state directories
    beside this node's, so that a need is met when its node was converged with the same ``--state``."""

    collects = False
    epoch = 0

    def __init__(self, tree: Tree, node: str) -> None:
        self._tree, self._node = tree, node
        self._last: Bundle | None = None

    def forget(self) -> None:
        """Without a store there is no lease, and nobody else."""

    def send_facts(self, facts: Facts) -> None:
        self._tree.send_facts(self._node, facts)

    def bundle(self) -> Bundle:
        bundle = self._tree.bundle(self._node)
        if ROLE in bundle.roles:
            ledger = LedgerFile(self._tree.state / self._node / "ledger.json").load()
            bundle = with_placed(bundle, ledger)
        self._last = bundle
        return bundle

    def gates(self) -> Gates:
        gates = self._tree.neighbours.gates(self._node, self._last or self.bundle())
        gates = self._tree.gates(self._node, gates)
        later = self._tree.later(self._node, self._last or self.bundle())
        return msgspec.structs.replace(gates, later=later) if later else gates

    def deliver(self, report: Report) -> None:
        """Nowhere to go but the state directory, where rollouts and the nodes beside look for it."""
        note_run(self._tree.state / self._node, report)
        self._tree.note_report(report)

    def mirror(self, ledger: Ledger) -> None:
        """The ledger on disk is the only one; the nodes of this process hear of it."""
        self._tree.note_ledger(self._node, ledger)

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
            found[path.parent.name] = typed.decode(path.read_bytes(), Found)
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
