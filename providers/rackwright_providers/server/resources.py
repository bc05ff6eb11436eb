"""The nouns of servers."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta
from msgspec.structs import force_setattr

from rackwright.model.address import NODE_NAME, Address
from rackwright.model.resource import Resource
from rackwright.model.secret import MARKER, Secret
from rackwright_providers.server import storage_resources

END = r"(?![\s\S])"  # `$` would let a newline follow, and JSON Schema's regexes have no \Z

OCTAL = Meta(pattern=rf"^[0-7]{{3,4}}{END}", description="octal permissions, quoted: '0644'")
ACCOUNT = Meta(
    pattern=rf"^[A-Za-z0-9_][A-Za-z0-9_.-]{{0,30}}\$?{END}", description="a name, or a number"
)
ONE_LINE = Meta(pattern=rf"^[^\n\r\0]*{END}", description="one line")
ABSOLUTE = Meta(pattern=rf"^/[^\n\r\0]*{END}", description="an absolute path")
PASSWD_PATH = Meta(pattern=rf"^/[^:\n\r\0]*{END}", description="an absolute path without a colon")
NO_COLON = Meta(
    pattern=rf"^([^:\n\r\0]|{MARKER.pattern})*{END}", description="one line without a colon"
)
UNIX_ID = Meta(ge=0, le=4294967294)
SECONDS = Meta(gt=0, le=86400)

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.-]{0,30}\$?")
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*(:[a-z0-9-]+)?")
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")
_SYSCTL = re.compile(r"[a-z0-9_]+([./][A-Za-z0-9_./*:@-]+)+")
_INTERFACE = re.compile(r"[^\s/:]{1,15}")
_HOST_NAME = r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?)*"
_KEY_TYPE = re.compile(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[A-Za-z0-9@.-]+")
_KEY_TOKEN = re.compile(r'(?:[^\s"]|"(?:\\.|[^"\\])*")+')


def _require(good: object, message: str) -> None:
    if not good:
        raise ValueError(message)  # msgspec makes it a ValidationError


def _require_path(path: str) -> None:
    _require(path.startswith("/"), f"{path!r} is not an absolute path")
    _require("\0" not in path and "\n" not in path, f"{path!r} holds a line break or a NUL")
    parts = path[1:].split("/")
    clean = path == "/" or not any(part in ("", ".", "..") for part in parts)
    _require(clean, f"{path!r} is not in its shortest form: no '//', '.', '..' or '/' at the end")


def _above(path: str) -> Iterator[Address]:
    """Whatever may provide a directory on the way to ``path``."""
    while path not in ("/", ""):
        path = path.rpartition("/")[0] or "/"
        for kind in ("directory", "mount", "symlink"):
            yield Address(kind, path)


def _owned_by(owner: str | None, group: str | None) -> Iterator[Address]:
    if owner:
        yield Address("user", owner)
    if group:
        yield Address("group", group)


def _octal(resource: Any) -> None:
    if resource.mode is not None:
        force_setattr(resource, "mode", resource.mode.rjust(4, "0"))


class File(Resource, frozen=True, kw_only=True):
    """A regular file. Its name is its absolute path: ``file//etc/motd``."""

    kind: ClassVar[str] = "file"
    directives: ClassVar[frozenset[str]] = frozenset({"backup"})

    content: str | None = None
    """The whole text, as UTF-8. Undeclared: left alone, and empty when the file is made."""
    owner: Annotated[str, ACCOUNT] | None = None
    """A user's name, or its number. Undeclared: left alone; who runs the agent when it is made."""
    group: Annotated[str, ACCOUNT] | None = None
    """A group's name, or its number."""
    mode: Annotated[str, OCTAL] | None = None
    """Octal permissions: ``'0644'``. Undeclared: left alone, and 0644 when the file is made."""
    backup: bool = True
    """Keep what is overwritten or removed in the state directory (the last five)."""

    def __post_init__(self) -> None:
        _require_path(self.name)
        _octal(self)

    def implied_needs(self) -> tuple[Address, ...]:
        return (*_above(self.name), *_owned_by(self.owner, self.group))


