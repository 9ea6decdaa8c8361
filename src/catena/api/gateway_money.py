"""Deposits and withdrawals by way of a gateway, and refunds: each is a chain underneath.

Schemas first, then what they mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from catena.api.bodies import Amount, Body, FlowReference, Note, Seconds, Text
from catena.api.commands import Act, chain_of, guarded, on_chain
from catena.api.fees import charge_fees
from catena.api.gateway_views import view_deposit, view_refund, view_withdrawal
from catena.api.operations import BUILDERS, DepositRequest, GatewayTerms, WithdrawalRequest
from catena.api.views import (
    encode,
    view_entry,
)
from catena.api.writes import Context, Reply, Write, require
from catena.auth.scopes import Scope
from catena.chains import machine
from catena.chains.books import Books
from catena.chains.chain import Chain
from catena.chains.definition import Definition
from catena.chains.expressions import find_expressions
from catena.chains.history import Failure
from catena.chains.refusals import ChainRefusal, ChainRefused, Command
from catena.chains.states import ChainState
from catena.chains.validator import find_flaws
from catena.errors import Conflict, InvalidFee, InvalidInput
from catena.flows.deposit import (
    CAPTURE,
    CREDIT,
    DepositState,
    DepositTerms,
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
from catena.journal import CreateChain, Operation, Result
from catena.ledger.entries import Entry
from catena.ledger.fees import PaidBy
from catena.money import Currency

__all__ = [
    "CANCEL_DEPOSIT",
    "CANCEL_WITHDRAWAL",
    "CAPTURE_DEPOSIT",
    "DEPOSIT_BY",
    "WITHDRAW_BY",
    "RefundDepositRequest",
    "refund_operation",
    "render_refund",
]


class GatewayDepositRequest(DepositRequest, GatewayTerms):
    """Credit a wallet with money that came in, or, with a `gateway`, that it is to charge."""

    reference: FlowReference | None = None
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

    reference: FlowReference | None = None

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

    amount: Annotated[Amount | None, Field(description="Left out: all of it.")] = None
    note: Note | None = None


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


def _make(definition: Definition, context: Context) -> Sequence[Operation]:
    """The chain, if its gateway takes it. Raises InvalidInput."""
    flaws = list(find_flaws(definition.steps, context.catalogue, context.ledger.id))
    if flaws:
        raise InvalidInput(fields=[(_place(flaw.part), flaw.text) for flaw in flaws])
    return (CreateChain(new_id(CHAIN), definition, context.caller.id),)


def _place(part: str) -> str:
    """Where in the request the input of a step comes from."""
    return f"/{part.removeprefix('inputs/')}" if part.startswith("inputs/") else ""


def _deposit(request: GatewayDepositRequest, context: Context) -> Sequence[Operation]:
    if request.gateway is None:
        return (BUILDERS["deposit"].build(request, context),)
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
    return _make(define_deposit(terms), context)


def _withdraw(request: GatewayWithdrawalRequest, context: Context) -> Sequence[Operation]:
    if request.gateway is None:
        return (BUILDERS["withdrawal"].build(request, context),)
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
    return _make(define_withdrawal(terms), context)


def _capture(request: CaptureDepositRequest, context: Context) -> Sequence[Operation]:
    by, whole = context.caller.id, int(context.params["amount"])
    amount = request.amount or whole
    if amount > whole:
        raise InvalidInput(fields=[("/amount", "It is more than was authorised.")])

    def act(chain: Chain, books: Books) -> ChainRefused | None:
        if state_of_deposit(chain) is not DepositState.AUTHORISED:
            return ChainRefused(ChainRefusal.NOT_AUTHORISED, chain.id)
        machine.signal(chain, books, CAPTURE, {"amount": amount}, by)
        return None

    return on_chain(context, guarded(Command.SIGNAL, act))


def _cancel(request: CancelRequest, context: Context) -> Sequence[Operation]:
    failure, by = Failure("cancelled", request.reason), context.caller.id
    act: Act = partial(machine.cancel, failure=failure, by=by)
    return on_chain(context, guarded(Command.CANCEL, act))


def refund_operation(
    request: RefundDepositRequest, context: Context, chain: Chain
) -> Sequence[Operation]:
    """The refund of a deposit whose chain this is. Raises Forbidden, Conflict or InvalidInput."""
    require(context.caller, Scope.CHAINS_CALL)
    credit, taken = chain.steps[CREDIT], charge_of(chain)
    if chain.state is not ChainState.COMPLETED or credit.entry is None:
        raise Conflict("Only a deposit that is completed is refunded.")
    amount = taken.result["amount"]
    asked = taken.definition.inputs
    terms = RefundTerms(
        asked["gateway"],
        chain.id,
        credit.definition.inputs["account_id"],
        credit.entry,
        taken.result["reference"],
        request.amount or amount,
        asked["currency"],
        request.note,
    )
    return _make(define_refund(terms), context)


def _explain(
    request: GatewayDepositRequest | GatewayWithdrawalRequest, refusal: ChainRefused
) -> Sequence[tuple[str, str]]:
    """Which account cannot be used: the wallet, unless its fees name others."""
    place = "" if any(fee.account_id for fee in request.fees or ()) else "/account_id"
    return [(place, text) for text in dict.fromkeys(flaw.text for flaw in refusal.flaws)]


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


DEPOSIT_BY: Final = Write(
    "deposit",
    GatewayDepositRequest,
    Scope.DEPOSITS_WRITE,
    _deposit,
    partial(_render, prefix=DEPOSIT, show=view_deposit),
    explain=_explain,
)
WITHDRAW_BY: Final = Write(
    "withdrawal",
    GatewayWithdrawalRequest,
    Scope.WITHDRAWALS_WRITE,
    _withdraw,
    partial(_render, prefix=WITHDRAWAL, show=view_withdrawal),
    explain=_explain,
)
CAPTURE_DEPOSIT: Final = Write(
    "capture_deposit",
    CaptureDepositRequest,
    Scope.DEPOSITS_WRITE,
    _capture,
    partial(_render_same, show=view_deposit),
)
CANCEL_DEPOSIT: Final = Write(
    "cancel_deposit",
    CancelRequest,
    Scope.DEPOSITS_WRITE,
    _cancel,
    partial(_render_same, show=view_deposit),
)
CANCEL_WITHDRAWAL: Final = Write(
    "cancel_withdrawal",
    CancelRequest,
    Scope.WITHDRAWALS_WRITE,
    _cancel,
    partial(_render_same, show=view_withdrawal),
)
render_refund: Final = partial(_render, prefix=REFUND, show=view_refund)
