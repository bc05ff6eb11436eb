"""No secret leaves in a report, whatever a device or a library said. Pure."""

from __future__ import annotations

import msgspec

from rackwright.model.address import Address
from rackwright.model.report import FieldChange, Outcome, Report
from rackwright.model.secret import Masker


def masked(report: Report, masker: Masker) -> Report:
    """``report`` with every known secret masked in all that is text for people.

    What machines compare (digests, states, the addresses that the site itself writes in clear)
    stays: a secret that happens to be ``42`` must not close another node's gate.
    """
    if masker.idle:
        return report
    return msgspec.structs.replace(
        report,
        via=masker.text(report.via),
        error=masker.text(report.error),
        outcomes=tuple(_outcome(outcome, masker) for outcome in report.outcomes),
    )


def _outcome(outcome: Outcome, masker: Masker) -> Outcome:
    address = outcome.address
    if not outcome.digest:
        # Only the device knows it: what goes by `purge`, say.
        found = Address.parse(address)
        address = str(found._replace(name=masker.text(found.name)))
    why = masker.text(outcome.why)
    commands = tuple(map(masker.text, outcome.commands))
    changes = tuple(_field(change, masker) for change in outcome.changes)
    if (address, why, commands, changes) == (
        outcome.address, outcome.why, outcome.commands, outcome.changes
    ):  # fmt: skip
        return outcome
    return msgspec.structs.replace(
        outcome, address=address, why=why, commands=commands, changes=changes
    )


def _field(change: FieldChange, masker: Masker) -> FieldChange:
    return msgspec.structs.replace(change, old=masker.data(change.old), new=masker.data(change.new))