class Directory(Resource, frozen=True, kw_only=True):
    """A directory. Its name is its absolute path: ``directory//srv/www``."""

    kind: ClassVar[str] = "directory"
    directives: ClassVar[frozenset[str]] = frozenset({"holds"})

    owner: Annotated[str, ACCOUNT] | None = None
    """A user's name, or its number."""
    group: Annotated[str, ACCOUNT] | None = None
    """A group's name, or its number."""
    mode: Annotated[str, OCTAL] | None = None
    """Octal permissions: ``'0755'``. Undeclared: left alone, and 0755 when it is made."""
    holds: int | None = None
    """Observed only: how many entries are in it that are not declared themselves."""

    def __post_init__(self) -> None:
        _require_path(self.name)
        _octal(self)

    def implied_needs(self) -> tuple[Address, ...]:
        return (*_above(self.name), *_owned_by(self.owner, self.group))

    def loses(self, before: Resource) -> str:
        held = before.holds if isinstance(before, Directory) else None
        if self.ensure == "present" or not held:
            return ""
        return f"{held} {'entry' if held == 1 else 'entries'} in {self.name}"


class Symlink(Resource, frozen=True, kw_only=True):
    """A symbolic link. Its name is its absolute path."""

    kind: ClassVar[str] = "symlink"

    target: Annotated[str, ONE_LINE] | None = None
    """Where it points, as it is to be stored: absolute, or relative to the link's directory."""

    def __post_init__(self) -> None:
        _require_path(self.name)
        _require(self.target or self.ensure == "absent", "a symlink needs a target")

    def implied_needs(self) -> tuple[Address, ...]:
        return tuple(_above(self.name))


class LineInFile(Resource, frozen=True, kw_only=True):
    """One line of a file that others write too. Its name is any identifier."""

    kind: ClassVar[str] = "line_in_file"
    directives: ClassVar[frozenset[str]] = frozenset({"match"})

    path: Annotated[str, ABSOLUTE] | None = None
    """The file; it is made when it is missing. Always needed."""
    line: Annotated[str, ONE_LINE] | None = None
    """The line, without its end. Always needed."""
    match: str | None = None
    """A regular expression. The lines it finds become this one line; with ``ensure: absent`` they
    go. When it finds none, or there is none, the line is appended unless it is there already."""

    def __post_init__(self) -> None:
        _require(self.path and self.line is not None, "a line in a file needs path and line")
        _require_path(self.path or "")
        if self.match is not None:
            try:
                re.compile(self.match)
            except re.error as error:
                raise ValueError(
                    f"match {self.match!r} is no regular expression: {error}"
                ) from None

    def implied_needs(self) -> tuple[Address, ...]:
        path = self.path or ""
        return (Address("file", path), Address("symlink", path), *_above(path))


class HostEntry(Resource, frozen=True, kw_only=True):
    """An address of ``/etc/hosts`` with its names. Its name is the IP address."""

    kind: ClassVar[str] = "host_entry"

    hostnames: tuple[Annotated[str, Meta(pattern=rf"^{_HOST_NAME}{END}")], ...] | None = None
    """All names of that address, the canonical one first."""

    def __post_init__(self) -> None:
        try:
            short = str(ipaddress.ip_address(self.name))
        except ValueError:
            raise ValueError(f"{self.name!r} is not an IP address") from None
        _require(short == self.name, f"write {self.name!r} as {short!r}")
        _require(self.hostnames or self.ensure == "absent", "a host entry needs hostnames")

    def implied_needs(self) -> tuple[Address, ...]:
        return (Address("file", "/etc/hosts"),)


