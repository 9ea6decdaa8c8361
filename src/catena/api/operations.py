"""The operations that move money: their requests, and the entries that they become.

Each is a route of its own and can stand in a batch. Schemas first, then what they mean.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import Field, model_validator

from catena.api.bodies import (
    AccountId,
    Amount,
    Body,
    CurrencyCode,
    FreeReference,
    GatewayName,
    JsonObject,
    LineRole,
    Metadata,
    Moment,
    Note,
    RateText,
    Reference,
    Text,
    Through,
    name_one_account,
)
from catena.api.fees import Fees, charge_fees
from catena.api.writes import Context, digest, fingerprint
from catena.auth.scopes import Scope
from catena.errors import InvalidInput
from catena.journal import Operation, PostEntry, RefundEntry, ReverseEntry
from catena.ledger.accounts import Side, SystemRole, system_account_id
from catena.ledger.entries import Draft, EntryType, Line
from catena.ledger.exchange import quote, quote_destination
from catena.ledger.fees import PaidBy
from catena.ledger.operations import (
    draft_deposit,
    draft_exchange,
    draft_transfer,
    draft_withdrawal,
)
from catena.money import parse_rate
from catena.settings import LIMITS

__all__ = [
    "BUILDERS",
    "Builder",
    "DepositRequest",
    "EntryRequest",
    "ExchangeRequest",
    "GatewayTerms",
    "RefundRequest",
    "ReversalRequest",
    "TransferRequest",
    "WithdrawalRequest",
    "build_correction",
]


class _Described(Body):
    description: Text | None = None
    reference: Reference | None = None
    effective_at: Moment | None = Field(
        None, description="When it counts; left out, when it is recorded. Never in the future."
    )
    metadata: Metadata | None = None


class TransferRequest(_Described):
    """Move an amount from one account to another."""

    source_account_id: AccountId
    destination_account_id: AccountId
    amount: Amount
    currency: CurrencyCode
    fees: Fees | None = None


class DepositRequest(_Described):
    """Credit a wallet with money that came in through a system account."""

    account_id: AccountId
    amount: Amount
    currency: CurrencyCode
    through: Through = SystemRole.CLEARING
    fees: Fees | None = None


class GatewayTerms(Body):
    """What is said where a gateway moves the money."""

    gateway: GatewayName | None = None
    method: Annotated[
        JsonObject | None,
        Field(description="How it is paid, or to whom, in the gateway's own words."),
    ] = None
    note: Note | None = None


class WithdrawalRequest(_Described):
    """Debit a wallet for money that leaves through a system account."""

    account_id: AccountId
    amount: Amount
    currency: CurrencyCode
    through: Through = SystemRole.CLEARING
    fees: Fees | None = None


class ExchangeRequest(_Described):
    """Sell an amount of one currency for another. Fix either side; the rate gives the other.

    The bought amount is rounded down, the sold one up: what remains stays with the fx account.
    """

    source_account_id: AccountId
    destination_account_id: AccountId
    source_currency: CurrencyCode
    destination_currency: CurrencyCode
    rate: Annotated[RateText, Field(description="Major units bought for one major unit sold.")]
    source_amount: Amount | None = None
    destination_amount: Amount | None = None


class LineRequest(Body):
    """One debit or credit, of an account or of the platform's account with a role."""

    account_id: AccountId | None = None
    role: LineRole | None = None
    side: Side
    amount: Amount
    currency: CurrencyCode

    _names_one = model_validator(mode="after")(name_one_account)


class EntryRequest(_Described):
    """A free entry: any lines whose debits equal their credits in each currency."""

    type: Literal["adjustment", "transfer", "fee", "deposit", "withdrawal"] = "adjustment"
    reference: FreeReference | None = None
    lines: Annotated[list[LineRequest], Field(min_length=2, max_length=LIMITS.entry_lines)]


class ReversalRequest(_Described):
    """Reverse the whole entry: the same lines on the other side."""


class RefundRequest(_Described):
    """Give back an entry, whole or in part; every line shares in proportion."""

    amount: Annotated[
        Amount | None, Field(description="Of the entry's debits; left out, all that remains.")
    ] = None


