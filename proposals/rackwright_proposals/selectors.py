"""Which nodes a role is deployed on: names, globs, ``key=value,…`` and ``*``."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from rackwright_proposals.documents import NodeDocument, RoleDocument, Target
from rackwright_proposals.marks import Problems
from rackwright_proposals.merge import Branch
from rackwright_proposals.names import natural, suggest


def choose(
    target: Target,
    role: RoleDocument,
    nodes: Mapping[str, NodeDocument],
    own: Mapping[str, Branch],
    problems: Problems,
) -> tuple[str, ...]:
    """The nodes that ``target`` names, in natural order. ``own`` holds each node's attributes of
    the site and of itself, which selectors may ask for by dotted path."""
    text = target.text
    if "=" in text:
        found = _by_keys(target, nodes, own, problems)
    elif any(sign in text for sign in "*?["):
        found = [name for name in nodes if fnmatchcase(name, text)]
        if not found:
            hint = suggest(text, list(nodes)) if nodes else "the site has no nodes"
            problems.add(f"{text!r} matches no node", target.mark, hint)
    else:
        return _by_name(target, role, nodes, problems)
    if found is None:
        return ()
    fitting = [name for name in found if _fits(role, nodes[name])]
    if found and not fitting:
        problems.add(
            f"{text!r} matches no node that role {role.name!r} is for",
            target.mark,
            f"the role is for {', '.join(role.types)}",
        )
    return tuple(sorted(fitting, key=natural))


def _fits(role: RoleDocument, node: NodeDocument) -> bool:
    return not role.types or node.type in role.types


def _by_name(
    target: Target, role: RoleDocument, nodes: Mapping[str, NodeDocument], problems: Problems
) -> tuple[str, ...]:
    node = nodes.get(target.text)
    if node is None:
        hint = suggest(target.text, list(nodes))
        problems.add(f"there is no node {target.text!r}", target.mark, hint)
        return ()
    if not _fits(role, node):
        problems.add(
            f"role {role.name!r} is not for a {node.type or 'node without type'}, "
            f"which {node.name!r} is",
            target.mark,
            f"the role is for {', '.join(role.types)}",
        )
        return ()
    return (node.name,)


def _by_keys(
    target: Target,
    nodes: Mapping[str, NodeDocument],
    own: Mapping[str, Branch],
    problems: Problems,
) -> list[str] | None:
    wanted: list[tuple[str, str]] = []
    for part in target.text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not key or not equals or not value:
            problems.add(
                f"{target.text!r} is not a selector", target.mark, "write key=value,key=value"
            )
            return None
        wanted.append((key, value))
    found = list(nodes)
    for key, value in wanted:
        seen = {name: _values(key, nodes[name], own[name]) for name in nodes}
        if not any(seen.values()):
            known = {"type", "platform", "name", *(key for n in nodes.values() for key in n.labels)}
            problems.add(
                f"{target.text!r} matches no node: none has {key!r}",
                target.mark,
                suggest(key, known, "nodes have"),
            )
            return None
        if not any(fnmatchcase(text, value) for texts in seen.values() for text in texts):
            known = {text for texts in seen.values() for text in texts}
            problems.add(
                f"{target.text!r} matches no node: no {key} is {value!r}",
                target.mark,
                suggest(value, known, f"{key} is one of"),
            )
            return None
        found = [name for name in found if any(fnmatchcase(text, value) for text in seen[name])]
    if not found:
        problems.add(f"{target.text!r} matches no node: none has all of it", target.mark)
        return None
    return found


def _values(key: str, node: NodeDocument, own: Branch) -> list[str]:
    plain = {"name": node.name, "type": node.type, "platform": node.platform}
    if key in plain:
        return [plain[key]] if plain[key] else []
    if key in node.labels:
        return [node.labels[key]]
    value: Any = own.data
    for step in key.split("."):
        if not isinstance(value, dict) or step not in value:
            return []
        value = value[step]
    items = value if isinstance(value, list) else [value]
    return [_text(item) for item in items if not isinstance(item, (dict, list))]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