class Package(Resource, frozen=True, kw_only=True):
    """A package of the distribution's own manager (apt or dnf)."""

    kind: ClassVar[str] = "package"

    version: Annotated[str, Meta(pattern=rf"^[A-Za-z0-9.+:~^_-]+{END}")] | None = None
    """Exactly this version, as the manager spells it. Undeclared: any; what is there is kept."""

    def __post_init__(self) -> None:
        _require(_PACKAGE.fullmatch(self.name), f"{self.name!r} cannot be a package's name")


class Service(Resource, frozen=True, kw_only=True):
    """A systemd unit; without a suffix it is a ``.service``. It is never made or removed."""

    kind: ClassVar[str] = "service"
    fixture: ClassVar[bool] = True
    directives: ClassVar[frozenset[str]] = frozenset({"on_notify"})

    state: Literal["running", "stopped"] | None = None
    enabled: bool | None = None
    """Started at boot."""
    on_notify: Literal["restart", "reload"] = "restart"
    """What happens once, at the end of a run, when a resource that notifies it has changed."""

    def __post_init__(self) -> None:
        good = _UNIT.fullmatch(self.name) and not self.name.startswith("-")
        _require(good, f"{self.name!r} cannot be a unit's name")

    @property
    def unit(self) -> str:
        """The unit's full name."""
        suffix = self.name.rpartition(".")[2]
        return self.name if suffix in _UNIT_TYPES else f"{self.name}.service"


_UNIT_TYPES = frozenset(  # systemd.unit(5)
    [
        "service",
        "socket",
        "device",
        "mount",
        "automount",
        "swap",
        "target",
        "path",
        "timer",
        "slice",
        "scope",
    ]
)


class Group(Resource, frozen=True, kw_only=True):
    """A local group."""

    kind: ClassVar[str] = "group"
    directives: ClassVar[frozenset[str]] = frozenset({"system"})

    gid: Annotated[int, UNIX_ID] | None = None
    system: bool = False
    """Made with a gid of the system's range when ``gid`` is not declared."""

    def __post_init__(self) -> None:
        _require(_NAME.fullmatch(self.name), f"{self.name!r} cannot be a group's name")


class User(Resource, frozen=True, kw_only=True):
    """A local user. Removing one keeps its home directory."""

    kind: ClassVar[str] = "user"
    directives: ClassVar[frozenset[str]] = frozenset({"system"})

    uid: Annotated[int, UNIX_ID] | None = None
    group: Annotated[str, ACCOUNT] | None = None
    """The primary group's name, or its number."""
    groups: tuple[Annotated[str, ACCOUNT], ...] | None = None
    """All supplementary groups: the user leaves those that are not listed."""
    home: Annotated[str, PASSWD_PATH] | None = None
    """The home directory; moved with its contents when it changes."""
    shell: Annotated[str, PASSWD_PATH] | None = None
    comment: Annotated[str, NO_COLON] | None = None
    """The GECOS field: a person's name."""
    password_hash: Annotated[str, NO_COLON, Secret] | None = None
    """As it stands in shadow(5), or ``!`` or ``*`` for none."""
    system: bool = False
    """Made with a uid of the system's range and without a home directory."""

    def __post_init__(self) -> None:
        _require(_NAME.fullmatch(self.name), f"{self.name!r} cannot be a user's name")
        if self.groups is not None:
            force_setattr(self, "groups", tuple(sorted(set(self.groups))))

    def implied_needs(self) -> tuple[Address, ...]:
        names = ([self.group] if self.group else []) + list(self.groups or ())
        # Directories above the home may belong to the user itself: only what is mounted comes first.
        above = (one for one in _above(self.home or "") if one.type == "mount")
        return (*(Address("group", name) for name in names), *above)


