"""A server in a slot of a chassis: while the slot has power its agent runs, and nothing of it otherwise.

It is a network namespace, with ``/etc/iscsi`` of its own. There is no kernel iSCSI in a namespace, so its
sessions are those of libiscsi, held by a qemu-nbd each, and stand in its ``/sys`` as the kernel would
show them; the records of open-iscsi are open-iscsi's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from tests.real import parts

NEEDS = ("unshare", "iscsiadm", "qemu-nbd", "qemu-io")

BOOT = """#!/bin/sh
# /sys/class cannot be written: a copy of links takes its place, which has room for iSCSI sessions.
set -e
mount --bind RUN/etc /etc/iscsi
mount --bind /sys RUN/sys
mount -t tmpfs machine /sys/class
ln -s RUN/sys/class/* /sys/class/
mkdir /sys/class/iscsi_session /sys/class/iscsi_connection
exec "$@"
"""
ISCSIADM = """#!/bin/sh
for word; do
  case "$last" in -T) iqn=$word ;; -p) portal=$word ;; esac
  last=$word
done
session=/sys/class/iscsi_session/session1 connection=/sys/class/iscsi_connection/connection1:0
note() { printf '%s NAME %s %s\\n' "$(date +%s.%N)" "$1" "$iqn" >> JOURNAL; }
of() { sed -n "s/^$1 = //p" "/etc/iscsi/nodes/$iqn/"*",${portal##*:}"* | head -1; }
case "$last" in
--login)
  options="driver=iscsi,transport=tcp,portal=$portal,target=$iqn,lun=1,timeout=5"
  options="$options,initiator-name=$(sed -n 's/^InitiatorName=//p' /etc/iscsi/initiatorname.iscsi)"
  user=$(of 'node.session.auth.username')
  if [ -n "$user" ]; then
    of 'node.session.auth.password' | tr -d '\\n' > RUN/password
    set -- --object secret,id=chap,file=RUN/password
    options="$options,user=$user,password-secret=chap"
  else
    set --
  fi
  if ! qemu-nbd --fork --persistent --shared 4 --pid-file=RUN/nbd.pid --socket=RUN/nbd "$@" \\
      --image-opts "$options" > RUN/nbd.out 2>&1 < /dev/null; then
    echo "iscsiadm: $(tail -1 RUN/nbd.out)" >&2; exit 8
  fi
  mkdir $session $connection
  echo "$iqn" > $session/targetname
  echo "${portal%:*}" > $connection/persistent_address
  echo "${portal##*:}" > $connection/persistent_port
  note login ;;
--logout)
  pid=$(cat RUN/nbd.pid)
  kill "$pid"
  while grep -q '^State:.[^Z]' "/proc/$pid/status" 2>/dev/null; do sleep 0.02; done
  rm -r $session $connection
  note logout ;;
*) exec /usr/sbin/iscsiadm "$@" ;;
esac
"""


@dataclass
class Machine:
    """A server that is off."""

    name: str
    ns: str
    run: Path
    slot: Path
    """The directory in which the chassis keeps the slot's ``power`` and asks for a ``shutdown``."""
    start: Callable[[list[str]], AbstractContextManager[subprocess.Popen[bytes]]]
    """Runs its agent, behind these words."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _trouble: str = ""

    @property
    def boot(self) -> list[str]:
        """Goes before the command of its agent."""
        return ["unshare", "-m", str(self.run / "boot")]

    @property
    def path(self) -> str:
        """Its PATH."""
        return f"{self.run / 'bin'}:{os.environ['PATH']}:/usr/sbin:/sbin"

    @property
    def disk(self) -> str:
        """The LUN, through the session that this server has."""
        return f"nbd+unix:///?socket={self.run / 'nbd'}"

    def has_power(self) -> bool:
        """Whether its slot gives it any."""
        return (self.slot / "power").read_text().strip() == "1"

    def io(self, *commands: str) -> str:
        """``qemu-io`` on its LUN. Raises PartError; a pattern that does not match is one."""
        words = [word for one in commands for word in ("-c", one)]
        said = parts.command(["qemu-io", "-f", "raw", *words, self.disk])
        if "failed" in said or "error" in said:
            raise parts.PartError(said)
        return said

    def _live(self) -> None:
        """Follow the power of the slot until told to stop."""
        try:
            while not self._stop.wait(0.03):
                if self.has_power():
                    with self.start(self.boot) as agent:
                        self._run(agent)
                    self._cut()
        except Exception as error:  # noqa: BLE001  it is told to the test
            self._trouble = f"{self.name}: {error}"

    def _run(self, agent: subprocess.Popen[bytes]) -> None:
        while self.has_power() and not self._stop.wait(0.03):
            if (self.slot / "shutdown").exists() and agent.poll() is None:
                agent.send_signal(signal.SIGTERM)
                agent.wait(20)
                (self.slot / "shutdown").unlink()
                (self.slot / "power").write_text("0\n")
        if agent.poll() is None:
            agent.kill()

    def _cut(self) -> None:
        """Nothing in it runs without power."""
        for pid in parts.command(["ip", "netns", "pids", self.ns]).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        (self.run / "nbd.pid").unlink(missing_ok=True)

    def check(self) -> None:
        """Raises PartError when it could not be as its slot says."""
        if self._trouble:
            raise parts.PartError(self._trouble)


@contextlib.contextmanager
def machine(
    name: str,
    run: Path,
    ns: str,
    slot: Path,
    journal: Path,
    start: Callable[[Machine, list[str]], AbstractContextManager[subprocess.Popen[bytes]]],
) -> Iterator[Machine]:
    """A server that is off until its slot has power. Logins and logouts are noted in ``journal``."""
    (run / "etc" / "nodes").mkdir(parents=True)
    for folder in ("bin", "sys"):
        (run / folder).mkdir()
    slot.mkdir(parents=True, exist_ok=True)
    (slot / "power").write_text("0\n")
    (run / "etc" / "iscsid.conf").write_bytes(Path("/etc/iscsi/iscsid.conf").read_bytes())
    for place, text in ((run / "boot", BOOT), (run / "bin" / "iscsiadm", ISCSIADM)):
        text = text.replace("RUN", str(run)).replace("JOURNAL", str(journal)).replace("NAME", name)
        place.write_text(text)
        place.chmod(0o755)
    made = Machine(name, ns, run, slot, lambda words: start(made, words))
    thread = threading.Thread(target=made._live, name=name)
    thread.start()
    try:
        yield made
    finally:
        made._stop.set()
        thread.join()
