"""Cron jobs, each in a file of its own under ``/etc/cron.d`` (crontab(5), with the user's field)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Permanent
from rackwright.model.resource import Resource
from rackwright_providers.server.handler import LocalStep
from rackwright_providers.server.software_resources import Cron
from rackwright_providers.transport.local import Host, Reader

_VARIABLE = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")
_JOB = re.compile(r"\s*(@\w+|(?:[^\s@]\S*\s+){4}\S+)\s+(\S+)\s+(.*)")


def parse(name: str, text: str) -> Cron:
    """The job in a file of ours. What somebody made unreadable in it reads as empty."""
    environment: dict[str, str] = {}
    jobs = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if variable := _VARIABLE.fullmatch(line):
            environment[variable[1]] = _unquoted(variable[2])
        else:
            jobs.append(_JOB.fullmatch(line))
    job = jobs[0] if len(jobs) == 1 else None
    schedule, user, command = job.groups() if job else (" ", "", " ")
    return Cron(name=name, schedule=schedule, user=user, command=command, environment=environment)


def show(job: Cron) -> str:
    """The file of ``job``."""
    lines = [f"# Made by Rackwright: cron/{job.name}. What is changed here is changed back."]
    for key, value in sorted((job.environment or {}).items()):
        quote = "'" if '"' in value else '"'
        lines.append(f"{key}={quote}{value}{quote}")
    lines.append(f"{job.schedule} {job.user or 'root'} {job.command}")
    return "\n".join(lines) + "\n"


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value


class CronHandler:
    """`Cron`."""

    nouns: tuple[type[Resource], ...] = (Cron,)
    root_only_files = True

    def read(self, host: Reader, wanted: Sequence[Resource]) -> Mapping[Address, Resource]:
        found: dict[Address, Resource] = {}
        for resource in wanted:
            if not isinstance(resource, Cron):
                continue
            try:
                data = host.read_bytes(resource.path)
            except Permanent:
                continue  # writing it fails with the reason, and only it
            if data is not None:
                found[resource.address] = parse(resource.name, data.decode(errors="replace"))
        return found

    def render(self, changes: Sequence[Change]) -> Sequence[LocalStep]:
        return [_step(change) for change in changes]


def _step(change: Change) -> LocalStep:
    job, before = change.after, change.before
    if not isinstance(job, Cron):
        path = Cron(name=change.address.name, ensure="absent").path
        return PutCron(addresses=(change.address,), text=f"remove {path}", path=path, content=None)
    if isinstance(before, Cron):  # what is not declared stays as it is
        job = Cron(
            name=job.name,
            schedule=job.schedule,
            command=job.command,
            user=job.user if job.user is not None else before.user,
            environment=job.environment if job.environment is not None else before.environment,
        )
    return PutCron(
        addresses=(change.address,),
        text=f"write {job.path}: {show(job).splitlines()[-1]}",
        path=job.path,
        content=show(job),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PutCron(LocalStep):
    """Write a job's file, or remove it. Only its owner may read it, for its variables' sake."""

    path: str
    content: str | None

    def apply(self, host: Host) -> None:
        if self.content is None:
            host.remove(self.path)
            return
        own, group = os.geteuid(), os.getegid()
        host.write(self.path, self.content.encode(), mode=0o600, uid=own, gid=group, follow=False)