class AuthorizedKey(Resource, frozen=True, kw_only=True):
    """A key that may log in as a user by SSH. Its name is ``user:id``; the id becomes the key's
    comment in the file, so a new key for the same id replaces the old one."""

    kind: ClassVar[str] = "authorized_key"

    user: Annotated[str, ACCOUNT] | None = None
    """The user, when it is not the part of the name before the colon."""
    key: str | None = None
    """An OpenSSH public key line, options included; its comment is replaced by the id."""

    def __post_init__(self) -> None:
        _, colon, label = self.name.partition(":")
        _require(colon and label, f"{self.name!r} is not of the form user:id")
        _require(not re.search(r"[\s\0]", label), f"the id {label!r} holds white space")
        if self.key is None:
            _require(self.ensure == "absent", "an authorized key needs a key")
        elif not MARKER.search(self.key):
            force_setattr(self, "key", public_key(self.key))

    @property
    def login(self) -> str:
        """The user's name."""
        return self.user or self.name.partition(":")[0]

    @property
    def label(self) -> str:
        """The key's comment in the file."""
        return self.name.partition(":")[2]

    def implied_needs(self) -> tuple[Address, ...]:
        return (Address("user", self.login),)


def public_key(line: str) -> str:
    """``line`` of authorized_keys as options, type and key, without its comment. Raises ValueError."""
    parts = _KEY_TOKEN.findall(line.strip())
    at = 0 if parts and _KEY_TYPE.fullmatch(parts[0]) else 1
    wrong = "not an OpenSSH public key: write [options] type base64 [comment]"
    if len(parts) < at + 2 or not _KEY_TYPE.fullmatch(parts[at]) or "\n" in line.strip():
        raise ValueError(wrong)
    try:
        blob = base64.b64decode(parts[at + 1], validate=True)
    except binascii.Error:
        raise ValueError(wrong) from None
    name = parts[at].encode()
    if blob[: 4 + len(name)] != len(name).to_bytes(4, "big") + name:  # RFC 4253, 6.6
        raise ValueError(f"the key's data is not of type {parts[at]}")
    return " ".join(parts[: at + 2])


class Cron(Resource, frozen=True, kw_only=True):
    """A cron job, in a file of its own: ``/etc/cron.d/rackwright-NAME``."""

    kind: ClassVar[str] = "cron"

    schedule: (
        Annotated[
            str,
            Meta(
                pattern=r"^(@(reboot|yearly|annually|monthly|weekly|daily|midnight|hourly)"
                rf"|[^\s@]+( +[^\s]+){{4}}){END}",
                description="five fields, or one of @hourly, @daily, @reboot …",
            ),
        ]
        | None
    ) = None
    """Minute, hour, day, month, weekday; or ``@daily`` and the like."""
    command: Annotated[str, ONE_LINE] | None = None
    """A shell command. As ever in crontabs, ``%`` must be written ``\\%``."""
    user: Annotated[str, ACCOUNT] | None = None
    """Who runs it; root when undeclared."""
    environment: dict[str, Annotated[str, ONE_LINE]] | None = None
    """Variables for the command; all of them."""

    def __post_init__(self) -> None:
        good = _IDENTIFIER.fullmatch(self.name)  # cron skips files whose names have other signs
        _require(good, f"{self.name!r} cannot be a cron job's name: letters, digits, '_' and '-'")
        if self.ensure == "present":
            _require(self.schedule and self.command, "a cron job needs a schedule and a command")
        if self.schedule:
            force_setattr(self, "schedule", " ".join(self.schedule.split()))
        for key in self.environment or {}:
            good = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key)
            _require(good, f"{key!r} cannot be a variable's name")

    @property
    def path(self) -> str:
        """The job's file."""
        return f"/etc/cron.d/rackwright-{self.name}"

    def implied_needs(self) -> tuple[Address, ...]:
        return (Address("user", self.user or "root"), *_above(self.path))


