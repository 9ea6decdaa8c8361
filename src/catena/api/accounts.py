"""Accounts: open, read, list, change, close; their balances and histories."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from msgspec import Meta, Struct
from pydantic import Field, Json
from starlette.requests import Request
from starlette.responses import Response

from catena.api import examples
from catena.api.bodies import Body, CurrencyCode, Metadata, Reference, Text
from catena.api.documentation import describe
from catena.api.pages import PageQuery, open_cursor, page_reply, seal_cursor
from catena.api.requests import app_of, identify, perform, respond
from catena.api.views import AccountView, encode, view_account
from catena.api.writes import Context, Reply, Write
from catena.auth.scopes import Scope
from catena.db.read.accounts import AccountFilter, AccountRow, list_accounts, read_account
from catena.errors import InvalidInput, NotFound
from catena.ids import ACCOUNT, new_id, parse_id
from catena.journal import AccountState, ChangeAccount, OpenAccount, Operation, Result
from catena.ledger.accounts import AccountStatus, AccountType, SystemRole
from catena.ledger.terms import Profile, TermsChange
from catena.money import MAX_AMOUNT_MINOR

__all__ = ["CLOSE", "OPEN", "router"]

router = APIRouter(tags=["Accounts"])

Floor = Annotated[
    int,
    Field(
        ge=-MAX_AMOUNT_MINOR,
        le=MAX_AMOUNT_MINOR,
        description="Lowest posted - reserved, in minor units; negative for a credit line.",
    ),
]
Ceiling = Annotated[
    int, Field(ge=0, le=MAX_AMOUNT_MINOR, description="Highest posted, in minor units.")
]


class AccountRequest(Body):
    """A new account. A wallet is a liability account with a `user_id`."""

    type: AccountType = AccountType.LIABILITY
    currency: CurrencyCode
    user_id: Annotated[Reference | None, Field(description="Who owns the wallet.")] = None
    name: Text | None = None
    floor: Annotated[
        Annotated[int, Field(ge=-MAX_AMOUNT_MINOR, le=0)] | None,
        Field(
            description="Lowest posted - reserved, in minor units, 0 or less; null for none. Left"
            " out: 0 for a liability, none for the other types."
        ),
    ] = None
    ceiling: Ceiling | None = None
    metadata: Metadata | None = None


class ChangeRequest(Body):
    """What is left out stays; null clears a name or a ceiling."""

    name: Text | None = None
    metadata: Metadata | None = None
    status: Literal["active", "frozen", "blocked"] = "active"
    floor: Floor | None = None
    ceiling: Ceiling | None = None


class CloseRequest(Body):
    """Nothing to say."""


def _open(request: AccountRequest, context: Context) -> Sequence[Operation]:
    floor = request.floor
    if "floor" not in request.model_fields_set and request.type is AccountType.LIABILITY:
        floor = 0
    profile = Profile(
        new_id(ACCOUNT),
        request.type,
        context.currency(request.currency).code,
        None,
        request.user_id,
        request.name,
        json.dumps(request.metadata or {}, separators=(",", ":")),
        AccountStatus.ACTIVE,
        floor,
        request.ceiling,
        1,
    )
    return (OpenAccount(profile),)


def _change(request: ChangeRequest, context: Context) -> Sequence[Operation]:
    fields: dict[str, Any] = {
        name: getattr(request, name) for name in sorted(request.model_fields_set)
    }
    if not fields:
        raise InvalidInput("A change names at least one field.")
    if "metadata" in fields:
        fields["metadata"] = json.dumps(fields["metadata"] or {}, separators=(",", ":"))
    if "status" in fields:
        fields["status"] = AccountStatus(fields["status"])
    return (ChangeAccount(_account_of(context), TermsChange(context.revision, fields)),)


def _close(_: CloseRequest, context: Context) -> Sequence[Operation]:
    change = TermsChange(context.revision, {"status": AccountStatus.CLOSED})
    return (ChangeAccount(_account_of(context), change),)


def _account_of(context: Context) -> str:
    return parse_id(ACCOUNT, context.params["account_id"])


def _render(status: int) -> Any:  # noqa: ANN401  # a renderer, as Write takes it
    def render(results: Sequence[Result], context: Context) -> Reply:
        state = results[0]
        assert isinstance(state, AccountState)  # noqa: S101  # refusals are problems
        view = view_account(state, context.ledger.id)
        headers = [(b"etag", make_etag(view.revision))]
        if status == 201:  # noqa: PLR2004  # Created
            headers.append((b"location", b"/v1/accounts/" + view.id.encode()))
        return Reply(status, encode(view), headers)

    return render


def make_etag(revision: int) -> bytes:
    """The ETag of an account's revision."""
    return f'"{revision}"'.encode()


OPEN: Final = Write("open_account", AccountRequest, Scope.ACCOUNTS_WRITE, _open, _render(201))
CHANGE: Final = Write(
    "change_account",
    ChangeRequest,
    Scope.ACCOUNTS_WRITE,
    _change,
    _render(200),
    conditional=True,
)
CLOSE: Final = Write("close_account", CloseRequest, Scope.ACCOUNTS_WRITE, _close, _render(200))


