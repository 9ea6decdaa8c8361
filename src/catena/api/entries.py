"""Entries: read one, list those of a ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from msgspec import Meta, Struct
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from catena.api import examples
from catena.api.bodies import Reference
from catena.api.documentation import describe
from catena.api.pages import PageQuery, open_cursor, page_reply, seal_cursor
from catena.api.requests import app_of, identify, respond
from catena.api.views import EntryView, encode, view_entry
from catena.api.writes import Reply
from catena.auth.scopes import Scope
from catena.db.read.entries import EntryFilter, list_entries, read_entry
from catena.errors import NotFound
from catena.ids import ENTRY, parse_id
from catena.ledger.entries import EntryType

__all__ = ["EntryList", "router"]

router = APIRouter(tags=["Entries"])


class EntryList(Struct, frozen=True):
    """Entries, and the cursor of the next page."""

    items: Sequence[EntryView]
    next: Annotated[str | None, Meta(description="Null on the last page.")]


class EntryQuery(PageQuery):
    """Filters. A filtered page may be short while `next` goes on."""

    type: tuple[EntryType, ...] = ()
    reference: Reference | None = None
    order: Annotated[Literal["ascending", "descending"], Field(description="By position.")] = (
        "descending"
    )


@router.get(
    "/v1/entries/{entry_id}",
    summary="Read an entry",
    operation_id="get_entry",
    openapi_extra=describe(
        answers={200: ("The entry.", EntryView, examples.ENTRY)},
        errors=("invalid_id",),
    ),
)
async def get_entry(request: Request, entry_id: str) -> Response:
    """An entry by its id, with the reversal that is in force."""
    context = await identify(request, Scope.ENTRIES_READ)
    id = parse_id(ENTRY, entry_id)
    async with app_of(request).pool.acquire() as connection:
        row = await read_entry(connection, context.ledger.number, id)
    if row is None:
        raise NotFound
    return respond(Reply(200, encode(view_entry(row.entry, context.ledger.id))))


@router.get(
    "/v1/entries",
    summary="List entries",
    operation_id="list_entries",
    openapi_extra=describe(
        answers={
            200: ("A page.", EntryList, {"items": [examples.ENTRY], "next": None}),
        },
        errors=("invalid_request", "invalid_cursor"),
        sends=("Link",),
    ),
)
async def get_entries(request: Request, query: Annotated[EntryQuery, Query()]) -> Response:
    """The ledger's entries in the order of their positions, the newest first."""
    context = await identify(request, Scope.ENTRIES_READ)
    app = app_of(request)
    state = open_cursor(app.cursor_secret, query, f"entries {context.ledger.id}")
    async with app.pool.acquire() as connection:
        page = await list_entries(
            connection,
            context.ledger.number,
            EntryFilter(query.type, query.reference),
            start=state[0] if state else None,
            descending=query.order == "descending",
            limit=query.limit,
            look_at=app.settings.scan_lines,
        )
    cursor = None
    if page.next is not None:
        place = f"entries {context.ledger.id}"
        cursor = seal_cursor(app.cursor_secret, query, place, [page.next])
    items = [view_entry(row.entry, context.ledger.id) for row in page.items]
    return respond(page_reply(request, EntryList(items, cursor), cursor))
