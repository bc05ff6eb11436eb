"""The exercise of docs/writing-a-platform.md: its code, in a file of its own, passes the suite."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "writing-a-platform.md").read_text()
(CODE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(PLATFORM,) = set(re.findall(r"pdu/units/(\w+)\.py", PAGE))
FOLDER = """
from rackwright_providers.pdu import units

units.__path__.append({folder!r})
"""


def suite(code: str, where: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the conformance suite with ``code`` as one more file among the units."""
    folder = where / "units"
    folder.mkdir()
    (folder / f"{PLATFORM}.py").write_text(code)
    (where / "more_units.py").write_text(FOLDER.format(folder=str(folder)))
    command = [sys.executable, "-m", "pytest", "tests/conformance", "-n", "0", "-p", "more_units"]
    command += ["-p", "no:schemathesis", "-p", "no:anyio"]  # not used there, and long to load
    environment = {name: text for name, text in os.environ.items() if "PYTEST" not in name}
    return subprocess.run(
        [*command, "-k", PLATFORM, *options],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(where), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_it_is_under_forty_lines_of_data() -> None:
    assert len(CODE.splitlines()) < 40
    assert "def " not in CODE
    assert not (ROOT / "tests" / "conformance" / "cases" / f"{PLATFORM}.yaml").exists()


def test_the_suite_passes(tmp_path: Path) -> None:
    done = suite(CODE, tmp_path)
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) >= 12
    assert "1 skipped" in done.stdout  # there are no VLANs here


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (
            '"on": t.Setting(COMMAND, "immediateOn"), "off": t.Setting(COMMAND, "immediateOff")',
            '"on": t.Setting(COMMAND, "immediateOff"), "off": t.Setting(COMMAND, "immediateOn")',
        ),
        (
            '{"outletStatusOn": "on", "outletStatusOff": "off"}',
            '{"outletStatusOn": "off", "outletStatusOff": "on"}',
        ),
        ('"immediateOn")', '"immediatelyOn")'),
    ],
    ids=["commands swapped", "states swapped", "a name that the MIB has not"],
)
def test_a_wrong_table_turns_it_red(right: str, wrong: str, tmp_path: Path) -> None:
    assert right in CODE
    done = suite(
        CODE.replace(right, wrong).replace("status=STATE", "patience=0.5, status=STATE"),
        tmp_path,
        "-x",
    )
    assert done.returncode in (1, 2), done.stdout
    assert re.search(r"1 failed|1 error", done.stdout), done.stdout
