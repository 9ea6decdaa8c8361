"""The routes that move money: one write for each operation, and batches of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Union

from fastapi import APIRouter
from pydantic import Field, create_model
from starlette.requests import Request
from starlette.responses import Response

from catena.api import examples
from catena.api.bodies import Body
from catena.api.documentation import describe
from catena.api.operations import (
    BUILDERS,
    Builder,
    RefundRequest,
    ReversalRequest,
    build_correction,
)
from catena.api.problems import problem_of_refusal
from catena.api.requests import perform
from catena.api.views import BatchView, EntryView, ResultView, encode, view_entry
from catena.api.writes import Context, Reply, Write, require
from catena.auth.scopes import Scope
from catena.ids import ENTRY, parse_id
from catena.journal import Operation, Result
from catena.ledger.entries import Entry
from catena.ledger.refusals import Refusal
from catena.settings import LIMITS

__all__ = ["BATCH", "CORRECTIONS", "MOVEMENTS", "POSTING_ERRORS", "BatchRequest", "router"]


def _render_entry(results: Sequence[Result], context: Context) -> Reply:
    entry = results[0]
    assert isinstance(entry, Entry)  # noqa: S101  # a posting's result; refusals are problems
    location = (b"location", b"/v1/entries/" + entry.id.encode())
    return Reply(201, encode(view_entry(entry, context.ledger.id)), (location,))


def _write_of(name: str, builder: Builder) -> Write:
    build = builder.build
    return Write(name, builder.model, builder.scope, lambda r, c: (build(r, c),), _render_entry)


MOVEMENTS: Final[Mapping[str, Write]] = {
    name: _write_of(name, builder) for name, builder in BUILDERS.items()
}
"""By the operation's name."""


def _correct(request: Any, context: Context) -> Sequence[Operation]:  # noqa: ANN401  # either of two
    return (build_correction(request, parse_id(ENTRY, context.params["entry_id"])),)


CORRECTIONS: Final[Mapping[str, Write]] = {
    "reverse": Write("reverse", ReversalRequest, Scope.CORRECTIONS_WRITE, _correct, _render_entry),
    "refund": Write("refund", RefundRequest, Scope.CORRECTIONS_WRITE, _correct, _render_entry),
}


def _operation_model(name: str, model: type[Body]) -> type[Body]:
    """The request with its name in it, as it stands in a batch."""
    fields: dict[str, Any] = {"operation": (Literal[name], ...)}
    title = model.__name__.replace("Request", "Operation")
    return create_model(title, __base__=model, __doc__=model.__doc__, **fields)


_BUILDER_OF: Final = {
    _operation_model(name, builder.model): builder for name, builder in BUILDERS.items()
}
_AnyOperation: Any = Annotated[Union[tuple(_BUILDER_OF)], Field(discriminator="operation")]  # noqa: UP007  # of a table


class BatchRequest(Body):
    """Up to 10,000 operations under one key, in one commit."""

    mode: Literal["atomic", "each"] = Field(
        description="atomic: all of them or none. each: every one for itself, with its own result."
    )
    operations: Annotated[
        list[_AnyOperation], Field(min_length=1, max_length=LIMITS.batch_operations)
    ]


def _build_batch(request: BatchRequest, context: Context) -> Sequence[Operation]:
    for model in {type(operation) for operation in request.operations}:
        require(context.caller, _BUILDER_OF[model].scope)
    return [_BUILDER_OF[type(item)].build(item, context) for item in request.operations]


def _view_result(result: Result) -> ResultView:
    match result:
        case Entry():
            return ResultView(result.id, result.position)
        case Refusal():
            return ResultView(problem=problem_of_refusal(result))
        case _:
            raise TypeError  # nothing else stands in a batch


def _render_batch(results: Sequence[Result], context: Context) -> Reply:
    views = [_view_result(result) for result in results]
    refused = sum(view.problem is not None for view in views)
    view = BatchView(context.ledger.id, len(views) - refused, refused, views)
    return Reply(201 if not refused else 200, encode(view))


BATCH: Final = Write(
    "batch",
    BatchRequest,
    None,
    _build_batch,
    _render_batch,
    atomic=lambda request: request.mode == "atomic",
    body_bytes=LIMITS.batch_body_bytes,
)


router = APIRouter(tags=["Movements"])

POSTING_ERRORS: Final = (
    "reference_conflict",
    "unknown_account",
    "system_account",
    "account_closed",
    "account_blocked",
    "account_frozen",
    "currency_mismatch",
    "effective_date_out_of_range",
    "insufficient_funds",
    "above_ceiling",
    "balance_out_of_range",
)
_MONEY_ERRORS: Final = ("unknown_currency", "invalid_amount")
_CORRECTION_ERRORS: Final = (
    "invalid_id",
    "unknown_entry",
    "chain_running",
    "already_reversed",
    "already_refunded",
    "correction_too_deep",
    "assignment_undone",
)


def _add_route(
    path: str, write: Write, summary: str, example: object, errors: Sequence[str]
) -> None:
    async def post(request: Request) -> Response:
        return await perform(request, write)

    view = BatchView if write is BATCH else EntryView
    shown = examples.BATCH_RESULT if write is BATCH else examples.ENTRY
    answers = {201: ("Done; everything was posted.", view, shown)}
    if write is BATCH:
        answers[200] = ("Done; some operations were refused.", view, shown)
    router.add_api_route(
        path,
        post,
        methods=["POST"],
        summary=summary,
        description=write.model.__doc__,
        operation_id=write.name,
        openapi_extra=describe(
            answers=answers,
            body=write.model,
            example=example,
            headers=("Idempotency-Key", "Catena-Ledger"),
            errors=(*POSTING_ERRORS, *errors),
            sends=() if write is BATCH else ("Location",),
        ),
    )


for _name, _path, _summary, _errors in (
    ("transfer", "/v1/transfers", "Transfer between accounts", ("invalid_fee",)),
    ("exchange", "/v1/exchanges", "Exchange one currency for another", ("invalid_rate",)),
    ("entry", "/v1/entries", "Post a free entry", ("unbalanced",)),
):
    _example = examples.MOVEMENTS[_name]
    _add_route(_path, MOVEMENTS[_name], _summary, _example, (*_MONEY_ERRORS, *_errors))
_add_route(
    "/v1/entries/{entry_id}/reverse",
    CORRECTIONS["reverse"],
    "Reverse an entry",
    {"description": "Booked twice"},
    _CORRECTION_ERRORS,
)
_add_route(
    "/v1/entries/{entry_id}/refund",
    CORRECTIONS["refund"],
    "Refund an entry",
    {"amount": 500},
    (*_CORRECTION_ERRORS, "not_refundable", "refund_exceeds_entry"),
)
_add_route(
    "/v1/batches",
    BATCH,
    "Post many operations in one commit",
    examples.BATCH,
    (*_MONEY_ERRORS, "invalid_fee", "invalid_rate", "unbalanced"),
)
