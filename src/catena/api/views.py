"""What the API answers with: the shape of each resource, and how it is made from the books.

Invariant: an entry looks the same wherever it appears. Amounts are minor units.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from catena.api.bodies import id_pattern
from catena.api.problems import Problem
from catena.db.installation import Ledger
from catena.ids import ACCOUNT, CHAIN, DEPOSIT, ENTRY, HOLD, LEDGER, LIEN, REFUND, WITHDRAWAL
from catena.journal import AccountState
from catena.ledger.accounts import AccountStatus, AccountType, Side
from catena.ledger.entries import Entry, EntryType

__all__ = [
    "AccountId",
    "AccountView",
    "AssetView",
    "BatchView",
    "ChainId",
    "DepositId",
    "EntryId",
    "EntryView",
    "HoldId",
    "LedgerId",
    "LedgerList",
    "LedgerView",
    "LienId",
    "LineView",
    "Minor",
    "Moment",
    "RefundId",
    "ResultView",
    "WithdrawalId",
    "encode",
    "settle",
    "view_account",
    "view_entry",
    "view_ledger",
]

Json = msgspec.Raw
"""JSON that is passed on as it is."""

_EMPTY = Json(b"{}")
_encoder = msgspec.json.Encoder()
encode = _encoder.encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode

Minor = Annotated[int, Meta(description="Minor units of the currency.")]
LedgerId = Annotated[str, Meta(pattern=id_pattern(LEDGER))]
AccountId = Annotated[str, Meta(pattern=id_pattern(ACCOUNT))]
EntryId = Annotated[str, Meta(pattern=id_pattern(ENTRY))]
ChainId = Annotated[str, Meta(pattern=id_pattern(CHAIN))]
LienId = Annotated[str, Meta(pattern=id_pattern(LIEN))]
HoldId = Annotated[str, Meta(pattern=id_pattern(HOLD))]
DepositId = Annotated[str, Meta(pattern=id_pattern(DEPOSIT))]
WithdrawalId = Annotated[str, Meta(pattern=id_pattern(WITHDRAWAL))]
RefundId = Annotated[str, Meta(pattern=id_pattern(REFUND))]
Moment = Annotated[dt.datetime, Meta(tz=True)]
Metadata = Annotated[Any, Meta(description="The caller's own.")]


class LineView(Struct, frozen=True, gc=False):
    """One debit or credit of one account."""

    account_id: AccountId
    side: Side
    amount: Minor
    currency: str


class EntryView(Struct, frozen=True, omit_defaults=True):
    """An immutable financial fact: debits equal credits in every currency."""

    id: EntryId
    ledger_id: LedgerId
    position: Annotated[int, Meta(description="Its number in the ledger, in commit order.")]
    type: EntryType
    description: str | None
    reference: Annotated[str | None, Meta(description="The caller's own; unique within type.")]
    effective_at: Annotated[Moment, Meta(description="When it counts.")]
    recorded_at: Annotated[Moment, Meta(description="When the ledger learned it.")]
    lines: Sequence[LineView]
    metadata: Metadata
    details: Annotated[Any, Meta(description="What was computed: fees charged, rate used.")]
    corrects: Annotated[
        EntryId | None, Meta(description="The entry that this one reverses or refunds.")
    ]
    reversed_by: Annotated[EntryId | None, Meta(description="The reversal in force, if any.")]
    chain_id: Annotated[
        ChainId | None, Meta(description="The chain that posted it; left out where none did.")
    ] = None
    step: Annotated[str | None, Meta(description="The chain's step that posted it.")] = None


class AccountView(Struct, frozen=True):
    """An account: one currency, one type. A wallet is a liability account with a `user_id`."""

    id: AccountId
    ledger_id: LedgerId
    type: AccountType
    currency: str
    role: Annotated[str | None, Meta(description="Set on system accounts.")]
    user_id: str | None
    name: str | None
    status: AccountStatus
    floor: Annotated[
        int | None, Meta(description="Lowest posted - reserved, minor units; null: none.")
    ]
    ceiling: Annotated[int | None, Meta(description="Highest posted, minor units; null: none.")]
    metadata: Metadata
    revision: Annotated[int, Meta(description="Grows with each change; also the ETag.")]
    created_at: Moment
    updated_at: Moment


class AssetView(Struct, frozen=True):
    """A currency of the ledger's own: an amount of 10 ** exponent minor units is one."""

    code: str
    exponent: int


class LedgerView(Struct, frozen=True):
    """A book, isolated from all others."""

    id: LedgerId
    name: str
    assets: Sequence[AssetView]
    created_at: Moment


class LedgerList(Struct, frozen=True):
    """Ledgers, the oldest first, and the cursor of the next page."""

    items: Sequence[LedgerView]
    next: Annotated[str | None, Meta(description="Null on the last page.")]


class ResultView(Struct, frozen=True, omit_defaults=True):
    """The result of one operation: the entry that stands for it, or why there is none."""

    entry_id: EntryId | None = None
    position: int | None = None
    problem: Problem | None = None


class BatchView(Struct, frozen=True):
    """The results of a batch, in the order of its operations."""

    ledger_id: LedgerId
    posted: int
    refused: int
    results: Sequence[ResultView]


def view_entry(entry: Entry, ledger_id: str) -> EntryView:
    """The entry as the API shows it."""
    return EntryView(
        entry.id,
        ledger_id,
        entry.position,
        entry.type,
        entry.description,
        entry.reference,
        entry.effective_at,
        entry.recorded_at,
        [LineView(*line) for line in entry.lines],
        _EMPTY if entry.metadata is None else _settle(entry.metadata),
        None if entry.details is None else _settle(entry.details),
        entry.corrects,
        entry.reversed_by,
        entry.chain,
        entry.step,
    )


def _settle(text: str) -> Json:
    """JSON as it is always shown: the database gives it back in another order and spacing."""
    return settle(msgspec.json.decode(text))


def settle(value: Any) -> Json:  # noqa: ANN401  # any JSON
    """A value as it is always shown."""
    return Json(_encode_sorted(value))


def view_account(state: AccountState, ledger_id: str) -> AccountView:
    """The account as the API shows it."""
    profile = state.profile
    return AccountView(
        profile.id,
        ledger_id,
        profile.type,
        profile.currency,
        profile.role,
        profile.user_id,
        profile.name,
        profile.status,
        profile.floor,
        profile.ceiling,
        _settle(profile.metadata),
        profile.revision,
        state.created_at,
        state.updated_at,
    )


def view_ledger(ledger: Ledger) -> LedgerView:
    """The ledger as the API shows it."""
    assets = [AssetView(code, exponent) for code, exponent in sorted(ledger.assets.items())]
    return LedgerView(ledger.id, ledger.name, assets, ledger.created_at)