@router.post(
    "/v1/accounts",
    summary="Open an account",
    operation_id="open_account",
    openapi_extra=describe(
        answers={201: ("The account.", AccountView, examples.ACCOUNT)},
        body=AccountRequest,
        example=examples.OPEN_ACCOUNT,
        headers=("Idempotency-Key", "Catena-Ledger"),
        errors=("unknown_currency",),
        sends=("Location", "ETag"),
    ),
)
async def post_account(request: Request) -> Response:
    """Open an account of one currency and one type, with a balance of zero."""
    return await perform(request, OPEN)


@router.patch(
    "/v1/accounts/{account_id}",
    summary="Change an account",
    operation_id="change_account",
    openapi_extra=describe(
        answers={200: ("The account's next revision.", AccountView, examples.ACCOUNT)},
        body=ChangeRequest,
        example={"status": "frozen"},
        headers=("If-Match", "Catena-Ledger"),
        errors=(
            "invalid_id",
            "unknown_account",
            "account_closed",
            "floor_not_changeable",
            "floor_above_balance",
        ),
        sends=("ETag",),
    ),
)
async def patch_account(
    request: Request,
    account_id: str,  # noqa: ARG001  # declared for the document
) -> Response:
    """Change name, metadata, status, floor or ceiling of the revision that was read."""
    return await perform(request, CHANGE)


@router.post(
    "/v1/accounts/{account_id}/close",
    summary="Close an account",
    operation_id="close_account",
    openapi_extra=describe(
        answers={200: ("The closed account.", AccountView, examples.ACCOUNT)},
        body=CloseRequest,
        example={},
        headers=("Idempotency-Key", "Catena-Ledger"),
        errors=(
            "invalid_id",
            "unknown_account",
            "system_account",
            "account_closed",
            "account_not_empty",
            "account_in_use",
        ),
        sends=("ETag",),
    ),
)
async def post_close(
    request: Request,
    account_id: str,  # noqa: ARG001  # declared for the document
) -> Response:
    """Close an account for ever. Nothing may be posted or reserved on it."""
    return await perform(request, CLOSE)


class AccountList(Struct, frozen=True):
    """Accounts, and the cursor of the next page."""

    items: Sequence[AccountView]
    next: Annotated[str | None, Meta(description="Null on the last page.")]


class AccountQuery(PageQuery):
    """Filters; all of those that are given must hold. `metadata` is a JSON object."""

    user_id: Reference | None = None
    currency: CurrencyCode | None = None
    type: AccountType | None = None
    status: AccountStatus | None = None
    role: SystemRole | None = None
    metadata: Annotated[
        Json[Metadata] | None,
        Field(description="Accounts whose metadata has all of this.", examples=['{"tier":"gold"}']),
    ] = None


@router.get(
    "/v1/accounts/{account_id}",
    summary="Read an account",
    operation_id="get_account",
    openapi_extra=describe(
        answers={200: ("The account; its ETag is its revision.", AccountView, examples.ACCOUNT)},
        errors=("invalid_id",),
        sends=("ETag",),
    ),
)
async def get_account(request: Request, account_id: str) -> Response:
    """An account by its id."""
    context = await identify(request, Scope.ACCOUNTS_READ)
    id = parse_id(ACCOUNT, account_id)
    async with app_of(request).pool.acquire() as connection:
        row = await read_account(connection, context.ledger.number, id)
    if row is None:
        raise NotFound
    view = _view_row(row, context)
    return respond(Reply(200, encode(view), [(b"etag", make_etag(view.revision))]))


@router.get(
    "/v1/accounts",
    summary="List accounts",
    operation_id="list_accounts",
    openapi_extra=describe(
        answers={200: ("A page.", AccountList, {"items": [examples.ACCOUNT], "next": None})},
        errors=("invalid_request", "invalid_cursor"),
        sends=("Link",),
    ),
)
async def get_accounts(request: Request, query: Annotated[AccountQuery, Query()]) -> Response:
    """Accounts by user, currency, type, status, role and metadata, in the order of their ids."""
    context = await identify(request, Scope.ACCOUNTS_READ)
    app = app_of(request)
    place = f"accounts {context.ledger.id}"
    state = open_cursor(app.cursor_secret, query, place)
    metadata = None if query.metadata is None else json.dumps(query.metadata)
    wanted = AccountFilter(
        query.user_id, query.role, query.currency, query.type, query.status, metadata
    )
    async with app.pool.acquire() as connection:
        page = await list_accounts(
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
    items = [_view_row(row, context) for row in page.items]
    return respond(page_reply(request, AccountList(items, cursor), cursor))


def _view_row(row: AccountRow, context: Context) -> AccountView:
    created_at = row.profile.created_at or row.updated_at
    return view_account(AccountState(row.profile, created_at, row.updated_at), context.ledger.id)
