"""Corrections: reversals and refunds, and what may still be undone of an entry.

Invariant: at most one reversal of an entry is in force, and never beside a refund; refunds never
exceed the entry. Undoing a reversal opens its entry again. Rules: SPEC 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from catena.ledger.accounts import Side
from catena.ledger.entries import Entry, EntryType, Line
from catena.ledger.refusals import Refusal, RefusalCode
from catena.money import allot

__all__ = [
    "NOT_REFUNDABLE",
    "PENDING",
    "Correction",
    "entry_amount",
    "mirror_lines",
    "refund_lines",
    "refuse_refund",
    "refuse_reversal",
    "record_refund",
    "record_reversal",
]

PENDING: Final = "pending"
"""Stands for the id of a reversal that this very commit posts."""

NOT_REFUNDABLE: Final = frozenset({EntryType.REVERSAL, EntryType.REFUND, EntryType.EXCHANGE})


class Correction:
    """What undoes one entry: the reversal in force, and what was refunded (minor units).

    `version` is the stored row's, 0 when there is none; `changed` marks one to be written.
    """

    __slots__ = ("changed", "entry", "refunded", "reversal", "version")

    def __init__(
        self, entry: str, reversal: str | None = None, refunded: int = 0, version: int = 0
    ) -> None:
        self.entry = entry
        self.reversal = reversal
        self.refunded = refunded
        self.version = version
        self.changed = False

    def set(self, reversal: str | None, refunded: int) -> None:
        """Take the new state, and remember that it is to be written."""
        self.reversal = reversal
        self.refunded = refunded
        self.changed = True


def entry_amount(entry: Entry) -> int:
    """The sum of the debits: what refunds may add up to. Minor units; one currency assumed."""
    return sum(line.amount for line in entry.lines if line.side is Side.DEBIT)


def mirror_lines(lines: Sequence[Line]) -> list[Line]:
    """The same lines on the other side."""
    return [line._replace(side=line.side.opposite) for line in lines]


def refund_lines(entry: Entry, refunded: int, amount: int) -> list[Line]:
    """Lines that give back `amount` of the entry after `refunded` was given back.

    Each side is split by its lines' amounts with `allot`, the whole so far less the whole before:
    so refunds in parts add up to every line exactly.
    """
    lines = []
    for side in Side:
        of_side = [line for line in entry.lines if line.side is side]
        weights = [line.amount for line in of_side]
        shares = zip(allot(refunded + amount, weights), allot(refunded, weights), strict=True)
        for line, (after, before) in zip(of_side, shares, strict=True):
            if after > before:
                lines.append(line._replace(side=side.opposite, amount=after - before))
    return lines


def refuse_reversal(
    entry: Entry, entries: Mapping[str, Entry], corrections: Mapping[str, Correction]
) -> Refusal | None:
    """Why the entry cannot be reversed, or None.

    `entries` and `corrections` hold the entry, what it corrects, what that corrects, and so on.
    """
    return _refuse_reversed(corrections[entry.id]) or _refuse_force(
        entry, entries, corrections, in_force=False
    )


def refuse_refund(entry: Entry, correction: Correction, amount: int) -> Refusal | None:
    """Why `amount` minor units of the entry cannot be refunded, or None."""
    if correction.reversal is not None:
        return Refusal(RefusalCode.ALREADY_REVERSED)
    if entry.type in NOT_REFUNDABLE or len({line.currency for line in entry.lines}) > 1:
        return Refusal(RefusalCode.NOT_REFUNDABLE)
    if amount <= 0:
        return Refusal(RefusalCode.AMOUNT_NOT_POSITIVE)
    if correction.refunded + amount > entry_amount(entry):
        return Refusal(RefusalCode.REFUND_EXCEEDS_ENTRY)
    return None


def record_reversal(
    entry: Entry, entries: Mapping[str, Entry], corrections: Mapping[str, Correction]
) -> None:
    """Note that the reversal now being posted is in force, and the entry no longer."""
    corrections[entry.id].set(PENDING, 0)
    _set_force(entry, entries, corrections, in_force=False)


def record_refund(correction: Correction, amount: int) -> None:
    """Note that `amount` more minor units were refunded."""
    correction.set(None, correction.refunded + amount)


def _refuse_reversed(correction: Correction) -> Refusal | None:
    if correction.reversal is not None:
        return Refusal(RefusalCode.ALREADY_REVERSED)
    if correction.refunded:
        return Refusal(RefusalCode.ALREADY_REFUNDED)
    return None


def _refuse_force(
    entry: Entry,
    entries: Mapping[str, Entry],
    corrections: Mapping[str, Correction],
    *,
    in_force: bool,
) -> Refusal | None:
    """Why what this entry corrects cannot follow when the entry comes into force or leaves it."""
    if entry.corrects is None:
        return None
    corrected, correction = entries[entry.corrects], corrections[entry.corrects]
    if entry.type is EntryType.REVERSAL:
        return (_refuse_reversed(correction) if in_force else None) or _refuse_force(
            corrected, entries, corrections, in_force=not in_force
        )
    return refuse_refund(corrected, correction, entry_amount(entry)) if in_force else None


def _set_force(
    entry: Entry,
    entries: Mapping[str, Entry],
    corrections: Mapping[str, Correction],
    *,
    in_force: bool,
) -> None:
    if entry.corrects is None:
        return
    correction = corrections[entry.corrects]
    if entry.type is EntryType.REVERSAL:
        correction.set(entry.id if in_force else None, 0)
        _set_force(entries[entry.corrects], entries, corrections, in_force=not in_force)
    else:
        signed = entry_amount(entry) if in_force else -entry_amount(entry)
        correction.set(None, correction.refunded + signed)
