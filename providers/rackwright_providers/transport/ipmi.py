"""IPMI 2.0 over LAN: a session that can only read, and the one that can also write.

The messages are ours, byte by byte (`Request`); ipmitool carries them: it speaks RMCP+ with every
controller that there is, bridges to the controllers behind one, and is in every distribution. Its own
words for commands are not used: ``sdr`` and ``fru`` of some versions clear an SDR repository that
they cannot read. It gets the password in its environment, never as an argument.

A batch of messages is one RMCP+ session of some seven packets, closed after it: controllers have
four or five sessions, and end one that is silent for a minute.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rackwright.model.errors import (
    Permanent,
    RackwrightError,
    Rejected,
    Temporary,
    Unreachable,
)
from rackwright.model.site import Ipmi
from rackwright.provider import LeaseLike, Recorder, Replay, Surroundings

BMC = 0x20
"""The controller's own address (IPMI 2.0, 5.5)."""
TRY_SECONDS, TRIES = 2, 3
"""Of one packet."""
SESSION_SECONDS = 30.0
"""For a session to be made."""
LONGEST_PASSWORD, LONGEST_USER = 20, 16  # bytes; IPMI 2.0, 22.30 and 13.20

READS: Mapping[tuple[int, int], str] = {
    (0x06, 0x01): "Get Device ID",
    (0x00, 0x01): "Get Chassis Status",
    (0x00, 0x09): "Get System Boot Options",
    (0x0A, 0x10): "Get FRU Inventory Area Info",
    (0x0A, 0x11): "Read FRU Data",
    (0x0A, 0x23): "Get SDR",
}
"""(network function, command) of what a reader may send; IPMI 2.0, appendix G."""
WRITES: Mapping[tuple[int, int], str] = {
    (0x00, 0x02): "Chassis Control",
    (0x00, 0x08): "Set System Boot Options",
}

CODES: Mapping[int, str] = {
    0x83: "there is no such controller (NAK)",
    0xC0: "node busy",
    0xC1: "invalid command",
    0xC3: "timeout",
    0xC4: "out of space",
    0xC9: "parameter out of range",
    0xCB: "requested data not present",
    0xCC: "invalid data field",
    0xCE: "no response could be provided",
    0xD0: "SDR repository in update mode",
    0xD1: "device in firmware update mode",
    0xD2: "initialization in progress",
    0xD3: "there is no such controller (destination unavailable)",
    0xD4: "insufficient privilege level",
    0xD5: "not supported in its present state",
    0xD6: "this sub-function has been disabled",
    0xFF: "unspecified error",
}
"""Completion codes; IPMI 2.0, table 5-2, and of Send Message (22.7)."""
ABSENT = (0x83, 0xD3)
BUSY = (0x81, 0x82, 0xC0, 0xC3, 0xC4, 0xCE, 0xD0, 0xD1, 0xD2)


class Request(NamedTuple):
    """One message for the controller at ``target``, on the primary IPMB when that is not the BMC."""

    target: int
    netfn: int
    command: int
    data: bytes = b""

    @property
    def name(self) -> str:
        """As the specification calls it."""
        return {**READS, **WRITES}.get((self.netfn, self.command), "unknown command")

    def __str__(self) -> str:
        octets = " ".join(f"{octet:02x}" for octet in (self.netfn, self.command, *self.data))
        return f"{self.name} ({octets}) to {self.target:#04x}"


class Refusal(NamedTuple):
    """A controller's answer that is none: its completion code; 0 when it did not answer at all."""

    code: int

    def __str__(self) -> str:
        return (
            CODES.get(self.code, f"completion code {self.code:#04x}") if self.code else "no answer"
        )


