"""Recordings: what is taken out of them, what is in them, and how they play."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from rackwright.cli.main import group
from rackwright.model.change import Wanted
from rackwright.model.errors import Permanent, Temporary, Unreachable
from rackwright.model.site import Way
from rackwright.provider import Registry, Surroundings
from rackwright_providers.switch.linux_frr import LinuxFrr
from rackwright_providers.transport import recording, replay, snmprec
from rackwright_providers.transport.redaction import Redactor
from rackwright_providers.transport.snmp_value import Kind, Value
from rackwright_sim.apc_rpdu import ApcRpdu, RpduOptions
from rackwright_sim.linux_frr import FrrDevice, FrrOptions
from rackwright_sim.linux_frr_lines import FrrSerial, FrrSsh
from rackwright_sim.snmp_objects import Access

PASSWORD = "corréct horse's"
WAY = Way(transport="ssh", options={"host": "10.0.0.2", "username": "rack", "password": PASSWORD})


@pytest.mark.parametrize(
    ("shown", "left"),
    [
        ("snmp-server community publ1c RO", "snmp-server community ‹secret› RO"),
        (
            "snmp-server host 10.0.0.9 version 2c tr4p",
            "snmp-server host 10.0.0.9 version 2c ‹secret›",
        ),
        ("enable secret 9 $9$abcdefgh$ijk", "enable secret 9 ‹secret›"),
        (
            "username a privilege 15 secret sha512 $6$ab$cdefghij",
            "username a privilege 15 secret sha512 ‹secret›",
        ),
        (" password 7 0822455D0A16\r", " password 7 ‹secret›\r"),
        (
            "tacacs-server host 10.0.0.3 key 7 1234abcd",
            "tacacs-server host 10.0.0.3 key 7 ‹secret›",
        ),
        ("ntp authentication-key 3 md5 k3y 7", "ntp authentication-key 3 md5 ‹secret› 7"),
        ("incominguser web1 s3cret", "incominguser web1 ‹secret›"),
        ("root:$y$j9T$abcdefgh:19000:", "root:‹secret›:19000:"),
        ('{"Password": "x y", "Name": "b1"}', '{"Password": "‹secret›", "Name": "b1"}'),
        ("<user-password>x y</user-password>", "<user-password>‹secret›</user-password>"),
        ("Password: ", "Password: "),
        ("% Bad secrets", "% Bad secrets"),
        (" description key to the kingdom", " description key to the kingdom"),
        ("crypto key generate rsa", "crypto key generate rsa"),
    ],
)
def test_secrets_that_show_by_their_place(shown: str, left: str) -> None:
    assert Redactor([]).text(shown, shown=True) == left


def test_what_differs_differs_still() -> None:
    redactor = Redactor(["one"])
    text = "snmp-server community one\nsnmp-server community two\nsnmp-server community one\n"
    assert redactor.text(text, shown=True) == text.replace("one", "‹secret›").replace(
        "two", "‹secret2›"
    )
    assert redactor.text(redactor.text(text, shown=True), shown=True).count("‹secret›") == 2


@pytest.mark.parametrize("size", [1, 2, 3, 5, 40])
def test_a_secret_that_came_in_pieces(size: int) -> None:
    whole = f"a {PASSWORD} b {PASSWORD}".encode()
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    found = Redactor([PASSWORD]).pieces(pieces, shown=True)
    assert len(found) == len(pieces)
    assert b"".join(found).decode() == "a ‹secret› b ‹secret›"


@pytest.mark.parametrize(
    ("kind", "data", "line"),
    [
        ("integer", -3, "1.3|2|-3"),
        ("octets", b"sw a1", "1.3|4|sw a1"),
        ("octets", b"a|b", "1.3|4x|617c62"),
        ("octets", b"\xff\x00", "1.3|4x|ff00"),
        ("octets", b"", "1.3|4|"),
        ("oid", "1.3.6.1", "1.3|6|1.3.6.1"),
        ("address", "10.0.0.1", "1.3|64|10.0.0.1"),
        ("unsigned32", 7, "1.3|66|7"),
        ("counter64", 2**64 - 1, "1.3|70|18446744073709551615"),
        ("opaque", b"ab", "1.3|68x|6162"),
    ],
)
def test_values_as_snmprec(kind: Kind, data: Any, line: str) -> None:
    assert snmprec.line("1.3", Value(kind, data)) == line
    assert snmprec.parsed(line) == ("1.3", Value(kind, data))


class Talk:
    """A stream that says what it is told to."""

    via = "ssh 10.0.0.2:22"

    def __init__(self, *said: bytes) -> None:
        self.said = list(said)

    def read(self, timeout: float) -> bytes:
        return self.said.pop(0) if self.said else b""

    def write(self, data: bytes) -> None:
        pass

    def alive(self) -> bool:
        return True

    def close(self) -> None:
        pass


def test_a_stream_is_kept_line_by_line_whatever_its_bytes() -> None:
    kept = recording.Recording()
    stream = kept.stream("ssh", Talk(b"Pass", b"word: ", b"\xff\x00\r\nok\xc3", b"\xa9\r\n# "))
    stream.read(1.0)
    stream.read(1.0)
    stream.write(PASSWORD.encode() + b"\r")
    stream.read(1.0)
    stream.read(1.0)
    body = kept.redacted("sw1", "cisco_ios", WAY, [], "2026-01-01")
    head, *rest = map(json.loads, body.decode().split("\n")[:-1])
    assert head["options"] == {"host": "10.0.0.2", "username": "rack", "password": "‹secret›"}
    assert rest == [
        {"open": "ssh 10.0.0.2:22"},
        {"came": "Password: "},
        {"sent": "‹secret›\r"},
        {"came": {"hex": "ff000d0a"}},
        {"came": "oké\r\n"},
        {"came": "# "},
    ]
    (_, events), *_ = replay.parsed(body).streams
    assert b"".join(data for kind, data in events if kind == "came").endswith("oké\r\n# ".encode())


def test_a_secret_that_came_byte_by_byte_is_found() -> None:
    kept = recording.Recording()
    said = f"banner {PASSWORD}\n".encode()
    stream = kept.stream("ssh", Talk(*(bytes([byte]) for byte in said)))
    for byte in said:
        assert stream.read(1.0) == bytes([byte])
        stream.write(b" ")
    body = kept.redacted("sw1", "cisco_ios", WAY, [], "2026-01-01").decode()
    came = [line["came"] for line in map(json.loads, body.split("\n")[2:-1]) if "came" in line]
    assert "".join(came) == "banner ‹secret›\n"


def test_played_streams_answer_in_any_order_and_say_what_they_lack() -> None:
    events = (
        ("came", b"# "),
        ("sent", b"show a\r"),
        ("came", b"A# "),
        ("sent", b"show b sync-0123abcd\r"),
        ("came", b"0123abcd B# "),
    )
    head = recording.Head(
        recording=1, node="n", platform="x", transport="ssh", date="", rackwright="", options={}
    )
    player = replay.Player(replay.Recorded(head, (("ssh n", events),), (), {}), chunk=3)
    stream = player.stream("ssh")
    assert stream.read(0.0) == b""  # nothing comes at once
    assert stream.read(1.0) == b"# "
    stream.write(b"show b sync-89abcdef\r")
    assert b"".join(stream.read(1.0) for _ in range(5)) == b"89abcdef B# "
    stream.write(b"show a\r")
    assert stream.read(1.0) == b"A# "
    stream.write(b"\r")
    before = stream.now()
    assert stream.read(2.0) == b""
    assert stream.now() == before + 2.0
    with pytest.raises(Unreachable, match=r"no answer to 'show c"):
        stream.write(b"show c\r")
    for _ in range(29):
        assert stream.read(10.0) == b""
    with pytest.raises(Unreachable, match="says no more"):
        stream.read(10.0)
    with pytest.raises(Unreachable, match="no further session"):
        player.stream("ssh")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"no JSON\n",
        b"[]\n",
        b'{"recording": 2, "node": "n", "platform": "x", "transport": "ssh", "date": "", "rackwright": "", "options": {}}\n',
    ],
)
def test_what_is_no_recording(body: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.recording"
    file.write_bytes(body)
    with pytest.raises(Permanent, match=r"x\.recording: .*recording"):
        replay.load(file)


@pytest.mark.parametrize(
    "broken", [b"x", b"{}", b'{"came": "a"}', b'{"snmprec": "1|2"}', b'{"exec": {}}']
)
def test_a_broken_line_is_named(broken: bytes) -> None:
    head = recording.Recording().redacted("n", "linux_frr", WAY, [], "")
    with pytest.raises(Permanent, match="line 2: not a recording"):
        replay.parsed(head + broken + b"\n")


@pytest.fixture
def router() -> FrrDevice:
    return FrrDevice(FrrOptions(hostname="r1", password=PASSWORD, ports=("lan1", "lan2")))


def site(base: Path, platform: str = "linux_frr", **ways: dict[str, Any]) -> Path:
    login = {"username": "rack", "password": {"secret": "console"}}
    reach = [{name: {**options, **login}} for name, options in ways.items()]
    node = {"node": "r1", "type": "switch", "platform": platform, "reach": reach}
    (base / "site").mkdir()
    (base / "site" / "site.yaml").write_text(f"site: x\n---\n{json.dumps(node)}\n")
    (base / "state").mkdir()
    secrets = base / "state" / "secrets"
    secrets.touch(mode=0o600)
    secrets.write_text(json.dumps({"console": PASSWORD}))
    return base / "site"


def command(base: Path, *words: str) -> Result:
    state = ["--site", str(base / "site"), "--state", str(base / "state")]
    return CliRunner().invoke(group, [*words, *(state if words[0] == "record" else [])])


def test_record_and_replay_as_a_user_does_it(
    router: FrrDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    router.ports["lan1"].description = f"paid with {PASSWORD}"
    with FrrSsh(router) as ssh, FrrSerial(router, tmp_path / "line") as line:
        gone = {"host": ssh.host, "port": ssh.port, "host_key": "ssh-ed25519 AAAA"}
        site(tmp_path, ssh=gone, serial={"port": str(line.link)})
        done = command(tmp_path, "record", "r1")
        assert done.exit_code == 0, (done.output, done.exception)
        assert "3 resources of r1 over serial" in done.output  # the first way does not work
        failed = command(tmp_path, "record", "r1", "--over", "ssh", "-o", "other")
        assert isinstance(failed.exception, Permanent)
        unknown = command(tmp_path, "record", "r1", "--over", "snmp")
        assert "reached over ssh, serial, not over 'snmp'" in str(unknown.exception)
    file = tmp_path / "r1.recording"
    assert [path.name for path in tmp_path.glob("*") if path.is_file()] == ["r1.recording"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    assert PASSWORD not in text
    assert '{"sent": "‹secret›\\r"}' in text
    assert router.counters.writes == 0

    shown = command(tmp_path, "replay", str(file))
    assert shown.exit_code == 0, shown.output
    assert "port/lan1" in shown.output
    assert "paid with ‹secret›" in shown.output
    data = json.loads(command(tmp_path, "replay", str(file), "--json").output)
    assert data["resources"]["port/lan1"]["description"] == "paid with ‹secret›"
    assert data["facts"]["values"]["version"] == "8.4.4"
    assert data["head"]["transport"] == "serial"
    assert PASSWORD not in shown.output


def test_what_does_not_play_for_what_was_taken_out_is_said(tmp_path: Path) -> None:
    # A password that is part of the prompt: what is masked is no prompt any more.
    device = FrrDevice(FrrOptions(hostname="r1", password="r1", ports=("lan1",)))
    with FrrSsh(device) as ssh:
        at = {"host": ssh.host, "port": ssh.port, "host_key": ssh.host_key}
        site(tmp_path, ssh=at)
        (tmp_path / "state" / "secrets").write_text(json.dumps({"console": "r1"}))
        file = tmp_path / "r1.recording"
        done = command(tmp_path, "record", "r1", "-o", str(file))
    assert done.exit_code == 0, (done.output, done.exception)
    assert "it does not play as the device did" in done.output
    assert "r1#" not in file.read_text()


def test_a_platform_that_is_found_is_recorded_as_what_it_is(
    router: FrrDevice, tmp_path: Path
) -> None:
    with FrrSsh(router) as ssh:
        at = {"host": ssh.host, "port": ssh.port, "host_key": ssh.host_key}
        site(tmp_path, "auto", ssh=at)
        file = tmp_path / "r1.recording"
        done = command(tmp_path, "record", "r1", "-o", str(file))
        assert done.exit_code == 0, (done.output, done.exception)
    assert replay.load(file).head.platform == "linux_frr"
    assert "port/lan2" in command(tmp_path, "replay", str(file)).output


def test_a_line_cut_off_at_every_byte_is_never_read_wrong(
    router: FrrDevice, tmp_path: Path
) -> None:
    provider = LinuxFrr()
    wanted = Wanted(provider.resources, {})
    kept = recording.Recording()
    with FrrSerial(router, tmp_path / "line") as line:
        options = {"port": str(line.link), "username": "rack", "password": PASSWORD}
        way = Way(transport="serial", options=options)
        with closing(provider.open(way, Surroundings(state=tmp_path, recorder=kept))) as session:
            whole = provider.read(session, wanted)
    recorded = replay.parsed(kept.redacted("r1", "linux_frr", way, [], ""))
    size = sum(len(data) for kind, data in recorded.streams[0][1] if kind == "came")
    whole_at = []
    for cut in range(size):
        try:
            with closing(replay.open(recorded, cut=cut)) as session:
                assert provider.read(session, wanted) == whole
                whole_at.append(cut)
        except Temporary:
            assert not whole_at, "what was enough is enough with more of it"
    # The login prompt that comes after our `exit` is not part of what is read.
    assert 0 < len(whole_at) < 60


@pytest.fixture
def responder() -> str:
    path = Path(sys.executable).with_name("snmpsim-command-responder")
    if not path.exists():
        pytest.skip("snmpsim is not installed")
    return str(path)


def test_snmpsim_plays_a_recorded_mib(responder: str, tmp_path: Path) -> None:
    provider = Registry.installed().provider("apc_rpdu")
    wanted = Wanted(provider.resources, {})
    kept = recording.Recording()
    options: dict[str, Any] = {"host": "127.0.0.1", "community": "s3cret"}
    with ApcRpdu(RpduOptions(access=Access(read=("s3cret",), write=(), users=()))) as unit:
        way = Way(transport="snmp", options={**options, "port": unit.port})
        with closing(provider.open(way, Surroundings(state=tmp_path, recorder=kept))) as session:
            live = provider.read(session, wanted), provider.discover(session)
    file = tmp_path / "pdu.recording"
    file.write_bytes(kept.redacted("pdu", "apc_rpdu", way, [], ""))
    assert "s3cret" not in file.read_text()
    mib = command(tmp_path, "replay", str(file), "--snmprec").output
    with Snmpsim(responder, tmp_path, mib) as port:
        way = Way(transport="snmp", options={**options, "community": "pdu", "port": port})
        end = time.monotonic() + 30
        while True:
            try:
                session = provider.open(way, Surroundings(state=tmp_path))
                break
            except Unreachable:  # it is still reading its data
                assert time.monotonic() < end
        with closing(session):
            assert (provider.read(session, wanted), provider.discover(session)) == live


class Snmpsim:
    """snmpsim with one device."""

    def __init__(self, responder: str, base: Path, mib: str) -> None:
        for name in ("data", "cache"):
            (base / name).mkdir()
        (base / "data" / "pdu.snmprec").write_text(mib)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        argv = [responder, f"--data-dir={base / 'data'}", f"--cache-dir={base / 'cache'}"]
        argv.append(f"--agent-udpv4-endpoint=127.0.0.1:{self.port}")
        if os.geteuid() == 0:
            argv += ["--process-user=root", "--process-group=root"]
        with (base / "log").open("w") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=base
            )

    def __enter__(self) -> int:
        return self.port

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(10)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["sent", "came"]),
            st.one_of(st.binary(min_size=1, max_size=12), st.text(min_size=1).map(str.encode)),
        ),
        max_size=8,
    )
)
def test_what_was_said_comes_back_byte_for_byte(said: list[tuple[str, bytes]]) -> None:
    kept = recording.Recording()
    stream = kept.stream("ssh", Talk(*(data for kind, data in said if kind == "came")))
    for kind, data in said:
        if kind == "came":
            assert stream.read(1.0) == data
        else:
            stream.write(data)
    way = Way(transport="ssh", options={"host": "10.0.0.2"})
    ((_, events),) = replay.parsed(kept.redacted("n", "cisco_ios", way, [], "")).streams
    for direction in ("sent", "came"):
        before = [data for kind, data in said if kind == direction]
        after = [data for kind, data in events if kind == direction]
        assert b"".join(after) == b"".join(before)
        assert direction == "came" or after == before
