"""An account's transaction history, by recorded time, or its statement by effective date."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from msgspec import Meta, Struct
from pydantic import Field, Json, model_validator
from starlette.requests import Request
from starlette.responses import Response

from catena.api import examples
from catena.api.bodies import Metadata, Moment, Reference
from catena.api.documentation import describe
from catena.api.pages import PageQuery, check_span, open_cursor, page_reply, seal_cursor
from catena.api.requests import app_of, identify, respond
from catena.api.views import AccountId, EntryView, Minor, view_entry
from catena.auth.scopes import Scope
from catena.db.read.history import read_history
from catena.db.read.statements import read_statement
from catena.errors import NotFound
from catena.ids import ACCOUNT, parse_id
from catena.ledger.accounts import Side
from catena.ledger.entries import EntryType
from catena.ledger.statements import HistoryPlace, LineQuery, StatementPlace

__all__ = ["HistoryView", "router"]

router = APIRouter(tags=["Balances"])


class HistoryLine(Struct, frozen=True):
    """One line of the account, with the entry that it belongs to."""

    number: Annotated[int, Meta(description="Counts the account's lines, from 1, without gaps.")]
    side: Side
    amount: Minor
    balance: Annotated[int, Meta(description="posted after this line, in this order of lines.")]
    entry: EntryView


class HistoryView(Struct, frozen=True):
    """A page of an account's lines. Balances are posted, in minor units of `currency`."""

    account_id: AccountId
    currency: str
    opening_balance: Annotated[int, Meta(description="Before the whole range.")]
    closing_balance: Annotated[int, Meta(description="After the whole range.")]
    items: Sequence[HistoryLine]
    next: Annotated[str | None, Meta(description="Null on the last page.")]


class HistoryQuery(PageQuery):
    """Range and filters. A filtered page may be short while `next` goes on."""

    by: Annotated[
        Literal["recorded", "effective"],
        Field(description="Which time orders and bounds the lines."),
    ] = "recorded"
    order: Literal["ascending", "descending"] = "descending"
    start: Annotated[Moment | None, Field(description="Inclusive.")] = None
    end: Annotated[Moment | None, Field(description="Exclusive.")] = None
    known_at: Annotated[
        Moment | None,
        Field(description="With by=effective: as the ledger knew it at this moment."),
    ] = None
    type: tuple[EntryType, ...] = ()
    reference: Reference | None = None
    metadata: Annotated[
        Json[Metadata] | None,
        Field(description="Entries whose metadata has all of this.", examples=['{"order":"A-1"}']),
    ] = None

    _span = model_validator(mode="after")(check_span)


_EXAMPLE: Final = {
    "account_id": "acct_019a3c5f1a2b7c3d8e4f5a6b7c8d9e0f",
    "currency": "USD",
    "opening_balance": 50000,
    "closing_balance": 37450,
    "items": [
        {
            "number": 2,
            "side": "debit",
            "amount": 12550,
            "balance": 37450,
            "entry": examples.ENTRY,
        }
    ],
    "next": None,
}


@router.get(
    "/v1/accounts/{account_id}/entries",
    summary="Read an account's history",
    operation_id="list_account_entries",
    openapi_extra=describe(
        answers={200: ("A page.", HistoryView, _EXAMPLE)},
        errors=("invalid_request", "invalid_id", "invalid_cursor"),
        sends=("Link",),
    ),
)
async def get_history(
    request: Request, account_id: str, query: Annotated[HistoryQuery, Query()]
) -> Response:
    """Its lines with their entries and the running balance.

    By recorded time, or by effective date as it was known at a moment that the cursor fixes.
    """
    context = await identify(request, Scope.ACCOUNTS_READ)
    app, number = app_of(request), context.ledger.number
    id = parse_id(ACCOUNT, account_id)
    list_name = f"history {context.ledger.id} {id}"
    state = open_cursor(app.cursor_secret, query, list_name)
    wanted = LineQuery(
        query.start,
        query.end,
        query.order == "descending",
        query.type,
        query.reference,
        None if query.metadata is None else json.dumps(query.metadata),
    )
    limit, look_at = query.limit, app.settings.scan_lines
    async with app.pool.acquire() as connection:
        page = (
            await read_history(
                connection,
                number,
                id,
                wanted,
                HistoryPlace(*state) if state else None,
                limit=limit,
                look_at=look_at,
            )
            if query.by == "recorded"
            else await read_statement(
                connection,
                number,
                id,
                wanted,
                StatementPlace(*state) if state else None,
                known_at=query.known_at,
                limit=limit,
                look_at=look_at,
            )
        )
    if page is None:
        raise NotFound
    cursor = None
    if page.next is not None:
        cursor = seal_cursor(app.cursor_secret, query, list_name, page.next)
    items = [
        HistoryLine(
            line.number,
            line.side,
            line.amount,
            line.balance,
            view_entry(line.entry, context.ledger.id),
        )
        for line in page.items
    ]
    view = HistoryView(id, page.currency, page.opening, page.closing, items, cursor)
    return respond(page_reply(request, view, cursor))
