"""Secrets out of what a device says: those that are known by value, and those that show by where they
stand in a configuration, a web answer or a key file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rackwright.model.secret import MASK, Masker

SHOWN = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        # Lines of configurations, Cisco's and those like them: `secret` is what is taken out.
        r"^[ \t]*snmp-server community (?P<secret>\S+)",
        r"^[ \t]*snmp-server host \S+ (?:(?:traps|informs|version \S+|vrf \S+) )*(?P<secret>\S+)",
        r"(?<![\w-])(?:password|secret|passphrase|key-string|pre-shared-key)"
        r" (?:(?:\d|sha512|md5|encrypted|hash|hex|ascii) )?(?P<secret>[^\s,;.:]\S*)[ \t]*\r?$",
        r"^[ \t]*(?:(?:tacacs|radius)-server|ntp|server|ip ospf|neighbor|key) "
        r"(?:\S+ ){0,6}(?:key|md5|authentication-key) (?:\d )?(?P<secret>\S+)",
        r"^[ \t]*(?:incominguser|outgoinguser) \S+ (?P<secret>\S+)",  # tgt
        # Password hashes of crypt(3), wherever they stand.
        r"(?P<secret>\$(?:1|2[aby]|5|6|7|8|9|14|y)\$[./A-Za-z0-9$]{8,})",
        # Keys as files.
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?P<secret>[^-]+)-----END",
        # JSON and XML.
        r'"[^"]*(?:password|passwd|secret|token|community|session_?key)"\s*:\s*"(?P<secret>[^"]+)"',
        r"<[^<>]*(?:password|passwd|secret|token|community)[^<>/]*>(?P<secret>[^<]+)</",
    )
)
_LABEL = re.compile(rf"{MASK[:-1]}\d*{MASK[-1]}")


class Redactor:
    """Puts `MASK` in the place of every secret: ``‹secret›``, and ``‹secret2›``, … for further ones,
    so that what differs differs still."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._known = Masker(secrets)
        self._labels: dict[str, str] = {}

    def label(self, secret: str) -> str:
        """What stands for ``secret``."""
        if _LABEL.fullmatch(secret):
            return secret
        number = len(self._labels) + 1
        return self._labels.setdefault(
            secret, MASK if number == 1 else f"{MASK[:-1]}{number}{MASK[-1]}"
        )

    def text(self, text: str, *, shown: bool = False) -> str:
        """``text`` without secrets. ``shown``: it is what a device says, so those that can be told
        by their place go too."""
        (made,) = self.pieces([text.encode(errors="surrogateescape")], shown=shown)
        return made.decode(errors="surrogateescape")

    def pieces(self, pieces: Sequence[bytes], *, shown: bool) -> list[bytes]:
        """The same of a text that has come in pieces, which may have torn a secret or a character
        apart. What stands for a secret stands where it began."""
        data = b"".join(pieces)
        spans = self._spans(data, shown=shown)
        made = []
        number = start = 0
        for piece in pieces:
            end = start + len(piece)
            kept, at = bytearray(), start
            while number < len(spans) and spans[number][0] < end:
                first, last, label = spans[number]
                if first >= start:
                    kept += data[at:first] + label.encode()
                at = last
                if last > end:
                    break
                number += 1
            made.append(bytes(kept + data[at:end]))
            start = end
        return made

    def _spans(self, data: bytes, *, shown: bool) -> list[tuple[int, int, str]]:
        """Where in ``data`` secrets are, in bytes, and what stands for each."""
        text = data.decode(errors="surrogateescape")
        found = self._known.spans(text)
        if shown:
            by_place = [seen.span("secret") for place in SHOWN for seen in place.finditer(text)]
            found = _merged(found, by_place)
        spans = []
        characters = octets = 0
        for first, last in found:
            before = octets + len(text[characters:first].encode(errors="surrogateescape"))
            octets = before + len(text[first:last].encode(errors="surrogateescape"))
            characters = last
            spans.append((before, octets, self.label(text[first:last])))
        return spans


def _merged(known: list[tuple[int, int]], shown: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Both, in order; where one overlaps another, the two as one."""
    spans: list[tuple[int, int]] = []
    for first, last in sorted([*known, *shown]):
        if spans and first < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(last, spans[-1][1]))
        else:
            spans.append((first, last))
    return spans
