"""The reboot of one outlet between two runs of its node. Nothing of it is a declaration."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rackwright.errand import Rebooted
from rackwright.model.errors import Permanent, RackwrightError, Temporary
from rackwright.model.secret import Masker
from rackwright.run import NodeRunner
from rackwright.vault import read_secrets

log = logging.getLogger(__name__)


def reboot(runner: NodeRunner, outlet: str, tell: Callable[[str], None]) -> Rebooted:
    """Switch an outlet of the runner's node off and on again; it must be on. ``tell`` is called with
    what the provider says meanwhile. Never raises; no secret is in what comes back."""
    via, masker = "", Masker()
    try:
        masker = Masker(read_secrets(runner.secrets).values())
        _check(runner, outlet)
        with runner.between_runs() as (provider, session), _listened(tell):
            if not hasattr(provider, "reboot"):
                raise Permanent(f"{runner.node} is a {provider.platform}: it reboots no outlets")
            via = session.via
            provider.reboot(session, outlet)
    except RackwrightError as error:
        said = masker.text(str(error))
        if runner.stop.is_set():
            return Rebooted(state="stopped", error=said, via=via)
        away = isinstance(error, Temporary)
        return Rebooted(state="unreachable" if away else "failed", error=said, via=via)
    except OSError as error:
        # Transports map what devices do: this is of our own state directory.
        said = f"{error.filename or runner.state}: {error.strerror or error}"
        return Rebooted(state="failed", error=said, via=via)
    except Exception as error:  # noqa: BLE001 - logged with its trace, masked
        # A bug of a provider must not end the loop that the node is converged by.
        trace = masker.text("".join(traceback.format_exception(error)))
        log.error("%s: the reboot failed in a way it should not\n%s", runner.node, trace)
        runner.close()
        said = masker.text(f"a fault in Rackwright, see its log: {type(error).__name__}: {error}")
        return Rebooted(state="failed", error=said, via=via)
    return Rebooted(state="rebooted", via=via)


def _check(runner: NodeRunner, outlet: str) -> None:
    """Raises Permanent when an outlet cannot be called that."""
    try:
        runner.registry.nouns()["outlet"](name=outlet)
    except ValueError as error:
        raise Permanent(f"{runner.node}/{outlet}: {error}") from None


@contextmanager
def _listened(tell: Callable[[str], None]) -> Iterator[None]:
    """Have ``tell`` called with what providers log on this thread."""
    handler, providers = _Listener(tell), logging.getLogger("rackwright_providers")
    providers.addHandler(handler)
    try:
        yield
    finally:
        providers.removeHandler(handler)


class _Listener(logging.Handler):
    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._tell, self._thread = tell, threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self._tell(record.getMessage())
