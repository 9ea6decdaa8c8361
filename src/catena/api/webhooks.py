"""Where gateways tell what has happened: verified on the raw bytes, kept, then answered.

Invariant: a success means that all it says is committed; else the gateway sends it again. What it
brings about comes behind.
"""

from __future__ import annotations

from typing import Annotated, Final

import structlog
from fastapi import APIRouter
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from catena.api.documentation import describe
from catena.api.requests import app_of, read_bytes, respond
from catena.api.views import encode
from catena.api.writes import Reply
from catena.errors import ForgedWebhook, InvalidInput, NotFound
from catena.flows.inbox import Receipt
from catena.gateways import contract
from catena.settings import LIMITS

__all__ = ["receipt_reply", "router"]

router = APIRouter(tags=["Gateways"])

_log = structlog.get_logger(__name__)


class ReceiptView(Struct, frozen=True):
    """What a webhook has brought."""

    taken: Annotated[int, Meta(description="Notices that were taken in with it.")]
    again: Annotated[int, Meta(description="Notices that had been taken in before.")]


_EXAMPLE: Final = {"taken": 1, "again": 0}
_EVENT: Final = {
    "id": "evt_019a3c5f1a2b7c3d8e4f5a6b7c8d9e0f",
    "type": "charge.approved",
    "created": "2026-03-01T12:00:00Z",
    "data": {
        "id": "ch_019a3c5f1a2b7c3d8e4f5a6b7c8d9e0f",
        "object": "charge",
        "amount": 12550,
        "currency": "USD",
        "status": "approved",
    },
}
"""What the sandbox sends."""


@router.post(
    "/v1/webhooks/{connection_id}",
    summary="Tell what a gateway has done",
    operation_id="receive_webhook",
    openapi_extra=describe(
        answers={200: ("Taken in.", ReceiptView, _EXAMPLE)},
        errors=("not_found", "forged_webhook", "invalid_request", "payload_too_large"),
        example=_EVENT,
        signed=True,
    ),
)
async def post_webhook(request: Request, connection_id: str) -> Response:
    """Signed by the gateway, in its own form. What it says is kept before this answers, and then
    applied once, or listed.
    """
    app = app_of(request)
    connection = app.gateways.find_id(connection_id)
    if connection is None or connection.gateway.read_webhook is None:
        raise NotFound
    body = await read_bytes(request, LIMITS.webhook_bytes)
    name = connection.gateway.name
    headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in request.headers.raw}
    try:
        notices = connection.gateway.read_webhook(headers, body, app.clock())
    except contract.ForgedWebhook as error:
        _log.warning("webhook_refused", gateway=name, reason=str(error))
        raise ForgedWebhook from None
    except contract.UnreadableWebhook as error:
        _log.warning("webhook_unreadable", gateway=name, reason=str(error))
        raise InvalidInput("The webhook is signed, and not of a form that is known.") from None
    ledger = await app.ledgers.find_any(connection.ledger)
    if ledger is None:
        raise NotFound
    return respond(receipt_reply(await app.inbox.take(ledger, name, notices)))


def receipt_reply(receipt: Receipt) -> Reply:
    """What the gateway is answered."""
    return Reply(200, encode(ReceiptView(*receipt)))
