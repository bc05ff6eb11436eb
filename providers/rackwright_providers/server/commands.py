"""Commands that run when they are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Permanent
from rackwright.model.resource import Resource
from rackwright_providers.server.handler import LocalStep
from rackwright_providers.server.software_resources import Exec
from rackwright_providers.transport.command import Output
from rackwright_providers.transport.local import Host, Reader


class ExecHandler:
    """`Exec`. It is observed with an empty command while that is still to run."""

    nouns: tuple[type[Resource], ...] = (Exec,)
    root_only_files = False

    def read(self, host: Reader, wanted: Sequence[Resource]) -> Mapping[Address, Resource]:
        return {
            one.address: one if _done(host, one) else replace(one, command="")
            for one in wanted
            if isinstance(one, Exec)
        }

    def render(self, changes: Sequence[Change]) -> Sequence[LocalStep]:
        steps: list[LocalStep] = []
        for change in changes:
            if not isinstance(change.after, Exec):
                continue  # what has run cannot be taken back
            notified = change.action == "notify"
            text = f"run: {change.after.command}"
            if not notified:
                text += _conditions(change.after)
            steps.append(
                RunExec(
                    addresses=(change.address,), text=text, work=change.after, notified=notified
                )
            )
        return steps


def _conditions(work: Exec) -> str:
    said = (("unless", work.unless), ("only if", work.only_if))
    return "".join(f"; {word} this succeeds: {what}" for word, what in said if what)


def _done(host: Reader, work: Exec) -> bool:
    """Whether nothing is to run. A reader does not evaluate ``unless`` and ``only_if``, which may
    have effects, and says no."""
    try:
        if work.creates and host.stat(work.creates) is not None:
            return True
        if work.unless == "true":
            return True
        if not isinstance(host, Host):
            return False
        if work.unless and _shell(host, work, work.unless, check=False).code == 0:
            return True
        return bool(work.only_if) and _shell(host, work, work.only_if, check=False).code != 0
    except Permanent:
        return False  # running it fails with the reason, and only it


def _shell(host: Host, work: Exec, command: str | None, *, check: bool) -> Output:
    return host.run(
        ["/bin/sh", "-c", command or ""],
        env=work.environment,
        timeout=work.timeout,
        user=work.user or "",
        cwd=work.cwd or "/",
        check=check,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunExec(LocalStep):
    """Run a command, unless what came before it in this run has done its work already."""

    work: Exec
    notified: bool

    def apply(self, host: Host) -> None:
        if self.notified or not _done(host, self.work):
            _shell(host, self.work, self.work.command, check=True)