class IpmiReader:
    """A session that sends `READS` alone."""

    def __init__(
        self,
        options: Ipmi,
        stop: threading.Event,
        recorder: Recorder | None = None,
        replay: Replay | None = None,
        lease: LeaseLike | None = None,
    ) -> None:
        host = f"[{options.host}]" if ":" in options.host else options.host
        self.via = f"ipmi {host}:{options.port}"
        """For reports."""
        self.stop = stop
        """Set when the process must leave: who waits between requests waits on this."""
        self.targets: dict[str, int] = {}
        """Addresses of controllers by the names that a provider gave them, kept with the session."""
        self._options = options
        self._recorder, self._replay, self._lease = recorder, replay, lease

    def ask(self, *requests: Request) -> list[bytes | Refusal]:
        """The answers' data, without the completion code, in order. Raises Unreachable when no
        session can be made or it ends, Permanent for credentials and for what is not reading."""
        for request in requests:
            if (request.netfn, request.command) not in READS:
                raise Permanent(f"{self.via}: {request} is not reading, and was not sent")
        return self._exchange(requests)

    def alive(self) -> bool:
        """Whether the controller answers. Asks it; never raises."""
        try:
            return isinstance(self.ask(Request(BMC, 0x06, 0x01))[0], bytes)
        except RackwrightError:
            return False

    def close(self) -> None:
        """Nothing is left open between requests."""

    def _exchange(self, requests: Sequence[Request]) -> list[bytes | Refusal]:
        if self._replay is not None:
            return [_kept(self._replay.exchange("ipmi", {"sent": str(one)})) for one in requests]
        answers = self._carried(requests) if requests else []
        if self._recorder is not None:
            for request, answer in zip(requests, answers, strict=False):
                self._recorder.exchange("ipmi", {"sent": str(request)}, _keep(answer))
        return answers

    def _carried(self, requests: Sequence[Request]) -> list[bytes | Refusal]:
        script = "".join(
            f"set targetaddr {one.target:#04x}\n"
            f"raw {' '.join(f'{octet:#04x}' for octet in (one.netfn, one.command, *one.data))}\n"
            for one in requests
        )
        limit = SESSION_SECONDS + TRY_SECONDS * (TRIES + 1) * len(requests)
        out, said = self._run(script, limit)
        answers = parse(out, said)
        if len(answers) < len(requests):
            raise self._failure(said)
        return answers

    def _run(self, script: str, limit: float) -> tuple[str, str]:
        """Standard output and standard error of ipmitool. Killed at ``limit``, or when we leave."""
        given = self._options
        # OPERATOR is what reading boot options and FRUs takes, and all that switching power does.
        argv = ["ipmitool", "-v", "-I", "lanplus", "-H", given.host, "-p", str(given.port)]
        argv += ["-U", given.username, "-E", "-L", "OPERATOR", "-C", str(given.cipher)]
        argv += ["-N", str(TRY_SECONDS), "-R", str(TRIES), "exec", "/dev/stdin"]
        if self._lease is not None:
            self._lease.check()
            # It sends again by itself, so it must end in time by itself too, should we be paused.
            limit = min(limit, self._lease.left())
            argv[:0] = ["timeout", "--foreground", "--signal=KILL", f"{limit:.2f}"]
        env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
        env["IPMI_PASSWORD"] = given.password
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env=env,
                start_new_session=True,
            )
        except OSError as error:
            raise Permanent(f"ipmitool cannot be run on this host: {error.strerror}") from None
        end, given_in = time.monotonic() + limit, script
        with process:
            while True:
                try:
                    found = process.communicate(given_in or None, timeout=0.25)
                    break
                except subprocess.TimeoutExpired:
                    given_in = ""
                    if self.stop.is_set() or time.monotonic() > end:
                        os.killpg(process.pid, signal.SIGKILL)
                        if self.stop.is_set():
                            raise Temporary(f"{self.via}: told to stop") from None
                        raise Unreachable(f"{self.via}: no answer in {limit:.0f} s") from None
        if self._lease is not None:
            self._lease.check()  # cut off, it said nothing worth reading
        return found

    def _failure(self, said: str) -> RackwrightError:
        """Why there is no session, from what ipmitool said (its lanplus.c)."""
        for pattern, kind, text in NO_SESSION:
            if re.search(pattern, said):
                return kind(f"{self.via}: {text.format(self._options)}")
        return Unreachable(f"{self.via}: no answer")


