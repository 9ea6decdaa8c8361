"""Liens: what a chain has, why money cannot be spent; reserve, extend and release."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from msgspec import Meta, Struct
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from catena.api import chain_examples as examples
from catena.api.bodies import AccountId as AccountText
from catena.api.bodies import Amount, Body, Seconds
from catena.api.chain_views import LienView, view_lien
from catena.api.commands import chain_of, on_chain
from catena.api.documentation import describe
from catena.api.pages import PageQuery, open_cursor, page_reply, seal_cursor
from catena.api.requests import app_of, identify, perform, respond
from catena.api.views import AccountId, Minor, encode
from catena.api.writes import Context, Reply, Write
from catena.auth.scopes import Scope
from catena.chains.appending import append_tried, name_step
from catena.chains.books import Books
from catena.chains.chain import Chain
from catena.chains.definition import Need, Step
from catena.chains.refusals import ChainRefusal, ChainRefused
from catena.chains.states import ChainState, StepState
from catena.db.read.chains import read_chain
from catena.db.read.liens import (
    LienRow,
    list_account_liens,
    list_chain_liens,
    read_lien,
)
from catena.errors import NotFound
from catena.ids import ACCOUNT, CHAIN, LIEN, derive_within, parse_id
from catena.journal import Operation, Result
from catena.ledger.refusals import Refusal
from catena.liens.liens import Lien, LienKind

__all__ = ["lien_of", "refuse_held", "router"]

router = APIRouter(tags=["Liens"])


class ReserveRequest(Body):
    """Reserve funds on an account for this chain alone. What does not fit is refused at once."""

    account_id: AccountText
    amount: Amount
    expires_seconds: Annotated[
        Seconds | None, Field(description="Then its unused rest is everyone's again.")
    ] = None
    on_expiry: Annotated[
        Literal["fail", "continue"], Field(description="What the chain does when it expires.")
    ] = "fail"


class ExtendRequest(Body):
    """When the lien expires: so long from now, but never earlier than it would."""

    expires_seconds: Seconds


class ReleaseRequest(Body):
    """Nothing to say."""


def refuse_held(chain: Chain) -> ChainRefused | None:
    """Steps that are to be done now cannot be appended to a chain that begins nothing."""
    held = chain.state is ChainState.HELD
    return ChainRefused(ChainRefusal.CHAIN_HELD, chain.id) if held else None


def _reserve(request: ReserveRequest, context: Context) -> Sequence[Operation]:
    inputs: dict[str, Any] = {"account_id": request.account_id, "amount": request.amount}
    if request.expires_seconds is not None:
        inputs |= {"expires_seconds": request.expires_seconds, "on_expiry": request.on_expiry}

    def act(chain: Chain, books: Books) -> ChainRefused | Refusal | None:
        step = Step(name_step(chain, "reserve"), "lien.reserve", inputs)
        return refuse_held(chain) or append_tried(chain, books, step=step, by=context.caller.id)

    return on_chain(context, act, [request.account_id])


def _on_lien(context: Context, verb: str, inputs: dict[str, Any]) -> Sequence[Operation]:
    """Append a step about the lien of the path; the chain that has it was found before."""
    id = context.params["lien_id"]

    def act(chain: Chain, books: Books) -> ChainRefused | Refusal | None:
        lien = chain.pool.liens.get(id)
        if lien is None or not lien.may_end_early:
            step = None if lien is None else lien.step
            return ChainRefused(ChainRefusal.LIEN_NOT_OPEN, chain.id, step, lien=id)
        name = name_step(chain, verb)
        step_ = Step(name, f"lien.{verb}", {"lien": lien.step, **inputs}, (Need(lien.step),))
        return refuse_held(chain) or append_tried(chain, books, step=step_, by=context.caller.id)

    return on_chain(context, act)


def _extend(request: ExtendRequest, context: Context) -> Sequence[Operation]:
    return _on_lien(context, "extend", {"expires_seconds": request.expires_seconds})


def _release(_: ReleaseRequest, context: Context) -> Sequence[Operation]:
    return _on_lien(context, "release", {})


def _render_new(results: Sequence[Result], context: Context) -> Reply:
    chain = chain_of(results)
    (row,) = next(e.data["steps"] for e in chain.history[-1].events if e.to == "appended")
    inputs = row["inputs"]
    id = derive_within(LIEN, chain.id, row["name"], inputs["account_id"])
    declared = Lien(
        id, chain.id, row["name"], inputs["account_id"], LienKind.RESERVE, inputs["amount"]
    )
    view = view_lien(lien_of(chain, chain.pool.liens.get(id, declared)), context.ledger.id)
    return Reply(201, encode(view), ((b"location", b"/v1/liens/" + id.encode()),))


def _render(results: Sequence[Result], context: Context) -> Reply:
    chain = chain_of(results)
    lien = chain.pool.liens[context.params["lien_id"]]
    return Reply(200, encode(view_lien(lien_of(chain, lien), context.ledger.id)))


def lien_of(chain: Chain, lien: Lien) -> LienRow:
    """A lien of a chain that is at hand, as it would be read."""
    made = [
        record.at
        for record in chain.history
        for event in record.events
        if event.step == lien.step and event.to == StepState.COMPLETED
    ]
    return LienRow(
        lien.id,
        chain.id,
        chain.definition.type,
        chain.state,
        lien.step,
        lien.account,
        lien.kind,
        lien.state,
        lien.amount,
        lien.remaining,
        lien.drawn,
        lien.released,
        lien.taken_back,
        lien.expires_at,
        made[0] if made else chain.history[-1].at,
    )


RESERVE: Final = Write(
    "reserve_funds", ReserveRequest, Scope.LIENS_WRITE, _reserve, _render_new
)._replace(explain=lambda _, refusal: [("/account_id", flaw.text) for flaw in refusal.flaws])
EXTEND: Final = Write("extend_lien", ExtendRequest, Scope.LIENS_WRITE, _extend, _render)
RELEASE: Final = Write("release_lien", ReleaseRequest, Scope.LIENS_WRITE, _release, _render)

_COMMANDED: Final = (
    "invalid_id",
    "unknown_chain",
    "chain_ended",
    "chain_not_running",
    "chain_held",
    "invalid_chain",
)


@router.post(
    "/v1/chains/{chain_id}/liens",
    summary="Reserve funds for a chain",
    operation_id="reserve_funds",
    openapi_extra=describe(
        answers={201: ("The lien.", LienView, examples.LIEN)},
        body=ReserveRequest,
        example={"account_id": examples.LIEN["account_id"], "amount": 500},
        headers=("Idempotency-Key", "Catena-Ledger"),
        errors=(
            *_COMMANDED,
            "insufficient_funds",
            "no_floor",
            "account_frozen",
            "account_blocked",
        ),
        sends=("Location",),
    ),
)
async def post_lien(
    request: Request,
    chain_id: str,  # noqa: ARG001  # declared for the document
) -> Response:
    """Append a reservation to a chain that runs, or that was opened and not started."""
    return await perform(request, RESERVE)


def _add_command(path: str, write: Write, summary: str, example: object) -> None:
    async def post(request: Request) -> Response:
        context = await identify(request, Scope.LIENS_WRITE)
        id = parse_id(LIEN, request.path_params["lien_id"])
        async with app_of(request).pool.acquire() as connection:
            row = await read_lien(connection, context.ledger.number, id)
        if row is None:
            raise NotFound
        # Which chain has a lien never changes.
        request.scope["path_params"] = {"lien_id": id, "chain_id": row.chain}
        return await perform(request, write)

    router.add_api_route(
        f"/v1/liens/{{lien_id}}/{path}",
        post,
        methods=["POST"],
        summary=summary,
        description=f"{summary}: appends a step to its chain.",
        operation_id=write.name,
        openapi_extra=describe(
            answers={200: ("The lien.", LienView, examples.LIEN)},
            body=write.model,
            example=example,
            headers=("Idempotency-Key", "Catena-Ledger"),
            errors=(*_COMMANDED, "not_found", "lien_not_open"),
        ),
    )


_add_command("extend", EXTEND, "Have a lien expire later", {"expires_seconds": 86400})
_add_command("release", RELEASE, "Release the unused rest of a lien", {})


# --- reading ----------------------------------------------------------------------------------


@router.get(
    "/v1/liens/{lien_id}",
    summary="Read a lien",
    operation_id="get_lien",
    openapi_extra=describe(
        answers={200: ("The lien.", LienView, examples.LIEN)}, errors=("invalid_id",)
    ),
)
async def get_lien(request: Request, lien_id: str) -> Response:
    """A lien by its id."""
    context = await identify(request, Scope.LIENS_READ)
    id = parse_id(LIEN, lien_id)
    async with app_of(request).pool.acquire() as connection:
        row = await read_lien(connection, context.ledger.number, id)
    if row is None:
        raise NotFound
    return respond(Reply(200, encode(view_lien(row, context.ledger.id))))


class LienList(Struct, frozen=True):
    """Liens, and the cursor of the next page."""

    items: Sequence[LienView]
    next: Annotated[str | None, Meta(description="Null on the last page.")]


@router.get(
    "/v1/chains/{chain_id}/liens",
    summary="List a chain's liens",
    operation_id="list_chain_liens",
    openapi_extra=describe(
        answers={200: ("A page.", LienList, {"items": [examples.LIEN], "next": None})},
        errors=("invalid_request", "invalid_id", "invalid_cursor"),
        sends=("Link",),
    ),
)
async def get_chain_liens(
    request: Request, chain_id: str, query: Annotated[PageQuery, Query()]
) -> Response:
    """Every lien that a chain has had, in the order in which they were made."""
    context = await identify(request, Scope.LIENS_READ)
    app, number = app_of(request), context.ledger.number
    id = parse_id(CHAIN, chain_id)
    place = f"liens {context.ledger.id} {id}"
    state = open_cursor(app.cursor_secret, query, place)
    after = state[0] if state else None
    async with app.pool.acquire() as connection:
        rows = await list_chain_liens(connection, number, id, after=after, limit=query.limit + 1)
        if not rows and await read_chain(connection, number, id) is None:
            raise NotFound
    page, cursor = rows[: query.limit], None
    if len(rows) > len(page):
        cursor = seal_cursor(app.cursor_secret, query, place, [page[-1].id])
    view = LienList([view_lien(row, context.ledger.id) for row in page], cursor)
    return respond(page_reply(request, view, cursor))


class AccountLiens(Struct, frozen=True):
    """Why money on an account cannot be spent: its open liens, and what they add up to."""

    account_id: AccountId
    currency: str
    posted: Minor
    reserved: Annotated[int, Meta(description="What remains of all its open liens.")]
    available: Minor | None
    items: Sequence[LienView]
    next: Annotated[str | None, Meta(description="Null on the last page.")]


@router.get(
    "/v1/accounts/{account_id}/liens",
    summary="List what is reserved on an account",
    operation_id="list_account_liens",
    openapi_extra=describe(
        answers={
            200: (
                "A page.",
                AccountLiens,
                {
                    "account_id": examples.LIEN["account_id"],
                    "currency": "USD",
                    "posted": 37450,
                    "reserved": 500,
                    "available": 36950,
                    "items": [examples.LIEN],
                    "next": None,
                },
            )
        },
        errors=("invalid_request", "invalid_id", "invalid_cursor"),
        sends=("Link",),
    ),
)
async def get_account_liens(
    request: Request, account_id: str, query: Annotated[PageQuery, Query()]
) -> Response:
    """Each open lien with its chain and step: why money here cannot be spent."""
    context = await identify(request, Scope.LIENS_READ)
    app, id = app_of(request), parse_id(ACCOUNT, account_id)
    place = f"liens {context.ledger.id} {id}"
    state = open_cursor(app.cursor_secret, query, place)
    async with app.pool.acquire() as connection:
        page = await list_account_liens(
            connection,
            context.ledger.number,
            id,
            after=state[0] if state else None,
            limit=query.limit,
        )
    if page is None:
        raise NotFound
    cursor = None
    if page.next is not None:
        cursor = seal_cursor(app.cursor_secret, query, place, [page.next])
    balance = page.balance
    view = AccountLiens(
        id,
        balance.currency,
        balance.posted,
        balance.reserved,
        balance.available,
        [view_lien(row, context.ledger.id) for row in page.items],
        cursor,
    )
    return respond(page_reply(request, view, cursor))
