"""What the sandbox refuses, and the one shape in which it says so.

Invariant: every error has a code of this table, or of a decline in `magic`; its text repeats
nothing of the request. `{"error": {"type", "code", "message", "permanent", "thing"}}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

import msgspec

from catena.sandbox.things import Reason, Thing

__all__ = ["REFUSALS", "Refusal", "form_decline", "form_refusal"]

_JSON: Final = msgspec.json.Encoder()


class _Kind(NamedTuple):
    status: HTTPStatus
    type: str
    message: str
    permanent: bool = True


REFUSALS: Final[Mapping[str, _Kind]] = {
    "invalid_request": _Kind(
        HTTPStatus.BAD_REQUEST, "invalid_request", "The request is not as it must be."
    ),
    "unknown_magic": _Kind(
        HTTPStatus.BAD_REQUEST, "invalid_request", "The sandbox knows no such value."
    ),
    "idempotency_key_required": _Kind(
        HTTPStatus.BAD_REQUEST, "invalid_request", "Send an Idempotency-Key."
    ),
    "idempotency_key_reused": _Kind(
        HTTPStatus.BAD_REQUEST, "idempotency_error", "The key was used for another request."
    ),
    "unauthenticated": _Kind(
        HTTPStatus.UNAUTHORIZED, "authentication_error", "Send the right key as a bearer."
    ),
    "not_found": _Kind(HTTPStatus.NOT_FOUND, "invalid_request", "There is no such thing."),
    "method_not_allowed": _Kind(
        HTTPStatus.METHOD_NOT_ALLOWED, "invalid_request", "Not with this method."
    ),
    "idempotency_key_in_use": _Kind(
        HTTPStatus.CONFLICT,
        "idempotency_error",
        "The first request is still at work.",
        permanent=False,
    ),
    "too_large": _Kind(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "invalid_request", "The body is too large."
    ),
    "amount_too_large": _Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "not_possible", "It is more than is left."
    ),
    "not_authorised": _Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "not_possible", "Nothing is authorised there."
    ),
    "not_captured": _Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "not_possible", "No money has come of it."
    ),
    "too_late": _Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "not_possible", "It is decided already."),
    "rate_limited": _Kind(
        HTTPStatus.TOO_MANY_REQUESTS,
        "rate_limit_error",
        "Too many requests; come later.",
        permanent=False,
    ),
    "internal_error": _Kind(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "api_error",
        "Something went wrong in here.",
        permanent=False,
    ),
}
"""Each code but those of declines: its status, its type, whether it lasts, and what it says."""


class Refusal(Exception):
    """The request is refused, and nothing was done. `code` is one of REFUSALS."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.message = message


def form_refusal(code: str, message: str = "") -> tuple[int, bytes]:
    """Status and body of a refusal."""
    kind = REFUSALS[code]
    error = {
        "type": kind.type,
        "code": code,
        "message": message or kind.message,
        "permanent": kind.permanent,
    }
    return kind.status, _JSON.encode({"error": error})


def form_decline(reason: Reason, thing: Thing) -> tuple[int, bytes]:
    """Status and body of what a bank or a payer declined; `thing` is what came of it."""
    error = {
        "type": "declined",
        "code": reason.code,
        "message": reason.message,
        "permanent": reason.permanent,
        "thing": thing,
    }
    return HTTPStatus.PAYMENT_REQUIRED, _JSON.encode({"error": error})
