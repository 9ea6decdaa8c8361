"""What left for banks and what a person has to look at: files of orders, and alarms."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from msgspec import Meta, Struct
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from catena.api.bodies import Body, Text, id_pattern
from catena.api.documentation import describe
from catena.api.pages import PageQuery, open_cursor, page_reply, seal_cursor
from catena.api.requests import app_of, begin, identify, respond
from catena.api.views import LedgerId, Minor, Moment, encode
from catena.api.writes import REPLAYED, Reply, digest
from catena.auth.scopes import Scope
from catena.db.bank import FileState, SealedFile, list_files
from catena.db.bank_alarms import Acknowledged, Alarm, acknowledge_alarm, list_alarms
from catena.errors import Conflict, IdempotencyKeyReused, NotFound
from catena.flows.bank.standing import AlarmKind
from catena.ids import BANK_ALARM, BANK_FILE, parse_id

__all__ = ["router"]

router = APIRouter(tags=["Banks"])


class BankFileView(Struct, frozen=True):
    """A file of orders."""

    id: Annotated[str, Meta(pattern=id_pattern(BANK_FILE))]
    ledger_id: LedgerId
    gateway: str
    message_id: Annotated[str, Meta(description="What the bank knows it by.")]
    state: Annotated[
        FileState, Meta(description="sealed: on its way, the same bytes until the bank answers.")
    ]
    orders: int
    total: Minor
    currency: str
    sealed_at: Moment
    tries: Annotated[int, Meta(description="Deliveries so far.")]
    code: Annotated[str, Meta(description="What the last delivery came to; empty: in order.")]


class BankFileList(Struct, frozen=True):
    """Files of orders, the oldest first."""

    items: Sequence[BankFileView]
    next: Annotated[str | None, Meta(description="Null on the last page.")]


class AcknowledgementRequest(Body):
    """Say what was done about it."""

    reason: Text


class AlarmQuery(PageQuery):
    """A page of alarms."""

    acknowledged: Annotated[
        bool, Field(description="Those that somebody has dealt with, and not those that are open.")
    ] = False


class AcknowledgementView(Struct, frozen=True):
    """Who has dealt with it."""

    at: Moment
    by: Annotated[str, Meta(description="The key or client; `catena`: it has ended by itself.")]
    reason: str


class BankAlarmView(Struct, frozen=True):
    """Something about a bank that a person has to look at."""

    id: Annotated[str, Meta(pattern=id_pattern(BANK_ALARM))]
    gateway: str
    kind: AlarmKind
    about: Annotated[str, Meta(description="The order, file, statement or account.")]
    details: Annotated[Any, Meta(description="What is known of it.")]
    raised_at: Moment
    acknowledged: Annotated[
        AcknowledgementView | None, Meta(description="Null: it is open, or says something new.")
    ]


class BankAlarmList(Struct, frozen=True):
    """Alarms, the oldest first."""

    items: Sequence[BankAlarmView]
    next: Annotated[str | None, Meta(description="Null on the last page.")]


_HEX: Final = "019a3c5f1a2b7c3d8e4f5a6b7c8d9e0f"
_FILE: Final = {
    "id": f"{BANK_FILE}{_HEX}",
    "ledger_id": f"ldg_{_HEX}",
    "gateway": "housebank",
    "message_id": "CFMFRGGZDFMZTWQ2LKMFRGGZDFMZ",
    "state": "taken",
    "orders": 2,
    "total": 25100,
    "currency": "EUR",
    "sealed_at": "2026-03-01T12:00:00Z",
    "tries": 1,
    "code": "",
}
_ALARM: Final = {
    "id": f"{BANK_ALARM}{_HEX}",
    "gateway": "housebank",
    "kind": "gap",
    "about": "STMT-8/1:entries",
    "details": {"code": "entries", "proof": True, "expected": 12483815, "found": 12484037},
    "raised_at": "2026-03-02T00:00:00Z",
    "acknowledged": None,
}
_DONE: Final = {
    **_ALARM,
    "acknowledged": {
        "at": "2026-03-02T09:00:00Z",
        "by": f"key_{_HEX}",
        "reason": "The bank has sent the statement once more.",
    },
}
_LISTED: Final = ("invalid_request", "invalid_cursor")


@router.get(
    "/v1/bank_files",
    summary="List files of orders",
    operation_id="list_bank_files",
    openapi_extra=describe(
        answers={200: ("A page.", BankFileList, {"items": [_FILE], "next": None})},
        errors=_LISTED,
        sends=("Link",),
    ),
)
async def get_bank_files(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
    """What was sealed for banks and how its delivery goes, the oldest first."""
    context = await identify(request, Scope.BANK_READ)
    app, place = app_of(request), f"bank files {context.ledger.id}"
    state = open_cursor(app.cursor_secret, query, place)
    after = (dt.datetime.fromisoformat(state[0]), state[1], state[2]) if state else None
    async with app.pool.acquire() as connection:
        found = await list_files(
            connection, context.ledger.number, after=after, limit=query.limit + 1
        )
    page, cursor = found[: query.limit], None
    if len(found) > len(page):
        gateway, last = page[-1]
        at = last.sealed_at.isoformat()
        cursor = seal_cursor(app.cursor_secret, query, place, [at, gateway, last.id])
    views = [_view_file(gateway, file, context.ledger.id) for gateway, file in page]
    return respond(page_reply(request, BankFileList(views, cursor), cursor))


def _view_file(gateway: str, file: SealedFile, ledger: str) -> BankFileView:
    return BankFileView(
        file.id,
        ledger,
        gateway,
        file.message_id,
        file.state,
        file.orders,
        file.total,
        file.currency,
        file.sealed_at,
        file.tries,
        file.code,
    )


@router.get(
    "/v1/bank_alarms",
    summary="List what is wrong with banks",
    operation_id="list_bank_alarms",
    openapi_extra=describe(
        answers={200: ("A page.", BankAlarmList, {"items": [_ALARM], "next": None})},
        errors=_LISTED,
        sends=("Link",),
    ),
)
async def get_bank_alarms(request: Request, query: Annotated[AlarmQuery, Query()]) -> Response:
    """Gaps in statements, files that cannot be read, words that contradict each other."""
    context = await identify(request, Scope.BANK_READ)
    app, place = app_of(request), f"bank alarms {context.ledger.id}"
    state = open_cursor(app.cursor_secret, query, place)
    after = (dt.datetime.fromisoformat(state[0]), state[1], state[2]) if state else None
    async with app.pool.acquire() as connection:
        found = await list_alarms(
            connection,
            context.ledger.number,
            after=after,
            acknowledged=query.acknowledged,
            limit=query.limit + 1,
        )
    page, cursor = found[: query.limit], None
    if len(found) > len(page):
        last = page[-1]
        at = _raised(last).isoformat()
        cursor = seal_cursor(app.cursor_secret, query, place, [at, last.gateway, last.name])
    views = [_view_alarm(one) for one in page]
    return respond(page_reply(request, BankAlarmList(views, cursor), cursor))


def _view_alarm(one: Alarm) -> BankAlarmView:
    said = one.acknowledged
    return BankAlarmView(
        one.id,
        one.gateway,
        AlarmKind(one.kind),
        one.about,
        one.details,
        _raised(one),
        None if said is None else AcknowledgementView(said.at, said.by, said.reason),
    )


@router.post(
    "/v1/bank_alarms/{alarm_id}/acknowledge",
    summary="Say that an alarm was dealt with",
    operation_id="acknowledge_bank_alarm",
    openapi_extra=describe(
        answers={200: ("The alarm.", BankAlarmView, _DONE)},
        body=AcknowledgementRequest,
        example={"reason": "The bank has sent the statement once more."},
        headers=("Idempotency-Key", "Catena-Ledger"),
        errors=("invalid_id", "conflict"),
    ),
)
async def post_acknowledgement(request: Request, alarm_id: str) -> Response:
    """It is listed among the open ones no more, unless it says something new."""
    context, wanted, key, payload = await begin(request, Scope.BANK_WRITE, AcknowledgementRequest)
    app, id = app_of(request), parse_id(BANK_ALARM, alarm_id)
    payload = digest(payload.encode(), id.encode())
    said = Acknowledged(app.clock(), context.caller.id, wanted.reason, key, payload)
    async with app.pool.acquire() as connection:
        found = await acknowledge_alarm(connection, context.ledger.number, id, said)
    if found is None:
        raise NotFound
    done = found.acknowledged
    if done is None or done.key != key:
        raise Conflict("Somebody has dealt with it already.")
    if done.payload != payload:
        raise IdempotencyKeyReused
    headers = () if done.at == said.at else (REPLAYED,)
    return respond(Reply(200, encode(_view_alarm(found)), headers))


def _raised(alarm: Alarm) -> dt.datetime:
    assert alarm.raised_at is not None  # noqa: S101  # it is stored
    return alarm.raised_at
