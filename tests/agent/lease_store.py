"""The store's side of leases, as small as the rules allow, on a clock that the test turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rackwright.model.errors import RackwrightError
from rackwright.model.lease import GRACE, Leases, Refused


@dataclass
class Grant:
    epoch: int = 0
    subject: str = ""
    instance: str = ""
    process: str = ""
    ends: float = 0.0


@dataclass
class LeaseStore:
    """Grants leases; the credential is the subject's name."""

    clock: Callable[[], float]
    ttl: float = 15.0
    grants: dict[str, Grant] = field(default_factory=dict)
    asked: list[tuple[dict[str, tuple[str, int]], dict[str, int]]] = field(default_factory=list)
    away: RackwrightError | None = None
    leaving: dict[str, str] = field(default_factory=dict)
    """Node → where it is to go."""

    def leases(
        self,
        credential: str,
        process: str,
        want: Mapping[str, tuple[str, int]],
        release: Mapping[str, int],
    ) -> Leases:
        if self.away is not None:
            raise self.away
        self.asked.append((dict(want), dict(release)))
        now = self.clock()
        for node, epoch in release.items():
            grant = self.grants.get(node, Grant())
            if (grant.epoch, grant.process) == (epoch, process):
                grant.subject = ""
        held: dict[str, int] = {}
        refused: dict[str, Refused] = {}
        for node, (instance, epoch) in want.items():
            grant = self.grants.setdefault(node, Grant())
            same = (grant.subject, grant.instance) == (credential, instance)
            if grant.subject and now < grant.ends and same:
                grant.process = process
            elif node in self.leaving:
                refused[node] = Refused(why=self.leaving[node], retry=0.1)
                continue
            elif not grant.subject or now >= grant.ends + GRACE or (same and now >= grant.ends):
                grant.epoch = max(grant.epoch, epoch) + 1
                grant.subject, grant.instance, grant.process = credential, instance, process
            else:
                retry = grant.ends + GRACE - now
                why = f"{grant.subject} converges it (epoch {grant.epoch})"
                refused[node] = Refused(why=why, by=grant.subject, retry=retry)
                continue
            grant.ends = now + self.ttl
            held[node] = grant.epoch
        leaving = {node: why for node, why in self.leaving.items() if node in held}
        return Leases(ttl=self.ttl, held=held, refused=refused, leaving=leaving)