def _build_transfer(request: TransferRequest, context: Context) -> Operation:
    currency = context.currency(request.currency)
    if request.source_account_id == request.destination_account_id:
        raise InvalidInput(
            fields=[("/destination_account_id", "Source and destination must differ.")]
        )
    fees = charge_fees(request.fees, request.amount, currency, PaidBy.SOURCE)
    draft = draft_transfer(
        context.ledger.id,
        request.source_account_id,
        request.destination_account_id,
        request.amount,
        currency.code,
        fees,
    )
    return _post(draft, request)


def _build_deposit(request: DepositRequest, context: Context) -> Operation:
    currency = context.currency(request.currency)
    fees = charge_fees(request.fees, request.amount, currency, PaidBy.DESTINATION)
    draft = draft_deposit(
        context.ledger.id,
        request.account_id,
        request.amount,
        currency.code,
        fees,
        through=request.through,
    )
    return _post(draft, request)


def _build_withdrawal(request: WithdrawalRequest, context: Context) -> Operation:
    currency = context.currency(request.currency)
    fees = charge_fees(request.fees, request.amount, currency, PaidBy.SOURCE)
    draft = draft_withdrawal(
        context.ledger.id,
        request.account_id,
        request.amount,
        currency.code,
        fees,
        through=request.through,
    )
    return _post(draft, request)


def _build_exchange(request: ExchangeRequest, context: Context) -> Operation:
    source = context.currency(request.source_currency)
    destination = context.currency(request.destination_currency)
    rate = parse_rate(request.rate)
    match request.source_amount, request.destination_amount:
        case int(amount), None:
            quoted = quote(amount, source, destination, rate)
        case None, int(amount):
            quoted = quote_destination(amount, source, destination, rate)
        case _:
            raise InvalidInput("An exchange fixes one amount: of the source or the destination.")
    draft = draft_exchange(
        context.ledger.id, request.source_account_id, request.destination_account_id, quoted
    )
    return _post(draft, request)


def _build_entry(request: EntryRequest, context: Context) -> Operation:
    lines, roles = [], []
    for line in request.lines:
        code = context.currency(line.currency).code
        account = line.account_id
        if line.role is not None:
            roles.append((line.role, code))
            account = system_account_id(context.ledger.id, line.role, code)
        lines.append(Line(account or "", line.side, line.amount, code))
    draft = Draft(EntryType(request.type), lines, system=tuple(roles), free=True)
    return _post(draft, request)


def _post(draft: Draft, request: _Described) -> PostEntry:
    return PostEntry(_describe(draft, request))


def _describe(draft: Draft, request: _Described) -> Draft:
    """The draft with what the caller says about it."""
    if _DESCRIBING.isdisjoint(request.model_fields_set):
        return draft
    reference, metadata = request.reference, request.metadata
    return draft._replace(
        description=request.description,
        reference=reference,
        effective_at=request.effective_at,
        metadata=json.dumps(metadata, separators=(",", ":")) if metadata else None,
        content=None
        if reference is None
        else digest((draft.corrects or "").encode(), fingerprint(request)),
    )


_DESCRIBING: Final = frozenset(_Described.model_fields)


def build_correction(request: ReversalRequest | RefundRequest, entry_id: str) -> Operation:
    """The reversal or refund of an entry."""
    if isinstance(request, RefundRequest):
        draft = _describe(Draft(EntryType.REFUND, (), corrects=entry_id), request)
        return RefundEntry(draft, request.amount)
    draft = _describe(Draft(EntryType.REVERSAL, (), corrects=entry_id), request)
    return ReverseEntry(draft)


class Builder(NamedTuple):
    """How a request becomes an operation, and the scope that it needs."""

    model: type[Body]
    scope: Scope
    build: Callable[[Any, Context], Operation]


BUILDERS: Final = {
    "transfer": Builder(TransferRequest, Scope.TRANSFERS_WRITE, _build_transfer),
    "deposit": Builder(DepositRequest, Scope.DEPOSITS_WRITE, _build_deposit),
    "withdrawal": Builder(WithdrawalRequest, Scope.WITHDRAWALS_WRITE, _build_withdrawal),
    "exchange": Builder(ExchangeRequest, Scope.EXCHANGES_WRITE, _build_exchange),
    "entry": Builder(EntryRequest, Scope.ENTRIES_WRITE, _build_entry),
}
