"""No secret leaves in clear, however it is spelt; and a short one garbles nothing that machines read."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from rackwright.engine.ledger import LedgerFile
from rackwright.model.address import Address
from rackwright.model.errors import Permanent
from rackwright.model.resource import Resource
from rackwright.model.secret import MASK, Masker
from rackwright.vault import read_secrets

from .memory import Device, Memory, Thing, bundle, declare, thing
from .test_converge import run, states

NASTY = ["it's\\a\"trap", "tab\there!", "wörd-geheim", "two\nlines-of-it", "'\"both"]


@pytest.mark.parametrize("secret", NASTY)
@pytest.mark.parametrize(
    "spell",
    [str, repr, ascii, json.dumps, lambda s: json.dumps(s, ensure_ascii=False)],
    ids=["plain", "repr", "ascii", "json-ascii", "json"],
)
def test_a_quoted_secret_is_masked(secret: str, spell: object) -> None:
    assert callable(spell)
    said = Masker([secret]).text(f"refused: {spell(secret)}")
    assert MASK in said
    inner = spell(secret).strip("'\"")
    assert inner not in said


def test_the_last_line_break_of_a_block_is_no_part_of_what_is_masked() -> None:
    assert Masker(["hunter2\n"]).text("password hunter2 refused") == f"password {MASK} refused"


def test_keys_are_masked_too() -> None:
    assert Masker(["hunter2"]).data({"hunter2": ["hunter2"]}) == {MASK: [MASK]}


@pytest.mark.parametrize(
    "secret", ["a", "in", "changed", "create", "dev1", "thing", "r1", "0", "note"]
)
def test_a_short_secret_garbles_no_state_address_or_digest(tmp_path: Path, secret: str) -> None:
    file, device = LedgerFile(tmp_path / "ledger.json"), Device()
    wanted = bundle(declare("thing/a", note="in a thing"), declare("thing/b0"))
    plain = run(LedgerFile(tmp_path / "plain.json"), Device(), wanted)
    report = run(file, device, wanted, secrets={"s": secret})
    assert states(report) == states(plain)
    assert [o.digest for o in report.outcomes] == [o.digest for o in plain.outcomes]
    assert (report.node, report.revision) == ("dev1", "r1")


def test_a_purged_name_that_is_a_secret_is_masked(tmp_path: Path) -> None:
    device = Device(state={Address("thing", "hunter2"): thing("thing/hunter2")})
    file = LedgerFile(tmp_path / "ledger.json")
    report = run(file, device, bundle(purge=("thing",)), secrets={"s": "hunter2"})
    assert states(report) == {f"thing/{MASK}": "removed"}


def test_a_secret_in_a_name_is_refused(tmp_path: Path) -> None:
    file, device = LedgerFile(tmp_path / "ledger.json"), Device()
    report = run(file, device, bundle(declare("thing/x-⟦secret:s⟧")), secrets={"s": "hunter2"})
    assert [outcome.state for outcome in report.outcomes] == ["refused"]
    assert device.writes == []
    assert b"hunter2" not in file.path.read_bytes()


def test_a_secret_that_is_no_longer_one_is_not_shown(tmp_path: Path) -> None:
    """The field held a secret, the site drops it, and the host forgets it, all at once."""
    file, device = LedgerFile(tmp_path / "ledger.json"), Device()
    run(file, device, bundle(declare("thing/a", note="pw ⟦secret:s⟧")), secrets={"s": "hunter2"})
    report = run(file, device, bundle(declare("thing/a", note="no more")))
    assert states(report) == {"thing/a": "changed"}
    assert b"hunter2" not in msgspec.json.encode(report.outcomes[0].changes)


class Narrow(Memory):
    """Notes of five characters."""

    def canonical(self, resource: Resource) -> Resource:
        if isinstance(resource, Thing) and len(resource.note or "") > 5:
            raise Permanent(f"note {resource.note!r} is too long")
        return super().canonical(resource)


def test_a_reference_is_not_held_against_the_limits_of_its_value(tmp_path: Path) -> None:
    file, device = LedgerFile(tmp_path / "ledger.json"), Device()
    wanted = bundle(declare("thing/a", note="⟦secret:pin⟧"))
    report = run(file, device, wanted, provider=Narrow(), secrets={"pin": "0042"})
    assert states(report) == {"thing/a": "changed"}
    assert file.load().entries["thing/a"].data["note"] == "⟦secret:pin⟧"


def test_a_value_that_breaks_a_limit_is_not_quoted(tmp_path: Path) -> None:
    file, device = LedgerFile(tmp_path / "ledger.json"), Device()
    wanted = bundle(declare("thing/a", note="⟦secret:pw⟧"))
    report = run(file, device, wanted, provider=Narrow(), secrets={"pw": "it's\\hunter2"})
    assert states(report) == {"thing/a": "refused"}
    assert report.outcomes[0].why == f'note "{MASK}" is too long'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("example.org", "example.org"),
        ("community x ro", f"community {MASK} ro"),
        ("x", MASK),
        ("password='x'", f"password='{MASK}'"),
        ("snmp://x@10.0.0.1/", f"snmp://{MASK}@10.0.0.1/"),
        ("exit\nx\r\n", f"exit\n{MASK}\r\n"),
        (repr("exit\nx\r\n"), repr(f"exit\n{MASK}\r\n")),
    ],
)
def test_a_short_secret_is_masked_where_it_stands_by_itself(text: str, shown: str) -> None:
    assert Masker(["x"]).text(text) == shown
    # Beside a longer one that has it within.
    assert Masker(["x", "x-rays"]).text(f"{text} x-rays") == f"{shown} {MASK}"
    assert Masker(["long"]).text("prolonged") == f"pro{MASK}ed"


def test_short_secrets_are_warned_of_once_by_their_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "secrets"
    path.write_text("pin: q7\nempty: ''\nlong: q7q7\n")
    path.chmod(0o600)
    for _ in range(3):
        assert read_secrets(path)["pin"] == "q7"
    (said,) = caplog.messages
    assert said.endswith("by itself: pin")
    assert "q7" not in said.removeprefix(str(path))
