"""The files of a site, and of the role library, as documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from rackwright_proposals.documents import Documents, SiteDocument
from rackwright_proposals.entries import Nouns
from rackwright_proposals.load import load
from rackwright_proposals.marks import Map, Mark, Problems, origin_of
from rackwright_proposals.merge import Branch
from rackwright_proposals.names import natural
from rackwright_proposals.readers import read_documents
from rackwright_proposals.tree import YAML_SUFFIX, Source, read_library


@dataclass(frozen=True, slots=True)
class Loaded:
    """One file and the maps in it."""

    content: bytes
    documents: list[Map]


def load_files(
    source: Source, problems: Problems, warnings: Problems, before: Mapping[str, Loaded]
) -> dict[str, Loaded]:
    """Every file of documents; one that is as it was ``before`` is not read again."""
    loaded: dict[str, Loaded] = {}
    for file in sorted(source.files):
        content = source.files[file]
        if file in before and before[file].content == content:
            loaded[file] = before[file]
        elif file.endswith(YAML_SUFFIX):
            loaded[file] = Loaded(content, load(file, content, problems))
        elif file.endswith(".yml"):
            warnings.add("only .yaml files are read", Mark(file, 0), "rename it to .yaml")
    return loaded


def the_site(
    documents: Documents, source: Source, readable: bool, problems: Problems
) -> SiteDocument:
    """The one site document: of several the first, of none an empty one."""
    sites = sorted(documents.sites.values(), key=lambda site: site.mark)
    for other in sites[1:]:
        problems.add(
            f"a site has one site document, and the first is at {sites[0].mark}",
            other.mark,
            "leave one of them out, or give another site a directory of its own",
        )
    if sites:
        return sites[0]
    if readable:
        empty = not any(file.endswith(YAML_SUFFIX) for file in source.files)
        what = "the site has no .yaml file" if empty else "the site has no site document"
        problems.add(what, Mark("site.yaml", 0), "write site: NAME in one of its files")
    mark = Mark("site.yaml", 0)
    return SiteDocument("", mark, Branch({}, {}, mark, origin_of(mark)), {})


@cache
def library() -> Mapping[str, Map]:
    """The library's roles by name, as loaded."""
    problems = Problems()
    files = load_files(read_library(), problems, problems, {})
    if len(problems):
        raise AssertionError(f"the role library is broken: {problems.listed()}")
    documents = [document for file in files.values() for document in file.documents]
    return {str(document["role"]): document for document in documents}


def library_roles() -> Mapping[str, str]:
    """The roles of the library by name, each with its description."""
    return {name: str(role.get("description", "")) for name, role in sorted(library().items())}


def add_library_roles(
    documents: Documents,
    nouns: Nouns,
    problems: Problems,
    warnings: Problems,
    before: Documents | None,
) -> None:
    """Add the library's roles that are deployed to ``documents``; those of ``before`` are not read again."""
    known = library()
    for name, role in sorted(documents.roles.items()):
        if name in known:
            warnings.add(
                f"role {name!r} takes the place of the library's role of that name", role.mark
            )
    wanted = {
        deployment.role
        for proposal in documents.proposals.values()
        for deployment in proposal.deploy
    }
    missing = sorted((wanted & set(known)) - set(documents.roles), key=natural)
    written = [known[name] for name in missing]
    read = read_documents(written, nouns, "", problems, library=True, before=before)
    documents.roles.update(read.roles)
    documents.written.update(read.written)
