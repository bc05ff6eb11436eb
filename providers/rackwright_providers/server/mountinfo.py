"""What is mounted (proc_pid_mountinfo(5)), and whether it is what an fstab line asks for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from rackwright_providers.server.fstab import unescape

NODEV = frozenset(
    [
        "autofs",
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devpts",
        "devtmpfs",
        "efivarfs",
        "fusectl",
        "hugetlbfs",
        "mqueue",
        "overlay",
        "proc",
        "pstore",
        "ramfs",
        "securityfs",
        "sysfs",
        "tmpfs",
        "tracefs",
    ]
)
"""File systems whose device is any word."""

# Options that mount(8) acts on itself, or that say when and by whom: the kernel never shows them.
_NOT_SHOWN = frozenset(
    [
        "defaults",
        "auto",
        "noauto",
        "user",
        "nouser",
        "users",
        "owner",
        "group",
        "nofail",
        "_netdev",
        "loop",
        "bind",
        "rbind",
    ]
)
# Flags that any file system has (mount(2)): what undoes each is shown by its absence. The first
# five of the right column are what `defaults` means.
_OPPOSITE = {
    "ro": "rw",
    "noexec": "exec",
    "nosuid": "suid",
    "nodev": "dev",
    "sync": "async",
    "noatime": "atime",
    "nodiratime": "diratime",
    "relatime": "norelatime",
    "dirsync": "nodirsync",
    "lazytime": "nolazytime",
    "nosymfollow": "symfollow",
}
_UNDONE = {off: on for on, off in _OPPOSITE.items()}
_DEFAULTS = ("ro", "noexec", "nosuid", "nodev", "sync")
_BY_USERS = frozenset(("user", "users", "owner", "group"))  # these imply noexec, nosuid, nodev
# What tmpfs shows unless it has this value (mm/shmem.c, shmem_show_options).
_TMPFS = {"size": "", "nr_inodes": "", "mode": "1777", "uid": "0", "gid": "0"}
_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class Mounted(NamedTuple):
    """A mount. ``options`` are the mount point's own and the file system's; ``flags`` the former;
    ``root`` is the directory of the file system that is seen (``/`` but for bind mounts)."""

    device: str
    root: str
    point: str
    fstype: str
    options: frozenset[str]
    flags: str


def parse(text: str) -> dict[str, Mounted]:
    """By mount point; of several on one, the last, which is the one that is seen."""
    found = {}
    for line in text.splitlines():
        left, dash, right = line.partition(" - ")
        fields, source = left.split(" "), right.split(" ")
        if not dash or len(fields) < 6 or len(source) < 2:
            continue
        options = {*fields[5].split(","), *(source[2].split(",") if len(source) > 2 else ())}
        if "ro" in options:  # of either, it wins
            options.discard("rw")
        point = unescape(fields[4])
        found[point] = Mounted(
            unescape(source[1]),
            unescape(fields[3]),
            point,
            unescape(source[0]),
            frozenset(unescape(option) for option in options if option),
            fields[5],
        )
    return found


def same_type(declared: str, live: str) -> bool:
    """Whether ``declared`` may show as ``live``; ``none`` is what the lines of bind mounts say."""
    return declared in (live, "auto", "none") or (declared, live) == ("nfs", "nfs4")


def same_device(declared: str, live: Mounted, options: frozenset[str]) -> bool:
    """I/O on /dev and /sys: whether ``live`` is ``declared``, by another name perhaps."""
    if declared == live.device or live.fstype in NODEV:
        return True
    if options & {"bind", "rbind"}:
        try:
            return Path(declared).samefile(live.point)
        except OSError:
            return False
    if not declared.startswith("/") and "=" not in declared:
        return declared.rstrip("/") == live.device.rstrip("/")  # host:/export/
    return resolve(declared) in (resolve(live.device), Path(source(live)))


def source(live: Mounted) -> str:
    """What to mount to have ``live`` again: of a loop device its file, since the device goes with
    the mount. I/O on /sys."""
    loop = re.fullmatch(r"/dev/(loop\d+)", live.device)
    if not loop:
        return live.device
    try:
        return Path("/sys/block", loop[1], "loop/backing_file").read_text().rstrip("\n")
    except OSError:
        return live.device


def resolve(device: str) -> Path:
    """The device node that a path, ``UUID=…``, ``LABEL=…``, ``PARTUUID=…`` or ``PARTLABEL=…`` leads
    to by udev's links; what leads nowhere stays as it is."""
    tag, equals, value = device.partition("=")
    if not equals or device.startswith("/"):
        return Path(device).resolve()
    # udev writes what is neither a letter nor harmless as \xHH (udev(7), encode_devnode_name).
    name = "".join(
        sign
        if sign.isalnum() or sign in "#+-.:=@_"
        else "".join(rf"\x{b:02x}" for b in sign.encode())
        for sign in value.strip('"')
    )
    return Path("/dev/disk", f"by-{tag.lower()}", name).resolve()


def contradicts(declared: frozenset[str], live: Mounted) -> frozenset[str]:
    """The options of ``declared`` (``defaults`` included, which is what is not said) that ``live``
    shows not to be so. What the kernel shows of neither is taken to be so."""
    wrong = {option for option in declared if _contradicted(option, live)}
    free = (
        declared & _BY_USERS or live.fstype.startswith("fuse") or live.fstype in NODEV - {"tmpfs"}
    )
    for flag in _DEFAULTS[: 1 if free else None]:
        if flag in live.options and not declared & {flag, _OPPOSITE[flag]}:
            wrong.add(_OPPOSITE[flag])
    return frozenset(wrong)


def _contradicted(option: str, live: Mounted) -> bool:
    if option in _NOT_SHOWN or option.lower().startswith(("x-", "comment=")):
        return False
    if option in _OPPOSITE:
        return option not in live.options
    if option in _UNDONE:
        return _UNDONE[option] in live.options
    if option == "strictatime":
        return bool(live.options & {"relatime", "noatime"})
    key, equals, value = option.partition("=")
    if not equals:
        opposite = option.removeprefix("no") if option.startswith("no") else f"no{option}"
        return opposite in live.options and option not in live.options
    if value.endswith("%"):  # of the memory: shown in bytes
        return False
    shown = [one.partition("=")[2] for one in live.options if one.startswith(f"{key}=")]
    if shown:
        return _plain(key, value) not in [_plain(key, one) for one in shown]
    return live.fstype == "tmpfs" and key in _TMPFS and _plain(key, value) != _TMPFS[key]


def _plain(key: str, value: str) -> str:
    """``value`` as a number of bytes or without leading zeros, where it is one."""
    if key in ("mode", "umask", "fmask", "dmask"):
        return value.lstrip("0") or "0"
    if key in ("subvol", "root"):
        return value.strip("/")
    sized = re.fullmatch(r"(\d+)([kmgt])", value.lower())
    return str(int(sized[1]) * _UNITS[sized[2]]) if sized else value
