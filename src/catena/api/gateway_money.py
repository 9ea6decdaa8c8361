"""Deposits and withdrawals by way of a gateway, and refunds: each is a chain underneath.

Schemas first, then what they mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from catena.api.bodies import Amount, Body, Note, Reference, Seconds, Text
from catena.api.commands import Act, chain_of, guarded
from catena.api.fees import charge_fees
from catena.api.gateway_views import view_deposit, view_refund, view_withdrawal
from catena.api.operations import BUILDERS, DepositRequest, GatewayTerms, WithdrawalRequest
from catena.api.views import (
    encode,
    view_entry,
)
from catena.api.writes import Context, Reply, Write, digest, fingerprint, require
from catena.auth.scopes import Scope
from catena.chains import machine
from catena.chains.books import Books
from catena.chains.chain import Chain
from catena.chains.definition import Claim, Definition
from catena.chains.expressions import find_expressions
from catena.chains.history import Failure
from catena.chains.postings import build_draft
from catena.chains.refusals import ChainRefusal, ChainRefused, Command
from catena.chains.states import ChainState
from catena.chains.validator import find_flaws
from catena.errors import Conflict, InvalidFee, InvalidInput
from catena.flows.deposit import (
    CAPTURE,
    CREDIT,
    DepositState,
    DepositTerms,
    captured_of,
    charge_of,
    define_deposit,
    state_of_deposit,
)
from catena.flows.refund import RefundTerms, define_refund
from catena.flows.withdrawal import (
    WithdrawalTerms,
    define_withdrawal,
)
from catena.ids import CHAIN, DEPOSIT, REFUND, WITHDRAWAL, new_id
from catena.journal import CreateChain, Operation, PostEntry, RefundEntry, Result, RunChain
from catena.ledger.accounts import SystemRole
from catena.ledger.entries import Draft, Entry, EntryType
from catena.ledger.fees import PaidBy
from catena.ledger.refusals import Refusal, RefusalCode
from catena.money import Currency

__all__ = [
    "CANCEL_DEPOSIT",
    "CANCEL_WITHDRAWAL",
    "CAPTURE_DEPOSIT",
    "DEPOSIT_BY",
    "REFUND_DEPOSIT",
    "WITHDRAW_BY",
]


class GatewayDepositRequest(DepositRequest, GatewayTerms):
    """Credit a wallet with money that came in, or, with a `gateway`, that it is to charge."""

    capture: Annotated[
        Literal["automatic", "manual"],
        Field(description="manual: authorise now, and capture when you say so."),
    ] = "automatic"
    credit: Annotated[
        Literal["received", "accepted"],
        Field(
            description="accepted: as soon as the gateway has taken the charge; the funds are under"
            " lien until the money is there."
        ),
    ] = "received"
    expires_seconds: Annotated[
        Seconds | None, Field(description="How long the payer, or who captures, may take.")
    ] = None

    @model_validator(mode="after")
    def _fits(self) -> GatewayDepositRequest:
        _check_gateway(self, ("method", "note", "capture", "credit", "expires_seconds"))
        if (self.capture, self.credit) == ("manual", "accepted"):
            raise ValueError("What is captured later is credited when it is received.")
        return self


class GatewayWithdrawalRequest(WithdrawalRequest, GatewayTerms):
    """Debit a wallet for money that leaves, or, with a `gateway`, that it is to pay out."""

    @model_validator(mode="after")
    def _fits(self) -> GatewayWithdrawalRequest:
        _check_gateway(self, ("method", "note"))
        return self


def _check_gateway(request: GatewayTerms, own: Sequence[str]) -> None:
    said = request.model_fields_set
    if request.gateway is None:
        for name in own:
            if name in said:
                raise ValueError(f"`{name}` goes with a `gateway`.")
        return
    if request.method is None:
        raise ValueError("A gateway needs a `method`.")
    if find_expressions(request.method):
        raise ValueError("A `method` is a constant: it has no `cel` in it.")
    for name in ("through", "effective_at"):
        if name in said:
            raise ValueError(f"`{name}` does not go with a `gateway`.")


class CaptureDepositRequest(Body):
    """Take what was authorised, or a part; the rest is let go."""

    amount: Annotated[Amount | None, Field(description="Left out: all of it.")] = None


class CancelRequest(Body):
    """Give up, and undo what was done."""

    reason: Text


class RefundDepositRequest(Body):
    """Give a deposit back to who paid it, whole or in part."""

    amount: Annotated[Amount | None, Field(description="Left out: all that is left of it.")] = None
    note: Note | None = None
    reference: Reference | None = None


_Show = Callable[[Chain, str], object]
"""The chain as it is shown; the ledger's id comes with it."""


# --- what they mean ---------------------------------------------------------------------------


def _tell_fees(request: DepositRequest | WithdrawalRequest) -> list[Mapping[str, Any]]:
    return [fee.model_dump(mode="json", exclude_unset=True) for fee in request.fees or ()]


