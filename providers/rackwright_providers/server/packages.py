"""Packages, by apt or dnf. Neighbouring changes of one kind go into one transaction."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Rejected
from rackwright.model.resource import Resource
from rackwright_providers.server.handler import LocalStep
from rackwright_providers.server.software_resources import Package
from rackwright_providers.transport.local import Host, Reader

Verb = Literal["install", "remove"]

TIMEOUT = 1800.0
LOCK_SECONDS = 120
_APT = (
    "-q",
    "-y",
    "-o",
    f"DPkg::Lock::Timeout={LOCK_SECONDS}",
    "-o",
    "Dpkg::Options::=--force-confdef",  # a changed configuration file is kept: files are our job
    "-o",
    "Dpkg::Options::=--force-confold",
)
_APT_ENV = {"DEBIAN_FRONTEND": "noninteractive", "APT_LISTCHANGES_FRONTEND": "none"}
_DPKG_FORMAT = "${Package}\t${Architecture}\t${db:Status-Status}\t${Version}\n"
_RPM_FORMAT = "%{NAME}\t%{ARCH}\t%{EPOCHNUM}\t%{VERSION}\t%{RELEASE}\n"


def manager() -> str:
    """``apt``, ``dnf``, or nothing when neither is here."""
    for name, command in (("apt", "apt-get"), ("dnf", "dnf")):
        if shutil.which(command):
            return name
    return ""


class PackageHandler:
    """`Package`."""

    nouns: tuple[type[Resource], ...] = (Package,)
    root_only_files = False

    def read(self, host: Reader, wanted: Sequence[Resource]) -> Mapping[Address, Resource]:
        packages = [one for one in wanted if isinstance(one, Package)]
        if not packages:
            return {}
        names = [one.name for one in packages]
        if manager() == "apt":
            # It fails when some are not known; what is known is printed all the same.
            shown = host.probe(["dpkg-query", "-W", f"--showformat={_DPKG_FORMAT}", "--", *names])
            installed = from_dpkg(shown.out)
        else:
            argv = ["rpm", "-q", "--queryformat", _RPM_FORMAT, "--", *(_nevra(n) for n in names)]
            installed = from_rpm(host.probe(argv).out)
        found: dict[Address, Resource] = {}
        for package in packages:
            spellings = installed.get(package.name)
            if spellings:
                version = package.version if package.version in spellings else spellings[0]
                found[package.address] = Package(name=package.name, version=version)
        return found

    def render(self, changes: Sequence[Change]) -> Sequence[LocalStep]:
        steps: list[LocalStep] = []
        for remove, group in groupby(changes, key=lambda change: change.action == "remove"):
            verb: Verb = "remove" if remove else "install"
            together = list(group)
            packages = tuple(
                one for c in together for one in (c.after or c.before,) if isinstance(one, Package)
            )
            steps.append(
                Transaction(
                    addresses=tuple(change.address for change in together),
                    text=" ".join(
                        [
                            verb,
                            *([c.address.name for c in together] if remove else _names(packages)),
                        ]
                    ),
                    verb=verb,
                    packages=packages,
                )
            )
        return steps


def _names(packages: Iterable[Package]) -> list[str]:
    return [f"{p.name}={p.version}" if p.version else p.name for p in packages]


def from_dpkg(text: str) -> dict[str, tuple[str, ...]]:
    """Name, and ``name:arch``, of each installed package → the spellings of its version."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        name, arch, status, version = line.split("\t")
        if status == "installed":
            found[f"{name}:{arch}"] = (version,)
            found.setdefault(name, (version,))
    return found


def from_rpm(text: str) -> dict[str, tuple[str, ...]]:
    """Name, and ``name:arch``, of each installed package → the spellings of its version, the full
    one first. Lines that say "package … is not installed" are passed over."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) != 5:
            continue
        name, arch, epoch, version, release = fields
        full = f"{version}-{release}"
        spellings = (full, version, f"{epoch}:{full}", f"{epoch}:{version}")
        found[f"{name}:{arch}"] = spellings
        found[name] = spellings  # of several kernels the last one installed counts
    return found


def _nevra(name: str, version: str | None = None) -> str:
    """A package as rpm and dnf spell it: ``name-version.arch``."""
    bare, _, arch = name.partition(":")
    return bare + (f"-{version}" if version else "") + (f".{arch}" if arch else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction(LocalStep):
    """Install or remove packages together; when that fails, each by itself, so that one that cannot
    be had keeps none of the others away."""

    verb: Verb
    packages: tuple[Package, ...]

    def apply(self, host: Host) -> None:
        run = _apt if manager() == "apt" else _dnf
        try:
            run(host, self.verb, self.packages)
        except Rejected:
            if len(self.packages) == 1:
                raise
            self._one_by_one(host)

    def _one_by_one(self, host: Host) -> None:
        run = _apt if manager() == "apt" else _dnf
        failed: list[Rejected] = []
        for package in self.packages:
            try:
                run(host, self.verb, [package])
            except Rejected as error:
                failed.append(error)
        if failed:
            output = "\n".join(error.output for error in failed)
            raise Rejected("; ".join(str(error) for error in failed), output=output)


def _apt(host: Host, verb: Verb, packages: Sequence[Package]) -> None:
    if verb == "remove":
        names = [package.name for package in packages]
        foretold = host.run(["apt-get", "remove", *_APT, "--simulate", *names], env=_APT_ENV).out
        others = removed_too(foretold, names)
        if others:
            raise Rejected(f"removing {', '.join(names)} would remove {', '.join(others)} too")
        host.run(["apt-get", "remove", *_APT, *names], env=_APT_ENV, timeout=TIMEOUT)
        return
    exact = ["--allow-downgrades"] if any(package.version for package in packages) else []
    argv = ["apt-get", "install", *_APT, *exact, *_names(packages)]
    try:
        host.run(argv, env=_APT_ENV, timeout=TIMEOUT)
    except Rejected as error:
        if not any(sign in error.output for sign in ("Unable to locate", "was not found", "404")):
            raise
        # The lists may be missing or old; only then are they worth the time.
        host.run(["apt-get", "update", *_APT], env=_APT_ENV, timeout=TIMEOUT)
        host.run(argv, env=_APT_ENV, timeout=TIMEOUT)


def removed_too(simulation: str, names: Collection[str]) -> list[str]:
    """What apt's ``Remv`` lines name beside ``names``: packages that depend on them and that nobody
    asked us to touch."""
    bare = {name.partition(":")[0] for name in names}
    gone = (line.split()[1] for line in simulation.splitlines() if line.startswith("Remv "))
    return [name for name in gone if name.partition(":")[0] not in bare]


def _dnf(host: Host, verb: Verb, packages: Sequence[Package]) -> None:
    # dnf waits for the lock by itself (exit_on_lock is off by default).
    if verb == "install":
        names = [_nevra(package.name, package.version) for package in packages]
        host.run(["dnf", "install", "-y", *names], timeout=TIMEOUT)
        return
    names = [_nevra(package.name) for package in packages]
    host.run(["rpm", "--erase", "--test", *names])  # refuses what others depend on
    host.run(["dnf", "remove", "-y", "--noautoremove", *names], timeout=TIMEOUT)
