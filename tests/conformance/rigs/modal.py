"""What the rigs of our simulated Arista and Dell switches have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from rackwright.model.site import Way
from rackwright_sim.faults import Faults
from rackwright_sim.modal_device import ModalDevice
from tests.conformance.rig import held

PASSWORD = "s3cret-login"
SECRETS: Mapping[str, str] = {
    "login": PASSWORD,
    "community": "s3cret-community",
    "deploy": "s3cret-deploy-1",
    "rotated": "s3cret-deploy-2",
}


class Switch:
    """One switch; ``config`` gives its running configuration."""

    secrets: Mapping[str, str] = SECRETS

    def __init__(
        self,
        device: ModalDevice,
        config: Callable[[], Any],
        ways: Mapping[str, Way],
        patterns: Mapping[str, str],
    ) -> None:
        """``patterns``: what is refused of each noun, its name as ``{}``."""
        self.device = device
        self.config = config
        self.ways = ways
        self.patterns = patterns

    def state(self) -> dict[str, Any]:
        """Hashes have another salt each time, so of a hash only whose it is counts."""
        config = self.config()
        whose = {name: self._password(name) for name in config.users}
        users = {
            f"local_user/{name}": {**asdict(user), "secret": whose[name]}
            for name, user in config.users.items()
        }
        logs: dict[str, list[str]] = {}
        for line in config.logging:
            logs.setdefault(f"syslog_server/{line.split()[2]}", []).append(line)
        known = {text: name for name, text in (("monitoring", self.secrets["community"]),)}
        return {
            "hostname/system": config.hostname,
            **{f"vlan/{number}": name for number, name in config.vlans.items()},
            **{f"port/{name}": _alone(port) for name, port in config.ports.items()},
            **{
                f"lag/{number}": {
                    **_alone(port),
                    "members": {
                        name: member.channel_mode for name, member in config.members(number).items()
                    },
                }
                for number, port in config.lags.items()
            },
            **{f"ntp_server/{host}": rest for host, rest in config.ntp.items()},
            **logs,
            **{
                f"snmp_community/{known.get(text, text)}": rest
                for text, rest in config.communities.items()
            },
            **users,
            "more": list(config.more),
            "svis": {name: list(lines) for name, lines in config.svis.items()},
        }

    def _password(self, user: str) -> str:
        fitting = [
            name for name, password in self.secrets.items() if self.device.admits(user, password)
        ]
        return fitting[0] if fitting else self.config().users[user].secret

    def writes(self) -> int:
        return self.device.counters.writes

    def reject(self, address: str) -> None:
        noun, _, name = address.partition("/")
        pattern = self.patterns[noun].format(name) if address else ""
        self.device.faults = Faults(reject_only=pattern)

    def lose(self, after: int) -> None:
        self.device.faults = replace(self.device.faults, drop_before=after)


def _alone(port: Any) -> dict[str, Any]:
    """A port without its membership, which is the LAG's, as is then whatever it would switch."""
    if port.channel:
        kept = {name: getattr(port, name) for name in ("description", "shutdown", "more")}
        port = type(port)(**kept)
    values = held(port)
    del values["channel"], values["channel_mode"]
    return values