def _charge_wallet(
    request: DepositRequest | WithdrawalRequest, currency: Currency, wallet: PaidBy
) -> int:
    """What the wallet pays in fees, in minor units. Nobody else can pay them: what the gateway is
    asked for is the amount. `wallet`: which side it is on. Raises InvalidFee.
    """
    for number, fee in enumerate(request.fees or ()):
        if fee.paid_by not in (None, wallet):
            sentence = f"With a `gateway` the wallet pays the fees: `{wallet}`."
            raise InvalidFee(fields=[(f"/fees/{number}/paid_by", sentence)])
    charged = charge_fees(request.fees, request.amount, currency, wallet)
    return sum(fee.amount for fee in charged)


def _by_hand(
    name: str, request: GatewayDepositRequest | GatewayWithdrawalRequest, context: Context
) -> Operation:
    """What is asked for without a gateway, or what is like it: that goes through holding."""
    if request.gateway is not None:
        request = request.model_copy(update={"through": SystemRole.HOLDING})
    return BUILDERS[name].build(request, context)


def _make(
    definition: Definition, instead: Operation, context: Context, against: Refusal | None = None
) -> Sequence[Operation]:
    """The chain, if its gateway takes it. `instead`: the entry by hand that it is like, and whose
    reference it has; `against`: what speaks against it beside. Raises InvalidInput.
    """
    assert isinstance(instead, PostEntry | RefundEntry)  # noqa: S101  # what moves money is
    flaws = list(find_flaws(definition.steps, context.catalogue, context.ledger.id))
    if flaws:
        raise InvalidInput(fields=[(_place(flaw.part), flaw.text) for flaw in flaws])
    draft = instead.draft
    if draft.reference is not None and draft.content is not None:
        claim = Claim(draft.type, draft.reference, draft.content)
        definition = replace(definition, claim=claim)
    return (CreateChain(new_id(CHAIN), definition, context.caller.id, instead, against),)


def _place(part: str) -> str:
    """Where in the request the input of a step comes from."""
    return f"/{part.removeprefix('inputs/')}" if part.startswith("inputs/") else ""


def _deposit(request: GatewayDepositRequest, context: Context) -> Sequence[Operation]:
    by_hand = _by_hand("deposit", request, context)
    if request.gateway is None:
        return (by_hand,)
    require(context.caller, Scope.CHAINS_CALL)
    currency = context.currency(request.currency)
    _charge_wallet(request, currency, PaidBy.DESTINATION)
    terms = DepositTerms(
        request.gateway,
        request.account_id,
        request.amount,
        currency.code,
        request.method or {},
        request.note,
        _tell_fees(request),
        manual=request.capture == "manual",
        early=request.credit == "accepted",
        expires_seconds=request.expires_seconds,
        reference=request.reference,
        description=request.description,
        metadata=request.metadata,
    )
    return _make(define_deposit(terms), by_hand, context)


def _withdraw(request: GatewayWithdrawalRequest, context: Context) -> Sequence[Operation]:
    by_hand = _by_hand("withdrawal", request, context)
    if request.gateway is None:
        return (by_hand,)
    require(context.caller, Scope.CHAINS_CALL)
    currency = context.currency(request.currency)
    on_top = _charge_wallet(request, currency, PaidBy.SOURCE)
    terms = WithdrawalTerms(
        request.gateway,
        request.account_id,
        request.amount,
        request.amount + on_top,
        currency.code,
        request.method or {},
        request.note,
        _tell_fees(request),
        request.reference,
        request.description,
        request.metadata,
    )
    return _make(define_withdrawal(terms), by_hand, context)


def _capture(request: CaptureDepositRequest, context: Context, chain: Chain) -> Sequence[Operation]:
    """The capture, if its fees leave something of it. Raises InvalidInput or InvalidFee."""
    by, whole = context.caller.id, chain.steps["charge"].definition.inputs["amount"]
    amount = request.amount or whole
    if amount > whole:
        raise InvalidInput(fields=[("/amount", "It is more than was authorised.")])
    credit = {**chain.steps[CREDIT].definition.inputs, "amount": amount}
    try:
        build_draft("deposit", credit, context.ledger.id, context.ledger.assets)
    except InvalidFee:
        sentence = "The fees of the deposit are more than that."
        raise InvalidFee(fields=[("/amount", sentence)]) from None

    def act(chain: Chain, books: Books) -> ChainRefused | None:
        if state_of_deposit(chain) is not DepositState.AUTHORISED:
            return ChainRefused(ChainRefusal.NOT_AUTHORISED, chain.id)
        machine.signal(chain, books, CAPTURE, {"amount": amount}, by)
        return None

    return (RunChain(chain.id, guarded(Command.SIGNAL, act)),)


def _cancel(request: CancelRequest, context: Context, chain: Chain) -> Sequence[Operation]:
    failure, by = Failure("cancelled", request.reason), context.caller.id
    act: Act = partial(machine.cancel, failure=failure, by=by)
    return (RunChain(chain.id, guarded(Command.CANCEL, act)),)