class Sysctl(Resource, frozen=True, kw_only=True):
    """A kernel parameter, now and after the next boot: ``sysctl/net.ipv4.ip_forward``."""

    kind: ClassVar[str] = "sysctl"

    value: str | int | None = None
    """Its value. Fields are separated by one space, however the kernel shows them."""

    def __post_init__(self) -> None:
        good = _SYSCTL.fullmatch(self.name) and ".." not in self.name
        _require(good, f"{self.name!r} cannot be a kernel parameter")
        _require(self.value is not None or self.ensure == "absent", "a sysctl needs a value")
        if self.value is not None:
            force_setattr(self, "value", " ".join(str(self.value).split()))


class Mount(Resource, frozen=True, kw_only=True):
    """A file system at its mount point, which is its name. ``ensure: absent`` unmounts it and takes
    it out of fstab."""

    kind: ClassVar[str] = "mount"

    device: Annotated[str, ONE_LINE] | None = None
    """What is mounted: ``/dev/sdb1``, ``UUID=…``, ``host:/export``, ``tmpfs``."""
    fstype: Annotated[str, Meta(pattern=rf"^[A-Za-z0-9_.-]+{END}")] | None = None
    options: Annotated[str, Meta(pattern=rf"^[^\s\0]+{END}")] | None = None
    """Separated by commas; ``defaults`` when undeclared."""
    state: Literal["mounted", "unmounted"] | None = None
    """Now. Mounted when undeclared and made."""
    fstab: bool | None = None
    """At boot: a line of /etc/fstab. True when undeclared and made."""

    def __post_init__(self) -> None:
        _require_path(self.name)
        if self.ensure == "present":
            _require(self.device, "a mount needs a device")

    def implied_needs(self) -> tuple[Address, ...]:
        device = self.device or ""
        image = [Address("file", device), Address("filesystem", device)] if device else []
        brought = storage_resources.device_needs(device)
        return (Address("directory", self.name), *_above(self.name), *image, *brought)

    def loses(self, before: Resource) -> str:
        if not isinstance(before, Mount) or before.state != "mounted":
            return ""
        leaves = self.ensure == "absent" or self.state == "unmounted"
        replaced = self.device not in (None, before.device)
        if before.fstype in ("tmpfs", "ramfs") and (leaves or replaced):
            return f"what is in {before.name} is in memory only and would be lost"
        return ""


class Interface(Resource, frozen=True, kw_only=True):
    """A network interface. It is always there; undeclared fields are left alone."""

    kind: ClassVar[str] = "interface"
    fixture: ClassVar[bool] = True

    state: Literal["up", "down"] | None = None
    mtu: Annotated[int, Meta(ge=68, le=65536)] | None = None
    addresses: tuple[str, ...] | None = None
    """All its addresses, with prefix lengths: ``10.0.0.5/24``. Link-local IPv6 is left alone."""

    def __post_init__(self) -> None:
        _require(_INTERFACE.fullmatch(self.name), f"{self.name!r} cannot be an interface's name")
        if self.addresses is not None:
            found = set()
            for text in self.addresses:
                _require("/" in text, f"{text!r} lacks its prefix length: write {text}/24")
                found.add(ipaddress.ip_interface(text))
            ordered = sorted(found, key=lambda one: (one.version, int(one), one.network.prefixlen))
            force_setattr(self, "addresses", tuple(str(one) for one in ordered))

    def severs(self, before: Resource | None) -> bool:
        if not isinstance(before, Interface):
            return True
        if self.state == "down" and before.state != "down":
            return True
        if self.mtu is not None and before.mtu is not None and self.mtu < before.mtu:
            return True
        return self.addresses is not None and bool(set(before.addresses or ()) - {*self.addresses})


