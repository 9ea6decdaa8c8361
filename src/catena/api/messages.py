"""Messages by correlation: for who does not know which chain waits for what they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from msgspec import Meta, Struct
from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from catena.api.bodies import Body, JsonValue, Text
from catena.api.documentation import describe
from catena.api.pages import PageQuery, page_reply, read_by_time
from catena.api.requests import identify, perform, respond
from catena.api.views import ChainId, Moment, encode
from catena.api.writes import Context, Reply, Write
from catena.auth.scopes import Scope
from catena.db.inbox import Message, list_unmatched
from catena.journal import Operation, ReceiveMessage, Result, Taken

__all__ = ["router"]

router = APIRouter(tags=["Chains"])


class MessageRequest(Body):
    """Something that has happened, and what it is about."""

    id: Annotated[
        str,
        StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$"),
        Field(description="The sender's own: a message is taken in once."),
    ]
    correlation: Annotated[Text, Field(description="What a wait names as its `correlation`.")]
    payload: Annotated[JsonValue, Field(description="What the wait gives as its result.")] = None


class MessageView(Struct, frozen=True):
    """What became of a message."""

    id: str
    correlation: str
    chain_id: Annotated[
        ChainId | None, Meta(description="Who was given it; null: nobody waits for it so far.")
    ]
    again: Annotated[bool, Meta(description="It was taken in before; nothing was done.")]


class UnmatchedView(Struct, frozen=True):
    """A message that nobody has waited for so far."""

    source: Annotated[str, Meta(description="Who sent it: a key's id.")]
    id: str
    correlation: str
    payload: Any
    received_at: Moment


class UnmatchedList(Struct, frozen=True):
    """Messages that nobody has waited for so far, the oldest first."""

    items: Sequence[UnmatchedView]
    next: Annotated[str | None, Meta(description="Null on the last page.")]


def _build(request: MessageRequest, context: Context) -> Sequence[Operation]:
    message = Message(context.caller.id, request.id, request.correlation, request.payload)
    return (ReceiveMessage(message),)


def _render(results: Sequence[Result], context: Context) -> Reply:
    del context
    taken = results[0]
    assert isinstance(taken, Taken)  # noqa: S101  # what the operation gives
    message = taken.message
    view = MessageView(message.id, message.correlation, taken.chain, taken.again)
    return Reply(200 if taken.again else 201, encode(view))


_RECEIVE: Final = Write("receive_message", MessageRequest, Scope.CHAINS_SIGNAL, _build, _render)

_EXAMPLE: Final = {
    "id": "evt-1",
    "correlation": "invoice 7",
    "chain_id": None,
    "again": False,
}


@router.post(
    "/v1/messages",
    summary="Tell whoever waits for it",
    operation_id="receive_message",
    openapi_extra=describe(
        answers={
            201: ("Taken in.", MessageView, _EXAMPLE),
            200: ("It was taken in before.", MessageView, _EXAMPLE),
        },
        body=MessageRequest,
        example={"id": "evt-1", "correlation": "invoice 7", "payload": {"paid": 500}},
        headers=("Idempotency-Key", "Catena-Ledger"),
        errors=("message_conflict",),
    ),
)
async def post_message(request: Request) -> Response:
    """Given to the chain whose wait names the correlation, or kept until one does."""
    return await perform(request, _RECEIVE)


@router.get(
    "/v1/messages",
    summary="List messages that nobody waits for",
    operation_id="list_unmatched_messages",
    openapi_extra=describe(
        answers={
            200: (
                "A page.",
                UnmatchedList,
                {
                    "items": [
                        {
                            "source": "key_019a3c5f1a2b7c3d8e4f5a6b7c8d9e0f",
                            "id": "evt-1",
                            "correlation": "invoice 7",
                            "payload": {"paid": 500},
                            "received_at": "2026-03-01T12:00:00Z",
                        }
                    ],
                    "next": None,
                },
            )
        },
        errors=("invalid_request", "invalid_cursor"),
        sends=("Link",),
    ),
)
async def get_messages(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
    """What has come and is not matched, the oldest first."""
    context = await identify(request, Scope.CHAINS_READ)
    ledger = context.ledger
    items, cursor = await read_by_time(
        request,
        query,
        f"messages {ledger.id}",
        lambda reading, after, most: list_unmatched(
            reading, ledger.number, after=after, limit=most
        ),
        lambda each: (each.received_at, each.message.source, each.message.id),
    )
    views = [UnmatchedView(*_describe(each.message), each.received_at) for each in items]
    return respond(page_reply(request, UnmatchedList(views, cursor), cursor))


def _describe(message: Message) -> tuple[str, str, str, Any]:
    return message.source, message.id, message.correlation, message.payload
