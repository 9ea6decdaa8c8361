"""Entries: what one is before it is posted, when it is refused, and how it is posted.

Invariant: `post_entry` cannot fail once `refuse_entry` found nothing; and what `post_entry` did
is what `unpost_entry` takes back. Rules: docs/concepts/ledger.md.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from catena.ledger.accounts import BALANCE_MAX, Account, AccountStatus, Side
from catena.ledger.refusals import Refusal, RefusalCode

__all__ = [
    "CODE_OF_STATUS",
    "EFFECTIVE_AGE_MAX",
    "Draft",
    "Entry",
    "EntryType",
    "Line",
    "balance_by_currency",
    "post_entry",
    "refuse_entry",
    "unpost_entry",
]

EFFECTIVE_AGE_MAX: Final = dt.timedelta(days=366 * 10)
"""How far back an entry may be dated."""


class EntryType(StrEnum):
    """What an entry is about; fixed, so that reports can rely on it."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    TRANSFER = "transfer"
    FEE = "fee"
    REFUND = "refund"
    EXCHANGE = "exchange"
    REVERSAL = "reversal"
    ADJUSTMENT = "adjustment"


class Line(NamedTuple):
    """One debit or credit. `amount` in minor units of `currency`, greater than zero."""

    account: str
    side: Side
    amount: int
    currency: str


class Draft(NamedTuple):
    """An entry before it is decided. `effective_at` None: when it is recorded.

    `content` fingerprints what the caller sent: it tells a repeated reference from a reused one.
    `metadata` and `details` are JSON texts; `details` holds what was computed (fees, rate).
    `corrects` is the id of the entry that a reversal or refund undoes. `system`: the system
    accounts that it may name, opened when they are first used; `free`: all that are there, too.
    `chain` and `step` say whose it is; `is_undo` that it undoes what the step posted.
    """

    type: EntryType
    lines: Sequence[Line]
    description: str | None = None
    reference: str | None = None
    effective_at: dt.datetime | None = None
    metadata: str | None = None
    details: str | None = None
    corrects: str | None = None
    content: str | None = None
    system: Collection[tuple[str, str]] = ()
    free: bool = False
    chain: str | None = None
    step: str | None = None
    is_undo: bool = False


class Entry(NamedTuple):
    """A posted entry. Never changes, but for `reversed_by`: the reversal in force when it was read.

    `corrects` and `reversed_by` are ids of entries; `chain` and `step` say whose it is.
    """

    id: str
    position: int
    type: EntryType
    lines: Sequence[Line]
    effective_at: dt.datetime
    recorded_at: dt.datetime
    description: str | None = None
    reference: str | None = None
    metadata: str | None = None
    details: str | None = None
    corrects: str | None = None
    reversed_by: str | None = None
    chain: str | None = None
    step: str | None = None


def refuse_entry(
    draft: Draft,
    accounts: Mapping[str, Account],
    now: dt.datetime,
    *,
    thawed: Collection[str] = (),
    shielded: bool = False,
) -> Refusal | None:
    """Why this entry cannot be posted to these accounts, or None.

    `accounts` holds every account that exists among those the lines name, as it stands under
    lock or version check. `now` bounds `effective_at`. Of several reasons, the one that comes
    first in `RefusalCode` is given, for the first line or account that it holds for. `thawed`
    accounts are not refused for a freeze; a `shielded` entry not for any, nor for a ceiling.
    """
    reasons: list[Refusal] = []
    moved: dict[str, list[int]] = {}  # by account: debits and credits of this entry
    for index, (id, side, amount, currency) in enumerate(draft.lines):
        account = accounts.get(id)
        if account is None:
            reasons.append(Refusal(RefusalCode.UNKNOWN_ACCOUNT, id, index))
            continue
        if account.role is not None and not _may_name(account, draft):
            reasons.append(Refusal(RefusalCode.SYSTEM_ACCOUNT, id, index))
        if currency != account.currency:
            reasons.append(Refusal(RefusalCode.CURRENCY_MISMATCH, id, index))
        if amount <= 0:
            reasons.append(Refusal(RefusalCode.AMOUNT_NOT_POSITIVE, id, index))
        sums = moved.setdefault(id, [0, 0])
        sums[side is Side.CREDIT] += amount
    for id, (debits, credits) in moved.items():
        _find_reasons(accounts[id], debits, credits, reasons)
    if len(draft.lines) < 2:  # noqa: PLR2004  # double entry
        reasons.append(Refusal(RefusalCode.TOO_FEW_LINES))
    if any(balance_by_currency(draft.lines).values()):
        reasons.append(Refusal(RefusalCode.UNBALANCED))
    effective_at = draft.effective_at
    if effective_at is not None and not now - EFFECTIVE_AGE_MAX <= effective_at <= now:
        reasons.append(Refusal(RefusalCode.EFFECTIVE_DATE_OUT_OF_RANGE))
    if reasons and (thawed or shielded):
        reasons = [
            reason for reason in reasons if not _is_waived(reason, thawed, shielded=shielded)
        ]
    return min(reasons, key=lambda reason: reason.code.precedence) if reasons else None


