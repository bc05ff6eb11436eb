"""A tgt host: tgtd and OpenSSH, in mount namespaces with ``/etc/tgt`` and ``/srv`` of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from rackwright.model.site import Way
from tests.real import parts

NEEDED = (
    "tgtd",
    "tgtadm",
    "tgt-admin",
    "perl",
    "sshd",
    "unshare",
    "nsenter",
    "setpriv",
    "iscsi-ls",
    "iscsi-readcapacity16",
)
OWN = "mount --bind DIR/etc /etc/tgt && mount --bind DIR/srv /srv && exec sleep infinity"
GATE = r"""#!/bin/sh
# Notes what is called, counts what writes, which it notes with its time in the file that `journal`
# names; refuses what the file `refuse` finds in it; hangs up when `lose` has run down.
cd DIR/gate || exit 1
said="NAME $*"
printf '%s\n' "$said" >> calls
case "$said" in
  'tgtadm '*' show '*|'tgtadm '*' stat '*|'tgtadm --version') exec REAL "$@" ;;
esac
case "$said" in
  'perl -e '*) cat > stdin; exec < stdin; said="perl $(cut -d, -f1 stdin | tr '\n' ' ')" ;;
esac
echo x >> writes
[ -s journal ] && printf '%s array %s\n' "$(date +%s.%N)" "$said" >> "$(cat journal)"
if [ -s lose ]; then
  left=$(cat lose)
  if [ "$left" = 0 ]; then
    : > lose; door=$PPID
    until grep -q sshd "/proc/$door/comm"; do door=$(cut -d' ' -f4 "/proc/$door/stat"); done
    kill -9 "$door"; exit 1
  fi
  echo $((left - 1)) > lose
fi
if [ -s refuse ] && printf '%s ' "$said" | grep -Eq -- "$(cat refuse)"; then
  echo 'tgtadm: the gate is shut' >&2; exit 22
fi
exec REAL "$@"
"""
GATED = (
    "tgtadm",
    "perl",
    "dd",
    "chmod",
    "truncate",
    "fallocate",
    "rm",
    "mv",
    "tgt-admin",
)


def unable() -> str:
    """Reason to skip; empty where all of it is there."""
    return "needs root" if os.geteuid() != 0 else parts.missing(*NEEDED)


def free_port() -> int:
    """A TCP port of the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class TgtHost:
    """tgtd on a portal of the loopback, and a way in for its delegate."""

    run: Path
    way: Way
    portal: str
    env: dict[str, str]
    enter: tuple[str, ...]
    """Goes before a command that is to see the host's own /etc/tgt and /srv."""
    ns: str = ""
    """The namespace whose network tgtd serves; its delegate comes by the loopback all the same."""
    _tgtd: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    process: subprocess.Popen[bytes] | None = None

    @property
    def srv(self) -> Path:
        """What the host sees as /srv."""
        return self.run / "srv"

    @property
    def etc(self) -> Path:
        """What the host sees as /etc/tgt."""
        return self.run / "etc"

    def start(self) -> None:
        """tgtd, with nothing in it."""
        argv = [*self.enter, "tgtd", "-f", "--iscsi", f"portal={self.portal}"]
        log = self.run / "tgtd.log"
        made = parts.daemon(argv, log, ns=self.ns, env=self.env, ready=self._answers)
        self.process = self._tgtd.enter_context(made)

    def kill(self) -> None:
        """tgtd ends at once. It takes no SIGTERM while it has targets."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(5)
            self.process = None
        self._tgtd.close()

    def _answers(self) -> bool:
        done = subprocess.run(
            ["tgtadm", "--op", "show", "--mode", "target"],
            env={**os.environ, **self.env},
            capture_output=True,
        )
        return done.returncode == 0

    def adm(self, *words: str) -> str:
        """``tgtadm``, around the provider."""
        return parts.command(["tgtadm", "--lld", "iscsi", "--op", *words], env=self.env)

    def inside(self, *argv: str) -> str:
        """A command that sees the host's own /etc/tgt and /srv."""
        return parts.command([*self.enter, *argv], env=self.env)

    def calls(self) -> str:
        """Every command that the delegate sent, with its arguments."""
        return (self.run / "gate" / "calls").read_text()

    def luns(self, initiator: str, login: tuple[str, str] | None = None) -> str:
        """What an initiator sees: ``iscsi-ls``. Empty where it sees nothing."""
        done = subprocess.run(
            ["iscsi-ls", "-i", initiator, "-s", f"iscsi://{_user(login)}{self.portal}"],
            capture_output=True,
            text=True,
            timeout=20,
        )
        return done.stdout

    def may_log_in(self, initiator: str, target: str, login: tuple[str, str] | None = None) -> bool:
        """Whether ``iscsi-inq`` reaches LUN 1 of ``target``."""
        done = subprocess.run(
            ["iscsi-inq", "-i", initiator, f"iscsi://{_user(login)}{self.portal}/{target}/1"],
            capture_output=True,
            timeout=20,
        )
        return done.returncode == 0

    def size(self, initiator: str, target: str, lun: int) -> int:
        """Bytes of a LUN, as its initiator is told. Raises PartError."""
        where = f"iscsi://{self.portal}/{target}/{lun}"
        return int(parts.command(["iscsi-readcapacity16", "-s", "-i", initiator, where]))

    def image(self, initiator: str, target: str, lun: int) -> str:
        """A LUN as qemu-io opens it (``--image-opts``)."""
        where = f"driver=iscsi,transport=tcp,portal={self.portal},target={target},lun={lun}"
        return f"{where},initiator-name={initiator}"

    def io(self, initiator: str, target: str, lun: int, *commands: str) -> str:
        """``qemu-io`` as an initiator. Raises PartError; a pattern that does not match is one."""
        words = [word for command in commands for word in ("-c", command)]
        said = parts.command(
            ["qemu-io", *words, "--image-opts", self.image(initiator, target, lun)]
        )
        if "failed" in said or "error" in said:
            raise parts.PartError(said)
        return said


