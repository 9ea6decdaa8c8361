"""What every route does first: who is calling, which ledger, which key, how large a body."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from catena.api.bodies import Body, decode
from catena.api.writes import (
    Context,
    Reply,
    Write,
    digest,
    fingerprint,
    parse_key,
    parse_revision,
    require,
    submit,
)
from catena.errors import (
    BadRequest,
    IdempotencyKeyRequired,
    PayloadTooLarge,
    PreconditionRequired,
    Unauthenticated,
    UnknownCurrency,
    UnsupportedMediaType,
)
from catena.settings import LIMITS

if TYPE_CHECKING:
    from catena.app import App
    from catena.auth.keys import Caller

__all__ = [
    "app_of",
    "authenticate",
    "begin",
    "identify",
    "perform",
    "read_body",
    "read_bytes",
    "read_header",
    "read_key",
    "respond",
    "run_write",
]


def app_of(request: Request) -> App:
    """The application that serves this request."""
    app: App = request.app.state.catena
    return app


def read_header(request: Request, name: str) -> str | None:
    """The header's one value, or None without it. Raises BadRequest when it is there twice."""
    values = request.headers.getlist(name)
    if len(values) > 1:
        raise BadRequest(f"The header {name} is there twice.")
    return values[0] if values else None


async def authenticate(request: Request) -> Caller:
    """Who is calling. Raises Unauthenticated."""
    header = read_header(request, "authorization") or ""
    caller = await app_of(request).callers.find(header.encode("latin-1"))
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
    ledger = await app_of(request).ledgers.find(caller, read_header(request, "catena-ledger"))
    catalogue = app_of(request).catalogue
    params = request.path_params
    return Context(caller, ledger, request.state.request_id, params, catalogue=catalogue)


async def read_body(request: Request, bytes_max: int) -> bytes:
    """The body, which must be JSON. Raises UnsupportedMediaType or PayloadTooLarge."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("The body must not be compressed.")
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared != "application/json":
        raise UnsupportedMediaType
    return await read_bytes(request, bytes_max)


async def read_bytes(request: Request, bytes_max: int) -> bytes:
    """The body, as it was sent. Raises PayloadTooLarge."""
    if int(request.headers.get("content-length", "0")) > bytes_max:
        raise PayloadTooLarge
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > bytes_max:
                raise PayloadTooLarge
    except ClientDisconnect:
        raise BadRequest("The body ended before it was whole.") from None
    return bytes(body)


def read_key(request: Request) -> str:
    """The Idempotency-Key. Raises IdempotencyKeyRequired or InvalidIdempotencyKey."""
    header = read_header(request, "idempotency-key")
    if header is None:
        raise IdempotencyKeyRequired
    return parse_key(header)


async def begin(request: Request, scope: str, model: type[Body]) -> tuple[Context, Any, str, str]:
    """Of what the journal does not do: who asks and for what, in `scope`; the request's key, of its
    caller, and what it stands for.
    """
    context = await identify(request, scope)
    key = digest(context.caller.id.encode(), read_key(request).encode())
    wanted = decode(model, await read_body(request, LIMITS.body_bytes))
    return context, wanted, key, digest(model.__name__.encode(), fingerprint(wanted))


async def perform(request: Request, write: Write) -> Response:
    """Do what a writing route does, under its Idempotency-Key, or on the revision of If-Match."""
    return respond(await run_write(request, write))


async def run_write(request: Request, write: Write) -> Reply:
    """The same, as a reply."""
    context = await identify(request, write.scope)
    if write.conditional:
        header = read_header(request, "if-match")
        if header is None:
            raise PreconditionRequired
        context = context._replace(revision=parse_revision(header))
        key = app_of(request).new_id("once_")
    else:
        key = read_key(request)
    body = await read_body(request, write.body_bytes)
    answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def reply(reply: Reply) -> None:
        if not answered.done():  # the client may have gone; what is committed stays committed
            answered.set_result(reply)

    app = app_of(request)
    try:
        submit(write, context, key, body, app.journal, reply)
    except UnknownCurrency:
        # Another process may have registered the asset since this one read the ledgers.
        await app.ledgers.refresh()
        ledger = await app.ledgers.find(context.caller, context.ledger.id)
        submit(write, context._replace(ledger=ledger), key, body, app.journal, reply)
    return await answered


def respond(reply: Reply) -> Response:
    """The reply as a response."""
    response = Response(reply.body, reply.status, media_type=reply.content_type)
    response.raw_headers.extend(reply.headers)
    return response