NO_SESSION: Sequence[tuple[str, type[RackwrightError], str]] = (
    (r"RAKP 2 HMAC is invalid", Permanent, "the controller does not take the password of {0.username!r}"),
    (r"unauthorized name|invalid name", Permanent, "the controller has no user {0.username!r}"),
    (r"unauthorized role|invalid role|exceeds limit|Set Session Privilege Level", Permanent, "the user {0.username!r} is not an operator"),
    (r"invalid (?:authentication|integrity|confidentiality) algorithm|no cipher suite match|no matching", Permanent, "the controller does not offer cipher suite {0.cipher}; see `cipher`"),
    (r"insufficient resources", Temporary, "the controller has no session left"),
    (r"Address lookup for", Unreachable, "there is no host {0.host!r}"),
    (r"is not ?n?t? ?supported|unknown option|invalid option", Permanent, "this ipmitool is too old"),
)  # fmt: skip
"""What is found in ipmitool's words, and what it means."""


def _keep(answer: bytes | Refusal) -> dict[str, str | int]:
    """An answer for a recording."""
    return {"refused": answer.code} if isinstance(answer, Refusal) else {"octets": answer.hex(" ")}


def _kept(answer: Mapping[str, str | int]) -> bytes | Refusal:
    """An answer of a recording."""
    octets = answer.get("octets")
    return Refusal(int(answer["refused"])) if octets is None else bytes.fromhex(str(octets))


class IpmiSession(IpmiReader):
    """A session that can also write."""

    def send(self, *requests: Request) -> None:
        """Messages out of `READS` and `WRITES`, all of them; the last is what counts, those before it
        prepare it where a controller knows them. Raises Rejected when the controller refuses the
        last, and Temporary when it is busy. That it answered well does not mean that it did it."""
        for request in requests:
            if (request.netfn, request.command) not in {**READS, **WRITES}:
                raise Permanent(f"{self.via}: {request} is none of our commands, and was not sent")
        answer = self._exchange(requests)[-1]
        if isinstance(answer, Refusal):
            raise failed(requests[-1], answer)


def failed(request: Request, refusal: Refusal) -> RackwrightError:
    """The error for a refusal."""
    text = f"{request}: {refusal}"
    if refusal.code == 0:
        return Unreachable(text)
    if refusal.code in BUSY:
        return Temporary(text)
    return Rejected(text, output=str(refusal))


def open_ipmi(options: Ipmi, around: Surroundings) -> IpmiReader:
    """A session with a controller that answers: `IpmiSession` if ``around.writable``, else
    `IpmiReader`. Raises as `IpmiReader.ask` does."""
    if around.replay is None and shutil.which("ipmitool") is None:
        raise Permanent("IPMI needs ipmitool, which is not installed on this host")
    for what, text, most in (
        ("password", options.password, LONGEST_PASSWORD),
        ("username", options.username, LONGEST_USER),
    ):
        if len(text.encode()) > most:
            raise Permanent(f"the {what} has more than the {most} bytes that IPMI allows")
    kind = IpmiSession if around.writable else IpmiReader
    session = kind(options, around.stop, around.recorder, around.replay, around.lease)
    (answer,) = session.ask(Request(BMC, 0x06, 0x01))
    if isinstance(answer, Refusal):
        raise failed(Request(BMC, 0x06, 0x01), answer)
    return session


_SAID = re.compile(
    r"^(?P<sent>RAW REQ \()|^RAW RSP \((?P<octets>\d+) bytes\)|^Unable to send RAW command(?P<no>.*)",
    re.M,
)


def parse(out: str, said: str) -> list[bytes | Refusal]:
    """Pure: the answers in what ``ipmitool -v`` wrote: to standard output their octets one after
    another, to standard error a line for each message sent and one for what came of it."""
    octets = bytes.fromhex(
        "".join(line for line in out.splitlines() if re.fullmatch(r"(?: [0-9a-f]{2})+\s*", line))
    )
    answers: list[bytes | Refusal] = []
    waiting = False
    for found in _SAID.finditer(said):
        if found["sent"]:
            if waiting:
                answers.append(Refusal(0))
            waiting = True
        elif waiting and found["octets"]:
            length = int(found["octets"])
            answers.append(octets[:length] if len(octets) >= length else Refusal(0))
            octets, waiting = octets[length:], False
        elif waiting:
            code = re.search(r"rsp=0x([0-9a-fA-F]+)", found["no"] or "")
            answers.append(Refusal(int(code[1], 16) if code else 0))
            waiting = False
    if waiting:
        answers.append(Refusal(0))
    return answers
