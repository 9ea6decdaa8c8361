"""The routes of deposits and withdrawals, by hand or by way of a gateway, and of refunds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from catena.api import examples, gateway_examples
from catena.api.documentation import Choice, describe
from catena.api.gateway_money import (
    CANCEL_DEPOSIT,
    CANCEL_WITHDRAWAL,
    CAPTURE_DEPOSIT,
    DEPOSIT_BY,
    WITHDRAW_BY,
    RefundDepositRequest,
    refund_operation,
    render_refund,
)
from catena.api.gateway_views import (
    GatewayDepositView,
    GatewayWithdrawalView,
    RefundView,
    view_deposit,
    view_refund,
    view_withdrawal,
)
from catena.api.movements import POSTING_ERRORS
from catena.api.requests import app_of, identify, perform, respond
from catena.api.views import EntryView, encode
from catena.api.watching import run_and_wait
from catena.api.writes import Context, Reply, Write
from catena.auth.scopes import Scope
from catena.chains.chain import Chain
from catena.db.read.chains import read_chain
from catena.errors import NotFound
from catena.flows.deposit import DEPOSIT as DEPOSIT_TYPE
from catena.flows.refund import REFUND as REFUND_TYPE
from catena.flows.withdrawal import WITHDRAWAL as WITHDRAWAL_TYPE
from catena.ids import CHAIN, DEPOSIT, REFUND, WITHDRAWAL, parse_id

__all__ = ["router"]

router = APIRouter(tags=["Movements"])

_Show = Callable[[Chain, str], Any]

_TYPES: Final = {
    DEPOSIT: DEPOSIT_TYPE,
    WITHDRAWAL: WITHDRAWAL_TYPE,
    REFUND: REFUND_TYPE,
}


async def _find(request: Request, context: Context, prefix: str, id: str) -> Chain:
    """The chain underneath. Raises NotFound."""
    chain_id = CHAIN + parse_id(prefix, id)[len(prefix) :]
    async with app_of(request).pool.acquire() as connection:
        chain = await read_chain(connection, context.ledger.number, chain_id)
    if chain is None or chain.definition.type != _TYPES[prefix]:
        raise NotFound
    return chain


def _add_making(
    path: str,
    write: Write,
    summary: str,
    view: type[Any],
    show: _Show,
    shown: tuple[object, object],
) -> None:
    async def post(request: Request) -> Response:
        def answer(chain: Chain, context: Context) -> object:
            return show(chain, context.ledger.id)

        return respond(await run_and_wait(request, write, answer, made=201))

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


def _add_reading(
    path: str, prefix: str, scope: Scope, view: type[Any], show: _Show, shown: object, what: str
) -> None:
    name = f"{what}_id"

    async def get(request: Request) -> Response:
        context = await identify(request, scope)
        chain = await _find(request, context, prefix, request.path_params[name])
        return respond(Reply(200, encode(show(chain, context.ledger.id))))

    router.add_api_route(
        f"{path}/{{{name}}}",
        get,
        methods=["GET"],
        summary=f"Read a {what} by way of a gateway",
        description=f"How far the {what} is, and what the gateway calls it.",
        operation_id=f"get_{what}",
        openapi_extra=describe(
            answers={200: (f"The {what}.", view, shown)}, errors=("invalid_id",)
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
        chain = await _find(request, context, prefix, id)
        amount = chain.steps["charge"].definition.inputs["amount"] if "charge" in chain.steps else 0
        request.scope["path_params"] = {"chain_id": chain.id, "amount": str(amount)}
        return await perform(request, write)

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


_ENDED: Final = ("chain_ended", "chain_not_running")

_add_making(
    "/v1/deposits",
    DEPOSIT_BY,
    "Deposit into a wallet",
    GatewayDepositView,
    view_deposit,
    (gateway_examples.DEPOSIT_REQUEST, gateway_examples.DEPOSIT),
)
_add_making(
    "/v1/withdrawals",
    WITHDRAW_BY,
    "Withdraw from a wallet",
    GatewayWithdrawalView,
    view_withdrawal,
    (gateway_examples.WITHDRAWAL_REQUEST, gateway_examples.WITHDRAWAL),
)
_add_reading(
    "/v1/deposits",
    DEPOSIT,
    Scope.ENTRIES_READ,
    GatewayDepositView,
    view_deposit,
    gateway_examples.DEPOSIT,
    "deposit",
)
_add_reading(
    "/v1/withdrawals",
    WITHDRAWAL,
    Scope.ENTRIES_READ,
    GatewayWithdrawalView,
    view_withdrawal,
    gateway_examples.WITHDRAWAL,
    "withdrawal",
)
_add_reading(
    "/v1/refunds",
    REFUND,
    Scope.ENTRIES_READ,
    RefundView,
    view_refund,
    gateway_examples.REFUND,
    "refund",
)
_add_command(
    "/v1/deposits/{deposit_id}/capture",
    CAPTURE_DEPOSIT,
    DEPOSIT,
    Scope.DEPOSITS_WRITE,
    "Capture what was authorised",
    (GatewayDepositView, gateway_examples.DEPOSIT),
    {"amount": 300},
    ("not_authorised", "chain_held", *_ENDED),
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
        body=RefundDepositRequest,
        example={"amount": 500},
        headers=("Idempotency-Key", "Catena-Ledger", "Prefer"),
        errors=("invalid_id", "conflict", "invalid_chain"),
        sends=("Location", "Preference-Applied"),
    ),
)
async def post_refund(request: Request, deposit_id: str) -> Response:
    """Out of the wallet, and back to who paid; all refunds together never exceed the deposit."""
    context = await identify(request, Scope.DEPOSITS_WRITE)
    chain = await _find(request, context, DEPOSIT, deposit_id)
    write = Write(
        "refund_deposit",
        RefundDepositRequest,
        Scope.DEPOSITS_WRITE,
        partial(refund_operation, chain=chain),
        render_refund,
    )

    def answer(made: Chain, context: Context) -> object:
        return view_refund(made, context.ledger.id)

    return respond(await run_and_wait(request, write, answer, made=201))
