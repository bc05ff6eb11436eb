"""Who is asking: one credential a node, and the admin's.

Credentials and tokens are 256 random bits, so a plain SHA-256 keeps them at rest: there is nothing
to guess, and nothing that a slow hash would add.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from rackwright.model.errors import Permanent

ADMIN = "\0admin"
"""The admin as a subject; no node can have this name."""
ADMIN_FILE = "admin.credential"


def new_secret() -> str:
    """A new credential or token."""
    return secrets.token_urlsafe(32)


def hashed(secret: str) -> str:
    """What is kept of a credential or token."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


class Credentials:
    """Hashes of all credentials, in memory."""

    def __init__(self, admin_hash: str, nodes: dict[str, str]) -> None:
        self._admin = admin_hash
        self._by_node = dict(nodes)
        self._owner = {found: node for node, found in nodes.items()}

    def subject(self, credential: str) -> str | None:
        """Whose credential this is: a node's name, `ADMIN`, or None for nobody's."""
        presented = hashed(credential)
        if hmac.compare_digest(presented, self._admin):
            return ADMIN
        node = self._owner.get(presented)
        return node if node is not None and self.is_node(node, presented) else None

    def verify(self, node: str, credential: str) -> bool:
        """Whether ``credential`` is the one of ``node``."""
        return self.is_node(node, hashed(credential))

    def is_node(self, node: str, presented: str) -> bool:
        """Whether this hash is the one of ``node``'s credential."""
        return hmac.compare_digest(presented, self._by_node.get(node, ""))

    def enrolled(self, node: str) -> bool:
        """Whether ``node`` has a credential."""
        return node in self._by_node

    def end(self, node: str) -> None:
        """The credential of ``node`` is worth nothing now."""
        old = self._by_node.pop(node, None)
        if old is not None:
            self._owner.pop(old, None)

    def replace(self, node: str, credential_hash: str) -> None:
        """``node`` has a new credential; its old one is worth nothing now."""
        self.end(node)
        self._by_node[node] = credential_hash
        self._owner[credential_hash] = node


def admin_credential(data: Path) -> tuple[Path, str]:
    """The admin's credential file in the store's data directory and the hash of what it holds. It
    is made (0600) when it is not there: deleting it and starting again gives a new credential."""
    path = data / ADMIN_FILE
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        text = new_secret()
        partial = path.with_suffix(".new")
        partial.unlink(missing_ok=True)
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    except (OSError, UnicodeError) as error:
        raise Permanent(f"{path} cannot be read: {error}") from error
    if len(text) < 32:
        raise Permanent(f"{path} holds no credential; delete it and start again to get a new one")
    return path, hashed(text)
