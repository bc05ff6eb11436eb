"""FRR's command line, which is IOS-like and configures real ports, over SSH and on a serial line."""

from __future__ import annotations

import contextlib
import pwd
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.real import parts

NEEDS = ("zebra", "vtysh", "socat", "agetty", "setsid", "setpriv")


@dataclass(frozen=True)
class Frr:
    """A router whose ports are the interfaces of its namespace."""

    ns: str
    run: Path

    @property
    def vtysh(self) -> list[str]:
        """The command that shows its command line."""
        return ["vtysh", "--vty_socket", str(self.run), "--config_dir", str(self.run)]

    def in_use(self) -> bool:
        """Whether somebody is logged in."""
        running = psutil.process_iter(["cmdline"])
        return any(
            (process.info["cmdline"] or [])[: len(self.vtysh)] == self.vtysh for process in running
        )

    def is_up(self, port: str) -> bool:
        """What the kernel says of a port, around FRR."""
        shown = parts.command(["ip", "-o", "link", "show", port], ns=self.ns)
        return "UP" in shown.partition("<")[2].partition(">")[0].split(",")


@contextlib.contextmanager
def frr(ns: str, hostname: str = "r1") -> Iterator[Frr]:
    """zebra in ``ns``. Its directory is not the test's, since it runs as a user of its own."""
    user = pwd.getpwnam("frr")
    run = Path(tempfile.mkdtemp(prefix=f"{parts.PREFIX}-frr-"))
    try:
        run.chmod(0o755)
        for name in ("zebra.conf", "vtysh.conf"):
            (run / name).write_text(f"hostname {hostname}\n")
        shutil.chown(run, user.pw_uid, user.pw_gid)
        argv = ["/usr/lib/frr/zebra", "-z", f"{run}/zserv.api", "--vty_socket", str(run)]
        argv += ["-i", f"{run}/zebra.pid", "-u", "frr", "-g", "frr", "-P", "0"]
        argv += ["-f", f"{run}/zebra.conf"]
        router = Frr(ns, run)
        with parts.daemon(argv, run / "zebra.out", ns=ns, ready=lambda: _answers(router)):
            yield router
    finally:
        shutil.rmtree(run, ignore_errors=True)


def _answers(router: Frr) -> bool:
    try:
        parts.command([*router.vtysh, "-c", "show version"])
    except parts.PartError:
        return False
    return True


LOGIN = """\
#!/bin/bash
# What getty starts, with the name that it asked for: asks for the password, then the command line.
stty -echo; printf 'Password: '; IFS= read -r given; stty echo; echo
if [ "$1" = {username} ] && [ "$given" = {password} ]; then exec {shell}; fi
echo 'Login incorrect'
"""


@contextlib.contextmanager
def console(
    router: Frr, run: Path, username: str = "rack", password: str = "staple"
) -> Iterator[str]:
    """A serial line with a getty on the router's end, one more after each logout; our end of it."""
    run.mkdir(parents=True, exist_ok=True)
    ours, theirs = run / "ttyS0", run / "getty"
    login = run / "login"
    login.write_text(
        LOGIN.format(
            username=shlex.quote(username),
            password=shlex.quote(password),
            shell=f"env PAGER=cat HOME={shlex.quote(str(run))} {shlex.join(router.vtysh)}",
        )
    )
    login.chmod(0o755)
    line = ["socat", f"PTY,link={ours},raw,echo=0", f"PTY,link={theirs},raw,echo=0"]

    def laid() -> bool:
        return ours.exists() and theirs.exists()

    with parts.daemon(line, run / "socat.out", ready=laid):
        tty = theirs.resolve().relative_to("/dev")
        getty = ["setsid", "-w", "agetty", "-L", "-i", "--noclear", "--login-program", str(login)]
        getty += ["--login-options", "\\u", "9600", str(tty), "vt100"]
        respawn = f"while [ -e {theirs} ]; do {shlex.join(getty)}; done"
        with parts.daemon(["bash", "-c", respawn], run / "getty.out", ns=router.ns):
            yield str(ours)
