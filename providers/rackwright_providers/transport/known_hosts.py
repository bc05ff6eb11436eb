"""Host keys that were trusted on first use, one OpenSSH ``known_hosts`` file a node.

Each line is ``[host]:port type base64`` (``host type base64`` for port 22), so ``ssh-keygen -R``
and ``ssh -o UserKnownHostsFile=`` read the same file.
"""

from __future__ import annotations

import os
from pathlib import Path

from rackwright.model.errors import Permanent

FILE_NAME = "known_hosts"


def host_pattern(host: str, port: int) -> str:
    """How OpenSSH writes ``host`` and ``port`` in the first column."""
    return host if port == 22 else f"[{host}]:{port}"


def look_up(path: Path, host: str, port: int) -> str | None:
    """The key trusted before (``type base64``), or None. Raises Permanent when the file cannot be
    read, since going on would trust whatever answers."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise Permanent(f"cannot read the trusted host keys in {path}: {error}") from error
    wanted = host_pattern(host, port)
    for line in lines:
        fields = line.split()
        if len(fields) >= 3 and fields[0] == wanted:
            return f"{fields[1]} {fields[2]}"
    return None


def remember(path: Path, host: str, port: int, key: str) -> None:
    """Keep ``key`` (``type base64``) as the one trusted for ``host`` and ``port``. Atomic, 0600."""
    wanted = host_pattern(host, port)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = []
        if path.exists():
            kept = [
                line
                for line in path.read_text("utf-8").splitlines()
                if line.split()[:1] != [wanted]
            ]
        text = "".join(f"{line}\n" for line in [*kept, f"{wanted} {key}"])
        fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(path)
    except (OSError, UnicodeDecodeError) as error:
        raise Permanent(
            f"cannot keep the host key of {wanted} in {path}: {error}; pin it with host_key"
        ) from error
