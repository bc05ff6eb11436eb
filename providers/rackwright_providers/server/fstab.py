"""fstab(5) as text: read its entries, change one line, leave every other byte alone."""

from __future__ import annotations

import re
from typing import NamedTuple

_OCTAL = re.compile(r"\\([0-7]{3})")
_ESCAPES = str.maketrans({" ": r"\040", "\t": r"\011", "\n": r"\012", "\\": r"\134"})


class Entry(NamedTuple):
    """One file system that is mounted at boot. ``dump`` and ``check`` are the last two columns."""

    device: str
    point: str
    fstype: str
    options: str = "defaults"
    dump: str = "0"
    check: str = "0"

    def line(self) -> str:
        """As it stands in the file, without a line end."""
        fields = (self.device, self.point, self.fstype, self.options)
        return " ".join([*(field.translate(_ESCAPES) for field in fields), self.dump, self.check])


def unescape(field: str) -> str:
    """Octal escapes as fstab and the kernel write them (``\\040`` is a space) taken back."""
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), field)


def find(text: str, point: str) -> Entry | None:
    """The entry of mount point ``point``; the last, where there are several (it ends on top)."""
    found = None
    for line in text.split("\n"):
        entry = _parse(line)
        if entry and entry.point == point:
            found = entry
    return found


def put(text: str, entry: Entry) -> str:
    """``text`` with ``entry`` in the place of the line that `find` finds, or at the end."""
    lines = text.split("\n")
    for index in range(len(lines) - 1, -1, -1):
        old = _parse(lines[index])
        if old and old.point == entry.point:
            lines[index] = entry.line()
            return "\n".join(lines)
    return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{entry.line()}\n"


def drop(text: str, point: str) -> str:
    """``text`` without any entry of mount point ``point``."""
    kept = []
    for line in text.split("\n"):
        entry = _parse(line)
        if not entry or entry.point != point:
            kept.append(line)
    return "\n".join(kept)


def _parse(line: str) -> Entry | None:
    stripped = line.strip(" \t\r")
    if not stripped or stripped.startswith("#"):
        return None
    fields = re.split(r"[ \t]+", stripped)
    if len(fields) < 3:
        return None
    # A trailing slash names the same directory; mount(8) ignores it as well.
    point = unescape(fields[1])
    fields[1] = point.rstrip("/") or point[:1]
    return Entry(unescape(fields[0]), fields[1], unescape(fields[2]), *map(unescape, fields[3:6]))
