"""The work list of reconciliation: what is wrong, what would settle it, and who decided what.

Invariant: an item changes in the commit that posts the entry for it, under the key of the request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from catena.api import examples
from catena.api import reconciliation_examples as shown
from catena.api.bodies import Body, Text
from catena.api.documentation import describe
from catena.api.pages import page_reply, read_by_time
from catena.api.reconciliation import SETTLING_ERRORS, GatewayQuery, render_posted
from catena.api.reconciliation_views import (
    ItemChangeView,
    ItemDetailView,
    ItemList,
    view_change,
    view_item,
    view_item_in_full,
)
from catena.api.requests import app_of, identify, perform, respond
from catena.api.views import EntryView, encode
from catena.api.writes import Context, Reply, Write
from catena.auth.scopes import Scope
from catena.db.read.reconciliation import list_items
from catena.db.reconciliation import reading_at_once
from catena.errors import NotFound
from catena.ids import ITEM, parse_id
from catena.journal import ItemChanged, Operation, Result
from catena.reconciliation.adjustments import Settling
from catena.reconciliation.settling import Seen, decide_item, read_item, settle_item
from catena.reconciliation.work import State

__all__ = ["router"]

router = APIRouter(tags=["Reconciliation"])


class ItemQuery(GatewayQuery):
    """Of one gateway, in one state, or of all."""

    state: State | None = None


class ItemReasonRequest(Body):
    """Why, for whoever audits the books."""

    reason: Text


class ResolveItemRequest(ItemReasonRequest):
    """Post the entry of one of the item's proposals."""

    settling: Annotated[
        Settling, Field(strict=False, description="One that the item's `proposals` have.")
    ]


@router.get(
    "/v1/reconciliation_items",
    summary="List discrepancies",
    operation_id="list_reconciliation_items",
    openapi_extra=describe(
        answers={200: ("A page.", ItemList, shown.ITEMS)},
        errors=("invalid_request", "invalid_cursor"),
        sends=("Link",),
    ),
)
async def get_items(request: Request, query: Annotated[ItemQuery, Query()]) -> Response:
    """The work list, the oldest first."""
    context = await identify(request, Scope.RECONCILIATION_READ)
    ledger, filters = context.ledger, (query.gateway, query.state)
    rows, cursor = await read_by_time(
        request,
        query,
        f"reconciliation items {ledger.id}",
        lambda reading, after, most: list_items(reading, ledger.number, *filters, after, most),
        lambda row: (row.opened_at, row.id[-32:]),
    )
    views = [view_item(row, ledger.id) for row in rows]
    return respond(page_reply(request, ItemList(views, cursor), cursor))


async def _find(request: Request, context: Context, item_id: str) -> Seen:
    app, id = app_of(request), parse_id(ITEM, item_id)
    async with reading_at_once(app.pool) as connection:
        depth = app.settings.correction_depth
        seen = await read_item(connection, context.ledger.number, id, depth)
    if seen is None:
        raise NotFound
    return seen


@router.get(
    "/v1/reconciliation_items/{item_id}",
    summary="Read a discrepancy",
    operation_id="get_reconciliation_item",
    openapi_extra=describe(
        answers={200: ("The item.", ItemDetailView, shown.ITEM)}, errors=("invalid_id",)
    ),
)
async def get_item(request: Request, item_id: str) -> Response:
    """Its lines on both sides, the entries that would settle it, and its history."""
    context = await identify(request, Scope.RECONCILIATION_READ)
    seen = await _find(request, context, item_id)
    return respond(Reply(200, encode(view_item_in_full(seen, context.ledger.id))))


def _build_settling(
    request: ResolveItemRequest, context: Context, *, seen: Seen
) -> Sequence[Operation]:
    who, ledger_id = context.caller.id, context.ledger.id
    return (settle_item(seen, request.settling, who, request.reason, ledger_id),)


_ERRORS: Final = ("invalid_id", "item_not_open")


@router.post(
    "/v1/reconciliation_items/{item_id}/resolve",
    summary="Settle a discrepancy",
    operation_id="resolve_reconciliation_item",
    openapi_extra=describe(
        answers={201: ("The adjusting entry.", EntryView, examples.ENTRY)},
        body=ResolveItemRequest,
        example={"settling": "park", "reason": "Nobody knows yet whose it is."},
        headers=("Idempotency-Key", "Catena-Ledger"),
        errors=(*_ERRORS, *SETTLING_ERRORS),
        sends=("Location",),
    ),
)
async def post_resolve(request: Request, item_id: str) -> Response:
    """By an adjusting entry that makes up the difference. The next run sees whether it does."""
    context = await identify(request, Scope.RECONCILIATION_SETTLE)
    seen = await _find(request, context, item_id)
    write = Write(
        "resolve_reconciliation_item",
        ResolveItemRequest,
        Scope.RECONCILIATION_SETTLE,
        partial(_build_settling, seen=seen),
        render_posted,
    )
    return await perform(request, write)


def _render_change(results: Sequence[Result], context: Context) -> Reply:
    del context
    changed = results[0]
    assert isinstance(changed, ItemChanged)  # noqa: S101  # refusals are problems
    return Reply(200, encode(view_change(changed)))


def _make_write(name: str, state: State) -> Write:
    def build(request: ItemReasonRequest, context: Context) -> Sequence[Operation]:
        id = parse_id(ITEM, context.params["item_id"])
        return (decide_item(id, state, context.caller.id, request.reason),)

    return Write(name, ItemReasonRequest, Scope.RECONCILIATION_SETTLE, build, _render_change)


def _add_decision(verb: str, state: State, summary: str, description: str) -> None:
    write = _make_write(f"{verb}_reconciliation_item", state)

    async def post(request: Request) -> Response:
        context = await identify(request, Scope.RECONCILIATION_SETTLE)
        await _find(request, context, request.path_params["item_id"])
        return await perform(request, write)

    example: dict[str, Any] = {**shown.CHANGE, "state": state}
    route: Callable[..., None] = router.add_api_route
    route(
        f"/v1/reconciliation_items/{{item_id}}/{verb}",
        post,
        methods=["POST"],
        summary=summary,
        description=description,
        operation_id=write.name,
        openapi_extra=describe(
            answers={200: ("The change.", ItemChangeView, example)},
            body=ItemReasonRequest,
            example={"reason": "Agreed with the gateway."},
            headers=("Idempotency-Key", "Catena-Ledger"),
            errors=_ERRORS,
        ),
    )


_add_decision(
    "accept",
    State.ACCEPTED,
    "Accept a discrepancy",
    "The difference stays, for a reason. No run looks at its lines again.",
)
_add_decision(
    "reopen",
    State.REOPENED,
    "Reopen a discrepancy",
    "What was decided was wrong. An entry that was posted for it is reversed apart.",
)
