"""Where a PDU is told of, and in whose name it is spoken to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rackwright.cli import options
from rackwright.model.errors import Unreachable

if TYPE_CHECKING:
    from rackwright.client import StoreClient
    from rackwright.model.site import Node
    from rackwright.provider import Registry
    from rackwright.source import Source, StoreSource


class Asked(NamedTuple):
    """What every command on outlets is told."""

    store_url: str | None
    ca: Path | None
    site: Path | None
    state: Path
    secrets_path: Path | None
    here: str
    """The node name of this admin host, as far as it is given."""

    @property
    def secrets(self) -> Path:
        """Where this host's secrets are."""
        return self.secrets_path or self.state / "secrets"


class Unit(NamedTuple):
    """A PDU, as a site or a store tells of it."""

    node: Node
    source: Source
    store: StoreSource | None = None
    """The source, when it is a store."""
    hosted: Path | None = None
    """State directory of the host whose daemon of delegates has the node's lease."""

    def last_feeds(self) -> Mapping[str, str]:
        """Address → what would be without power, of the outlets that are somebody's last live feed.
        Raises Unreachable when the store does not answer."""
        if self.store is None:
            return self.source.gates().last_feeds
        one = self.store
        # Nothing is kept of it: the state directory is the daemon's.
        return one.client.gates(one.node, one.credential, epoch=one.epoch)[0].last_feeds


def unit(name: str, asked: Asked, registry: Registry, host: str) -> Unit:
    """The node ``name``. ``host`` is the name of this admin host. Raises Unreachable, with the host
    that has it, for a node that the store has put elsewhere."""
    url = options.store_or_site(asked.store_url, asked.site)
    if asked.site:
        from rackwright.cli.tree import Tree, TreeSource

        source = TreeSource(Tree(asked.site, registry, asked.state), name)
        return Unit(source.bundle().node, source)
    from rackwright.client import StoreClient

    client = StoreClient(url or "", ca=str(asked.ca) if asked.ca else None)
    return _of_store(name, client, asked.state, host)


def _of_store(name: str, client: StoreClient, state: Path, host: str) -> Unit:
    from rackwright import hosted
    from rackwright.source import StoreSource, credential
    from rackwright.store_http import NotAllowed

    told = hosted.ask(state / host, "list")
    one = (told or {}).get(name)
    own, ours = (state / node / "credential" for node in (name, host))
    if one is None and (own.exists() or not ours.exists()):
        source = StoreSource(client, name, credential(state, client, name, ""), state / name)
        return Unit(source.bundle().node, source, source)
    why = one.why if one is not None else ""
    if one is None or one.state == "running":
        source = StoreSource(client, name, credential(state, client, host, ""), state / name)
        source.epoch = one.epoch if one is not None else 0
        try:
            return Unit(source.bundle().node, source, source, state / host)
        except NotAllowed as error:
            why = str(error)
    daemon = "" if told is not None else f", and no daemon of delegates answers on {host}"
    raise Unreachable(f"{name} is not converged from here: {why}{daemon}")
