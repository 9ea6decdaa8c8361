"""How errors are answered: RFC 9457 problem documents, one shape on every path.

Invariant: a problem names a code of the closed tree and never echoes what was sent.
HTTP statuses are decided here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import msgspec
from msgspec.structs import replace

from catena.chains.refusals import ChainRefused
from catena.errors import CatenaError
from catena.ledger.refusals import Refusal

__all__ = [
    "PROBLEM_JSON",
    "FieldProblem",
    "Problem",
    "problem_of_error",
    "problem_of_refusal",
    "status_of",
]

PROBLEM_JSON: Final = "application/problem+json"

_STATUS: Final[Mapping[str, int]] = {
    "bad_request": 400,
    "malformed_json": 400,
    "ledger_required": 400,
    "idempotency_key_required": 400,
    "invalid_idempotency_key": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "unknown_account": 404,
    "unknown_entry": 404,
    "unknown_chain": 404,
    "unknown_step": 404,
    "unknown_lien": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "idempotency_key_in_use": 409,
    "reference_conflict": 409,
    "already_reversed": 409,
    "already_refunded": 409,
    "account_exists": 409,
    "account_in_use": 409,
    "item_not_open": 409,
    "chain_running": 409,
    "chain_ended": 409,
    "chain_started": 409,
    "chain_not_started": 409,
    "chain_not_running": 409,
    "chain_held": 409,
    "chain_not_held": 409,
    "pivot_passed": 409,
    "step_outcome_unknown": 409,
    "step_not_parked": 409,
    "decision_not_possible": 409,
    "step_needed": 409,
    "step_posts": 409,
    "result_mismatch": 422,
    "forged_webhook": 403,
    "too_many_signals": 409,
    "too_many_holds": 409,
    "message_conflict": 409,
    "lien_not_open": 409,
    "not_authorised": 409,
    "hold_ended": 409,
    "stale_revision": 412,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "precondition_required": 428,
    "internal_error": 500,
    "unavailable": 503,
    "overloaded": 503,
    "database_unavailable": 503,
    "outcome_unknown": 503,
}
_UNDERSTOOD: Final = 422
"""Everything else: the request is understood, and cannot be done as it is."""


class FieldProblem(msgspec.Struct, frozen=True):
    """What is wrong with one field."""

    pointer: Annotated[str, msgspec.Meta(description="A JSON pointer into the request.")]
    detail: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem document (RFC 9457)."""

    type: Annotated[str, msgspec.Meta(description="A page about this code.")]
    code: Annotated[str, msgspec.Meta(description="Stable; what programs should look at.")]
    title: str
    status: int
    detail: str
    retryable: Annotated[
        bool,
        msgspec.Meta(description="The same request with the same key may succeed later."),
    ]
    request_id: str | None = None
    account_id: Annotated[
        str | None, msgspec.Meta(description="The account for which it was refused.")
    ] = None
    line: Annotated[
        int | None, msgspec.Meta(description="The line of the entry, counted from 0.")
    ] = None
    operation: Annotated[
        int | None, msgspec.Meta(description="The operation of an atomic batch, counted from 0.")
    ] = None
    chain_id: Annotated[str | None, msgspec.Meta(description="The chain that was told.")] = None
    step: Annotated[str | None, msgspec.Meta(description="The step of the chain.")] = None
    attempt: Annotated[int | None, msgspec.Meta(description="The step's last attempt.")] = None
    lien_id: Annotated[str | None, msgspec.Meta(description="The lien that it is about.")] = None
    errors: Sequence[FieldProblem] | None = None


def status_of(code: str) -> int:
    """The HTTP status with which a code is answered."""
    return _STATUS.get(code, _UNDERSTOOD)


def problem_of_error(error: CatenaError, request_id: str | None = None) -> Problem:
    """The document for an error of the tree."""
    return Problem(
        type=f"/errors/{error.code}",
        code=error.code,
        title=error.title,
        status=status_of(error.code),
        detail=error.detail,
        retryable=error.transient,
        request_id=request_id,
        errors=[FieldProblem(*field) for field in error.fields] or None,
    )


def _advise(refusal: Refusal | ChainRefused) -> str:
    """What the caller can do; where an operator can do something, that."""
    remedy = refusal.code.remedy
    if isinstance(refusal, Refusal):
        return remedy
    if refusal.remaining is not None:
        return f"{remedy[:-1]}: {refusal.remaining} minor units."
    if not refusal.actions:
        return remedy
    return f"The step waits for an operator; possible now: {', '.join(refusal.actions)}."


def problem_of_refusal(
    refusal: Refusal | ChainRefused,
    request_id: str | None = None,
    operation: int | None = None,
    fields: Sequence[tuple[str, str]] = (),
) -> Problem:
    """The document for a refusal of the ledger or of a chain. `fields`: pointers and sentences."""
    code = refusal.code
    problem = Problem(
        type=f"/errors/{code.code}",
        code=code.code,
        title=code.title,
        status=status_of(code.code),
        detail=_advise(refusal),
        retryable=False,
        request_id=request_id,
        account_id=refusal.account,
        operation=operation,
        errors=[FieldProblem(*field) for field in fields] or None,
    )
    if isinstance(refusal, Refusal):
        return replace(problem, line=refusal.line)
    return replace(
        problem,
        chain_id=refusal.chain,
        step=refusal.step,
        attempt=refusal.attempt,
        lien_id=refusal.lien,
    )
