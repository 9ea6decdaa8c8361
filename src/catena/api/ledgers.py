"""Ledgers: create, list, read, and register assets of their own."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from catena.api import examples
from catena.api.bodies import Body, CurrencyCode, Text, decode
from catena.api.documentation import describe
from catena.api.pages import PageQuery, open_cursor, page_reply, seal_cursor
from catena.api.requests import app_of, authenticate, read_body, read_key, respond
from catena.api.views import AssetView, LedgerList, LedgerView, encode, view_ledger
from catena.api.writes import REPLAYED, Reply, digest, fingerprint, require
from catena.auth.scopes import Scope
from catena.db.installation import Ledger, create_ledger, put_asset
from catena.errors import (
    Conflict,
    Forbidden,
    IdempotencyKeyReused,
    InvalidInput,
)
from catena.ids import LEDGER, derive_id
from catena.money import ASSET_EXPONENT_MAX, define_asset
from catena.settings import LIMITS

__all__ = ["router"]

router = APIRouter(tags=["Ledgers"])

_LIST: Final = "ledgers"


class AssetRequest(Body):
    """A currency of the ledger's own."""

    code: CurrencyCode
    exponent: Annotated[int, Field(ge=0, le=ASSET_EXPONENT_MAX)]


class LedgerRequest(Body):
    """A new book. ISO 4217 currencies are always there; `assets` come beside them."""

    name: Text
    assets: Annotated[list[AssetRequest], Field(max_length=LIMITS.ledger_assets)] | None = None


class ExponentRequest(Body):
    """How many decimal places one unit of the asset has."""

    exponent: Annotated[int, Field(ge=0, le=ASSET_EXPONENT_MAX)]


@router.post(
    "/v1/ledgers",
    summary="Create a ledger",
    operation_id="create_ledger",
    openapi_extra=describe(
        answers={201: ("The ledger.", LedgerView, examples.LEDGER)},
        body=LedgerRequest,
        example={"name": "main", "assets": [{"code": "PTS", "exponent": 0}]},
        headers=("Idempotency-Key",),
        sends=("Location",),
    ),
)
async def post_ledger(request: Request) -> Response:
    """Create a book, isolated from all others. The key decides its id, so it is made once."""
    app = app_of(request)
    caller = await authenticate(request)
    require(caller, Scope.LEDGERS_WRITE)
    if caller.ledgers is not None:
        raise Forbidden("A credential that is limited to ledgers makes no others.")
    key = read_key(request)
    wanted = decode(LedgerRequest, await read_body(request, LIMITS.body_bytes))
    assets = {asset.code: asset.exponent for asset in wanted.assets or ()}
    if len(assets) != len(wanted.assets or ()):
        raise InvalidInput(fields=[("/assets", "An asset is named twice.")])
    for code, exponent in assets.items():
        define_asset(code, exponent)
    id, payload = derive_id(LEDGER, caller.id, key), digest(fingerprint(wanted))
    async with app.pool.acquire() as connection:
        made = await create_ledger(connection, id, wanted.name, assets, payload)
    ledger = next(ledger for ledger in await app.ledgers.refresh() if ledger.id == id)
    if ledger.payload != payload:
        raise IdempotencyKeyReused
    # Assets may have been added since: the first answer is what was asked for.
    view = encode(view_ledger(ledger._replace(assets=assets)))
    location = (b"location", b"/v1/ledgers/" + id.encode())
    return respond(Reply(201, view, (location,) if made else (location, REPLAYED)))


@router.get(
    "/v1/ledgers",
    summary="List the ledgers that the credential may use",
    operation_id="list_ledgers",
    openapi_extra=describe(
        answers={200: ("A page.", LedgerList, {"items": [examples.LEDGER], "next": None})},
        headers=(),
        errors=("invalid_request", "invalid_cursor"),
        sends=("Link",),
    ),
)
async def list_ledgers(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
    """Those of the installation, or those that the credential is limited to, the oldest first."""
    app = app_of(request)
    caller = await authenticate(request)
    require(caller, Scope.LEDGERS_READ)
    state = open_cursor(app.cursor_secret, query, _LIST)
    found = [
        ledger
        for ledger in await app.ledgers.refresh()
        if caller.ledgers is None or ledger.id in caller.ledgers
        if state is None or ledger.number > state[0]
    ]
    page, cursor = found[: query.limit], None
    if len(found) > len(page):
        cursor = seal_cursor(app.cursor_secret, query, _LIST, [page[-1].number])
    view = LedgerList([view_ledger(ledger) for ledger in page], cursor)
    return respond(page_reply(request, view, cursor))


@router.get(
    "/v1/ledgers/{ledger_id}",
    summary="Read a ledger",
    operation_id="get_ledger",
    openapi_extra=describe(
        answers={200: ("The ledger.", LedgerView, examples.LEDGER)},
        errors=("not_found",),
        headers=(),
    ),
)
async def get_ledger(request: Request, ledger_id: str) -> Response:
    """A ledger by its id."""
    ledger = await _find(request, ledger_id, Scope.LEDGERS_READ)
    return respond(Reply(200, encode(view_ledger(ledger))))


@router.put(
    "/v1/ledgers/{ledger_id}/assets/{code}",
    summary="Register an asset",
    operation_id="put_asset",
    openapi_extra=describe(
        answers={200: ("The asset.", AssetView, {"code": "PTS", "exponent": 0})},
        body=ExponentRequest,
        example={"exponent": 0},
        headers=(),
        errors=("not_found", "conflict"),
    ),
)
async def put_ledger_asset(request: Request, ledger_id: str, code: str) -> Response:
    """Add a currency of the ledger's own. Its exponent never changes."""
    ledger = await _find(request, ledger_id, Scope.LEDGERS_WRITE)
    wanted = decode(ExponentRequest, await read_body(request, LIMITS.body_bytes))
    define_asset(code, wanted.exponent)
    if code not in ledger.assets and len(ledger.assets) >= LIMITS.ledger_assets:
        raise InvalidInput("The ledger has as many assets as it can have.")
    app = app_of(request)
    async with app.pool.acquire() as connection:
        exponent = await put_asset(connection, ledger.number, code, wanted.exponent)
    if exponent != wanted.exponent:
        raise Conflict("The asset is registered with another exponent.")
    await app.ledgers.refresh()
    return respond(Reply(200, encode(AssetView(code, exponent))))


async def _find(request: Request, ledger_id: str, scope: Scope) -> Ledger:
    """The ledger as it is now: another process may have registered an asset of it."""
    caller = await authenticate(request)
    require(caller, scope)
    ledgers = app_of(request).ledgers
    await ledgers.refresh()
    return await ledgers.find(caller, ledger_id)
