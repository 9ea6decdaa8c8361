"""Corrections: reversals and refunds, and what may still be undone of an entry.

Invariant: at most one reversal of an entry is in force, and never beside a refund; refunds never
exceed the entry. Undoing a reversal opens its entry again. Rules: docs/concepts/ledger.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from catena.ids import SUSPENSE, find_first
from catena.ledger.accounts import Side
from catena.ledger.entries import Draft, Entry, EntryType, Line
from catena.ledger.refusals import Refusal, RefusalCode
from catena.money import allot

__all__ = [
    "PENDING",
    "Correction",
    "draft_correction",
    "mirror_lines",
    "record_correction",
    "record_reversal",
    "sum_refunded",
]

PENDING: Final = "pending"
"""Stands for the id of a reversal that this very commit posts."""

_NOT_REFUNDABLE: Final = frozenset({EntryType.REVERSAL, EntryType.REFUND, EntryType.EXCHANGE})


class Correction:
    """What undoes one entry: the reversal in force, and how much of each line was refunded.

    `shares` are minor units, one for each of the entry's lines in order; none for no refund.
    `version` is the stored row's, 0 when there is none; `changed` marks one to be written.
    """

    __slots__ = ("changed", "entry", "reversal", "shares", "version")

    def __init__(
        self,
        entry: str,
        reversal: str | None = None,
        shares: Sequence[int] = (),
        version: int = 0,
    ) -> None:
        self.entry = entry
        self.reversal = reversal
        self.shares = tuple(shares)
        self.version = version
        self.changed = False

    def set(self, reversal: str | None, shares: Sequence[int]) -> None:
        """Take the new state, and remember that it is to be written."""
        self.reversal = reversal
        self.shares = tuple(shares) if any(shares) else ()
        self.changed = True


def draft_correction(
    draft: Draft,
    entry: Entry,
    entries: Mapping[str, Entry],
    corrections: Mapping[str, Correction],
    amount: int | None = None,
) -> Draft | Refusal:
    """The draft of a reversal or refund of `entry` with its lines, or why there is none.

    `amount`: minor units of a refund; None: all that is left. `entries` and `corrections` hold the
    entry, what it corrects, what that corrects, and so on, as deep as corrections may stand on each
    other. A chain corrects no correction: what that had undone would be open to others, and closed
    again by the chain's rollback.
    """
    if draft.chain is not None and entry.corrects is not None:
        return Refusal(RefusalCode.CORRECTION_IN_CHAIN)
    if draft.type is EntryType.REVERSAL:
        refusal = _refuse_reversal(entry, entries, corrections)
        refusal = refusal or _refuse_assignment(draft, entry, entries)
        return refusal or draft._replace(lines=mirror_lines(entry.lines), free=True)
    correction = corrections[entry.id]
    if amount is None:
        amount = _entry_amount(entry) - sum_refunded(entry, correction.shares)
    refusal = _refuse_refund(entry, correction, amount)
    if refusal is not None:
        return refusal
    shares = _split_refund(entry, correction, amount)
    lines = _refund_lines(entry, shares)
    return draft._replace(lines=lines, details=_describe_shares(shares), free=True)


def record_correction(
    draft: Draft,
    entry: Entry,
    entries: Mapping[str, Entry],
    corrections: Mapping[str, Correction],
) -> None:
    """Note that the correction that `draft_correction` gave is now being posted."""
    if draft.type is EntryType.REVERSAL:
        record_reversal(entry, entries, corrections)
    else:
        _record_refund(corrections[entry.id], _shares_of(draft))


def _entry_amount(entry: Entry) -> int:
    """The sum of the debits: what refunds may add up to. Minor units; one currency assumed."""
    return sum(line.amount for line in entry.lines if line.side is Side.DEBIT)


def mirror_lines(lines: Sequence[Line]) -> list[Line]:
    """The same lines on the other side."""
    return [line._replace(side=line.side.opposite) for line in lines]


def sum_refunded(entry: Entry, shares: Sequence[int]) -> int:
    """How much of the entry these shares give back: those of its debits, in minor units."""
    pairs = zip(entry.lines, shares, strict=False)  # no shares: nothing was refunded
    return sum(share for line, share in pairs if line.side is Side.DEBIT)


def _split_refund(entry: Entry, correction: Correction, amount: int) -> list[int]:
    """How much of each line a refund of `amount` minor units gives back.

    Each side is split by what its lines have left (`money.allot`), so that no line is ever given
    back twice, in whichever order refunds are made and reversed.
    """
    before = correction.shares or (0,) * len(entry.lines)
    shares = [0] * len(entry.lines)
    for side in Side:
        places = [i for i, line in enumerate(entry.lines) if line.side is side]
        left = [entry.lines[i].amount - before[i] for i in places]
        for i, share in zip(places, allot(amount, left), strict=True):
            shares[i] = share
    return shares


def _refund_lines(entry: Entry, shares: Sequence[int]) -> list[Line]:
    """The lines that give back these shares."""
    return [
        line._replace(side=line.side.opposite, amount=share)
        for line, share in zip(entry.lines, shares, strict=True)
        if share
    ]


def _describe_shares(shares: Sequence[int]) -> str:
    """The details of a refund: JSON that tells its reversal what to take back."""
    return json.dumps({"refund": {"shares": list(shares)}}, separators=(",", ":"))


def _refuse_reversal(
    entry: Entry, entries: Mapping[str, Entry], corrections: Mapping[str, Correction]
) -> Refusal | None:
    """Why the entry cannot be reversed, or None; with these as `draft_correction` takes them."""
    return _refuse_reversed(corrections[entry.id]) or _refuse_force(
        entry, entries, corrections, in_force=False
    )


def _refuse_assignment(draft: Draft, entry: Entry, entries: Mapping[str, Entry]) -> Refusal | None:
    """Why an assignment's reversal would not last: what it opens is assigned anew meanwhile, and
    must not come into force beside that.
    """
    again = entry.corrects is not None and _is_assignment(entries[entry.corrects])
    if again or (draft.chain is not None and _is_assignment(entry)):
        return Refusal(RefusalCode.ASSIGNMENT_UNDONE)
    return None


def _is_assignment(entry: Entry) -> bool:
    """Whether it has given money that was in suspense to its owner."""
    is_free = entry.type is EntryType.ADJUSTMENT and entry.chain is None
    return is_free and find_first(SUSPENSE, entry.reference) is not None


def _refuse_refund(entry: Entry, correction: Correction, amount: int) -> Refusal | None:
    """Why `amount` minor units of the entry cannot be refunded, or None."""
    if correction.reversal is not None:
        return Refusal(RefusalCode.ALREADY_REVERSED)
    is_whole = _is_assignment(entry) or len({line.currency for line in entry.lines}) > 1
    if entry.type in _NOT_REFUNDABLE or is_whole:
        return Refusal(RefusalCode.NOT_REFUNDABLE)
    if amount <= 0 or sum_refunded(entry, correction.shares) + amount > _entry_amount(entry):
        return Refusal(RefusalCode.REFUND_EXCEEDS_ENTRY)
    return None


def record_reversal(
    entry: Entry, entries: Mapping[str, Entry], corrections: Mapping[str, Correction]
) -> None:
    """Note that the reversal now being posted is in force, and the entry no longer."""
    corrections[entry.id].set(PENDING, ())
    _set_force(entry, entries, corrections, in_force=False)


def _record_refund(correction: Correction, shares: Sequence[int]) -> None:
    """Note that these shares were refunded."""
    before = correction.shares or (0,) * len(shares)
    correction.set(None, [a + b for a, b in zip(before, shares, strict=True)])


def _refuse_reversed(correction: Correction) -> Refusal | None:
    if correction.reversal is not None:
        return Refusal(RefusalCode.ALREADY_REVERSED)
    if correction.shares:
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
    if entry.corrects not in entries:
        return Refusal(RefusalCode.CORRECTION_TOO_DEEP)
    corrected, correction = entries[entry.corrects], corrections[entry.corrects]
    if entry.type is EntryType.REVERSAL:
        return (_refuse_reversed(correction) if in_force else None) or _refuse_force(
            corrected, entries, corrections, in_force=not in_force
        )
    return _refuse_refund_again(corrected, correction, entry) if in_force else None


def _refuse_refund_again(corrected: Entry, correction: Correction, refund: Entry) -> Refusal | None:
    """Why a refund cannot come into force again, or None."""
    if correction.reversal is not None:
        return Refusal(RefusalCode.ALREADY_REVERSED)
    after = [a + b for a, b in zip(*_align(corrected, correction, refund), strict=True)]
    if any(share > line.amount for share, line in zip(after, corrected.lines, strict=True)):
        return Refusal(RefusalCode.REFUND_EXCEEDS_ENTRY)
    return None


def _align(
    corrected: Entry, correction: Correction, refund: Entry
) -> tuple[Sequence[int], Sequence[int]]:
    """What was refunded of each line, and what this refund gave back of it."""
    return correction.shares or (0,) * len(corrected.lines), _shares_of(refund)


def _shares_of(refund: Draft | Entry) -> list[int]:
    shares: list[int] = json.loads(refund.details or "")["refund"]["shares"]
    return shares


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
        correction.set(entry.id if in_force else None, ())
        _set_force(entries[entry.corrects], entries, corrections, in_force=not in_force)
    else:
        before, shares = _align(entries[entry.corrects], correction, entry)
        sign = 1 if in_force else -1
        correction.set(None, [a + sign * b for a, b in zip(before, shares, strict=True)])
