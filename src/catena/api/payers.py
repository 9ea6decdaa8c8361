"""How payers say whose their money is: virtual IBANs and references, each of one account.

Invariant: a name is one account's; who asks for it again under the same key is answered as before.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from msgspec import Meta, Struct
from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from catena.api.bodies import AccountId as AccountText
from catena.api.bodies import Body, GatewayName
from catena.api.documentation import describe
from catena.api.pages import PageQuery, open_cursor, page_reply, seal_cursor
from catena.api.requests import app_of, begin, identify, respond
from catena.api.views import AccountId, LedgerId, Moment, encode
from catena.api.writes import REPLAYED, Context, Reply
from catena.auth.scopes import Scope
from catena.db.bank_names import (
    NamedAccount,
    add_reference,
    add_virtual_iban,
    find_currency,
    list_references,
    list_virtual_ibans,
    remove_reference,
    remove_virtual_iban,
)
from catena.errors import (
    Conflict,
    IdempotencyKeyReused,
    InvalidInput,
    NotFound,
)
from catena.gateways.bank.accounts import blame_iban, blame_iban_form, tidy_iban
from catena.gateways.bank.limits import ID_CHARACTERS_MAX, REFERENCE_CHARACTERS_MIN
from catena.gateways.bank.options import KIND
from catena.gateways.bank.references import normalise_reference, rf_reference

__all__ = ["router"]

router = APIRouter(tags=["Banks"])

_EUR: Final = "EUR"
_BODY_BYTES: Final = 10
"""Of a creditor reference that is made here: 16 letters and digits, always."""


class VirtualIbanRequest(Body):
    """Say whose the money is that is paid to an IBAN of the bank's."""

    gateway: GatewayName
    iban: Annotated[
        str,
        StringConstraints(min_length=1, max_length=50),
        Field(description="One that the bank has given out for the account that it keeps for us."),
    ]
    account_id: AccountText


class DepositReferenceRequest(Body):
    """Say whose the money is that comes with a reference."""

    account_id: AccountText
    reference: Annotated[
        str | None,
        StringConstraints(min_length=1, max_length=100),
        Field(description="Left out: a creditor reference (ISO 11649) is made."),
    ] = None


class VirtualIbanView(Struct, frozen=True):
    """An IBAN, and whose the money is that is paid to it."""

    iban: Annotated[str, Meta(description="In capitals, without spaces.")]
    ledger_id: LedgerId
    gateway: str
    account_id: AccountId
    created_at: Moment


class DepositReferenceView(Struct, frozen=True):
    """A reference, and whose the money is that comes with it."""

    reference: Annotated[str, Meta(description="Its letters and digits, in capitals.")]
    ledger_id: LedgerId
    account_id: AccountId
    created_at: Moment


class VirtualIbanList(Struct, frozen=True):
    """IBANs in their order."""

    items: Sequence[VirtualIbanView]
    next: Annotated[str | None, Meta(description="Null on the last page.")]


class DepositReferenceList(Struct, frozen=True):
    """References in their order."""

    items: Sequence[DepositReferenceView]
    next: Annotated[str | None, Meta(description="Null on the last page.")]


_HEX: Final = "019a3c5f1a2b7c3d8e4f5a6b7c8d9e0f"
_OWN: Final = {"account_id": f"acct_{_HEX}", "created_at": "2026-03-01T12:00:00Z"}
_IBAN: Final = {
    "iban": "DE89370400440532013000",
    "ledger_id": f"ldg_{_HEX}",
    "gateway": "housebank",
    **_OWN,
}
_REFERENCE: Final = {
    "reference": "RF57WALLET0000000001",
    "ledger_id": f"ldg_{_HEX}",
    **_OWN,
}


def _view_iban(found: NamedAccount, ledger: str) -> VirtualIbanView:
    return VirtualIbanView(found.name, ledger, found.gateway, found.account, found.created_at)


