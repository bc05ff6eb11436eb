"""Users and groups by name and by number, as the converged system knows them."""

from __future__ import annotations

import grp
import pwd
from functools import cached_property
from typing import NamedTuple

from rackwright.model.errors import Permanent
from rackwright_providers.transport.local import Reader


class Passwd(NamedTuple):
    """A line of passwd(5)."""

    name: str
    uid: int
    gid: int
    comment: str
    home: str
    shell: str


class GroupLine(NamedTuple):
    """A line of group(5)."""

    name: str
    gid: int
    members: tuple[str, ...]


class Names:
    """``/etc/passwd`` and ``/etc/group`` under the root, each read once, when first asked for. On the
    live system names that are not there are looked up in whatever else it uses (LDAP, sssd)."""

    def __init__(self, host: Reader) -> None:
        self._host = host

    @cached_property
    def users(self) -> dict[str, Passwd]:
        """Local users."""
        found: dict[str, Passwd] = {}
        for fields in self._lines("/etc/passwd", 7):
            name, _, uid, gid, comment, home, shell = fields
            if uid.isdecimal() and gid.isdecimal():
                found.setdefault(name, Passwd(name, int(uid), int(gid), comment, home, shell))
        return found

    @cached_property
    def groups(self) -> dict[str, GroupLine]:
        """Local groups."""
        found: dict[str, GroupLine] = {}
        for name, _, gid, members in self._lines("/etc/group", 4):
            if gid.isdecimal():
                listed = tuple(member for member in members.split(",") if member)
                found.setdefault(name, GroupLine(name, int(gid), listed))
        return found

    @cached_property
    def passwords(self) -> dict[str, str] | None:
        """Password hashes by user; None when we may not read them."""
        try:
            return {fields[0]: fields[1] for fields in self._lines("/etc/shadow", 9)}
        except Permanent:
            return None

    @cached_property
    def _user_of(self) -> dict[int, str]:
        return {one.uid: one.name for one in reversed(self.users.values())}

    @cached_property
    def _group_of(self) -> dict[int, str]:
        return {one.gid: one.name for one in reversed(self.groups.values())}

    def uid(self, user: str) -> int | None:
        """The number of ``user``, a name or a number; None when nobody has that name."""
        if user in self.users:
            return self.users[user].uid
        if user.isdecimal():
            return int(user)
        try:
            return pwd.getpwnam(user).pw_uid if self._host.live else None
        except KeyError:
            return None

    def gid(self, group: str) -> int | None:
        """The number of ``group``, a name or a number; None when there is no such group."""
        if group in self.groups:
            return self.groups[group].gid
        if group.isdecimal():
            return int(group)
        try:
            return grp.getgrnam(group).gr_gid if self._host.live else None
        except KeyError:
            return None

    def user(self, uid: int, wanted: str | None = None) -> str:
        """The name of ``uid``: as spelt in ``wanted`` when that means the same, else its number when
        it has none."""
        if wanted is not None and self.uid(wanted) == uid:
            return wanted
        if uid in self._user_of:
            return self._user_of[uid]
        try:
            return pwd.getpwuid(uid).pw_name if self._host.live else str(uid)
        except KeyError:
            return str(uid)

    def group(self, gid: int, wanted: str | None = None) -> str:
        """The name of ``gid``: as spelt in ``wanted`` when that means the same, else its number when
        it has none."""
        if wanted is not None and self.gid(wanted) == gid:
            return wanted
        if gid in self._group_of:
            return self._group_of[gid]
        try:
            return grp.getgrgid(gid).gr_name if self._host.live else str(gid)
        except KeyError:
            return str(gid)

    def owner(self, user: str | None) -> int | None:
        """As `uid`, None for None. Raises Permanent when nobody has that name."""
        uid = None if user is None else self.uid(user)
        if user is not None and uid is None:
            raise Permanent(f"there is no user {user!r} in {self._where('passwd')}")
        return uid

    def group_owner(self, group: str | None) -> int | None:
        """As `gid`, None for None. Raises Permanent when there is no such group."""
        gid = None if group is None else self.gid(group)
        if group is not None and gid is None:
            raise Permanent(f"there is no group {group!r} in {self._where('group')}")
        return gid

    def _where(self, file: str) -> str:
        return f"{'' if self._host.live else self._host.root}/etc/{file}"

    def _lines(self, path: str, fields: int) -> list[list[str]]:
        text = (self._host.read_bytes(path) or b"").decode(errors="replace")
        split = (line.split(":") for line in text.splitlines() if not line.startswith("#"))
        return [found for found in split if len(found) == fields]
