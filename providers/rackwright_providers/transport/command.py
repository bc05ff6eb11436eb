"""Commands on this host: an argument list, a fixed locale, no terminal, a time limit."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rackwright.model.errors import Permanent, Rejected

_SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_SHOWN = 2000


class Output(NamedTuple):
    """What a command answered."""

    code: int
    """Exit status; negative for a signal."""
    out: str
    err: str


def execute(
    argv: Sequence[str],
    *,
    input: str = "",  # as subprocess calls it
    env: Mapping[str, str] | None = None,
    timeout: float = 300.0,
    user: str = "",
    cwd: str = "/",
    check: bool = True,
) -> Output:
    """Run ``argv`` and wait. Past ``timeout`` seconds it is killed with all that it started.

    Raises Rejected when it takes too long and, with ``check``, when it fails; Permanent when it cannot
    be started. Its output goes to memory files, not pipes: a service that it starts may keep
    them open for ever.
    """
    # Most runs start nothing, and these take long to import.
    import signal
    import subprocess

    environment = {**_inherited(), **(env or {})}
    become: dict[str, Any] = {}
    if user:
        become, own = _become(user)
        environment = {**environment, **own, **(env or {})}
    with (
        os.fdopen(os.memfd_create("in"), "w+b") as given,
        os.fdopen(os.memfd_create("out"), "w+b") as out,
        os.fdopen(os.memfd_create("err"), "w+b") as err,
    ):
        given.write(input.encode())
        given.seek(0)
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=given,
                stdout=out,
                stderr=err,
                env=environment,
                cwd=cwd,
                start_new_session=True,
                umask=0o022,
                **become,
            )
        except FileNotFoundError as error:
            missing = cwd if error.filename == cwd else argv[0]
            raise Permanent(f"there is no {missing} here") from error
        except OSError as error:
            raise Permanent(f"{argv[0]} cannot be started: {error.strerror}") from error
        late = False
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            late = True
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        out.seek(0)
        err.seek(0)
        answer = Output(
            process.returncode, *(f.read().decode(errors="replace") for f in (out, err))
        )
    said = (answer.err.strip() or answer.out.strip())[-_SHOWN:]
    if late:
        raise Rejected(f"{argv[0]} did not end within {timeout:g} s", output=said)
    if check and answer.code != 0:
        failed = f"{' '.join(argv[:2])} failed ({_status(answer.code)})"
        raise Rejected(f"{failed}: {said}" if said else failed, output=said)
    return answer


def _status(code: int) -> str:
    return f"exit status {code}" if code >= 0 else f"signal {-code}"


def _inherited() -> dict[str, str]:
    """Our own environment in the C locale, with the system's directories on PATH."""
    known = os.environ.get("PATH", "").split(":")
    path = [part for part in known if part] + [part for part in _SYSTEM_PATH if part not in known]
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("LC_", "LANG", "PYTHON", "VIRTUAL_ENV"))
    }
    return {**kept, "LC_ALL": "C.UTF-8", "PATH": ":".join(path)}


def _become(user: str) -> tuple[dict[str, Any], dict[str, str]]:
    """What Popen needs to run as ``user``, and that user's own variables. Raises Permanent."""
    import pwd

    try:
        found = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except KeyError:
        raise Permanent(f"there is no user {user!r} here") from None
    own = {"HOME": found.pw_dir, "USER": found.pw_name, "LOGNAME": found.pw_name}
    if found.pw_uid == os.geteuid():
        return {}, own
    if os.geteuid() != 0:
        raise Permanent(f"only root can run a command as {user}")
    groups = os.getgrouplist(found.pw_name, found.pw_gid)
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": groups}, own
