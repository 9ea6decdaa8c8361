"""The examples of chains, liens and holds in the OpenAPI document; one story, with `examples`."""

from __future__ import annotations

from typing import Any, Final

from catena.api import examples

__all__ = [
    "APPEND",
    "CHAIN",
    "CREATE",
    "HOLD",
    "LIEN",
    "PREVIEW",
    "RUNNING",
    "SUMMARY",
    "TRANSITION",
]

_LEDGER: Final = examples.LEDGER["id"]
_ALICE: Final = examples.TRANSFER["source_account_id"]
_BOB: Final = examples.TRANSFER["destination_account_id"]
_CHAIN: Final = "cte_019a3c60b1c27d3e9a4b5c6d7e8f9a0b"
_LIEN: Final = "lien_019a3c60b1c27a118b2c3d4e5f60718a"
_AT: Final = "2026-03-01T12:00:02.000001Z"
_PAY: Final[dict[str, Any]] = {
    "source_account_id": _ALICE,
    "destination_account_id": _BOB,
    "amount": 500,
    "currency": "USD",
}

CREATE: Final[dict[str, Any]] = {
    "type": "purchase",
    "reference": "order-1001",
    "timeout_seconds": 86400,
    "steps": [
        {"name": "keep", "type": "lien.reserve", "inputs": {"account_id": _ALICE, "amount": 500}},
        {"name": "approval", "type": "wait"},
        {
            "name": "pay",
            "type": "transfer",
            "when": "steps.approval.payload.approved_by != ''",
            "inputs": {**_PAY, "amount": {"cel": "steps.keep.amount"}, "lien": "keep"},
        },
    ],
}
APPEND: Final[dict[str, Any]] = {
    "steps": [{"name": "thanks", "type": "transfer", "inputs": {**_PAY, "amount": 25}}]
}
_STEPS: Final[list[dict[str, Any]]] = [
    {
        "name": "keep",
        "type": "lien.reserve",
        "state": "completed",
        "inputs": {"account_id": _ALICE, "amount": 500},
        "depends_on": [],
        "result": {"amount": 500},
        "commit_seq": 1,
        "lien_id": _LIEN,
    },
    {
        "name": "approval",
        "type": "wait",
        "state": "waiting",
        "inputs": {},
        "depends_on": [{"step": "keep", "phase": "completed"}],
    },
]
RUNNING: Final[dict[str, Any]] = {
    "id": _CHAIN,
    "ledger_id": _LEDGER,
    "transitions": 7,
    "type": "purchase",
    "reference": "order-1001",
    "description": None,
    "metadata": {},
    "state": "executing",
    "progress": {"done": 1, "total": 2},
    "parked": False,
    "failure": None,
    "pending_failure": None,
    "hold": None,
    "signals": [],
    "timeout_seconds": 86400,
    "created_at": _AT,
    "updated_at": _AT,
    "expires_at": "2026-03-02T12:00:02.000001Z",
    "ended_at": None,
    "steps": _STEPS,
}
CHAIN: Final[dict[str, Any]] = {
    **RUNNING,
    "transitions": 9,
    "state": "completed",
    "progress": {"done": 2, "total": 2},
    "ended_at": _AT,
    "steps": [_STEPS[0], {**_STEPS[1], "state": "completed", "commit_seq": 2}],
}
SUMMARY: Final[dict[str, Any]] = {
    name: RUNNING[name]
    for name in (
        "id",
        "ledger_id",
        "transitions",
        "type",
        "reference",
        "state",
        "progress",
        "parked",
        "created_at",
        "updated_at",
    )
}
TRANSITION: Final[dict[str, Any]] = {
    "number": 5,
    "at": _AT,
    "event": "completed",
    "step": "keep",
    "data": {"commit_seq": 1, "lien_id": _LIEN, "result": {"amount": 500}},
}
LIEN: Final[dict[str, Any]] = {
    "id": _LIEN,
    "ledger_id": _LEDGER,
    "chain_id": _CHAIN,
    "chain_type": "purchase",
    "chain_state": "executing",
    "step": "keep",
    "account_id": _ALICE,
    "kind": "reserve",
    "state": "active",
    "amount": 500,
    "remaining": 500,
    "drawn": 0,
    "released": 0,
    "taken_back": 0,
    "expires_at": None,
    "created_at": _AT,
}
HOLD: Final[dict[str, Any]] = {
    "id": "hold_" + _CHAIN[4:],
    "ledger_id": _LEDGER,
    "chain_id": _CHAIN,
    "state": "authorised",
    "account_id": _ALICE,
    "destination_account_id": _BOB,
    "amount": 500,
    "currency": "USD",
    "captured": 0,
    "remaining": 500,
    "captures": [],
    "reference": "order-1001",
    "metadata": {},
    "failure": None,
    "created_at": _AT,
    "expires_at": "2026-03-08T12:00:02.000001Z",
    "ended_at": None,
}
PREVIEW: Final[dict[str, Any]] = {
    "state": "completed",
    "refused": None,
    "failure": None,
    "funding": [
        {
            "account_id": _ALICE,
            "currency": "USD",
            "needed": 500,
            "available": 37450,
            "missing": 0,
        }
    ],
    "unknown": [],
    "steps": [
        {
            "name": "keep",
            "type": "lien.reserve",
            "state": "completed",
            "balances": [
                {
                    "account_id": _ALICE,
                    "currency": "USD",
                    "posted": 37450,
                    "reserved": 500,
                    "available": 36950,
                    "pool": 500,
                    "virtual": 37450,
                }
            ],
        }
    ],
}
