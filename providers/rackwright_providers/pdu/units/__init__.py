"""PDUs that are one table each: a file a platform, found by its name."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rackwright_providers.pdu.snmp_pdu import SnmpPdu


def platforms() -> tuple[str, ...]:
    """The names of the files."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def provider(platform: str) -> SnmpPdu:
    """The provider of one of `platforms`: an engine over its ``TABLE``."""
    from rackwright_providers.pdu.snmp_pdu import SnmpPdu

    return SnmpPdu(platform, importlib.import_module(f"{__name__}.{platform}").TABLE)
