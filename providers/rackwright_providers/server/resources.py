"""The nouns of servers."""

from __future__ import annotations

from rackwright_providers.server import storage_resources
from rackwright_providers.server.account_resources import AuthorizedKey, Group, User
from rackwright_providers.server.file_resources import Directory, File, LineInFile, Symlink
from rackwright_providers.server.kernel_resources import Mount, Sysctl
from rackwright_providers.server.network_resources import HostEntry, Interface, Route
from rackwright_providers.server.software_resources import Cron, Delegate, Exec, Package, Service

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
