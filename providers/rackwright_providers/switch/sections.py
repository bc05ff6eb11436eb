"""A configuration as its top lines, each with the lines indented under it. Pure."""

from __future__ import annotations

from collections.abc import Iterator


def sections(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each line that is not indented, and those that follow it indented, stripped. Comments (``!``)
    are left out; what is indented twice counts as its section's."""
    head = ""
    body: list[str] = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("!"):
            continue
        if line[0] not in " \t":
            if head:
                yield head, tuple(body)
            head, body = line.rstrip(), []
        else:
            body.append(line.strip())
    if head:
        yield head, tuple(body)
