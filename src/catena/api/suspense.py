"""Money that is nobody's: what stands in suspense, and how it gets to its owner, or is lost.

Invariant: what is in suspense is assigned once, by an entry that says who decided it and why; where
that is reversed, it is there again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from msgspec import Meta, Struct
from pydantic import Field, model_validator
from starlette.requests import Request
from starlette.responses import Response

from catena.api import examples
from catena.api.bodies import AccountId as AccountText
from catena.api.bodies import Body, Text, id_pattern, name_one_account
from catena.api.documentation import describe
from catena.api.movements import POSTING_ERRORS
from catena.api.pages import PageQuery, open_cursor, page_reply, seal_cursor
from catena.api.reconciliation_views import ItemId
from catena.api.requests import app_of, identify, perform, respond
from catena.api.views import ChainId, EntryId, EntryView, LedgerId, Moment, encode, view_entry
from catena.api.writes import Context, Reply, Write, digest
from catena.auth.scopes import Scope
from catena.db.suspense import Suspended, find_suspended, list_suspended, reopen_suspended
from catena.errors import Conflict, NotFound
from catena.flows.credit import assign
from catena.ids import SUSPENSE, parse_id
from catena.journal import Operation, Result
from catena.ledger.entries import Entry

__all__ = ["router"]

router = APIRouter(tags=["Banks"])

_DAY_SECONDS: Final = 86_400


class AssignmentRequest(Body):
    """Say whose it is, or that it is lost, and how you know."""

    account_id: AccountText | None = None
    role: Annotated[
        Literal["losses"] | None,
        Field(description="It is the platform's loss; of what came in, its gain."),
    ] = None
    reason: Text

    _names_one = model_validator(mode="after")(name_one_account)


class SuspendedView(Struct, frozen=True):
    """Money that is nobody's so far."""

    id: Annotated[str, Meta(pattern=id_pattern(SUSPENSE))]
    ledger_id: LedgerId
    entry_id: Annotated[EntryId, Meta(description="That has put it into suspense.")]
    chain_id: Annotated[ChainId | None, Meta(description="Whose entry that is, or null.")]
    item_id: Annotated[ItemId | None, Meta(description="The discrepancy that was parked, or null.")]
    gateway: str
    gateway_reference: str | None
    amount: Annotated[
        int, Meta(description="Minor units of the currency; negative: it has left, and is missing.")
    ]
    currency: str
    payer_name: str | None
    payer_iban: Annotated[str | None, Meta(description="Masked: its first and last four.")]
    text: Annotated[
        str, Meta(description="What the payer, the gateway or whoever has parked it says of it.")
    ]
    booked_at: Moment
    age_days: Annotated[int, Meta(description="Whole days since it was booked.")]


class SuspendedList(Struct, frozen=True):
    """What is nobody's, the oldest first."""

    items: Sequence[SuspendedView]
    next: Annotated[str | None, Meta(description="Null on the last page.")]


_HEX: Final = "019a3c5f1a2b7c3d8e4f5a6b7c8d9e0f"
_EXAMPLE: Final = {
    "id": f"{SUSPENSE}{_HEX}",
    "ledger_id": f"ldg_{_HEX}",
    "entry_id": f"ent_{_HEX}",
    "chain_id": f"cte_{_HEX}",
    "item_id": None,
    "gateway": "housebank",
    "gateway_reference": "5f0c8a1b2c3d4e5f60718293a4b5c6d7",
    "amount": 12550,
    "currency": "EUR",
    "payer_name": "Ada L",
    "payer_iban": "GB82 **** 5432",
    "text": "Ada L, GB82 **** 5432: for my wallet",
    "booked_at": "2026-03-01T00:00:00Z",
    "age_days": 3,
}


@router.get(
    "/v1/suspense",
    summary="List money that is nobody's",
    operation_id="list_suspense",
    openapi_extra=describe(
        answers={200: ("A page.", SuspendedList, {"items": [_EXAMPLE], "next": None})},
        errors=("invalid_request", "invalid_cursor"),
        sends=("Link",),
    ),
)
async def get_suspense(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
    """What gateways, and discrepancies that were parked, have put into suspense, as far as it is
    not assigned; the oldest first.
    """
    context = await identify(request, Scope.BANK_READ)
    app, place = app_of(request), f"suspense {context.ledger.id}"
    state = open_cursor(app.cursor_secret, query, place)
    after = int(state[0]) if state else 0
    async with app.pool.acquire() as connection:
        found = await list_suspended(
            connection, context.ledger.number, after=after, limit=query.limit + 1
        )
    page, cursor = found[: query.limit], None
    if len(found) > len(page):
        cursor = seal_cursor(app.cursor_secret, query, place, [str(page[-1].position)])
    views = [_view(one, context.ledger.id, app.clock()) for one in page]
    return respond(page_reply(request, SuspendedList(views, cursor), cursor))


def _view(one: Suspended, ledger: str, now: dt.datetime) -> SuspendedView:
    return SuspendedView(
        one.id,
        ledger,
        one.entry,
        one.chain,
        one.item,
        one.gateway,
        one.reference,
        one.amount,
        one.currency,
        one.payer_name,
        one.payer_iban,
        one.text,
        one.at,
        max(0, int((now - one.at).total_seconds()) // _DAY_SECONDS),
    )


def _build(request: AssignmentRequest, context: Context, one: Suspended) -> Sequence[Operation]:
    if not one.standing:
        raise Conflict(
            "What had put it there was reversed: reverse its assignment, if there is one."
        )
    by, content = context.caller.id, digest((request.account_id or "losses").encode())
    return (assign(context.ledger, one, request.account_id, request.reason, by, content),)


def _render(results: Sequence[Result], context: Context) -> Reply:
    entry = results[0]
    assert isinstance(entry, Entry)  # noqa: S101  # what the operation gives
    location = (b"location", b"/v1/entries/" + entry.id.encode())
    return Reply(201, encode(view_entry(entry, context.ledger.id)), (location,))


@router.post(
    "/v1/suspense/{suspense_id}/assign",
    summary="Give money that is nobody's to its owner",
    operation_id="assign_suspense",
    openapi_extra=describe(
        answers={201: ("The entry that has moved it.", EntryView, examples.ENTRY)},
        body=AssignmentRequest,
        example={"account_id": f"acct_{_HEX}", "reason": "The payer has shown the transfer."},
        headers=("Idempotency-Key", "Catena-Ledger"),
        errors=("invalid_id", "conflict", *POSTING_ERRORS),
        sends=("Location",),
    ),
)
async def post_assignment(request: Request, suspense_id: str) -> Response:
    """From suspense to the account, once; of what is missing, from the account to suspense.

    Where that was wrong, its entry is reversed: what it had assigned is listed and assigned anew.
    """
    context = await identify(request, Scope.SUSPENSE_WRITE)
    app, number = app_of(request), context.ledger.number
    id = parse_id(SUSPENSE, suspense_id)
    async with app.pool.acquire() as connection:
        one = await find_suspended(connection, number, id)
        if one is not None and await reopen_suspended(connection, number, one):
            one = await find_suspended(connection, number, id)
    if one is None:
        raise NotFound
    build = partial(_build, one=one)
    write = Write("assign_suspense", AssignmentRequest, Scope.SUSPENSE_WRITE, build, _render)
    return await perform(request, write)
