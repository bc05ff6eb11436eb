"""Local users and groups, through the shadow tools; observed from the files that they write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Permanent, Rejected
from rackwright.model.resource import Resource
from rackwright_providers.server.account_resources import Group, User
from rackwright_providers.server.handler import LocalStep
from rackwright_providers.server.names import Names
from rackwright_providers.transport.local import Host, Reader

LOCK_TRIES = 20
LOCK_WAIT = 0.5
"""Seconds between tries while somebody else holds the lock of /etc/passwd."""

_OPTIONS = {  # of useradd(8) and usermod(8)
    "uid": "--uid",
    "group": "--gid",
    "groups": "--groups",
    "home": "--home-dir",
    "shell": "--shell",
    "comment": "--comment",
}


class AccountHandler:
    """`User` and `Group`."""

    nouns: tuple[type[Resource], ...] = (User, Group)
    root_only_files = False

    def read(self, host: Reader, wanted: Sequence[Resource]) -> Mapping[Address, Resource]:
        names = Names(host)
        found: dict[Address, Resource] = {}
        for resource in wanted:
            seen = _user(names, resource) if isinstance(resource, User) else _group(names, resource)
            if seen is not None:
                found[resource.address] = seen
        return found

    def render(self, changes: Sequence[Change]) -> Sequence[LocalStep]:
        return [_user_step(c) if c.address.type == "user" else _group_step(c) for c in changes]


def _user(names: Names, wanted: User) -> User | None:
    line = names.users.get(wanted.name)
    if line is None:
        return None
    groups = {one.name for one in names.groups.values() if wanted.name in one.members}
    spelt = {names.gid(group): group for group in wanted.groups or ()}
    primary = {one.name for one in names.groups.values() if one.gid == line.gid}
    passwords = names.passwords
    return User(
        name=wanted.name,
        uid=line.uid,
        group=names.group(line.gid, wanted.group),
        groups=tuple(
            spelt.get(names.gid(group), group)
            for group in groups
            if group not in primary or names.gid(group) in spelt
        ),
        home=line.home,
        shell=line.shell,
        comment=line.comment,
        password_hash=None if passwords is None else passwords.get(wanted.name, ""),
        system=wanted.system,
    )


def _group(names: Names, wanted: Resource) -> Group | None:
    line = names.groups.get(wanted.name)
    return None if line is None else Group(name=wanted.name, gid=line.gid)


def _user_step(change: Change) -> LocalStep:
    name, user = change.address.name, change.after
    if change.action == "remove":
        return AccountStep(
            addresses=(change.address,), text=f"userdel {name}", argv=("userdel", name)
        )
    if not isinstance(user, User):
        raise Permanent(f"{change.address} has nothing to be made of")
    create = change.action == "create"
    argv = ["useradd", "--system" if user.system else "--create-home"] if create else ["usermod"]
    for field, option in _OPTIONS.items():
        value = getattr(user, field)
        if value is None or not (create or field in change.field_names):
            continue
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        if not create and field == "home":
            argv += ["--home", text, "--move-home"]
        else:
            argv += [option, text]
    password = user.password_hash if create or "password_hash" in change.field_names else None
    plain = len(argv) == 1
    text = "" if plain else " ".join([*argv, name])
    if password is not None:
        text = f"{text}; chpasswd --encrypted" if text else f"chpasswd --encrypted, for {name}"
    return AccountStep(
        addresses=(change.address,),
        text=text,
        argv=() if plain else (*argv, name),
        private_group=name if create and user.group is None else "",
        password=None if password is None else f"{name}:{password}",
    )


def _group_step(change: Change) -> LocalStep:
    name, group = change.address.name, change.after
    if not isinstance(group, Group):
        return AccountStep(
            addresses=(change.address,),
            text=f"groupdel {name}",
            argv=("groupdel", name),
            group=name,
        )
    argv = ["groupadd"] if change.action == "create" else ["groupmod"]
    if change.action == "create" and group.system:
        argv.append("--system")
    if group.gid is not None:
        argv += ["--gid", str(group.gid)]
    argv.append(name)
    return AccountStep(addresses=(change.address,), text=" ".join(argv), argv=tuple(argv))


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStep(LocalStep):
    """One shadow command, and the password, which goes by standard input since everybody can read
    a process's arguments."""

    argv: tuple[str, ...]
    private_group: str = ""
    """The group that useradd would make for the user; when it exists already it has to be named."""
    group: str = ""
    """The group to delete: userdel may have taken it along with its only user."""
    password: str | None = None

    def apply(self, host: Host) -> None:
        argv = list(self.argv)
        if self.private_group and self.private_group in Names(host).groups:
            argv[1:1] = ["--gid", self.private_group]
        if argv and not (self.group and self.group not in Names(host).groups):
            _locked(host, argv)
        if self.password is not None:
            _locked(host, ["chpasswd", "--encrypted"], self.password + "\n")


def _locked(host: Host, argv: Sequence[str], given: str = "") -> None:
    """Run ``argv``, again for a while when somebody else has the files locked."""
    for left in reversed(range(LOCK_TRIES)):
        try:
            host.run(argv, input=given)
        except Rejected as error:
            if "cannot lock" not in str(error) or not left or host.stop.wait(LOCK_WAIT):
                raise
        else:
            return