def _refund(
    request: RefundDepositRequest, context: Context, chain: Chain, left: int
) -> Sequence[Operation]:
    """The refund of a deposit whose chain this is, and of which so much is left (minor units).

    Raises Forbidden, Conflict or InvalidInput.
    """
    require(context.caller, Scope.CHAINS_CALL)
    credit, taken = chain.steps[CREDIT], charge_of(chain)
    if chain.state is not ChainState.COMPLETED or credit.entry is None:
        raise Conflict("Only a deposit that is completed is refunded.")
    amount = request.amount or left or captured_of(chain) or 0
    asked = taken.definition.inputs
    terms = RefundTerms(
        asked["gateway"],
        chain.id,
        credit.definition.inputs["account_id"],
        credit.entry,
        taken.result["reference"],
        amount,
        asked["currency"],
        request.note,
        request.reference,
    )
    content = digest(chain.id.encode(), fingerprint(request)) if request.reference else None
    draft = Draft(
        EntryType.REFUND, (), reference=request.reference, corrects=credit.entry, content=content
    )
    # The books know what was refunded of the entry, and nothing of chargebacks.
    against = Refusal(RefusalCode.REFUND_EXCEEDS_ENTRY) if amount > left else None
    return _make(define_refund(terms), RefundEntry(draft, amount), context, against)


def _render(results: Sequence[Result], context: Context, prefix: str, show: _Show) -> Reply:
    result = results[0]
    if isinstance(result, Entry):
        location = (b"location", b"/v1/entries/" + result.id.encode())
        return Reply(201, encode(view_entry(result, context.ledger.id)), (location,))
    chain = chain_of(results)
    place = _PLACES[prefix] + (prefix + chain.id[4:]).encode()
    status = 201 if chain.is_ended else 202
    return Reply(status, encode(show(chain, context.ledger.id)), ((b"location", place),))


_PLACES: Final = {
    DEPOSIT: b"/v1/deposits/",
    WITHDRAWAL: b"/v1/withdrawals/",
    REFUND: b"/v1/refunds/",
}


def _render_same(results: Sequence[Result], context: Context, show: _Show) -> Reply:
    chain = chain_of(results)
    return Reply(200, encode(show(chain, context.ledger.id)))


def _words(what: str) -> Mapping[RefusalCode | ChainRefusal, str]:
    """What refuses it, told to who has asked for no chain."""
    return {
        ChainRefusal.INVALID_CHAIN: (
            f"The {what} cannot be made: an account that it names is not there, or is closed."
        ),
        ChainRefusal.CHAIN_ENDED: (
            f"The {what} has come to its end, and nothing can be done to it any more; its `state`"
            " says how it ended."
        ),
        ChainRefusal.CHAIN_NOT_RUNNING: f"The {what} is being undone. Wait for its end.",
        ChainRefusal.CHAIN_HELD: (
            f"The {what} is held. It goes on when somebody who may resumes it."
        ),
        ChainRefusal.PIVOT_PASSED: (
            f"The {what} has been sent, and cannot be stopped any more; its `state` says what"
            " becomes of it."
        ),
        RefusalCode.REFERENCE_CONFLICT: f"Use a new reference for a new {what}.",
        RefusalCode.REFUND_EXCEEDS_ENTRY: "Refund at most what the deposit's `refundable` says.",
    }


DEPOSIT_BY: Final = Write(
    "deposit",
    GatewayDepositRequest,
    Scope.DEPOSITS_WRITE,
    _deposit,
    partial(_render, prefix=DEPOSIT, show=view_deposit),
    words=_words("deposit"),
)
WITHDRAW_BY: Final = Write(
    "withdrawal",
    GatewayWithdrawalRequest,
    Scope.WITHDRAWALS_WRITE,
    _withdraw,
    partial(_render, prefix=WITHDRAWAL, show=view_withdrawal),
    words=_words("withdrawal"),
)
CAPTURE_DEPOSIT: Final = Write(
    "capture_deposit",
    CaptureDepositRequest,
    Scope.DEPOSITS_WRITE,
    _capture,
    partial(_render_same, show=view_deposit),
    words=_words("deposit"),
)
CANCEL_DEPOSIT: Final = Write(
    "cancel_deposit",
    CancelRequest,
    Scope.DEPOSITS_WRITE,
    _cancel,
    partial(_render_same, show=view_deposit),
    words=_words("deposit"),
)
CANCEL_WITHDRAWAL: Final = Write(
    "cancel_withdrawal",
    CancelRequest,
    Scope.WITHDRAWALS_WRITE,
    _cancel,
    partial(_render_same, show=view_withdrawal),
    words=_words("withdrawal"),
)
REFUND_DEPOSIT: Final = Write(
    "refund_deposit",
    RefundDepositRequest,
    Scope.DEPOSITS_WRITE,
    _refund,
    partial(_render, prefix=REFUND, show=view_refund),
    words=_words("refund"),
)
