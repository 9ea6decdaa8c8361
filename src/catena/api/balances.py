"""Balances: of one account, now or at a moment of the past."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Query
from msgspec import Meta, Struct
from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from catena.api import views
from catena.api.bodies import ChainId, Moment
from catena.api.documentation import describe
from catena.api.requests import app_of, identify, respond
from catena.api.views import AccountId, LedgerId, Minor, encode
from catena.api.writes import Context, Reply, problem_reply, require
from catena.auth.scopes import Scope
from catena.db.read.balances import read_balance_at
from catena.db.read.liens import read_standings
from catena.errors import CatenaError, InvalidInput, NotFound
from catena.ids import ACCOUNT, parse_id
from catena.ledger.balances import Balance, PastBalance

if TYPE_CHECKING:
    from catena.app import App

__all__ = ["BalanceView", "balance_reply", "router"]

router = APIRouter(tags=["Balances"])


class BalanceView(Struct, frozen=True, omit_defaults=True):
    """An account's balance. Only what was committed at `position` counts, and all of that."""

    account_id: AccountId
    ledger_id: LedgerId
    currency: str
    posted: Annotated[int, Meta(description="On the normal side of the account, minor units.")]
    debits: Minor
    credits: Minor
    reserved: Annotated[
        int | None, Meta(description="Under lien, minor units; null by effective time.")
    ]
    floor: Minor | None
    available: Annotated[
        int | None,
        Meta(description="posted - reserved - floor; null where nothing bounds it."),
    ]
    position: Annotated[
        int, Meta(description="Now: the ledger's last position. At a moment: of the last line.")
    ]
    version: Annotated[int | None, Meta(description="Grows with every write; null in the past.")]
    recorded_at: Annotated[views.Moment | None, Meta(description="When it was last true.")]
    pool: Annotated[
        int | None, Meta(description="What the chain that was named has under lien here.")
    ] = None
    virtual: Annotated[
        int | None, Meta(description="What that chain may spend: available + pool.")
    ] = None


class MomentQuery(BaseModel):
    """Which moment; left out: now. Both: what was known then of what had taken effect by then."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recorded_at: Annotated[
        Moment | None, Field(description="As the ledger knew it at this moment.")
    ] = None
    effective_at: Annotated[
        Moment | None, Field(description="Only what had taken effect by this moment.")
    ] = None
    chain_id: Annotated[
        ChainId | None, Field(description="As this chain sees it now, with its pool.")
    ] = None


_EXAMPLE: Final = {
    "account_id": "acct_019a3c5f1a2b7c3d8e4f5a6b7c8d9e0f",
    "ledger_id": "ldg_019a3c5e8f3a7b2c9d4e5f6a7b8c9d0e",
    "currency": "USD",
    "posted": 37450,
    "debits": 12550,
    "credits": 50000,
    "reserved": 0,
    "floor": 0,
    "available": 37450,
    "position": 7,
    "version": 3,
    "recorded_at": "2026-03-01T12:00:01.000001Z",
}


@router.get(
    "/v1/accounts/{account_id}/balance",
    summary="Read a balance",
    operation_id="get_balance",
    openapi_extra=describe(
        answers={200: ("The balance.", BalanceView, _EXAMPLE)},
        errors=("invalid_request", "invalid_id"),
    ),
)
async def get_balance(
    request: Request, account_id: str, query: Annotated[MomentQuery, Query()]
) -> Response:
    """Now, with everything acknowledged before the request; or at a moment of the past."""
    context = await identify(request, Scope.ACCOUNTS_READ)
    app, number = app_of(request), context.ledger.number
    id = parse_id(ACCOUNT, account_id)
    if query.chain_id is not None:
        if query.recorded_at is not None or query.effective_at is not None:
            raise InvalidInput("A chain sees its balances now, and at no other moment.")
        return respond(await _read_for_chain(app, context, id, query.chain_id))
    if query.recorded_at is None and query.effective_at is None:
        asked: asyncio.Future[Balance | CatenaError] = asyncio.get_running_loop().create_future()

        def done(found: Balance | CatenaError) -> None:
            if not asked.done():  # the client may have gone
                asked.set_result(found)

        app.balances.submit(number, id, done)
        return respond(balance_reply(await asked, context))
    async with app.pool.acquire() as connection:
        past = await read_balance_at(
            connection,
            number,
            id,
            recorded_at=query.recorded_at,
            effective_at=query.effective_at,
        )
    if past is None:
        raise NotFound
    # A moment to come is answered as known now, and says so.
    known_at = query.recorded_at and min(query.recorded_at, app.clock())
    return respond(Reply(200, encode(_view_past(past, context, known_at))))


async def _read_for_chain(app: App, context: Context, id: str, chain: str) -> Reply:
    """The balance with what is the chain's, from one snapshot."""
    require(context.caller, Scope.LIENS_READ)
    async with app.pool.acquire() as connection:
        found = await read_standings(connection, context.ledger.number, chain, [id])
    if found is None or id not in found[1]:
        raise NotFound
    balance, pool = found[1][id], found[0].pool.funds(id)
    available = balance.available
    virtual = None if available is None else available + pool
    view = replace(_view_now(balance, context), pool=pool, virtual=virtual)
    return Reply(200, encode(view))


def balance_reply(found: Balance | CatenaError, context: Context) -> Reply:
    """The answer to a read of a balance now."""
    if isinstance(found, CatenaError):
        return problem_reply(found, context.request_id)
    return Reply(200, encode(_view_now(found, context)))


def _view_now(found: Balance, context: Context) -> BalanceView:
    posted = found.posted
    return BalanceView(
        found.account,
        context.ledger.id,
        found.currency,
        posted,
        found.debits,
        found.credits,
        found.reserved,
        found.floor,
        found.available,
        found.position,
        found.version,
        found.recorded_at,
    )


def _view_past(past: PastBalance, context: Context, recorded_at: dt.datetime | None) -> BalanceView:
    terms = past.terms
    return BalanceView(
        past.account,
        context.ledger.id,
        past.currency,
        past.posted,
        past.debits,
        past.credits,
        None if terms is None else terms.reserved,
        None if terms is None else terms.floor,
        past.available,
        past.position,
        None,
        recorded_at,
    )