def _view_reference(found: NamedAccount, ledger: str) -> DepositReferenceView:
    return DepositReferenceView(found.name, ledger, found.account, found.created_at)


async def _check_account(request: Request, context: Context, account: str) -> None:
    async with app_of(request).pool.acquire() as connection:
        currency = await find_currency(connection, context.ledger.number, account)
    if currency is None:
        raise InvalidInput(fields=[("/account_id", "There is no such account of a user.")])
    if currency != _EUR:
        raise InvalidInput(fields=[("/account_id", "Its currency is another than EUR.")])


async def _make(
    request: Request,
    context: Context,
    wanted: NamedAccount,
    add: Callable[[Any, int, NamedAccount], Awaitable[NamedAccount | None]],
    view: Callable[[NamedAccount, str], object],
) -> Response:
    async with app_of(request).pool.acquire() as connection:
        found = await add(connection, context.ledger.number, wanted)
    if found is None:
        raise Conflict("It is an account's already; remove it first.")
    if found.payload != wanted.payload:
        raise IdempotencyKeyReused
    headers = () if found.created_at == wanted.created_at else (REPLAYED,)
    return respond(Reply(201, encode(view(found, context.ledger.id)), headers))


@router.post(
    "/v1/virtual_ibans",
    summary="Give an account an IBAN",
    operation_id="create_virtual_iban",
    openapi_extra=describe(
        answers={201: ("The IBAN.", VirtualIbanView, _IBAN)},
        body=VirtualIbanRequest,
        example={
            "gateway": "housebank",
            "iban": "DE89 3704 0044 0532 0130 00",
            "account_id": f"acct_{_HEX}",
        },
        headers=("Idempotency-Key", "Catena-Ledger"),
        errors=("conflict",),
    ),
)
async def post_virtual_iban(request: Request) -> Response:
    """Money that is paid to this IBAN is credited to the account from now on."""
    context, wanted, key, payload = await begin(request, Scope.BANK_WRITE, VirtualIbanRequest)
    app = app_of(request)
    gateway = app.gateways.find(context.ledger.id, wanted.gateway)
    if gateway is None or gateway.kind != KIND:
        raise InvalidInput(fields=[("/gateway", "No bank has this name.")])
    if said := blame_iban(wanted.iban):
        raise InvalidInput(fields=[("/iban", f"It {said}.")])
    await _check_account(request, context, wanted.account_id)
    row = NamedAccount(
        tidy_iban(wanted.iban), wanted.account_id, app.clock(), key, payload, wanted.gateway
    )
    return await _make(request, context, row, add_virtual_iban, _view_iban)


@router.post(
    "/v1/deposit_references",
    summary="Give an account a reference",
    operation_id="create_deposit_reference",
    openapi_extra=describe(
        answers={201: ("The reference.", DepositReferenceView, _REFERENCE)},
        body=DepositReferenceRequest,
        example={"account_id": f"acct_{_HEX}"},
        headers=("Idempotency-Key", "Catena-Ledger"),
        errors=("conflict",),
    ),
)
async def post_deposit_reference(request: Request) -> Response:
    """Money that comes with this reference is credited to the account from now on."""
    context, wanted, key, payload = await begin(request, Scope.BANK_WRITE, DepositReferenceRequest)
    reference = normalise_reference(wanted.reference or _make_reference(key))
    if not REFERENCE_CHARACTERS_MIN <= len(reference) <= ID_CHARACTERS_MAX:
        said = f"It has {REFERENCE_CHARACTERS_MIN} to {ID_CHARACTERS_MAX} letters and digits."
        raise InvalidInput(fields=[("/reference", said)])
    await _check_account(request, context, wanted.account_id)
    row = NamedAccount(reference, wanted.account_id, app_of(request).clock(), key, payload)
    return await _make(request, context, row, add_reference, _view_reference)


def _make_reference(key: str) -> str:
    """The creditor reference of a request."""
    made = hashlib.blake2b(key.encode(), digest_size=_BODY_BYTES).digest()
    return rf_reference(base64.b32encode(made).decode())