def _user(login: tuple[str, str] | None) -> str:
    return f"{quote(login[0])}%{quote(login[1])}@" if login else ""


def _programs(run: Path) -> str:
    """A directory of gates, first on the PATH of the host's sessions."""
    gate = run / "gate"
    gate.mkdir()
    for name in ("calls", "writes", "journal", "refuse", "lose"):
        (gate / name).touch()
    folder = run / "bin"
    folder.mkdir()
    for name in GATED:
        real = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        text = GATE.replace("DIR", str(run)).replace("NAME", name).replace("REAL", str(real))
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return str(folder)


@contextlib.contextmanager
def tgt_host(*, ns: str = "", journal: Path | None = None) -> Iterator[TgtHost]:
    """A new one, with the pool ``/srv/tgt``; in namespace ``ns`` at the iSCSI port of all addresses
    there. What writes is noted with its time in ``journal``. Skips where it cannot be had."""
    reason = unable()
    if reason:
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:
        # A socket's path is short, and pytest's own directories are not.
        run = Path(tempfile.mkdtemp(prefix="rwt-tgt-"))
        stack.callback(shutil.rmtree, run, ignore_errors=True)
        (run / "srv" / "tgt").mkdir(parents=True)
        (run / "etc" / "conf.d").mkdir(parents=True)
        (run / "etc" / "targets.conf").write_text("include /etc/tgt/conf.d/*.conf\n")
        own = ["unshare", "-m", "sh", "-c", OWN.replace("DIR", str(run))]
        holder = stack.enter_context(parts.daemon(own, run / "holder.out"))
        name = Path(f"/proc/{holder.pid}/comm")
        parts.until(lambda: name.read_text() == "sleep\n", what="its own /etc/tgt and /srv")
        enter = ("nsenter", f"--mount=/proc/{holder.pid}/ns/mnt", "--")
        env = {"TGT_IPC_SOCKET": str(run / "ipc")}
        path = f"{_programs(run)}:{os.environ['PATH']}:/usr/sbin:/sbin"
        lines: Sequence[str] = (f'ForceCommand {" ".join(enter)} sh -c "$SSH_ORIGINAL_COMMAND"',)
        door = stack.enter_context(
            parts.sshd(run / "sshd", port=free_port(), env={**env, "PATH": path}, lines=lines)
        )
        way = Way(transport="ssh", options=door.options())
        if journal is not None:
            (run / "gate" / "journal").write_text(str(journal))
        portal = "0.0.0.0:3260" if ns else f"127.0.0.1:{free_port()}"
        host = TgtHost(run, way, portal, env, enter, ns)
        stack.callback(host.kill)
        host.start()
        yield host
