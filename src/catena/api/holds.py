"""Holds: funds that are authorised now, and captured in parts or given back later.

Underneath is a chain of the type `hold`: a reservation, and a wait for its close. Its timeout rolls
it back before the first capture, which is its pivot; after that the wait's own ends it well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

from msgspec import Meta, Struct
from pydantic import Field

from catena.api.bodies import AccountId as AccountText
from catena.api.bodies import Amount, Body, CurrencyCode, Metadata, SearchReference, Seconds, Text
from catena.api.chain_views import FailureView, view_failure
from catena.api.commands import Act, chain_of, on_chain
from catena.api.liens import refuse_held
from catena.api.plans import explain_flaws
from catena.api.steps import HOLD_TYPE
from catena.api.views import (
    AccountId,
    ChainId,
    EntryId,
    HoldId,
    LedgerId,
    Minor,
    Moment,
    encode,
    settle,
)
from catena.api.writes import Context, Reply, Write
from catena.auth.scopes import Scope
from catena.chains import machine
from catena.chains.appending import append_tried, name_step
from catena.chains.books import Books
from catena.chains.chain import Chain
from catena.chains.definition import Definition, Need, Step
from catena.chains.expressions import Broken
from catena.chains.forward import find_lien
from catena.chains.history import Failure
from catena.chains.refusals import ChainRefusal, ChainRefused, Command, refuse, refuse_signal
from catena.chains.resolve import resolve_inputs
from catena.chains.states import ChainState
from catena.chains.step_types import Catalogue
from catena.errors import InvalidInput
from catena.ids import CHAIN, HOLD, new_id
from catena.journal import CreateChain, Operation, Result
from catena.ledger.refusals import Refusal

__all__ = ["AUTHORISE", "CAPTURE", "VOID", "HoldRequest", "HoldView", "view_hold"]

_AUTHORISE, _OPEN, _CLOSE = "authorise", "open", "close"


class HoldState(StrEnum):
    """What has become of a hold."""

    AUTHORISED = "authorised"
    PARTLY_CAPTURED = "partly_captured"
    CAPTURED = "captured"
    VOIDED = "voided"
    EXPIRED = "expired"
    REFUSED = "refused"


class HoldRequest(Body):
    """Reserve funds to be captured later, by whoever is named now or then."""

    account_id: AccountText
    amount: Amount
    currency: CurrencyCode
    destination_account_id: Annotated[
        AccountText | None, Field(description="Who receives what is captured, if nobody else.")
    ] = None
    expires_seconds: Annotated[
        Seconds, Field(description="Then it is over: given back, or its rest after a capture.")
    ]
    reference: SearchReference | None = None
    metadata: Metadata | None = None


class CaptureRequest(Body):
    """Give a part to its receiver, whose it is at once."""

    amount: Annotated[Amount | None, Field(description="Left out: all that remains.")] = None
    destination_account_id: Annotated[
        AccountText | None, Field(description="Left out: the one that the hold names.")
    ] = None
    final: Annotated[
        bool, Field(description="Nothing more will be captured: the rest is given back.")
    ] = False


class VoidRequest(Body):
    """Give back what remains: after a capture that completes the hold, before one it undoes it."""

    reason: Text | None = None


class CaptureView(Struct, frozen=True):
    """A capture that was made."""

    step: str
    amount: Minor
    destination_account_id: Annotated[
        AccountId | None,
        Meta(description="Null: it was computed by a step type that is not installed any more."),
    ]
    entry_id: EntryId | None


class HoldView(Struct, frozen=True):
    """Funds that are authorised, and what was captured of them. Minor units of `currency`."""

    id: HoldId
    ledger_id: LedgerId
    chain_id: ChainId
    state: HoldState
    account_id: AccountId
    destination_account_id: AccountId | None
    amount: Minor
    currency: str
    captured: Minor
    remaining: Annotated[int, Meta(description="What can still be captured.")]
    captures: Sequence[CaptureView]
    reference: str | None
    metadata: Annotated[Any, Meta(description="The caller's own.")]
    failure: FailureView | None
    created_at: Moment
    expires_at: Moment | None
    ended_at: Moment | None


def view_hold(chain: Chain, ledger_id: str, catalogue: Catalogue) -> HoldView:
    """The hold as the API shows it. Steps may have been appended to its chain by other ways."""
    terms = chain.definition.metadata or {}
    reserved = chain.steps[_AUTHORISE].definition.inputs
    captures = list(_list_captures(chain, catalogue))
    captured = sum(capture.amount for capture in captures)
    lien = find_lien(chain, _AUTHORISE)
    return HoldView(
        HOLD + chain.id[4:],
        ledger_id,
        chain.id,
        _state_of(chain, captured),
        reserved["account_id"],
        terms.get("destination_account_id"),
        reserved["amount"],
        terms["currency"],
        captured,
        0 if lien is None else lien.remaining,
        captures,
        chain.definition.reference,
        settle(terms.get("metadata") or {}),
        view_failure(chain.failure),
        chain.created_at,
        chain.expires_at,
        chain.ended_at,
    )


def _list_captures(chain: Chain, catalogue: Catalogue) -> Iterator[CaptureView]:
    """What the reservation was captured by; an amount or a receiver may have been computed."""
    for run in chain.steps.values():
        step = run.definition
        if run.seq and step.type == "capture" and step.inputs["lien"] == _AUTHORISE:
            inputs = resolve_inputs(chain, step, catalogue)
            receiver = None if isinstance(inputs, Broken) else inputs["destination_account_id"]
            yield CaptureView(run.name, run.result["amount"], receiver, run.entry)


_VOIDED: Final = frozenset(
    {"voided", "cancelled", "rejected", "hold_expired", "compensated_by_hand"}
)


def _state_of(chain: Chain, captured: int) -> HoldState:
    if chain.failure is not None:
        if chain.failure.code in _VOIDED:
            return HoldState.VOIDED
        timed_out = chain.failure.code == "chain_timed_out"
        return HoldState.EXPIRED if timed_out else HoldState.REFUSED
    if chain.state is ChainState.COMPLETED:
        return HoldState.CAPTURED if captured else HoldState.VOIDED
    return HoldState.PARTLY_CAPTURED if captured else HoldState.AUTHORISED


# --- what holds are told ----------------------------------------------------------------------


def _authorise(request: HoldRequest, context: Context) -> Sequence[Operation]:
    if request.destination_account_id == request.account_id:
        sentence = "Source and destination must differ."
        raise InvalidInput(fields=[("/destination_account_id", sentence)])
    terms = {
        "currency": context.currency(request.currency).code,
        "destination_account_id": request.destination_account_id,
        "metadata": request.metadata,
    }
    inputs = {
        "account_id": request.account_id,
        "amount": request.amount,
        "currency": terms["currency"],
    }
    steps = (
        Step(_AUTHORISE, "lien.reserve", inputs),
        Step(
            _OPEN,
            "wait",
            {"signal": _CLOSE},
            (Need(_AUTHORISE),),
            timeout_seconds=request.expires_seconds,
            goes_on=True,
        ),
    )
    definition = Definition(
        steps,
        HOLD_TYPE,
        request.reference,
        metadata={name: value for name, value in terms.items() if value is not None},
        timeout_seconds=request.expires_seconds,
    )
    return (CreateChain(new_id(CHAIN), definition, context.caller.id),)


def _capture(request: CaptureRequest, context: Context) -> Sequence[Operation]:
    # `receiver` and `currency` are of the hold's own terms, which never change.
    receiver = request.destination_account_id or context.params["receiver"]
    if not receiver:
        sentence = "The hold names nobody: say who receives it."
        raise InvalidInput(fields=[("/destination_account_id", sentence)])
    by = context.caller.id

    def act(chain: Chain, books: Books) -> ChainRefused | Refusal | None:
        refused = refuse(chain, Command.APPEND) or refuse_held(chain)
        if refused is not None:
            return refused
        if chain.expires_at is not None and chain.expires_at <= books.now:
            return ChainRefused(ChainRefusal.CHAIN_NOT_RUNNING, chain.id)  # its timer is late
        lien = find_lien(chain, _AUTHORISE)
        if lien is None or not lien.may_end_early:
            return ChainRefused(ChainRefusal.LIEN_NOT_OPEN, chain.id, _AUTHORISE)
        amount = request.amount or lien.remaining
        if not 0 < amount <= lien.remaining:
            code = ChainRefusal.LIEN_TOO_SMALL
            small = ChainRefused(code, chain.id, lien.step, lien=lien.id, account=lien.account)
            return small._replace(remaining=lien.remaining)
        inputs = {
            "lien": _AUTHORISE,
            "destination_account_id": receiver,
            "amount": amount,
            "currency": context.params["currency"],
        }
        is_last = request.final or amount == lien.remaining
        name, needs = name_step(chain, "capture"), (Need(_AUTHORISE),)
        step = Step(name, "capture", inputs, needs, pivot=chain.pivot is None)
        no = append_tried(chain, books, step=step, by=by)
        if no is None and is_last:
            machine.signal(chain, books, _CLOSE, None, by)
        return no

    return on_chain(context, _of_hold(act), [receiver])


def _of_hold(act: Act) -> Act:
    """The act; that the chain underneath has ended, or is about to, is said of the hold."""

    def run(chain: Chain, books: Books) -> Any:  # noqa: ANN401  # the act's own
        found = act(chain, books)
        if isinstance(found, ChainRefused) and found.code in _OVER:
            return ChainRefused(ChainRefusal.HOLD_ENDED, found.chain)
        return found

    return run


_OVER: Final = frozenset({ChainRefusal.CHAIN_ENDED, ChainRefusal.CHAIN_NOT_RUNNING})


def _void(request: VoidRequest, context: Context) -> Sequence[Operation]:
    by = context.caller.id

    def act(chain: Chain, books: Books) -> ChainRefused | None:
        if not chain.pivot_is_past:
            refused = refuse(chain, Command.APPEND)
            if refused is None:
                machine.cancel(chain, books, Failure("voided", request.reason or ""), by)
            return refused
        refused = refuse_signal(chain, _CLOSE)
        if refused is None:
            machine.signal(chain, books, _CLOSE, None, by)
        return refused

    return on_chain(context, _of_hold(act))


def _render_new(results: Sequence[Result], context: Context) -> Reply:
    view = view_hold(chain_of(results), context.ledger.id, context.catalogue)
    return Reply(201, encode(view), ((b"location", b"/v1/holds/" + view.id.encode()),))


def _render(results: Sequence[Result], context: Context) -> Reply:
    view = view_hold(chain_of(results), context.ledger.id, context.catalogue)
    return Reply(200, encode(view))


def _explain_new(_: HoldRequest, refusal: ChainRefused) -> Sequence[tuple[str, str]]:
    return [("/account_id", flaw.text) for flaw in refusal.flaws]


def _explain_capture(_: CaptureRequest, refusal: ChainRefused) -> Sequence[tuple[str, str]]:
    return [("/destination_account_id", text) for _, text in explain_flaws({}, refusal.flaws)]


_SCOPE: Final = Scope.LIENS_WRITE
AUTHORISE: Final = Write(
    "authorise_hold", HoldRequest, _SCOPE, _authorise, _render_new, explain=_explain_new
)
CAPTURE: Final = Write(
    "capture_hold", CaptureRequest, _SCOPE, _capture, _render, explain=_explain_capture
)
VOID: Final = Write("void_hold", VoidRequest, _SCOPE, _void, _render)
