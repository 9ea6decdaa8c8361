"""What gateways have said that nobody knows what to do with: listed, for a person to see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from catena.api.documentation import describe
from catena.api.pages import PageQuery, page_reply, read_by_time
from catena.api.requests import identify, respond
from catena.api.views import Moment
from catena.auth.scopes import Scope
from catena.db.notices import Heard, list_notices

__all__ = ["router"]

router = APIRouter(tags=["Gateways"])


class NoticeView(Struct, frozen=True):
    """Something that a gateway has said of what we do not know, or not yet."""

    gateway: str
    id: Annotated[str, Meta(description="The gateway's own: of its event.")]
    subject: Annotated[str, Meta(description="charge, capture, refund, payout, dispute or credit.")]
    notice: Annotated[
        Any,
        Meta(
            description="What it says: `outcome`, `reference` (the gateway's name of it), `about`"
            " (of the charge or payout behind it), `amount` in minor units of `currency`, `key`,"
            " `code`, `text`, `details`, and `at`, its time there. What is left out it does not"
            " say."
        ),
    ]
    received_at: Moment


class NoticeList(Struct, frozen=True):
    """Notices that nobody knows what to do with so far, the oldest first."""

    items: Sequence[NoticeView]
    next: Annotated[str | None, Meta(description="Null on the last page.")]


_EXAMPLE: Final = {
    "items": [
        {
            "gateway": "sandbox",
            "id": "evt_019a3c5f1a2b7c3d8e4f5a6b7c8d9e0f",
            "subject": "refund",
            "notice": {
                "id": "evt_019a3c5f1a2b7c3d8e4f5a6b7c8d9e0f",
                "subject": "refund",
                "outcome": "approved",
                "at": "2026-03-01T12:00:00+00:00",
                "reference": "re_019a3c5f1a2b7c3d8e4f5a6b7c8d9e10",
                "about": "ch_019a3c5f1a2b7c3d8e4f5a6b7c8d9e11",
                "amount": 500,
                "currency": "USD",
            },
            "received_at": "2026-03-01T12:00:00Z",
        }
    ],
    "next": None,
}


@router.get(
    "/v1/notices",
    summary="List what gateways said and nobody knows",
    operation_id="list_unmatched_notices",
    openapi_extra=describe(
        answers={200: ("A page.", NoticeList, _EXAMPLE)},
        errors=("invalid_request", "invalid_cursor"),
        sends=("Link",),
    ),
)
async def get_notices(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
    """What is not matched, the oldest first. Each is tried again every few seconds."""
    context = await identify(request, Scope.CHAINS_READ)
    ledger = context.ledger
    items, cursor = await read_by_time(
        request,
        query,
        f"notices {ledger.id}",
        lambda reading, after, most: list_notices(reading, ledger.number, after=after, limit=most),
        lambda heard: (heard.received_at, heard.told.gateway, heard.told.id),
    )
    page = NoticeList([_view(heard) for heard in items], cursor)
    return respond(page_reply(request, page, cursor))


def _view(heard: Heard) -> NoticeView:
    told = heard.told
    return NoticeView(told.gateway, told.id, told.subject, told.notice, heard.received_at)
