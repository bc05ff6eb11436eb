"""LLDP neighbours as lldpd's ``lldpctl`` prints them.

lldpd has two JSON forms (lldpctl(8)): ``json0``, where everything is a list, and ``json``, where
what occurs once is an object keyed by its name. Every lldpd has the latter; both are read here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from rackwright.model import typed
from rackwright.model.facts import FoundLink


def neighbours(output: str) -> tuple[FoundLink, ...]:
    """The link ends in ``output`` of ``lldpctl -f json`` or ``json0``, sorted.

    What is not JSON, or not of this shape, holds no neighbours.
    """
    try:
        data = typed.decode(output, object)
    except (msgspec.DecodeError, RecursionError):
        return ()
    found = set()
    for lldp in _each(_get(data, "lldp")):
        for port, seen in _named(_get(lldp, "interface")):
            chassis = _chassis(_get(seen, "chassis"))
            far = next(_each(_get(seen, "port")), None)
            peer = chassis[0] or _text(_get(chassis[1], "id"))
            if port and peer:
                found.add(FoundLink(port=port, peer=peer, peer_port=_port(far)))
    return tuple(sorted(found))


def _port(far: Any) -> str:
    """The far port's name. Only an id of type ``ifname`` is one for certain: others send a MAC
    address or a bare number as the id, and then the description is the name (Linux, Junos, OS10)."""
    ident = next(_each(_get(far, "id")), None)
    value = _text(ident)
    if _get(ident, "type") == "ifname" and value:
        return value
    return _text(_get(far, "descr")) or value


def _chassis(value: Any) -> tuple[str, Any]:
    """System name (empty when the far end sends none) and the object that describes it."""
    if isinstance(value, dict) and "id" not in value:
        for name, body in value.items():
            return name, body
    body = next(_each(value), None)
    return _text(_get(body, "name")), body


def _named(value: Any) -> Iterator[tuple[str, Any]]:
    """(port, neighbour) of every shape: {"eth0": {…}}, [{"eth0": {…}}], {"eth0": [{…}]} and
    [{"name": "eth0", …}]."""
    for item in _each(value):
        if not isinstance(item, dict):
            continue
        if isinstance(item.get("name"), str):
            yield item["name"], item
            continue
        for name, body in item.items():
            for seen in _each(body):
                yield name, seen


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _each(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif value is not None:
        yield value


def _text(value: Any) -> str:
    """The text of ``"x"``, ``{"value": "x"}`` and ``[{"value": "x"}]``."""
    first = next(_each(value), None)
    text = _get(first, "value") if isinstance(first, dict) else first
    return text if isinstance(text, str) else ""
