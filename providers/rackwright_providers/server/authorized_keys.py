"""Keys that may log in by SSH: ``~/.ssh/authorized_keys`` of local users.

The directory belongs to an ordinary user, who could put a symbolic link there at any instant: it is
opened name by name, neither ``.ssh`` nor the file may be a link, and the file is replaced in one step.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Permanent
from rackwright.model.resource import Resource
from rackwright_providers.server.account_resources import AuthorizedKey, public_key
from rackwright_providers.server.handler import LocalStep
from rackwright_providers.server.lines import join, put, split, take
from rackwright_providers.server.names import Names, Passwd
from rackwright_providers.transport.local import Host, Reader


class AuthorizedKeyHandler:
    """`AuthorizedKey`. A line is ours when its comment is our id, or its key is our key."""

    nouns: tuple[type[Resource], ...] = (AuthorizedKey,)
    root_only_files = True

    def read(self, host: Reader, wanted: Sequence[Resource]) -> Mapping[Address, Resource]:
        names = Names(host)
        found: dict[Address, Resource] = {}
        for resource in wanted:
            if not isinstance(resource, AuthorizedKey) or resource.login not in names.users:
                continue
            try:
                data = _read(host, names.users[resource.login])
            except Permanent:
                continue  # writing it fails with the reason, and only it
            ours = _ours(resource)
            keys = [_key(body) for body, _ in split(data) if ours(body)]
            if keys:
                odd = [key for key in keys if key != resource.key]
                found[resource.address] = AuthorizedKey(
                    name=resource.name, user=resource.user, key=odd[0] if odd else resource.key
                )
        return found

    def render(self, changes: Sequence[Change]) -> Sequence[LocalStep]:
        steps: list[LocalStep] = []
        for change in changes:
            remove = change.action == "remove"
            resource = change.before if remove else change.after
            if not isinstance(resource, AuthorizedKey):
                raise Permanent(f"{change.address} is no authorized key")
            text = f"{resource.key} {resource.label}"
            steps.append(
                EditKeys(
                    addresses=(change.address,),
                    text=f"{'revoke' if remove else 'authorize'} for {resource.login}: {text}",
                    key=resource,
                    remove=remove,
                )
            )
        return steps


def _path(user: Passwd) -> str:
    return f"{user.home.rstrip('/')}/.ssh"


def _check(host: Reader, user: Passwd) -> bool:
    """Whether ``.ssh`` is there. Raises Permanent when it is not a directory of the user's."""
    found = host.lstat(_path(user))
    if found is None:
        return False
    if not stat.S_ISDIR(found.st_mode):
        raise Permanent(f"{_path(user)} is not a directory")
    if found.st_uid not in (user.uid, 0):
        raise Permanent(f"{_path(user)} belongs to neither {user.name} nor root")
    return True


def _read(host: Reader, user: Passwd) -> bytes:
    if not _check(host, user):
        return b""
    found = host.look(f"{_path(user)}/authorized_keys", follow=False)
    if found is not None and found.data is None:
        raise Permanent(f"{_path(user)}/authorized_keys may not be read")
    return (found.data if found else None) or b""


def _key(line: str) -> str:
    """Options, type and key of ``line``; empty when it is no key."""
    try:
        return public_key(line)
    except ValueError:
        return ""


def _ours(wanted: AuthorizedKey) -> Callable[[str], bool]:
    blob = _key(wanted.key or "").rpartition(" ")[2]

    def ours(line: str) -> bool:
        key = _key(line)
        if not key:
            return False
        return key.rpartition(" ")[2] == blob or _comment(line, key) == wanted.label

    return ours


def _comment(line: str, key: str) -> str:
    return line.partition(key.rpartition(" ")[2])[2].strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class EditKeys(LocalStep):
    """Authorize a key, or revoke it."""

    key: AuthorizedKey
    remove: bool

    def apply(self, host: Host) -> None:
        user = Names(host).users.get(self.key.login)
        if user is None:
            raise Permanent(f"there is no local user {self.key.login!r}")
        if not _check(host, user) and not self.remove:
            host.mkdir(_path(user), mode=0o700, uid=user.uid, gid=user.gid)
        old = split(_read(host, user))
        ours = _ours(self.key)
        line = f"{self.key.key} {self.key.label}"
        new = take(old, ours) if self.remove else put(old, line, ours)
        if new != old:
            path = f"{_path(user)}/authorized_keys"
            host.write(path, join(new), mode=0o600, uid=user.uid, gid=user.gid, follow=False)
