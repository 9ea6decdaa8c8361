"""The routes of chains: tell them something, read one, list them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from msgspec import Meta, Struct
from pydantic import Field, StringConstraints, model_validator
from starlette.requests import Request
from starlette.responses import Response

from catena.api import chain_examples as examples
from catena.api.bodies import AccountId, Moment, Reference
from catena.api.chain_views import ChainSummary, ChainView, view_chain, view_row
from catena.api.chains import APPEND, CANCEL, CREATE, HOLD, REJECT, RESUME, SIGNAL, START
from catena.api.documentation import describe
from catena.api.pages import PageQuery, check_span, open_cursor, page_reply, seal_cursor
from catena.api.requests import app_of, identify, respond
from catena.api.steps import TYPE_PATTERN
from catena.api.views import encode
from catena.api.watching import run_and_wait
from catena.api.writes import Reply, Write
from catena.auth.scopes import Scope
from catena.chains.states import ChainState
from catena.db.read.chains import ChainFilter, list_chains, read_chain
from catena.db.work import Overdue, find_overdue
from catena.errors import NotFound
from catena.ids import CHAIN, parse_id

__all__ = ["add_command", "router"]

router = APIRouter(tags=["Chains"])

_ALWAYS: Final = ("invalid_id", "unknown_chain", "chain_ended")


def add_command(
    router: APIRouter,
    path: str,
    write: Write,
    summary: str,
    *,
    example: object,
    errors: Sequence[str] = (),
    waits: bool = False,
) -> None:
    """A route that tells a chain something. `waits`: it can be asked to wait for its end."""

    async def post(request: Request) -> Response:
        return respond(await run_and_wait(request, write, made=201 if created else 200))

    created = write is CREATE
    done = "The chain: it has ended, or does nothing until it is told to."
    answers: dict[int, tuple[str, type[Struct], Any]] = {
        201 if created else 200: (done, ChainView, examples.CHAIN),
        202: ("The chain goes on; it is as it stands now.", ChainView, examples.RUNNING),
    }
    prefers = ("Prefer",) if waits else ()
    router.add_api_route(
        path,
        post,
        methods=["POST"],
        summary=summary,
        description=write.model.__doc__ if created else f"{summary}.",
        operation_id=write.name,
        openapi_extra=describe(
            answers=answers,
            body=write.model,
            example=example,
            headers=("Idempotency-Key", "Catena-Ledger", *prefers),
            errors=errors if created else (*_ALWAYS, *errors),
            sends=("Location", "Preference-Applied") if waits else ("Location",),
        ),
    )


_RUNNING: Final = "chain_not_running"
_PLANS: Final = ("invalid_chain", "unknown_currency")
_REASON: Final = {"reason": "The buyer has changed her mind"}

_COMMANDS: Final[Sequence[tuple[str, Write, str, object, Sequence[str], bool]]] = (
    ("", CREATE, "Create a chain", examples.CREATE, _PLANS, True),
    ("/steps", APPEND, "Append steps to a chain", examples.APPEND, (*_PLANS, _RUNNING), False),
    ("/start", START, "Start a chain that was opened", {}, ("chain_started",), True),
    ("/cancel", CANCEL, "Cancel a chain", _REASON, (_RUNNING, "pivot_passed"), False),
    (
        "/hold",
        HOLD,
        "Hold a chain: nothing new begins",
        {"seconds": 3600, "then": "reject", "reason": "To be looked at"},
        (_RUNNING, "chain_held", "chain_not_started", "too_many_holds"),
        False,
    ),
    (
        "/resume",
        RESUME,
        "End a hold: the chain goes on",
        {"reason": "Looks good"},
        (_RUNNING, "chain_not_held", "chain_not_started"),
        True,
    ),
    (
        "/reject",
        REJECT,
        "End a hold: the chain is rolled back",
        {"reason": "Stolen card"},
        (_RUNNING, "chain_not_held", "chain_not_started", "pivot_passed"),
        False,
    ),
    (
        "/signals/{name}",
        SIGNAL,
        "Tell a chain what it waits for, or will",
        {"payload": {"approved_by": "carol"}},
        (_RUNNING, "too_many_signals"),
        True,
    ),
)
for _path, _write, _summary, _example, _errors, _waits in _COMMANDS:
    add_command(
        router,
        f"/v1/chains/{{chain_id}}{_path}" if _path else "/v1/chains",
        _write,
        _summary,
        example=_example,
        errors=_errors,
        waits=_waits,
    )


class ChainList(Struct, frozen=True):
    """Chains, and the cursor of the next page."""

    items: Sequence[ChainSummary]
    next: Annotated[str | None, Meta(description="Null on the last page.")]


class ChainQuery(PageQuery):
    """Filters; all of those that are given must hold."""

    state: tuple[ChainState, ...] = ()
    type: Annotated[str, StringConstraints(pattern=TYPE_PATTERN)] | None = None
    reference: Reference | None = None
    account_id: Annotated[AccountId | None, Field(description="One that the chain names.")] = None
    parked: Annotated[bool | None, Field(description="A step waits for an operator.")] = None
    overdue: Annotated[
        bool, Field(description="Only those with something due that no process takes.")
    ] = False
    start: Annotated[Moment | None, Field(description="Created then or later.")] = None
    end: Annotated[Moment | None, Field(description="Created before.")] = None

    _span = model_validator(mode="after")(check_span)


@router.get(
    "/v1/chains/{chain_id}",
    summary="Read a chain",
    operation_id="get_chain",
    openapi_extra=describe(
        answers={200: ("The chain.", ChainView, examples.RUNNING)},
        errors=("invalid_id",),
    ),
)
async def get_chain(request: Request, chain_id: str) -> Response:
    """A chain by its id: its state, how far it is, and what has become of each step."""
    context = await identify(request, Scope.CHAINS_READ)
    id, app, number = parse_id(CHAIN, chain_id), app_of(request), context.ledger.number
    overdue: Mapping[str, Overdue] = {}
    async with app.pool.acquire() as connection:
        chain = await read_chain(connection, number, id)
        if chain is not None and not chain.is_ended:
            overdue = await find_overdue(connection, number, id, app.settings.overdue_seconds)
    if chain is None:
        raise NotFound
    return respond(Reply(200, encode(view_chain(chain, context.ledger.id, overdue))))


@router.get(
    "/v1/chains",
    summary="List chains",
    operation_id="list_chains",
    openapi_extra=describe(
        answers={200: ("A page.", ChainList, {"items": [examples.SUMMARY], "next": None})},
        errors=("invalid_request", "invalid_cursor"),
        sends=("Link",),
    ),
)
async def get_chains(request: Request, query: Annotated[ChainQuery, Query()]) -> Response:
    """Chains by state, type, reference, account and time, the newest first."""
    context = await identify(request, Scope.CHAINS_READ)
    app = app_of(request)
    place = f"chains {context.ledger.id}"
    state = open_cursor(app.cursor_secret, query, place)
    wanted = ChainFilter(
        query.state,
        query.type,
        query.reference,
        None if query.account_id is None else [query.account_id],
        query.parked,
        dt.timedelta(seconds=app.settings.overdue_seconds) if query.overdue else None,
        query.start,
        query.end,
    )
    async with app.pool.acquire() as connection:
        page = await list_chains(
            connection,
            context.ledger.number,
            wanted,
            after=state[0] if state else None,
            limit=query.limit,
            look_at=app.settings.scan_lines,
        )
    cursor = None
    if page.next is not None:
        cursor = seal_cursor(app.cursor_secret, query, place, [page.next])
    items = [view_row(row, context.ledger.id) for row in page.items]
    return respond(page_reply(request, ChainList(items, cursor), cursor))
