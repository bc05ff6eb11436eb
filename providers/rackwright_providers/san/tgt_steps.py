"""The steps that change volumes, targets and accounts of a tgt host. Each reads what is there right
before it acts, acts only where that is not as it should be, and writes the target's file again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from rackwright.model.change import Step
from rackwright.model.errors import RackwrightError, Rejected
from rackwright_providers.san import tgt_conf
from rackwright_providers.san.tgt_session import BIND, DELETE, NEW, UNBIND, TgtWriter
from rackwright_providers.san.tgt_show import LiveTarget, State, shown_size


@dataclass(frozen=True, slots=True, kw_only=True)
class TgtStep(Step):
    """One step. ``apply`` does it; it raises Rejected or Temporary."""

    def apply(self, host: TgtWriter) -> None:
        """I/O."""
        raise AssertionError(f"{type(self).__name__} does not say how it is applied")


@dataclass(frozen=True, slots=True, kw_only=True)
class PutVolume(TgtStep):
    """Make the file, or make it larger or allocate all of it, and tell tgtd of its new size.

    Neither ``fallocate`` nor ``truncate --size='>N'`` ever makes a file smaller, and ``dd`` with
    ``conv=excl`` makes none where one is.
    """

    path: str
    size: int
    thin: bool
    new: bool
    grows: bool

    def apply(self, host: TgtWriter) -> None:
        host.pools |= {self.path.rpartition("/")[0]}
        if self.new:
            host.run("dd", "if=/dev/null", f"of={self.path}", "conv=excl", "status=none")
        try:
            if self.new:
                host.run("chmod", "600", self.path)
            host.run(*sizing(self.path, self.size, self.thin))
        except Rejected:
            if self.new:  # nobody has used it yet
                with contextlib.suppress(RackwrightError):
                    host.run("rm", "-f", "--", self.path)
            raise
        if not self.new:
            self._announce(host)

    def _announce(self, host: TgtWriter) -> None:
        """tgtd opens the file again, which no session notices; but a command that is being carried
        out at that instant could fail, so it waits until the LUN is idle."""
        for live in host.state().targets.values():
            lun = live.lun_of(self.path)
            # Shown in whole megabytes, the size tells too little of a file that grows now.
            if lun is None or not (self.grows or lun.size != shown_size(self.size)):
                continue
            host.wait_until_idle(live.tid, lun.number)
            host.tell(
                *lun_words("update", live, lun.number), "--params", f"online=0,path={self.path}"
            )


def sizing(path: str, size: int, thin: bool) -> tuple[str, ...]:
    """The command that makes the file at ``path`` at least ``size`` bytes."""
    if thin:
        return ("truncate", f"--size=>{size}", path)
    return ("fallocate", "--length", str(size), path)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveVolume(TgtStep):
    """Remove the file, when no target shows it and none will after a restart."""

    path: str

    def apply(self, host: TgtWriter) -> None:
        state = host.state()
        for live in state.targets.values():
            if live.lun_of(self.path):
                raise Rejected(f"target {live.iqn} shows {self.path}")
        for name in tgt_conf.users_of(state.files, self.path):
            raise Rejected(f"{name} names {self.path}")
        host.run("rm", "-f", "--", self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class PutTarget(TgtStep):
    """Make a target that lets nobody in, give it its account, close it to addresses, save it."""

    iqn: str
    chap: str | None

    def apply(self, host: TgtWriter) -> None:
        state = host.state()
        if not tgt_conf.included(state.files):
            raise Rejected(
                f"{tgt_conf.ROOT} does not say `include {tgt_conf.FOLDER}/*.conf`: "
                "what is made here would not outlive a restart of tgtd"
            )
        other = tgt_conf.elsewhere(state.files, self.iqn)
        if other:
            raise Rejected(f"{other} makes this target too: take it out there first")
        live = state.targets.get(self.iqn)
        if live is None:
            live = LiveTarget(state.next_tid, self.iqn)
            host.tell("new", "--mode", "target", *tid_words(live), "--targetname", self.iqn)
        self._bind(host, state, live)
        for address in live.addresses:
            if address != tgt_conf.NOBODY:
                host.tell(
                    "unbind", "--mode", "target", *tid_words(live), "--initiator-address", address
                )
        persist(host, self.iqn)

    def _bind(self, host: TgtWriter, state: State, live: LiveTarget) -> None:
        wanted = live.accounts
        if self.chap is not None:
            wanted = () if self.chap == "none" else (self.chap,)
        elif self.iqn not in state.targets:
            wanted = tgt_conf.saved_accounts(state.files.get(tgt_conf.path_of(self.iqn), ""))
        requests: list[tuple[int, int, str]] = []
        for name in wanted:
            if name not in state.accounts:
                raise Rejected(f"there is no CHAP account {name}: declare chap/{name}")
        if wanted != live.accounts:
            # The last one first: tgtd (seen in 1.0.85) ends when it has to show a target whose
            # first account was taken away and that has another, and somebody may ask meanwhile.
            requests += [(UNBIND, live.tid, f"user={name}") for name in reversed(live.accounts)]
            requests += [(BIND, live.tid, f"user={name}") for name in wanted]
        if requests:
            host.tell_accounts(requests)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveTarget(TgtStep):
    """Remove a target that shows nothing and that nobody is logged in to; never by force."""

    iqn: str

    def apply(self, host: TgtWriter) -> None:
        state = host.state()
        live = state.targets.get(self.iqn)
        if live is not None:
            if live.luns:
                raise Rejected(f"it still shows {', '.join(lun.path for lun in live.luns)}")
            if live.sessions:
                names = sorted({session.initiator for session in live.sessions})
                raise Rejected(f"logged in to it: {', '.join(names)}")
            host.tell("delete", "--mode", "target", *tid_words(live))
        if tgt_conf.path_of(self.iqn) in state.files:
            host.run("rm", "-f", "--", tgt_conf.path_of(self.iqn))


@dataclass(frozen=True, slots=True, kw_only=True)
class PutChap(TgtStep):
    """Make an account, or give it another password: sessions that are logged in stay so."""

    name: str
    password: str

    def apply(self, host: TgtWriter) -> None:
        state = host.state()
        requests = [(NEW, 0, _account(self.name, self.password))]
        if self.name in state.accounts:
            requests.insert(0, (DELETE, 0, f"user={self.name}"))
            for live in _bound(state, self.name):
                if live.outgoing == self.name:
                    raise Rejected(f"target {live.iqn} proves itself with it")
                if len(live.accounts) > 1:
                    raise Rejected(
                        f"target {live.iqn} has other accounts beside {self.name}, and tgtd does not "
                        "survive that one of them goes"
                    )
                requests.append((BIND, live.tid, f"user={self.name}"))
        host.tell_accounts(requests)
        # Last: what the file says is what is read as the password in use.
        host.write(tgt_conf.secret_of(self.name), tgt_conf.account(self.name, self.password))


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveChap(TgtStep):
    """Remove an account that no target uses."""

    name: str

    def apply(self, host: TgtWriter) -> None:
        state = host.state()
        for live in _bound(state, self.name):
            raise Rejected(f"target {live.iqn} uses it")
        if self.name in state.accounts:
            host.tell("delete", "--mode", "account", "--user", self.name)
        if tgt_conf.secret_of(self.name) in state.secrets:
            host.run("rm", "-f", "--", tgt_conf.secret_of(self.name))


def persist(host: TgtWriter, iqn: str, gone: Iterable[str] = ()) -> None:
    """Write the target's file as tgtd holds it now, when it is another."""
    state = host.state()
    live = state.targets.get(iqn)
    if live is None:
        raise Rejected(f"tgtd took the target {iqn} and does not have it")
    why = tgt_conf.unsavable(live, state.secrets)
    if why:
        raise Rejected(f"target {iqn} cannot be kept: {why}")
    path = tgt_conf.path_of(iqn)
    old = state.files.get(path, "")
    text = tgt_conf.target(live, old, gone)
    if text != old:
        host.write(path, text)


def tid_words(live: LiveTarget) -> tuple[str, str]:
    """tgtadm's options for a target."""
    return ("--tid", str(live.tid))


def lun_words(op: str, live: LiveTarget, number: int) -> tuple[str, ...]:
    """tgtadm's options for ``op`` on a LUN."""
    return (op, "--mode", "logicalunit", *tid_words(live), "--lun", str(number))


def _account(name: str, password: str) -> str:
    return f"user={name},password={password}"


def _bound(state: State, account: str) -> list[LiveTarget]:
    return [
        live
        for live in state.targets.values()
        if account in live.accounts or live.outgoing == account
    ]
