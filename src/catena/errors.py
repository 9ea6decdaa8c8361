"""The closed tree of everything Catena can answer besides success.

Invariant: each leaf has a stable code, a title, and says whether trying again can help.
HTTP statuses are not here: `api/problems.py` maps codes to them.

CatenaError
├── InvalidInput       the request cannot mean anything; nothing ran
│   ├── InvalidAmount, InvalidRate, InvalidFee, UnknownCurrency
│   └── InvalidId, InvalidCursor, InvalidChain, LedgerRequired
├── BadRequest         the request is not made as the protocol asks; nothing ran
│   ├── MalformedJson, PayloadTooLarge, UnsupportedMediaType, MethodNotAllowed, PreconditionRequired
│   └── IdempotencyKeyRequired, InvalidIdempotencyKey
├── Unauthenticated    nobody we know
├── Forbidden          somebody who may not
├── NotFound           no such thing in this ledger
├── Conflict           it clashes with what is there
│   ├── IdempotencyKeyReused, IdempotencyKeyInUse, StaleRevision
├── Unavailable        try again
│   ├── Overloaded, DatabaseUnavailable, OutcomeUnknown
└── SetupError         the installation is not as it must be
    ├── MigrationFailed, EmbeddedPostgresError
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

__all__ = [
    "BadRequest",
    "CatenaError",
    "Conflict",
    "DatabaseUnavailable",
    "EmbeddedPostgresError",
    "Forbidden",
    "ForgedWebhook",
    "IdempotencyKeyInUse",
    "IdempotencyKeyRequired",
    "IdempotencyKeyReused",
    "InvalidAmount",
    "InvalidChain",
    "InvalidCursor",
    "InvalidFee",
    "InvalidId",
    "InvalidIdempotencyKey",
    "InvalidInput",
    "InvalidRate",
    "LedgerRequired",
    "MalformedJson",
    "MethodNotAllowed",
    "MigrationFailed",
    "NotFound",
    "OutcomeUnknown",
    "Overloaded",
    "PayloadTooLarge",
    "PreconditionRequired",
    "SetupError",
    "StaleRevision",
    "Unauthenticated",
    "Unavailable",
    "UnknownCurrency",
    "UnsupportedMediaType",
]


class CatenaError(Exception):
    """Root of the tree. `detail` is for people and never echoes what the caller sent; without one
    it is the remedy.
    """

    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong inside Catena"
    transient: ClassVar[bool] = False
    remedy: ClassVar[str] = "Report it with the request id."

    def __init__(self, detail: str = "", *, fields: Sequence[tuple[str, str]] = ()) -> None:
        """`fields`: what is wrong where, as JSON pointers into the request and sentences."""
        super().__init__(detail or self.title)
        self.detail = detail or self.remedy
        self.fields = fields


class InvalidInput(CatenaError):
    """The request cannot mean anything; nothing ran and nothing is stored."""

    code = "invalid_request"
    title = "The request is not valid"
    remedy = "Correct the fields that `errors` points at."


class InvalidAmount(InvalidInput):
    """Not a whole number of minor units within 64 bits, or not one of this currency."""

    code = "invalid_amount"
    title = "The amount is not valid"
    remedy = "Send a whole number of minor units, from 1 to 9223372036854775807."


class InvalidRate(InvalidInput):
    """Not a plain decimal number within the allowed digits."""

    code = "invalid_rate"
    title = "The rate is not valid"
    remedy = 'Send a plain decimal string such as "0.0275".'


class InvalidFee(InvalidInput):
    """A fee that cannot be charged as it is declared."""

    code = "invalid_fee"
    title = "The fee is not valid"
    remedy = "Correct the fee's declaration."


class UnknownCurrency(InvalidInput):
    """Neither an ISO 4217 currency nor an asset that the ledger registered."""

    code = "unknown_currency"
    title = "The currency is not known to this ledger"
    remedy = "Use an ISO 4217 code, or register the asset on the ledger."


class InvalidId(InvalidInput):
    """An id whose prefix or digits are wrong."""

    code = "invalid_id"
    title = "The id is not valid"
    remedy = "Send the id exactly as Catena gave it."


class LedgerRequired(InvalidInput):
    """The credential may use several ledgers (or none) and the request names none."""

    code = "ledger_required"
    title = "The request does not say which ledger it means"
    remedy = "Send the header Catena-Ledger with the ledger's id."


class InvalidCursor(InvalidInput):
    """A cursor that Catena did not give, or gave for another list."""

    code = "invalid_cursor"
    title = "The cursor is not valid"
    remedy = "Start the list again without a cursor."


class InvalidChain(InvalidInput):
    """A chain that could not be run to an end, or not be rolled back."""

    code = "invalid_chain"
    title = "The chain cannot be run as it is defined"
    remedy = "Correct what `errors` points at; nothing was made."


class BadRequest(CatenaError):
    """The request is not made as the protocol asks; nothing ran."""

    code = "bad_request"
    title = "The request is not made as it must be"
    remedy = "Correct the request."


class MalformedJson(BadRequest):
    """Not JSON in UTF-8, a name twice in one object, or nested too deeply."""

    code = "malformed_json"
    title = "The body is not valid JSON"
    remedy = "Send one JSON object in UTF-8, without repeated names."


class PayloadTooLarge(BadRequest):
    """A body over the limit."""

    code = "payload_too_large"
    title = "The body is too large"
    remedy = "Send less, or several requests."


class UnsupportedMediaType(BadRequest):
    """A body that is not declared as JSON."""

    code = "unsupported_media_type"
    title = "The body must be JSON"
    remedy = "Send Content-Type: application/json."


class MethodNotAllowed(BadRequest):
    """The path exists, this method on it does not."""

    code = "method_not_allowed"
    title = "The path does not take this method"
    remedy = "Use a method that the Allow header names."


class PreconditionRequired(BadRequest):
    """A change without saying which revision was read."""

    code = "precondition_required"
    title = "The request must name the revision that it changes"
    remedy = "Send If-Match with the ETag that was read."


class IdempotencyKeyRequired(BadRequest):
    """A POST without an Idempotency-Key."""

    code = "idempotency_key_required"
    title = "The request needs an Idempotency-Key"
    remedy = "Send a fresh unique key, and the same one when repeating."


class InvalidIdempotencyKey(BadRequest):
    """An Idempotency-Key that is empty, too long, or not printable ASCII."""

    code = "invalid_idempotency_key"
    title = "The Idempotency-Key is not valid"
    remedy = "Send 1 to 255 printable ASCII characters."


class Unauthenticated(CatenaError):
    """No credential, or one that is not in force."""

    code = "unauthenticated"
    title = "The request needs a valid credential"
    remedy = "Send Authorization: Bearer with an API key."


class ForgedWebhook(CatenaError):
    """A webhook is not signed by the gateway that it names, or was signed too long ago."""

    code = "forged_webhook"
    title = "The webhook is not signed by this gateway"
    remedy = "Check the signing secret, and the clock, of the connection."


class Forbidden(CatenaError):
    """The credential lacks a scope for what was asked."""

    code = "forbidden"
    title = "The credential does not allow this"
    remedy = "Use a credential with the scope that is named."


class NotFound(CatenaError):
    """No such thing in this ledger; a thing of another ledger is not found either."""

    code = "not_found"
    title = "Not found"
    remedy = "Check the id and the ledger."


class Conflict(CatenaError):
    """The request clashes with what is there."""

    code = "conflict"
    title = "The request conflicts with the current state"
    remedy = "Read the current state and decide again."


class IdempotencyKeyReused(Conflict):
    """The same key with another payload."""

    code = "idempotency_key_reused"
    title = "The Idempotency-Key was used with another request"
    remedy = "Use a new key for a new request."


class IdempotencyKeyInUse(Conflict):
    """The first request with this key has not been answered within the time limit."""

    code = "idempotency_key_in_use"
    title = "A request with this Idempotency-Key is still running"
    transient = True
    remedy = "Try again later with the same key."


class StaleRevision(Conflict):
    """The thing changed since the caller read it."""

    code = "stale_revision"
    title = "The resource has changed since it was read"
    remedy = "Read it again and repeat with the new ETag."


class Unavailable(CatenaError):
    """Not now; the same request with the same key may succeed later."""

    code = "unavailable"
    title = "The service cannot answer now"
    transient = True
    remedy = "Try again later with the same Idempotency-Key."


class Overloaded(Unavailable):
    """A bounded queue is full, or the request waited too long in it; nothing was done."""

    code = "overloaded"
    title = "Too much work is waiting"


class DatabaseUnavailable(Unavailable):
    """The database does not answer; nothing was done."""

    code = "database_unavailable"
    title = "The database does not answer"


class OutcomeUnknown(Unavailable):
    """The database was lost between the commit and its answer, and did not come back in time."""

    code = "outcome_unknown"
    title = "Whether the request took effect is not known yet"
    remedy = "Repeat it with the same Idempotency-Key: it takes effect once at most."


class SetupError(CatenaError):
    """The installation is not as it must be; the service does not start."""

    code = "setup_error"
    title = "The installation is not usable as it is"
    remedy = "Mend what the message names and start again."


class MigrationFailed(SetupError):
    """A migration is missing, was edited after it ran, or failed."""

    code = "migration_failed"
    title = "The database schema cannot be brought up to date"


class EmbeddedPostgresError(SetupError):
    """The embedded PostgreSQL cannot be started or stopped."""

    code = "embedded_postgres_error"
    title = "The embedded PostgreSQL cannot run"
