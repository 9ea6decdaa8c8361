"""Entries: what one is before it is posted, when it is refused, and how it is posted.

Invariant: `post_entry` cannot fail once `refuse_entry` found nothing; and what `post_entry` did
is what `unpost_entry` takes back. Rules: SPEC 2.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from catena.ledger.accounts import BALANCE_MAX, Account, AccountStatus, Side, SystemRole
from catena.ledger.refusals import Refusal, RefusalCode

__all__ = [
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
    accounts that it may name, opened when they are first used; None: any that are there.
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
    system: Collection[tuple[SystemRole, str]] | None = ()


class Entry(NamedTuple):
    """A posted entry. Never changes, but for `reversed_by`: the reversal in force when it was read.

    `corrects` and `reversed_by` are ids of entries.
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


def refuse_entry(draft: Draft, accounts: Mapping[str, Account], now: dt.datetime) -> Refusal | None:
    """Why this entry cannot be posted to these accounts, or None.

    `accounts` holds every account that exists among those the lines name, as it stands under
    lock or version check. `now` bounds `effective_at`.
    """
    lines = draft.lines
    deltas: dict[str, int] = {}
    for line in lines:
        account = accounts.get(line.account)
        if account is None or not (account.role is None or _may_name(account, draft.system)):
            return _refuse_names(draft, accounts)
        delta = line.amount if line.side is account.normal_side else -line.amount
        deltas[line.account] = deltas.get(line.account, 0) + delta
    return (
        _refuse_status(deltas, accounts)
        or _refuse_shape(lines, accounts)
        or _refuse_date(draft.effective_at, now)
        or _refuse_funds(deltas, accounts)
        or _refuse_totals(lines, accounts)
    )


def _refuse_names(draft: Draft, accounts: Mapping[str, Account]) -> Refusal:
    """For the first line with an unknown account; else for the first that may not name its own."""
    lines = draft.lines
    code = RefusalCode.UNKNOWN_ACCOUNT
    wrong = [index for index, line in enumerate(lines) if line.account not in accounts]
    if not wrong:
        code = RefusalCode.SYSTEM_ACCOUNT
        named = enumerate(accounts[line.account] for line in lines)
        wrong = [index for index, account in named if not _may_name(account, draft.system)]
    return Refusal(code, lines[wrong[0]].account, wrong[0])


def _may_name(account: Account, system: Collection[tuple[str, str]] | None) -> bool:
    return account.role is None or system is None or (account.role, account.currency) in system


def _refuse_status(deltas: Mapping[str, int], accounts: Mapping[str, Account]) -> Refusal | None:
    found: dict[AccountStatus, str] = {}
    for id, delta in deltas.items():
        status = accounts[id].status
        if status is not AccountStatus.ACTIVE and (delta < 0 or status is not AccountStatus.FROZEN):
            found.setdefault(status, id)
    if AccountStatus.CLOSED in found:
        return Refusal(RefusalCode.ACCOUNT_CLOSED, found[AccountStatus.CLOSED])
    if AccountStatus.BLOCKED in found:
        return Refusal(RefusalCode.ACCOUNT_BLOCKED, found[AccountStatus.BLOCKED])
    if AccountStatus.FROZEN in found:
        return Refusal(RefusalCode.ACCOUNT_FROZEN, found[AccountStatus.FROZEN])
    return None


def _refuse_shape(lines: Sequence[Line], accounts: Mapping[str, Account]) -> Refusal | None:
    for index, line in enumerate(lines):
        if line.currency != accounts[line.account].currency:
            return Refusal(RefusalCode.CURRENCY_MISMATCH, line.account, index)
    for index, line in enumerate(lines):
        if line.amount <= 0:
            return Refusal(RefusalCode.AMOUNT_NOT_POSITIVE, line.account, index)
    if len(lines) < 2:  # noqa: PLR2004  # double entry
        return Refusal(RefusalCode.TOO_FEW_LINES)
    if any(balance_by_currency(lines).values()):
        return Refusal(RefusalCode.UNBALANCED)
    return None


def _refuse_date(effective_at: dt.datetime | None, now: dt.datetime) -> Refusal | None:
    if effective_at is not None and not now - EFFECTIVE_AGE_MAX <= effective_at <= now:
        return Refusal(RefusalCode.EFFECTIVE_DATE_OUT_OF_RANGE)
    return None


def _refuse_funds(deltas: Mapping[str, int], accounts: Mapping[str, Account]) -> Refusal | None:
    for id, delta in deltas.items():
        account = accounts[id]
        floor = account.floor
        if delta < 0 and floor is not None and account.posted + delta - account.reserved < floor:
            return Refusal(RefusalCode.INSUFFICIENT_FUNDS, id)
    for id, delta in deltas.items():
        account = accounts[id]
        ceiling = account.ceiling
        if delta > 0 and ceiling is not None and account.posted + delta > ceiling:
            return Refusal(RefusalCode.ABOVE_CEILING, id)
    return None


def _refuse_totals(lines: Sequence[Line], accounts: Mapping[str, Account]) -> Refusal | None:
    totals: dict[tuple[str, Side], int] = {}
    for line in lines:
        key = (line.account, line.side)
        totals[key] = totals.get(key, 0) + line.amount
    for (id, side), amount in totals.items():
        account = accounts[id]
        if (account.debits if side is Side.DEBIT else account.credits) + amount > BALANCE_MAX:
            return Refusal(RefusalCode.BALANCE_OUT_OF_RANGE, id)
    return None


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
