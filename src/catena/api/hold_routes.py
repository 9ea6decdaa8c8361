"""The routes of holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from catena.api import chain_examples as examples
from catena.api.documentation import describe
from catena.api.holds import AUTHORISE, CAPTURE, VOID, HoldRequest, HoldView, view_hold
from catena.api.requests import app_of, identify, perform, respond
from catena.api.steps import HOLD_TYPE
from catena.api.views import encode
from catena.api.writes import Context, Reply, Write
from catena.auth.scopes import Scope
from catena.chains.chain import Chain
from catena.db.read.chains import read_chain
from catena.errors import NotFound
from catena.ids import CHAIN, HOLD, parse_id

__all__ = ["router"]

router = APIRouter(tags=["Holds"])


@router.post(
    "/v1/holds",
    summary="Authorise a hold",
    operation_id="authorise_hold",
    openapi_extra=describe(
        answers={
            201: ("The hold; `refused` where the funds were not there.", HoldView, examples.HOLD)
        },
        body=HoldRequest,
        example={
            "account_id": examples.HOLD["account_id"],
            "destination_account_id": examples.HOLD["destination_account_id"],
            "amount": 500,
            "currency": "USD",
            "expires_seconds": 604800,
            "reference": "order-1001",
        },
        headers=("Idempotency-Key", "Catena-Ledger"),
        errors=("unknown_currency", "invalid_chain"),
        sends=("Location",),
    ),
)
async def post_hold(request: Request) -> Response:
    """Reserve funds that are captured, in parts or whole, or given back later."""
    return await perform(request, AUTHORISE)


@router.get(
    "/v1/holds/{hold_id}",
    summary="Read a hold",
    operation_id="get_hold",
    openapi_extra=describe(
        answers={200: ("The hold.", HoldView, examples.HOLD)}, errors=("invalid_id",)
    ),
)
async def get_hold(request: Request, hold_id: str) -> Response:
    """A hold by its id: what was captured, what remains, and until when."""
    context = await identify(request, Scope.LIENS_READ)
    chain = await _find_hold(request, context, hold_id)
    view = view_hold(chain, context.ledger.id, context.catalogue)
    return respond(Reply(200, encode(view)))


def _add_command(
    path: str, write: Write, summary: str, example: object, errors: Sequence[str]
) -> None:
    async def post(request: Request) -> Response:
        context = await identify(request, Scope.LIENS_WRITE)
        chain = await _find_hold(request, context, request.path_params["hold_id"])
        terms = chain.definition.metadata or {}
        request.scope["path_params"] = {
            "chain_id": chain.id,
            "receiver": terms.get("destination_account_id", ""),
            "currency": terms["currency"],
        }
        return await perform(request, write)

    router.add_api_route(
        f"/v1/holds/{{hold_id}}/{path}",
        post,
        methods=["POST"],
        summary=summary,
        description=f"{write.model.__doc__}",
        operation_id=write.name,
        openapi_extra=describe(
            answers={200: ("The hold.", HoldView, examples.HOLD)},
            body=write.model,
            example=example,
            headers=("Idempotency-Key", "Catena-Ledger"),
            errors=("invalid_id", "not_found", "hold_ended", *errors),
        ),
    )


_CAPTURE_ERRORS: Final = (
    "chain_held",
    "invalid_chain",
    "lien_not_open",
    "lien_too_small",
    "account_blocked",
    "currency_mismatch",
    "above_ceiling",
    "system_account",
    "balance_out_of_range",
)
_add_command("capture", CAPTURE, "Capture a hold", {"amount": 300}, _CAPTURE_ERRORS)
_add_command("void", VOID, "Void a hold", {"reason": "Sold out"}, ("too_many_signals",))


async def _find_hold(request: Request, context: Context, hold_id: str) -> Chain:
    """The chain underneath. Raises NotFound."""
    id = CHAIN + parse_id(HOLD, hold_id)[len(HOLD) :]
    async with app_of(request).pool.acquire() as connection:
        chain = await read_chain(connection, context.ledger.number, id)
    if chain is None or chain.definition.type != HOLD_TYPE:
        raise NotFound
    return chain
