"""The routes of deposits and withdrawals, by hand or by way of a gateway, and of refunds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from catena.api import examples, gateway_examples
from catena.api.documentation import Choice, describe
from catena.api.gateway_lists import find_chain, read_sums, show_one
from catena.api.gateway_money import (
    CANCEL_DEPOSIT,
    CANCEL_WITHDRAWAL,
    CAPTURE_DEPOSIT,
    DEPOSIT_BY,
    REFUND_DEPOSIT,
    WITHDRAW_BY,
)
from catena.api.gateway_views import (
    GatewayDepositView,
    GatewayWithdrawalView,
    RefundView,
)
from catena.api.movements import POSTING_ERRORS
from catena.api.requests import identify, perform, respond
from catena.api.views import EntryView
from catena.api.watching import run_and_wait
from catena.api.writes import Context, Write
from catena.auth.scopes import Scope
from catena.chains.chain import Chain
from catena.ids import DEPOSIT, REFUND, WITHDRAWAL

__all__ = ["router"]

router = APIRouter(tags=["Movements"])


def _add_making(
    path: str,
    prefix: str,
    write: Write,
    summary: str,
    view: type[Any],
    shown: tuple[object, object],
) -> None:
    async def post(request: Request) -> Response:
        async def answer(chain: Chain, context: Context) -> object:
            return await show_one(request, context, prefix, chain)

        place = path.encode() + b"/"
        reply = await run_and_wait(request, write, answer, made=201, found_at=place)
        return respond(reply)

    asked, by_gateway = shown
    router.add_api_route(
        path,
        post,
        methods=["POST"],
        summary=summary,
        description=write.model.__doc__,
        operation_id=write.name,
        openapi_extra=describe(
            answers={
                201: (
                    "Done: the entry; with a `gateway`, how that ended.",
                    EntryView | view,
                    examples.ENTRY,
                ),
                202: ("On its way through the gateway.", view, by_gateway),
            },
            body=write.model,
            example=Choice({"by_hand": examples.MOVEMENTS[write.name], "by_gateway": asked}),
            headers=("Idempotency-Key", "Catena-Ledger", "Prefer"),
            errors=(
                *POSTING_ERRORS,
                "unknown_currency",
                "invalid_amount",
                "invalid_fee",
                "invalid_chain",
            ),
            sends=("Location", "Preference-Applied"),
        ),
    )


def _add_command(
    path: str,
    write: Write,
    prefix: str,
    scope: Scope,
    summary: str,
    view: tuple[type[Any], object],
    example: object,
    errors: Sequence[str],
) -> None:
    async def post(request: Request) -> Response:
        context = await identify(request, scope)
        (id,) = request.path_params.values()
        chain = await find_chain(request, context, prefix, id)
        return await perform(request, write._replace(build=partial(write.build, chain=chain)))

    router.add_api_route(
        path,
        post,
        methods=["POST"],
        summary=summary,
        description=write.model.__doc__,
        operation_id=write.name,
        openapi_extra=describe(
            answers={200: ("As it is then.", *view)},
            body=write.model,
            example=example,
            headers=("Idempotency-Key", "Catena-Ledger"),
            errors=("invalid_id", *errors),
        ),
    )


_REFUND_ERRORS: Final = (
    "invalid_chain",
    "already_reversed",
    "chain_running",
    "refund_exceeds_entry",
)
_ENDED: Final = ("chain_ended", "chain_not_running")

_add_making(
    "/v1/deposits",
    DEPOSIT,
    DEPOSIT_BY,
    "Deposit into a wallet",
    GatewayDepositView,
    (gateway_examples.DEPOSIT_REQUEST, gateway_examples.DEPOSIT),
)
_add_making(
    "/v1/withdrawals",
    WITHDRAWAL,
    WITHDRAW_BY,
    "Withdraw from a wallet",
    GatewayWithdrawalView,
    (gateway_examples.WITHDRAWAL_REQUEST, gateway_examples.WITHDRAWAL),
)
_add_command(
    "/v1/deposits/{deposit_id}/capture",
    CAPTURE_DEPOSIT,
    DEPOSIT,
    Scope.DEPOSITS_WRITE,
    "Capture what was authorised",
    (GatewayDepositView, gateway_examples.DEPOSIT),
    {"amount": 300},
    ("not_authorised", "chain_held", "invalid_fee", *_ENDED),
)
_add_command(
    "/v1/deposits/{deposit_id}/cancel",
    CANCEL_DEPOSIT,
    DEPOSIT,
    Scope.DEPOSITS_WRITE,
    "Cancel a deposit that is on its way",
    (GatewayDepositView, gateway_examples.DEPOSIT),
    {"reason": "The order was cancelled"},
    _ENDED,
)
_add_command(
    "/v1/withdrawals/{withdrawal_id}/cancel",
    CANCEL_WITHDRAWAL,
    WITHDRAWAL,
    Scope.WITHDRAWALS_WRITE,
    "Cancel a withdrawal before it is paid out",
    (GatewayWithdrawalView, gateway_examples.WITHDRAWAL),
    {"reason": "Asked for twice"},
    ("pivot_passed", *_ENDED),
)


@router.post(
    "/v1/deposits/{deposit_id}/refunds",
    summary="Refund a deposit",
    operation_id="refund_deposit",
    openapi_extra=describe(
        answers={
            201: ("The refund: it has ended.", RefundView, gateway_examples.REFUND),
            202: ("It is on its way.", RefundView, gateway_examples.REFUND),
        },
        body=REFUND_DEPOSIT.model,
        example={"amount": 500},
        headers=("Idempotency-Key", "Catena-Ledger", "Prefer"),
        errors=("invalid_id", "conflict", *POSTING_ERRORS, *_REFUND_ERRORS),
        sends=("Location", "Preference-Applied"),
    ),
)
async def post_refund(request: Request, deposit_id: str) -> Response:
    """Out of the wallet, and back to who paid; all refunds together never exceed the deposit."""
    context = await identify(request, Scope.DEPOSITS_WRITE)
    chain = await find_chain(request, context, DEPOSIT, deposit_id)
    (sums,) = await read_sums(request, context, [chain])
    build = partial(REFUND_DEPOSIT.build, chain=chain, left=sums.left)

    async def answer(made: Chain, context: Context) -> object:
        return await show_one(request, context, REFUND, made)

    write = REFUND_DEPOSIT._replace(build=build)
    return respond(await run_and_wait(request, write, answer, made=201))
