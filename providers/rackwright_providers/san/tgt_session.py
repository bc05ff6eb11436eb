"""Sessions with a tgt host over SSH exec channels: one that reads, one that also writes.

Each command is one program with its arguments. Where tgtd listens for tgtadm can be told by
``TGT_IPC_SOCKET`` in sshd's ``SetEnv``. The SSH user must be root: tgtd and tgt-admin take no other.
"""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Mapping, Sequence

from rackwright.model.errors import Permanent, RackwrightError, Rejected, Temporary
from rackwright_providers.san import tgt_conf, tgt_show
from rackwright_providers.san.tgt_show import State
from rackwright_providers.transport.ssh_connection import Completed, SshConnection

TIMEOUT = 60.0
"""Seconds for one command; allocating a large volume takes the longest."""
QUIET = 0.05
"""Seconds without any command to a LUN after which it counts as idle."""
PATIENCE = 15.0
"""Seconds to wait for a LUN to be idle."""

ADM = ("tgtadm", "--lld", "iscsi", "--op")
NOT_FOUND = 127
FIND = ("-maxdepth", "1", "-type", "f", "-name", "*.img", "-printf", "%s %b %p\\n")
END = "\0\0"
READ = f"""\
{" ".join(ADM)} show --mode target || exit
printf '\\0\\0'
{" ".join(ADM)} show --mode account || exit
printf '\\0\\0'
grep -rsZH '' {tgt_conf.FOLDER} --include='rackwright-*.conf'
grep -rsZHiE '<target|include|store' {tgt_conf.ROOT} {tgt_conf.FOLDER} --exclude='rackwright-*'
printf '\\0\\0'
find {tgt_conf.FOLDER} -name 'rackwright-chap-*.secret' -exec sha256sum '{{}}' +
printf '\\0\\0'
find "$@" {shlex.join(FIND)} || true
"""
"""Everything in one exchange: what tgtd holds, the configuration, the files of the pools. Passwords are
not read, neither ours nor those in the files of others."""
WRITE = 'umask 077; cat > "$1.new" && sync "$1.new" && mv -f "$1.new" "$1"'
"""Put a file in place in one step, readable by its owner alone."""

NEW, DELETE, BIND, UNBIND = 0, 1, 3, 4
"""``enum tgtadm_op`` in usr/tgtadm.h."""

TELL = """\
use strict; use Socket;
my $path = ($ENV{TGT_IPC_SOCKET} // "/var/run/tgtd/socket") . ".0";
while (my $line = <STDIN>) {
    chomp $line;
    my ($op, $tid, $text) = split /\\t/, $line, 3;
    my $tgtd;
    socket($tgtd, PF_UNIX, SOCK_STREAM, 0) && connect($tgtd, pack_sockaddr_un($path))
        or die "can't connect to tgt daemon, $!\\n";
    my $request = pack("ll a64 Ll x16 L6", 7, $op, "iscsi", 121 + length $text, $tid, (0) x 6) . "$text\\0";
    syswrite($tgtd, $request) == length $request or die "can't send to tgt daemon, $!\\n";
    my $answer;
    (sysread($tgtd, $answer, 8) // 0) == 8 or die "tgtd closed the socket\\n";
    my ($error) = unpack "L", $answer;
    die "tgtd answers $error to request $.\\n" if $error;
}
"""
"""Requests about accounts, one a line of standard input: tgtadm takes passwords as arguments alone,
where every user of the host could read them. The request is ``struct tgtadm_req`` of usr/tgtadm.h,
the same since tgt 1.0.30: mode (7 is MODE_ACCOUNT), op, lld, len, tid, sid, lun, six zeros; then what
tgtadm would send. Perl is there wherever tgt-admin is. Nothing happens between two requests that
does not have to, so that a target is not without its account for longer than that."""

_ERRORS = {14: "this account already exists", 15: "can't find the account"}