_LISTED: Final = ("invalid_request", "invalid_cursor")


@router.get(
    "/v1/virtual_ibans",
    summary="List the IBANs of accounts",
    operation_id="list_virtual_ibans",
    openapi_extra=describe(
        answers={200: ("A page.", VirtualIbanList, {"items": [_IBAN], "next": None})},
        errors=_LISTED,
        sends=("Link",),
    ),
)
async def get_virtual_ibans(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
    """Every IBAN that is somebody's, in the order of IBANs."""
    context = await identify(request, Scope.BANK_READ)
    found, cursor = await _list(request, query, context, "virtual ibans", list_virtual_ibans)
    views = [_view_iban(one, context.ledger.id) for one in found]
    return respond(page_reply(request, VirtualIbanList(views, cursor), cursor))


@router.get(
    "/v1/deposit_references",
    summary="List the references of accounts",
    operation_id="list_deposit_references",
    openapi_extra=describe(
        answers={200: ("A page.", DepositReferenceList, {"items": [_REFERENCE], "next": None})},
        errors=_LISTED,
        sends=("Link",),
    ),
)
async def get_deposit_references(
    request: Request, query: Annotated[PageQuery, Query()]
) -> Response:
    """Every reference that is somebody's, in the order of references."""
    context = await identify(request, Scope.BANK_READ)
    found, cursor = await _list(request, query, context, "references", list_references)
    views = [_view_reference(one, context.ledger.id) for one in found]
    return respond(page_reply(request, DepositReferenceList(views, cursor), cursor))


async def _list(
    request: Request,
    query: PageQuery,
    context: Context,
    what: str,
    read: Any,  # noqa: ANN401  # one of two
) -> tuple[list[NamedAccount], str | None]:
    app, place = app_of(request), f"{what} {context.ledger.id}"
    state = open_cursor(app.cursor_secret, query, place)
    async with app.pool.acquire() as connection:
        found = await read(
            connection,
            context.ledger.number,
            after=state[0] if state else "",
            limit=query.limit + 1,
        )
    page = found[: query.limit]
    more = len(found) > len(page)
    cursor = seal_cursor(app.cursor_secret, query, place, [page[-1].name]) if more else None
    return page, cursor


@router.delete(
    "/v1/virtual_ibans/{iban}",
    summary="Take an IBAN from its account",
    operation_id="delete_virtual_iban",
    openapi_extra=describe(
        answers={200: ("Whose it was.", VirtualIbanView, _IBAN)}, errors=("not_found",)
    ),
)
async def delete_virtual_iban(request: Request, iban: str) -> Response:
    """Money that is paid to it from now on is nobody's: it goes to suspense."""
    context = await identify(request, Scope.BANK_WRITE)
    name = tidy_iban(iban)
    if blame_iban_form(name):
        raise NotFound
    async with app_of(request).pool.acquire() as connection:
        found = await remove_virtual_iban(connection, context.ledger.number, name)
    if found is None:
        raise NotFound
    return respond(Reply(200, encode(_view_iban(found, context.ledger.id))))


@router.delete(
    "/v1/deposit_references/{reference}",
    summary="Take a reference from its account",
    operation_id="delete_deposit_reference",
    openapi_extra=describe(
        answers={200: ("Whose it was.", DepositReferenceView, _REFERENCE)}, errors=("not_found",)
    ),
)
async def delete_deposit_reference(request: Request, reference: str) -> Response:
    """Money that comes with it from now on is nobody's: it goes to suspense."""
    context = await identify(request, Scope.BANK_WRITE)
    name = normalise_reference(reference)
    async with app_of(request).pool.acquire() as connection:
        found = await remove_reference(connection, context.ledger.number, name)
    if found is None:
        raise NotFound
    return respond(Reply(200, encode(_view_reference(found, context.ledger.id))))
