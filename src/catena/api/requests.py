"""What every route does first: who is calling, which ledger, which key, how large a body."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from catena.api.writes import Context, Reply, Write, parse_key, require, submit
from catena.errors import (
    IdempotencyKeyRequired,
    PayloadTooLarge,
    Unauthenticated,
    UnsupportedMediaType,
)

if TYPE_CHECKING:
    from catena.app import App
    from catena.auth.keys import Caller

__all__ = ["app_of", "authenticate", "identify", "perform", "read_body", "respond"]


def app_of(request: Request) -> App:
    """The application that serves this request."""
    app: App = request.app.state.catena
    return app


async def authenticate(request: Request) -> Caller:
    """Who is calling. Raises Unauthenticated."""
    header = request.headers.get("authorization", "").encode("latin-1")
    caller = await app_of(request).callers.find(header)
    if caller is None:
        raise Unauthenticated
    return caller


async def identify(request: Request, scope: str | None = None) -> Context:
    """For whom and in which ledger the request is done; the caller has `scope`.

    Raises Unauthenticated, Forbidden, LedgerRequired or NotFound.
    """
    caller = await authenticate(request)
    if scope is not None:
        require(caller, scope)
    ledger = await app_of(request).ledgers.find(caller, request.headers.get("catena-ledger"))
    return Context(caller, ledger, request.state.request_id, request.path_params)


async def read_body(request: Request, bytes_max: int) -> bytes:
    """The body, which must be JSON. Raises UnsupportedMediaType or PayloadTooLarge."""
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared != "application/json":
        raise UnsupportedMediaType
    if int(request.headers.get("content-length", "0")) > bytes_max:
        raise PayloadTooLarge
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            raise PayloadTooLarge
    return bytes(body)


async def perform(request: Request, write: Write, *, key: str | None = None) -> Response:
    """Do what a writing route does, under its Idempotency-Key (or `key`, for a PATCH)."""
    context = await identify(request, write.scope)
    if key is None:
        header = request.headers.get("idempotency-key")
        if header is None:
            raise IdempotencyKeyRequired
        key = parse_key(header)
    context = context._replace(revision=getattr(request.state, "revision", None))
    body = await read_body(request, write.body_bytes)
    answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def reply(reply: Reply) -> None:
        if not answered.done():  # the client may have gone; what is committed stays committed
            answered.set_result(reply)

    submit(write, context, key, body, app_of(request).journal, reply)
    return respond(await answered)


def respond(reply: Reply) -> Response:
    """The reply as a response."""
    response = Response(reply.body, reply.status, media_type=reply.content_type)
    response.raw_headers.extend(reply.headers)
    return response