def _is_waived(reason: Refusal, thawed: Collection[str], *, shielded: bool) -> bool:
    if reason.code is RefusalCode.ACCOUNT_FROZEN and reason.account in thawed:
        return True
    return shielded and reason.code in _SHIELDED


_SHIELDED: Final = frozenset(
    {RefusalCode.ACCOUNT_BLOCKED, RefusalCode.ACCOUNT_FROZEN, RefusalCode.ABOVE_CEILING}
)
"""What refuses nothing of a chain that is past its pivot."""


def _find_reasons(account: Account, debits: int, credits: int, reasons: list[Refusal]) -> None:
    """Add why the account does not take these sums; floor and ceiling bind its net change."""
    change = account.sign * (debits - credits)
    posted = account.posted + change
    floor, ceiling, status = account.floor, account.ceiling, account.status
    if status is not AccountStatus.ACTIVE and (change < 0 or status is not AccountStatus.FROZEN):
        reasons.append(Refusal(CODE_OF_STATUS[status], account.id))
    if change < 0 and floor is not None and posted - account.reserved < floor:
        reasons.append(Refusal(RefusalCode.INSUFFICIENT_FUNDS, account.id))
    if change > 0 and ceiling is not None and posted > ceiling:
        reasons.append(Refusal(RefusalCode.ABOVE_CEILING, account.id))
    if account.debits + debits > BALANCE_MAX or account.credits + credits > BALANCE_MAX:
        reasons.append(Refusal(RefusalCode.BALANCE_OUT_OF_RANGE, account.id))


CODE_OF_STATUS: Final = {
    AccountStatus.CLOSED: RefusalCode.ACCOUNT_CLOSED,
    AccountStatus.BLOCKED: RefusalCode.ACCOUNT_BLOCKED,
    AccountStatus.FROZEN: RefusalCode.ACCOUNT_FROZEN,
}
"""Why an account in this state refuses a decrease."""


def _may_name(account: Account, draft: Draft) -> bool:
    return draft.free or (account.role, account.currency) in draft.system


def balance_by_currency(lines: Sequence[Line]) -> dict[str, int]:
    """Debits less credits for each currency: all zero in an entry (I1)."""
    balance: dict[str, int] = {}
    for line in lines:
        signed = line.amount if line.side is Side.DEBIT else -line.amount
        balance[line.currency] = balance.get(line.currency, 0) + signed
    return balance


def post_entry(lines: Sequence[Line], accounts: Mapping[str, Account]) -> Iterator[Account]:
    """Apply the lines; gives each line's account as it stands after it. Nothing may fail here."""
    for line in lines:
        account = accounts[line.account]
        if line.side is Side.DEBIT:
            account.debits += line.amount
        else:
            account.credits += line.amount
        account.line_count += 1
        yield account


def unpost_entry(lines: Sequence[Line], accounts: Mapping[str, Account]) -> None:
    """Take back exactly what `post_entry` did, before anything was written."""
    for line in lines:
        account = accounts[line.account]
        if line.side is Side.DEBIT:
            account.debits -= line.amount
        else:
            account.credits -= line.amount
        account.line_count -= 1
