"""The copy of a node's ledger that its source has, for whoever converges the node next."""

from __future__ import annotations

from rackwright.engine.ledger import Ledger, LedgerCopy, LedgerFile, encode
from rackwright.model.errors import NotAsked, RackwrightError, Temporary
from rackwright.source import Source


class LedgerMirror:
    """What is known of the copy."""

    def __init__(self) -> None:
        self.behind = True
        """It may lack something: an agent that was killed did not send it all."""
        self.tried = False
        """In this run."""
        self._body = b""
        """As the source has it, as far as is known."""
        self._owned: frozenset[tuple[str, bool]] | None = None
        """Of that: what is managed, and whether we made it. None: nothing is known of it."""

    def begin(self) -> None:
        """A tenure begins: somebody else may have replaced it."""
        self.behind, self._body, self._owned = True, b"", None

    def send(self, ledger: Ledger, source: Source, *, leased: bool) -> RackwrightError | None:
        """Bring it up to date, or say why that must be made up for later. Raises NotAsked under a lease
        (``leased``) that is another's by now, and where whoever holds the next one would not know what
        this one is about to make. What is owned already may be mended meanwhile."""
        body = encode(ledger)
        if body == self._body:
            return None
        self.tried, self.behind = True, True
        try:
            source.mirror(ledger)
        except RackwrightError as error:
            owned = _owned(ledger)
            news = self._owned is None or not owned <= self._owned
            # The store may have taken it all the same: it has this one or the one before.
            self._body = b""
            if self._owned is not None:
                self._owned &= owned
            if leased and (news or not isinstance(error, Temporary)):
                why = f"the store does not take the ledger, so nothing is sent: {error}"
                raise NotAsked(why) from error
            return error
        self._body, self._owned, self.behind = body, _owned(ledger), False
        return None


def take_over(source: Source, file: LedgerFile, *, why_run: bool) -> LedgerFile:
    """A node that was converged from elsewhere before: its ledger comes along."""
    # When that cannot be told, the run ends: with an empty ledger all that we made would be taken
    # for what was there before us, and the copy would be lost too.
    ledger = source.mirrored()
    if ledger is None:
        return file
    if why_run:
        return LedgerCopy(ledger)
    file.store(ledger)
    return file


def _owned(ledger: Ledger) -> frozenset[tuple[str, bool]]:
    return frozenset((address, entry.made) for address, entry in ledger.entries.items())
