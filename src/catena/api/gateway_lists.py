"""Deposits, withdrawals and refunds by way of a gateway: read one, list them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Annotated, Any, Final, NamedTuple

from fastapi import APIRouter, Query
from msgspec import Meta, Struct
from pydantic import Field, StringConstraints, model_validator
from starlette.requests import Request
from starlette.responses import Response

from catena.api import gateway_examples
from catena.api.bodies import AccountId, GatewayName, Moment, Reference
from catena.api.documentation import describe
from catena.api.gateway_views import (
    GatewayDepositView,
    GatewayWithdrawalView,
    RefundView,
    view_deposit,
    view_refund,
    view_withdrawal,
)
from catena.api.pages import PageQuery, check_span, open_cursor, page_reply, seal_cursor
from catena.api.requests import app_of, identify, respond
from catena.api.views import encode
from catena.api.writes import Context, Reply
from catena.auth.scopes import Scope
from catena.chains.chain import Chain
from catena.chains.states import ChainState
from catena.db.read.chains import ChainFilter, list_chains, read_chain
from catena.db.read.deposits import (
    Corrected,
    find_wallets,
    read_chains,
    read_corrected,
    read_followers,
)
from catena.errors import NotFound
from catena.flows.deposit import CREDIT, DepositState
from catena.flows.deposit import DEPOSIT as DEPOSIT_TYPE
from catena.flows.refund import REFUND as REFUND_TYPE
from catena.flows.sums import FOLLOWING, Sums, sum_up
from catena.flows.withdrawal import WITHDRAWAL as WITHDRAWAL_TYPE
from catena.flows.withdrawal import WithdrawalState
from catena.ids import CHAIN, DEPOSIT, REFUND, WITHDRAWAL, parse_id
from catena.settings import LIMITS

__all__ = ["find_chain", "read_sums", "router", "show_one"]

router = APIRouter(tags=["Movements"])


class DepositList(Struct, frozen=True):
    """Deposits, and the cursor of the next page."""

    items: Sequence[GatewayDepositView]
    next: Annotated[str | None, Meta(description="Null on the last page.")]


class WithdrawalList(Struct, frozen=True):
    """Withdrawals, and the cursor of the next page."""

    items: Sequence[GatewayWithdrawalView]
    next: Annotated[str | None, Meta(description="Null on the last page.")]


class RefundList(Struct, frozen=True):
    """Refunds, and the cursor of the next page."""

    items: Sequence[RefundView]
    next: Annotated[str | None, Meta(description="Null on the last page.")]


class _FlowQuery(PageQuery):
    account_id: Annotated[AccountId | None, Field(description="The wallet.")] = None
    user_id: Annotated[
        str | None,
        StringConstraints(min_length=1, max_length=LIMITS.reference_characters),
        Field(description="Whose wallet it is."),
    ] = None
    gateway: GatewayName | None = None
    reference: Reference | None = None
    start: Annotated[Moment | None, Field(description="Created then or later.")] = None
    end: Annotated[Moment | None, Field(description="Created before.")] = None

    _span = model_validator(mode="after")(check_span)


class DepositQuery(_FlowQuery):
    """Filters; all of those that are given must hold. A filtered page may be short while `next`
    goes on.
    """

    state: tuple[DepositState, ...] = ()


class WithdrawalQuery(_FlowQuery):
    """The same."""

    state: tuple[WithdrawalState, ...] = ()


View = GatewayDepositView | GatewayWithdrawalView | RefundView


class _Kind(NamedTuple):
    """What tells deposits, withdrawals and refunds apart. `chains`: their type."""

    chains: str
    path: str
    what: str
    view: type[Any]
    show: Callable[[Chain, str], View]
    example: object


_KINDS: Final = {
    DEPOSIT: _Kind(
        DEPOSIT_TYPE,
        "/v1/deposits",
        "deposit",
        GatewayDepositView,
        view_deposit,
        gateway_examples.DEPOSIT,
    ),
    WITHDRAWAL: _Kind(
        WITHDRAWAL_TYPE,
        "/v1/withdrawals",
        "withdrawal",
        GatewayWithdrawalView,
        view_withdrawal,
        gateway_examples.WITHDRAWAL,
    ),
    REFUND: _Kind(
        REFUND_TYPE, "/v1/refunds", "refund", RefundView, view_refund, gateway_examples.REFUND
    ),
}

_UNDER: Final = (ChainState.FAILED, ChainState.ROLLING_BACK)
_ON_ITS_WAY: Final = (
    ChainState.CREATED,
    ChainState.VALIDATED,
    ChainState.EXECUTING,
    ChainState.HELD,
)
_STATES: Final = {
    "completed": (ChainState.COMPLETED,),
    "failing": (*_UNDER, *_ON_ITS_WAY),
    "failed": (ChainState.ROLLED_BACK,),
    "cancelled": (ChainState.ROLLED_BACK,),
}
"""The states that their chains may be in; of all others, on its way."""


async def find_chain(request: Request, context: Context, prefix: str, id: str) -> Chain:
    """The chain underneath. Raises NotFound."""
    chain_id = CHAIN + parse_id(prefix, id)[len(prefix) :]
    async with app_of(request).pool.acquire() as connection:
        chain = await read_chain(connection, context.ledger.number, chain_id)
    if chain is None or chain.definition.type != _KINDS[prefix].chains:
        raise NotFound
    return chain


async def read_sums(request: Request, context: Context, chains: Sequence[Chain]) -> list[Sums]:
    """What has become of these deposits since."""
    entries = [entry for chain in chains if (entry := chain.steps[CREDIT].entry) is not None]
    if not entries:
        return [sum_up(chain) for chain in chains]
    number = context.ledger.number
    async with app_of(request).pool.acquire() as connection:
        corrected = await read_corrected(connection, number, entries)
        ids = [chain.id for chain in chains]
        followers = await read_followers(connection, number, ids, FOLLOWING, REFUND_TYPE)
    found = []
    for chain in chains:
        told = corrected.get(chain.steps[CREDIT].entry or "", Corrected(0, is_reversed=False))
        after = followers.get(chain.id, ())
        found.append(sum_up(chain, told.refunded, after, is_reversed=told.is_reversed))
    return found


async def _show(
    request: Request, context: Context, prefix: str, chains: Sequence[Chain]
) -> list[View]:
    """Each as the API shows it."""
    ledger = context.ledger.id
    if prefix != DEPOSIT:
        return [_KINDS[prefix].show(chain, ledger) for chain in chains]
    sums = await read_sums(request, context, chains)
    return [view_deposit(*one) for one in zip(chains, repeat(ledger), sums, strict=False)]


async def show_one(request: Request, context: Context, prefix: str, chain: Chain) -> View:
    """A deposit, withdrawal or refund as it stands now."""
    (view,) = await _show(request, context, prefix, [chain])
    return view


def _add_reading(prefix: str, kind: _Kind) -> None:
    name = f"{kind.what}_id"

    async def get(request: Request) -> Response:
        context = await identify(request, Scope.ENTRIES_READ)
        chain = await find_chain(request, context, prefix, request.path_params[name])
        return respond(Reply(200, encode(await show_one(request, context, prefix, chain))))

    router.add_api_route(
        f"{kind.path}/{{{name}}}",
        get,
        methods=["GET"],
        summary=f"Read a {kind.what} by way of a gateway",
        description=f"How far the {kind.what} is, and what the gateway calls it.",
        operation_id=f"get_{kind.what}",
        openapi_extra=describe(
            answers={200: (f"The {kind.what}.", kind.view, kind.example)}, errors=("invalid_id",)
        ),
    )


for _prefix, _kind in _KINDS.items():
    _add_reading(_prefix, _kind)


async def _page(
    request: Request,
    context: Context,
    prefix: str,
    query: PageQuery,
    wanted: ChainFilter,
    fits: Callable[[Any], bool],
) -> tuple[list[Any], str | None]:
    """A page of what fits, and the cursor of the next."""
    app, kind, number = app_of(request), _KINDS[prefix], context.ledger.number
    place = f"{request.url.path} {context.ledger.id}"
    state = open_cursor(app.cursor_secret, query, place)
    async with app.pool.acquire() as connection:
        page = await list_chains(
            connection,
            number,
            wanted._replace(type=kind.chains),
            after=state[0] if state else None,
            limit=query.limit,
            look_at=app.settings.scan_lines,
        )
        chains = await read_chains(connection, number, [row.id for row in page.items])
    views = await _show(request, context, prefix, chains)
    cursor = None
    if page.next is not None:
        cursor = seal_cursor(app.cursor_secret, query, place, [page.next])
    return [view for view in views if fits(view)], cursor


async def _list(
    request: Request, prefix: str, query: DepositQuery | WithdrawalQuery
) -> tuple[list[Any], str | None]:
    context = await identify(request, Scope.ENTRIES_READ)
    wallets = None if query.account_id is None else [query.account_id]
    if query.user_id is not None:
        async with app_of(request).pool.acquire() as connection:
            own = await find_wallets(connection, context.ledger.number, query.user_id)
        wallets = own if wallets is None else [id for id in wallets if id in own]
    states = {under for state in query.state for under in _STATES.get(state, _ON_ITS_WAY)}
    wanted = ChainFilter(
        tuple(states),
        reference=query.reference,
        accounts=wallets,
        start=query.start,
        end=query.end,
    )

    def fits(view: GatewayDepositView | GatewayWithdrawalView) -> bool:
        return (
            (wallets is None or view.account_id in wallets)
            and (query.gateway is None or view.gateway == query.gateway)
            and (not query.state or view.state in query.state)
        )

    return await _page(request, context, prefix, query, wanted, fits)


_LIST_ERRORS: Final = ("invalid_request", "invalid_cursor")


@router.get(
    "/v1/deposits",
    summary="List deposits by way of gateways",
    operation_id="list_deposits",
    openapi_extra=describe(
        answers={
            200: ("A page.", DepositList, {"items": [gateway_examples.DEPOSIT], "next": None})
        },
        errors=_LIST_ERRORS,
        sends=("Link",),
    ),
)
async def get_deposits(request: Request, query: Annotated[DepositQuery, Query()]) -> Response:
    """By wallet, user, state, gateway, reference and time, the newest first."""
    items, cursor = await _list(request, DEPOSIT, query)
    return respond(page_reply(request, DepositList(items, cursor), cursor))


@router.get(
    "/v1/withdrawals",
    summary="List withdrawals by way of gateways",
    operation_id="list_withdrawals",
    openapi_extra=describe(
        answers={
            200: (
                "A page.",
                WithdrawalList,
                {"items": [gateway_examples.WITHDRAWAL], "next": None},
            )
        },
        errors=_LIST_ERRORS,
        sends=("Link",),
    ),
)
async def get_withdrawals(request: Request, query: Annotated[WithdrawalQuery, Query()]) -> Response:
    """By wallet, user, state, gateway, reference and time, the newest first."""
    items, cursor = await _list(request, WITHDRAWAL, query)
    return respond(page_reply(request, WithdrawalList(items, cursor), cursor))


@router.get(
    "/v1/deposits/{deposit_id}/refunds",
    summary="List the refunds of a deposit",
    operation_id="list_refunds",
    openapi_extra=describe(
        answers={200: ("A page.", RefundList, {"items": [gateway_examples.REFUND], "next": None})},
        errors=("invalid_id", *_LIST_ERRORS),
        sends=("Link",),
    ),
)
async def get_refunds(
    request: Request, deposit_id: str, query: Annotated[PageQuery, Query()]
) -> Response:
    """Those that were asked for here, the newest first; `refunded` has the others, too."""
    context = await identify(request, Scope.ENTRIES_READ)
    chain = await find_chain(request, context, DEPOSIT, deposit_id)
    wanted = ChainFilter(reference=chain.id)
    items, cursor = await _page(request, context, REFUND, query, wanted, lambda _: True)
    return respond(page_reply(request, RefundList(items, cursor), cursor))
