"""The simulated switches of the switch bench, in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

from rackwright_sim.control import ask


class Farm:
    """``count`` IOS switches that take ``latency`` seconds a command. ``with`` stops them."""

    def __init__(self, count: int, latency: float, ports: int = 24) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "rackwright_sim.farm",
                "--count", str(count), "--latency", str(latency), "--ports", str(ports),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self.switches: list[dict[str, Any]] = []
        """Name, host, port, host_key, username and password of each."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if "control" in said:
                self._control = said["control"]
            elif "ready" in said:
                return
            else:
                self.switches.append(said)
        raise RuntimeError("the simulated switches did not start")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait()

    def check(self, vlans: list[int]) -> None:
        """Every switch has ``vlans``, running and saved. Raises RuntimeError."""
        for kind in ("running", "startup"):
            for name, text in ask(self._control, kind).items():
                lines = set((text or "").splitlines())
                missing = [vlan for vlan in vlans if f"vlan {vlan}" not in lines]
                if missing or any(f" name bench{vlan}" not in lines for vlan in vlans):
                    raise RuntimeError(f"{name}: VLANs {missing or vlans} are not in {kind}")

    def counters(self) -> dict[str, Any]:
        """Of the first switch: what it was sent so far, see the simulator's `Counters`."""
        found: dict[str, Any] = next(iter(ask(self._control, "counters").values()))
        return found

    def writes(self) -> int:
        """Lines of configuration and saves that all switches have taken so far."""
        return sum(each["writes"] for each in ask(self._control, "counters").values())
