"""Histories of chains: page by page, and as a stream of events while the chain goes on."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Query
from msgspec import Meta, Struct
from starlette import types
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from catena.api import chain_examples as examples
from catena.api.documentation import describe
from catena.api.pages import PageQuery, open_cursor, page_reply, seal_cursor
from catena.api.requests import app_of, identify, read_header, respond
from catena.api.transitions import TransitionView, list_transitions
from catena.api.views import encode
from catena.api.watching import Watchers, watchers_of
from catena.auth.scopes import Scope
from catena.chains.states import CHAIN_ENDS
from catena.db.pool import is_lost
from catena.db.read.chains import read_records
from catena.errors import InvalidInput, NotFound, Overloaded
from catena.ids import CHAIN, parse_id

if TYPE_CHECKING:
    from catena.app import App

__all__ = ["router"]

router = APIRouter(tags=["Chains"])


class TransitionList(Struct, frozen=True):
    """Events of a chain, and the cursor of the next page."""

    items: Sequence[TransitionView]
    next: Annotated[str | None, Meta(description="Null on the last page.")]


@router.get(
    "/v1/chains/{chain_id}/history",
    summary="Read a chain's history",
    operation_id="list_chain_events",
    openapi_extra=describe(
        answers={200: ("A page.", TransitionList, {"items": [examples.TRANSITION], "next": None})},
        errors=("invalid_request", "invalid_id", "invalid_cursor"),
        sends=("Link",),
    ),
)
async def get_history(
    request: Request, chain_id: str, query: Annotated[PageQuery, Query()]
) -> Response:
    """Every transition, numbered, with its time and who asked for it, the oldest first."""
    context = await identify(request, Scope.CHAINS_READ)
    app, id = app_of(request), parse_id(CHAIN, chain_id)
    place = f"chain {context.ledger.id} {id}"
    start, after = open_cursor(app.cursor_secret, query, place) or (0, 0)
    async with app.pool.acquire() as connection:
        records = await read_records(connection, context.ledger.number, id, start, query.limit + 1)
    if not records and not after:
        raise NotFound
    found = [
        (position, transition)
        for position, record in records
        for transition in list_transitions(record)
        if transition.number > after
    ]
    page, cursor = found[: query.limit], None
    if len(found) > len(page):
        last, transition = page[-1]
        cursor = seal_cursor(app.cursor_secret, query, place, [last, transition.number])
    view = TransitionList([transition for _, transition in page], cursor)
    return respond(page_reply(request, view, cursor))


_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_RECORDS: Final = 100
"""Commits of a chain that a stream reads at once."""


@router.get(
    "/v1/chains/{chain_id}/progress",
    summary="Follow a chain",
    operation_id="follow_chain",
    openapi_extra=describe(
        answers={
            200: (
                "Server-sent events (`transition`) until the chain ends; ids are the numbers.",
                TransitionView,
                examples.TRANSITION,
            )
        },
        headers=("Catena-Ledger", "Last-Event-ID"),
        errors=("invalid_id", "invalid_request"),
        media="text/event-stream",
    ),
)
async def get_progress(request: Request, chain_id: str) -> Response:
    """Every transition as it happens, from the first or from behind the one seen last."""
    context = await identify(request, Scope.CHAINS_READ)
    id, seen = parse_id(CHAIN, chain_id), read_header(request, "last-event-id")
    if seen is not None and not _NUMBER.fullmatch(seen):
        raise InvalidInput("Last-Event-ID is the number of an event.")
    app, watchers = app_of(request), watchers_of(request)
    async with app.pool.acquire() as connection:
        if not await read_records(connection, context.ledger.number, id, 0, 1):
            raise NotFound
    if watchers.streams >= app.settings.progress_streams:
        raise Overloaded("As many streams are open as one process serves.")
    events = _follow(app, watchers, context.ledger.number, id, int(seen or 0))
    return _Stream(watchers, events)


class _Stream(StreamingResponse):
    """A stream that is counted until it ends, however it does."""

    def __init__(self, watchers: Watchers, events: AsyncIterator[bytes]) -> None:
        headers = {"content-type": "text/event-stream", "cache-control": "no-store"}
        super().__init__(events, headers=headers)
        self._watchers = watchers
        watchers.streams += 1

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._watchers.streams -= 1


async def _follow(
    app: App, watchers: Watchers, ledger: int, id: str, after: int
) -> AsyncIterator[bytes]:
    """The events behind number `after`, until the chain has ended or the process stops."""
    with watchers.watch(ledger, id) as watch:
        start, ended = 0, False
        while not ended:
            try:
                async with app.pool.acquire() as connection:
                    records = await read_records(connection, ledger, id, start, _RECORDS)
            except Exception as error:
                if is_lost(error):
                    return  # whoever follows comes again, with the last number
                raise
            for position, record in records:
                start = position + 1
                for transition in list_transitions(record):
                    if transition.number > after:
                        after = transition.number
                        yield _frame(transition)
                last = record.events[-1]
                ended = not last.step and last.to in CHAIN_ENDS
            if ended or watchers.closing:
                return
            if len(records) < _RECORDS and not await watch.pass_by(after, _heartbeat(app)):
                yield b":\n\n"


def _heartbeat(app: App) -> float:
    return app.settings.heartbeat_seconds


def _frame(transition: TransitionView) -> bytes:
    head = f"id: {transition.number}\nevent: transition\ndata: "
    return head.encode() + encode(transition) + b"\n\n"
