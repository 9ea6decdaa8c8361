"""Headers and path parameters as the document has them: tables that routes name by their keys."""

from __future__ import annotations

from typing import Any, Final

from catena.api.bodies import CURRENCY_PATTERN, STEP_PATTERN, id_pattern
from catena.ids import (
    ACCOUNT,
    BANK_ALARM,
    CHAIN,
    DEPOSIT,
    ENTRY,
    GATEWAY,
    HOLD,
    ITEM,
    LEDGER,
    LIEN,
    REFUND,
    REQUEST,
    RUN,
    SUSPENSE,
    WITHDRAWAL,
)
from catena.settings import LIMITS

__all__ = ["HEADERS", "IN_PATHS", "SENT", "SENT_WITH"]


def _sent(meaning: str, example: str) -> dict[str, Any]:
    return {"description": meaning, "schema": {"type": "string"}, "example": example}


SENT_WITH: Final = {401: ("WWW-Authenticate",), 503: ("Retry-After",)}
SENT: Final = {
    "Preference-Applied": _sent("There when the request waited as it preferred.", "wait"),
    "ETag": _sent("The account's revision, for If-Match.", '"1"'),
    "Idempotency-Replayed": _sent("There when the key was answered before.", "true"),
    "Link": _sent("Where the next page is; left out on the last one.", '</...>; rel="next"'),
    "Location": _sent("The path of what was made.", "/v1/accounts/..."),
    "Request-Id": _sent("Of this request; also in problems.", f"{REQUEST}{'0' * 31}1"),
    "Retry-After": _sent("Seconds.", "1"),
    "WWW-Authenticate": _sent("How to authenticate.", 'Bearer realm="catena"'),
}

HEADERS: Final = {
    "Catena-Ledger": {
        "name": "Catena-Ledger",
        "in": "header",
        "description": "The ledger's id. Left out: the only one that the credential may use.",
        "schema": {"type": "string", "pattern": id_pattern(LEDGER)},
    },
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "description": "1 to 255 printable ASCII characters of the caller's own, one per intent.",
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": LIMITS.idempotency_key_characters,
        },
        "example": "7f1c2a3e-8d54-4c9b-9a63-0c5d8a1b2e4f",
    },
    "If-Match": {
        "name": "If-Match",
        "in": "header",
        "required": True,
        "description": "The ETag of the revision that was read, or * for any.",
        "schema": {"type": "string"},
        "example": '"1"',
    },
    "Prefer": {
        "name": "Prefer",
        "in": "header",
        "description": "wait=n: answer when the chain has ended, or after n seconds as it stands"
        f" ({LIMITS.wait_seconds} at most). A repeated key is answered at once.",
        "schema": {"type": "string"},
        "example": "wait=1",
    },
    "Last-Event-ID": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The number of the last event that was seen; left out: from the first.",
        "schema": {"type": "string"},
        "example": "3",
    },
}
IN_PATHS: Final = {
    "account_id": id_pattern(ACCOUNT),
    "entry_id": id_pattern(ENTRY),
    "ledger_id": id_pattern(LEDGER),
    "chain_id": id_pattern(CHAIN),
    "lien_id": id_pattern(LIEN),
    "hold_id": id_pattern(HOLD),
    "deposit_id": id_pattern(DEPOSIT),
    "withdrawal_id": id_pattern(WITHDRAWAL),
    "refund_id": id_pattern(REFUND),
    "connection_id": id_pattern(GATEWAY),
    "run_id": id_pattern(RUN),
    "item_id": id_pattern(ITEM),
    "alarm_id": id_pattern(BANK_ALARM),
    "suspense_id": id_pattern(SUSPENSE),
    "iban": r"^[A-Za-z]{2}[0-9]{2}[A-Za-z0-9]{1,30}$",
    "reference": r"^[A-Za-z0-9 -]{1,100}$",
    "step": STEP_PATTERN,
    "name": STEP_PATTERN,
    "code": CURRENCY_PATTERN,
}
