"""Virtual balances: what one chain may spend, which is what is available and its own pool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Query
from msgspec import Meta, Struct
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from catena.api import chain_examples as examples
from catena.api.bodies import AccountId as AccountText
from catena.api.documentation import describe
from catena.api.requests import app_of, identify, respond
from catena.api.views import AccountId, ChainId, Minor, encode
from catena.api.writes import Reply
from catena.auth.scopes import Scope
from catena.db.read.liens import read_standings
from catena.errors import NotFound
from catena.ids import CHAIN, parse_id

__all__ = ["VirtualBalance", "router"]

router = APIRouter(tags=["Liens"])


class VirtualBalance(Struct, frozen=True):
    """An account with a floor, as one chain sees it."""

    account_id: AccountId
    currency: str
    posted: Minor
    reserved: Minor
    available: Minor
    pool: Annotated[int, Meta(description="What the chain has under lien there.")]
    virtual: Annotated[int, Meta(description="What the chain may spend: available + pool.")]


class VirtualBalances(Struct, frozen=True):
    """What a chain may spend, all as of one position of the ledger."""

    chain_id: ChainId
    position: int
    items: Sequence[VirtualBalance]


class AccountQuery(BaseModel):
    """Of which account; left out: of all that the chain names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account_id: Annotated[AccountText | None, Field(description="Any with a floor.")] = None


_EXAMPLE: Final = {
    "chain_id": examples.RUNNING["id"],
    "position": 9,
    "items": examples.PREVIEW["steps"][0]["balances"],
}


@router.get(
    "/v1/chains/{chain_id}/virtual-balances",
    summary="Read what a chain may spend",
    operation_id="list_virtual_balances",
    openapi_extra=describe(
        answers={200: ("The balances.", VirtualBalances, _EXAMPLE)},
        errors=("invalid_request", "invalid_id"),
    ),
)
async def get_virtual_balances(
    request: Request, chain_id: str, query: Annotated[AccountQuery, Query()]
) -> Response:
    """For each account with a floor that the chain names: available, its pool, and their sum."""
    context = await identify(request, Scope.LIENS_READ)
    id = parse_id(CHAIN, chain_id)
    asked = None if query.account_id is None else [query.account_id]
    async with app_of(request).pool.acquire() as connection:
        found = await read_standings(connection, context.ledger.number, id, asked)
    if found is None:
        raise NotFound
    chain, balances = found
    if asked and not balances:
        raise NotFound
    items = []
    for account, balance in sorted(balances.items()):
        if balance.available is None:
            continue
        pool = chain.pool.funds(account)
        items.append(
            VirtualBalance(
                account,
                balance.currency,
                balance.posted,
                balance.reserved,
                balance.available,
                pool,
                balance.available + pool,
            )
        )
    position = max((balance.position for balance in balances.values()), default=0)
    return respond(Reply(200, encode(VirtualBalances(id, position, items))))
