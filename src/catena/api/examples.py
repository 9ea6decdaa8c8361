"""The examples of the OpenAPI document: one small story, so that they fit each other."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["ACCOUNT", "BATCH", "BATCH_RESULT", "ENTRY", "LEDGER", "OPEN_ACCOUNT", "PROBLEM"]

_LEDGER_ID: Final = "ldg_019a3c5e8f3a7b2c9d4e5f6a7b8c9d0e"
_ALICE: Final = "acct_019a3c5f1a2b7c3d8e4f5a6b7c8d9e0f"
_ALICE_EUROS: Final = "acct_019a3c5f1b2c7d3e8f4a5b6c7d8e9f0a"
_BOB: Final = "acct_019a3c5f2b3c7d4e8f5a6b7c8d9e0f1a"
_ENTRY: Final = "ent_019a3c60a1b27c3d9c00000000000007"

OPEN_ACCOUNT: Final[dict[str, Any]] = {
    "type": "liability",
    "currency": "USD",
    "user_id": "alice",
    "name": "Alice's wallet",
    "metadata": {"tier": "gold"},
}
ACCOUNT: Final[dict[str, Any]] = {
    "id": _ALICE,
    "ledger_id": _LEDGER_ID,
    "type": "liability",
    "currency": "USD",
    "role": None,
    "user_id": "alice",
    "name": "Alice's wallet",
    "status": "active",
    "floor": 0,
    "ceiling": None,
    "metadata": {"tier": "gold"},
    "revision": 1,
    "created_at": "2026-03-01T12:00:00.000001Z",
    "updated_at": "2026-03-01T12:00:00.000001Z",
}
LEDGER: Final[dict[str, Any]] = {
    "id": _LEDGER_ID,
    "name": "main",
    "assets": [{"code": "PTS", "exponent": 0}],
    "created_at": "2026-03-01T11:59:00.000001Z",
}
TRANSFER: Final[dict[str, Any]] = {
    "source_account_id": _ALICE,
    "destination_account_id": _BOB,
    "amount": 12550,
    "currency": "USD",
    "description": "Rent",
}
ENTRY: Final[dict[str, Any]] = {
    "id": _ENTRY,
    "ledger_id": _LEDGER_ID,
    "position": 7,
    "type": "transfer",
    "description": "Rent",
    "reference": None,
    "effective_at": "2026-03-01T12:00:01.000001Z",
    "recorded_at": "2026-03-01T12:00:01.000001Z",
    "lines": [
        {"account_id": _ALICE, "side": "debit", "amount": 12550, "currency": "USD"},
        {"account_id": _BOB, "side": "credit", "amount": 12550, "currency": "USD"},
    ],
    "metadata": {},
    "details": None,
    "corrects": None,
    "reversed_by": None,
}
MOVEMENTS: Final[dict[str, dict[str, Any]]] = {
    "transfer": TRANSFER,
    "deposit": {"account_id": _ALICE, "amount": 50000, "currency": "USD", "reference": "bank-81"},
    "withdrawal": {
        "account_id": _ALICE,
        "amount": 2000,
        "currency": "USD",
        "fees": [{"type": "percentage", "name": "payout", "rate": "0.01", "minimum": 25}],
    },
    "exchange": {
        "source_account_id": _ALICE,
        "destination_account_id": _ALICE_EUROS,
        "source_currency": "USD",
        "destination_currency": "EUR",
        "rate": "0.9215",
        "source_amount": 10000,
    },
    "entry": {
        "type": "adjustment",
        "description": "Rounding of March",
        "lines": [
            {"account_id": _ALICE, "side": "debit", "amount": 1, "currency": "USD"},
            {"account_id": _BOB, "side": "credit", "amount": 1, "currency": "USD"},
        ],
    },
}
BATCH: Final[dict[str, Any]] = {
    "mode": "each",
    "operations": [
        {"operation": "transfer", **TRANSFER},
        {"operation": "transfer", **TRANSFER, "amount": 99999999},
    ],
}
PROBLEM: Final[dict[str, Any]] = {
    "type": "/errors/insufficient_funds",
    "code": "insufficient_funds",
    "title": "The account has not enough available",
    "status": 422,
    "detail": "Fund the account or lower the amount; its balance says what is available.",
    "retryable": False,
    "account_id": _ALICE,
}
BATCH_RESULT: Final[dict[str, Any]] = {
    "ledger_id": _LEDGER_ID,
    "posted": 1,
    "refused": 1,
    "results": [{"entry_id": _ENTRY, "position": 7}, {"problem": PROBLEM}],
}
