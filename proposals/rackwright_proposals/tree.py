"""A site's files: the one place here that reads a disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from rackwright.model.errors import InputError, Problem

YAML_SUFFIX = ".yaml"
TEMPLATE_SUFFIX = ".j2"
LIBRARY = "rackwright_roles"
"""Files of the role library are shown under this name, e.g. ``rackwright_roles/vlans/role.yaml``."""


@dataclass(frozen=True, slots=True)
class Source:
    """The files of a site by their path in it (``/`` between the parts), and the commit."""

    files: Mapping[str, bytes]
    commit: str = ""


def belongs(path: str) -> bool:
    """Whether the file ``path`` of a site's tree is part of the site: YAML and templates, outside
    of directories whose name starts with a dot. (``.yml`` is taken to warn about it.)"""
    parts = PurePosixPath(path).parts
    if any(part.startswith(".") for part in parts):
        return False
    return path.endswith((YAML_SUFFIX, TEMPLATE_SUFFIX, ".yml"))


def read_tree(path: Path, commit: str = "") -> Source:
    """Read the site under the directory ``path``. Raises InputError for what cannot be read, and
    for symbolic links that lead out of it."""
    if not path.is_dir():
        what = "is not a directory" if path.exists() else "does not exist"
        raise InputError([Problem(f"the site {path} {what}", file=str(path))])
    root = path.resolve()
    files: dict[str, bytes] = {}
    problems: list[Problem] = []

    def note(error: OSError) -> None:
        where = Path(str(error.filename or path))
        problems.append(Problem(f"cannot be read: {error.strerror}", file=_shown(where, path)))

    for folder, folders, names in os.walk(path, onerror=note):
        here = Path(folder)
        for name in [*folders, *names]:
            entry = here / name
            if entry.is_symlink() and not name.startswith("."):
                target = entry.resolve()
                if not target.is_relative_to(root):
                    problems.append(
                        Problem(
                            "this symbolic link leads out of the site", file=_shown(entry, path)
                        )
                    )
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            entry = here / name
            shown = _shown(entry, path)
            if not belongs(shown) or not entry.resolve().is_relative_to(root):
                continue
            if entry.is_symlink() and not entry.exists():
                problems.append(Problem("this symbolic link leads nowhere", file=shown))
                continue
            if not entry.is_file():
                continue
            try:
                files[shown] = entry.read_bytes()
            except OSError as error:
                note(error)
    if problems:
        raise InputError(sorted(problems, key=lambda problem: problem.file))
    return Source(files, commit)


@cache
def read_library() -> Source:
    """The role library that is installed with Rackwright."""
    import rackwright_roles

    found: dict[str, bytes] = {}
    for folder in rackwright_roles.__path__:
        for path, content in read_tree(Path(folder)).files.items():
            found[f"{LIBRARY}/{path}"] = content
    return Source(found)


def _shown(entry: Path, site: Path) -> str:
    try:
        return entry.relative_to(site).as_posix()
    except ValueError:
        return str(entry)