class TgtReader:
    """Has no way to write: its commands are fixed, and none of them changes anything."""

    def __init__(self, connection: SshConnection, stop: threading.Event) -> None:
        self.via = connection.via
        self._connection = connection
        self._stop = stop
        self.pools = frozenset({tgt_conf.POOL})
        """The directories where volumes are looked for."""

    def alive(self) -> bool:
        """See `Session.alive`."""
        return self._connection.alive()

    def gone(self) -> bool:
        """See `Session`."""
        return self._connection.gone()

    def close(self) -> None:
        """See `Session.close`."""
        self._connection.close()

    def state(self) -> State:
        """What tgtd holds, its configuration files, and the files in all pools that are known: those of
        `pools`, and those of what our targets show."""
        state = self._read(self.pools)
        more = tgt_conf.pools(state) - self.pools
        if more:
            self.pools |= more
            state = self._read(self.pools)
        return state

    def _read(self, pools: frozenset[str]) -> State:
        said = self._checked(["sh", "-c", READ, "sh", *sorted(pools)])
        parts = said.split(END.encode())
        if len(parts) != 5:
            raise Temporary(f"{self.via}: an answer was cut off")
        targets, accounts, files, secrets, found = parts
        return State(
            targets=tgt_show.targets(targets.decode("utf-8", "replace")),
            accounts=tgt_show.accounts(accounts.decode("utf-8", "replace")),
            files=tgt_show.files(files),
            secrets=tgt_show.digests(secrets.decode("utf-8", "replace")),
            backings=tgt_show.backings(found.decode("utf-8", "replace")),
        )

    def spaces(self, pools: Sequence[str]) -> Mapping[str, tuple[int, int]]:
        """Size and free bytes of the pools that are there."""
        done = self._connection.run(["df", "-B1", "--output=size,avail", "--", *pools])
        missed = done.stderr.decode("utf-8", "replace")
        there = [pool for pool in pools if f" {pool}:" not in missed]
        rows = [line.split() for line in done.stdout.decode("utf-8", "replace").splitlines()[1:]]
        return {
            pool: (int(row[0]), int(row[1]))
            for pool, row in zip(there, rows, strict=False)
            if len(row) == 2 and row[0].isdecimal() and row[1].isdecimal()
        }

    def version(self) -> str:
        """tgtadm's version; empty where it has none to tell."""
        done = self._connection.run(["tgtadm", "--version"])
        return "" if done.status else done.stdout.decode("utf-8", "replace").strip()

    def _checked(self, argv: Sequence[str], stdin: bytes = b"") -> bytes:
        done = self._connection.run(argv, stdin, timeout=TIMEOUT)
        if done.status or b"tgtd closed the socket" in done.stderr:
            raise failure(self.via, argv[0], done)
        return done.stdout


class TgtWriter(TgtReader):
    """Can also write. What fails raises Rejected or Temporary."""

    def tell(self, *words: str) -> None:
        """``tgtadm --lld iscsi --op WORDS``."""
        self._checked([*ADM, *words])

    def tell_accounts(self, requests: Sequence[tuple[int, int, str]]) -> None:
        """Requests about accounts (op, tid, text), right after one another."""
        lines = "".join(f"{op}\t{tid}\t{text}\n" for op, tid, text in requests)
        self._checked(["perl", "-e", TELL], lines.encode())

    def run(self, *argv: str) -> None:
        """A command that changes files."""
        self._checked(argv)

    def write(self, path: str, text: str) -> None:
        """Put a configuration file in place in one step, readable by root alone."""
        self._checked(["sh", "-c", WRITE, "sh", path], text.encode())

    def wait_until_idle(self, tid: int, lun: int) -> None:
        """Until no command is being carried out for a LUN. Raises Temporary when it stays busy."""
        end = time.monotonic() + PATIENCE
        before: str | None = None
        while True:
            said = self._checked([*ADM, "stat", "--mode", "target", "--tid", str(tid)])
            now = tgt_show.idle(said.decode("utf-8", "replace"), lun)
            if now == "" or (now is not None and now == before):
                return
            before = now
            if time.monotonic() > end or self._stop.wait(QUIET):
                raise Temporary(f"{self.via}: LUN {lun} of target {tid} is busy")


def failure(via: str, program: str, done: Completed) -> RackwrightError:
    """What a command that went wrong means."""
    said = done.stderr.decode("utf-8", "replace").strip() or done.stdout.decode("utf-8", "replace")
    text = said.strip().splitlines()[-1] if said.strip() else f"{program}: status {done.status}"
    text = text.removeprefix("tgtadm: ")
    if done.status == NOT_FOUND:
        return Permanent(f"{via}: {text}")
    if "ermission denied" in said:
        return Permanent(f"{via}: the user may not manage tgt: {text}")
    if "to tgt daemon" in said:  # "can't connect …", "failed to send request hdr …"
        return Temporary(f"{via}: tgtd does not answer; does it run?")
    if "closed the socket" in said or "Connection reset" in said:
        return Temporary(f"{via}: tgtd ended while it was asked: {text}")
    code = text.removeprefix("tgtd answers ").partition(" ")[0]
    if text.startswith("tgtd answers ") and code.isdecimal():
        text = _ERRORS.get(int(code), text)
    return Rejected(text, output=said)