class Route(Resource, frozen=True, kw_only=True):
    """A route. Its name is its destination: ``10.0.0.0/8``, ``default`` or ``::/0``."""

    kind: ClassVar[str] = "route"

    via: str | None = None
    """The gateway's address."""
    dev: Annotated[str, Meta(pattern=rf"^[^\s/:]{{1,15}}{END}")] | None = None
    """The interface."""
    metric: Annotated[int, Meta(ge=0, le=4294967295)] | None = None
    table: Annotated[int, Meta(ge=1, le=4294967295)] | None = None
    """The routing table's number; the main table (254) when undeclared."""

    def __post_init__(self) -> None:
        if self.name != "default":
            try:
                short = str(ipaddress.ip_network(self.name))
            except ValueError as error:
                raise ValueError(f"a route's name is a network or 'default': {error}") from None
            _require(short == self.name, f"write {self.name!r} as {short!r}")
        if self.via is not None:
            force_setattr(self, "via", str(ipaddress.ip_address(self.via)))
        _require(self.via or self.dev or self.ensure == "absent", "a route needs via or dev")

    def implied_needs(self) -> tuple[Address, ...]:
        return (Address("interface", self.dev),) if self.dev else ()

    def severs(self, before: Resource | None) -> bool:
        if self.ensure == "absent" or not isinstance(before, Route):
            return self.ensure == "absent"
        return any(
            mine is not None and mine != getattr(before, field)
            for field in ("via", "dev", "metric", "table")
            for mine in (getattr(self, field),)
        )


class Exec(Resource, frozen=True, kw_only=True):
    """A command that runs when it is needed: until ``creates`` is there or ``unless`` succeeds,
    and once whenever a resource that notifies it has changed. Its name is any identifier.

    A plan does not evaluate ``unless`` and ``only_if``: it says that the command would run unless.
    """

    kind: ClassVar[str] = "exec"
    fixture: ClassVar[bool] = True
    directives: ClassVar[frozenset[str]] = frozenset(
        ["creates", "unless", "only_if", "cwd", "user", "environment", "timeout"]
    )

    command: str | None = None
    """For ``/bin/sh -c``. Always needed. Observed: empty while it is still to run."""
    creates: Annotated[str, ABSOLUTE] | None = None
    """What it makes: it does not run when this path exists."""
    unless: str | None = None
    """It does not run when this command succeeds. ``true``: it runs only when notified."""
    only_if: str | None = None
    """It runs only when this command succeeds."""
    cwd: Annotated[str, ABSOLUTE] | None = None
    """Working directory of all three commands; ``/`` when undeclared."""
    user: Annotated[str, ACCOUNT] | None = None
    """Who runs all three commands; who runs the agent when undeclared."""
    environment: dict[str, str] | None = None
    """Variables beside the usual ones."""
    timeout: Annotated[float, SECONDS] = 300.0
    """Seconds."""

    def __post_init__(self) -> None:
        _require(self.command is not None, "an exec needs a command")
        _require(
            self.creates or self.unless,
            "an exec needs creates or unless: how else would it know that it is done?",
        )

    def implied_needs(self) -> tuple[Address, ...]:
        user = [Address("user", self.user)] if self.user else []
        where = [Address("directory", self.cwd), *_above(self.cwd)] if self.cwd else []
        return (*user, *where)


class Delegate(Resource, frozen=True, kw_only=True):
    """A managed node that this admin host converges. The store declares it, where it places the node;
    its name is the node's."""

    kind: ClassVar[str] = "delegate"
    listed: ClassVar[bool] = True

    state: Literal["running"] = "running"
    """Observed as nothing while it is half there: declared here without a daemon that has taken it up,
    or taken away and not let go yet."""

    def __post_init__(self) -> None:
        _require(NODE_NAME.fullmatch(self.name), f"{self.name!r} cannot be a node's name")

    def implied_needs(self) -> tuple[Address, ...]:
        return (Address("service", "rackwright-delegates"),)


NOUNS = (
    File,
    Directory,
    Symlink,
    LineInFile,
    HostEntry,
    Package,
    Service,
    Group,
    User,
    AuthorizedKey,
    Cron,
    Sysctl,
    Mount,
    Interface,
    Route,
    Exec,
    Delegate,
    *storage_resources.NOUNS,
)
