"""Commands in software, put on PATH: systemctl, rpm and dnf that keep their state in a file."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

SYSTEMCTL = """
verbs = {
    "start": {"ActiveState": "active"}, "stop": {"ActiveState": "inactive"},
    "restart": {"ActiveState": "active"}, "reload": {}, "try-restart": {},
    "enable": {"UnitFileState": "enabled"}, "disable": {"UnitFileState": "disabled"},
}
words = [word for word in argv if not word.startswith("-")]
verb, units = words[0], words[1:]
if verb == "show":
    asked = argv[1].partition("=")[2].split(",")
    missing = {"LoadState": "not-found", "ActiveState": "inactive", "UnitFileState": ""}
    blocks = []
    for unit in units:
        shown = {"NeedDaemonReload": "no", **state["units"].get(unit, missing)}
        blocks.append("\\n".join(f"{name}={shown[name]}" for name in asked))
    print("\\n\\n".join(blocks))
elif verb == "daemon-reload":
    for unit in state["units"].values():
        unit["NeedDaemonReload"] = "no"
else:
    for unit in units:
        if unit not in state["units"]:
            sys.exit(f"Failed to {verb} {unit}: Unit {unit} not found.")
        state["units"][unit].update(verbs[verb])
"""

RPM = """
names = [word for word in argv if not word.startswith("-")]
if "-q" in argv:
    names = argv[argv.index("--") + 1:]
    for name in names:
        bare, dot, arch = name.rpartition(".")
        found = state["installed"].get(bare or name) or state["installed"].get(name)
        if found:
            print("\\t".join(found))
        else:
            print(f"package {name} is not installed")
else:
    for name in names:
        if name in state["needed"]:
            sys.exit(f"error: Failed dependencies: {name} is needed by (installed) {state['needed'][name]}")
"""

DNF = """
verb, names = argv[0], [word for word in argv[1:] if not word.startswith("-")]
for name in names:
    if verb == "remove":
        state["installed"].pop(name, None)
        continue
    for known, fields in state["repository"].items():
        full = f"{known}-{fields[3]}-{fields[4]}"
        if name in (known, f"{known}-{fields[3]}", full):
            state["installed"][known] = fields
            break
    else:
        sys.exit(f"Error: Unable to find a match: {name}")
"""

_FRAME = """#!{python}
import json, sys
from pathlib import Path
path = Path({state!r})
state = json.loads(path.read_text())
argv = sys.argv[1:]
state["calls"].append(" ".join([Path(sys.argv[0]).name, *argv]))
try:
{body}
finally:
    path.write_text(json.dumps(state))
"""


class Fakes:
    """A directory of fake commands, first (or alone) on PATH, with one state."""

    def __init__(self, place: Path, **state: Any) -> None:
        self.bin = place / "bin"
        self.bin.mkdir()
        self._state = place / "state.json"
        self.write({"calls": [], **state})

    def add(self, name: str, body: str) -> None:
        command = self.bin / name
        indented = "\n".join(f"    {line}" for line in body.strip().splitlines())
        command.write_text(
            _FRAME.format(python=sys.executable, state=str(self._state), body=indented)
        )
        command.chmod(0o755)

    def use(self, patch: pytest.MonkeyPatch, *, alone: bool = False) -> None:
        patch.setenv("PATH", str(self.bin) if alone else f"{self.bin}:{os.environ['PATH']}")

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._state.read_text())
        return found

    def write(self, state: dict[str, Any]) -> None:
        self._state.write_text(json.dumps(state))

    def writes(self) -> list[str]:
        """The calls that changed something."""
        reading = ("systemctl show", "rpm -q", "rpm --erase --test")
        return [call for call in self.state["calls"] if not call.startswith(reading)]
